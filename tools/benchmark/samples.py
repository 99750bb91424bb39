"""Rows of Iris flowers, and the bodies that carry them."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

Row = list[float]
# The least and the greatest of each measurement in the data set, in cm.
RANGES = ((4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5))
SEED = 1
ONE_ROW_BODIES = 256
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Request:
    """A request to a contestant: path, headers, and how rows become a body."""

    path: str
    headers: dict[str, str]
    body: Callable[[list[Row]], bytes]


def iris_rows(number: int) -> list[Row]:
    chance = random.Random(SEED)
    return [[round(chance.uniform(*limits), 1) for limits in RANGES] for _ in range(number)]


def compact(document: object) -> bytes:
    # As browsers and the clients of most languages write JSON.
    return json.dumps(document, separators=(",", ":")).encode()


def one_row(rows: list[Row]) -> bytes:
    (row,) = rows
    return compact({"features": row})


def framed(bodies: list[bytes]) -> bytes:
    """The file of bodies that the load generator reads."""
    return b"".join(struct.pack("<I", len(body)) + body for body in bodies)


def one_tensor(rows: list[Row]) -> bytes:
    """As the Open Inference Protocol has it."""
    flat = [number for row in rows for number in row]
    tensor = {"name": "features", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": flat}
    return compact({"inputs": [tensor]})


def as_floats(rows: list[Row]) -> bytes:
    flat = [number for row in rows for number in row]
    return struct.pack(f"<{len(flat)}f", *flat)


def binary(name: str, rows: list[Row]) -> tuple[str, bytes]:
    """Rows as bytes: the length of the JSON at the start, and the body."""
    content = as_floats(rows)
    tensor = {
        "name": name,
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    head = compact({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return str(len(head)), head + content


def binary_request(path: str, name: str, sample: list[Row], headers: dict[str, str]) -> Request:
    """For rows as many and as long as those of the sample."""
    length, _ = binary(name, sample)
    headers = headers | {"content-type": "application/octet-stream", "inference-header-content-length": length}
    return Request(path, headers, lambda rows: binary(name, rows)[1])
