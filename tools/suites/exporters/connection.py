"""HTTP as bytes: requests that are ready are sent on many connections before any answer is read."""

from __future__ import annotations

import socket
from dataclasses import dataclass

TIMEOUT_SECONDS = 30
HEADERS_END = b"\r\n\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def request(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in ({"Content-Type": "application/json"} | (headers or {})).items()]
    return "\r\n".join(lines).encode() + HEADERS_END + body


class Connection:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def receive(self) -> Answer:
        while HEADERS_END not in self.rest:
            self.read_more()
        head, _, self.rest = self.rest.partition(HEADERS_END)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers["content-length"])
        while len(self.rest) < length:
            self.read_more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(int(first.split()[1]), headers, body)

    def read_more(self) -> None:
        content = self.socket.recv(1 << 16)
        if not content:
            raise ConnectionError("the gateway closed the connection")
        self.rest += content

    def close(self) -> None:
        self.socket.close()
