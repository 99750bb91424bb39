"""HTTP/1.1 by hand, over loopback alone: requests that a client library would not send."""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


def connect(port: int, source: str = "127.0.0.1", timeout: float = 30) -> socket.socket:
    """A connection to this machine from one of its own addresses: nothing here ever aims at another."""
    if not ipaddress.ip_address(source).is_loopback:
        raise ValueError(f"{source} is not an address of loopback")
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def request(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    headers = {"Host": "127.0.0.1"} | headers
    if body is not None:
        headers.setdefault("Content-Length", str(len(body)))
    return head(method, path, headers) + (body or b"")


def read(connection: socket.socket, is_head: bool = False) -> Answer:
    """The next answer; `EOFError` if the connection ends before it."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            raise EOFError("the connection ended without an answer")
        received += part
    top, _, body = received.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answer = Answer(int(first.split()[1]), headers, body)
    if answer.status == 100:
        return read(connection)
    length = 0 if is_head else int(headers.get("content-length", 0))
    if headers.get("transfer-encoding") == "chunked":
        answer.body = unchunked(connection, body)
    while len(answer.body) < length:
        part = connection.recv(1 << 20)
        if not part:
            raise EOFError("the answer is cut short")
        answer.body += part
    return answer


def unchunked(connection: socket.socket, received: bytes) -> bytes:
    whole = b""
    while True:
        while b"\r\n" not in received:
            received += more(connection)
        size_line, _, received = received.partition(b"\r\n")
        size = int(size_line, 16)
        while len(received) < size + 2:
            received += more(connection)
        whole, received = whole + received[:size], received[size + 2 :]
        if size == 0:
            return whole


def more(connection: socket.socket) -> bytes:
    part = connection.recv(1 << 20)
    if not part:
        raise EOFError("the answer is cut short")
    return part


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    source: str = "127.0.0.1",
    timeout: float = 30,
) -> Answer:
    with connect(port, source, timeout) as connection:
        connection.sendall(request(method, path, body, {"Connection": "close"} | (headers or {})))
        return read(connection, method == "HEAD")


def refusal(answer: Answer) -> str:
    """Names the fault of an answer that may be a refusal; empty for one that is right."""
    if answer.status == 503 and "retry-after" not in answer.headers:
        return "503 without Retry-After"
    return "" if answer.status in (200, 408, 413, 429, 503) else f"{answer.status}"
