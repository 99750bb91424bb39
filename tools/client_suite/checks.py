"""Checks, one line each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

PROGRESS_SECONDS = 1
MOST_LETTERS = 400

Check = tuple[str, Callable[[], object]]


class Wrong(Exception):
    """What came is not what was expected."""


class LeftOut(Exception):
    """A check cannot be made here; says what is missing."""


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    left_out: list[str] = field(default_factory=list)


def expect(right: bool, came: object) -> None:
    if not right:
        raise Wrong(str(came))


def equal(came: object, wanted: object) -> None:
    expect(came == wanted, f"{came!r} in place of {wanted!r}")


def refused(ask: Callable[[], object], *parts: str) -> str:
    """The text of the error that this ends with; it has one of these parts."""
    try:
        answer = ask()
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        text = f"{type(error).__name__}: {error}"
        expect(not parts or any(part in text for part in parts), f"another error: {text}")
        return text
    raise Wrong(f"it is answered: {answer!r}")


def run(checks: Iterable[Check], tally: Tally, only: str) -> None:
    said = time.monotonic()
    for name, check in checks:
        if only not in name:
            continue
        begin = time.monotonic()
        if begin - said >= PROGRESS_SECONDS:
            said = begin
            print(f"client-suite: {name}", file=sys.stderr, flush=True)
        try:
            check()
        except LeftOut as reason:
            tally.left_out.append(f"{name}: {reason}")
            print(f"left out  {name}: {reason}")
        except Exception as error:  # noqa: BLE001 - each client has errors of its own
            tally.failed += 1
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAIL      {name}: {text[:MOST_LETTERS]}", flush=True)
        else:
            tally.passed += 1
            print(f"ok        {name}", flush=True)
