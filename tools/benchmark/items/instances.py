"""The memory and the throughput of one instance and of four, for a large network and a large forest."""

from __future__ import annotations

import random
import subprocess
import time
from functools import partial
from pathlib import Path

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..gateway import REPOSITORY, Settings
from ..processes import Server
from ..rounds import GATEWAY, Figures, Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, SEED, Request, Row, binary_request

PYTHON = REPOSITORY / ".venv" / "bin" / "python"
SCRIPTS = REPOSITORY / "tools" / "benchmark"
CONNECTIONS = 8
INSTANCES = (1, 4)
COLUMNS = 64
# How long it must not have shrunk, and by what share it has if it has.
SETTLE_SECONDS, LONGEST_SETTLE_SECONDS, POLL_SECONDS = 3.0, 20.0, 0.1
SHRUNK = 0.99
# 25 million weights, so 100 MB.
HIDDEN = ("3500", "3500", "3500")
# By the name of a model: the script that writes it, and what follows the file.
MODELS: dict[str, tuple[str, ...]] = {
    "dense": ("make_mlp.py", *HIDDEN),
    "forest": ("make_large_forest.py",),
}


def measure(bench: Bench) -> list[Result]:
    if not PYTHON.exists():
        bench.leave_out(".venv is not there, with which its models are made: tools/setup --train")
        return []
    chance = random.Random(SEED)
    rows = [[round(chance.gauss(0, 1), 4) for _ in range(COLUMNS)] for _ in range(ONE_ROW_BODIES)]
    results = []
    for model, (script, *arguments) in MODELS.items():
        repository = bench.folder(f"{model}-models")
        file = repository / f"{model}.onnx"
        subprocess.run([PYTHON, SCRIPTS / script, file, *arguments], check=True)
        setting = f"{model}, {file.stat().st_size / 1e6:.0f} MB"
        results += compare(bench, setting, model, repository, rows)
    return results


def compare(bench: Bench, setting: str, model: str, repository: Path, rows: list[Row]) -> list[Result]:
    """A model with few and with many instances, in each build."""
    everyone: dict[str, tuple[Contestant, Request]] = {}
    loaded: Figures = {}
    for build, binary in bench.builds().items():
        for number in INSTANCES:
            name = named(build, number)
            changes: Settings = {
                "models": {"repository": str(repository), "default": model},
                "runtime": {"instances": number},
            }
            folder = bench.folder(f"{model}, {name}")
            started = bench.keep(contestants.gateway(binary, folder, changes, name))
            headers = {"authorization": started.request.headers["authorization"]}
            request = binary_request(f"/v2/models/{model}/infer", "x", rows[:1], headers)
            started.server.wait(request.path, request.headers, request.body(rows[:1]))
            everyone[name] = (started, request)
            loaded[name] = settled_bytes(started.server) / 1e6
    runs: Runs = {name: partial(run, bench, *one, rows) for name, one in everyone.items()}
    results = alternate("instances", setting, runs, bench.rounds, named(GATEWAY, INSTANCES[0]))
    for result in results:
        result.figures["loaded_mb"] = loaded[result.contestant]
    return results


def settled_bytes(server: Server) -> int:
    """Resident memory once it no longer shrinks: some of what proof and load take is given back later."""
    least = server.memory_bytes()
    begin = fell = time.monotonic()
    while time.monotonic() - fell < SETTLE_SECONDS and time.monotonic() - begin < LONGEST_SETTLE_SECONDS:
        time.sleep(POLL_SECONDS)
        now = server.memory_bytes()
        if now < least * SHRUNK:
            least, fell = now, time.monotonic()
    return server.memory_bytes()


def named(build: str, number: int) -> str:
    return f"{build}, {number} instance{'s' if number > 1 else ''}"


def run(bench: Bench, started: Contestant, request: Request, rows: list[Row]) -> Figures:
    bodies = [request.body([row]) for row in rows]
    return bench.run(started, request, bodies, bench.load(CONNECTIONS))
