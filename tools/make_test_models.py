#!/usr/bin/env python3
"""Make the small models that the tests use, in tests/models/. Each does one thing that a model may do to a gateway.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/make_test_models.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = REPOSITORY / "tests" / "models"
CONTRACT_KEY = "onnx_gateway.contract"
OPSETS = [helper.make_opsetid("", 21)]


def rows(name: str, columns: int, element_type: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, ["N", columns])


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def save(name: str, model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model)
    path = MODELS / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    print(f"wrote {path.relative_to(REPOSITORY)} ({path.stat().st_size} bytes)")


def graph(name: str, nodes: list, inputs: list, outputs: list, initializers: list = ()) -> onnx.ModelProto:
    body = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    return helper.make_model(body, opset_imports=OPSETS, ir_version=10)


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


def integers() -> onnx.ModelProto:
    """y = x for 64-bit integers: shows whether every bit survives."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph("integers", [node], [rows("x", 2, TensorProto.INT64)], [rows("y", 2, TensorProto.INT64)])


def two_inputs() -> onnx.ModelProto:
    """Takes two tensors, which no row is."""
    node = helper.make_node("Add", ["a", "b"], ["y"])
    return graph("two_inputs", [node], [rows("a", 1), rows("b", 1)], [rows("y", 1)])


def slow() -> onnx.ModelProto:
    """Runs as long as it is told: a loop of as many turns as the first value says."""
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
        helper.make_node("Cast", ["most"], ["count"], to=TensorProto.INT64),
        helper.make_node("Loop", ["count", "", "zero"], ["sum"], body=turn),
        helper.make_node("Mul", ["turns", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "sum"], ["y"]),
    ]
    zero = constant("zero", np.array(0.0, np.float32))
    model = graph("slow", nodes, [rows("turns", 1)], [rows("y", 1)], [zero])
    contract = {"features": [{"name": "turns", "minimum": 0, "maximum": 1e12}]}
    helper.set_model_props(model, {CONTRACT_KEY: json.dumps(contract)})
    return model


def endless() -> onnx.ModelProto:
    """Loads well and never ends."""
    model = slow()
    del model.metadata_props[:]
    model.graph.initializer.append(constant("for_ever", np.array(2**62, np.int64)))
    model.graph.node[2].input[0] = "for_ever"
    model.graph.node[1].output[0] = "unused"
    return model


def iris_variants(iris: onnx.ModelProto) -> None:
    """The retrained forest with one thing wrong."""
    contract = json.loads(iris.metadata_props[0].value)

    mismatch = onnx.ModelProto.FromString(iris.SerializeToString())
    wrong = json.loads(json.dumps(contract))
    wrong["golden"][1]["outputs"]["label"] = [0]
    helper.set_model_props(mismatch, {CONTRACT_KEY: json.dumps(wrong)})
    save("iris_golden_mismatch", mismatch)

    renamed = onnx.ModelProto.FromString(iris.SerializeToString())
    renamed.graph.input[0].name = "measurements"
    for node in renamed.graph.node:
        node.input[:] = ["measurements" if name == "features" else name for name in node.input]
    for case in contract["golden"]:
        case["inputs"] = {"measurements": case["inputs"]["features"]}
    helper.set_model_props(renamed, {CONTRACT_KEY: json.dumps(contract)})
    save("iris_renamed_input", renamed)


def main() -> int:
    MODELS.mkdir(parents=True, exist_ok=True)
    retrained = MODELS / "iris_retrained.onnx"
    command = [sys.executable, str(REPOSITORY / "tools" / "train_iris.py")]
    subprocess.run([*command, "--seed", "7", "--trees", "20", "--output", str(retrained)], check=True)
    iris_variants(onnx.load(retrained))
    for make in (regressor, nan_weights, square_root, integers, two_inputs, slow, endless):
        save(make.__name__, make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
