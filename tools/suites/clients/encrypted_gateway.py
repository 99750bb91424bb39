"""A gateway with TLS on REST and gRPC, for the clients that ask it so."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

from lib.certificates import Certificates, made_in
from lib.gateway import BINARY, HOST, REPOSITORY
from lib.gateway import Gateway as Process

from .checks import expect

START_SECONDS = 60


class Encrypted:
    """The gateway, its certificates, and a token."""

    def __init__(self, folder: Path) -> None:
        self.certificates: Certificates = made_in(folder / "certificates")
        settings: dict[str, dict[str, Any]] = {
            "server.tls": dict(self.certificates.settings),
            "rate_limit": {"enabled": False},
            "models": {"repository": str(REPOSITORY / "models"), "default": "iris"},
        }
        self.process = Process(BINARY, folder / "gateway", settings, development=True)
        self.process.authority = self.certificates.authority
        self.process.start(folder / "encrypted.log")
        # Also if the last check is not among those that were asked for.
        atexit.register(self.process.stop)
        self.process.wait_until(self.process.is_ready, START_SECONDS, "the gateway with TLS is ready")
        self.token = self.process.log_in("demo", "demo-secret")
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self.rest, self.grpc = f"{HOST}:{self.process.http}", f"{HOST}:{self.process.grpc}"

    def end(self) -> None:
        fault = self.process.fault_of_end()
        expect(fault is None, fault)
