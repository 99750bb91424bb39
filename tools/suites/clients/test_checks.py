"""Each check of a part as a test. A check that cannot be made here is skipped with the reason."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

import pytest

from .checks import Check, LeftOut
from .gateway import Gateway


def checks_of(name: str, gateway: Gateway) -> Iterator[Check]:
    """The checks of a part. A fault before there is a check is a check that fails."""
    try:
        yield from importlib.import_module(f".{name}", __package__).checks(gateway)
    except Exception as error:  # noqa: BLE001 - it becomes the outcome

        def failed(error: Exception = error) -> None:
            raise error

        yield f"{name}: preparing its checks", failed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    part: str = metafunc.config.stash[PART]
    found = checks_of(part, metafunc.config.stash[GATEWAY])
    metafunc.parametrize("check", [pytest.param(check, id=name) for name, check in found])


def test_check(check: Callable[[], object]) -> None:
    try:
        check()
    except LeftOut as reason:
        pytest.skip(str(reason))


PART = pytest.StashKey[str]()
GATEWAY = pytest.StashKey[Gateway]()
