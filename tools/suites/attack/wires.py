"""The ways in which a prediction reaches a gateway: HTTP/1.1, HTTP/2 (with TLS), and gRPC."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from . import http2
from .gateway import ROW, Gateway
from .http1 import HOST, Answer, Headers, ask, pairs
from .registry import expect

JSON = ("Content-Type", "application/json")


def varint(number: int) -> bytes:
    """A number in base 128, the least significant digits first."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    """A field of a message that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


@cache
def message(rows: int = 1, model: str = "iris") -> bytes:
    """A ModelInferRequest with rows of four numbers. Its fields: model_name 1, inputs 5.

    Those of an input: name 1, datatype 2, shape 3, contents 5, which has fp32_contents 6.
    """
    values = struct.pack("<4f", 5.1, 3.5, 1.4, 0.2) * rows
    shape = varint(rows) + varint(4)
    tensor = field(1, b"features") + field(2, b"FP32") + field(3, shape) + field(5, field(6, values))
    return field(1, model.encode()) + field(5, tensor)


@dataclass(frozen=True)
class Wire:
    """One way to a gateway."""

    name: str
    gateway: Gateway

    @property
    def is_grpc(self) -> bool:
        return self.name.startswith("gRPC")

    def send(self, *headers: tuple[str, str], source: str = HOST, rows: int = 1, timeout: float = 30) -> Answer:
        """Sends a prediction with these headers alone: none of them is a token unless it is given."""
        row = [5.1, 3.5, 1.4, 0.2]
        body = ROW if rows == 1 else json.dumps({"instances": [row] * rows}).encode()
        if self.is_grpc:
            return http2.call(self.gateway.calls, "ModelInfer", message(rows), list(headers), source, timeout)
        if "HTTP/2" in self.name:
            return http2.ask(self.gateway.rest, "POST", "/predict", body, [JSON, *headers], source, timeout)
        return ask(self.gateway.rest, "POST", "/predict", body, [JSON, *headers], source, timeout)

    def predict(self, token: str | None = None, headers: Headers | None = None, **how: Any) -> Answer:
        """Sends a prediction with a token: by default the gateway's own."""
        return self.send(bearer(token or self.gateway.token), *pairs(headers or {}), **how)


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


def wires(gateway: Gateway) -> Iterator[Wire]:
    """Each way to this gateway. HTTP/2 of REST needs TLS, where it is chosen by ALPN."""
    tls = ", TLS" if gateway.rest.authority else ""
    yield Wire(f"HTTP/1.1{tls}", gateway)
    if tls:
        yield Wire(f"HTTP/2{tls}", gateway)
    yield Wire(f"gRPC{tls}", gateway)


def on_each(gateway: Gateway, seen: dict[str, str]) -> str:
    """Joins the observations of each wire; all wires have to be there."""
    names = [wire.name for wire in wires(gateway)]
    expect(list(seen) == names, f"tried {list(seen)} of {names}")
    told = set(seen.values())
    return f"{told.pop()} ({', '.join(names)})" if len(told) == 1 else "; ".join(f"{k}: {v}" for k, v in seen.items())
