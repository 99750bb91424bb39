"""Requests whose length two readers could see differently."""

from __future__ import annotations

import socket

from .gateway import ROW, Gateway
from .http1 import connect, read
from .registry import Encrypted, Run, case, expect

LENGTH = f"Content-Length: {len(ROW)}"
CHUNKED = f"{len(ROW):x}\r\n".encode() + ROW + b"\r\n0\r\n\r\n"

# Name, lines, body, statuses; a connection that is closed without an answer is as good.
BROKEN: tuple[tuple[str, tuple[str, ...], bytes, tuple[int, ...]], ...] = (
    ("Content-Length and Transfer-Encoding", (LENGTH, "Transfer-Encoding: chunked"), CHUNKED, (400,)),
    ("Transfer-Encoding and Content-Length", ("Transfer-Encoding: chunked", LENGTH), CHUNKED, (400,)),
    ("chunked twice", ("Transfer-Encoding: chunked, chunked",), CHUNKED, (400, 501)),
    ("chunked twice in two lines", ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), CHUNKED, (400, 501)),
    ("another coding before chunked", ("Transfer-Encoding: gzip, chunked",), CHUNKED, (400, 501)),
    ("chunked is not the last", ("Transfer-Encoding: chunked, gzip",), CHUNKED, (400, 501)),
    ("two lengths", (LENGTH, f"Content-Length: {len(ROW) + 1}"), ROW, (400,)),
    ("a length with a sign", (f"Content-Length: +{len(ROW)}",), ROW, (400,)),
    ("a length in hex", (f"Content-Length: 0x{len(ROW):x}",), ROW, (400,)),
    ("a negative length", ("Content-Length: -1",), ROW, (400,)),
    ("a space before the colon", (f"Content-Length : {len(ROW)}",), ROW, (400,)),
    ("a folded line", (LENGTH, "X-Folded: a", " b"), ROW, (400,)),
    ("a NUL in a header", (LENGTH, "X-Nul: a\0b"), ROW, (400,)),
    ("a bare CR in a header", (LENGTH, "X-Cr: a\rb"), ROW, (400,)),
    ("a chunk size that is none", ("Transfer-Encoding: chunked",), b"zz\r\n" + ROW, (400,)),
    ("two hosts", (LENGTH, "Host: other"), ROW, (400,)),
    ("200 headers", (LENGTH, *(f"X-{number}: a" for number in range(200))), ROW, (431,)),
    ("a header of 100 KB", (LENGTH, "X-Long: " + "a" * 100_000), ROW, (431,)),
)


@case(
    "broken framing",
    "lengths and codings that contradict each other, and heads beyond the limits",
    "400 (431, 501 where they say more), and the connection is closed",
    encrypted=Encrypted.ALWAYS,
)
def framing(run: Run) -> str:
    with Gateway(run) as gateway:
        wrong = []
        for name, lines, body, statuses in BROKEN:
            top = [
                "POST /predict HTTP/1.1",
                "Host: 127.0.0.1",
                "Content-Type: application/json",
                f"Authorization: Bearer {gateway.token}",
                *lines,
            ]
            with connect(gateway.rest, timeout=10) as connection:
                try:
                    connection.sendall("\r\n".join(top).encode("latin-1") + b"\r\n\r\n" + body)
                    answer = read(connection)
                except (OSError, EOFError):
                    continue
                if answer.status not in statuses:
                    wrong.append(f"{name}: {answer.status}")
                elif not closed(connection):
                    wrong.append(f"{name}: the connection stays open")
        expect(not wrong, "; ".join(wrong))
        gateway.good()
        return f"{len(BROKEN)} forms, each refused"


def closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
