"""Comparison with docs/benchmarks.json: in ratios to the echo, as machines differ."""

from __future__ import annotations

from . import record
from .bench import Bench
from .items import iris_1
from .place import say
from .rounds import Result

ITEM, CONNECTIONS = "iris-1", 32
# What other programs on the machine may make of it, beside those that the median already leaves out.
FACTOR_OF_NOISE = 1.6


def judge(bench: Bench) -> int:
    """0 if it does, 1 if not."""
    recorded = gateway_of(record.of(record.read(), ITEM))
    if recorded is None:
        say(f"FAILED: {record.JSON.name} has nothing to compare with: tools/bench --record")
        return 1
    came = gateway_of(iris_1.measure(bench, (CONNECTIONS,))) or recorded
    factor = came["cpu_ratio"] / recorded["cpu_ratio"]
    print(f"CPU per request: {came['cpu_ratio']:.2f} × echo, recorded {recorded['cpu_ratio']:.2f}: {factor:.2f} times")
    rate = came["rows_ratio"] / recorded["rows_ratio"]
    print(f"requests/s: {came['rows_ratio']:.3f} × echo, recorded {recorded['rows_ratio']:.3f}: {rate:.2f} times")
    if came["errors"]:
        say(f"FAILED: {came['errors']:.0f} requests failed")
        return 1
    if factor > FACTOR_OF_NOISE:
        say(
            f"FAILED: a request costs {factor:.2f} times what was recorded, more than noise explains "
            f"({FACTOR_OF_NOISE}): find out why, or record it with tools/bench --record"
        )
        return 1
    say("as recorded" if factor >= 1 / FACTOR_OF_NOISE else "less than was recorded: tools/bench --record")
    return 0


def gateway_of(results: list[Result]) -> dict[str, float] | None:
    for result in results:
        if result.contestant == "gateway" and result.setting == f"{CONNECTIONS} connections":
            return result.figures
    return None
