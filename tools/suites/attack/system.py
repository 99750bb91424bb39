"""Limits of the system: few descriptors, a log that takes nothing, a clock that jumps."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from .gateway import ROW, Gateway, mint, until
from .limits import quota
from .registry import Run, Wrong, case, expect
from .shared_quotas import metric
from .wires import wires

NAMED = re.compile(r"descriptor|RLIMIT_NOFILE|LimitNOFILE|nofile|ulimit", re.IGNORECASE)
START_SECONDS = 20
DAY_SECONDS = 24 * 60 * 60


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


@case(
    "a log that takes nothing",
    "standard error is /dev/full, and every request writes a line",
    "it serves, and counts the lines that are lost",
)
def unwritable_log(run: Run) -> str:
    with Gateway(run, log__access=True) as gateway:
        expect(gateway.stop() == 0, "it did not end well before the log was full")
        read, gateway.log_path = gateway.log_path, Path("/dev/full")
        gateway.begin()
        # To read what nothing can be written to would never end.
        gateway.log_path = read
        until(gateway.is_ready, START_SECONDS, "ready")
        statuses = {wire.predict().status for wire in wires(gateway) for _ in range(run.pick(50, 500))}
        expect(statuses == {200}, statuses)
        until(lambda: metric(gateway, "gateway_log_lines_dropped_total") > 0, START_SECONDS, "lost lines are counted")
        return f"{statuses}, {metric(gateway, 'gateway_log_lines_dropped_total'):.0f} lines lost"


def faketime_library() -> Path:
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Wrong("libfaketime is missing: apt-get install faketime")
    return found[0]


@case(
    "a clock that jumps",
    "the system's time jumps by a day, forwards and backwards, under a caller whose quota is used up",
    "no crash; tokens are judged by the time of day, and the quota goes on by a clock that does not jump",
    only_full=True,
    needs=("faketime", "faketime"),
)
def jumps(run: Run) -> str:
    shift = run.scratch / "shift"
    shift.write_text("+0")
    variables = {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(shift),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    settings: dict[str, Any] = quota("caller", 3)
    with Gateway(run, variables=variables, **settings) as gateway:

        def asked(days: int, subject: str) -> int:
            """The status for a token that was issued so many days from now."""
            now = int(time.time()) + days * DAY_SECONDS
            return gateway.ask("POST", "/predict", ROW, token=mint(subject, iat=now, exp=now + 600)).status

        seen = {0: [asked(0, "poor") for _ in range(4)]}
        for days in (1, -1, 0):
            shift.write_text(f"{days:+d}d")
            seen[days] = [
                *seen.get(days, []),
                asked(days, f"of {days}"),
                asked(days, "poor"),
                asked(1 - abs(days), "other"),
            ]
        expect(seen == {0: [200, 200, 200, 429, 200, 429, 401], 1: [200, 429, 401], -1: [200, 429, 401]}, seen)
        gateway.good()
        return str(seen)
