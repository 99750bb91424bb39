"""Starting and ending the release binary, with a repository of models of several kinds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from .gateway import REPOSITORY, TIMEOUT_SECONDS, VERTEX_HEALTH_ROUTE, VERTEX_PREDICT_ROUTE, Gateway

START_SECONDS = 60
STOP_SECONDS = 30
KINDS = (
    "same_symbol",
    "texts",
    "one_text",
    "half",
    "brain_half",
    "scalar",
    "truths",
    "unsigned",
    "bytes_in",
    "every_type",
    "vector",
)
CLIENT = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Launched:
    """The process. Once it serves, `gateway` can be asked."""

    def __init__(self, binary: Path, scratch: Path, log: Path) -> None:
        http, grpc, self.admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.gateway = Gateway(http, grpc, "", scratch)
        self.repository = scratch / "models"
        self.fill_repository()
        # Its name is what lets the development credentials be believed.
        development = shutil.copy(REPOSITORY / "config" / "development.toml", scratch)
        (scratch / "suite.toml").write_text(self.settings())
        self.log = log.open("wb")
        self.process = subprocess.Popen(
            [binary, "--config", development, "--config", scratch / "suite.toml", "serve"],
            env=environment(),
            cwd=scratch,
            stdout=self.log,
            stderr=self.log,
        )

    def fill_repository(self) -> None:
        shutil.copytree(REPOSITORY / "models", self.repository)
        kinds = REPOSITORY / "tests" / "models" / "kinds"
        for kind in KINDS:
            shutil.copy(kinds / f"{kind}.onnx", self.repository)
        # Two versions that both serve, for what asks for one by its number.
        for version in ("1", "2"):
            folder = self.repository / "versions" / version
            folder.mkdir(parents=True)
            shutil.copy(kinds / "same_symbol.onnx", folder / "model.onnx")
        (self.repository / "versions" / "model.toml").write_text("versions = [1, 2]\n")

    def settings(self) -> str:
        sections: dict[str, dict[str, Any]] = {
            "server": {"listen": self.gateway.http, "shutdown_delay_ms": 0},
            "grpc": {"listen": self.gateway.grpc},
            "admin": {"listen": self.admin},
            "rate_limit": {"enabled": False},
            "models": {"repository": str(self.repository), "default": "iris"},
            "runtime": {"instances": 1},
            # What Vertex AI says in the environment, where it would also say on which port to listen.
            "dialects": {"vertex_predict_route": VERTEX_PREDICT_ROUTE, "vertex_health_route": VERTEX_HEALTH_ROUTE},
        }
        # What TOML and JSON have in common is all that is needed here.
        lines = []
        for section, entries in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
        return "\n".join(lines) + "\n"

    def wait(self) -> None:
        """Until all models serve; then there is a token, too."""
        end = time.monotonic() + START_SECONDS
        while not self.serves_all():
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended with status {self.process.returncode} while it started")
            if time.monotonic() > end:
                raise RuntimeError(f"not all models serve after {START_SECONDS} s")
            time.sleep(0.1)

    def serves_all(self) -> bool:
        try:
            if not self.gateway.token:
                form = urllib.parse.urlencode(CLIENT).encode()
                with urllib.request.urlopen(f"{self.gateway.url}/token", form, timeout=TIMEOUT_SECONDS) as answer:
                    self.gateway.token = json.load(answer)["access_token"]
            index = self.gateway.document("POST", "/v2/repository/index", {})
        except OSError:
            return False
        ready = {(entry["name"], entry.get("version")) for entry in index if entry.get("state") == "READY"}
        return {(name, "1") for name in (*KINDS, "iris", "versions")} | {("versions", "2")} <= ready

    def stop(self) -> str | None:
        """Ends the gateway; what was wrong with its end, or nothing."""
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


def environment() -> dict[str, str]:
    found = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY__", "AIP_"))}
    found.setdefault("ORT_DYLIB_PATH", str(REPOSITORY / ".onnxruntime" / "libonnxruntime.so"))
    found["ORT_DISABLE_TELEMETRY"] = "1"
    locales = REPOSITORY / ".onnxruntime" / "locale"
    if locales.is_dir():
        found.setdefault("LOCPATH", str(locales))
    return found
