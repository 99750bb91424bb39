"""Tensors of the protocol, without a library for numbers: made up, encoded in every form, and read back as bytes."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace
from typing import Any

from .registry import Miss

# The struct module's letter for each datatype; all little-endian. BF16 is the upper half of FP32, BYTES has lengths.
LETTERS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
DATATYPES = {*LETTERS, "BF16", "BYTES"}
FLOATS = {"FP16", "BF16", "FP32", "FP64"}
# What JSON and gRPC's typed contents carry on every server; FP16 and BF16 may be refused there.
PLAIN = DATATYPES - {"FP16", "BF16"}
INTEGERS = {
    f"{sign}INT{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def size_of(datatype: str) -> int:
    return 2 if datatype == "BF16" else struct.calcsize("<" + LETTERS[datatype])


def encode(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [value if isinstance(value, bytes) else value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    if datatype in FLOATS:
        values = [NON_FINITE.get(value, value) if isinstance(value, str) else value for value in values]
    return struct.pack(f"<{len(values)}{LETTERS[datatype]}", *values)


def texts_in(blob: bytes) -> list[bytes]:
    """The elements of a BYTES tensor."""
    texts, position = [], 0
    while position < len(blob):
        (length,) = struct.unpack_from("<I", blob, position)
        position += 4 + length
        if position > len(blob):
            raise Miss("the length of a BYTES element leads beyond the tensor")
        texts.append(blob[position - length : position])
    return texts


def numbers_in(datatype: str, blob: bytes) -> list[Any]:
    if datatype == "BYTES":
        return texts_in(blob)
    if datatype == "BF16":
        return [struct.unpack("<f", b"\0\0" + blob[at : at + 2])[0] for at in range(0, len(blob), 2)]
    return list(struct.unpack(f"<{len(blob) // size_of(datatype)}{LETTERS[datatype]}", blob))


def flatten(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    return [leaf for item in data for leaf in flatten(item)]


def nest(values: list[Any], shape: list[int]) -> Any:
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    return [nest(values[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


@dataclass
class Tensor:
    """An input to send, or an output that came, with its elements as Python's values."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any] = field(default_factory=list)

    def head(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "datatype": self.datatype}

    def flat(self) -> dict[str, Any]:
        return self.head() | {"data": list(self.values)}

    def nested(self) -> dict[str, Any]:
        return self.head() | {"data": nest(self.values, self.shape) if self.shape else list(self.values)}

    def blob(self) -> bytes:
        return encode(self.datatype, self.values)

    def binary(self) -> dict[str, Any]:
        return self.head() | {"parameters": {"binary_data_size": len(self.blob())}}

    def with_values(self, values: list[Any]) -> Tensor:
        return replace(self, values=values)

    def reshaped(self, shape: list[int]) -> Tensor:
        """With another shape, its elements repeated or cut."""
        count = math.prod(shape)
        repeated = (self.values * (count // max(len(self.values), 1) + 1))[:count]
        return replace(self, shape=list(shape), values=repeated)


def output_of(entry: dict[str, Any], blob: bytes | None) -> tuple[str, str, list[int], bytes]:
    """An output in a form that is the same however it came: its elements as bytes."""
    name, datatype, shape = entry["name"], entry["datatype"], entry["shape"]
    if datatype not in DATATYPES:
        raise Miss(f"output {name}: no datatype of the protocol: {datatype!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Miss(f"output {name}: no shape: {shape!r}")
    if blob is None:
        values = flatten(entry["data"])
        try:
            blob = encode(datatype, values)
        except (struct.error, TypeError, AttributeError, OverflowError) as error:
            raise Miss(f"output {name}: {values[:4]!r} is no data of {datatype}: {error}") from None
        count: float = len(values)
    else:
        count = len(texts_in(blob)) if datatype == "BYTES" else len(blob) / size_of(datatype)
    if count != math.prod(shape):
        raise Miss(f"output {name}: {count} elements in shape {shape}")
    return name, datatype, shape, blob
