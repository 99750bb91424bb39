"""The server under test: what it says of itself, its models with inputs that they take, and the ways to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .registry import Miss, NotApplicable, expect
from .tensors import PLAIN, Tensor, output_of
from .transport import Answer, Http, strict_json
from .values import candidates

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON = {"Content-Type": "application/json"}
OCTETS = {"Content-Type": "application/octet-stream"}
# Names under which servers advertise one and the same extension.
ALIASES = {"model_repository": {"model_repository", "model_repository_extension"}}
Outputs = dict[str, tuple[str, list[int], bytes]]


@dataclass
class Model:
    name: str
    metadata: dict[str, Any]
    inputs: list[Tensor]

    @property
    def path(self) -> str:
        return f"/v2/models/{quote(self.name, safe='')}"

    @property
    def versions(self) -> list[str]:
        return self.metadata.get("versions") or []

    @property
    def output_names(self) -> list[str]:
        return [entry["name"] for entry in self.metadata["outputs"]]

    def declared(self, name: str) -> dict[str, Any]:
        return next(entry for entry in self.metadata["inputs"] if entry["name"] == name)

    def is_plain(self) -> bool:
        """Returns true if JSON carries all inputs and outputs, on every server."""
        return {entry["datatype"] for entry in self.metadata["inputs"] + self.metadata["outputs"]} <= PLAIN

    def body(self, inputs: list[Tensor] | None = None, **members: Any) -> dict[str, Any]:
        return {"inputs": [tensor.flat() for tensor in inputs or self.inputs], **members}


class Server:
    def __init__(self, http: Http, metadata: dict[str, Any]) -> None:
        self.http = http
        self.metadata = metadata
        self.models: list[Model] = []
        self.unusable: dict[str, str] = {}
        self.grpc: Any = None
        self.assumed: set[str] = set()
        self.manage = False
        self.largest_body_mib = 0

    def has_extension(self, name: str) -> bool:
        advertised = self.metadata.get("extensions")
        if name in self.assumed:
            return True
        return isinstance(advertised, list) and not ALIASES.get(name, {name}).isdisjoint(advertised)

    def get(self, path: str) -> Answer:
        return self.http.ask("GET", path)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.http.ask("POST", path, content, JSON if headers is None else headers)

    def found(self, path: str) -> dict[str, Any]:
        """The object at a path that has to be there."""
        answer = self.get(path)
        expect(answer.status == 200, answer.shown())
        return answer.object()

    def refused(self, answer: Answer, *statuses: int) -> None:
        """The answer is an error in the protocol's form, with one of these statuses or any that blames the client."""
        right = answer.status in statuses if statuses else 400 <= answer.status < 500
        expect(right, answer.shown())
        error = answer.object().get("error")
        expect(isinstance(error, str) and error != "", f"no `error` text: {answer.shown()}")

    # Models

    def model(self, reason: str = "no model takes plain inputs", where: Callable[[Model], bool] | None = None) -> Model:
        """The first model that JSON can ask and of which this is true."""
        return self.any_model(reason, lambda model: model.is_plain() and (where is None or where(model)))

    def any_model(self, reason: str, where: Callable[[Model], bool]) -> Model:
        for model in self.models:
            if where(model):
                return model
        raise NotApplicable(reason)

    def input_of(self, datatypes: set[str], where: Callable[[Model], bool] | None = None) -> tuple[Model, Tensor]:
        """A model, and an input of it that has one of these datatypes and at least one element."""

        def suits(tensor: Tensor) -> bool:
            return tensor.datatype in datatypes and bool(tensor.values)

        kinds = "/".join(sorted(datatypes))
        model = self.any_model(
            f"no suitable model has an input of {kinds}",
            lambda model: any(map(suits, model.inputs)) and (where is None or where(model)),
        )
        return model, next(filter(suits, model.inputs))

    def with_input(self, model: Model, changed: Tensor) -> list[Tensor]:
        return [changed if tensor.name == changed.name else tensor for tensor in model.inputs]

    def prepare(self, name: str) -> None:
        """Finds inputs that a model takes."""
        answer = self.get(f"/v2/models/{quote(name, safe='')}")
        if answer.status != 200:
            self.unusable[name] = f"metadata: {answer.shown()}"
            return
        try:
            model = Model(name, answer.object(), [])
            for inputs in candidates(model.metadata["inputs"]):
                model.inputs = inputs
                answer = self.ask_somehow(model)
                if answer.status == 200:
                    self.outputs(answer)
                    self.models.append(model)
                    return
            self.unusable[name] = f"none of the made-up inputs is taken: {answer.shown()}"
        except (Miss, KeyError, TypeError, ValueError) as error:
            self.unusable[name] = f"{type(error).__name__}: {error}"

    def ask_somehow(self, model: Model) -> Answer:
        """In JSON; in binary what JSON may not carry."""
        if model.is_plain() or not self.has_extension("binary_tensor_data"):
            return self.post(model.path + "/infer", model.body())
        return self.post_binary(model, binary_output=True)

    # Asking

    def infer(self, model: Model, body: Any = None, headers: dict[str, str] | None = None, path: str = "") -> Answer:
        return self.post(path or model.path + "/infer", model.body() if body is None else body, headers)

    def answered(self, answer: Answer) -> dict[str, Any]:
        """The JSON of an answer that has to be 200."""
        expect(answer.status == 200, answer.shown())
        return self.split(answer)[0]

    def post_binary(
        self,
        model: Model,
        inputs: list[Tensor] | None = None,
        *,
        binary_output: bool = False,
        as_json: tuple[str, ...] = (),
        **members: Any,
    ) -> Answer:
        """With inputs in binary, but those of these names; the outputs in binary if they shall be."""
        head, blobs = self.binary_parts(model, inputs, as_json, binary_output=binary_output, **members)
        return self.post(model.path + "/infer", head + blobs, OCTETS | {HEADER_LENGTH: str(len(head))})

    def binary_parts(
        self,
        model: Model,
        inputs: list[Tensor] | None = None,
        as_json: tuple[str, ...] = (),
        *,
        binary_output: bool = False,
        **members: Any,
    ) -> tuple[bytes, bytes]:
        inputs = inputs or model.inputs
        entries = [tensor.flat() if tensor.name in as_json else tensor.binary() for tensor in inputs]
        if binary_output:
            # In both ways: servers differ in which of them they heed.
            members.setdefault("parameters", {"binary_data_output": True})
            wanted = [{"name": name, "parameters": {"binary_data": True}} for name in model.output_names]
            members.setdefault("outputs", wanted)
        blobs = b"".join(tensor.blob() for tensor in inputs if tensor.name not in as_json)
        return json.dumps({"inputs": entries, **members}).encode(), blobs

    # Reading

    def split(self, answer: Answer) -> tuple[dict[str, Any], bytes]:
        """The JSON of an answer and what follows it."""
        length = answer.headers.get(HEADER_LENGTH)
        if length is None:
            return answer.object(), b""
        expect(length.isdigit() and int(length) <= len(answer.content), f"{HEADER_LENGTH}: {length}")
        try:
            head = strict_json(answer.content[: int(length)])
        except ValueError as error:
            raise Miss(f"what {HEADER_LENGTH} says is not JSON: {error}") from None
        return head, answer.content[int(length) :]

    def outputs(self, answer: Answer) -> Outputs:
        """The outputs of an answer that has to be 200, in one form whatever they came in; in their order."""
        expect(answer.status == 200, answer.shown())
        head, rest = self.split(answer)
        found: Outputs = {}
        for entry in head["outputs"]:
            size = (entry.get("parameters") or {}).get("binary_data_size")
            blob = None
            if size is not None:
                expect("data" not in entry, f"output {entry['name']} has both data and binary_data_size")
                expect(type(size) is int and 0 <= size <= len(rest), f"binary_data_size {size!r} of {len(rest)} bytes")
                blob, rest = rest[:size], rest[size:]
            name, datatype, shape, content = output_of(entry, blob)
            expect(name not in found, f"output {name} is there twice")
            found[name] = (datatype, shape, content)
        expect(not rest, f"{len(rest)} bytes after the last output")
        return found

    def reference(self, model: Model) -> Outputs:
        """The response of the model to its inputs, asked in the plainest way."""
        first, again = self.outputs(self.ask_somehow(model)), self.outputs(self.ask_somehow(model))
        if first != again:
            raise NotApplicable(f"{model.name} does not answer the same twice")
        return first

    def same(self, model: Model, answer: Answer) -> None:
        """The answer has the numbers of the plainest way, bit for bit."""
        came, wanted = self.outputs(answer), self.reference(model)
        different = [name for name in wanted if came.get(name) != wanted[name]]
        expect(not different, f"other values than in plain JSON: {', '.join(different)} of {model.name}")
