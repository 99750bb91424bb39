"""Cases, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from lib.certificates import Certificates, made_in


class Wrong(Exception):
    """The gateway did something other than required; the text says what was seen."""


@dataclass
class Run:
    """Options of a run, for every case."""

    binary: Path
    scratch: Path
    quick: bool
    say: Callable[[str], None]
    # True if the gateways have TLS.
    tls: bool = False

    @property
    def certificates(self) -> Certificates:
        """The authority and the certificate of all gateways with TLS."""
        return made_in(self.scratch / "certificates")

    def pick(self, quick: int, full: int) -> int:
        return quick if self.quick else full


class Encrypted(Enum):
    """The runs in which a case is also tried over TLS."""

    NEVER = "it is not about connections"
    FULL = "in the full form"
    ALWAYS = "in both forms"


@dataclass(frozen=True)
class Case:
    name: str
    stimulus: str
    required: str
    try_it: Callable[[Run], str]
    only_full: bool
    encrypted: Encrypted = Encrypted.NEVER
    # True if the gateways of this case have TLS.
    tls: bool = False
    # A program that it needs, and the package that has it.
    needs: tuple[str, str] = ("", "")

    def forms(self, quick: bool) -> Iterator[Case]:
        """The case without TLS and with it, as far as this form of the suite has them."""
        if self.only_full and quick:
            return
        yield self
        if self.encrypted is Encrypted.ALWAYS or (self.encrypted is Encrypted.FULL and not quick):
            yield replace(self, name=f"{self.name}, TLS", tls=True)


CASES: list[Case] = []


def case(
    name: str,
    stimulus: str,
    required: str,
    *,
    only_full: bool = False,
    encrypted: Encrypted = Encrypted.NEVER,
    needs: tuple[str, str] = ("", ""),
) -> Callable:
    """Lists a case; the function answers what was seen, or raises `Wrong`.

    `encrypted` tries it a second time with gateways that have TLS. `needs` is a program and the package that has it.
    """

    def listed(function: Callable[[Run], str]) -> Callable[[Run], str]:
        CASES.append(Case(name, stimulus, required, function, only_full, encrypted, needs=needs))
        return function

    return listed


def expect(right: bool, seen: object) -> None:
    if not right:
        raise Wrong(str(seen))
