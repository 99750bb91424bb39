"""A gateway under test: started from a binary, in a folder of its own, on free ports of loopback."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# The binary that the suites try, unless they are told otherwise.
BINARY = Path(os.environ.get("GATEWAY_BINARY") or REPOSITORY / "target" / "release" / "onnx-gateway").resolve()
LIBRARY = REPOSITORY / ".onnxruntime" / "libonnxruntime.so"
LOCALES = REPOSITORY / ".onnxruntime" / "locale"
HOST = "127.0.0.1"
STOP_SECONDS = 30
POLL_SECONDS = 0.1
# Where the time that something takes is shown.
FAST_POLL_SECONDS = 0.01
REQUEST_SECONDS = 10

# Sections, as TOML names them, and their entries.
Settings = dict[str, dict[str, Any]]


class NotServing(RuntimeError):
    """A server did not start, did not respond as it should, or did not end in time."""


def milliseconds_since(begin: float) -> int:
    return round((time.monotonic() - begin) * 1000)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and differ: all are bound before the first is given up."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((HOST, 0))
        return [listener.getsockname()[1] for listener in listeners]


def free_port() -> int:
    return free_ports(1)[0]


def plain_environment() -> dict[str, str]:
    """The environment of this process without settings of a gateway."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY__", "AIP_"))}


def environment(locales: Path | None = None) -> dict[str, str]:
    """The environment of every server: no settings from outside, and ONNX Runtime from where tools/setup puts it."""
    found = plain_environment()
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


@dataclass(frozen=True)
class Response:
    """A response, whatever its status."""

    status: int
    headers: Message
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


def fetch(
    url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, authority: Path | None = None
) -> Response:
    """Sends a request: POST if there is a body, else GET. With https, an authority may be trusted besides."""
    request = urllib.request.Request(url, body, dict(headers or {}))
    context = ssl.create_default_context(cafile=authority) if authority else None
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=context) as answer:
            return Response(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read())


class Server:
    """A process that serves a gateway on free ports of loopback."""

    process: subprocess.Popen[bytes]
    # The authority of its certificate. `None` without TLS.
    authority: Path | None = None

    def __init__(self) -> None:
        self.http, self.grpc, self.admin = free_ports(3)
        self.began = 0.0

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{HOST}:{self.http}"

    def launch(
        self,
        command: Sequence[str | Path],
        log: Path,
        variables: dict[str, str],
        folder: Path,
        limit: Callable[[], None] | None = None,
    ) -> None:
        """Starts the process in a folder; `limit` runs in it before the command does."""
        self.began = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=variables,
                cwd=folder,
                stdout=output,
                stderr=output,
                preexec_fn=limit,  # noqa: PLW1509 - it only makes system calls
            )

    def is_ready(self) -> bool:
        try:
            return fetch(f"{self.url}/health/ready", authority=self.authority).status == http.client.OK
        except OSError:
            return False

    def milliseconds_to_ready(self, seconds: float) -> int:
        """Waits until the gateway is ready. Returns the time since its start."""
        self.wait_until(self.is_ready, seconds, "the gateway is ready", FAST_POLL_SECONDS)
        return milliseconds_since(self.began)

    def log_in(self, client: str, secret: str) -> str:
        """A token for this client."""
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        response = fetch(f"{self.url}/token", urllib.parse.urlencode(form).encode(), authority=self.authority)
        if response.status != http.client.OK:
            raise NotServing(f"/token responds with {response.status}: {response.text}")
        token = json.loads(response.content).get("access_token")
        if not token:
            raise NotServing(f"/token gives no access_token: {response.text}")
        return token

    def predict_row(self, row: Sequence[float], token: str | None) -> Response:
        """Sends one row to the default model."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return fetch(f"{self.url}/predict", json.dumps({"features": row}).encode(), headers, self.authority)

    def expect_alive(self) -> None:
        status = self.process.poll()
        if status is not None:
            raise NotServing(f"the gateway ended with status {status}")

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str, poll: float = POLL_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not ready():
            self.expect_alive()
            if time.monotonic() > end:
                raise NotServing(f"not within {seconds:g} s: {what}")
            time.sleep(poll)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ends the process with SIGTERM. Returns its status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise NotServing(f"the gateway had not ended {seconds:g} s after SIGTERM") from None

    def fault_of_end(self) -> str | None:
        """Ends the process. `None` if it ended well."""
        try:
            status = self.stop()
        except NotServing as fault:
            return str(fault)
        return None if status == 0 else f"the gateway ended with status {status}"


class Gateway(Server):
    """One gateway: its folder, ports, settings and process. `development` adds the development credentials."""

    def __init__(self, binary: Path, folder: Path, settings: Settings, *, development: bool = False) -> None:
        super().__init__()
        self.binary, self.folder = binary, folder
        folder.mkdir(parents=True, exist_ok=True)
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

    def command(self, *words: str) -> list[str | Path]:
        return [self.binary, *self.arguments, *words]

    def start(
        self,
        log: Path,
        locales: Path | None = None,
        limit: Callable[[], None] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the process; `limit` runs in it before the gateway does. It gets these variables besides its own."""
        # In a folder of its own it reads no settings of the source tree, and leaves nothing there.
        self.launch(self.command("serve"), log, environment(locales) | dict(variables or {}), self.folder, limit)
