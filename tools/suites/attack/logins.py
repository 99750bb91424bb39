"""Wrong secrets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

from .crowd import connect, read_head
from .gateway import CLIENT, CLIENT_SECRET, Gateway
from .http1 import Listener, ask, head
from .registry import Encrypted, Run, case, expect

ADDRESSES = 120
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}


def form(secret: str) -> bytes:
    return f"grant_type=client_credentials&client_id={CLIENT}&client_secret={secret}".replace(" ", "%20").encode()


async def guess(listener: Listener, number: int, ended: threading.Event, counts: Counter[int]) -> None:
    body = form(f"wrong secret {number}")
    sent = head("POST", "/token", {"Host": "127.0.0.1", "Content-Length": str(len(body))} | FORM) + body
    while not ended.is_set():
        begin = time.monotonic()
        try:
            reader, writer = await connect(listener, f"127.0.1.{1 + number}")
            writer.write(sent)
            counts[(await read_head(reader)).status] += 1
            writer.close()
        except (OSError, EOFError):
            counts[0] += 1
        await asyncio.sleep(max(0, 1 - (time.monotonic() - begin)))


@case(
    "wrong secrets of many addresses",
    "120 addresses, a wrong secret of each every second",
    "a client with the right one gets its token within 1 s (5 in the short form), wrong ones get 401, 429 or 503",
    encrypted=Encrypted.FULL,
)
def wrong_secrets(run: Run) -> str:
    with Gateway(run, rate_limit__enabled=True) as gateway:
        ended, counts = threading.Event(), Counter[int]()

        async def all_guess() -> None:
            await asyncio.gather(*(guess(gateway.rest, number, ended, counts) for number in range(ADDRESSES)))

        guessing = threading.Thread(target=lambda: asyncio.run(all_guess()))
        guessing.start()
        try:
            time.sleep(2)
            took, statuses = [], Counter[int]()
            for _ in range(run.pick(3, 10)):
                begin = time.monotonic()
                answer = ask(gateway.rest, "POST", "/token", form(CLIENT_SECRET), FORM, "127.0.0.41")
                took.append(time.monotonic() - begin)
                statuses[answer.status] += 1
                time.sleep(0.3)
        finally:
            ended.set()
            guessing.join()
        seen = f"right: {dict(statuses)} within {max(took):.2f} s; wrong: {dict(counts)}"
        # In the short form the machine may be busy with something else.
        expect(set(statuses) == {200} and max(took) < run.pick(5, 1), seen)
        expect(set(counts) <= {401, 429, 503}, seen)
        gateway.good()
        return seen
