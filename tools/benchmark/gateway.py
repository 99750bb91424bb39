"""The gateway as it is measured: tokens, quotas, metrics and the log are on, but no quota is ever used up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import lib.gateway
from lib.gateway import REPOSITORY, NotServing, Settings, environment, merged

from .processes import Server

QUOTA = {"requests": 1_000_000_000, "period_seconds": 60}


class Gateway(lib.gateway.Gateway):
    """A gateway with its settings in a folder, and a token that it accepts."""

    def __init__(self, binary: Path, folder: Path, changes: Settings | None = None) -> None:
        super().__init__(binary, folder, merged(measured(folder), changes or {}), development=True)

    def serve(self, name: str, log: Path) -> Server:
        """Starts it as all contestants are started, so that all are measured alike."""
        return Server(name, self.http, self.command("serve"), environment(), log)

    def token(self) -> str:
        command: list[str | Path] = [
            self.binary,
            "token",
            *self.arguments,
            "--subject",
            "bench",
            "--scope",
            "predict read",
        ]
        signed = subprocess.run(
            command, env=environment(), cwd=self.folder, capture_output=True, text=True, check=False
        )
        if signed.returncode != 0:
            # The folder's name says nothing once it is gone.
            reason = " ".join(signed.stderr.replace(f"{self.folder}/", "").split())
            raise NotServing(f"the gateway signs no token: {reason}")
        return signed.stdout.strip()


def measured(folder: Path) -> Settings:
    return {
        "rate_limit.per_address": QUOTA,
        "rate_limit.per_caller": QUOTA,
        "models": {
            "repository": str(REPOSITORY / "models"),
            "state_directory": str(folder / "state"),
            "default": "iris",
        },
    }
