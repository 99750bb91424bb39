"""Inputs made up from nothing but a model's metadata."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from .tensors import FLOATS, Tensor

# What a variable dimension becomes, until the model runs: some models take only images, some only one row.
SIZES = (1, 2, 3, 8, 64, 224)


def elements(datatype: str, count: int, seed: int) -> list[Any]:
    """Small numbers that every datatype holds exactly, all a little different."""
    if datatype == "BOOL":
        return [(index + seed) % 2 == 0 for index in range(count)]
    if datatype == "BYTES":
        return [str((index + seed) % 3) for index in range(count)]
    step = 0.25 if datatype in FLOATS else 1
    return [(index % 8 + 1) * step + seed for index in range(count)]


def candidates(inputs: list[dict[str, Any]]) -> Iterator[list[Tensor]]:
    """Requests to try, likely ones first."""
    variable = any(-1 in entry["shape"] for entry in inputs)
    for size, seed in itertools.product(SIZES if variable else SIZES[:1], (0, 1)):
        shapes = [[size if dim < 0 else dim for dim in entry["shape"]] for entry in inputs]
        # The first dimension is a batch more often than not: it stays one where the others grow.
        if size > 3:
            shapes = [
                [1 if at == 0 and entry["shape"][0] < 0 and len(shape) > 2 else dim for at, dim in enumerate(shape)]
                for entry, shape in zip(inputs, shapes, strict=True)
            ]
        if any(math.prod(shape) > 1 << 20 for shape in shapes):
            continue
        yield [
            Tensor(entry["name"], entry["datatype"], shape, elements(entry["datatype"], math.prod(shape), seed))
            for entry, shape in zip(inputs, shapes, strict=True)
        ]
