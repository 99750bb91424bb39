"""tritonclient over HTTP, synchronous and `async_infer`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from .checks import Check, equal, expect, refused
from .gateway import Gateway
from .samples import Sample, same, samples

ROW = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)


def inputs_of(sample: Sample, binary: bool) -> list[triton.InferInput]:
    found = []
    for name, array in sample.inputs.items():
        entry = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        found.append(entry.set_data_from_numpy(array, binary_data=binary))
    return found


def row() -> list[triton.InferInput]:
    return [triton.InferInput("features", [1, 4], "FP32").set_data_from_numpy(ROW)]


def outputs_of(sample: Sample, binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in sample.outputs]


def compare(result: Any, sample: Sample) -> None:
    for name, wanted in sample.outputs.items():
        same(result.as_numpy(name), wanted, name)


class Calls:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.client = triton.InferenceServerClient(gateway.http, concurrency=4)
        self.headers = gateway.headers

    def infer(self, inputs: Any = None, model: str = "iris", **options: Any) -> Any:
        # The client adds to what it is given.
        headers = dict(self.headers) | options.pop("headers", {})
        return self.client.infer(model, row() if inputs is None else inputs, headers=headers, **options)

    def sample(self, sample: Sample, binary_in: bool, binary_out: bool | None) -> None:
        outputs = None if binary_out is None else outputs_of(sample, binary_out)
        compare(self.infer(inputs_of(sample, binary_in), sample.model, outputs=outputs), sample)

    def ready(self) -> None:
        expect(self.client.is_server_live() and self.client.is_server_ready(), "not live or not ready")

    def model_ready(self) -> None:
        expect(self.client.is_model_ready("iris", headers=self.headers), "iris is not ready")
        expect(self.client.is_model_ready("iris", "1", headers=self.headers), "iris 1 is not ready")
        expect(not self.client.is_model_ready("no-such", headers=self.headers), "no-such is ready")
        expect(not self.client.is_model_ready("iris", "99", headers=self.headers), "iris 99 is ready")

    def server_metadata(self) -> None:
        document = self.client.get_server_metadata(headers=self.headers)
        expect({"binary_tensor_data", "statistics", "model_repository"} <= set(document["extensions"]), document)

    def model_metadata(self) -> None:
        document = self.client.get_model_metadata("iris", headers=self.headers)
        equal(document["inputs"], [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}])
        equal(document["platform"], "onnxruntime_onnx")
        document = self.client.get_model_metadata("versions", "2", headers=self.headers)
        expect("2" in document["versions"], document)

    def config(self) -> None:
        document = self.client.get_model_config("iris", headers=self.headers)
        equal((document["name"], document["max_batch_size"]), ("iris", 0))
        equal(document["input"][0]["data_type"], "TYPE_FP32")
        self.client.get_model_config("versions", "1", headers=self.headers)

    def index(self) -> None:
        document = self.client.get_model_repository_index(headers=self.headers)
        expect(
            {"name": "iris", "version": "1", "state": "READY"}.items() <= document_of(document, "iris").items(),
            document,
        )

    def statistics(self) -> None:
        before = self.client.get_inference_statistics("iris", headers=self.headers)["model_stats"][0]
        self.infer()
        after = self.client.get_inference_statistics("iris", "1", headers=self.headers)["model_stats"][0]
        equal(after["inference_count"], before["inference_count"] + 1)
        every = self.client.get_inference_statistics(headers=self.headers)["model_stats"]
        expect(len(every) > 5, f"{len(every)} entries")

    def load_and_unload(self) -> None:
        self.client.unload_model("vector", headers=self.headers)
        expect(not self.client.is_model_ready("vector", headers=self.headers), "it is still ready")
        self.client.load_model("vector", headers=self.headers)
        expect(self.client.is_model_ready("vector", headers=self.headers), "it is not ready again")
        refused(lambda: self.client.load_model("no-such", headers=self.headers))
        refused(lambda: self.client.load_model("iris", headers=self.headers, config='{"max_batch_size": 8}'), "400")

    def names(self) -> None:
        result = self.infer(request_id="r-1")
        document = result.get_response()
        equal((document["id"], document["model_name"], document["model_version"]), ("r-1", "iris", "1"))
        expect("id" not in self.infer().get_response(), "an id that was not sent")

    def version(self) -> None:
        inputs = [triton.InferInput(name, [1, 2], "FP32").set_data_from_numpy(ROW[:, :2]) for name in ("a", "b")]
        for version in ("1", "2"):
            result = self.infer(inputs, "versions", model_version=version)
            equal(result.get_response()["model_version"], version)
        refused(lambda: self.infer(inputs, "versions", model_version="3"))

    def one_output(self) -> None:
        result = self.infer(outputs=[triton.InferRequestedOutput("probabilities")])
        equal([entry["name"] for entry in result.get_response()["outputs"]], ["probabilities"])

    def classes(self) -> None:
        output = triton.InferRequestedOutput("probabilities", class_count=2)
        classes = self.infer(outputs=[output]).as_numpy("probabilities")
        equal(classes.size, 2)
        value, index, *_ = classes.ravel()[0].decode().split(":")
        expect(float(value) > 0.9 and index == "0", classes)

    def compression(self, request: str | None, response: str | None) -> None:
        rows = np.tile(ROW, (500, 1))
        inputs = [triton.InferInput("features", [500, 4], "FP32").set_data_from_numpy(rows)]
        options: dict[str, Any] = {"request_compression_algorithm": request, "response_compression_algorithm": response}
        same(self.infer(inputs, **options).as_numpy("label"), np.zeros(500, np.int64), "label")

    def parameters(self) -> None:
        self.infer(parameters={"text": "x", "number": 1, "truth": True}, priority=0, timeout=10_000_000)
        self.infer(headers={"X-Request-Id": "abc"}, query_params={"q": "1"})

    def errors(self) -> None:
        refused(lambda: self.infer(model="no-such"), "no model", "404")
        short = triton.InferInput("features", [1, 3], "FP32").set_data_from_numpy(ROW[:, :3])
        text = refused(lambda: self.infer([short]), "InferenceServerException")
        expect("[400]" in text and "features" in text, text)
        try:
            self.client.infer("iris", row())
        except InferenceServerException as error:
            equal(error.status(), "401")
        else:
            expect(False, "without a token it is answered")

    def many_at_once(self) -> None:
        pending = [self.client.async_infer("iris", row(), headers=dict(self.headers)) for _ in range(16)]
        for request in pending:
            same(request.get_result().as_numpy("label"), np.array([0]), "label")

    def by_hand(self) -> None:
        """Bodies that the client makes and reads without sending them."""
        body, length = self.client.generate_request_body(row())
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}
        status, content, came = self.gateway.ask("POST", "/v2/models/iris/infer", body, headers)
        equal(status, 200)
        lower = {name.lower(): value for name, value in came.items()}
        result = self.client.parse_response_body(content, header_length=int(lower["inference-header-content-length"]))
        same(result.as_numpy("label"), np.array([0]), "label")

    def plugin(self) -> None:
        """A client that adds the token to each call by itself."""

        headers = self.headers

        class Bearer(triton.InferenceServerClientPlugin):
            def __call__(self, request: Any) -> None:
                request.headers.update(headers)

        client = triton.InferenceServerClient(self.gateway.http)
        client.register_plugin(Bearer())
        same(client.infer("iris", row()).as_numpy("label"), np.array([0]), "label")
        client.close()


def document_of(index: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in index if entry["name"] == name)


def checks(gateway: Gateway) -> Iterator[Check]:
    calls = Calls(gateway)
    name = "tritonclient http"
    yield f"{name}: is_server_live, is_server_ready without a token", calls.ready
    yield f"{name}: is_model_ready", calls.model_ready
    yield f"{name}: get_server_metadata", calls.server_metadata
    yield f"{name}: get_model_metadata", calls.model_metadata
    yield f"{name}: get_model_config", calls.config
    yield f"{name}: get_model_repository_index", calls.index
    yield f"{name}: get_inference_statistics", calls.statistics
    yield f"{name}: load_model, unload_model", calls.load_and_unload
    for sample in samples():
        yield f"{name}: infer {sample.model}, binary in and out", partial(calls.sample, sample, True, True)
        yield f"{name}: infer {sample.model}, binary in, outputs not named", partial(calls.sample, sample, True, None)
        if sample.plain:
            yield f"{name}: infer {sample.model}, JSON in and out", partial(calls.sample, sample, False, False)
            yield f"{name}: infer {sample.model}, JSON in, binary out", partial(calls.sample, sample, False, True)
            yield (
                f"{name}: infer {sample.model}, JSON in, outputs not named",
                partial(calls.sample, sample, False, None),
            )
            yield f"{name}: infer {sample.model}, binary in, JSON out", partial(calls.sample, sample, True, False)
    yield f"{name}: infer with request_id, names in the answer", calls.names
    yield f"{name}: infer with model_version", calls.version
    yield f"{name}: infer with one output", calls.one_output
    yield f"{name}: infer with class_count", calls.classes
    for request, response in (("gzip", None), ("deflate", None), (None, "gzip"), (None, "deflate"), ("gzip", "gzip")):
        yield f"{name}: infer in {request}, out {response}", partial(calls.compression, request, response)
    yield f"{name}: infer with parameters, priority, timeout, headers, query_params", calls.parameters
    yield f"{name}: errors say what is wrong, with their status", calls.errors
    yield f"{name}: async_infer, 16 at once", calls.many_at_once
    yield f"{name}: generate_request_body, parse_response_body", calls.by_hand
    yield f"{name}: a plugin adds the token", calls.plugin
