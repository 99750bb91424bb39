"""Stores, and gateways that use them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lib.certificates import NoOpenSsl, made_in
from lib.gateway import BINARY, HOST, REPOSITORY, environment, fetch
from suites.endtoend.launch import READY_SECONDS, Released

from .emulators import S3, Azure, Emulator, EncryptedS3, Google, WebDav, azure_is_here

LOG = REPOSITORY / "target" / "stores.log"
STORES = ("s3", "s3_with_tls", "google", "azure", "webdav")
POLL_MS = 500
TIMEOUT_MS = 1000

NewGateway = Callable[[Emulator], "Follower"]


class Follower(Released):
    """A gateway with the example model, whose repository is a store."""

    def __init__(self, binary: Path, folder: Path, store: Emulator) -> None:
        super().__init__(binary, folder)
        shutil.rmtree(self.repository)
        # The binary need not lie beside ONNX Runtime.
        self.variables = (
            environment()
            | self.variables
            | store.variables()
            | {
                "GATEWAY__MODELS__STORE__POLL_INTERVAL_MS": str(POLL_MS),
                "GATEWAY__MODELS__STORE__TIMEOUT_MS": str(TIMEOUT_MS),
                # The load of a minute is more than one person's requests.
                "GATEWAY__RATE_LIMIT__ENABLED": "false",
            }
        )

    def start(self, under: Sequence[str | Path] = ()) -> None:
        command = [*under, self.binary, "--config", "config/development.toml", "serve"]
        self.launch(command, LOG, self.variables, REPOSITORY)
        self.ready_ms = self.milliseconds_to_ready(READY_SECONDS)

    def metrics(self) -> str:
        return fetch(f"http://{HOST}:{self.admin}/metrics").text

    def wait_for_metric(self, line: str) -> None:
        self.wait_until(lambda: f"\n{line}" in self.metrics(), READY_SECONDS, line)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stores")
    group.addoption("--binary", type=Path, default=BINARY, help=f"the gateway (default: {BINARY})")


@contextmanager
def started(kind: str, folder: Path) -> Iterator[Emulator]:
    """An empty store of this kind."""
    if kind == "azure" and not azure_is_here():
        pytest.skip("the emulator of Azure Blob Storage (package npm)")
    store: Emulator
    if kind == "s3_with_tls":
        try:
            store = EncryptedS3(folder, made_in(folder.with_name("certificates")))
        except NoOpenSsl as missing:
            pytest.skip(str(missing))
    else:
        store = {"s3": S3, "google": Google, "azure": Azure, "webdav": WebDav}[kind](folder)
    try:
        yield store
    finally:
        store.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stores-") as folder:
        yield Path(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        name = metafunc.function.__name__.removeprefix("test_").replace("_", " ")
        metafunc.parametrize("store", STORES, ids=[f"{name}, {kind}" for kind in STORES], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, folder: Path) -> Iterator[Emulator]:
    with started(request.param, folder / "store") as store:
        yield store


@pytest.fixture
def new_gateway(pytestconfig: pytest.Config, folder: Path) -> Iterator[NewGateway]:
    """Starts a gateway of a store. All of them share a state directory."""
    with ExitStack() as stack:

        def new(store: Emulator) -> Follower:
            gateway = Follower(pytestconfig.getoption("binary"), folder / "gateway", store)
            stack.callback(gateway.stop)
            gateway.start()
            return gateway

        yield new
