"""Requests that are nothing but one tensor: the header's value is 0."""

from __future__ import annotations

import math
from functools import partial

from .binary import all_binary
from .registry import expect, rule
from .server import HEADER_LENGTH, OCTETS, Model, Server
from .tensors import texts_in

SECTION = "2 raw"
extension_rule = partial(rule, extension="binary_tensor_data")
ZERO = OCTETS | {HEADER_LENGTH: "0"}


def takes_raw(model: Model) -> bool:
    """One input of fixed size but for at most one dimension, whose elements all have a size."""
    if len(model.inputs) != 1 or model.inputs[0].datatype == "BYTES":
        return False
    return model.metadata["inputs"][0]["shape"].count(-1) <= 1


def raw_model(server: Server) -> Model:
    return server.any_model("no model has one input with at most one variable dimension", takes_raw)


@extension_rule("raw.request", SECTION, "the whole body is the input; all outputs are binary")
def request(server: Server) -> None:
    model = raw_model(server)
    answer = server.infer(model, model.inputs[0].blob(), ZERO)
    all_binary(server, answer)
    server.same(model, answer)


@extension_rule("raw.variable", SECTION, "the variable dimension is as large as the body makes it")
def variable(server: Server) -> None:
    model = server.any_model(
        "no model has one input with one variable dimension",
        lambda model: takes_raw(model) and model.metadata["inputs"][0]["shape"].count(-1) == 1,
    )
    tensor = model.inputs[0]
    larger = tensor.reshaped([3 if size == -1 else size for size in model.metadata["inputs"][0]["shape"]])
    wanted = server.post_binary(model, [larger], binary_output=True)
    answer = server.infer(model, larger.blob(), ZERO)
    if wanted.status == 200:
        expect(server.outputs(answer) == server.outputs(wanted), "other outputs than with a shape")
    else:
        server.refused(answer)


@extension_rule("raw.no-content-type", SECTION, "the header decides, not the Content-Type")
def no_content_type(server: Server) -> None:
    model = raw_model(server)
    server.same(model, server.infer(model, model.inputs[0].blob(), {HEADER_LENGTH: "0"}))


@extension_rule("raw.wrong-size", SECTION, 'a body that is no whole number of elements or rows: 400, {"error"}')
def wrong_size(server: Server) -> None:
    model = server.any_model(
        "no model has such an input, of more than one byte a row",
        lambda model: takes_raw(model) and len(model.inputs[0].blob()) > max(model.inputs[0].shape[:1] or [1]),
    )
    blob = model.inputs[0].blob()
    for body in (blob[:-1], blob + b"\0"):
        server.refused(server.infer(model, body, ZERO), 400)


@extension_rule("raw.several-inputs", SECTION, 'a model with several inputs has no raw request: 400, {"error"}')
def several_inputs(server: Server) -> None:
    model = server.any_model("no model has two inputs", lambda model: len(model.inputs) > 1)
    server.refused(server.infer(model, model.inputs[0].blob(), ZERO), 400)


@extension_rule("raw.several-variable", SECTION, 'more than one variable dimension has none: 400, {"error"}')
def several_variable(server: Server) -> None:
    model = server.any_model(
        "no model has one input with two variable dimensions",
        lambda model: len(model.inputs) == 1 and model.metadata["inputs"][0]["shape"].count(-1) > 1,
    )
    server.refused(server.infer(model, model.inputs[0].blob(), ZERO), 400)


@extension_rule("raw.text", SECTION, "BYTES of one element: the body is the text, without a length")
def text(server: Server) -> None:
    def one_element(model: Model) -> bool:
        shape = model.metadata["inputs"][0]["shape"]
        single = len(model.inputs) == 1 and model.inputs[0].datatype == "BYTES"
        return single and math.prod(size for size in shape if size > 0) == 1

    model = server.any_model("no model takes one BYTES element", one_element)
    answer = server.infer(model, b"a text", ZERO)
    all_binary(server, answer)
    for datatype, _, blob in server.outputs(answer).values():
        if datatype == "BYTES":
            texts_in(blob)
