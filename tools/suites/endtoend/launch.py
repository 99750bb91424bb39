"""The release binary as a user starts it: the development settings, all others by the environment."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lib.gateway import HOST, REPOSITORY, Response, Server, plain_environment

LOG = REPOSITORY / "target" / "end-to-end.log"
READY_SECONDS = 30
CLIENT, SECRET = "demo", "demo-secret"
ROW = (5.1, 3.5, 1.4, 0.2)


class Released(Server):
    """One gateway with the models of the source tree, as copies."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__()
        self.binary, self.repository = binary, folder / "models"
        shutil.copytree(REPOSITORY / "models", self.repository)
        self.variables = plain_environment() | {
            "GATEWAY__SERVER__LISTEN": f"{HOST}:{self.http}",
            "GATEWAY__GRPC__LISTEN": f"{HOST}:{self.grpc}",
            "GATEWAY__ADMIN__LISTEN": f"{HOST}:{self.admin}",
            "GATEWAY__MODELS__REPOSITORY": str(self.repository),
            "GATEWAY__MODELS__STATE_DIRECTORY": str(folder / "state"),
        }
        self.ready_ms = 0

    def start(self, under: Sequence[str | Path] = ()) -> None:
        """Starts the process, under another program if one is given, and waits until it is ready."""
        command = [*under, self.binary, "--config", "config/development.toml", "serve"]
        self.launch(command, LOG, self.variables, REPOSITORY)
        self.ready_ms = self.milliseconds_to_ready(READY_SECONDS)

    def memory_kib(self) -> int:
        """Resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def predict(self) -> Response:
        return self.predict_row(ROW, self.log_in(CLIENT, SECRET))
