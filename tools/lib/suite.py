"""Suites as pytest runs them: a table of outcomes in place of pytest's own output, and exit codes."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PASSED, FAILED, SKIPPED, EXPECTED = "passed", "failed", "skipped", "xfailed"
SOMETHING_LEFT_OUT = 3
MARKS = {PASSED: "ok", FAILED: "FAIL", SKIPPED: "left out"}
PROGRESS_SECONDS = 5
# A failure in one line.
SHOWN_CHARACTERS = 400
LOG_LINES = 40
# No plugins but these: environments have some of which a suite knows nothing.
ARGUMENTS = (
    "--disable-plugin-autoload",
    "--capture=no",
    "-p",
    "no:terminal",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:faulthandler",
)


@dataclass
class Outcome:
    """The outcome of one test: its name, `detail` for anything but a pass, and what the test recorded."""

    name: str
    outcome: str
    detail: str
    item: pytest.Item
    recorded: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        return self.item.callspec.params  # type: ignore[attr-defined]


class Recorder:
    """A pytest plugin that keeps every outcome, shows it, and says how far a run is."""

    def __init__(self, program: str, show: Callable[[Outcome], None] | None = None, only: str = "") -> None:
        self.program, self.show, self.only = program, show, only
        self.outcomes: list[Outcome] = []
        # What prevented tests from running at all.
        self.faults: list[str] = []
        self.selected = 0
        self.said = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{self.program}: {text}", file=sys.stderr, flush=True)

    def counts(self) -> Counter[str]:
        return Counter(outcome.outcome for outcome in self.outcomes)

    def pytest_configure(self, config: pytest.Config) -> None:
        # pytest's own form shows the arguments of functions, which takes seconds if these are large.
        config.option.tbstyle = "native"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if self.only in name_of(item)]
        self.selected = len(items)

    def pytest_runtest_logstart(self) -> None:
        if time.monotonic() - self.said >= PROGRESS_SECONDS:
            self.said = time.monotonic()
            self.say(f"{len(self.outcomes)} of {self.selected}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "teardown":
            if report.failed:
                self.faults.append(detail_of(call))
        elif report.when == "call" or report.outcome != PASSED:
            outcome = EXPECTED if hasattr(report, "wasxfail") else report.outcome
            detail = getattr(report, "wasxfail", None) or detail_of(call)
            self.outcomes.append(Outcome(name_of(item), outcome, detail, item, dict(item.user_properties)))
            if self.show:
                self.show(self.outcomes[-1])
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.faults.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.faults.append(str(excrepr))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.faults.append(str(excinfo.value) or excinfo.typename)


def name_of(item: pytest.Item) -> str:
    return item.callspec.id if hasattr(item, "callspec") else item.name.removeprefix("test_").replace("_", " ")


def detail_of(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    value = call.excinfo.value
    told = isinstance(value, (pytest.fail.Exception, pytest.skip.Exception))
    return str(value.msg if told else f"{type(value).__name__}: {value}")  # type: ignore[attr-defined]


def expect(right: bool, came: object) -> None:
    """Fails the test that calls it unless this is right."""
    if not right:
        pytest.fail(str(came), pytrace=False)


def show(outcome: Outcome) -> None:
    """Prints the outcome of a test in one line, with what it recorded as `seen` or as a `figure`."""
    seen = outcome.detail or outcome.recorded.get("seen") or outcome.recorded.get("figure", "")
    detail = f": {' '.join(str(seen).split())[:SHOWN_CHARACTERS]}" if seen else ""
    print(f"{MARKS[outcome.outcome]:<8}  {outcome.name}{detail}", flush=True)


def run(recorder: Recorder, tests: Path, arguments: Iterable[str] = (), plugins: Sequence[object] = ()) -> bool:
    """Runs the tests of a file. Returns true if all could be run and none failed; says what prevented others."""
    # As Ctrl-C does, so that all that fixtures started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = pytest.main([str(tests), *ARGUMENTS, *arguments], plugins=[recorder, *plugins])
    for fault in recorder.faults:
        recorder.say(fault)
    return status == pytest.ExitCode.OK and bool(recorder.outcomes)


def conclude(recorder: Recorder, passed: bool, log: Path) -> int:
    """Prints the end of the log if a test failed, then what was left out, and the figures. Returns the exit status."""
    counts = recorder.counts()
    if not passed and log.exists():
        recorder.say(f"the end of {log}:")
        print(*log.read_text(errors="replace").splitlines()[-LOG_LINES:], sep="\n", file=sys.stderr, flush=True)
    left_out = dict.fromkeys(one.detail for one in recorder.outcomes if one.outcome == SKIPPED)
    for reason in left_out:
        recorder.say(f"left out: {reason}")
    figures = [str(one.recorded["figure"]) for one in recorder.outcomes if "figure" in one.recorded]
    recorder.say(", ".join([f"{counts[PASSED]} passed", f"{counts[FAILED]} failed", *figures]))
    if not passed:
        return 1
    return SOMETHING_LEFT_OUT if left_out else 0


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells in columns; the first column to the left, numbers to the right."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
