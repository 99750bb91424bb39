"""The end under load."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lib.gateway import STOP_SECONDS

from . import http2
from .gateway import ROW, TESTED, Gateway
from .http1 import ask, connect, read, request
from .registry import Encrypted, Run, case, expect
from .slow import GRACE_SECONDS
from .wires import bearer, message

CLIENTS, CALLERS = 8, 2
DELAY_MS, DRAIN_MS = 1500, 3000


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


def calling(gateway: Gateway, ended: threading.Event, outcomes: Counter[str]) -> None:
    """Calls of gRPC, each over a connection of its own."""
    while not ended.is_set():
        try:
            outcomes[f"gRPC {http2.call(gateway.calls, 'ModelInfer', message(), [bearer(gateway.token)]).status}"] += 1
        except (OSError, EOFError) as error:
            outcomes[f"lost: gRPC {type(error).__name__}"] += 1


def hung(gateway: Gateway) -> socket.socket:
    """A client that has sent half of its body, and sends no more."""
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json", "Content-Length": "99"}
    connection = connect(gateway.rest, source="127.0.0.81")
    connection.sendall(request("POST", "/predict", b"{", headers))
    return connection


@case(
    "SIGTERM under load",
    "the signal while 8 clients ask over REST and 2 over gRPC, one of them for a second, and one hangs in its body",
    "readiness is 503 first, no request is lost, it ends with status 0 at the limit for the one that hangs",
    encrypted=Encrypted.ALWAYS,
)
def terminated(run: Run) -> str:
    models = {"slow/1/model.onnx": TESTED / "slow.onnx"}
    settings: dict[str, Any] = {"server__shutdown_delay_ms": DELAY_MS, "server__drain_timeout_ms": DRAIN_MS}
    settings |= {"server__body_timeout_ms": 60_000, "runtime__scheduler": "own_threads"}
    with Gateway(run, models, **settings) as gateway:
        ended, outcomes = threading.Event(), Counter[str]()
        with ThreadPoolExecutor(CLIENTS + CALLERS + 1) as pool:
            load = [pool.submit(until_told, gateway, ended, outcomes) for _ in range(CLIENTS)]
            load += [pool.submit(calling, gateway, ended, outcomes) for _ in range(CALLERS)]
            time.sleep(0.5)
            waiting, begin = hung(gateway), time.monotonic()
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
        # The second signal would end it at once.
        code = gateway.process.wait(STOP_SECONDS)
        took = time.monotonic() - begin
        waiting.close()
        seen = (
            f"{dict(outcomes)}, the long one {status}, ready {ready}, ended with {code} {took:.1f} s after the signal"
        )
        expect(set(outcomes) == {"200", "gRPC 200"} and status == 200 and ready == 503 and code == 0, seen)
        expect(DELAY_MS / 1000 < took < (DELAY_MS + DRAIN_MS) / 1000 + GRACE_SECONDS, seen)
        return seen
