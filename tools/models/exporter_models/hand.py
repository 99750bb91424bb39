"""Graphs written by hand whose outputs are not one for each row, or whose rows influence each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import rows
from .made import Made, serialized

OPSETS = [helper.make_opsetid("", 21)]
DEPENDS = ("depends_on_batch",)


def tensor(name: str, shape: list, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind: str, given: str, written: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, given.split(), written.split(), **attributes)


def made(
    name: str,
    what: str,
    nodes: list,
    outputs: list,
    constants: dict[str, np.ndarray] | None = None,
    given: onnx.ValueInfoProto | None = None,
    asked: np.ndarray | None = None,
    **special: tuple[str, ...],
) -> Made:
    taken = given or tensor("x", ["N", 4])
    weights = [numpy_helper.from_array(value, key) for key, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, name, [taken], outputs, weights)
    model = serialized(helper.make_model(graph, opset_imports=OPSETS, ir_version=10))
    value = rows.asked(extreme=100) if asked is None else asked
    return Made(f"hand_{name}", "onnx.helper", what, model, {taken.name: value}, **special)


def models() -> Iterator[Made]:
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    yield made(
        "constant_beside",
        "scores, and the codes of the classes as a constant",
        [node("MatMul", "x w", "scores"), node("Identity", "codes", "classes")],
        [tensor("scores", ["N", 3]), tensor("classes", [3], TensorProto.INT64)],
        {"w": weights, "codes": np.array([10, 20, 30])},
        whole=("classes",),
    )
    yield made(
        "scalar_beside",
        "scores, and their mean over all rows",
        [node("MatMul", "x w", "scores"), node("ReduceMean", "scores", "mean", keepdims=0)],
        [tensor("scores", ["N", 3]), tensor("mean", [])],
        {"w": weights},
        whole=("mean",),
        flags=DEPENDS,
    )
    axis = np.array([0], np.int64)
    yield made(
        "states",
        "an output, and the states of two layers, as recurrent networks have them",
        [
            node("Identity", "x", "y"),
            node("Unsqueeze", "x axis", "first"),
            node("Neg", "first", "second"),
            node("Concat", "first second", "h_n", axis=0),
        ],
        [tensor("y", ["N", 4]), tensor("h_n", [2, "N", 4])],
        {"axis": axis},
        whole=("h_n",),
    )
    yield made(
        "transposed",
        "an output, and another whose second axis counts the rows",
        [node("Neg", "x", "y"), node("Transpose", "x", "columns", perm=[1, 0])],
        [tensor("y", ["N", 4]), tensor("columns", [4, "N"])],
        whole=("columns",),
    )
    yield made(
        "softmax",
        "a softmax that takes the greatest number of the whole tensor away",
        [
            node("ReduceMax", "x", "greatest", keepdims=0),
            node("Sub", "x greatest", "less"),
            node("Exp", "less", "powers"),
            node("ReduceSum", "powers last", "sums", keepdims=1),
            node("Div", "powers sums", "y"),
        ],
        [tensor("y", ["N", 4])],
        {"last": np.array([1])},
        asked=rows.asked(extreme=10),
        flags=DEPENDS,
    )
    numbers = np.random.default_rng(rows.SEED).integers(0, 256, (rows.COUNT, 1))
    yield made(
        "quantised_echo",
        "whole numbers, quantised with one scale for all rows",
        [
            node("Cast", "id", "float", to=TensorProto.FLOAT),
            node("DynamicQuantizeLinear", "float", "q scale zero"),
            node("DequantizeLinear", "q scale zero", "y"),
        ],
        [tensor("y", ["N", 1])],
        given=tensor("id", ["N", 1], TensorProto.INT64),
        asked=numbers,
        flags=DEPENDS,
    )
