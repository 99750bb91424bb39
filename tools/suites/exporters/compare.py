"""Comparison with ONNX Runtime's answers: labels equal, numbers within the tolerance that contracts have by default."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

# As the contract and the proof have them: `tolerance`, and what kernels for one row and for many may differ by.
TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-5


def difference(expected: dict[str, Any], answer: Any, labels: list[str]) -> str | None:
    """The fault of an output, `None` if it has none. `answer` is a value, lists of values, or values by key."""
    if "map" in expected:
        keys, numbers, exact = list(expected["map"]), list(expected["map"].values()), False
    else:
        numbers, exact = expected["data"], not expected["datatype"].startswith("FP")
        keys = labels if len(labels) == len(numbers) else []
    if isinstance(answer, dict):
        if list(answer) != keys:
            return f"keys {list(answer)}, not {keys}"
        answer = list(answer.values())
    found = list(leaves(answer))
    if len(found) != len(numbers):
        return f"{len(found)} values, not {len(numbers)}"
    for index, (right, there) in enumerate(zip(numbers, found, strict=True)):
        if not (same(right, there) if exact else close(right, there)):
            return f"[{index}] {there!r}, not {right!r}"
    return None


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def same(right: Any, there: Any) -> bool:
    """By type too: 1, 1.0 and true are one to Python."""
    return type(right) is type(there) and right == there


def close(right: float, there: Any) -> bool:
    if isinstance(there, bool) or not isinstance(there, (int, float)):
        return False
    return math.isclose(right, there, rel_tol=0, abs_tol=TOLERANCE + RELATIVE_TOLERANCE * abs(right))
