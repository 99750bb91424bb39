"""Requests that trickle in."""

from __future__ import annotations

import asyncio
import time

from .crowd import connect, crowd, read_head, shown
from .gateway import Gateway
from .http1 import head
from .registry import Encrypted, Run, case, expect
from .watcher import Watcher

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
