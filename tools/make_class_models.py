#!/usr/bin/env python3
"""Make classifiers whose labels are not 0, 1, 2 …, in tests/models/classes/, as skl2onnx exports them.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/make_class_models.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

MODELS = Path(__file__).resolve().parent.parent / "tests" / "models" / "classes"
OPSETS = {"": 18, "ai.onnx.ml": 3}
# The further right, the higher the class.
POINTS = np.linspace(-3, 3, 60, dtype=np.float32).reshape(-1, 1)


def classifier(model, labels: list, zipmap: bool = False) -> onnx.ModelProto:
    edges = np.linspace(-3, 3, len(labels) + 1)[1:-1]
    fitted = model.fit(POINTS, np.array(labels)[np.digitize(POINTS[:, 0], edges)])
    options = None if zipmap else {"zipmap": False}
    return to_onnx(fitted, POINTS[:1], options=options, target_opset=OPSETS)


def with_contract(model: onnx.ModelProto, **contract) -> onnx.ModelProto:
    helper.set_model_props(model, {"onnx_gateway.contract": json.dumps(contract)})
    return model


def likeliest() -> onnx.ModelProto:
    """The place of the greatest score, as exporters of networks write it: nothing names a class."""
    rows = lambda name, kind, *more: helper.make_tensor_value_info(name, kind, ["N", *more])
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    weights = numpy_helper.from_array(np.array([[-1, 0, 1]], np.float32), "weights")
    graph = helper.make_graph(
        nodes, "likeliest", [rows("x", TensorProto.FLOAT, 1)],
        [rows("label", TensorProto.INT64), rows("probabilities", TensorProto.FLOAT, 3)], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def main() -> None:
    logistic, forest = LogisticRegression, lambda: RandomForestClassifier(3, max_depth=2, random_state=0)
    neighbours = lambda: KNeighborsClassifier(3)
    models = {
        "quality": classifier(logistic(), [3, 4, 5]),
        "quality_maps": classifier(logistic(), [3, 4, 5], zipmap=True),
        "quality_forest": classifier(forest(), [3, 4, 5]),
        "quality_neighbours": classifier(neighbours(), [3, 4, 5]),
        "signs": classifier(forest(), [-1, 1]),
        "words": classifier(logistic(), ["no", "yes"]),
        "risk": with_contract(classifier(logistic(), [1, 2, 3]), classes=["low", "mid", "high"]),
        "risk_maps": with_contract(classifier(forest(), [1, 2, 3], zipmap=True), classes=["low", "mid", "high"]),
        "words_renamed": with_contract(classifier(forest(), ["no", "yes"]), classes=["nein", "ja"]),
        "risk_ten": with_contract(classifier(neighbours(), [10, 20]), classes=["bad", "good"]),
        "too_few": with_contract(classifier(logistic(), [1, 2, 3]), classes=["low", "high"]),
        "swapped": with_contract(classifier(logistic(), ["no", "yes"]), classes=["yes", "no"]),
        "likeliest": likeliest(),
        "likeliest_named": with_contract(likeliest(), classes=["a", "b", "c"]),
        "likeliest_too_few": with_contract(likeliest(), classes=["a", "b"]),
    }
    MODELS.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        (MODELS / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
