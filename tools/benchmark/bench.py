"""What the work items share: options, folders, servers that are ended, and figures."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import generator, rounds
from .contestants import Contestant
from .generator import Load
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
    left_out: list[str] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        made = self.scratch / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def keep(self, contestant: Contestant) -> Contestant:
        """Has it ended with everything else."""
        self.servers.enter_context(contestant.server)
        return contestant

    def load(self, connections: int, rate: float | None = None) -> Load:
        return Load(connections, self.seconds, self.warmup_seconds, rate)

    def run(self, contestant: Contestant, request: Request, bodies: list[bytes], load: Load) -> rounds.Figures:
        return rounds.per_request(generator.run(contestant.server, request, bodies, load, self.scratch))
