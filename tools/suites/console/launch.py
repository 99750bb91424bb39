"""The gateways that the page is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib.gateway import REPOSITORY
from suites.endtoend.launch import READY_SECONDS, Released

LOG = REPOSITORY / "target" / "console.log"
PICTURES = REPOSITORY / "target" / "console"


class Watched(Released):
    """A gateway with copies of the models, whose log has a place of its own."""

    def start(self, under: Sequence[str | Path] = ()) -> None:
        LOG.parent.mkdir(exist_ok=True)
        command = [*under, self.binary, "--config", "config/development.toml", "serve"]
        self.launch(command, LOG, self.variables, REPOSITORY)
        self.ready_ms = self.milliseconds_to_ready(READY_SECONDS)

    def put(self, path: str, model: Path) -> None:
        """Puts a file into the repository, whole at once."""
        target = self.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(model.read_bytes())
        part.replace(target)
