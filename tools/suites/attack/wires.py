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
def message(
    rows: int = 1, model: str = "iris", features: str = "features", row: tuple[float, ...] = (5.1, 3.5, 1.4, 0.2)
) -> bytes:
    """A ModelInferRequest with rows of numbers. Its fields: model_name 1, inputs 5.

    Those of an input: name 1, datatype 2, shape 3, contents 5, which has fp32_contents 6.
    """
    values = struct.pack(f"<{len(row)}f", *row) * rows
    shape = varint(rows) + varint(len(row))
    tensor = field(1, features.encode()) + field(2, b"FP32") + field(3, shape) + field(5, field(6, values))
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
        if self.is_grpc:
            return http2.call(self.gateway.calls, "ModelInfer", message(rows), list(headers), source, timeout)
        row = [5.1, 3.5, 1.4, 0.2]
        body = ROW if rows == 1 else json.dumps({"instances": [row] * rows}).encode()
        return self.post("/predict", body, JSON, *headers, source=source, timeout=timeout)

    def post(
        self, path: str, body: bytes, *headers: tuple[str, str], source: str = HOST, timeout: float = 30
    ) -> Answer:
        """Sends a body to a path of REST, with these headers alone."""
        expect(not self.is_grpc, f"{self.name} has no {path}")
        send = http2.ask if "HTTP/2" in self.name else ask
        return send(self.gateway.rest, "POST", path, body, list(headers), source, timeout)

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
