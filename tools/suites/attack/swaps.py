"""Swaps and deadlines under load."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from . import http2
from .files import IRIS, LOAD, RETRAINED, asked_until, served
from .gateway import TESTED, Gateway, until
from .http1 import Answer
from .registry import Encrypted, Run, case, expect
from .wires import bearer, message


def differs(gateway: Gateway, before: str) -> bool:
    return served(gateway) != before


@case(
    "swaps under load",
    "100 swaps between two models (10 in the short form) while others ask",
    "every answer is 200, and is what the version in its header answers",
    encrypted=Encrypted.FULL,
)
def swaps(run: Run) -> str:
    with Gateway(run) as gateway:
        ended, statuses = threading.Event(), Counter[int]()
        answers: dict[str, set[bytes]] = {}
        with ThreadPoolExecutor(LOAD) as pool:
            load = [pool.submit(asked_until, gateway, ended, answers, statuses) for _ in range(LOAD)]
            try:
                for number in range(run.pick(10, 100)):
                    before = served(gateway)
                    gateway.put("iris/1/model.onnx", (RETRAINED, IRIS)[number % 2])
                    until(partial(differs, gateway, before), 30, f"swap {number}")
            finally:
                ended.set()
            for one in load:
                one.result()
        seen = f"{sum(statuses.values())} answers, {dict(statuses)}, of {len(answers)} versions"
        expect(set(statuses) == {200}, seen)
        expect(len(answers) == 2 and all(len(bodies) == 1 for bodies in answers.values()), f"different answers: {seen}")
        gateway.good()
        return seen


def called(gateway: Gateway, turns: float) -> Answer:
    """Calls the slow model over gRPC."""
    return http2.call(gateway.calls, "ModelInfer", message(1, "slow", "turns", (turns,)), [bearer(gateway.token)])


@case(
    "inferences past their deadline",
    "runs of half a minute, with half a second for an answer, over REST and gRPC",
    "504 (DEADLINE_EXCEEDED) in time; the runs are ended: the next short one is answered",
    encrypted=Encrypted.FULL,
)
def deadline(run: Run) -> str:
    models = {"slow/1/model.onnx": TESTED / "slow.onnx"}
    with Gateway(run, models, server__request_timeout_ms=500, runtime__instances=1) as gateway:
        long = json.dumps({"features": {"turns": 2e7}}).encode()
        count = run.pick(8, 100)
        with ThreadPoolExecutor(8) as pool:
            begin = time.monotonic()
            asked = [pool.submit(gateway.ask, "POST", "/models/slow/predict", long) for _ in range(count)]
            asked += [pool.submit(called, gateway, 2e7) for _ in range(count)]
            statuses = Counter(one.result().status for one in asked)
            took = time.monotonic() - begin
        short = gateway.ask("POST", "/models/slow/predict", json.dumps({"features": {"turns": 3}}).encode())
        after = [short.status, called(gateway, 3).status]
        seen = f"{dict(statuses)} in {took:.1f} s, then {after}"
        expect(set(statuses) <= {504, 503} and statuses[504] > 0 and after == [200, 200], seen)
        gateway.good()
        return seen
