"""Tensors over gRPC: raw and typed, and what is wrong with them."""

from __future__ import annotations

from functools import partial
from typing import Any

from .grpc_client import outputs, raw, typed
from .registry import NotApplicable, expect, grpc_rule
from .server import Model, Server
from .tensors import INTEGERS, Tensor

SECTION = "7 gRPC"
FOUR_MIB = 4 << 20


def infer(server: Server, message: dict[str, Any], **options: Any) -> dict[str, Any]:
    return server.grpc.call("ModelInfer", message, **options)


def same(server: Server, model: Model, answer: dict[str, Any]) -> None:
    came, wanted = outputs(answer), server.reference(model)
    different = [name for name in wanted if came.get(name) != wanted[name]]
    expect(not different, f"{model.name}: other values than over REST: {different}")


def invalid(server: Server, message: dict[str, Any]) -> None:
    code = server.grpc.code("ModelInfer", message)
    expect(code == "INVALID_ARGUMENT", code)


@grpc_rule("grpc.raw", SECTION, "raw contents: the numbers of REST, bit for bit, of every datatype")
def raw_contents(server: Server) -> None:
    for model in server.models:
        answer = infer(server, raw(model.name, model.inputs))
        expect(answer.get("model_name") == model.name, f"model_name {answer.get('model_name')!r}")
        same(server, model, answer)


@grpc_rule("grpc.typed", SECTION, "typed contents: the numbers of REST, bit for bit")
def typed_contents(server: Server) -> None:
    for model in server.models:
        if model.is_plain():
            same(server, model, infer(server, typed(model.name, model.inputs)))


@grpc_rule("grpc.raw-for-raw", "8.24", "raw outputs for raw inputs")
def raw_for_raw(server: Server) -> None:
    model = server.models[0]
    answer = infer(server, raw(model.name, model.inputs))
    expect(len(answer.get("raw_output_contents", [])) == len(answer["outputs"]), "typed outputs")


@grpc_rule("grpc.id", SECTION, "the id is in the answer; none, if there was none")
def id_echoed(server: Server) -> None:
    model = server.models[0]
    came = infer(server, raw(model.name, model.inputs, id="g-1")).get("id")
    expect(came == "g-1", f"id {came!r}")
    came = infer(server, raw(model.name, model.inputs)).get("id", "")
    expect(came == "", f"id {came!r}")


@grpc_rule("grpc.version", SECTION, "a version that is asked for answers, and says so")
def version(server: Server) -> None:
    model = server.any_model("no model has versions", lambda model: bool(model.versions))
    wanted = model.versions[-1]
    came = infer(server, raw(model.name, model.inputs, model_version=wanted)).get("model_version")
    expect(came == wanted, f"model_version {came!r}")


@grpc_rule("grpc.outputs-order", "8.12", "the outputs that are asked for, in the order of the request")
def outputs_order(server: Server) -> None:
    model = server.any_model("no model has two outputs", lambda model: len(model.output_names) > 1)
    for names in (model.output_names[::-1], model.output_names[:1], model.output_names[-1:]):
        answer = infer(server, raw(model.name, model.inputs, outputs=[{"name": name} for name in names]))
        expect(list(outputs(answer)) == names, f"{list(outputs(answer))} for {names}")


@grpc_rule("grpc.parameters", "6 parameters", "parameters of every kind that the server does not know change nothing")
def parameters(server: Server) -> None:
    model = server.models[0]
    kinds = {
        "my_truth": {"bool_param": True},
        "my_number": {"int64_param": -7},
        "my_text": {"string_param": "x"},
        "my_double": {"double_param": 0.5},
        "my_count": {"uint64_param": 2**63},
    }
    same(server, model, infer(server, raw(model.name, model.inputs, parameters=kinds)))


@grpc_rule("grpc.gzip", SECTION, "a message in gzip is read")
def compressed(server: Server) -> None:
    model = server.models[0]
    same(server, model, infer(server, raw(model.name, model.inputs), compression="gzip"))


@grpc_rule("grpc.large", "8.18", "a message of more than 4 MiB is read")
def large(server: Server) -> None:
    def grows(model: Model) -> bool:
        one = len(model.inputs) == 1 and model.inputs[0].datatype != "BYTES"
        return one and len(model.inputs[0].shape) > 1 and model.metadata["inputs"][0]["shape"][0] == -1

    model = server.any_model("no model has one input whose first dimension varies", grows)
    tensor = model.inputs[0]
    rows = FOUR_MIB // len(tensor.reshaped([1, *tensor.shape[1:]]).blob()) + 1
    larger = tensor.reshaped([rows, *tensor.shape[1:]])
    for _, shape, _ in outputs(infer(server, raw(model.name, [larger]))).values():
        expect(shape[0] == rows, f"{shape} for {rows} rows")


def first_changed(**members: Any) -> Any:
    def change(model: Model, message: dict[str, Any]) -> None:
        message["inputs"][0].update(members)

    return change


def drop_raw(model: Model, message: dict[str, Any]) -> None:
    message["raw_input_contents"].pop()


def extra_raw(model: Model, message: dict[str, Any]) -> None:
    message["raw_input_contents"].append(b"")


def cut_raw(model: Model, message: dict[str, Any]) -> None:
    message["raw_input_contents"][0] = message["raw_input_contents"][0][:-1]


def longer_raw(model: Model, message: dict[str, Any]) -> None:
    message["raw_input_contents"][0] += b"\0" * 8


def both(model: Model, message: dict[str, Any]) -> None:
    message["inputs"][0] = typed(model.name, model.inputs)["inputs"][0]


def duplicate(model: Model, message: dict[str, Any]) -> None:
    message["inputs"].append(message["inputs"][0])
    message["raw_input_contents"].append(message["raw_input_contents"][0])


def missing(model: Model, message: dict[str, Any]) -> None:
    message["inputs"].pop()
    message["raw_input_contents"].pop()


def rank(model: Model, message: dict[str, Any]) -> None:
    message["inputs"][0]["shape"] = [1, *message["inputs"][0]["shape"]]


def datatype(model: Model, message: dict[str, Any]) -> None:
    kinds = {"FP32": "INT32", "INT32": "FP32", "INT64": "FP64", "FP64": "INT64"}
    message["inputs"][0]["datatype"] = kinds.get(message["inputs"][0]["datatype"], "FP32")


def unknown_output(model: Model, message: dict[str, Any]) -> None:
    message["outputs"] = [{"name": "no-such-output"}]


WRONG = [
    ("raw-and-typed", "7 gRPC", "raw contents beside typed ones", both),
    ("raw-missing", "7 gRPC", "raw contents for fewer inputs than there are", drop_raw),
    ("raw-extra", "7 gRPC", "raw contents for more inputs than there are", extra_raw),
    ("raw-short", "8.5", "raw contents shorter than the shape", cut_raw),
    ("raw-long", "8.5", "raw contents longer than the shape", longer_raw),
    ("unknown-input", "8.12", "an input that the model does not have", first_changed(name="no-such-input")),
    ("duplicate-input", "8.12", "an input is there twice", duplicate),
    ("missing-input", "8.12", "an input is missing", missing),
    ("unknown-output", "8.12", "an output that the model does not have", unknown_output),
    ("unknown-datatype", "7 gRPC", "a datatype that the protocol does not have", first_changed(datatype="FLOAT")),
    ("other-datatype", "7 gRPC", "another datatype than the model's", datatype),
    ("rank", "8.2", "a dimension more than the model takes", rank),
    ("negative", "8.5", "negative dimensions", first_changed(shape=[-1, -4])),
    ("count", "8.5", "a shape of more elements than there are", first_changed(shape=[1000, 4])),
]


def wrong_message(change: Any, server: Server) -> None:
    model = server.model()
    message = raw(model.name, model.inputs)
    change(model, message)
    invalid(server, message)


for name, section, wrong, change in WRONG:
    grpc_rule(f"grpc.{name}", section, f"{wrong}: INVALID_ARGUMENT")(partial(wrong_message, change))


@grpc_rule("grpc.typed-count", "8.5", "typed contents of another number than the shape's: INVALID_ARGUMENT")
def typed_count(server: Server) -> None:
    model = server.model("no model has one input with elements", lambda model: bool(model.inputs[0].values))
    tensor = model.inputs[0]
    for values in (tensor.values[:-1], [*tensor.values, tensor.values[0]]):
        changed = server.with_input(model, tensor.with_values(values))
        invalid(server, typed(model.name, changed))


@grpc_rule("grpc.typed-field", SECTION, "contents in the field of another datatype: INVALID_ARGUMENT")
def typed_field(server: Server) -> None:
    model, tensor = server.input_of({"FP32"}, Model.is_plain)
    message = typed(model.name, model.inputs)
    at = model.inputs.index(tensor)
    message["inputs"][at]["contents"] = {"fp64_contents": tensor.values}
    invalid(server, message)


@grpc_rule("grpc.narrow", "8.23", "numbers beyond INT8/16, UINT8/16 in typed contents: INVALID_ARGUMENT")
def narrow(server: Server) -> None:
    found = False
    for datatype in ("INT8", "INT16", "UINT8", "UINT16"):
        try:
            model, tensor = server.input_of({datatype}, Model.is_plain)
        except NotApplicable:
            continue
        found = True
        changed: list[Tensor] = server.with_input(
            model, tensor.with_values([INTEGERS[datatype][1] + 1, *tensor.values[1:]])
        )
        invalid(server, typed(model.name, changed))
    if not found:
        raise NotApplicable("no model has an input of INT8, INT16, UINT8 or UINT16")


@grpc_rule("grpc.half-floats", SECTION, "FP16 and BF16 in typed contents: INVALID_ARGUMENT, they are raw only")
def half_floats(server: Server) -> None:
    model, tensor = server.input_of({"FP16", "BF16"}, lambda model: len(model.inputs) == 1)
    invalid(
        server,
        {
            "model_name": model.name,
            "inputs": [tensor.head() | {"contents": {"fp32_contents": tensor.values}}],
        },
    )


@grpc_rule("grpc.texts", "8.9", "lengths of raw BYTES that do not use up the tensor exactly: INVALID_ARGUMENT")
def text_lengths(server: Server) -> None:
    from .binary_refused import wrong_texts

    model, tensor = server.input_of({"BYTES"}, lambda model: len(model.inputs) == 1)
    for blob in wrong_texts(tensor):
        invalid(server, {"model_name": model.name, "inputs": [tensor.head()], "raw_input_contents": [blob]})


@grpc_rule("grpc.truths", "8.10", "raw bytes of BOOL but 0 and 1: INVALID_ARGUMENT")
def truths(server: Server) -> None:
    model, tensor = server.input_of({"BOOL"}, lambda model: len(model.inputs) == 1)
    blob = b"\x02" + tensor.blob()[1:]
    invalid(server, {"model_name": model.name, "inputs": [tensor.head()], "raw_input_contents": [blob]})
