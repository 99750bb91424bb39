"""Changes of files under a gateway that serves them."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lib.gateway import REPOSITORY

from .gateway import ROW, TESTED, Gateway, until
from .http1 import connect, read, request
from .registry import Run, case, expect
from .watcher import Watcher

IRIS = REPOSITORY / "models/iris/1/model.onnx"
RETRAINED = TESTED / "iris_retrained.onnx"
SWAP_SECONDS = 30
LOAD = 2


def served(gateway: Gateway) -> str:
    return gateway.ask("POST", "/predict", b'{"features": [5.1, 3.5, 1.4, 0.2]}').headers.get("x-model-digest", "")


def swapped(gateway: Gateway, source: Path | bytes, what: str, seconds: float = SWAP_SECONDS) -> None:
    """A new file is served after this, without a restart."""
    before = served(gateway)
    gateway.put("iris/1/model.onnx", source)
    until(lambda: served(gateway) not in ("", before), seconds, what)


def undisturbed(watcher: Watcher) -> str:
    during = watcher.end()
    seen = f"{during['requests']} requests, {during['statuses']}, {during['lost']} lost"
    expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
    return seen


def asked_until(
    gateway: Gateway,
    ended: threading.Event,
    answers: dict[str, set[bytes]],
    statuses: Counter[int],
    path: str = "/predict",
    body: bytes = ROW,
) -> None:
    """Asks over one connection, and collects the answers of each version by its digest."""
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    sent = request("POST", path, body, headers)
    with connect(gateway.rest) as connection:
        while not ended.is_set():
            connection.sendall(sent)
            answer = read(connection)
            statuses[answer.status] += 1
            answers.setdefault(answer.headers.get("x-model-digest", ""), set()).add(answer.body)


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
    "weights that are overwritten",
    "the weights of a model in a file beside it, overwritten in place, then truncated, while others ask for it",
    "every answer is right, by the weights that its digest names",
)
def weights(run: Run) -> str:
    folder = TESTED / "external"
    models = {f"external/1/{name}": folder / name for name in ("model.onnx", "weights.bin")}
    with Gateway(run, models) as gateway:
        until(lambda: gateway.serves("external"), SWAP_SECONDS, "it serves")
        answers: dict[str, set[bytes]] = {}
        path, ended, statuses = gateway.repository / "external/1/weights.bin", threading.Event(), Counter[int]()
        whole, other = path.read_bytes(), (TESTED / "external_retrained/weights.bin").read_bytes()
        body = b'{"features": [1.0, 1.0]}'
        with ThreadPoolExecutor(LOAD) as pool:
            arguments = (gateway, ended, answers, statuses, "/models/external/predict", body)
            load = [pool.submit(asked_until, *arguments) for _ in range(LOAD)]
            try:
                for content in (whole[:4] + other[4:], b"", whole[:4], other):
                    # In place: a mapping of the file would see it at once.
                    path.write_bytes(content)
                    time.sleep(run.pick(1, 6) / 4)
                until(lambda: len(answers) > 1, SWAP_SECONDS, "other weights serve")
            finally:
                ended.set()
            for one in load:
                one.result()
        predicted = {json.loads(one)["prediction"] for bodies in answers.values() for one in bodies}
        seen = f"{sum(statuses.values())} answers, {dict(statuses)}, {sorted(predicted)}"
        expect(set(statuses) == {200} and all(len(bodies) == 1 for bodies in answers.values()), seen)
        # 2 a + 3 b, 4 a + 5 b, and what lay there for a while.
        expect(predicted <= {5.0, 9.0, 7.0} and {5.0, 9.0} <= predicted, seen)
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
