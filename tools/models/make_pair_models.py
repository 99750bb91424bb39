#!/usr/bin/env python3
"""Makes pairs of models in tests/models/pairs/: one that serves, and one that is put in its place.

Each pair differs in one thing, which the name says; what callers notice of it stands in tests/it/compatibility.rs.

Run it with the environment that `tools/setup --train` makes, and commit what changes:

    .venv/bin/python tools/models/make_pair_models.py
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from model_parts import ML_OPSET, OPSET, constant, graph, rows, save, set_contract

FLOAT, DOUBLE, INT64, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL

tensor = helper.make_tensor_value_info
node = helper.make_node


def with_contract(model: onnx.ModelProto, **contract: Any) -> onnx.ModelProto:
    set_contract(model, contract)
    return model


def features(*names: str, **first: Any) -> list[dict]:
    """Features of these names; more is said of the first."""
    listed = [{"name": name} for name in names]
    listed[0].update(first)
    return listed


def sums(
    columns: int = 2, element_type: int = FLOAT, x: str = "x", y: str = "y", y_type: int = FLOAT
) -> onnx.ModelProto:
    """The sum of each row."""
    nodes = [node("ReduceSum", [x, "axes"], ["sum"], keepdims=1), node("Cast", ["sum"], [y], to=y_type)]
    axes = [constant("axes", np.array([1], np.int64))]
    return graph("sums", nodes, [rows(x, columns, element_type)], [rows(y, 1, y_type)], axes)


def named(*names: str, **first: Any) -> onnx.ModelProto:
    return with_contract(sums(len(names)), features=features(*names, **first))


def scaled(factor: float) -> onnx.ModelProto:
    nodes = [node("Mul", ["x", "factor"], ["y"])]
    return graph("scaled", nodes, [rows("x", 2)], [rows("y", 2)], [constant("factor", np.array(factor, np.float32))])


def total(columns: int | str, **contract: Any) -> onnx.ModelProto:
    """The sum of each row of any number of columns."""
    nodes = [node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)]
    axes = [constant("axes", np.array([1], np.int64))]
    model = graph("total", nodes, [tensor("x", FLOAT, ["N", columns])], [rows("y", 1)], axes)
    return with_contract(model, **contract) if contract else model


def outputs(order: str) -> onnx.ModelProto:
    """The row itself as `p`, and its negative as `q`."""
    made = {"p": node("Identity", ["x"], ["p"]), "q": node("Neg", ["x"], ["q"])}
    nodes = [made[name] for name in sorted(order)]
    return graph("outputs", nodes, [rows("x", 2)], [rows(name, 2) for name in order])


def two_columns(order: str, **contract: Any) -> onnx.ModelProto:
    """a + 10 b, each an input of one column."""
    nodes = [node("Mul", ["b", "ten"], ["tens"]), node("Add", ["a", "tens"], ["y"])]
    inputs = [rows(name, 1) for name in order]
    model = graph("two_columns", nodes, inputs, [rows("y", 1)], [constant("ten", np.array(10, np.float32))])
    return with_contract(model, **contract) if contract else model


def two_tensors(more: str | None = None, kind: str = "optional") -> onnx.ModelProto:
    """The sum of two tensors, and of what else is given."""
    inputs = [tensor("x", FLOAT, [2]), tensor("y", FLOAT, [2])]
    nodes = [node("Add", ["x", "y"], ["z"])]
    given = [tensor("z", FLOAT, [2]), tensor("given", BOOL, [])]
    if kind == "optional":
        optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [2]))
        declared = helper.make_value_info(more or "", optional)
    else:
        declared = tensor(more or "", FLOAT, [2])
    if more:
        nodes.append(node("OptionalHasElement", [more], ["given"]))
        return graph("two_tensors", nodes, [*inputs, declared], given)
    always = node("Constant", [], ["given"], value=helper.make_tensor("", BOOL, [], [False]))
    return graph("two_tensors", [*nodes, always], inputs, given)


def biased(bias: bool) -> onnx.ModelProto:
    inputs, made = ([tensor("bias", FLOAT, [1])], []) if bias else ([], [constant("bias", np.array([1], np.float32))])
    return graph("biased", [node("Add", ["x", "bias"], ["y"])], [rows("x", 2), *inputs], [rows("y", 2)], made)


def batches(first: str, second: str) -> onnx.ModelProto:
    """Two inputs of several columns, each with rows of its own, or with as many as the other."""
    nodes = [node("ReduceSum", [name], [f"sum_{name}"], keepdims=0) for name in "ab"]
    inputs = [tensor("a", FLOAT, [first, 2]), tensor("b", FLOAT, [second, 2])]
    return graph("batches", nodes, inputs, [tensor(f"sum_{name}", FLOAT, []) for name in "ab"])


def columns_of_output(count: int) -> onnx.ModelProto:
    weights = constant("weights", np.arange(2 * count, dtype=np.float32).reshape(2, count))
    return graph("columns", [node("MatMul", ["x", "weights"], ["y"])], [rows("x", 2)], [rows("y", count)], [weights])


def arg_max(**contract: Any) -> onnx.ModelProto:
    """The number of the greatest of three values: a label that no part of the graph names."""
    nodes = [node("ArgMax", ["x"], ["label"], axis=1, keepdims=0)]
    model = graph("arg_max", nodes, [rows("x", 3)], [tensor("label", INT64, ["N"])])
    return with_contract(model, **contract) if contract else model


def classifier(labels: list, zip_map: bool = False) -> onnx.ModelProto:
    """A linear classifier of two columns whose labels stand in the graph, as exporters write it."""
    texts = isinstance(labels[0], str)
    names = {"classlabels_strings" if texts else "classlabels_ints": labels}
    slopes = [float(weight) for index in range(len(labels)) for weight in (index, -index)]
    linear = node(
        "LinearClassifier",
        ["x"],
        ["label", "scores" if zip_map else "probabilities"],
        domain="ai.onnx.ml",
        coefficients=slopes,
        intercepts=[0.0] * len(labels),
        multi_class=0,
        post_transform="SOFTMAX",
        **names,
    )
    label = tensor("label", TensorProto.STRING if texts else INT64, ["N"])
    if not zip_map:
        made, probabilities = [linear], tensor("probabilities", FLOAT, ["N", len(labels)])
    else:
        made = [
            linear,
            node(
                "ZipMap",
                ["scores"],
                ["probabilities"],
                domain="ai.onnx.ml",
                **{name.replace("classlabels_ints", "classlabels_int64s"): labels for name in names},
            ),
        ]
        one = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
        probabilities = helper.make_value_info("probabilities", helper.make_sequence_type_proto(one))
    return graph("classifier", made, [rows("x", 2)], [label, probabilities], opsets=[OPSET, ML_OPSET])


def encoder(*towns: str) -> onnx.ModelProto:
    """1 for a town that it knows; another one is an error."""
    nodes = [
        node("OneHotEncoder", ["x"], ["known"], domain="ai.onnx.ml", cats_strings=list(towns), zeros=0),
        node("ReduceMax", ["known", "axes"], ["y"], keepdims=0),
    ]
    inputs, axes = [rows("x", 1, TensorProto.STRING)], [constant("axes", np.array([2], np.int64))]
    model = graph("encoder", nodes, inputs, [rows("y", 1)], axes, opsets=[OPSET, ML_OPSET])
    return with_contract(model, golden=[{"inputs": {"x": [[towns[0]]]}, "outputs": {"y": [[1]]}}])


def embedding(ids: int) -> onnx.ModelProto:
    """A row of a table for each of these ids, halved."""
    table = constant("table", np.arange(2 * ids, dtype=np.float32).reshape(ids, 2))
    nodes = [node("Gather", ["table", "x"], ["found"]), node("Mul", ["found", "half"], ["y"])]
    half = constant("half", np.array(0.5, np.float32))
    return graph("embedding", nodes, [tensor("x", INT64, ["N"])], [rows("y", 2)], [table, half])


GOLDEN = [{"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[3]]}}]
ABC, NO_YES = ["a", "b", "c"], ["no", "yes", "perhaps"]

PAIRS = {
    # Nobody breaks over these.
    "01-other-weights": (scaled(2), scaled(3)),
    "02-wider-input": (total(2, features=features("a", "b")), total("M", features=features("a", "b"))),
    "03-wider-range": (named("a", "b", minimum=0, maximum=10), named("a", "b", minimum=-5, maximum=50)),
    "04-missing-taken": (named("a", "b"), named("a", "b", missing=0)),
    "05-unit-appears": (named("a", "b"), named("a", "b", unit="cm")),
    "06-feature-names-appear": (sums(), named("a", "b")),
    "07-optional-input": (two_tensors(), two_tensors("maybe")),
    "08-inputs-reordered": (
        two_columns("ab", features=features("a", "b")),
        two_columns("ba", features=features("a", "b")),
    ),
    "09-golden-case": (named("a", "b"), with_contract(sums(), features=features("a", "b"), golden=GOLDEN)),
    "10-optional-now": (two_tensors("maybe", "tensor"), two_tensors("maybe")),
    # Callers break over these.
    "11-input-renamed": (sums(), sums(x="z")),
    "12-input-type": (sums(), sums(element_type=DOUBLE)),
    "13-narrower-input": (total("M", features=features("a", "b")), total(2, features=features("a", "b"))),
    "14-input-needed": (biased(False), biased(True)),
    "15-input-gone": (biased(True), biased(False)),
    "16-optional-no-more": (two_tensors("maybe"), two_tensors("maybe", "tensor")),
    "17-outputs-reordered": (outputs("pq"), outputs("qp")),
    "18-output-new": (outputs("p"), outputs("pq")),
    "19-output-gone": (outputs("pq"), outputs("p")),
    "20-output-renamed": (sums(), sums(y="total")),
    "21-output-type": (sums(), sums(y_type=DOUBLE)),
    "22-output-columns": (columns_of_output(3), columns_of_output(2)),
    "23-probabilities-as-maps": (classifier([0, 1]), classifier([0, 1], zip_map=True)),
    "24-features-reordered": (named("a", "b"), named("b", "a")),
    "25-feature-renamed": (named("a", "b"), named("a", "c")),
    "26-feature-names-vanish": (named("a", "b"), sums()),
    "27-feature-more": (total("M", features=features("a", "b")), total("M", features=features(*ABC))),
    "28-narrower-range": (named("a", "b", minimum=0, maximum=10), named("a", "b", minimum=0, maximum=5)),
    "29-other-unit": (named("a", "b", unit="cm"), named("a", "b", unit="mm")),
    "30-missing-refused": (named("a", "b", missing="nan"), named("a", "b")),
    "31-other-default": (named("a", "b", missing=0), named("a", "b", missing=1)),
    "32-rows-refused": (total(2), total("M")),
    "33-inputs-reordered-unnamed": (two_columns("ab"), two_columns("ba")),
    "34-rows-tied": (batches("N", "M"), batches("N", "N")),
    "35-class-names-appear": (arg_max(), arg_max(classes=ABC)),
    "36-classes-renamed": (arg_max(classes=NO_YES), arg_max(classes=["nein", "ja", "vielleicht"])),
    "37-labels-renamed": (classifier(["no", "yes"]), classifier(["ja", "nein"])),
    "38-labels-renumbered": (classifier([3, 4, 5, 6]), classifier([0, 1, 2, 3])),
    "39-not-finite": (named("a", "b"), with_contract(sums(), features=features("a", "b"), non_finite_outputs="allow")),
    "40-category-gone": (encoder("Bern", "Oslo"), encoder("Bern")),
    "41-fewer-ids": (embedding(10), embedding(5)),
}


def main() -> int:
    for name, pair in PAIRS.items():
        for which, model in zip(("old", "new"), pair, strict=True):
            onnx.checker.check_model(model)
            save(f"pairs/{name}/{which}", model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
