"""Cases, and how they are run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Wrong(Exception):
    """The gateway did something other than required; the text says what was seen."""


@dataclass
class Run:
    """Options of a run, for every case."""

    binary: Path
    scratch: Path
    quick: bool
    say: Callable[[str], None]

    def pick(self, quick: int, full: int) -> int:
        return quick if self.quick else full


@dataclass
class Case:
    name: str
    stimulus: str
    required: str
    try_it: Callable[[Run], str]
    only_full: bool


CASES: list[Case] = []


def case(name: str, stimulus: str, required: str, *, only_full: bool = False) -> Callable:
    """Lists a case; the function answers what was seen, or raises `Wrong`."""

    def listed(function: Callable[[Run], str]) -> Callable[[Run], str]:
        CASES.append(Case(name, stimulus, required, function, only_full))
        return function

    return listed


def expect(right: bool, seen: object) -> None:
    if not right:
        raise Wrong(str(seen))
