"""Tensors as bytes after the JSON, in every direction."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from .registry import NotApplicable, expect, rule
from .server import HEADER_LENGTH, OCTETS, Model, Server
from .tensors import FLOATS, Tensor, encode, flatten, texts_in
from .transport import Answer

SECTION = "2 binary"
extension_rule = partial(rule, extension="binary_tensor_data")


def sizes(server: Server, answer: Answer) -> dict[str, int | None]:
    """For each output, how many bytes it has after the JSON; nothing for those in JSON."""
    head = server.answered(answer)
    return {entry["name"]: (entry.get("parameters") or {}).get("binary_data_size") for entry in head["outputs"]}


def all_binary(server: Server, answer: Answer) -> None:
    found = sizes(server, answer)
    expect(all(size is not None for size in found.values()), f"binary_data_size of the outputs: {found}")
    expect(HEADER_LENGTH in answer.headers, f"no {HEADER_LENGTH}")


def no_binary(server: Server, answer: Answer) -> None:
    found = sizes(server, answer)
    expect(all(size is None for size in found.values()), f"binary_data_size of the outputs: {found}")
    expect(HEADER_LENGTH not in answer.headers, f"{HEADER_LENGTH}: {answer.headers.get(HEADER_LENGTH)}")
    expect(answer.headers.get_content_type() == "application/json", answer.headers.get_content_type())


@extension_rule("binary.in", SECTION, "inputs in binary, outputs in JSON: the same numbers")
def binary_in(server: Server) -> None:
    for model in server.models:
        if model.is_plain():
            answer = server.post_binary(model)
            no_binary(server, answer)
            server.same(model, answer)


@extension_rule("binary.both", SECTION, "inputs and outputs in binary: the same numbers, of every datatype")
def binary_both(server: Server) -> None:
    for model in server.models:
        answer = server.post_binary(model, binary_output=True)
        all_binary(server, answer)
        server.same(model, answer)


@extension_rule("binary.out", SECTION, "JSON in without the header, binary out by binary_data_output")
def json_in_binary_out(server: Server) -> None:
    for model in server.models:
        if model.is_plain():
            answer = server.infer(model, model.body(parameters={"binary_data_output": True}))
            all_binary(server, answer)
            server.same(model, answer)


@extension_rule("binary.out-by-output", SECTION, "binary out by binary_data of each output")
def binary_out_by_output(server: Server) -> None:
    model = server.model()
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in model.output_names]
    answer = server.infer(model, model.body(outputs=wanted))
    all_binary(server, answer)
    server.same(model, answer)


@extension_rule("binary.out-listed", SECTION, "binary_data_output holds for outputs listed without binary_data")
def binary_out_listed(server: Server) -> None:
    model = server.model()
    wanted = [{"name": name} for name in model.output_names]
    all_binary(server, server.infer(model, model.body(outputs=wanted, parameters={"binary_data_output": True})))


@extension_rule("binary.out-overridden", SECTION, "binary_data false overrides binary_data_output true")
def binary_out_overridden(server: Server) -> None:
    model = server.model()
    wanted = [{"name": name, "parameters": {"binary_data": False}} for name in model.output_names]
    answer = server.infer(model, model.body(outputs=wanted, parameters={"binary_data_output": True}))
    no_binary(server, answer)
    server.same(model, answer)


@extension_rule("binary.out-false", SECTION, "binary_data_output false: all in JSON")
def binary_out_false(server: Server) -> None:
    model = server.model()
    no_binary(server, server.infer(model, model.body(parameters={"binary_data_output": False})))


@extension_rule("binary.out-mixed", SECTION, "one output in binary, the others in JSON, in the order asked for")
def binary_out_mixed(server: Server) -> None:
    model = server.model("no model has two outputs", lambda model: len(model.output_names) > 1)
    for chosen in model.output_names:
        wanted = [{"name": name, "parameters": {"binary_data": name == chosen}} for name in model.output_names[::-1]]
        answer = server.infer(model, model.body(outputs=wanted))
        found = sizes(server, answer)
        expect([name for name, size in found.items() if size is not None] == [chosen], f"{found}")
        expect(list(found) == model.output_names[::-1], f"order {list(found)}")
        server.same(model, answer)


@extension_rule("binary.out-order", SECTION, "what follows the JSON is in the order of the outputs")
def binary_out_order(server: Server) -> None:
    model = server.any_model("no model has two outputs", lambda model: len(model.output_names) > 1)
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in model.output_names[::-1]]
    answer = server.post_binary(model, binary_output=True, outputs=wanted)
    expect(list(server.outputs(answer)) == model.output_names[::-1], "another order")
    server.same(model, answer)


@extension_rule("binary.in-mixed", SECTION, "some inputs in binary, others in JSON, which have no bytes after it")
def binary_in_mixed(server: Server) -> None:
    model = server.model("no model has two inputs", lambda model: len(model.inputs) > 1)
    for tensor in model.inputs:
        server.same(model, server.post_binary(model, as_json=(tensor.name,)))
        others = tuple(other.name for other in model.inputs if other is not tensor)
        server.same(model, server.post_binary(model, as_json=others))


@extension_rule("binary.in-order", SECTION, "bytes belong to inputs in the request's order, whatever it is")
def binary_in_order(server: Server) -> None:
    model = server.any_model("no model has two inputs", lambda model: len(model.inputs) > 1)
    server.same(model, server.post_binary(model, model.inputs[::-1], binary_output=True))


@extension_rule("binary.id", SECTION, "id and version are in the JSON of a binary answer")
def binary_id(server: Server) -> None:
    model = server.model()
    head = server.answered(server.post_binary(model, binary_output=True, id="b-1"))
    expect(head.get("id") == "b-1" and head.get("model_name") == model.name, f"{head}"[:160])


@extension_rule("binary.header-of-json", SECTION, "a header that covers the whole body is a request in JSON")
def header_of_json(server: Server) -> None:
    model = server.model()
    body = json.dumps(model.body()).encode()
    server.same(model, server.infer(model, body, {HEADER_LENGTH: str(len(body))}))


@extension_rule("binary.header-case", "8.13", "the name of the header in small and large letters")
def header_case(server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model)
    for name in (HEADER_LENGTH.lower(), HEADER_LENGTH.upper()):
        server.same(model, server.infer(model, head + blobs, OCTETS | {name: str(len(head))}))


@extension_rule(
    "binary.content-type", SECTION, "the header decides, whatever the Content-Type says, or if there is none"
)
def content_type(server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model)
    for headers in ({}, {"Content-Type": "application/json"}, OCTETS):
        server.same(model, server.infer(model, head + blobs, headers | {HEADER_LENGTH: str(len(head))}))


@extension_rule("binary.unaligned", "8.11", "bytes that begin at any offset mean the same")
def unaligned(server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model)
    for spaces in range(8):
        padded = head + b" " * spaces
        server.same(model, server.infer(model, padded + blobs, OCTETS | {HEADER_LENGTH: str(len(padded))}))


@extension_rule("binary.empty", "8.3", "a tensor without elements has binary_data_size 0")
def empty(server: Server) -> None:
    for model in server.models:
        tensor = model.inputs[0]
        shape = model.declared(tensor.name)["shape"]
        if len(model.inputs) == 1 and -1 in shape:
            nothing = tensor.reshaped([0 if size == -1 else size for size in shape])
            if server.infer(model, model.body([nothing])).status == 200:
                server.outputs(server.post_binary(model, [nothing], binary_output=True))
                return
    raise NotApplicable("no model runs on nothing")


@extension_rule("binary.non-finite", "8.7", "NaN and infinities go in in binary; out they come exact, or as an error")
def non_finite(server: Server) -> None:
    model, tensor = server.input_of(FLOATS)
    for text in ("NaN", "Infinity", "-Infinity"):
        value = float(text.replace("Infinity", "inf"))
        changed = server.with_input(model, tensor.with_values([value] * len(tensor.values)))
        answer = server.post_binary(model, changed, binary_output=True)
        if answer.status == 200:
            server.outputs(answer)
        else:
            expect("error" in answer.object(), answer.shown())


@extension_rule("binary.float-bits", SECTION, "FP16 and BF16 go in and out in binary")
def half_floats(server: Server) -> None:
    model, _ = server.input_of({"FP16", "BF16"})
    all_binary(server, server.post_binary(model, binary_output=True))


@extension_rule("binary.texts", SECTION, "BYTES of several lengths, empty ones too: the same as in JSON")
def texts(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"}, Model.is_plain)
    words = ["", "a", "ö€😀", "x" * 300]
    changed = server.with_input(model, tensor.with_values([words[at % 4] for at in range(len(tensor.values))]))
    plain, binary = server.infer(model, model.body(changed)), server.post_binary(model, changed, binary_output=True)
    if plain.status != 200:
        server.refused(plain)
        server.refused(binary)
    else:
        expect(server.outputs(plain) == server.outputs(binary), "other outputs than in JSON")


@extension_rule(
    "binary.no-utf-8", "8.8", "BYTES that are no UTF-8: exact in binary, or refused; in JSON never replaced"
)
def no_utf_8(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"})
    changed: list[Tensor] = server.with_input(model, tensor.with_values([b"\xff\xfe"] * len(tensor.values)))
    for binary_output in (True, False):
        answer = server.post_binary(model, changed, binary_output=binary_output)
        if answer.status != 200:
            expect("error" in answer.object(), answer.shown())
            continue
        expect("\ufffd".encode() not in answer.content, "U+FFFD stands in the answer")
        for datatype, _, blob in server.outputs(answer).values():
            if binary_output and datatype == "BYTES":
                expect("\ufffd".encode() not in b"".join(texts_in(blob)), "U+FFFD stands in an output")


@extension_rule(
    "binary.json-as-binary", SECTION, "numbers in JSON are the shortest, or as many digits as bring back the bits"
)
def digits(server: Server) -> None:
    model, tensor = server.input_of({"FP32", "FP64"}, Model.is_plain)
    thirds = [(index % 7 + 1) / 3 for index in range(len(tensor.values))]
    changed = server.with_input(model, replace(tensor, values=thirds))
    plain, binary = server.post_binary(model, changed), server.post_binary(model, changed, binary_output=True)
    if plain.status != 200:
        raise NotApplicable(f"{model.name} does not take thirds")
    for (name, kept), (_, came) in zip(server.outputs(plain).items(), server.outputs(binary).items(), strict=True):
        expect(kept == came, f"{name}: the JSON has lost bits")
    document: dict[str, Any] = server.answered(plain)
    for entry in document["outputs"]:
        if entry["datatype"] in ("FP32", "FP64"):
            encode(entry["datatype"], flatten(entry["data"]))
