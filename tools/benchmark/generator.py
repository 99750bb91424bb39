"""The programs that measure: one run, and what came of it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.gateway import NotServing, environment

from .place import PROGRAMS
from .processes import Server
from .samples import Request, framed

EXTRA_SECONDS = 30


@dataclass(frozen=True)
class Load:
    connections: int
    seconds: float
    warmup_seconds: float
    # Requests per second; none: as many as are answered.
    rate: float | None = None
    # With one, over gRPC, on this port of the server.
    grpc_port: int | None = None
    # Requests at a time on each connection, over gRPC.
    streams: int = 1


def run(server: Server, request: Request, bodies: list[bytes], load: Load, scratch: Path) -> dict[str, Any]:
    """The figures of a run against a server."""
    file = scratch / "bodies"
    file.write_bytes(framed(bodies))
    command: list[str | Path] = [
        PROGRAMS / "load",
        "--address",
        f"127.0.0.1:{load.grpc_port or server.port}",
        "--path",
        request.path,
        "--bodies",
        file,
        "--connections",
        str(load.connections),
        "--seconds",
        str(load.seconds),
        "--warmup-seconds",
        str(load.warmup_seconds),
        "--process",
        str(server.process.pid),
    ]
    for name, value in request.headers.items():
        command += ["--header", f"{name}: {value}"]
    if load.rate is not None:
        command += ["--rate", f"{load.rate:.3f}"]
    if server.certificate:
        command += ["--tls-certificate", server.certificate]
    if load.grpc_port:
        command += ["--grpc", "--streams", str(load.streams)]
    try:
        return figures(command, load)
    except NotServing as error:
        raise NotServing(f"{server.name}: {error}; {server.last_words()}") from None


@dataclass(frozen=True)
class Loop:
    """A model that runs without a server."""

    model: Path
    # Little-endian floats.
    rows: Path
    columns: int
    batch: int
    threads: int
    intra_threads: int = 1


def run_bare(loop: Loop, load: Load) -> dict[str, Any]:
    """The figures of a loop; of a load only its times and its rate matter."""
    command: list[str | Path] = [
        PROGRAMS / "bare",
        "--model",
        loop.model,
        "--rows",
        loop.rows,
        "--columns",
        str(loop.columns),
        "--batch",
        str(loop.batch),
        "--threads",
        str(loop.threads),
        "--intra-threads",
        str(loop.intra_threads),
        "--seconds",
        str(load.seconds),
        "--warmup-seconds",
        str(load.warmup_seconds),
    ]
    if load.rate is not None:
        command += ["--rate", f"{load.rate:.3f}"]
    found = figures(command, load)
    return found | {"server_cpu_us": found["own_cpu_us"]}


def figures(command: list[str | Path], load: Load) -> dict[str, Any]:
    limit = load.seconds + load.warmup_seconds + EXTRA_SECONDS
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=limit, check=False)
    if ended.returncode != 0:
        raise NotServing(f"the measurement ended early: {ended.stderr.strip()}")
    found = json.loads(ended.stdout)
    if not found["requests"]:
        raise NotServing("nothing was answered")
    return found
