"""Checks: a name, and a function that raises if the gateway does not respond as expected."""

from __future__ import annotations

from collections.abc import Callable

Check = tuple[str, Callable[[], object]]


class Wrong(Exception):
    """A response is not as expected; says what came."""


class LeftOut(Exception):
    """A check cannot be made here; says what is missing."""


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
