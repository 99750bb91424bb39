"""A gateway of the binary under attack: started here, in a folder of its own, on loopback addresses alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .http1 import Answer, ask
from .registry import REPOSITORY, Run, Wrong, expect

SECRET = "of-these-cases-alone-" + os.urandom(16).hex()
CLIENT, CLIENT_SECRET = "shop", "a secret of the shop"
START_SECONDS = 60
SOFT_LIMIT = 1024
STOP_SECONDS = 30
MIB = 1 << 20
ROW = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()
TESTED = REPOSITORY / "tests" / "models"
_hashes: dict[Path, str] = {}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """Waits until this finds something, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise Wrong(f"not within {seconds:g} s: {what}")


def mint(subject: str = "caller", scope: str = "predict read manage", **claims: Any) -> str:
    """A token as the gateway signs it."""
    now = int(time.time())
    header = {"alg": "HS256", "typ": "at+jwt"}
    payload = {
        "iss": "onnx-gateway",
        "aud": "onnx-gateway",
        "sub": subject,
        "client_id": subject,
        "iat": now,
        "exp": now + 3600,
        "jti": os.urandom(8).hex(),
        "scope": scope,
    } | claims
    return signed(header, payload)


def encoded(part: Any) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(header: Any, payload: Any, secret: str = SECRET) -> str:
    message = f"{encoded(header)}.{encoded(payload)}"
    signature = hmac.new(secret.encode(), message.encode(), hashlib.sha256).digest()
    return f"{message}.{encoded(signature)}"


class Gateway:
    """The process, as a context: it is asked to end behind it, and has to with status 0."""

    def __init__(self, run: Run, models: dict[str, Path] | None = None, descriptors: int = 0, **changed: Any) -> None:
        self.folder = run.scratch / f"gateway-{time.monotonic_ns()}"
        self.repository, self.state = self.folder / "models", self.folder / "state"
        self.http, self.grpc, self.admin = free_port(), free_port(), free_port()
        self.binary, self.descriptors, self.log_path = run.binary, descriptors, self.folder / "log"
        for path, source in ({"iris/1/model.onnx": REPOSITORY / "models/iris/1/model.onnx"} | (models or {})).items():
            self.put(path, source)
        self.settings = self.folder / "attack.toml"
        self.settings.write_text(self.settings_text(changed))
        self.expected_status = 0
        self.token = mint()

    def settings_text(self, changed: dict[str, Any]) -> str:
        sections: dict[str, dict[str, Any]] = {
            "server": {"listen": f"127.0.0.1:{self.http}", "shutdown_delay_ms": 0},
            "grpc": {"listen": f"127.0.0.1:{self.grpc}"},
            "admin": {"listen": f"127.0.0.1:{self.admin}"},
            "auth": {"signing_secret": SECRET},
            "auth.clients.shop": {"secret_hash": secret_hash(self.binary), "scopes": ["predict", "read"]},
            "rate_limit": {"enabled": False},
            "models": {
                "repository": str(self.repository),
                "state_directory": str(self.state),
                "default": "iris",
                "poll_interval_ms": 200,
                "removal_grace_ms": 500,
                "incomplete_grace_ms": 500,
            },
        }
        for name, value in changed.items():
            # Settings are named as in `server__max_connections`.
            section, key = name.rsplit("__", 1)
            sections.setdefault(section.replace("__", "."), {})[key] = value
        lines = []
        for section, entries in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
        return "\n".join(lines) + "\n"

    def put(self, path: str, source: Path | bytes) -> None:
        """A model's file, published as it should be: renamed when it is whole."""
        target = self.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = target.with_name(target.name + ".whole")
        whole.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        whole.rename(target)

    def __enter__(self) -> Gateway:
        self.start()
        until(self.is_ready, START_SECONDS, "ready after the start")
        return self

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY__", "AIP_"))}
        environment.setdefault("ORT_DYLIB_PATH", str(REPOSITORY / ".onnxruntime" / "libonnxruntime.so"))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--config", self.settings, "serve"],
                env=environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=self.limit,  # noqa: PLW1509 - it only makes system calls
            )

    def limit(self) -> None:
        """As many descriptors as a service has by default, or as few as wanted; in the child alone."""
        most = self.descriptors or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, self.descriptors or SOFT_LIMIT), most))

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            status = self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is None:
            expect(status == self.expected_status, f"it ended with status {status}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Wrong(f"it had not ended {STOP_SECONDS} s after SIGTERM") from None

    def is_ready(self) -> bool:
        expect(self.process.poll() is None, f"it ended while it started: {self.last_line()}")
        try:
            return ask(self.http, "GET", "/health/ready", timeout=2).status == 200
        except OSError:
            return False

    def serves(self, model: str, digest: str = "") -> bool:
        answer = self.ask("GET", f"/models/{model}")
        versions = answer.json().get("versions", []) if answer.status == 200 else []
        return any(one["state"] == "READY" and one.get("digest", "").startswith(digest) for one in versions)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = None,
        source: str = "127.0.0.1",
        timeout: float = 30,
    ) -> Answer:
        mine = {"Authorization": f"Bearer {token or self.token}"}
        if body is not None:
            mine["Content-Type"] = "application/json"
        return ask(self.http, method, path, body, mine | (headers or {}), source, timeout)

    def good(self) -> None:
        """The oracle behind every case: it lives, answers, and said nothing of panics and secrets."""
        expect(self.process.poll() is None, f"it ended with status {self.process.returncode}: {self.last_line()}")
        answer = self.ask("POST", "/predict", ROW)
        expect(answer.status == 200, f"a good request is answered {answer.status}")
        log = self.log()
        for word in ("panicked", SECRET, CLIENT_SECRET, self.token):
            expect(word not in log, f"the log has {word!r}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def last_line(self) -> str:
        return (self.log().strip().splitlines() or [""])[-1][-200:]

    def memory(self, field: str = "VmRSS") -> int:
        """In bytes; `VmHWM` is the most so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise Wrong("it ended")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def counted(self, what: str) -> int:
        """Open descriptors (`fd`) or threads (`task`)."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/{what}").iterdir())


def secret_hash(binary: Path) -> str:
    if binary not in _hashes:
        done = subprocess.run([binary, "hash-secret"], input=CLIENT_SECRET, capture_output=True, text=True, check=True)
        _hashes[binary] = done.stdout.strip()
    return _hashes[binary]
