"""The protocol's form where HTTP itself says no: methods, paths, sizes, headers."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from http.client import HTTPMessage

from .registry import Miss, NotApplicable, expect, rule
from .server import JSON, Server
from .transport import Answer

SECTION = "8.17"
PIECE = b" " * (1 << 16)
PATIENCE_SECONDS = 60


@rule("http.method", SECTION, 'another method than a path has: 405, {"error"}, Allow with those it has')
def method(server: Server) -> None:
    model = server.model()
    wrong = [
        ("POST", "/v2"),
        ("POST", "/v2/health/live"),
        ("POST", "/v2/health/ready"),
        ("POST", model.path),
        ("POST", f"{model.path}/ready"),
        ("GET", f"{model.path}/infer"),
        ("PUT", f"{model.path}/infer"),
        ("DELETE", model.path),
    ]
    for verb, path in wrong:
        answer = server.http.ask(verb, path, b"{}" if verb != "GET" else None, JSON)
        expect(answer.status == 405, f"{verb} {path}: {answer.shown()}")
        server.refused(answer, 405)
        expect(bool(answer.headers.get("Allow")), f"{verb} {path}: no Allow")


@rule("http.unknown-path", SECTION, 'a path that is none: 404, {"error"}')
def unknown_path(server: Server) -> None:
    for path in ("/v2/no/such/path", f"{server.model().path}/no-such-thing", "/v2/health/no", "/v2/models/"):
        answer = server.get(path)
        expect(answer.status == 404, f"{path}: {answer.shown()}")
        server.refused(answer, 404)


@rule("http.names-in-paths", SECTION, 'names that are none of a model, of any form: 4xx, {"error"}')
def names_in_paths(server: Server) -> None:
    for name in ("..%2F..%2Fetc", "%00", "%FF%FE", "%C3%28", "a%20b", "%2e%2e", "x" * 3000):
        answer = server.get(f"/v2/models/{name}")
        expect(400 <= answer.status < 500, f"{name[:20]}: {answer.shown()}")
        server.refused(answer)


@rule("http.status", "8.16", "what is well is 200 exactly")
def status(server: Server) -> None:
    model = server.model()
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", model.path, f"{model.path}/ready"):
        answer = server.get(path)
        expect(answer.status == 200, f"{path}: {answer.shown()}")
    expect(server.infer(model).status == 200, "an inference is not 200")


@rule("http.header-case", "8.13", "names of headers in small and large letters")
def header_case(server: Server) -> None:
    model = server.model()
    body = json.dumps(model.body()).encode()
    server.same(model, server.infer(model, body, {"content-type": "application/json"}))
    server.same(model, server.infer(model, body, {"CONTENT-TYPE": "application/json; charset=utf-8"}))


@rule("http.unknown-headers", SECTION, "headers that mean nothing change nothing")
def unknown_headers(server: Server) -> None:
    model = server.model()
    more = {"X-No-Such-Header": "1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    server.same(model, server.infer(model, headers=JSON | more))


@rule("http.chunked", SECTION, "a body in chunks is read")
def chunked(server: Server) -> None:
    model = server.model()
    body = json.dumps(model.body()).encode()
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    server.same(model, server.infer(model, chunks, JSON | {"Transfer-Encoding": "chunked"}))


@rule("http.query", SECTION, "a query after a path changes nothing")
def query(server: Server) -> None:
    model = server.model()
    server.same(model, server.infer(model, path=f"{model.path}/infer?x=1"))


@rule("http.accept", SECTION, "Accept of JSON, of anything and of nothing in particular is answered")
def accept(server: Server) -> None:
    model = server.model()
    for value in ("application/json", "*/*", "application/octet-stream, */*;q=0.1"):
        server.same(model, server.infer(model, headers=JSON | {"Accept": value}))


@rule("http.several-mib", "8.18", "a request of 8 MiB is read (defaults of libraries are 2 and 4)")
def several_mebibytes(server: Server) -> None:
    model = server.model()
    server.same(model, server.infer(model, json.dumps(model.body()).encode() + b" " * (8 << 20)))


def pour(server: Server, declared: int | None) -> Answer:
    """A long body, until the server answers or as much is sent as is allowed."""
    if server.http.secure:
        raise NotApplicable("not checked over TLS")
    model = server.model()
    start = json.dumps(model.body()).encode()
    length = f"Content-Length: {declared}" if declared else "Transfer-Encoding: chunked"
    token = f"Authorization: Bearer {server.http.token}\r\n" if server.http.token else ""
    head = (
        f"POST {server.http.prefix}{model.path}/infer HTTP/1.1\r\nHost: {server.http.host}:{server.http.port}\r\n"
        f"Content-Type: application/json\r\n{token}{length}\r\n\r\n"
    ).encode()
    with socket.create_connection((server.http.host, server.http.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while True:
                if sent >= server.largest_body_mib << 20 or select.select([connection], [], [], 0)[0]:
                    break
                piece = start if sent == 0 else PIECE
                connection.sendall(piece if declared else b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
        came = b""
        if sent < server.largest_body_mib << 20:
            came = read(connection)
    if not came:
        raise NotApplicable(f"{sent >> 20} MiB are sent and not refused")
    top, _, body = came.partition(b"\r\n\r\n")
    return Answer(int(top.split()[1]), HTTPMessage(), body)


def read(connection: socket.socket) -> bytes:
    """All that comes, though the other side may close while it is written to."""
    came, end = b"", time.monotonic() + 5
    with contextlib.suppress(ConnectionError, TimeoutError):
        connection.settimeout(1)
        while time.monotonic() < end:
            part = connection.recv(1 << 16)
            if not part:
                break
            came += part
    if not came:
        raise Miss("the connection is closed without an answer")
    return came


@rule("http.too-large", SECTION, 'a body larger than the server takes, as its length says: 413, {"error"}')
def too_large(server: Server) -> None:
    server.refused(pour(server, server.largest_body_mib << 20), 413)


@rule("http.too-large-chunked", SECTION, 'a body that turns out larger than the server takes: 413, {"error"}')
def too_large_chunked(server: Server) -> None:
    server.refused(pour(server, None), 413)
