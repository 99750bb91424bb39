"""Latency where nothing is at its limit: at half of what the gateway answers at most, beside the bare model at that.

Requests are sent when they are due, and latencies count from then, so that a server that stalls is charged for all whom
it keeps waiting.
"""

from __future__ import annotations

import os
import statistics
from functools import partial

from ..bench import Bench
from ..generator import Loop
from ..place import IRIS
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, as_floats, iris_rows
from . import iris_1

CONNECTIONS = 32
COMPARED = ("echo", "plain")


def measure(bench: Bench) -> list[Result]:
    rows = iris_rows(ONE_ROW_BODIES)
    file = bench.scratch / "rows"
    file.write_bytes(as_floats(rows))
    everyone = iris_1.started(bench, [name for name in COMPARED if name in bench.others])
    gateway = everyone[0]
    bodies = {one.name: [one.request.body([row]) for row in rows] for one in everyone}
    most = statistics.median(
        bench.run(gateway, gateway.request, bodies[gateway.name], bench.load(CONNECTIONS))["requests_per_second"]
        for _ in range(bench.rounds)
    )
    load = bench.load(CONNECTIONS, rate=most / 2)
    runs: Runs = {one.name: partial(bench.run, one, one.request, bodies[one.name], load) for one in everyone}
    loop = Loop(IRIS, file, len(rows[0]), 1, os.cpu_count() or 1)
    runs["bare"] = partial(bench.run_bare, loop, load.rate)
    results = alternate("half-load", f"{most / 2:,.0f} requests/s", runs, bench.rounds, "bare")
    least = results[-1].figures["p99_us"]
    for result in results:
        result.figures["p99_over_bare_us"] = result.figures["p99_us"] - least
    return results
