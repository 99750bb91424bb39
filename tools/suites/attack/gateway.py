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
import subprocess
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Self

import lib.gateway
from lib.gateway import REPOSITORY, Settings, merged

from .http1 import Answer, Headers, Listener, ask, pairs
from .registry import Run, Wrong, expect

SECRET = "of-these-cases-alone-" + os.urandom(16).hex()
CLIENT, CLIENT_SECRET = "shop", "a secret of the shop"
START_SECONDS = 60
RELOAD_SECONDS = 20
SOFT_LIMIT = 1024
MIB = 1 << 20
ROW = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()
TESTED = REPOSITORY / "tests" / "models"
_hashes: dict[Path, str] = {}


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


class Gateway(lib.gateway.Gateway):
    """The process, as a context: it is asked to end behind it, and has to with status 0."""

    def __init__(
        self,
        run: Run,
        models: Mapping[str, Path | bytes] | None = None,
        descriptors: int = 0,
        variables: dict[str, str] | None = None,
        **changed: Any,
    ) -> None:
        folder = run.scratch / f"gateway-{time.monotonic_ns()}"
        self.repository, self.state = folder / "models", folder / "state"
        self.descriptors, self.variables, self.log_path = descriptors, variables, folder / "log"
        tls = run.certificates if run.tls else None
        # gRPC takes the certificate of REST.
        changed |= {f"server.tls__{name}": value for name, value in (tls.settings if tls else {}).items()}
        super().__init__(run.binary, folder, self.attacked(run.binary, changed))
        self.rest = Listener(self.http, tls.authority if tls else None)
        self.calls = Listener(self.grpc, tls.authority if tls else None)
        self.put("iris/1/model.onnx", REPOSITORY / "models/iris/1/model.onnx")
        for path, source in (models or {}).items():
            self.put(path, source)
        self.expected_status, self.looks = 0, count()
        self.token = mint()

    def attacked(self, binary: Path, changed: dict[str, Any]) -> Settings:
        changes: Settings = {}
        for name, value in changed.items():
            # Settings are named as in `server__max_connections`.
            section, key = name.rsplit("__", 1)
            changes.setdefault(section.replace("__", "."), {})[key] = value
        settings: Settings = {
            "auth": {"signing_secret": SECRET},
            "auth.clients.shop": {"secret_hash": secret_hash(binary), "scopes": ["predict", "read"]},
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
        return merged(settings, changes)

    def put(self, path: str, source: Path | bytes) -> None:
        """A model's file, published as it should be: renamed when it is whole."""
        target = self.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = target.with_name(target.name + ".whole")
        whole.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        whole.rename(target)

    def __enter__(self) -> Self:
        self.begin()
        try:
            until(self.is_ready, START_SECONDS, "ready after the start")
        except BaseException:
            self.stop()
            raise
        return self

    def begin(self) -> None:
        self.start(self.log_path, limit=self.limit, variables=self.variables)

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

    def is_ready(self) -> bool:
        expect(self.process.poll() is None, f"it ended while it started: {self.last_line()}")
        try:
            # From another address each time: it must use up no quota of those that a case asks from.
            source = f"127.0.5.{1 + next(self.looks) % 250}"
            return ask(self.rest, "GET", "/health/ready", source=source, timeout=2).status == 200
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
        headers: Headers | None = None,
        token: str | None = None,
        source: str = "127.0.0.1",
        timeout: float = 30,
    ) -> Answer:
        mine = {"Authorization": f"Bearer {token or self.token}"}
        if body is not None:
            mine["Content-Type"] = "application/json"
        return ask(self.rest, method, path, body, mine | dict(pairs(headers or {})), source, timeout)

    def reload(self, old: str, new: str, applied: str) -> None:
        """Changes the text of the settings, and waits until the log names the setting that was applied."""
        text = self.settings.read_text()
        expect(old in text, f"the settings lack {old!r}")
        self.settings.write_text(text.replace(old, new))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: applied in self.log(), RELOAD_SECONDS, f"the change of {applied} is applied")

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
