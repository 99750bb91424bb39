"""Connections: held by few, and ended without saying so."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from typing import Any

from .crowd import connect, read_head
from .frames import PREFACE, frame
from .gateway import ROW, Gateway, mint
from .http1 import Listener, ask, head, read, request
from .http1 import connect as connect_now
from .registry import Encrypted, Run, case, expect

FILL_SECONDS = 3
ASK = head("GET", "/health", {"Host": "127.0.0.1"})


async def hold(listener: Listener, source: str, first: bytes, ended: asyncio.Event) -> None:
    """Keeps a connection busy with something cheap; one that is closed is opened again."""
    protocol = "http/1.1" if first == ASK else "h2"
    while not ended.is_set():
        try:
            reader, writer = await asyncio.wait_for(connect(listener, source, protocol), 5)
            try:
                writer.write(first)
                while not ended.is_set():
                    if first == ASK:
                        await asyncio.wait_for(read_head(reader), 5)
                    await asyncio.sleep(0.5)
                    writer.write(ASK if first == ASK else frame(6, 0, 0, b"12345678"))
                    await writer.drain()
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.1)


async def filled(gateway: Gateway, each: int, health: list[str]) -> str:
    ended = asyncio.Event()
    holders = [
        asyncio.ensure_future(hold(listener, f"127.0.0.{address}", first, ended))
        for listener, first in ((gateway.rest, ASK), (gateway.calls, PREFACE))
        for address in range(11, 15)
        for _ in range(each)
    ]
    await asyncio.sleep(FILL_SECONDS)
    try:
        begin = time.monotonic()
        answer = await asyncio.to_thread(ask, gateway.rest, "GET", "/health", None, None, "127.0.0.15", 5)
        fifth = time.monotonic() - begin
        begin = time.monotonic()
        done = await asyncio.to_thread(subprocess.run, health, capture_output=True, text=True, timeout=20)
        took = time.monotonic() - begin
    finally:
        ended.set()
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)
    seen = f"a fifth got {answer.status} after {fifth:.2f} s; health ended with {done.returncode} after {took:.2f} s"
    expect(answer.status == 200 and fifth < 1, seen)
    expect(done.returncode == 0 and took < 2, f"{seen} {done.stderr.strip()[:100]}")
    return seen


@case(
    "all connections of four addresses",
    "four addresses hold as many connections as there are, on both listeners",
    "a fifth address is answered within 1 s, `onnx-gateway health` within 2 s",
    encrypted=Encrypted.FULL,
)
def held(run: Run) -> str:
    most = run.pick(128, 1024)
    with Gateway(run, server__max_connections=most, server__max_connections_per_address=most // 4) as gateway:
        health = [str(run.binary), "--config", str(gateway.settings), "health"]
        # A few more than there is room for, so that it is full.
        seen = asyncio.run(filled(gateway, most // 4 + 2, health))
        gateway.good()
        return seen


def apart(gateway: Gateway, name: str, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """Head and body in packets of their own, then another request; says what is wrong."""
    with connect_now(gateway.rest, "127.0.0.21", 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head(method, path, {"Host": "127.0.0.1", "Content-Length": str(len(body))} | headers))
        time.sleep(0.05)
        try:
            connection.sendall(body)
            answer = read(connection)
            if answer.closes:
                return f"{name}: {answer.status}, closes"
            connection.sendall(request("GET", "/health", None, {}))
            return f"{name}: {answer.status}, next {read(connection).status}"
        except (OSError, EOFError) as error:
            return f"{name}: LOST ({type(error).__name__})"


@case(
    "head and body apart",
    "a body in a later packet than its head, behind each status that refuses",
    "the next request on the connection is answered, or the answer said that it closes",
    encrypted=Encrypted.FULL,
)
def in_two_packets(run: Run) -> str:
    settings: dict[str, Any] = {
        "rate_limit__enabled": True,
        "rate_limit__per_caller__requests": 1,
        "rate_limit__per_address__requests": 1000,
        "server__max_body_bytes": 65536,
    }
    # One section is a table within another.
    settings = {name.replace("rate_limit__per", "rate_limit.per"): value for name, value in settings.items()}
    with Gateway(run, **settings) as gateway:
        json_type = {"Content-Type": "application/json"}

        def with_token(scope: str = "predict", subject: str = "") -> dict[str, str]:
            return json_type | {"Authorization": f"Bearer {mint(subject or str(time.monotonic_ns()), scope)}"}

        gateway.ask("POST", "/predict", ROW, token=mint("poor"))
        found = []
        for size in (100, 3000):
            body = ROW + b" " * (size - len(ROW))
            found += [
                apart(gateway, "401", "POST", "/predict", json_type, body),
                apart(gateway, "403", "POST", "/predict", with_token(""), body),
                apart(gateway, "404", "POST", "/nothing", with_token(), body),
                apart(gateway, "405", "PUT", "/predict", with_token(), body),
                apart(gateway, "415", "POST", "/predict", with_token() | {"Content-Type": "text/plain"}, body),
                apart(gateway, "429", "POST", "/predict", with_token(subject="poor"), body),
                apart(gateway, "health", "GET", "/health", {}, body),
            ]
        lost = [one for one in found if "LOST" in one]
        expect(not lost, "; ".join(lost))
        statuses = [one for one in found if one.split(":")[0].isdigit() and one[:3] != one[5:8]]
        expect(not statuses, "; ".join(statuses))
        gateway.good()
        return f"{len(found)} refusals, none lost"
