"""Limits of the system."""

from __future__ import annotations

import re
import time

from .gateway import ROW, Gateway
from .registry import Run, case, expect

NAMED = re.compile(r"descriptor|RLIMIT_NOFILE|LimitNOFILE|nofile|ulimit", re.IGNORECASE)
START_SECONDS = 20


@case(
    "few descriptors",
    "a limit of 64 open files, with settings for 4,096 connections",
    "the log or the error names the limit; if it starts, it serves",
)
def descriptors(run: Run) -> str:
    gateway = Gateway(run, descriptors=64)
    gateway.begin()
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and gateway.process.poll() is None:
            try:
                if gateway.ask("GET", "/health/ready", timeout=2).status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        status = gateway.process.poll()
        line = next((line for line in gateway.log().splitlines() if NAMED.search(line)), "")
        expect(bool(line), f"the limit is not named: {gateway.last_line()}")
        if status is None:
            answer = gateway.ask("POST", "/predict", ROW)
            expect(answer.status == 200, f"it started and answers {answer.status}")
            return f"serves; {line[-150:]}"
        return f"refused with status {status}; {line[-150:]}"
    finally:
        gateway.__exit__(RuntimeError)
