"""1024 rows a request, beside nothing but a model that runs on as many rows at a time."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from .. import contestants
from ..bench import Bench
from ..generator import Loop
from ..place import IRIS
from ..rounds import Result, Runs, alternate
from ..samples import Request, as_floats, binary_request, compact, iris_rows, one_tensor

ROWS = 1024
BODIES = 4
TENSORS = "/v2/models/iris/infer"


def measure_json(bench: Bench) -> list[Result]:
    return measure(bench, "iris-1024-json", binary=False)


def measure_binary(bench: Bench) -> list[Result]:
    return measure(bench, "iris-1024-binary", binary=True)


def measure(bench: Bench, item: str, binary: bool) -> list[Result]:
    rows = iris_rows(ROWS * BODIES)
    parts = [rows[begin : begin + ROWS] for begin in range(0, len(rows), ROWS)]
    file = bench.scratch / "rows"
    file.write_bytes(as_floats(rows))
    gateway = bench.keep(contestants.gateway(bench.gateway, bench.folder("gateway")))
    contestants.answer_of(gateway, rows[0])
    native = gateway.request
    requests = {
        "gateway, rows": replace(native, body=lambda some: compact({"instances": some})),
        "gateway, tensor": Request(TENSORS, native.headers, one_tensor),
    }
    if binary:
        requests = {"gateway, bytes": binary_request(TENSORS, "features", parts[0], native.headers)}
    results = []
    for number in sorted({1, os.cpu_count() or 1}):
        # One more than can run, so that none of them waits for the next request.
        load = bench.load(number if number == 1 else number * 2)
        runs: Runs = {
            name: partial(bench.run, gateway, request, [request.body(part) for part in parts], load, ROWS)
            for name, request in requests.items()
        }
        runs["bare"] = partial(bench.run_bare, Loop(IRIS, file, len(rows[0]), ROWS, number))
        setting = f"{load.connections} connection{'s'[: load.connections - 1]}, {number} thread{'s'[: number - 1]}"
        results += alternate(item, setting, runs, bench.rounds, "bare")
    return results
