"""Tokens that are almost right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from .gateway import SECRET, Gateway, encoded, mint, signed
from .http1 import ask
from .registry import Encrypted, Run, case, expect
from .wires import Wire, bearer, on_each, wires

HEADER = {"alg": "HS256", "typ": "at+jwt"}


def claims(**changed: object) -> dict[str, object]:
    now = int(time.time())
    good = {
        "iss": "onnx-gateway",
        "aud": "onnx-gateway",
        "sub": "caller",
        "client_id": "caller",
        "iat": now,
        "exp": now + 600,
        "jti": "1",
        "scope": "predict read manage",
    }
    return {name: value for name, value in (good | changed).items() if value is not ...}


def bad() -> Iterator[tuple[str, str]]:
    good, now = claims(), int(time.time())
    message, signature = mint().rsplit(".", 1)
    for algorithm in ("none", "None", "NONE", "nOnE", "noNe", "", "RS256", "HS384", "hs256"):
        token = signed(HEADER | {"alg": algorithm}, good)
        yield f"alg {algorithm!r}", token
        yield f"alg {algorithm!r}, no signature", token.rsplit(".", 1)[0] + "."
    yield "no alg", signed({"typ": "at+jwt"}, good)
    yield "two algs", signed(b'{"alg":"none","alg":"HS256","typ":"at+jwt"}', good)
    for header in (
        {"jku": "http://127.0.0.1:1/"},
        {"x5u": "http://127.0.0.1:1/"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "id_token"},
        {"kid": "../../etc/hostname"},
        {"kid": "' OR 1=1--"},
        {"kid": "k" * 10_000},
        {"kid": 7},
    ):
        yield f"header {next(iter(header))}", signed(HEADER | header, good)
    wrong: dict[str, tuple[Any, ...]] = {
        "exp": (now - 31, ..., "2099-01-01", -1, {}, 253_402_300_800),
        "nbf": (now + 60, "now"),
        "iat": (now + 60, "now", 0),
        "aud": (..., "other", ["other"], [], 1, {}, [1], None),
        "iss": (..., "other", 1),
        "sub": (..., "", "a\nb", 1, "s" * 257, "s" * 5000),
    }
    for name, values in wrong.items():
        for value in values:
            said = "missing" if value is ... else repr(value)[:20]
            yield f"{name} {said}", signed(HEADER, claims(**{name: value}))
    text = json.dumps(good)
    yield "two subs", signed(HEADER, text.replace('"sub":', '"sub":"admin","sub":', 1).encode())
    yield "two scopes", signed(HEADER, text.replace('"scope":', '"scope":"manage","scope":', 1).encode())
    for content in (b"hello", b"", b"[]", b"null", b"\xef\xbb\xbf{}", b"{\xff}", b"{} {}"):
        yield f"claims {content!r}", signed(HEADER, content)
    yield "two parts", message
    yield "four parts", f"{message}.{signature}.x"
    yield "five parts", f"{message}.{signature}.x.y"
    yield "white space", f"{message}. {signature}"
    yield "another alphabet", f"{message}.{signature[:-2]}+/"
    yield "spare bits", f"{message}.{spare(signature)}"
    yield "signature empty", message + "."
    yield "signature cut", f"{message}.{signature[:-4]}"
    yield "signature padded", f"{message}.{signature}="
    yield "claims of another", f"{message.split('.')[0]}.{encoded(claims(sub='admin'))}.{signature}"
    yield "another key", signed(HEADER, good, SECRET + "x")
    yield "9 KB", signed(HEADER, claims(filler="x" * 9000))


def spare(signature: str) -> str:
    """Another spelling of the same bytes: 43 characters of base64 hold two bits more than 32 bytes have."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]


def refused(wire: Wire, tokens: list[tuple[str, str]]) -> str:
    """Sends each token on this wire. Returns the names of those that were not refused as they should be."""
    wrong = []
    for number, (name, token) in enumerate(tokens):
        answer = wire.send(bearer(token), source=f"127.0.2.{1 + number % 200}")
        challenged = "invalid_token" in answer.headers.get("www-authenticate", "")
        if not ((answer.status == 401 and challenged) or answer.status == 431):
            wrong.append(f"{wire.name}, {name}: {answer.status} {answer.headers.get('www-authenticate', '')}")
    expect(not wrong, "; ".join(wrong))
    return f"{len(tokens)} tokens, each refused"


@case(
    "bad tokens",
    "every token of which one thing is wrong",
    "401 with a challenge (431 where it is too long)",
    encrypted=Encrypted.ALWAYS,
)
def bad_tokens(run: Run) -> str:
    with Gateway(run) as gateway:
        tokens = list(bad())
        seen = {wire.name: refused(wire, tokens) for wire in wires(gateway)}
        gateway.good()
        return on_each(gateway, seen)


def ways_on(wire: Wire, token: str) -> str:
    """The ways to send a token, on one wire."""

    def sent(*headers: tuple[str, str]) -> tuple[int, str]:
        answer = wire.send(*headers)
        return answer.status, answer.headers.get("www-authenticate", "")

    status, challenge = sent()
    expect(
        status == 401 and challenge != "" and "error" not in challenge, f"{wire.name}: no token: {status} {challenge}"
    )
    two = sent(bearer(token), bearer(token))[0]
    expect(two == 400, f"{wire.name}: two tokens: {two}")
    lower = sent(("authorization", f"bearer {token}"))[0]
    expect(lower == 200, f"{wire.name}: bearer in lower case: {lower}")
    other = sent(("authorization", f"Basic {token}"))[0]
    expect(other == 401, f"{wire.name}: another scheme: {other}")
    status, challenge = sent(bearer(mint("reader", "read")))
    expect(status == 403 and "insufficient_scope" in challenge, f"{wire.name}: too little: {status} {challenge}")
    return "401 bare, 400 for two, 200 in lower case, 401 for Basic, 403 for too little"


@case(
    "no token, two tokens, too little scope",
    "the ways to send a token",
    "401 without a code, 400, 403; `bearer` is 200",
    encrypted=Encrypted.ALWAYS,
)
def ways(run: Run) -> str:
    with Gateway(run) as gateway:
        seen = {wire.name: ways_on(wire, gateway.token) for wire in wires(gateway)}
        query = gateway.ask("POST", f"/predict?access_token={gateway.token}", b"{}").status
        expect(query == 400, f"a second one in the query: {query}")
        alone = ask(gateway.rest, "POST", f"/predict?access_token={gateway.token}", b"{}").status
        expect(alone in (400, 401), f"one in the query alone: {alone}")
        gateway.good()
        return on_each(gateway, seen)
