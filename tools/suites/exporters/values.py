"""Inputs as each protocol writes them."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from .cases import Input


def nested(array: np.ndarray, missing: Any) -> list:
    """Lists in lists. `missing` stands where there is NaN."""
    if array.dtype.kind == "f":
        return mapped(array.tolist(), array.dtype, missing)
    return array.tolist()


def mapped(value: Any, kind: np.dtype, missing: Any) -> Any:
    if isinstance(value, list):
        return [mapped(item, kind, missing) for item in value]
    # As short as a person would write it, which is read as the same number.
    return missing if math.isnan(value) else float(str(kind.type(value)))


def flat_row(inputs: list[Input], index: int, missing: Any) -> list:
    """A row of values: those of the one matrix, or one of each input."""
    return [item for given in inputs for item in nested(given.rows[index].reshape(-1), missing)]


def content(array: np.ndarray) -> bytes:
    """Elements as bytes, texts with their lengths before them."""
    if array.dtype.kind != "O":
        return np.ascontiguousarray(array).tobytes()
    texts = [item.encode() for item in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def elements(datatype: str, data: bytes) -> list:
    """The elements that bytes hold."""
    if datatype != "BYTES":
        kinds = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4", "BOOL": "?"}
        return np.frombuffer(data, kinds[datatype]).tolist()
    texts = []
    while data:
        (length,) = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return texts
