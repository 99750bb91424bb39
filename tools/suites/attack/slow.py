"""Requests that trickle in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .crowd import connect, crowd, read_head, shown
from .gateway import Gateway
from .http1 import Listener, head
from .http2 import SERVICE, STATUSES, Stream
from .registry import Encrypted, Run, case, expect
from .watcher import Watcher
from .wires import JSON, bearer

TIMEOUT_MS = 2000
# Behind the deadline, for a machine that is busy.
GRACE_SECONDS = 2.5


@case(
    "slow heads",
    "heads of no byte, one byte, and a byte a second",
    "closed at the deadline, others are answered",
    encrypted=Encrypted.ALWAYS,
)
def heads(run: Run) -> str:
    with Gateway(run, server__header_timeout_ms=TIMEOUT_MS) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)

        async def client(number: int) -> str:
            reader, writer = await connect(gateway.rest, f"127.0.0.{31 + number % 4}")
            begin = time.monotonic()
            try:
                ended = asyncio.ensure_future(reader.read())
                text = (b"", b"P", head("GET", "/health", {"Host": "127.0.0.1"})[:-2])[number % 3]
                for position in range(len(text)):
                    if ended.done():
                        break
                    writer.write(text[position : position + 1])
                    await asyncio.wait([ended], timeout=1)
                await ended
            finally:
                writer.close()
            took = time.monotonic() - begin
            return "closed in time" if took < TIMEOUT_MS / 1000 + GRACE_SECONDS else f"closed after {took:.0f} s"

        counts = crowd(run.pick(90, 600), client, 15)
        during = watcher.end()
        seen = f"{shown(counts)}; another caller: {during['requests']} asked, {during['lost']} lost"
        expect(set(counts) <= {"closed in time", "closed"}, seen)
        expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
        gateway.good()
        return seen


@case("slow bodies of a caller", "a body of one byte a second", "408 at the deadline", encrypted=Encrypted.ALWAYS)
def bodies(run: Run) -> str:
    with Gateway(run, server__body_timeout_ms=TIMEOUT_MS) as gateway:

        async def client(_: int) -> str:
            reader, writer = await connect(gateway.rest)
            begin = time.monotonic()
            headers = {
                "Host": "127.0.0.1",
                "Content-Type": "application/json",
                "Content-Length": "100",
                "Authorization": f"Bearer {gateway.token}",
            }
            try:
                writer.write(head("POST", "/predict", headers))
                answer = asyncio.ensure_future(read_head(reader))
                while not answer.done():
                    writer.write(b"{")
                    await asyncio.wait([answer], timeout=1)
                status = (await answer).status
            finally:
                writer.close()
            took = time.monotonic() - begin
            return f"{status} in time" if took < TIMEOUT_MS / 1000 + GRACE_SECONDS else f"{status} after {took:.0f} s"

        counts = crowd(run.pick(20, 200), client, 20)
        expect(set(counts) == {"408 in time"}, shown(counts))
        gateway.good()
        return shown(counts)


def trickled(gateway: Gateway, listener: Listener) -> str:
    """Sends a body of one byte a second over HTTP/2. Returns the status, and if it came in time."""
    stream = Stream(listener)
    is_grpc = listener is gateway.calls
    path = f"{SERVICE}/ModelInfer" if is_grpc else "/predict"
    headers = [("content-type", "application/grpc"), ("te", "trailers")] if is_grpc else [JSON]
    begin = time.monotonic()
    with stream.socket:
        stream.begin("POST", path, [*headers, bearer(gateway.token)])
        stream.socket.settimeout(1)
        try:
            while not stream.is_ended:
                stream.state.send_data(1, b"\0")
                stream.flush()
                try:
                    stream.receive()
                except TimeoutError:
                    continue
            code = stream.answer.headers.get("grpc-status")
            what = str(stream.answer.status if code is None else STATUSES.get(int(code)))
        except (OSError, EOFError):
            what = "closed"
    took = time.monotonic() - begin
    return f"{what} in time" if took < TIMEOUT_MS / 1000 + GRACE_SECONDS else f"{what} after {took:.0f} s"


@case(
    "slow bodies over HTTP/2",
    "calls of gRPC, and with TLS requests of REST, whose body comes at one byte a second",
    "408, DEADLINE_EXCEEDED or an end of the connection at the deadline",
    encrypted=Encrypted.ALWAYS,
)
def bodies_2(run: Run) -> str:
    with Gateway(run, server__body_timeout_ms=TIMEOUT_MS) as gateway:
        listeners = [gateway.calls, *([gateway.rest] if run.tls else [])]
        count = run.pick(8, 40)
        with ThreadPoolExecutor(count) as pool:
            asked = [pool.submit(trickled, gateway, listeners[number % len(listeners)]) for number in range(count)]
            counts = Counter(one.result() for one in asked)
        expect(set(counts) <= {"408 in time", "504 in time", "closed in time"}, shown(counts))
        gateway.good()
        return shown(counts)
