"""One part of the suite, by pytest in a process of its own: FILE says where the gateway is.

python -m suites.clients.part NAME FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lib.suite import Recorder, run, show

from . import test_checks
from .gateway import Gateway


class Part:
    """A pytest plugin that says which part is asked, and where the gateway is."""

    def __init__(self, name: str, gateway: Gateway) -> None:
        self.name, self.gateway = name, gateway

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[test_checks.PART] = self.name
        config.stash[test_checks.GATEWAY] = self.gateway


def main() -> None:
    name, file = sys.argv[1], Path(sys.argv[2])
    work: dict[str, Any] = json.loads(file.read_text())
    gateway = Gateway(work["http"], work["grpc"], work["token"], file.parent)
    recorder = Recorder("client-suite", show, work["only"])
    run(recorder, Path(test_checks.__file__), plugins=[Part(name, gateway)])
    counts = recorder.counts()
    left_out = [f"{one.name}: {one.detail}" for one in recorder.outcomes if one.outcome == "skipped"]
    result = {"passed": counts["passed"], "failed": counts["failed"] + len(recorder.faults), "left_out": left_out}
    # A part that dies before leaves nothing, and has failed.
    (file.parent / f"{name}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
