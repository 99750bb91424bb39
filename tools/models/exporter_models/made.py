"""A model as it is kept, and the rows that it is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx


@dataclass
class Made:
    """A model, and for each of its inputs an array whose first axis counts the rows."""

    name: str
    exporter: str
    estimator: str
    model: bytes
    inputs: dict[str, np.ndarray]
    # `missing`: rows have NaN, which its trees track. `depends_on_batch`: the rows of a batch influence each other.
    flags: tuple[str, ...] = ()
    # Outputs that do not hold one item for each row.
    whole: tuple[str, ...] = ()
    # Labels of its classes, in the order of their probabilities.
    labels: tuple[Any, ...] = ()


def without_places(body: onnx.GraphProto | onnx.FunctionProto) -> None:
    """Take out what torch writes of the source that a node comes from, also in the bodies of loops and branches."""
    for node in body.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs] if attribute.HasField("g") or attribute.graphs else []:
                without_places(inner)


def serialized(model: onnx.ModelProto) -> bytes:
    """The bytes of a model, checked, without times and random names: no server reads them, and each run has others."""
    onnx.checker.check_model(model)
    model.graph.name = "model"
    del model.graph.value_info[:]
    del model.metadata_props[:]
    without_places(model.graph)
    for function in model.functions:
        without_places(function)
    return model.SerializeToString(deterministic=True)


def document(made: Made) -> dict[str, Any]:
    """The entry of a model in `cases.json`."""
    entry: dict[str, Any] = {"exporter": made.exporter, "estimator": made.estimator}
    if made.flags:
        entry["flags"] = list(made.flags)
    if made.whole:
        entry["whole"] = list(made.whole)
    if made.labels:
        entry["labels"] = [plain(label) for label in made.labels]
    entry["inputs"] = {name: [plain(row) for row in rows] for name, rows in made.inputs.items()}
    return entry


def labels_of(estimator: Any) -> tuple[Any, ...]:
    """Labels of a classifier that has one target."""
    classes = getattr(estimator, "classes_", ())
    return () if isinstance(classes, list) else tuple(classes)


def plain(value: Any) -> Any:
    """Numbers as short as they can be written, NaN as null."""
    if isinstance(value, (np.ndarray, list)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return None
        number = float(str(value))
        return int(number) if number.is_integer() else number
    return value.item() if isinstance(value, np.generic) else value
