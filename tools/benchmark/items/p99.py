"""The most requests per second at which 99 of 100 are answered within a millisecond, found by bisection.

Requests are sent when they are due, and latencies count from then, as in half_load.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ..bench import Bench
from ..contestants import Contestant
from ..rounds import Figures, Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, Request, iris_rows
from . import iris_1
from .protocols import PROTOCOLS, authorization

CONNECTIONS = 32
LIMIT_US = 1000.0
# Rates tried by each bisection: what is found is below the best by at most 1/64 of what is answered at most.
STEPS = 6
COMPARED = ("echo", "plain", "furnace", "fastapi-onnx")
TENSORS = "/v2 JSON"
# The figures of a run at a rate.
At = Callable[[float], Figures]


def measure(bench: Bench) -> list[Result]:
    everyone = iris_1.started(bench, [name for name in COMPARED if name in bench.others])
    runs: Runs = {one.name: partial(searched, bench, one, one.request) for one in everyone}
    for name in bench.builds():
        (gateway,) = (one for one in everyone if one.name == name)
        request = PROTOCOLS[TENSORS].request(authorization(gateway))
        runs[f"{name}, {TENSORS}"] = partial(searched, bench, gateway, request)
    # A bisection takes as long as several other runs.
    rounds = bench.rounds // 2 + 1
    return alternate("p99", f"{CONNECTIONS} connections, p99 of at most 1 ms", runs, rounds)


def searched(bench: Bench, one: Contestant, request: Request) -> Figures:
    """The figures at the highest rate that was found, without those that differ with the rate."""
    bodies = [request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]

    def at(rate: float | None) -> Figures:
        return bench.run(one, request, bodies, bench.load(CONNECTIONS, rate))

    most = at(None)
    found = highest(at, most["requests_per_second"])
    rate = found["requests_per_second"]
    return {
        "requests_per_second": rate,
        "rows_per_second": rate,
        "per_core": rate / (os.cpu_count() or 1),
        "p99_us": found["p99_us"],
        "memory_mb": found["memory_mb"],
        # Those at rates that are too high are no fault.
        "errors": most["errors"],
    }


def highest(at: At, most: float) -> Figures:
    """The figures at the highest rate up to `most` that holds; those of the lowest tried, with a rate of 0, if none."""
    low, high = 0.0, most
    best: Figures | None = None
    lowest: Figures = {}
    for _ in range(STEPS):
        rate = (low + high) / 2
        figures = at(rate)
        if not holds(figures):
            # One pause of the machine must not decide about half of the rates.
            figures = at(rate)
        if holds(figures):
            low, best = rate, figures
        else:
            high, lowest = rate, figures
    return best or lowest | {"requests_per_second": 0.0}


def holds(figures: Figures) -> bool:
    return figures["p99_us"] <= LIMIT_US and not figures["errors"]
