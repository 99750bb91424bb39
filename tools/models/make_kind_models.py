#!/usr/bin/env python3
"""Make models of every kind that the gateway serves, in tests/models/kinds/. Each is as small as its kind allows.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/models/make_kind_models.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "tests" / "models" / "kinds"
CONTRACT_KEY = "onnx_gateway.contract"
OPSETS = [helper.make_opsetid("", 21)]


def tensor(name: str, element_type: int, shape: list | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, shape)


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def graph(nodes: list, inputs: list, outputs: list, initializers: Sequence = ()) -> onnx.ModelProto:
    body = helper.make_graph(nodes, "kind", inputs, outputs, list(initializers))
    return helper.make_model(body, opset_imports=OPSETS, ir_version=10)


def with_contract(model: onnx.ModelProto, **contract: Any) -> onnx.ModelProto:
    helper.set_model_props(model, {CONTRACT_KEY: json.dumps(contract)})
    return model


def echo(element_type: int, shape: list | None, **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["x"], ["y"], **attributes)
    return graph([node], [tensor("x", element_type, shape)], [tensor("y", element_type, shape)])


# Two clusters far apart, so that any classifier tells them apart.
POINTS = np.array([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]], np.float32)
NUMBERS = np.array([0, 0, 0, 1, 1, 1])
NAMES = np.array(["low", "low", "low", "high", "high", "high"])


def classifier(labels: np.ndarray, **options: Any) -> onnx.ModelProto:
    fitted = LogisticRegression().fit(POINTS, labels)
    return to_onnx(fitted, POINTS[:1], target_opset=21, options={LogisticRegression: options})


def zip_map() -> onnx.ModelProto:
    """Probabilities as a map from class to number for each row; the classes are numbers that a contract names."""
    return with_contract(classifier(NUMBERS), classes=["low", "high"])


def zip_map_text() -> onnx.ModelProto:
    """Probabilities as maps from classes that are texts, and a golden case."""
    outputs = {"output_label": ["low"], "output_probability": [{"low": 0.98, "high": 0.0138}]}
    case = {"inputs": {"X": {"shape": [1, 2], "data": [0, 0]}}, "outputs": outputs}
    return with_contract(classifier(NAMES), golden=[case], tolerance=0, relative_tolerance=0.01)


def zip_map_mismatch() -> onnx.ModelProto:
    """A golden case that it does not answer as it must."""
    outputs = {"output_probability": [{"low": 0.9, "high": 0.1}]}
    return with_contract(classifier(NAMES), golden=[{"inputs": {"X": [[0, 0]]}, "outputs": outputs}])


def no_zip_map() -> onnx.ModelProto:
    """Probabilities as a matrix."""
    return classifier(NUMBERS, zipmap=False)


def several_targets() -> onnx.ModelProto:
    """Two labels a row, and a sequence of two matrices of probabilities."""
    fitted = MultiOutputClassifier(LogisticRegression()).fit(POINTS, np.stack([NUMBERS, 1 - NUMBERS], axis=1))
    return to_onnx(fitted, POINTS[:1], target_opset=21, options={MultiOutputClassifier: {"zipmap": False}})


def columns() -> onnx.ModelProto:
    """Each column is an input of its own, with its own type; the contract orders them otherwise."""
    cities = ["Rome", "Rome", "Rome", "Oslo", "Oslo", "Oslo"]
    table = np.array([[city, *point] for city, point in zip(cities, POINTS, strict=True)], object)
    transformer = ColumnTransformer([("city", OneHotEncoder(), [0]), ("numbers", "passthrough", [1, 2])])
    pipeline = Pipeline([("columns", transformer), ("model", LogisticRegression())]).fit(table, NAMES)
    types = [
        ("city", StringTensorType([None, 1])),
        ("age", FloatTensorType([None, 1])),
        ("visits", Int64TensorType([None, 1])),
    ]
    options = {id(pipeline): {"zipmap": False}}
    model = to_onnx(pipeline, initial_types=types, target_opset=21, options=options)
    features = [
        {"name": "age", "minimum": 0, "maximum": 150, "missing": 1},
        {"name": "city", "missing": "Rome"},
        {"name": "visits"},
    ]
    case = {
        "inputs": {"city": [["Rome"]], "age": [[0]], "visits": [[0]]},
        "outputs": {"label": ["low"]},
    }
    return with_contract(model, features=features, golden=[case])


def wrong_shape() -> onnx.ModelProto:
    """Declares one label, answers one a row, as some exporters of trees do."""
    model = classifier(NUMBERS, zipmap=False)
    model.graph.output[0].CopyFrom(tensor("label", TensorProto.INT64, [1]))
    return model


def vector() -> onnx.ModelProto:
    """One value a row in a vector. Missing ones are NaN, which the model may answer."""
    model = echo(TensorProto.FLOAT, ["N"])
    features = [{"name": "height", "missing": "nan"}]
    case = {"inputs": {"x": ["NaN", 1]}, "outputs": {"y": {"shape": [2], "data": ["NaN", 1]}}}
    return with_contract(model, features=features, non_finite_outputs="allow", golden=[case])


def scalar() -> onnx.ModelProto:
    """A scalar, and a tensor of three dimensions that is multiplied by it."""
    inputs = [tensor("sound", TensorProto.FLOAT, ["batch", "time", 2]), tensor("gain", TensorProto.FLOAT, [])]
    outputs = [
        tensor("louder", TensorProto.FLOAT, ["batch", "time", 2]),
        tensor("length", TensorProto.INT64, [3]),
    ]
    nodes = [
        helper.make_node("Mul", ["sound", "gain"], ["louder"]),
        helper.make_node("Shape", ["sound"], ["length"]),
    ]
    return graph(nodes, inputs, outputs)


def half() -> onnx.ModelProto:
    return echo(TensorProto.FLOAT16, ["N", 2])


def brain_half() -> onnx.ModelProto:
    return echo(TensorProto.BFLOAT16, ["N", 2])


def bytes_in() -> onnx.ModelProto:
    """Small integers in a tensor that is no row."""
    return echo(TensorProto.UINT8, ["a", "b", "c"])


def unsigned() -> onnx.ModelProto:
    return echo(TensorProto.UINT64, [3])


def texts() -> onnx.ModelProto:
    return echo(TensorProto.STRING, [2, "N"])


def one_text() -> onnx.ModelProto:
    return echo(TensorProto.STRING, [1])


def every_type() -> onnx.ModelProto:
    """One input of each type that has a name in the Open Inference Protocol, and an output that is the same."""
    types = {
        "bool": TensorProto.BOOL,
        "int8": TensorProto.INT8,
        "int16": TensorProto.INT16,
        "int32": TensorProto.INT32,
        "int64": TensorProto.INT64,
        "uint8": TensorProto.UINT8,
        "uint16": TensorProto.UINT16,
        "uint32": TensorProto.UINT32,
        "uint64": TensorProto.UINT64,
        "fp32": TensorProto.FLOAT,
        "fp64": TensorProto.DOUBLE,
        "bytes": TensorProto.STRING,
    }
    nodes = [helper.make_node("Identity", [name], [f"same_{name}"]) for name in types]
    inputs = [tensor(name, element_type, ["N"]) for name, element_type in types.items()]
    outputs = [tensor(f"same_{name}", element_type, ["N"]) for name, element_type in types.items()]
    return graph(nodes, inputs, outputs)


def truths() -> onnx.ModelProto:
    node = helper.make_node("Not", ["x"], ["y"])
    return graph([node], [tensor("x", TensorProto.BOOL, ["a", "b", 1])], [tensor("y", TensorProto.BOOL, ["a", "b", 1])])


def same_symbol() -> onnx.ModelProto:
    """Two inputs whose first dimension is declared to be the same."""
    inputs = [tensor("a", TensorProto.FLOAT, ["N", 2]), tensor("b", TensorProto.FLOAT, ["N", 2])]
    return graph([helper.make_node("Add", ["a", "b"], ["y"])], inputs, [tensor("y", TensorProto.FLOAT, ["N", 2])])


def sequence_output() -> onnx.ModelProto:
    """A tensor cut into a sequence along its first dimension."""
    node = helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0)
    output = helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, ["N", 2])
    return graph([node], [tensor("x", TensorProto.FLOAT, [2, 2])], [output])


def sequence_input() -> onnx.ModelProto:
    """Takes what cannot be sent."""
    node = helper.make_node("SequenceLength", ["parts"], ["count"])
    part = helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, ["N", 2])
    return graph([node], [part], [tensor("count", TensorProto.INT64, [])])


def optional_type() -> onnx.TypeProto:
    return helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))


def optional_input() -> onnx.ModelProto:
    """An input that may be left out, and says whether it was."""
    node = helper.make_node("OptionalHasElement", ["maybe"], ["given"])
    maybe = helper.make_value_info("maybe", optional_type())
    total = helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0)
    inputs = [tensor("x", TensorProto.FLOAT, [2]), maybe]
    return graph([node, total], inputs, [tensor("given", TensorProto.BOOL, []), tensor("sum", TensorProto.FLOAT, [])])


def odd_names() -> onnx.ModelProto:
    """Names that no programming language has."""
    node = helper.make_node("Identity", ["a/b ~ö\n"], ["out:0"])
    return graph([node], [tensor("a/b ~ö\n", TensorProto.FLOAT, [2])], [tensor("out:0", TensorProto.FLOAT, [2])])


def large_image() -> onnx.ModelProto:
    """Takes nothing smaller than 64 by 64, which its signature does not say."""
    shape = constant("shape", np.array([1, 3, 64, 64], np.int64))
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [1], [0.001])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["weights"], value=weight),
        helper.make_node("Conv", ["image", "weights"], ["y"], strides=[64, 64]),
    ]
    image = tensor("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    return graph(nodes, [image], [tensor("y", TensorProto.FLOAT, ["batch", 1, "h", "w"])], [shape])


def picky() -> onnx.ModelProto:
    """Runs on none of the inputs that are made up: it needs seven rows."""
    shape = constant("shape", np.array([7, 3], np.int64))
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    return graph([node], [tensor("x", TensorProto.FLOAT, ["N", 3])], [tensor("y", TensorProto.FLOAT, [7, 3])], [shape])


ROWS_OF_FOUR = ["N", 4]


def beside(nodes: list, output: onnx.ValueInfoProto, initializers: Sequence = ()) -> onnx.ModelProto:
    """A row of four numbers that comes back as `y`, and another output."""
    same = helper.make_node("Identity", ["x"], ["y"])
    outputs = [tensor("y", TensorProto.FLOAT, ROWS_OF_FOUR), output]
    return graph([same, *nodes], [tensor("x", TensorProto.FLOAT, ROWS_OF_FOUR)], outputs, initializers)


def states() -> onnx.ModelProto:
    """States of two layers, as recurrent networks have them: the rows are counted in the second dimension."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["first"]),
        helper.make_node("Neg", ["first"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["h_n"], axis=0),
    ]
    return beside(nodes, tensor("h_n", TensorProto.FLOAT, [2, "N", 4]), [constant("axis", np.array([0], np.int64))])


def states_named() -> onnx.ModelProto:
    """States of two layers with a contract that describes rows."""
    return with_contract(states(), features=[{"name": name} for name in "abcd"])


def transposed() -> onnx.ModelProto:
    """Rows as columns."""
    return beside([helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0])], tensor("t", TensorProto.FLOAT, [4, "N"]))


def total() -> onnx.ModelProto:
    """A number of all rows together, as a loss is."""
    node = helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)
    return beside([node], tensor("total", TensorProto.FLOAT, []))


def gram() -> onnx.ModelProto:
    """The product of each row with each: as many columns as rows."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["products"]),
    ]
    return beside(nodes, tensor("products", TensorProto.FLOAT, ["N", "M"]))


def positive() -> onnx.ModelProto:
    """As many rows as have a first number above zero."""
    nodes = [
        helper.make_node("Gather", ["x", "zero"], ["first"], axis=1),
        helper.make_node("Greater", ["first", "limit"], ["mark"]),
        helper.make_node("Compress", ["x", "mark"], ["chosen"], axis=0),
    ]
    initializers = [constant("zero", np.array(0, np.int64)), constant("limit", np.array(0, np.float32))]
    outputs = [tensor("chosen", TensorProto.FLOAT, ["M", 4])]
    return graph(nodes, [tensor("x", TensorProto.FLOAT, ROWS_OF_FOUR)], outputs, initializers)


def buffer() -> onnx.ModelProto:
    """Scores, and the numbers of the classes that they are of, which the model holds."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("Identity", ["numbers"], ["classes"]),
    ]
    weights = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    initializers = [constant("weights", weights), constant("numbers", np.array([10, 20, 30], np.int64))]
    outputs = [tensor("scores", TensorProto.FLOAT, ["batch", 3]), tensor("classes", TensorProto.INT64, [3])]
    model = graph(nodes, [tensor("x", TensorProto.FLOAT, ["batch", 4])], outputs, initializers)
    return with_contract(model, features=[{"name": name} for name in "abcd"])


def wider_than_declared() -> onnx.ModelProto:
    """Declares a vector, answers a matrix of one column, as CatBoost's regressors do."""
    node = helper.make_node("ReduceSum", ["x", "axes"], ["predictions"], keepdims=1)
    inputs = [tensor("features", TensorProto.FLOAT, ROWS_OF_FOUR)]
    node.input[0] = "features"
    model = graph(
        [node],
        inputs,
        [tensor("predictions", TensorProto.FLOAT, ["N", 1])],
        [constant("axes", np.array([1], np.int64))],
    )
    model.graph.output[0].CopyFrom(tensor("predictions", TensorProto.FLOAT, ["N"]))
    return model


def one_row() -> onnx.ModelProto:
    """Takes one row only, which its signature does not say."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    shape = constant("shape", np.array([1, 4], np.int64))
    inputs = [tensor("x", TensorProto.FLOAT, ROWS_OF_FOUR)]
    return graph([node], inputs, [tensor("y", TensorProto.FLOAT, [1, 4])], [shape])


def text_column() -> onnx.ModelProto:
    """One column of texts, as a vectorizer takes them."""
    shape = ["N", 1]
    inputs, outputs = [tensor("text", TensorProto.STRING, shape)], [tensor("y", TensorProto.STRING, shape)]
    return graph([helper.make_node("Identity", ["text"], ["y"])], inputs, outputs)


def text_rows() -> onnx.ModelProto:
    """Rows of two texts that have no names."""
    return echo(TensorProto.STRING, ["N", 2])


def numbers() -> onnx.ModelProto:
    """One whole number a row, which has no name but that of the input."""
    return echo(TensorProto.INT64, ["N"])


def softmax() -> onnx.ModelProto:
    """Scores and no label, as networks give them."""
    node = helper.make_node("Softmax", ["x"], ["scores"], axis=-1)
    shape = ["N", 3]
    return graph([node], [tensor("x", TensorProto.FLOAT, shape)], [tensor("scores", TensorProto.FLOAT, shape)])


def outliers() -> onnx.ModelProto:
    """A label of 1 or -1, and a score beside, as an isolation forest gives them."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["scores"], keepdims=1),
        helper.make_node("Sign", ["scores"], ["sign"]),
        helper.make_node("Cast", ["sign"], ["label"], to=TensorProto.INT64),
    ]
    outputs = [tensor("label", TensorProto.INT64, ["N", 1]), tensor("scores", TensorProto.FLOAT, ["N", 1])]
    return graph(
        nodes, [tensor("x", TensorProto.FLOAT, ["N", 2])], outputs, [constant("axes", np.array([1], np.int64))]
    )


ALL = (
    zip_map,
    zip_map_text,
    zip_map_mismatch,
    no_zip_map,
    several_targets,
    columns,
    wrong_shape,
    vector,
    scalar,
    half,
    brain_half,
    bytes_in,
    unsigned,
    texts,
    one_text,
    every_type,
    truths,
    same_symbol,
    sequence_output,
    sequence_input,
    optional_input,
    odd_names,
    large_image,
    picky,
    states,
    states_named,
    transposed,
    total,
    gram,
    positive,
    buffer,
    wider_than_declared,
    one_row,
    text_column,
    text_rows,
    numbers,
    softmax,
    outliers,
)


def main() -> int:
    MODELS.mkdir(parents=True, exist_ok=True)
    for make in ALL:
        model = make()
        onnx.checker.check_model(model)
        path = MODELS / f"{make.__name__}.onnx"
        path.write_bytes(model.SerializeToString())
        print(f"wrote {path.relative_to(REPOSITORY)} ({path.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
