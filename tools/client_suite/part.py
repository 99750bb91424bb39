"""One part of the suite in a process of its own: FILE says where the gateway is."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .checks import Check, Tally, run
from .gateway import Gateway


def checks_of(name: str, gateway: Gateway) -> Iterator[Check]:
    """What goes wrong before there is a check is a failed check."""
    try:
        yield from importlib.import_module(f"client_suite.{name}").checks(gateway)
    except Exception as error:  # noqa: BLE001 - it becomes the outcome

        def failed(error: Exception = error) -> None:
            raise error

        yield f"{name}: preparing its checks", failed


def main() -> None:
    name, file = sys.argv[1], Path(sys.argv[2])
    work: dict[str, Any] = json.loads(file.read_text())
    gateway = Gateway(work["http"], work["grpc"], work["token"], file.parent)
    tally = Tally()
    run(checks_of(name, gateway), tally, work["only"])
    # A part that dies before leaves nothing, and has failed.
    (file.parent / f"{name}.json").write_text(json.dumps(asdict(tally)))


if __name__ == "__main__":
    main()
