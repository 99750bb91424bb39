"""The gateway that the clients ask, with a repository of models of several kinds."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

from lib.gateway import HOST, REPOSITORY, Settings
from lib.gateway import Gateway as Process

from .gateway import TIMEOUT_SECONDS, VERTEX_HEALTH_ROUTE, VERTEX_PREDICT_ROUTE, Gateway

START_SECONDS = 60
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
# Models that the description of the API types, by name; with `iris` and `same_symbol` they are as unlike as can be.
DESCRIBED = {
    "one_hot": "exporters/sk_columns_one_hot",
    "picture": "exporters/keras_picture",
    "sequence": "kinds/sequence_output",
}
CLIENT = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret"}


class Launched:
    """The process. Once it serves, `gateway` can be asked."""

    def __init__(self, binary: Path, scratch: Path, log: Path) -> None:
        repository = scratch / "models"
        fill_repository(repository)
        settings: Settings = {
            "rate_limit": {"enabled": False},
            "models": {"repository": str(repository), "default": "iris"},
            "runtime": {"instances": 1},
            # Vertex AI names these in the environment, where it would also name the port.
            "mcp": {"enabled": True},
            "dialects": {"vertex_predict_route": VERTEX_PREDICT_ROUTE, "vertex_health_route": VERTEX_HEALTH_ROUTE},
        }
        self.process = Process(binary, scratch, settings, development=True)
        self.gateway = Gateway(f"{HOST}:{self.process.http}", f"{HOST}:{self.process.grpc}", "", scratch)
        log.unlink(missing_ok=True)
        self.process.start(log)

    def wait(self) -> None:
        """Waits until all models serve; then there is a token, too."""
        self.process.wait_until(self.serves_all, START_SECONDS, "all models serve")

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
        return {(name, "1") for name in (*KINDS, *DESCRIBED, "iris", "versions")} | {("versions", "2")} <= ready


def fill_repository(repository: Path) -> None:
    shutil.copytree(REPOSITORY / "models", repository)
    models = REPOSITORY / "tests" / "models"
    kinds = models / "kinds"
    for kind in KINDS:
        shutil.copy(kinds / f"{kind}.onnx", repository)
    for name, model in DESCRIBED.items():
        shutil.copy(models / f"{model}.onnx", repository / f"{name}.onnx")
    # Two versions that both serve, for what asks for one by its number.
    for version in ("1", "2"):
        folder = repository / "versions" / version
        folder.mkdir(parents=True)
        shutil.copy(kinds / "same_symbol.onnx", folder / "model.onnx")
    (repository / "versions" / "model.toml").write_text("versions = [1, 2]\n")
