"""A model, the rows that it is asked, and what ONNX Runtime answers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TOGETHER = 32
ELEMENTS = {
    "FP32": np.float32,
    "FP64": np.float64,
    "FP16": np.float16,
    "INT64": np.int64,
    "INT32": np.int32,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


@dataclass
class Input:
    name: str
    datatype: str
    # For each dimension its size, or a name, or nothing.
    shape: list[Any]
    # The first axis counts the rows.
    rows: np.ndarray

    @property
    def takes_one_value(self) -> bool:
        return len(self.shape) == 1 or self.shape[1:] == [1]


@dataclass
class Case:
    name: str
    exporter: str
    estimator: str
    flags: set[str]
    # Outputs that do not hold one item for each row.
    whole: set[str]
    # Labels as keys of probabilities, in their order; none where the model has no classes.
    labels: list[str]
    inputs: list[Input]
    # Outputs by name, for each row alone, and for the first rows in one run.
    alone: list[dict[str, Any]]
    together: dict[str, Any]

    @property
    def count(self) -> int:
        return len(self.alone)

    @property
    def takes_rows(self) -> bool:
        """Returns true if a row is a list of values: those of one matrix, or one of each input."""
        if len(self.inputs) > 1:
            return all(given.takes_one_value for given in self.inputs)
        shape = self.inputs[0].shape
        return len(shape) == 1 or (len(shape) == 2 and isinstance(shape[1], int))

    @property
    def answers_tensors(self) -> bool:
        """Returns true if each output is a tensor, or maps, which make one. A list of tensors is neither."""
        return all("map" in value["items"][0] for value in self.together.values() if "items" in value)

    def row(self, outputs: dict[str, Any], index: int) -> dict[str, Any]:
        """The part of these outputs that belongs to one row."""
        return {name: value if name in self.whole else part(value, index) for name, value in outputs.items()}


def part(value: dict[str, Any], index: int) -> dict[str, Any]:
    """One row of an output that holds one item for each."""
    items = value.get("items")
    if items is None:
        size = len(value["data"]) // value["shape"][0]
        data = value["data"][index * size : (index + 1) * size]
        return {"datatype": value["datatype"], "shape": value["shape"][1:], "data": data}
    if "map" in items[0]:
        return items[index]
    # A tensor for each target, of which each holds all rows.
    parts = [part(item, index) for item in items]
    return {"datatype": parts[0]["datatype"], "shape": None, "data": [item for one in parts for item in one["data"]]}


def array(rows: list, datatype: str) -> np.ndarray:
    """An input; null stands for NaN."""
    if datatype.startswith("FP"):
        return np.array(rows, np.float64).astype(ELEMENTS[datatype])
    return np.array(rows, ELEMENTS[datatype])


def read(cases: Path, answers: Path) -> list[Case]:
    known, document = json.loads(cases.read_text()), json.loads(answers.read_text())
    read_cases = []
    for name, answered in document["models"].items():
        entry = known[name]
        rows = entry["inputs"]
        inputs = [Input(**given, rows=array(rows[given["name"]], given["datatype"])) for given in answered["inputs"]]
        read_cases.append(
            Case(
                name,
                entry["exporter"],
                entry["estimator"],
                set(entry.get("flags", ())),
                set(entry.get("whole", ())),
                [str(label) for label in entry.get("labels", ())],
                inputs,
                answered["alone"],
                answered["together"],
            )
        )
    return read_cases
