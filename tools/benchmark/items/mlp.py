"""A neural network of 560,000 weights, one row a request, beside the most rows that nothing but the model can run; and
its latency where nothing is at its limit, at half of what the gateway answers at most.
"""

from __future__ import annotations

import os
import random
import subprocess
from functools import partial

from lib.gateway import REPOSITORY

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..generator import Loop
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, SEED, Request, as_floats, binary_request, one_row

PYTHON = REPOSITORY / ".venv" / "bin" / "python"
SCRIPT = REPOSITORY / "tools" / "benchmark" / "make_mlp.py"
COLUMNS = 64
CONNECTIONS = (1, 8, 64)
BATCH = 64


def measure(bench: Bench) -> list[Result]:
    if not PYTHON.exists():
        bench.leave_out(".venv is not there, with which its model is made: tools/setup --train")
        return []
    models = bench.folder("models")
    model = models / "mlp.onnx"
    subprocess.run([PYTHON, SCRIPT, model], check=True)
    chance = random.Random(SEED)
    rows = [[round(chance.gauss(0, 1), 4) for _ in range(COLUMNS)] for _ in range(ONE_ROW_BODIES)]
    file = bench.scratch / "rows"
    file.write_bytes(as_floats(rows))

    changes = {"models": {"repository": str(models), "default": "mlp"}}
    asked: dict[str, tuple[Contestant, Request]] = {}
    for name, binary in bench.builds().items():
        gateway = bench.keep(contestants.gateway(binary, bench.folder(name), changes, name))
        headers = gateway.request.headers
        asked[f"{name}, row"] = gateway, Request("/predict", headers, one_row)
        asked[f"{name}, bytes"] = gateway, binary_request("/v2/models/mlp/infer", "x", rows[:1], headers)
    for gateway, request in asked.values():
        gateway.server.wait(request.path, request.headers, request.body(rows[:1]))
    threads = os.cpu_count() or 1
    loops = {
        f"bare, {BATCH} rows": Loop(model, file, COLUMNS, BATCH, threads),
        f"bare, {BATCH} rows, one session": Loop(model, file, COLUMNS, BATCH, 1, threads),
        "bare, 1 row": Loop(model, file, COLUMNS, 1, threads),
    }
    results = []
    for number in CONNECTIONS:
        runs: Runs = {
            name: partial(bench.run, gateway, request, [request.body([row]) for row in rows], bench.load(number))
            for name, (gateway, request) in asked.items()
        }
        runs |= {name: partial(bench.run_bare, loop) for name, loop in loops.items()}
        setting = f"{number} connections" if number > 1 else "1 connection"
        results += alternate("mlp", setting, runs, bench.rounds, next(iter(loops)))
    row = next(iter(asked))
    gateway, request = asked[row]
    most = next(result for result in reversed(results) if result.contestant == row).figures["requests_per_second"]
    load = bench.load(CONNECTIONS[-1], rate=most / 2)
    bodies = [request.body([values]) for values in rows]
    runs = {
        row: partial(bench.run, gateway, request, bodies, load),
        "bare, 1 row": partial(bench.run_bare, loops["bare, 1 row"], load.rate),
    }
    return results + alternate("mlp", f"{most / 2:,.0f} requests/s", runs, bench.rounds, "bare, 1 row")
