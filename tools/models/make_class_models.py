#!/usr/bin/env python3
"""Make classifiers whose labels are not 0, 1, 2 …, in tests/models/classes/, and models whose graph states facts of its
columns, in tests/models/facts/.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/models/make_class_models.py
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

MODELS = Path(__file__).resolve().parents[2] / "tests" / "models"
OPSETS = {"": 18, "ai.onnx.ml": 3}
# The further right, the higher the class.
POINTS = np.linspace(-3, 3, 60, dtype=np.float32).reshape(-1, 1)


def classifier(model: Any, labels: list, zipmap: bool = False) -> onnx.ModelProto:
    edges = np.linspace(-3, 3, len(labels) + 1)[1:-1]
    fitted = model.fit(POINTS, np.array(labels)[np.digitize(POINTS[:, 0], edges)])
    options = None if zipmap else {"zipmap": False}
    return to_onnx(fitted, POINTS[:1], options=options, target_opset=OPSETS)


def with_contract(model: onnx.ModelProto, **contract: Any) -> onnx.ModelProto:
    helper.set_model_props(model, {"onnx_gateway.contract": json.dumps(contract)})
    return model


def likeliest() -> onnx.ModelProto:
    """The place of the greatest score, as exporters of networks write it: nothing names a class."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    weights = numpy_helper.from_array(np.array([[-1, 0, 1]], np.float32), "weights")
    graph = helper.make_graph(
        nodes,
        "likeliest",
        [rows("x", TensorProto.FLOAT, 1)],
        [rows("label", TensorProto.INT64), rows("probabilities", TensorProto.FLOAT, 3)],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def rows(name: str, kind: int, *more: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", *more])


def model(nodes: list, inputs: list, outputs: list, constants: dict) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "facts", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def tree(tracks: int) -> onnx.ModelProto:
    """One split of the second feature: up to 0.5 is 1, above 2; a missing value goes left where `tracks` says so."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[tracks, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
    )
    return model([node], [rows("x", TensorProto.FLOAT, 2)], [rows("y", TensorProto.FLOAT, 1)], {})


def encoder() -> onnx.ModelProto:
    nodes = [
        helper.make_node(
            "OneHotEncoder", ["town"], ["coded"], domain="ai.onnx.ml", cats_strings=["Bern", "Zug"], zeros=0
        ),
        helper.make_node("Reshape", ["coded", "shape"], ["flat"]),
        helper.make_node("Concat", ["flat", "size"], ["y"], axis=1),
    ]
    return model(
        nodes,
        [rows("town", TensorProto.STRING, 1), rows("size", TensorProto.FLOAT, 1)],
        [rows("y", TensorProto.FLOAT, 3)],
        {"shape": np.array([-1, 2], np.int64)},
    )


def embedding() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors", "one"], ["y"], keepdims=0),
    ]
    table = np.arange(20, dtype=np.float32).reshape(10, 2)
    return model(
        nodes,
        [rows("ids", TensorProto.INT64, 3)],
        [rows("y", TensorProto.FLOAT, 2)],
        {"table": table, "one": np.array([1], np.int64)},
    )


def main() -> None:
    logistic = LogisticRegression
    forest = partial(RandomForestClassifier, 3, max_depth=2, random_state=0)
    neighbours = partial(KNeighborsClassifier, 3)
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
        "pairs": classifier(SVC(decision_function_shape="ovo"), [3, 4, 5]),
        "pairs_named": with_contract(
            classifier(SVC(decision_function_shape="ovo"), [3, 4, 5]), classes=["low", "mid", "high"]
        ),
        "likeliest": likeliest(),
        "likeliest_named": with_contract(likeliest(), classes=["a", "b", "c"]),
        "likeliest_too_few": with_contract(likeliest(), classes=["a", "b"]),
    }
    named = [{"name": name} for name in ("first", "second", "third")]
    facts = {
        "tracked": tree(1),
        "tracked_named": with_contract(tree(1), features=[{"name": "a", "missing": "refuse"}, {"name": "b"}]),
        "not_tracked": tree(0),
        "encoder": encoder(),
        "embedding": embedding(),
        "embedding_named": with_contract(embedding(), features=named),
    }
    for folder, made in (("classes", models), ("facts", facts)):
        (MODELS / folder).mkdir(parents=True, exist_ok=True)
        for name, proto in made.items():
            (MODELS / folder / f"{name}.onnx").write_bytes(proto.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
