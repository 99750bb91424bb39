"""Rules, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


class Miss(Exception):
    """A rule is not kept; says what came instead."""


class NotApplicable(Exception):
    """A rule cannot be checked on this server; says why."""


@dataclass(frozen=True)
class Rule:
    id: str
    section: str
    expected: str
    check: Callable[[Any], None]
    extension: str | None
    needs_grpc: bool


RULES: list[Rule] = []


def rule(
    name: str, section: str, expected: str, *, extension: str | None = None, grpc: bool = False
) -> Callable[[Callable], Callable]:
    """Registers a check, which raises `Miss` or `NotApplicable`, or returns if the rule is kept."""

    def register(check: Callable[[Any], None]) -> Callable[[Any], None]:
        assert all(known.id != name for known in RULES), f"two rules are called {name}"
        RULES.append(Rule(name, section, expected, check, extension, grpc))
        return check

    return register


grpc_rule = partial(rule, grpc=True)


def expect(kept: bool, came: str) -> None:
    if not kept:
        raise Miss(came)
