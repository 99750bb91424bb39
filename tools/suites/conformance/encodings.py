"""Bodies that are compressed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

from .registry import Miss, NotApplicable, expect, rule
from .server import HEADER_LENGTH, JSON, OCTETS, Model, Server
from .transport import Answer

SECTION = "2 encodings"
ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
# Decompressed: no request, and more than the gateway takes by default.
LARGE_BYTES = 16 << 20


def encoded(server: Server, model: Model, encoding: str, body: bytes, headers: dict[str, str]) -> Answer:
    answer = server.infer(model, ENCODERS[encoding](body), headers | {"Content-Encoding": encoding})
    if answer.status in (415, 501):
        server.refused(answer, 415, 501)
        raise NotApplicable(f"the server says that it does not read {encoding}: {answer.status}")
    return answer


def request_json(encoding: str, server: Server) -> None:
    model = server.model()
    server.same(model, encoded(server, model, encoding, json.dumps(model.body()).encode(), JSON))


def request_binary(encoding: str, server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model, binary_output=True)
    headers = OCTETS | {HEADER_LENGTH: str(len(head))}
    server.same(model, encoded(server, model, encoding, head + blobs, headers))


def unpacked(answer: Answer, unpack: Callable[[bytes], bytes]) -> bytes:
    try:
        return unpack(answer.content)
    except (OSError, zlib.error) as error:
        raise Miss(f"what says that it is packed is not: {error}: {answer.shown()}") from None


def decoded(answer: Answer) -> Answer:
    came = answer.headers.get("Content-Encoding", "identity").lower()
    if came == "gzip":
        return Answer(answer.status, answer.headers, unpacked(answer, gzip.decompress))
    if came == "deflate":
        return Answer(answer.status, answer.headers, unpacked(answer, zlib.decompress))
    expect(came == "identity", f"Content-Encoding {came}, which was not asked for")
    return answer


def answer_encoded(encoding: str, server: Server) -> None:
    model = server.model()
    accept = JSON | {"Accept-Encoding": encoding}
    server.same(model, decoded(server.infer(model, model.body(), accept)))
    if server.has_extension("binary_tensor_data"):
        body = model.body(parameters={"binary_data_output": True})
        server.same(model, decoded(server.infer(model, body, accept)))


def corrupt(encoding: str, server: Server) -> None:
    model = server.model()
    whole = json.dumps(model.body()).encode()
    encoded(server, model, encoding, whole, JSON)
    good = ENCODERS[encoding](whole)
    for body in (b"no such data", good[: len(good) // 2], good[:-1] + bytes([good[-1] ^ 0xFF]), b""):
        answer = server.infer(model, body, JSON | {"Content-Encoding": encoding})
        expect(answer.status == 400, f"{body[:12]!r}: {answer.shown()}")
        server.refused(answer, 400)


for name in ENCODERS:
    rule(f"encoding.{name}", SECTION, f"a request in {name} is read")(
        lambda server, name=name: request_json(name, server)
    )
    rule(
        f"encoding.{name}-binary",
        SECTION,
        f"in {name}, the header counts decoded bytes",
        extension="binary_tensor_data",
    )(lambda server, name=name: request_binary(name, server))
    rule(f"encoding.{name}-answer", SECTION, f"an answer to Accept-Encoding: {name} is in {name} or as it is")(
        lambda server, name=name: answer_encoded(name, server)
    )
    rule(f"encoding.{name}-corrupt", SECTION, f'what is no {name}, or is cut: 400, {{"error"}}')(
        lambda server, name=name: corrupt(name, server)
    )


@rule("encoding.unknown", SECTION, 'an encoding that the server does not read: 415 or 501, {"error"}')
def unknown(server: Server) -> None:
    model = server.model()
    answer = server.infer(model, json.dumps(model.body()).encode(), JSON | {"Content-Encoding": "x-no-such"})
    server.refused(answer, 415, 501)


@rule("encoding.unwanted", SECTION, "no Accept-Encoding: the answer is as it is")
def unwanted(server: Server) -> None:
    came = server.infer(server.model()).headers.get("Content-Encoding", "identity")
    expect(came == "identity", f"Content-Encoding {came}")


@rule("encoding.large", SECTION, '16 MiB of white space in gzip: 400 or 413, {"error"}')
def large(server: Server) -> None:
    model = server.model()
    encoded(server, model, "gzip", json.dumps(model.body()).encode(), JSON)
    answer = server.infer(model, gzip.compress(b" " * LARGE_BYTES), JSON | {"Content-Encoding": "gzip"})
    server.refused(answer, 400, 413)


@rule("encoding.errors", SECTION, "an error can be read whatever Accept-Encoding says")
def errors(server: Server) -> None:
    model = server.model()
    for accept in ("gzip", "deflate", "gzip, deflate, br, zstd"):
        server.refused(decoded(server.infer(model, b"{}", JSON | {"Accept-Encoding": accept})), 400)
