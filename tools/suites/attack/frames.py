"""Frames of HTTP/2 by hand, on the listener of gRPC, and with TLS on that of REST."""

from __future__ import annotations

import socket
import ssl
import struct
import time

from .gateway import Gateway
from .http1 import Listener, connect
from .registry import Encrypted, Run, case, expect

SETTINGS, PING, PRIORITY, RST_STREAM, HEADERS, GOAWAY = 4, 6, 2, 3, 1, 7
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
ENHANCE_YOUR_CALM = 11
FRAMES = 4000
PART = 50
PAUSE_SECONDS = 0.01


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + content


def literal(name: bytes, value: bytes) -> bytes:
    """A header that is not indexed (RFC 7541 section 6.2.2), short enough for lengths of one byte."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


HEAD = b"".join(
    (
        literal(b":method", b"POST"),
        literal(b":scheme", b"http"),
        literal(b":authority", b"127.0.0.1"),
        literal(b":path", b"/inference.GRPCInferenceService/ServerLive"),
        literal(b"content-type", b"application/grpc"),
    )
)


def flooded(listener: Listener, frames: list[bytes]) -> tuple[int, str]:
    """The number of frames that could be sent before the end, and how the end came."""
    received = b""
    with connect(listener, timeout=10, protocol="h2") as connection:
        connection.sendall(PREFACE)
        sent = 0
        connection.setblocking(False)
        try:
            for begin in range(0, len(frames), PART):
                connection.setblocking(True)
                connection.settimeout(5)
                connection.sendall(b"".join(frames[begin : begin + PART]))
                sent = begin + PART
                time.sleep(PAUSE_SECONDS)
                received += drained(connection)
                if reason(received) is not None:
                    break
            connection.settimeout(2)
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            if reason(received) is None:
                return sent, "it goes on"
        except OSError:
            pass
    code = reason(received)
    return sent, "closed" if code is None else f"GOAWAY {code}"


def drained(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except (BlockingIOError, ssl.SSLWantReadError):
        pass
    return received


def reason(received: bytes) -> int | None:
    """The code of a GOAWAY with an error, if there is one."""
    position = 0
    while position + 9 <= len(received):
        length, kind = int.from_bytes(received[position : position + 3], "big"), received[position + 3]
        if kind == GOAWAY and position + 17 <= len(received):
            return int.from_bytes(received[position + 13 : position + 17], "big") or None
        position += 9 + length
    return None


@case(
    "floods of control frames",
    "some thousand SETTINGS, PING or PRIORITY frames, and streams that are reset at once",
    "the connection is ended, with ENHANCE_YOUR_CALM",
    encrypted=Encrypted.ALWAYS,
)
def control(run: Run) -> str:
    stream = range(1, 2 * 400, 2)
    floods = {
        "SETTINGS": [frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535))] * FRAMES,
        "PING": [frame(PING, 0, 0, b"12345678")] * FRAMES,
        "PRIORITY": [frame(PRIORITY, 0, 3, struct.pack(">IB", 0, 15))] * FRAMES,
        "RST_STREAM": [
            frame(HEADERS, 4, one, HEAD) + frame(RST_STREAM, 0, one, struct.pack(">I", 8)) for one in stream
        ],
    }
    with Gateway(run) as gateway:
        listeners = {"gRPC": gateway.calls} | ({"REST": gateway.rest} if run.tls else {})
        seen = {
            f"{listener}, {name}": flooded(where, frames)
            for listener, where in listeners.items()
            for name, frames in floods.items()
        }
        text = ", ".join(f"{name}: {how} after {count}" for name, (count, how) in seen.items())
        expect(all(how in (f"GOAWAY {ENHANCE_YOUR_CALM}", "closed") for _, how in seen.values()), text)
        gateway.good()
        return text
