"""Each of ONNX's cases as a test, by the command and by one server that serves all of them.

A refusal is a skip with its reason; what ONNX Runtime's own interface gets wrong, too, is an expected failure.
"""

from __future__ import annotations

import locale
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lib.gateway import REPOSITORY, NotServing, environment

from . import gateway
from .cases import Case
from .gateway import PASS, REFUSED, WRONG, Result, Server
from .reference import references

LOG = REPOSITORY / "target" / "onnx-suite.log"
PROCESSES = 2
PROGRESS_SECONDS = 5
COMMAND, SERVER = "command", "server"
WRONG_ALONE, WRONG_TOO = "wrong where ONNX Runtime is right", "wrong as ONNX Runtime is"
# The locale that ONNX Runtime asks for in text models, whatever their language is.
LOCALE = "en_US.UTF-8"


@dataclass(frozen=True)
class Options:
    """The binary, the cases by number, and the routes by which they are asked."""

    binary: Path
    cases: dict[int, Case]
    routes: tuple[str, ...]
    say: Callable[[str], None]
    # The fault of ONNX Runtime's own response to each case, `None` if it is right.
    references: dict[int, str | None] = field(default_factory=dict)


OPTIONS = pytest.StashKey[Options]()


class Progress:
    """A line every few seconds."""

    def __init__(self, say: Callable[[str], None], what: str, total: int) -> None:
        self.say, self.what, self.total, self.said = say, what, total, time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self.said >= PROGRESS_SECONDS or done == self.total:
            self.said = time.monotonic()
            self.say(f"{self.what}: {done} of {self.total}")


@dataclass(frozen=True)
class Prepared:
    """Files of all cases, and the locale that text models need where the system has none."""

    scratch: Path
    locales: Path | None


def locale_folder(scratch: Path, say: Callable[[str], None]) -> Path | None:
    """A folder with the locale that text models need. `None` if the system has it, or it cannot be made."""
    try:
        locale.setlocale(locale.LC_ALL, LOCALE)
    except locale.Error:
        folder = scratch / "locale"
        folder.mkdir()
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "en_US", "-f", "UTF-8", folder / LOCALE], capture_output=True, check=False
        )
        if made and made.returncode == 0:
            return folder
        say(f"there is no locale {LOCALE}: some text models will be refused")
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    options = metafunc.config.stash[OPTIONS]
    pairs = [(route, number) for route in options.routes for number in options.cases]
    names = [f"{route}, {options.cases[number].name}, {number}" for route, number in pairs]
    metafunc.parametrize(("route", "number"), pairs, ids=names)


@pytest.fixture(scope="session")
def options(pytestconfig: pytest.Config) -> Options:
    return pytestconfig.stash[OPTIONS]


@pytest.fixture(scope="session")
def prepared(options: Options) -> Iterator[Prepared]:
    cases = options.cases
    with tempfile.TemporaryDirectory(prefix="onnx-suite-") as folder:
        scratch = Path(folder)
        locales = locale_folder(scratch, options.say)
        if locales:
            os.environ["LOCPATH"] = str(locales)
        progress = Progress(options.say, "asked of ONNX Runtime itself", len(cases))
        for number, reference in zip(cases, references(list(cases.values()), PROCESSES), strict=True):
            options.references[number] = reference
            progress(len(options.references))
        gateway.write_repository(scratch / "models", cases)
        yield Prepared(scratch, locales)


@pytest.fixture(scope="session")
def by_command(options: Options, prepared: Prepared) -> Iterator[dict[int, Future[Result]]]:
    """The results of the command, which begins with the cases in their order."""
    scratch, variables = prepared.scratch, environment(prepared.locales)

    def ask(number: int, case: Case) -> Result:
        model = scratch / "models" / gateway.name_of(number) / "1" / "model.onnx"
        return gateway.ask_cli(options.binary, model, case, scratch, variables)

    with ThreadPoolExecutor(PROCESSES) as pool:
        try:
            yield {number: pool.submit(ask, number, case) for number, case in options.cases.items()}
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def server(options: Options, prepared: Prepared) -> Iterator[Server]:
    LOG.parent.mkdir(exist_ok=True)
    served = Server(options.binary, prepared.scratch / "models", prepared.scratch, LOG, prepared.locales)
    try:
        served.wait(len(options.cases), Progress(options.say, "proven by the server", len(options.cases)))
        yield served
    finally:
        fault = served.fault_of_end()
    if fault:
        raise NotServing(f"{fault}; see {LOG}")


def category(result: Result, reference: str | None) -> str:
    if result.outcome != WRONG:
        return result.outcome
    return WRONG_ALONE if reference is None else WRONG_TOO


def test_case(
    route: str,
    number: int,
    options: Options,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    if route == COMMAND:
        result = request.getfixturevalue("by_command")[number].result()
    else:
        result = request.getfixturevalue("server").ask(number, options.cases[number])
    found = category(result, options.references[number])
    record_property("category", found)
    record_property("detail", result.detail)
    if found == REFUSED:
        pytest.skip(result.detail)
    if found == WRONG_TOO:
        pytest.xfail(f"{found}: {result.detail}")
    if found != PASS:
        pytest.fail(f"{found}: {result.detail}", pytrace=False)
