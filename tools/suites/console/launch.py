"""The gateways that the page is of."""

from __future__ import annotations

import re
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

    def start_with_file(self, model: Path) -> str:
        """Starts `serve FILE`, which has a key for development and no client. Returns the token that it prints."""
        LOG.parent.mkdir(exist_ok=True)
        place = self.repository.parent
        printed = place / "printed.log"
        left_out = ("GATEWAY__MODELS__REPOSITORY", "GATEWAY__MODELS__STATE_DIRECTORY")
        variables = {name: value for name, value in self.variables.items() if name not in left_out}
        self.launch([self.binary, "serve", model], printed, variables, place)
        self.ready_ms = self.milliseconds_to_ready(READY_SECONDS)
        token = re.compile(r"^  token  (\S+)$", re.MULTILINE)
        found = lambda: token.search(printed.read_text())  # noqa: E731 - it is asked twice
        self.wait_until(lambda: found() is not None, READY_SECONDS, "the token is printed")
        match = found()
        assert match is not None
        return match[1]

    def put(self, path: str, model: Path) -> None:
        """Puts a file into the repository, whole at once."""
        target = self.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(model.read_bytes())
        part.replace(target)
