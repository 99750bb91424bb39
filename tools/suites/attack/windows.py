"""Clients of HTTP/2 that take no more of a response: with no window from the start, or with one that never grows."""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import h2.events
import h2.settings

from .gateway import MIB, Gateway
from .http1 import Listener
from .http2 import SERVICE, Stream
from .memory import besieged
from .registry import Encrypted, Run, case
from .wires import bearer, message

WRITE_TIMEOUT_MS = 2000
# Behind the limit, for a machine that is busy.
GRACE_SECONDS = 10
# The bodies of all streams fit the window that a gateway gives at first.
ROWS = 400
STREAMS = 8


class Unread(Stream):
    """A connection with requests whose responses are never read: the client gives no window for them.

    `window` is that of each response in bytes; it never grows.
    """

    def __init__(self, listener: Listener, source: str, window: int) -> None:
        super().__init__(listener, source, timeout=60)
        self.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.flush()

    def ask(self, number: int, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Sends one more request, whose body fits the window of the gateway."""
        top = [(":method", "POST"), (":scheme", self.scheme), (":authority", "127.0.0.1"), (":path", path)]
        stream = 2 * number + 1
        self.state.send_headers(stream, [*top, *headers])
        for begin in range(0, len(body), self.state.max_outbound_frame_size):
            self.state.send_data(stream, body[begin : begin + self.state.max_outbound_frame_size])
        self.state.end_stream(stream)
        self.flush()

    def seconds_to_end(self) -> float:
        """Waits until the gateway ends the connection, and answers nothing that it sends but PING and SETTINGS."""
        begin = time.monotonic()
        try:
            while received := self.socket.recv(65536):
                events = self.state.receive_data(received)
                if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                    break
                self.flush()
        except TimeoutError:
            return time.monotonic() - begin
        except OSError:
            pass
        return time.monotonic() - begin


def unread(gateway: Gateway, listener: Listener, window: int, number: int) -> str:
    """Asks for large responses on one connection, and reads none."""
    headers = [(name.lower(), value) for name, value in (bearer(gateway.token), ("content-type", "application/json"))]
    tensor = {"name": "x", "shape": [ROWS, 4], "datatype": "FP32", "data": [0.5] * (4 * ROWS)}
    path, body = "/v2/models/gram/infer", json.dumps({"inputs": [tensor]}).encode()
    if listener is gateway.calls:
        call = message(ROWS, "gram", "x")
        path, body = f"{SERVICE}/ModelInfer", struct.pack(">BI", 0, len(call)) + call
        headers = [headers[0], ("content-type", "application/grpc"), ("te", "trailers")]
    try:
        client = Unread(listener, f"127.0.0.{31 + number % 4}", window)
        with client.socket:
            for stream in range(STREAMS):
                client.ask(stream, path, headers, body)
            took = client.seconds_to_end()
    except OSError:
        return "closed"
    return "closed" if took < WRITE_TIMEOUT_MS / 1000 + GRACE_SECONDS else f"open after {took:.0f} s"


def attacks(run: Run) -> Callable[[Gateway], Counter[str]]:
    """Clients on each listener with HTTP/2: half have no window at all, half have one for a part of a response."""
    count = run.pick(8, 32)

    def attack(gateway: Gateway) -> Counter[str]:
        listeners = [gateway.calls, *([gateway.rest] if gateway.rest.authority else [])]
        with ThreadPoolExecutor(count) as pool:
            asked = [
                pool.submit(unread, gateway, listeners[number % len(listeners)], (0, 20_000)[number // 2 % 2], number)
                for number in range(count)
            ]
            return Counter(one.result() for one in asked)

    return attack


@case(
    "responses without a window",
    f"connections of HTTP/2 with {STREAMS} large responses each, whose clients give no window, or a small one once",
    "they are ended at the limit of `server.write_timeout_ms`; others are answered, memory stays below the limit",
    encrypted=Encrypted.ALWAYS,
)
def without_window(run: Run) -> str:
    return besieged(run, run.pick(256, 512) * MIB, attacks(run), server__write_timeout_ms=WRITE_TIMEOUT_MS)
