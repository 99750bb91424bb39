"""Many clients at once, each one as a task: what they got, and how long they were kept."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from .http1 import Answer

READ_BYTES = 65536


async def connect(port: int, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not ipaddress.ip_address(source).is_loopback:
        raise ValueError(f"{source} is not an address of loopback")
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=READ_BYTES)


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
