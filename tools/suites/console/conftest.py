"""The browser, the gateways and the signed-in page that the checks share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from lib.certificates import Certificates, made_in
from lib.gateway import BINARY, REPOSITORY
from suites.endtoend import browser as installed

from .launch import PICTURES, Watched
from .person import Person

TEST_MODELS = REPOSITORY / "tests" / "models"

NewPerson = Callable[..., Person]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("console")
    group.addoption("--binary", type=Path, default=BINARY, help=f"the gateway (default: {BINARY})")
    group.addoption("--assets", type=Path, help="the folder of the page's files (default: those of the gateway)")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = installed.found()
    if program is None:
        pytest.skip("the console in a browser (package chromium)")
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def certificates_beside(certificate: Path) -> Certificates:
    """The certificates of a folder that has them already."""
    return made_in(certificate.parent)


@contextmanager
def served(binary: Path, **settings: object) -> Iterator[Watched]:
    """A gateway with the example and a few test models, and the settings `SECTION__KEY`."""
    with tempfile.TemporaryDirectory(prefix="console-") as folder:
        gateway = Watched(binary, Path(folder))
        for name, model in (("towns", "facts/encoder"), ("square", "kinds/sequence_output"), ("wine", "regressor")):
            shutil.copy(TEST_MODELS / f"{model}.onnx", gateway.repository / f"{name}.onnx")
        if certificate := settings.get("server__tls__certificate_file"):
            gateway.authority = certificates_beside(Path(str(certificate))).authority
        given = {f"GATEWAY__{key.upper()}": str(value) for key, value in settings.items()}
        # The checks of a minute are more than one person's requests.
        gateway.variables |= {"GATEWAY__RATE_LIMIT__PER_ADDRESS__REQUESTS": "6000"} | given
        try:
            gateway.start()
            yield gateway
        finally:
            if gateway.process.poll() is None:
                gateway.stop()


@contextmanager
def served_file(binary: Path, model: str) -> Iterator[tuple[Watched, str]]:
    """A gateway of one file, without settings, and the token that it prints."""
    with tempfile.TemporaryDirectory(prefix="console-") as folder:
        gateway = Watched(binary, Path(folder))
        shutil.copy(TEST_MODELS / f"{model}.onnx", Path(folder) / "model.onnx")
        token = gateway.start_with_file(Path(folder) / "model.onnx")
        try:
            yield gateway, token
        finally:
            gateway.stop()


@pytest.fixture(scope="session")
def binary(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.getoption("binary")


@pytest.fixture(scope="session")
def gateway(binary: Path) -> Iterator[Watched]:
    with served(binary, models__removal_grace_ms=300, models__poll_interval_ms=200) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def new_person(chromium: Browser, pytestconfig: pytest.Config) -> Iterator[NewPerson]:
    """Opens the page of a gateway in a window of its own."""
    persons: list[Person] = []

    def new(gateway: Watched, **window: object) -> Person:
        persons.append(Person(chromium, gateway, pytestconfig.getoption("assets"), window))
        return persons[-1]

    yield new
    for person in persons:
        person.leave()


@pytest.fixture(scope="session")
def person(gateway: Watched, new_person: NewPerson) -> Person:
    """The person who has signed in, and whom most checks share."""
    person = new_person(gateway)
    person.sign_in()
    return person
