#!/usr/bin/env python3
"""Make the small models that the tests use, in tests/models/. Each shows one property.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/models/make_test_models.py
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from costly_models import write_costly_models
from external_models import write_external_models
from model_parts import (
    ML_OPSET,
    MODELS,
    OPSET,
    REPOSITORY,
    constant,
    contract_of,
    copy,
    graph,
    rows,
    save,
    set_contract,
)

# A turn of the slow model takes about a microsecond, so that its longest run takes half a minute.
MOST_TURNS = 20e6


def regressor() -> onnx.ModelProto:
    """y = 2 a + 3 b: a model without a contract."""
    weights = constant("weights", np.array([[2.0], [3.0]], np.float32))
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return graph("regressor", [node], [rows("x", 2)], [rows("y", 1)], [weights])


def nan_weights() -> onnx.ModelProto:
    """Loads and runs, but answers NaN."""
    weights = constant("weights", np.array([[np.nan], [1.0]], np.float32))
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return graph("nan_weights", [node], [rows("x", 2)], [rows("y", 1)], [weights])


def square_root() -> onnx.ModelProto:
    """Answers NaN for a negative number, which is none it was admitted with."""
    return graph("square_root", [helper.make_node("Sqrt", ["x"], ["y"])], [rows("x", 1)], [rows("y", 1)])


def centred() -> onnx.ModelProto:
    """y = x less the mean of all rows: what it answers for one row depends on the others."""
    axes = constant("axes", np.array([0], np.int64))
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    return graph("centred", nodes, [rows("x", 2)], [rows("y", 2)], [axes])


def softmax_of_rows() -> onnx.ModelProto:
    """A softmax along the wrong axis: the probabilities of a column add up to 1 over all rows."""
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    return graph("softmax_of_rows", [node], [rows("x", 2)], [rows("y", 2)])


def wide_sum() -> onnx.ModelProto:
    """The sum of each row of 64 numbers: a large request has a small answer."""
    axes = constant("axes", np.array([1], np.int64))
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)
    return graph("wide_sum", [node], [rows("x", 64)], [rows("y", 1)], [axes])


def wide_sizes() -> onnx.ModelProto:
    """The size of each of 64 numbers a row: the answer is as large as the request."""
    return graph("wide_sizes", [helper.make_node("Abs", ["x"], ["y"])], [rows("x", 64)], [rows("y", 64)])


def absolute_root() -> onnx.ModelProto:
    """A `square_root` for negative numbers too."""
    nodes = [helper.make_node("Abs", ["x"], ["size"]), helper.make_node("Sqrt", ["size"], ["y"])]
    return graph("absolute_root", nodes, [rows("x", 1)], [rows("y", 1)])


def drops_large() -> onnx.ModelProto:
    """An `absolute_root` whose response has no row for numbers over a million."""
    nodes = [
        helper.make_node("Less", ["x", "limit"], ["small"]),
        helper.make_node("Reshape", ["small", "list"], ["kept"]),
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("Sqrt", ["size"], ["root"]),
        helper.make_node("Compress", ["root", "kept"], ["y"], axis=0),
    ]
    constants = [constant("limit", np.array(1e6, np.float32)), constant("list", np.array([-1], np.int64))]
    return graph("drops_large", nodes, [rows("x", 1)], [rows("y", 1)], constants)


def lookup_of(name: str, known: int) -> onnx.ModelProto:
    """Looks numbers up in a table: those that are not in it are errors."""
    table = np.arange(2 * (known + 1), dtype=np.float32).reshape(known + 1, 2)
    nodes = [
        helper.make_node("Add", ["number", "one"], ["place"]),
        helper.make_node("Gather", ["table", "place"], ["found"]),
        helper.make_node("Squeeze", ["found", "second"], ["y"]),
    ]
    constants = [
        constant("one", np.array(1, np.int64)),
        constant("table", table),
        constant("second", np.array([1], np.int64)),
    ]
    return graph(name, nodes, [rows("number", 1, TensorProto.INT64)], [rows("y", 2)], constants)


def lookup() -> onnx.ModelProto:
    """Knows the numbers 0 to 4."""
    return lookup_of("lookup", 5)


def lookup_smaller() -> onnx.ModelProto:
    """Knows the numbers 0 to 2."""
    return lookup_of("lookup_smaller", 3)


def towns() -> onnx.ModelProto:
    """Knows two towns: another one is an error of its encoder."""
    encode = helper.make_node(
        "OneHotEncoder", ["town"], ["found"], domain="ai.onnx.ml", cats_strings=["Basel", "Bern"], zeros=0
    )
    nodes = [encode, helper.make_node("Squeeze", ["found", "second"], ["y"])]
    inputs, outputs = [rows("town", 1, TensorProto.STRING)], [rows("y", 2)]
    constants = [constant("second", np.array([1], np.int64))]
    model = graph("towns", nodes, inputs, outputs, constants, opsets=[OPSET, ML_OPSET])
    golden = [{"inputs": {"town": [["Bern"]]}, "outputs": {"y": [[0.0, 1.0]]}}]
    set_contract(model, {"golden": golden})
    return model


def integers() -> onnx.ModelProto:
    """y = x for 64-bit integers: shows whether every bit survives."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph("integers", [node], [rows("x", 2, TensorProto.INT64)], [rows("y", 2, TensorProto.INT64)])


def two_inputs() -> onnx.ModelProto:
    """Takes two tensors, which no row is."""
    node = helper.make_node("Add", ["a", "b"], ["y"])
    return graph("two_inputs", [node], [rows("a", 1), rows("b", 1)], [rows("y", 1)])


def extension_operator() -> onnx.ModelProto:
    """Uses an operator of onnxruntime-extensions, which ONNX Runtime does not have by itself."""
    node = helper.make_node("StringLower", ["x"], ["y"], domain="ai.onnx.contrib")
    model = graph("extension_operator", [node], [rows("x", 1, TensorProto.STRING)], [rows("y", 1, TensorProto.STRING)])
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    return model


def slow() -> onnx.ModelProto:
    """Takes as long as it is told: a loop of as many turns as the first value says, at most `MOST_TURNS`."""
    float_scalar = helper.make_tensor_value_info
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["condition_in"], ["condition_out"]),
            helper.make_node("Add", ["sum_in", "one"], ["sum_out"]),
        ],
        "turn",
        [
            float_scalar("turn_number", TensorProto.INT64, []),
            float_scalar("condition_in", TensorProto.BOOL, []),
            float_scalar("sum_in", TensorProto.FLOAT, []),
        ],
        [
            float_scalar("condition_out", TensorProto.BOOL, []),
            float_scalar("sum_out", TensorProto.FLOAT, []),
        ],
        [constant("one", np.array(1.0, np.float32))],
    )
    nodes = [
        helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
        helper.make_node("Min", ["most", "most_turns"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["count"], to=TensorProto.INT64),
        helper.make_node("Loop", ["count", "", "zero"], ["sum"], body=turn),
        helper.make_node("Mul", ["turns", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "sum"], ["y"]),
    ]
    constants = [constant("zero", np.array(0.0, np.float32)), constant("most_turns", np.array(MOST_TURNS, np.float32))]
    model = graph("slow", nodes, [rows("turns", 1)], [rows("y", 1)], constants)
    contract = {"features": [{"name": "turns", "minimum": 0, "maximum": MOST_TURNS}]}
    set_contract(model, contract)
    return model


def quotient() -> onnx.ModelProto:
    """y = a / b in whole numbers."""
    integers = [rows(name, 1, TensorProto.INT64) for name in "aby"]
    return graph("quotient", [helper.make_node("Div", ["a", "b"], ["y"])], integers[:2], integers[2:])


def with_failpoint(failpoint: str) -> onnx.ModelProto:
    """The regressor, with an entry in its metadata that only test builds of the gateway act upon."""
    model = regressor()
    helper.set_model_props(model, {"onnx_gateway.failpoint": failpoint})
    return model


def panics() -> onnx.ModelProto:
    return with_failpoint("panic")


def panics_at_13() -> onnx.ModelProto:
    """Runs well on all inputs without a 13 in them."""
    return with_failpoint("panic at 13")


def deep_calls() -> onnx.ModelProto:
    """Has a test build call functions within functions until they take 6 MiB of stack, as it loads and as it runs."""
    return with_failpoint("stack of 6 MiB")


def iris_golden_mismatch(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Answers one of its own golden cases otherwise."""
    model = copy(iris)
    contract = contract_of(model)
    contract["golden"][1]["outputs"]["label"] = [0]
    set_contract(model, contract)
    return model


def iris_renamed_input(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Calls its input `measurements`, which breaks callers that know it as `features`."""
    model = copy(iris)
    model.graph.input[0].name = "measurements"
    for node in model.graph.node:
        node.input[:] = ["measurements" if name == "features" else name for name in node.input]
    contract = contract_of(model)
    for case in contract["golden"]:
        case["inputs"] = {"measurements": case["inputs"]["features"]}
    set_contract(model, contract)
    return model


def iris_renamed_feature(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Calls a feature otherwise, with the same tensors."""
    model = copy(iris)
    contract = contract_of(model)
    contract["features"][0]["name"] = "sepal_size"
    set_contract(model, contract)
    return model


def iris_wider(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Declares any number of columns where four are right: takes all that the old one takes, and more."""
    model = copy(iris)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "columns"
    return model


def iris_nan_weights(iris: onnx.ModelProto) -> onnx.ModelProto:
    """A training that went wrong: every leaf says NaN, and there are no golden cases that would tell."""
    model = copy(iris)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "class_weights":
            attribute.floats[:] = [float("nan")] * len(attribute.floats)
    contract = contract_of(model)
    del contract["golden"]
    set_contract(model, contract)
    return model


def iris_nan_on_large(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Answers as the forest does, golden cases too, but NaN for a sepal longer than 14.9 cm: fails only in service."""
    model = copy(iris)
    for node in model.graph.node:
        node.output[:] = ["usual" if name == "probabilities" else name for name in node.output]
    model.graph.initializer.extend(
        [
            constant("first", np.array([0])),
            constant("second", np.array([1])),
            constant("limit", np.array(14.9, np.float32)),
            constant("not_a_number", np.array(np.nan, np.float32)),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Slice", ["features", "first", "second", "second"], ["sepal_length"]),
            helper.make_node("Greater", ["sepal_length", "limit"], ["too_long"]),
            helper.make_node("Where", ["too_long", "not_a_number", "usual"], ["probabilities"]),
        ]
    )
    return model


def iris_fewer_classes(iris: onnx.ModelProto) -> onnx.ModelProto:
    """Trained without virginica: two classes and two probabilities where there were three."""
    data = load_iris()
    known = data.target < 2
    forest = RandomForestClassifier(n_estimators=5, random_state=7)
    forest.fit(data.data[known].astype(np.float32), data.target[known])
    model = to_onnx(
        forest,
        initial_types=[("features", FloatTensorType([None, 4]))],
        options={id(forest): {"zipmap": False}},
        target_opset={"": 21, "ai.onnx.ml": 3},
    )
    contract = contract_of(iris)
    del contract["golden"]
    contract["classes"] = contract["classes"][:2]
    set_contract(model, contract)
    return model


def main() -> int:
    retrained = MODELS / "iris_retrained.onnx"
    command = [sys.executable, str(REPOSITORY / "tools" / "train_iris.py")]
    subprocess.run([*command, "--seed", "7", "--trees", "20", "--output", str(retrained)], check=True)
    iris = onnx.load(retrained)
    variants = (
        iris_golden_mismatch,
        iris_renamed_input,
        iris_renamed_feature,
        iris_wider,
        iris_nan_weights,
        iris_nan_on_large,
        iris_fewer_classes,
    )
    for vary in variants:
        model = vary(iris)
        onnx.checker.check_model(model)
        save(vary.__name__, model)
    plain = (
        regressor,
        nan_weights,
        square_root,
        centred,
        softmax_of_rows,
        integers,
        two_inputs,
        extension_operator,
        slow,
        quotient,
        panics,
        panics_at_13,
        deep_calls,
        wide_sum,
        wide_sizes,
        absolute_root,
        drops_large,
        lookup,
        lookup_smaller,
        towns,
    )
    for make in plain:
        model = make()
        onnx.checker.check_model(model)
        save(make.__name__, model)
    write_costly_models()
    write_external_models()
    return 0


if __name__ == "__main__":
    sys.exit(main())
