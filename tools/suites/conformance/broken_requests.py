"""Requests with one thing wrong in their inputs. Each is made of one that is taken, and has to be refused with 400."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from .registry import expect, rule
from .server import Model, Server
from .tensors import FLOATS, Tensor, nest

Body = dict[str, Any]


def set_first(key: str, value: Any) -> Callable[[Body], None]:
    return lambda body: body["inputs"][0].update({key: value})


def drop_first(key: str) -> Callable[[Body], None]:
    return lambda body: body["inputs"][0].pop(key)


def set_member(key: str, value: Any) -> Callable[[Body], None]:
    return lambda body: body.update({key: value})


def other_datatype(body: Body) -> None:
    first = body["inputs"][0]
    first["datatype"] = "INT64" if first["datatype"] != "INT64" else "INT32"
    first["data"] = [1] * len(first["data"])


def shape_by(change: Callable[[list[int]], list[Any]]) -> Callable[[Body], None]:
    def apply(body: Body) -> None:
        first = body["inputs"][0]
        first["shape"] = change(first["shape"])

    return apply


def stranger(body: Body) -> None:
    body["inputs"].append(body["inputs"][0] | {"name": "no-such-input"})


# What has to be refused whatever the model is: id, section, what is wrong, how a good request becomes it.
BROKEN: list[tuple[str, str, str, Callable[[Body], None]]] = [
    ("inputs.unknown", "8.12", "an input that the model does not have", stranger),
    ("inputs.missing", "8.12", "an input is missing", lambda body: body["inputs"].pop()),
    ("inputs.duplicate", "8.12", "an input is there twice", lambda body: body["inputs"].append(body["inputs"][0])),
    ("inputs.absent", "1 infer", "no `inputs`", lambda body: body.pop("inputs")),
    ("inputs.no-list", "1 infer", "`inputs` is no list", set_member("inputs", {})),
    ("inputs.null", "1 infer", "`inputs` is null", set_member("inputs", None)),
    ("inputs.no-name", "1 infer", "an input without a name", drop_first("name")),
    ("inputs.no-shape", "1 infer", "an input without a shape", drop_first("shape")),
    ("inputs.no-datatype", "1 infer", "an input without a datatype", drop_first("datatype")),
    ("inputs.no-data", "1 infer", "an input without data", drop_first("data")),
    ("inputs.name-form", "1 infer", "a name that is no text", set_first("name", 1)),
    ("inputs.other-datatype", "1 infer", "another datatype than the model's", other_datatype),
    (
        "inputs.unknown-datatype",
        "1 infer",
        "a datatype that the protocol does not have",
        set_first("datatype", "FLOAT"),
    ),
    (
        "inputs.datatype-case",
        "1 infer",
        "a datatype in small letters",
        lambda body: body["inputs"][0].update(datatype=body["inputs"][0]["datatype"].lower()),
    ),
    ("inputs.rank", "8.2", "a dimension more than the model takes", shape_by(lambda shape: [1, *shape])),
    ("inputs.negative", "1 infer", "a negative dimension", shape_by(lambda shape: [-1, *shape[1:]])),
    (
        "inputs.negative-pair",
        "8.5",
        "negative dimensions whose product is right",
        shape_by(lambda shape: [-size for size in shape[:2]] + shape[2:] if len(shape) > 1 else [-1] * 2 + shape),
    ),
    ("inputs.shape-text", "1 infer", "a dimension that is a text", shape_by(lambda shape: [*map(str, shape)] or ["1"])),
    ("inputs.shape-fraction", "1 infer", "a dimension that is a fraction", shape_by(lambda shape: [1.5, *shape[1:]])),
    ("inputs.shape-form", "1 infer", "a shape that is no list", set_first("shape", 4)),
    ("inputs.count-less", "8.5", "an element less than the shape has", lambda body: body["inputs"][0]["data"].pop()),
    (
        "inputs.count-more",
        "8.5",
        "an element more than the shape has",
        lambda body: body["inputs"][0]["data"].append(body["inputs"][0]["data"][0]),
    ),
    ("inputs.count-none", "8.5", "no elements at all", set_first("data", [])),
    (
        "inputs.count-far-more",
        "8.5",
        "a shape of a thousand times the elements that there are",
        shape_by(lambda shape: [1000 * shape[0], *shape[1:]] if shape else [1000]),
    ),
    ("inputs.data-object", "1 infer", "data that is an object", set_first("data", {})),
    ("inputs.data-null", "1 infer", "data that is null", set_first("data", None)),
    (
        "inputs.element-null",
        "1 infer",
        "an element that is null",
        lambda body: body["inputs"][0].update(data=[None] * len(body["inputs"][0]["data"])),
    ),
    (
        "inputs.element-object",
        "1 infer",
        "an element that is an object",
        lambda body: body["inputs"][0].update(data=[{}] * len(body["inputs"][0]["data"])),
    ),
    ("inputs.id-form", "1 infer", "an id that is no text", set_member("id", 12)),
    ("inputs.entry-form", "1 infer", "an input that is no object", lambda body: body["inputs"].insert(0, "text")),
]


def broken(change: Callable[[Body], None], server: Server) -> None:
    model = server.model(
        "no model has an input with elements", lambda model: bool(model.inputs and model.inputs[0].values)
    )
    body = copy.deepcopy(model.body())
    change(body)
    server.refused(server.infer(model, body), 400)
    # What was refused leaves nothing behind.
    expect(server.infer(model).status == 200, "afterwards a good request is not taken")


for name, section, wrong, change in BROKEN:
    rule(name, section, f'{wrong}: 400, {{"error"}}')(partial(broken, change))


@rule("inputs.fixed-dimension", "8.2", 'another size than a fixed dimension has, with as many elements: 400, {"error"}')
def fixed_dimension(server: Server) -> None:
    def has_fixed(model: Model) -> bool:
        return any(any(size > 0 for size in entry["shape"]) for entry in model.metadata["inputs"])

    model = server.model("no model has a fixed dimension", has_fixed)
    entry = next(entry for entry in model.metadata["inputs"] if any(size > 0 for size in entry["shape"]))
    tensor = next(tensor for tensor in model.inputs if tensor.name == entry["name"])
    at = next(index for index, size in enumerate(entry["shape"]) if size > 0)
    shape = [size + (index == at) for index, size in enumerate(tensor.shape)]
    server.refused(server.infer(model, model.body(server.with_input(model, tensor.reshaped(shape)))), 400)


@rule("inputs.transposed", "8.2", 'the right number of elements in a wrong shape: 400, {"error"}')
def transposed(server: Server) -> None:
    def suits(tensor: Tensor) -> bool:
        return len(tensor.shape) == 2 and tensor.shape[0] != tensor.shape[1]

    model = server.model(
        "no model has a matrix with a fixed width",
        lambda model: any(suits(t) and model.declared(t.name)["shape"][1] == t.shape[1] for t in model.inputs),
    )
    tensor = next(filter(suits, model.inputs))
    changed = tensor.reshaped(tensor.shape[::-1])
    server.refused(server.infer(model, model.body(server.with_input(model, changed))), 400)


@rule("inputs.ragged", "1 infer", 'nested data whose lists are of different lengths: 400, {"error"}')
def ragged(server: Server) -> None:
    def suits(tensor: Tensor) -> bool:
        return len(tensor.shape) > 1 and math.prod(tensor.shape) > 1

    model = server.model("no model has an input of two dimensions", lambda model: any(map(suits, model.inputs)))
    tensor = next(filter(suits, model.inputs))
    if tensor.shape[0] < 2 and model.declared(tensor.name)["shape"][0] == -1:
        tensor = tensor.reshaped([2, *tensor.shape[1:]])
    data = nest(tensor.values, tensor.shape)
    data[-1] = data[-1][:-1]
    if len(data) > 1:
        # As many elements as the shape has, so that only the lists are wrong.
        data[0] = [*data[0], data[0][-1]]
    entries = [other.head() | {"data": data} if other.name == tensor.name else other.flat() for other in model.inputs]
    server.refused(server.infer(model, {"inputs": entries}), 400)


@rule("inputs.text-for-number", "1 infer", 'a text where a number belongs: 400, {"error"}')
def text_for_number(server: Server) -> None:
    model, tensor = server.input_of(FLOATS - {"FP16", "BF16"}, Model.is_plain)
    for text in ("wide", "1", ""):
        changed = server.with_input(model, tensor.with_values([text] * len(tensor.values)))
        server.refused(server.infer(model, model.body(changed)), 400)


@rule("inputs.number-for-text", "1 infer", 'a number where a text belongs: 400, {"error"}')
def number_for_text(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"}, Model.is_plain)
    changed = server.with_input(model, tensor.with_values([1] * len(tensor.values)))
    server.refused(server.infer(model, model.body(changed)), 400)
