"""Rules and their verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

PASS, FAIL, NOT_APPLICABLE = "pass", "FAIL", "not applicable"


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


@dataclass(frozen=True)
class Verdict:
    rule: Rule
    outcome: str
    detail: str = ""


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


def judge(rule: Rule, server: Any) -> Verdict:
    if rule.extension and not server.has_extension(rule.extension):
        return Verdict(rule, NOT_APPLICABLE, f"the extension {rule.extension} is not advertised")
    if rule.needs_grpc and server.grpc is None:
        return Verdict(rule, NOT_APPLICABLE, server.no_grpc_reason)
    try:
        rule.check(server)
    except NotApplicable as reason:
        return Verdict(rule, NOT_APPLICABLE, str(reason))
    except Miss as miss:
        return Verdict(rule, FAIL, str(miss))
    except OSError as error:
        return Verdict(rule, FAIL, f"no answer: {type(error).__name__}: {error}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # An answer of another form than any rule foresees.
        return Verdict(rule, FAIL, f"the answer cannot be read: {type(error).__name__}: {error}")
    return Verdict(rule, PASS)
