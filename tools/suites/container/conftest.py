"""The image, the container that the checks share, and the steps of its life."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.gateway import REPOSITORY, milliseconds_since
from lib.suite import expect

from .engine import Engine, chosen
from .launch import CLIENT, LOGS, RETRAINED, TAG, Container, Ended, Mounted, digest_of

READY_SECONDS = 30
WITHOUT_KEY_SECONDS = 30
SWAP_SECONDS = 10
# All requests of that time are well below the quota of a caller.
SWAP_POLL_SECONDS = 0.05
REFUSAL = "a version was refused"


@pytest.fixture(scope="session")
def engine() -> Engine:
    LOGS.mkdir(parents=True, exist_ok=True)
    for log in LOGS.glob("*.log"):
        log.unlink()
    return chosen(os.environ)


@pytest.fixture(scope="session")
def mounted() -> Iterator[Mounted]:
    with tempfile.TemporaryDirectory(prefix="container-test-") as folder:
        yield Mounted(Path(folder))


@pytest.fixture(scope="session")
def image_bytes(engine: Engine, mounted: Mounted) -> int:
    """The size of the image, once it is built. The model is there before: a fresh file is given time to settle."""
    log = LOGS / "build.log"
    status = engine.build(TAG, log)
    expect(status == 0, f"the image cannot be built (status {status}): see {log}")
    asked = engine.ask("image", "inspect", "--format", "{{.Size}}", TAG)
    expect(asked.returncode == 0, f"{engine.program} does not know the image that was built: {asked.stderr}")
    return int(asked.stdout)


@pytest.fixture(scope="session")
def without_key(engine: Engine, image_bytes: int) -> Ended:
    container = Container(engine, LOGS / "without-key.log")
    container.start()
    try:
        status = container.process.wait(WITHOUT_KEY_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it must not start, but it has not ended after {WITHOUT_KEY_SECONDS} s", pytrace=False)
    finally:
        container.remove()
    return Ended(status, container.log_text())


@pytest.fixture(scope="session")
def client_secret() -> str:
    return secrets.token_hex(32)


@pytest.fixture(scope="session")
def hashed(engine: Engine, image_bytes: int, client_secret: str) -> Ended:
    """The end of hash-secret in the image."""
    command = engine.command(TAG, ["--interactive"], ["hash-secret"])
    done = subprocess.run(command, input=client_secret, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout.strip() or done.stderr.strip())


@pytest.fixture(scope="session")
def container(engine: Engine, mounted: Mounted, hashed: Ended) -> Iterator[Container]:
    """The container as it is meant to run, once it is ready."""
    served = Container(engine, LOGS / "serving.log")
    served.start(mounted.options(hashed.output))
    try:
        served.ready_ms = served.milliseconds_to_ready(READY_SECONDS)
        yield served
    finally:
        served.remove()


@pytest.fixture(scope="session")
def process_status(container: Container) -> dict[str, list[str]]:
    """The status of the container's first process, by field."""
    text = container.inside("cat", "/proc/1/status")
    return {name: values.split() for name, values in re.findall(r"^(\w+):(.*)$", text, re.MULTILINE)}


@pytest.fixture(scope="session")
def token(container: Container, client_secret: str) -> str:
    return container.log_in(CLIENT, client_secret)


@pytest.fixture(scope="session")
def swap_ms(container: Container, mounted: Mounted, token: str) -> int:
    """The time until a retrained model serves that was put over the shipped one."""
    mounted.put(RETRAINED)
    begin, digest = time.monotonic(), digest_of(RETRAINED)
    container.wait_until(
        lambda: container.digest(token) == digest, SWAP_SECONDS, "the retrained model serves", SWAP_POLL_SECONDS
    )
    return milliseconds_since(begin)


@pytest.fixture(scope="session")
def refused(container: Container, mounted: Mounted, swap_ms: int) -> None:
    """A file that is not a model was put over the retrained one, and refused."""
    garbage = mounted.folder / "garbage"
    garbage.write_text("garbage\n")
    mounted.put(garbage)
    container.wait_until(lambda: REFUSAL in container.log_text(), SWAP_SECONDS, f"the log has {REFUSAL!r}")
