"""The load generator: one run of it, and what it measured."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .place import PROGRAMS
from .processes import NotServing, Server
from .samples import Request, framed

EXTRA_SECONDS = 30


@dataclass(frozen=True)
class Load:
    connections: int
    seconds: float
    warmup_seconds: float
    # Requests per second; none: as many as are answered.
    rate: float | None = None


def run(server: Server, request: Request, bodies: list[bytes], load: Load, scratch: Path) -> dict[str, Any]:
    """The figures of a run against a server."""
    file = scratch / "bodies"
    file.write_bytes(framed(bodies))
    command: list[str | Path] = [
        PROGRAMS / "load", "--address", f"127.0.0.1:{server.port}", "--path", request.path, "--bodies", file,
        "--connections", str(load.connections), "--seconds", str(load.seconds),
        "--warmup-seconds", str(load.warmup_seconds), "--process", str(server.process.pid),
    ]
    for name, value in request.headers.items():
        command += ["--header", f"{name}: {value}"]
    if load.rate is not None:
        command += ["--rate", f"{load.rate:.3f}"]
    limit = load.seconds + load.warmup_seconds + EXTRA_SECONDS
    ended = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if ended.returncode != 0:
        raise NotServing(f"the load on {server.name} ended early: {ended.stderr.strip()}; {server.last_words()}")
    figures = json.loads(ended.stdout)
    if not figures["requests"]:
        raise NotServing(f"{server.name} answered nothing: {server.last_words()}")
    return figures
