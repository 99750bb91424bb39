"""Changes of files under a gateway that serves them."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from lib.gateway import REPOSITORY

from .gateway import TESTED, Gateway, until
from .registry import Run, case, expect
from .watcher import Watcher

IRIS = REPOSITORY / "models/iris/1/model.onnx"
RETRAINED = TESTED / "iris_retrained.onnx"
SWAP_SECONDS = 30


def served(gateway: Gateway) -> str:
    return gateway.ask("POST", "/predict", b'{"features": [5.1, 3.5, 1.4, 0.2]}').headers.get("x-model-digest", "")


def swapped(gateway: Gateway, source: Path, what: str, seconds: float = SWAP_SECONDS) -> None:
    """A new file is served after this, without a restart."""
    before = served(gateway)
    gateway.put("iris/1/model.onnx", source)
    until(lambda: served(gateway) not in ("", before), seconds, what)


def undisturbed(watcher: Watcher) -> str:
    during = watcher.end()
    seen = f"{during['requests']} requests, {during['statuses']}, {during['lost']} lost"
    expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
    return seen


@case(
    "an emptied repository",
    "all that is in the mounted folder is gone for a while",
    "it serves on, and swaps when files come back",
)
def emptied(run: Run) -> str:
    with Gateway(run) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        aside = gateway.folder / "aside"
        aside.mkdir()
        for entry in gateway.repository.iterdir():
            entry.rename(aside / entry.name)
        time.sleep(run.pick(2, 15))
        seen = undisturbed(watcher)
        for entry in aside.iterdir():
            entry.rename(gateway.repository / entry.name)
        swapped(gateway, RETRAINED, "a swap after the files came back")
        gateway.good()
        return seen


def removed(folder: Path) -> bool:
    """Returns true if the folder is gone. The gateway may write into it meanwhile."""
    with suppress(OSError):
        shutil.rmtree(folder)
        return True
    return False


@case(
    "a removed state directory",
    "the state directory is gone while it runs",
    "it serves on, and the next file is served",
)
def stateless(run: Run) -> str:
    with Gateway(run) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        until(lambda: removed(gateway.state), 5, "the state directory removed")
        swapped(gateway, RETRAINED, "a swap without a restart", run.pick(12, 40))
        seen = undisturbed(watcher)
        gateway.good()
        return seen


@case(
    "files that are overwritten",
    "the served file is overwritten in place, then truncated, emptied, replaced by a page",
    "the old version serves, no wrong answer",
)
def overwritten(run: Run) -> str:
    with Gateway(run) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        before, path = served(gateway), gateway.repository / "iris/1/model.onnx"
        whole = IRIS.read_bytes()
        for content in (whole[: len(whole) // 2], b"", b"<html><body>404 Not Found</body></html>", os.urandom(5000)):
            # In place: the file is the same one, so that whoever had mapped it would see this.
            path.write_bytes(content)
            time.sleep(run.pick(1, 6) / 2)
            expect(served(gateway) == before, f"{served(gateway)} serves in place of {before}")
        seen = undisturbed(watcher)
        swapped(gateway, RETRAINED, "a swap after the broken files")
        gateway.good()
        return seen


@case(
    "a file that is written slowly",
    "parts of 1 kB into the served file, without a rename",
    "no half of it, one swap at the end",
)
def slowly(run: Run) -> str:
    with Gateway(run) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        before, content = served(gateway), RETRAINED.read_bytes()
        pause = run.pick(2, 20) / (len(content) / 1024)
        digests = set()
        with (gateway.repository / "iris/1/model.onnx").open("wb") as file:
            for begin in range(0, len(content), 1024):
                file.write(content[begin : begin + 1024])
                file.flush()
                time.sleep(pause)
                digests.add(served(gateway))
        until(lambda: served(gateway) != before, SWAP_SECONDS, "the swap at the end")
        seen = undisturbed(watcher)
        expect(digests <= {before, served(gateway)}, digests)
        gateway.good()
        return seen
