#!/usr/bin/env python3
"""Make models that show whether rows of several requests may be run at once, in tests/models/batching/.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/models/make_batching_models.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

MODELS = Path(__file__).resolve().parents[2] / "tests" / "models" / "batching"
OPSETS = {"": 18, "ai.onnx.ml": 3}
RANDOM = np.random.default_rng(0)


def rows(name: str, inner: list, element_type: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, ["N", *inner])


def graph(nodes: list, inputs: list, outputs: list, opset: int = 18, **constants: Any) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "batching", inputs, outputs, initializers)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).round(2).astype(np.float32)


def quantized_echo() -> onnx.ModelProto:
    """y = x, through 8 bits whose scale is taken from all rows at once."""
    nodes = [
        helper.make_node("Cast", ["id"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("DynamicQuantizeLinear", ["x"], ["eight_bits", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["eight_bits", "scale", "zero"], ["y"]),
    ]
    return graph(nodes, [rows("id", [1], TensorProto.INT64)], [rows("y", [1])])


def softmax_by_hand() -> onnx.ModelProto:
    """A softmax of each row that is kept from overflowing by the greatest value of all rows."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["greatest"], keepdims=1),
        helper.make_node("Sub", ["x", "greatest"], ["smaller"]),
        helper.make_node("Exp", ["smaller"], ["exponents"]),
        helper.make_node("ReduceSum", ["exponents", "columns"], ["sum"]),
        helper.make_node("Div", ["exponents", "sum"], ["y"]),
    ]
    return graph(nodes, [rows("x", [3])], [rows("y", [3])], columns=np.array([1], np.int64))


def softmax_in_a_body() -> onnx.ModelProto:
    """A softmax in a branch, where operators are not inspected."""
    inner = softmax_by_hand().graph
    del inner.input[:]
    branches = {
        name: helper.make_graph(inner.node, name, [], [rows("y", [3])], inner.initializer) for name in ("a", "b")
    }
    node = helper.make_node("If", ["always"], ["z"], then_branch=branches["a"], else_branch=branches["b"])
    return graph([node], [rows("x", [3])], [rows("z", [3])], always=np.array(True))


def classifier() -> onnx.ModelProto:
    """A classifier as torch writes it: a computed shape, layers, the likeliest class."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"], axis=0),
        helper.make_node("Unsqueeze", ["count", "outermost"], ["counts"]),
        helper.make_node("Concat", ["counts", "rest"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["image", "flat_shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["scores"], transB=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    constants = {
        "first": np.array(0, np.int64),
        "outermost": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
        "w1": weights(6, 9),
        "b1": weights(6),
        "w2": weights(3, 6),
        "b2": weights(3),
    }
    outputs = [rows("label", [], TensorProto.INT64), rows("scores", [3])]
    return graph(nodes, [rows("image", [1, 3, 3])], outputs, **constants)


def slow() -> onnx.ModelProto:
    """Each row is made a matrix and multiplied by another one often: a run takes some tenths of a second."""
    nodes = [
        helper.make_node(
            "ConstantOfShape", ["size"], ["matrix"], value=numpy_helper.from_array(np.array([1 / 512], np.float32))
        ),
        helper.make_node("Unsqueeze", ["x", "inner"], ["cell"]),
        helper.make_node("Add", ["cell", "matrix"], ["m0"]),
    ]
    turns = 20
    nodes += [helper.make_node("MatMul", [f"m{turn}", "matrix"], [f"m{turn + 1}"]) for turn in range(turns)]
    nodes.append(helper.make_node("ReduceMean", [f"m{turns}", "inner"], ["lines"], keepdims=0))
    nodes.append(helper.make_node("ReduceMean", ["lines", "line"], ["y"], keepdims=1))
    constants = {
        "size": np.array([512, 512], np.int64),
        "inner": np.array([2], np.int64),
        "line": np.array([1], np.int64),
    }
    return graph(nodes, [rows("x", [1])], [rows("y", [1])], **constants)


def embedding() -> onnx.ModelProto:
    """The mean of the vectors of seven ids, of which there are fifty."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors", "ids_axis"], ["y"], keepdims=0),
    ]
    inputs = [rows("ids", [7], TensorProto.INT64)]
    return graph(nodes, inputs, [rows("y", [4])], table=weights(50, 4), ids_axis=np.array([1], np.int64))


CITY = np.array(["Bern", "Basel", "Zug"] * 20, dtype=object).reshape(-1, 1)
SIZE = np.array(["S", "M", "L", "XL"] * 15, dtype=object).reshape(-1, 1)
CODE = np.array([10, 20, 30, 40, 50] * 12).reshape(-1, 1)
NUMBER = RANDOM.normal(size=(60, 1))
LABELS = (NUMBER[:, 0] > 0).astype(int)


def encoders() -> onnx.ModelProto:
    """Texts, codes and numbers of a table, as scikit-learn encodes them unless told otherwise."""
    columns = ColumnTransformer(
        [
            ("city", OneHotEncoder(handle_unknown="error"), [0]),
            ("size", OrdinalEncoder(), [1]),
            ("code", OneHotEncoder(handle_unknown="error"), [2]),
            ("number", StandardScaler(), [3]),
        ]
    )
    table = np.hstack([CITY, SIZE, CODE.astype(object), NUMBER.astype(object)])
    fitted = make_pipeline(columns, LogisticRegression()).fit(table, LABELS)
    types = [
        ("city", StringTensorType([None, 1])),
        ("size", StringTensorType([None, 1])),
        ("code", Int64TensorType([None, 1])),
        ("number", FloatTensorType([None, 1])),
    ]
    return to_onnx(fitted, initial_types=types, target_opset=OPSETS)


def encoded_matrix() -> onnx.ModelProto:
    """Two columns of texts in one input."""
    fitted = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression())
    fitted = fitted.fit(np.hstack([CITY, SIZE]), LABELS)
    return to_onnx(fitted, initial_types=[("texts", StringTensorType([None, 2]))], target_opset=OPSETS)


def encoded_codes() -> onnx.ModelProto:
    """One column of codes."""
    fitted = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression()).fit(CODE, LABELS)
    return to_onnx(fitted, initial_types=[("code", Int64TensorType([None, 1]))], target_opset=OPSETS)


def main() -> None:
    MODELS.mkdir(parents=True, exist_ok=True)
    makers = (
        quantized_echo,
        softmax_by_hand,
        softmax_in_a_body,
        classifier,
        slow,
        embedding,
        encoders,
        encoded_matrix,
        encoded_codes,
    )
    for make in makers:
        (MODELS / f"{make.__name__}.onnx").write_bytes(make().SerializeToString())


if __name__ == "__main__":
    main()
