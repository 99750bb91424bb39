"""The gateway under `tools/conformance`: a check for each rule that applies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lib.gateway import REPOSITORY

from .checks import Check, Wrong
from .gateway import Gateway

TIMEOUT_SECONDS = 600


def verdicts(gateway: Gateway) -> list[dict[str, Any]]:
    command: list[str | Path] = [
        sys.executable,
        REPOSITORY / "tools" / "conformance",
        gateway.url,
        "--grpc",
        gateway.grpc,
        "--manage",
        "--json",
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"TOKEN": gateway.token},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise Wrong(f"tools/conformance ends with {done.returncode}")
    return json.loads(done.stdout)


def kept(verdict: dict[str, Any]) -> None:
    if verdict["outcome"] == "FAIL":
        raise Wrong(f"expected {verdict['expected']}; came {verdict['detail']}")


def all_apply(found: list[dict[str, Any]]) -> None:
    """The models of this suite are there for that."""
    others = [f"{verdict['id']}: {verdict['detail']}" for verdict in found if verdict["outcome"] == "not applicable"]
    if others:
        raise Wrong("; ".join(others))


def checks(gateway: Gateway) -> Iterator[Check]:
    found = verdicts(gateway)
    yield "every rule of tools/conformance applies", partial(all_apply, found)
    for verdict in found:
        if verdict["outcome"] != "not applicable":
            yield f"rule {verdict['id']}", partial(kept, verdict)
