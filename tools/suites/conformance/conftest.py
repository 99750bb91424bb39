"""The server that the rules are checked on."""

from __future__ import annotations

import os

import pytest

from .connect import Target, connect, prepare
from .server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--url", help="where REST is, without /v2")
    group.addoption("--grpc", help="where gRPC is, HOST:PORT")
    group.addoption("--token", default=os.environ.get("TOKEN"), help="a bearer token (default: $TOKEN)")
    group.addoption("--model", action="append", default=[], help="use only this model (repeatable)")
    group.addoption("--assume", action="append", default=[], help="check this extension though it is not advertised")
    group.addoption("--manage", action="store_true", help="also unload and load a model")
    group.addoption("--largest-body", type=int, default=256, help="MiB that are sent to be refused")


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Server:
    option = pytestconfig.getoption
    if not option("url"):
        pytest.exit("--url is needed", returncode=2)
    target = Target(
        option("url"),
        option("grpc"),
        option("token"),
        option("model"),
        set(option("assume")),
        option("manage"),
        option("largest_body"),
    )
    try:
        connected = connect(target)
        prepare(connected, target.models)
    except OSError as error:
        pytest.exit(f"{target.url}: {error}", returncode=1)
    except ValueError as reason:
        pytest.exit(str(reason), returncode=1)
    return connected
