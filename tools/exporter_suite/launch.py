"""Starting and ending the release binary, with a repository of all models."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from client_suite.launch import environment, free_port

START_SECONDS = 120
STOP_SECONDS = 30


class Launched:
    """The process, and what became of each model."""

    def __init__(self, binary: Path, models: Path, names: list[str], scratch: Path, log: Path) -> None:
        self.http, self.grpc, self.names = free_port(), free_port(), names
        self.refusals: dict[str, str] = {}
        repository = scratch / "models"
        repository.mkdir()
        for name in names:
            shutil.copy(models / f"{name}.onnx", repository)
        (scratch / "suite.toml").write_text(self.settings(repository))
        self.log = log.open("wb")
        # In a folder of its own, so that no settings of the source tree are read and nothing is left in it.
        self.process = subprocess.Popen(
            [binary, "--config", scratch / "suite.toml", "serve"],
            env=environment(),
            cwd=scratch,
            stdout=self.log,
            stderr=self.log,
        )

    def settings(self, repository: Path) -> str:
        sections: dict[str, dict[str, Any]] = {
            "server": {"listen": f"127.0.0.1:{self.http}", "shutdown_delay_ms": 0},
            "grpc": {"listen": f"127.0.0.1:{self.grpc}"},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            "auth": {"enabled": False},
            "rate_limit": {"enabled": False},
            "models": {"repository": str(repository)},
            # A session for each processor would only take longer to load.
            "runtime": {"instances": 1},
        }
        # What TOML and JSON have in common is all that is needed here.
        lines = []
        for section, entries in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
        return "\n".join(lines) + "\n"

    def wait(self) -> None:
        """Until each model is in service or refused."""
        end = time.monotonic() + START_SECONDS
        while not self.all_settled():
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended with status {self.process.returncode} while it started")
            if time.monotonic() > end:
                raise RuntimeError(f"not all models are in service or refused after {START_SECONDS} s")
            time.sleep(0.2)

    def all_settled(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/models", timeout=STOP_SECONDS) as answer:
                models = json.load(answer)["models"]
        except OSError:
            return False
        settled = set()
        for model in models:
            for version in model["versions"]:
                if version.get("refusal"):
                    refusal = version["refusal"]
                    self.refusals[model["name"]] = f"{refusal['reason']}: {refusal['detail']}"
                    settled.add(model["name"])
                elif version["state"] == "READY":
                    settled.add(model["name"])
        return settled >= set(self.names)

    def stop(self) -> str | None:
        """Ends the gateway. Returns the fault of its end, `None` if it has none."""
        self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"the gateway had not ended {STOP_SECONDS} s after SIGTERM"
        finally:
            self.log.close()
        return None if status == 0 else f"the gateway ended with status {status}"
