"""Shared parts of the work items: options, folders, servers that are ended, and figures."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import generator, rounds
from .contestants import Contestant
from .generator import Load, Loop
from .place import say
from .rounds import BASELINE, Figures
from .samples import Request


@dataclass
class Bench:
    gateway: Path
    rounds: int
    seconds: float
    warmup_seconds: float
    scratch: Path
    # Ends all servers.
    servers: ExitStack
    # Names of those that the gateway is compared with.
    others: list[str]
    # Reasons, each behind the name of its item.
    left_out: list[str]
    item: str = ""
    # Another build of the gateway, measured beside it.
    baseline: Path | None = None

    def folder(self, name: str) -> Path:
        made = self.scratch / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def new_folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def keep(self, contestant: Contestant) -> Contestant:
        """Has it ended with everything else."""
        self.servers.enter_context(contestant.server)
        return contestant

    def leave_out(self, reason: str) -> None:
        say(f"left out: {reason}")
        self.left_out.append(f"{self.item}: {reason}")

    def builds(self) -> dict[str, Path]:
        """The builds of the gateway that are measured, by name."""
        return {"gateway": self.gateway} | ({BASELINE: self.baseline} if self.baseline else {})

    def load(self, connections: int, rate: float | None = None) -> Load:
        return Load(connections, self.seconds, self.warmup_seconds, rate)

    def run(self, contestant: Contestant, request: Request, bodies: list[bytes], load: Load, rows: int = 1) -> Figures:
        raw = generator.run(contestant.server, request, bodies, load, self.scratch)
        return rounds.per_request(raw, rows) | {"memory_mb": contestant.server.memory_bytes() / 1e6}

    def run_bare(self, loop: Loop, rate: float | None = None) -> Figures:
        return rounds.per_request(generator.run_bare(loop, self.load(1, rate)), loop.batch)
