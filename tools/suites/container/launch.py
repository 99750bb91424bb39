"""The container as it is meant to run, with a key, a client and a model repository that are mounted."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.gateway import HOST, REPOSITORY, NotServing, Response, Server

from .engine import Engine

TAG = "onnx-gateway:test"
LOGS = REPOSITORY / "target" / "container-test"
SHIPPED = REPOSITORY / "models" / "iris" / "1" / "model.onnx"
RETRAINED = REPOSITORY / "tests" / "models" / "iris_retrained.onnx"
CLIENT = "demo"
SETOSA, VIRGINICA = (5.1, 3.5, 1.4, 0.2), (6.7, 3.0, 5.2, 2.3)
# The user of the image.
USER = 65532
# Digits of a digest that responses have.
DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Ended:
    """The end of a process: its status and what it wrote."""

    status: int
    output: str


class Container(Server):
    """A container of the image in the foreground, on the host's network."""

    def __init__(self, engine: Engine, log: Path) -> None:
        super().__init__()
        self.engine, self.log = engine, log
        self.name = f"onnx-gateway-test-{os.getpid()}-{log.stem}"
        self.ready_ms = 0

    def start(self, options: Sequence[str] = ()) -> None:
        listeners = [
            f"GATEWAY__SERVER__LISTEN={HOST}:{self.http}",
            f"GATEWAY__GRPC__LISTEN={HOST}:{self.grpc}",
            f"GATEWAY__ADMIN__LISTEN={HOST}:{self.admin}",
        ]
        named = ["--name", self.name, *(word for listener in listeners for word in ("-e", listener))]
        self.log.unlink(missing_ok=True)
        self.launch(self.engine.command(TAG, [*named, *options]), self.log, dict(os.environ), REPOSITORY)

    def inside(self, *words: str) -> str:
        """The output of a command in the container, which holds under any mapping of users."""
        done = self.engine.ask("exec", self.name, *words)
        if done.returncode != 0:
            raise NotServing(f"{' '.join(words)} ends with status {done.returncode} in the container: {done.stderr}")
        return done.stdout

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def classify(self, row: Sequence[float], token: str) -> Response:
        """The response to a row, which has to be 200."""
        response = self.predict_row(row, token)
        if response.status != http.client.OK:
            raise NotServing(f"/predict responds with {response.status}: {response.text}")
        return response

    def digest(self, token: str) -> str:
        """The digest of the model that serves."""
        return self.classify(SETOSA, token).headers.get("x-model-digest", "")

    def remove(self) -> None:
        """Ends the container whatever it does, and the process that runs it."""
        self.engine.ask("rm", "--force", self.name)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Mounted:
    """The folders and files that the container gets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models, self.key = folder, folder / "models", folder / "signing"
        self.put(SHIPPED)
        for path in (self.models, self.models / "iris", self.models / "iris" / "1"):
            path.chmod(0o755)
        self.key.write_text(secrets.token_hex(32))
        # Only the container's user needs to read it; where we may not give the file away, everyone may who gets into
        # this folder, which is ours alone.
        try:
            os.chown(self.key, USER, USER)
            self.key.chmod(0o400)
        except PermissionError:
            self.key.chmod(0o444)

    def put(self, source: Path) -> None:
        """Puts a model over the served one by rename, so that half a file is never seen."""
        target = self.models / "iris" / "1" / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = self.folder / "next"
        shutil.copyfile(source, whole)
        whole.chmod(0o644)
        whole.rename(target)

    def options(self, secret_hash: str) -> list[str]:
        variables = {
            "GATEWAY__AUTH__SIGNING_SECRET_FILE": "/run/secrets/signing",
            "GATEWAY__AUTH__CLIENTS__DEMO__SECRET_HASH": secret_hash,
            "GATEWAY__AUTH__CLIENTS__DEMO__SCOPES": "predict,read",
            # Waiting for a swap must not use up the quota of this address.
            "GATEWAY__RATE_LIMIT__PER_ADDRESS__REQUESTS": "100000",
        }
        # z: where SELinux guards files, they are labelled for the container.
        volumes = [f"{self.key}:/run/secrets/signing:ro,z", f"{self.models}:/models:ro,z"]
        settings = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        return [*settings, *(word for volume in volumes for word in ("-v", volume))]


def digest_of(model: Path) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()[:DIGEST_DIGITS]
