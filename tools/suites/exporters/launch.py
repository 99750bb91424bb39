"""The gateway that serves all models of exporters."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

from lib.gateway import Gateway, Settings

START_SECONDS = 120
REQUEST_SECONDS = 30


class Launched(Gateway):
    """The process, and the refusals of models."""

    def __init__(self, binary: Path, models: Path, names: list[str], scratch: Path, log: Path) -> None:
        self.names = names
        self.refusals: dict[str, str] = {}
        repository = scratch / "models"
        repository.mkdir()
        for name in names:
            shutil.copy(models / f"{name}.onnx", repository)
        settings: Settings = {
            "auth": {"enabled": False},
            "rate_limit": {"enabled": False},
            "models": {"repository": str(repository)},
            # A session for each processor would only take longer to load.
            "runtime": {"instances": 1},
        }
        super().__init__(binary, scratch, settings)
        log.unlink(missing_ok=True)
        self.start(log)

    def wait(self) -> None:
        self.wait_until(self.all_settled, START_SECONDS, "each model is in service or refused")

    def all_settled(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=REQUEST_SECONDS) as answer:
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
