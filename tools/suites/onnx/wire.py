"""Values as the gateway's JSON writes them, and whether an answer is what was expected."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

RELATIVE_TOLERANCE = 1e-3
TOLERANCE = 1e-5

DATATYPES = {
    np.dtype(np.float32): "FP32",
    np.dtype(np.float64): "FP64",
    np.dtype(np.float16): "FP16",
    np.dtype(ml_dtypes.bfloat16): "BF16",
    np.dtype(np.int8): "INT8",
    np.dtype(np.int16): "INT16",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.uint16): "UINT16",
    np.dtype(np.uint32): "UINT32",
    np.dtype(np.uint64): "UINT64",
    np.dtype(np.bool_): "BOOL",
}
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def datatype(array: np.ndarray) -> str:
    """The Open Inference Protocol's name; for types that it does not have, numpy's."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    return DATATYPES.get(array.dtype, array.dtype.name)


def to_json(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return {"sequence": [to_json(item) for item in value]}
    if isinstance(value, dict):
        return {"map": {str(key): number(item) for key, item in value.items()}}
    array = np.asarray(value)
    return {"shape": list(array.shape), "datatype": datatype(array), "data": flat(array)}


def flat(array: np.ndarray) -> list:
    kind = datatype(array)
    if kind == "BYTES":
        return [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    if kind == "BOOL" or kind.startswith(("INT", "UINT")):
        return array.ravel().tolist()
    # Each value of a smaller float type is also one of float64, so nothing is lost.
    wide = array.astype(np.float64).ravel()
    return wide.tolist() if np.isfinite(wide).all() else [number(item) for item in wide]


def number(item: Any) -> Any:
    if isinstance(item, (float, np.floating)):
        value = float(item)
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    return item.item() if isinstance(item, np.generic) else item


def difference(expected: dict[str, Any], answer: Any) -> str | None:
    """The fault of the outputs of a response. `None` if there is none."""
    if not isinstance(answer, dict):
        return "the answer has no outputs"
    for name, value in expected.items():
        if name not in answer:
            return f"{name}: missing"
        problem = value_difference(to_json(value), answer[name])
        if problem:
            return f"{name}: {problem}"
    return None


def value_difference(expected: Any, answer: Any) -> str | None:
    if expected is None or answer is None:
        return None if expected is answer else f"expected {shorten(expected)}, got {shorten(answer)}"
    if not isinstance(answer, dict):
        return f"no value: {shorten(answer)}"
    if "sequence" in expected:
        items = answer.get("sequence")
        if not isinstance(items, list) or len(items) != len(expected["sequence"]):
            return f"expected a sequence of {len(expected['sequence'])}, got {shorten(answer)}"
        problems = map(value_difference, expected["sequence"], items)
        return next((f"item {index}: {problem}" for index, problem in enumerate(problems) if problem), None)
    if "map" in expected:
        same = isinstance(answer.get("map"), dict) and answer["map"].keys() == expected["map"].keys()
        if not same:
            return f"expected {shorten(expected)}, got {shorten(answer)}"
        return data_difference("FP32", list(expected["map"].values()), list(answer["map"].values()))
    for key in ("datatype", "shape"):
        if answer.get(key) != expected[key]:
            return f"expected {key} {expected[key]}, got {shorten(answer.get(key))}"
    return data_difference(expected["datatype"], expected["data"], answer.get("data"))


def data_difference(kind: str, expected: list, answer: Any) -> str | None:
    if not isinstance(answer, list) or len(answer) != len(expected):
        return f"expected {len(expected)} elements, got {shorten(answer)}"
    if kind == "BYTES" or kind == "BOOL" or kind.startswith(("INT", "UINT")):
        # By type too: 1, 1.0 and true are one to Python.
        pairs = enumerate(zip(expected, answer, strict=True))
        wrong = [index for index, (left, right) in pairs if left != right or type(left) is not type(right)]
    else:
        left, right = numbers(expected), numbers(answer)
        if left is None or right is None:
            return f"not all elements are numbers: {shorten(answer)}"
        close = np.isclose(right, left, rtol=RELATIVE_TOLERANCE, atol=TOLERANCE, equal_nan=True)
        wrong = np.flatnonzero(~close).tolist()
    if not wrong:
        return None
    first = wrong[0]
    example = f"[{first}] expected {expected[first]}, got {shorten(answer[first])}"
    return f"{len(wrong)} of {len(expected)} elements: {example}"


def numbers(items: list) -> np.ndarray | None:
    values = [NON_FINITE.get(item) if isinstance(item, str) else item for item in items]
    if any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in values):
        return None
    return np.array(values, np.float64)


def shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
