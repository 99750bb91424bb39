"""The gateway that most checks share, and the programs that they need."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.gateway import BINARY, NotServing

from . import browser, documents, trace
from .launch import LOG, Released


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("end to end")
    group.addoption("--binary", type=Path, default=BINARY, help=f"the gateway (default: {BINARY})")


@pytest.fixture(scope="session")
def binary(pytestconfig: pytest.Config) -> Path:
    LOG.parent.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    return pytestconfig.getoption("binary")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def gateway(binary: Path, scratch: Path) -> Iterator[Released]:
    served = Released(binary, scratch / "served")
    try:
        served.start()
        yield served
    finally:
        fault = served.fault_of_end() if served.process.poll() is None else None
    if fault:
        raise NotServing(fault)


@pytest.fixture(scope="session")
def run_documents(gateway: Released) -> documents.Run:
    return documents.run(gateway.url)


@pytest.fixture(scope="session")
def chosen_browser(scratch: Path) -> browser.Browser:
    program = browser.found()
    if program is None:
        pytest.skip("the documentation in a browser (package chromium)")
    return browser.Browser(program, scratch / "browser")


@pytest.fixture(scope="session")
def shown_routes(gateway: Released, chosen_browser: browser.Browser) -> str:
    """The document of /docs."""
    return chosen_browser.document(f"{gateway.url}/docs/")


@pytest.fixture(scope="session")
def traced(binary: Path, scratch: Path) -> trace.Traced:
    return trace.run(binary, scratch / "traced")
