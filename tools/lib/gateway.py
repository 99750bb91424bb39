"""A gateway under test: started from a binary, in a folder of its own, on free ports of loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = REPOSITORY / "target" / "release" / "onnx-gateway"
LIBRARY = REPOSITORY / ".onnxruntime" / "libonnxruntime.so"
LOCALES = REPOSITORY / ".onnxruntime" / "locale"
HOST = "127.0.0.1"
STOP_SECONDS = 30
POLL_SECONDS = 0.1

# Sections, as TOML names them, and their entries.
Settings = dict[str, dict[str, Any]]


class NotServing(RuntimeError):
    """A server did not start, did not respond as it should, or did not end in time."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def environment(locales: Path | None = None) -> dict[str, str]:
    """The environment of every server: no settings from outside, and ONNX Runtime from where tools/setup puts it."""
    found = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY__", "AIP_"))}
    found.setdefault("ORT_DYLIB_PATH", str(LIBRARY))
    found["ORT_DISABLE_TELEMETRY"] = "1"
    if locales or LOCALES.is_dir():
        found.setdefault("LOCPATH", str(locales or LOCALES))
    return found


def merged(settings: Settings, changes: Settings) -> Settings:
    return {name: settings.get(name, {}) | changes.get(name, {}) for name in settings | changes}


def toml(settings: Settings) -> str:
    # The values that are needed here look alike in TOML and JSON.
    lines = []
    for section, entries in settings.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
    return "\n".join(lines) + "\n"


class Gateway:
    """One gateway: its folder, ports, settings and process. `development` adds the development credentials."""

    def __init__(self, binary: Path, folder: Path, settings: Settings, *, development: bool = False) -> None:
        self.binary, self.folder = binary, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.http, self.grpc, self.admin = (free_port() for _ in range(3))
        listeners: Settings = {
            "server": {"listen": f"{HOST}:{self.http}", "shutdown_delay_ms": 0},
            "grpc": {"listen": f"{HOST}:{self.grpc}"},
            "admin": {"listen": f"{HOST}:{self.admin}"},
        }
        self.settings = folder / "gateway.toml"
        self.settings.write_text(toml(merged(listeners, settings)))
        self.arguments = ["--config", str(self.settings)]
        if development:
            # The gateway accepts the development credentials only from a file of this name.
            development_file = folder / "development.toml"
            shutil.copy(REPOSITORY / "config" / "development.toml", development_file)
            self.arguments = ["--config", str(development_file), *self.arguments]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http}"

    def command(self, *words: str) -> list[str | Path]:
        return [self.binary, *self.arguments, *words]

    def start(self, log: Path, locales: Path | None = None, limit: Callable[[], None] | None = None) -> None:
        """Starts the process; `limit` runs in it before the gateway does."""
        with log.open("ab") as output:
            # In a folder of its own it reads no settings of the source tree, and leaves nothing there.
            self.process = subprocess.Popen(
                self.command("serve"),
                env=environment(locales),
                cwd=self.folder,
                stdout=output,
                stderr=output,
                preexec_fn=limit,  # noqa: PLW1509 - it only makes system calls
            )

    def expect_alive(self) -> None:
        status = self.process.poll()
        if status is not None:
            raise NotServing(f"the gateway ended with status {status}")

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not ready():
            self.expect_alive()
            if time.monotonic() > end:
                raise NotServing(f"not within {seconds:g} s: {what}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """Ends the process with SIGTERM. Returns its status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise NotServing(f"the gateway had not ended {STOP_SECONDS} s after SIGTERM") from None

    def fault_of_end(self) -> str | None:
        """Ends the process. `None` if it ended well."""
        try:
            status = self.stop()
        except NotServing as fault:
            return str(fault)
        return None if status == 0 else f"the gateway ended with status {status}"
