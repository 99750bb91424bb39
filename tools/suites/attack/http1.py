"""HTTP/1.1 by hand, over loopback alone: requests that a client library would not send."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
Headers = dict[str, str] | list[tuple[str, str]]


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


@cache
def context(authority: Path, protocol: str) -> ssl.SSLContext:
    """Trust in one authority, with one protocol to choose (ALPN)."""
    found = ssl.create_default_context(cafile=authority)
    found.set_alpn_protocols([protocol])
    return found


@dataclass(frozen=True)
class Listener:
    """A listener of a gateway on this machine: its port, and the authority of its certificate; `None` without TLS."""

    port: int
    authority: Path | None = None

    def tls(self, protocol: str = "http/1.1") -> ssl.SSLContext | None:
        return context(self.authority, protocol) if self.authority else None


def from_here(source: str) -> str:
    """Returns the address if it is this machine's: nothing here aims at another, or comes from one."""
    if not ipaddress.ip_address(source).is_loopback:
        raise ValueError(f"{source} is not an address of loopback")
    return source


def connect_plain(listener: Listener, source: str = HOST, timeout: float = 30) -> socket.socket:
    """A connection before TLS."""
    return socket.create_connection((HOST, listener.port), timeout, (from_here(source), 0))


def connect(listener: Listener, source: str = HOST, timeout: float = 30, protocol: str = "http/1.1") -> socket.socket:
    """A connection to this machine from one of its own addresses, with a TLS handshake where the listener has TLS."""
    plain, tls = connect_plain(listener, source, timeout), listener.tls(protocol)
    if tls is None:
        return plain
    try:
        return tls.wrap_socket(plain, server_hostname=HOST)
    except BaseException:
        plain.close()
        raise


def pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, dict) else headers


def head(method: str, path: str, headers: Headers) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs(headers))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def request(method: str, path: str, body: bytes | None, headers: Headers) -> bytes:
    lines = [("Host", HOST), *pairs(headers)]
    if body is not None and all(name.lower() != "content-length" for name, _ in lines):
        lines.append(("Content-Length", str(len(body))))
    return head(method, path, lines) + (body or b"")


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
    listener: Listener,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Headers | None = None,
    source: str = HOST,
    timeout: float = 30,
) -> Answer:
    with connect(listener, source, timeout) as connection:
        connection.sendall(request(method, path, body, [("Connection", "close"), *pairs(headers or {})]))
        return read(connection, method == "HEAD")


def refusal(answer: Answer) -> str:
    """Names the fault of an answer that may be a refusal; empty for one that is right."""
    if answer.status == 503 and "retry-after" not in answer.headers:
        return "503 without Retry-After"
    return "" if answer.status in (200, 408, 413, 429, 503) else f"{answer.status}"
