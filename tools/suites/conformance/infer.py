"""Inference in plain JSON."""

from __future__ import annotations

import json

from .registry import NotApplicable, expect, rule
from .server import HEADER_LENGTH, Model, Server
from .tensors import INTEGERS

SECTION = "1 infer"


@rule("infer.form", SECTION, "200; model_name, outputs with name, shape, datatype, data; model_version is a text")
def form(server: Server) -> None:
    model = server.model()
    answer = server.infer(model)
    document = server.answered(answer)
    expect(document.get("model_name") == model.name, f"model_name {document.get('model_name')!r}")
    version = document.get("model_version", "")
    expect(isinstance(version, str), f"model_version {version!r}")
    expect(isinstance(document.get("parameters", {}), dict), f"parameters {document.get('parameters')!r}")
    server.outputs(answer)
    for output in document["outputs"]:
        missing = {"name", "shape", "datatype", "data"} - output.keys()
        expect(not missing, f"output {output.get('name')!r}: no {missing}")


@rule("infer.json", SECTION, "an answer in JSON has the type application/json and no header for binary data")
def content_type(server: Server) -> None:
    answer = server.infer(server.model())
    came = answer.headers.get_content_type()
    expect(came == "application/json", f"Content-Type {came}")
    expect(HEADER_LENGTH not in answer.headers, f"{HEADER_LENGTH}: {answer.headers.get(HEADER_LENGTH)}")


@rule("infer.signature", SECTION, "all outputs of the metadata, with its datatypes and fixed dimensions")
def signature(server: Server) -> None:
    for model in server.models:
        outputs = server.outputs(server.ask_somehow(model))
        expect(list(outputs) == model.output_names, f"{model.name}: outputs {list(outputs)}")
        for entry in model.metadata["outputs"]:
            datatype, shape, _ = outputs[entry["name"]]
            expect(datatype == entry["datatype"], f"{entry['name']}: {datatype}, declared {entry['datatype']}")
            fits = len(shape) == len(entry["shape"]) and all(
                wanted in (-1, size) for wanted, size in zip(entry["shape"], shape, strict=True)
            )
            expect(fits, f"{model.name}: {entry['name']}: shape {shape}, declared {entry['shape']}")


@rule("infer.nested", SECTION, "nested data is taken as flat data is")
def nested(server: Server) -> None:
    for model in server.models:
        if model.is_plain():
            body = {"inputs": [tensor.nested() for tensor in model.inputs]}
            server.same(model, server.infer(model, body))


@rule("infer.no-content-type", SECTION, "JSON without a Content-Type is taken: clients send none")
def no_content_type(server: Server) -> None:
    model = server.model()
    server.same(model, server.infer(model, headers={}))


@rule("infer.id", SECTION, "the request's id is in the answer")
def id_echoed(server: Server) -> None:
    model = server.model()
    for text in ("a-1", 'ö " \\ \u2028', "x" * 200):
        came = server.answered(server.infer(model, model.body(id=text))).get("id")
        expect(came == text, f"id {came!r} for {text!r}")


@rule("infer.no-id", "8.22", "no id in the answer if the request has none (or an empty one)")
def id_omitted(server: Server) -> None:
    came = server.answered(server.infer(server.model())).get("id", "")
    expect(came == "", f"id {came!r}")


@rule("infer.version-path", SECTION, "POST .../versions/V/infer is answered by that version")
def version_path(server: Server) -> None:
    model = server.model("no model has versions", lambda model: bool(model.versions))
    version = model.versions[-1]
    answer = server.infer(model, path=f"{model.path}/versions/{version}/infer")
    came = server.answered(answer).get("model_version")
    expect(came == version, f"model_version {came!r}")


@rule("infer.unknown-version", SECTION, 'an unknown version: 4xx, {"error"}')
def unknown_version(server: Server) -> None:
    model = server.model()
    server.refused(server.infer(model, path=f"{model.path}/versions/987654321/infer"))


@rule("infer.unknown-model", SECTION, 'an unknown model: 4xx, {"error"}')
def unknown_model(server: Server) -> None:
    server.refused(server.infer(server.model(), path="/v2/models/no-such-model-here/infer"))


@rule("infer.input-order", SECTION, "inputs come in any order")
def input_order(server: Server) -> None:
    model = server.model("no model has two inputs", lambda model: len(model.inputs) > 1)
    server.same(model, server.infer(model, model.body(model.inputs[::-1])))


@rule("infer.batch", "8.2", "where the first dimension varies, three rows give three, the full shape counts them")
def batch(server: Server) -> None:
    def is_batched(model: Model) -> bool:
        entries = model.metadata["inputs"] + model.metadata["outputs"]
        return all(len(entry["shape"]) > 1 and entry["shape"][0] == -1 for entry in entries)

    model = server.model("in no model the first dimension of all tensors varies", is_batched)
    rows = [tensor.reshaped([3, *tensor.shape[1:]]) for tensor in model.inputs]
    for name, (_, shape, _) in server.outputs(server.infer(model, model.body(rows))).items():
        expect(shape[0] == 3, f"{name}: shape {shape}")


@rule("infer.empty", "8.3", "a dimension of 0 is valid: data is []")
def empty(server: Server) -> None:
    model = server.model("no model has one input with a variable dimension", has_one_variable)
    tensor = model.inputs[0]
    shape = [0 if size == -1 else size for size in model.declared(tensor.name)["shape"]]
    answer = server.infer(model, model.body([tensor.reshaped(shape)]))
    if answer.status != 200:
        # The model itself may not run on nothing; another one may.
        server.refused(answer)
        for other in server.models:
            if other is not model and other.is_plain() and has_one_variable(other):
                shape = [0 if size == -1 else size for size in other.declared(other.inputs[0].name)["shape"]]
                again = server.infer(other, other.body([other.inputs[0].reshaped(shape)]))
                if again.status == 200:
                    server.outputs(again)
                    return
        expect(False, answer.shown())
    server.outputs(answer)


def has_one_variable(model: Model) -> bool:
    return len(model.inputs) == 1 and -1 in model.declared(model.inputs[0].name)["shape"]


@rule("infer.scalar", "8.4", "shape [] is one element")
def scalar(server: Server) -> None:
    model = server.model("no model has a scalar input", lambda model: any(not t.shape for t in model.inputs))
    server.same(model, server.infer(model))


@rule("infer.exact-integers", "8.6", "64-bit integers beyond 2^53 in JSON are the same as in binary, or refused")
def exact_integers(server: Server) -> None:
    model, tensor = server.input_of({"INT64", "UINT64"}, Model.is_plain)
    if not server.has_extension("binary_tensor_data"):
        raise NotApplicable("the extension binary_tensor_data is not advertised")
    for number in (2**53 + 1, INTEGERS[tensor.datatype][1], INTEGERS[tensor.datatype][0]):
        inputs = server.with_input(model, tensor.with_values([number] * len(tensor.values)))
        plain, binary = server.infer(model, model.body(inputs)), server.post_binary(model, inputs, binary_output=True)
        if plain.status != 200 or binary.status != 200:
            server.refused(plain if plain.status != 200 else binary)
        else:
            expect(server.outputs(plain) == server.outputs(binary), f"{number}: other outputs than in binary")


@rule("infer.number-forms", SECTION, "numbers may be written as JSON allows: 1, 1.0, 1e0 for floats")
def number_forms(server: Server) -> None:
    model, tensor = server.input_of({"FP32", "FP64"}, Model.is_plain)
    answers = []
    for written in ("1", "1.0", "1e0", "10E-1", "1.00000000000000000000"):
        body = json.dumps(model.body(server.with_input(model, tensor.with_values([12345] * len(tensor.values)))))
        answers.append(server.outputs(server.infer(model, body.replace("12345", written).encode())))
    expect(all(answer == answers[0] for answer in answers), "other outputs")


@rule("infer.member-order", SECTION, "the answer to a request is the same with white space and sorted otherwise")
def white_space(server: Server) -> None:
    model = server.model()
    body = dict(reversed(model.body(id="1").items()))
    body["inputs"] = [dict(reversed(entry.items())) for entry in body["inputs"]]
    server.same(model, server.infer(model, json.dumps(body, indent=4).encode() + b"\r\n\t "))
