"""The gateway as it is measured: tokens, quotas, metrics and the log are on, but no quota is ever used up."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .place import REPOSITORY, environment
from .processes import NotServing, Server, free_port

QUOTA = {"requests": 1_000_000_000, "period_seconds": 60}
Settings = dict[str, dict[str, Any]]


class Gateway:
    """Its settings in a folder, with which it can be started, and a token that it believes."""

    def __init__(self, binary: Path, folder: Path, changes: Settings | None = None) -> None:
        self.binary, self.folder = binary, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.http, self.grpc, self.admin = (free_port() for _ in range(3))
        # Its name is what lets the development credentials be believed.
        development = shutil.copy(REPOSITORY / "config" / "development.toml", folder)
        settings = folder / "bench.toml"
        settings.write_text(toml(merged(self.settings(), changes or {})))
        self.arguments = ["--config", str(development), "--config", str(settings)]

    def settings(self) -> Settings:
        return {
            "server": {"listen": f"127.0.0.1:{self.http}", "shutdown_delay_ms": 0},
            "grpc": {"listen": f"127.0.0.1:{self.grpc}"},
            "admin": {"listen": f"127.0.0.1:{self.admin}"},
            "rate_limit.per_address": QUOTA,
            "rate_limit.per_caller": QUOTA,
            "models": {
                "repository": str(REPOSITORY / "models"),
                "state_directory": str(self.folder / "state"),
                "default": "iris",
            },
        }

    def start(self, name: str, log: Path) -> Server:
        command: list[str | Path] = [self.binary, *self.arguments, "serve"]
        return Server(name, self.http, command, environment(), log)

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


def merged(settings: Settings, changes: Settings) -> Settings:
    return {name: settings.get(name, {}) | changes.get(name, {}) for name in settings | changes}


def toml(sections: Settings) -> str:
    # What TOML and JSON have in common is all that is needed here.
    lines = []
    for section, entries in sections.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
    return "\n".join(lines) + "\n"
