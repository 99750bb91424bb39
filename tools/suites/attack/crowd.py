"""Many clients at once, each one as a task: what they got, and how long they were kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from .http1 import HOST, Answer, Listener, from_here

READ_BYTES = 65536


async def connect_plain(listener: Listener, source: str = HOST) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection before TLS."""
    return await asyncio.open_connection(HOST, listener.port, local_addr=(from_here(source), 0), limit=READ_BYTES)


async def connect(
    listener: Listener, source: str = HOST, protocol: str = "http/1.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, with a TLS handshake where the listener has TLS."""
    tls = listener.tls(protocol)
    name = HOST if tls else None
    return await asyncio.open_connection(
        HOST, listener.port, local_addr=(from_here(source), 0), limit=READ_BYTES, ssl=tls, server_hostname=name
    )


async def read_head(reader: asyncio.StreamReader) -> Answer:
    top = await reader.readuntil(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, b"")


async def send_all(writer: asyncio.StreamWriter, content: bytes) -> None:
    """A part at a time: a gateway that does not read is not sent more."""
    view = memoryview(content)
    for begin in range(0, len(view), READ_BYTES):
        writer.write(view[begin : begin + READ_BYTES])
        await writer.drain()


async def ended(*tasks: Coroutine[Any, Any, str], seconds: float) -> Counter[str]:
    """Counts the outcomes of all tasks within the time."""
    running = [asyncio.ensure_future(task) for task in tasks]
    done, late = await asyncio.wait(running, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return Counter(outcome(task) for task in done) + Counter({"still waiting": len(late)} if late else {})


def outcome(task: asyncio.Future[str]) -> str:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, (OSError, EOFError, asyncio.IncompleteReadError)):
        return "closed"
    raise error


def crowd(count: int, client: Callable[[int], Coroutine[Any, Any, str]], seconds: float) -> Counter[str]:
    async def together() -> Counter[str]:
        return await ended(*(client(number) for number in range(count)), seconds=seconds)

    return asyncio.run(together())


def shown(counts: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counts.most_common())
