#!/usr/bin/env python3
"""Write a model of a given size: a chain of dense matrices, from `x` (N, 256) to `y` (N, 8), all float.

The weights are written as they are made, so that memory stays far below the model's size, and the file appears by
rename when it is whole. The numbers are such that answers stay finite: each matrix keeps the size of what it is given.

    .venv/bin/python tools/models/make_large_model.py --megabytes 500 --output models/large/1/model.onnx
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT_COLUMNS = 256
OUTPUT_COLUMNS = 8
USUAL_WIDTH = 2048
FLOAT_BYTES = 4
# Weights are random numbers drawn once and shifted from one matrix to the next: drawing all would take longer than
# writing them.
POOL = 1 << 22

# Field numbers of onnx.proto, for the parts that are written by hand so that no message holds all weights.
MODEL_GRAPH = 7
GRAPH_INITIALIZER = 5
TENSOR_RAW_DATA = 9
# A protobuf message ends at 2 GiB; some room is left for what is not weights.
INLINE_LIMIT = (1 << 31) - (1 << 20)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write a large dense model, for tests of memory and time.")
    parser.add_argument("--megabytes", type=int, required=True, help="size of the weights, in units of 1,000,000 bytes")
    parser.add_argument("--output", type=Path, required=True, help="where to write the ONNX file")
    parser.add_argument("--seed", type=int, default=0, help="random seed; another one, other weights (default: 0)")
    parser.add_argument(
        "--external", action="store_true", help="put the weights beside the model, in a file named OUTPUT.data"
    )
    options = parser.parse_args()
    if options.megabytes < 1:
        parser.error("--megabytes must be at least 1")
    if options.seed < 0:
        parser.error("--seed must not be negative")
    if not options.external and options.megabytes * 1_000_000 > INLINE_LIMIT:
        parser.error("an ONNX file ends at 2 GiB: use --external")
    return options


def shapes(weight_bytes: int) -> list[tuple[int, int]]:
    """A wide matrix in, square ones, and a narrow one out, of so many bytes together but for a rounding."""
    floats = weight_bytes / FLOAT_BYTES
    squares = max(1, round(floats / USUAL_WIDTH**2))
    # The width w for which squares · w² + ends · w is the number of floats.
    ends = INPUT_COLUMNS + OUTPUT_COLUMNS
    width = round((np.sqrt(ends**2 + 4 * squares * floats) - ends) / (2 * squares))
    return [(INPUT_COLUMNS, width), *[(width, width)] * squares, (width, OUTPUT_COLUMNS)]


def weights(seed: int, sizes: list[tuple[int, int]]) -> Iterator[bytes]:
    largest = max(rows * columns for rows, columns in sizes)
    pool = np.random.default_rng(seed).standard_normal(POOL + largest, np.float32)
    for index, (rows, columns) in enumerate(sizes):
        start = index * 7919 % POOL
        # Divided by the root of its rows, a random matrix neither grows nor shrinks what goes through it.
        yield (pool[start : start + rows * columns] / np.float32(np.sqrt(rows))).astype("<f4").tobytes()


def frame(sizes: list[tuple[int, int]]) -> onnx.ModelProto:
    """The model without its weights."""
    names = ["x", *(f"h{index}" for index in range(1, len(sizes))), "y"]
    nodes = [helper.make_node("MatMul", [names[index], f"w{index}"], [names[index + 1]]) for index in range(len(sizes))]
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        nodes,
        "large",
        [value("x", TensorProto.FLOAT, ["N", INPUT_COLUMNS])],
        [value("y", TensorProto.FLOAT, ["N", OUTPUT_COLUMNS])],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def tensor(index: int, size: tuple[int, int]) -> onnx.TensorProto:
    return onnx.TensorProto(name=f"w{index}", data_type=TensorProto.FLOAT, dims=size)


def varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def head(field: int, length: int) -> bytes:
    """The head of a field of `length` bytes: its number with wire type 2, and the length."""
    return varint(field << 3 | 2) + varint(length)


def write_inline(file: BinaryIO, seed: int, sizes: list[tuple[int, int]]) -> None:
    model = frame(sizes)
    body = model.graph.SerializeToString()
    model.ClearField("graph")
    heads = []
    for index, size in enumerate(sizes):
        raw_bytes = size[0] * size[1] * FLOAT_BYTES
        start = tensor(index, size).SerializeToString() + head(TENSOR_RAW_DATA, raw_bytes)
        heads.append((head(GRAPH_INITIALIZER, len(start) + raw_bytes) + start, raw_bytes))
    graph_bytes = len(body) + sum(len(start) + raw_bytes for start, raw_bytes in heads)
    file.write(model.SerializeToString() + head(MODEL_GRAPH, graph_bytes) + body)
    for (start, _), raw in zip(heads, weights(seed, sizes), strict=True):
        file.write(start)
        file.write(raw)


def write_external(file: BinaryIO, data: BinaryIO, location: str, seed: int, sizes: list[tuple[int, int]]) -> None:
    model = frame(sizes)
    offset = 0
    for index, raw in enumerate(weights(seed, sizes)):
        data.write(raw)
        entry = model.graph.initializer.add()
        entry.CopyFrom(tensor(index, sizes[index]))
        entry.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(len(raw)))):
            entry.external_data.add(key=key, value=value)
        offset += len(raw)
    file.write(model.SerializeToString())


class Replacement:
    """A file that takes its place by rename when all went well, and leaves nothing behind when not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> io.BufferedWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, self.temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".large-", suffix=".tmp")
        self.file = os.fdopen(handle, "wb")
        return self.file

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.file.close()
        if kind is not None:
            Path(self.temporary).unlink()
            return
        # mkstemp makes the file private; a gateway that runs as another user must be able to read it.
        Path(self.temporary).chmod(0o644)
        Path(self.temporary).replace(self.path)


def main() -> int:
    options = arguments()
    sizes = shapes(options.megabytes * 1_000_000)
    if options.external:
        beside = options.output.with_name(options.output.name + ".data")
        # The model comes last, as it is nothing without its weights.
        with Replacement(options.output) as file, Replacement(beside) as data:
            write_external(file, data, beside.name, options.seed, sizes)
    else:
        with Replacement(options.output) as file:
            write_inline(file, options.seed, sizes)
    total = sum(rows * columns for rows, columns in sizes) * FLOAT_BYTES
    print(f"wrote {options.output} ({total} bytes of weights, {len(sizes)} matrices)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
