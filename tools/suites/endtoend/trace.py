"""A gateway's life under strace, which sees each call of connect."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib.gateway import NotServing, Response

from .launch import Released

# -D keeps the gateway the direct child, so that signals and the status are its own; -q keeps the lines of ends.
STRACE = ("strace", "-D", "-f", "-q", "-e", "trace=connect", "-o")
CALL = "connect("
WRITE_SECONDS = 10
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Traced:
    """The response to a prediction, the exit status, and the calls of connect."""

    response: Response
    status: int
    calls: list[str]


def written(trace: Path, process: int) -> list[str]:
    """The lines of strace, which writes the last ones after the process has ended."""
    end = time.monotonic() + WRITE_SECONDS
    while time.monotonic() < end:
        lines = trace.read_text().splitlines()
        if any(line.split()[:2] == [str(process), "+++"] for line in lines):
            return lines
        time.sleep(POLL_SECONDS)
    raise NotServing(f"strace has not seen the gateway's end within {WRITE_SECONDS} s")


def run(binary: Path, folder: Path) -> Traced:
    if not shutil.which("strace"):
        pytest.skip("the gateway's connections (package strace)")
    gateway, trace = Released(binary, folder), folder / "trace"
    try:
        gateway.start([*STRACE, trace])
        response = gateway.predict()
        status = gateway.stop()
        lines = written(trace, gateway.process.pid)
    finally:
        gateway.fault_of_end()
    return Traced(response, status, [line for line in lines if CALL in line])
