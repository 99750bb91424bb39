"""The end under load."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .gateway import ROW, TESTED, Gateway
from .http1 import ask, connect, read, request
from .registry import Encrypted, Run, case, expect

CLIENTS = 8


def until_told(gateway: Gateway, ended: threading.Event, outcomes: Counter[str]) -> None:
    """A connection as a balancer keeps it: another one when the gateway says that it closes this one."""
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
    sent, connection = request("POST", "/predict", ROW, headers), None
    while not ended.is_set():
        try:
            connection = connection or connect(gateway.rest)
            connection.sendall(sent)
            answer = read(connection)
            outcomes[str(answer.status)] += 1
            if answer.closes:
                connection.close()
                connection = None
        except (OSError, EOFError) as error:
            outcomes[f"lost: {type(error).__name__}"] += 1
            connection = None


@case(
    "SIGTERM under load",
    "the signal while 8 clients ask, one of them for a second",
    "readiness is 503 first, no request is lost, it ends with status 0 in time",
    encrypted=Encrypted.ALWAYS,
)
def terminated(run: Run) -> str:
    models = {"slow/1/model.onnx": TESTED / "slow.onnx"}
    with Gateway(run, models, server__shutdown_delay_ms=1500, runtime__scheduler="own_threads") as gateway:
        ended, outcomes = threading.Event(), Counter[str]()
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            load = [pool.submit(until_told, gateway, ended, outcomes) for _ in range(CLIENTS)]
            time.sleep(0.5)
            body = json.dumps({"features": {"turns": 300_000}}).encode()
            gateway.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            ready = ask(gateway.rest, "GET", "/health/ready").status
            # Asked while it ends, and answered later.
            slow = pool.submit(gateway.ask, "POST", "/models/slow/predict", body)
            time.sleep(0.8)
            # By now a balancer has seen that it is not ready.
            ended.set()
            for one in load:
                one.result()
            status = slow.result().status
        begin = time.monotonic()
        code = gateway.stop()
        took = time.monotonic() - begin
        seen = f"{dict(outcomes)}, the long one {status}, ready {ready}, ended with {code} {took:.1f} s later"
        expect(set(outcomes) == {"200"} and status == 200 and ready == 503 and code == 0, seen)
        return seen
