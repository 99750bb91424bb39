"""Each case as a test, against gateways that it starts for itself."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from .registry import Case, Run, Wrong

SAY_SECONDS = 10


@dataclass(frozen=True)
class Options:
    """The cases that were chosen, and how they are run."""

    run: Run
    cases: list[Case]


OPTIONS = pytest.StashKey[Options]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = metafunc.config.stash[OPTIONS].cases
    metafunc.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


@pytest.fixture(autouse=True)
def progress(case: Case, pytestconfig: pytest.Config) -> Iterator[None]:
    """Says every few seconds that a case goes on."""
    say = pytestconfig.stash[OPTIONS].run.say
    ended, begin = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(SAY_SECONDS):
            say(f"{case.name}: {time.monotonic() - begin:.0f} s")

    say(case.name)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    yield
    ended.set()
    teller.join()


def test_case(case: Case, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]) -> None:
    begin = time.monotonic()
    try:
        program, package = case.needs
        if program and not shutil.which(program):
            pytest.fail(f"{program} is missing: apt-get install {package}", pytrace=False)
        record_property("seen", case.try_it(replace(pytestconfig.stash[OPTIONS].run, tls=case.tls)))
    except Wrong as wrong:
        pytest.fail(str(wrong), pytrace=False)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TimeoutError) as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
    finally:
        record_property("seconds", time.monotonic() - begin)
