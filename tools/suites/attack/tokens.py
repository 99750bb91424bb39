"""Tokens that are almost right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from .gateway import ROW, SECRET, Gateway, encoded, mint, signed
from .http1 import connect, head, read
from .registry import Run, case, expect

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
        "sub": (..., "", "a\nb", 1, "s" * 5000),
    }
    for name, values in wrong.items():
        for value in values:
            yield f"{name} {str(value)[:20]}", signed(HEADER, claims(**{name: value}))
    text = json.dumps(good)
    yield "two subs", signed(HEADER, text.replace('"sub":', '"sub":"admin","sub":', 1).encode())
    yield "two scopes", signed(HEADER, text.replace('"scope":', '"scope":"manage","scope":', 1).encode())
    for content in (b"hello", b"", b"[]", b"null", b"\xef\xbb\xbf{}", b"{\xff}", b"{} {}"):
        yield f"claims {content!r}", signed(HEADER, content)
    yield "two parts", message
    yield "four parts", f"{message}.{signature}.x"
    yield "signature empty", message + "."
    yield "signature cut", f"{message}.{signature[:-4]}"
    yield "signature padded", f"{message}.{signature}="
    yield "claims of another", f"{message.split('.')[0]}.{encoded(claims(sub='admin'))}.{signature}"
    yield "another key", signed(HEADER, good, SECRET + "x")
    yield "9 KB", signed(HEADER, claims(filler="x" * 9000))


@case("bad tokens", "every token of which one thing is wrong", "401 with a challenge (431 where it is too long)")
def bad_tokens(run: Run) -> str:
    with Gateway(run) as gateway:
        wrong, count = [], 0
        for name, token in bad():
            answer = gateway.ask("POST", "/predict", ROW, token=token, source=f"127.0.2.{1 + count % 200}")
            count += 1
            challenged = "invalid_token" in answer.headers.get("www-authenticate", "")
            if not ((answer.status == 401 and challenged) or answer.status == 431 or answer.status == 429):
                wrong.append(f"{name}: {answer.status}")
        expect(not wrong, "; ".join(wrong))
        gateway.good()
        return f"{count} tokens, each refused"


@case(
    "no token, two tokens, too little scope",
    "the ways to send a token",
    "401 without a code, 400, 403; `bearer` is 200",
)
def ways(run: Run) -> str:
    with Gateway(run) as gateway:

        def sent(*lines: str) -> tuple[int, str]:
            top = head(
                "POST",
                "/predict",
                {
                    "Host": "127.0.0.1",
                    "Content-Type": "application/json",
                    "Connection": "close",
                    "Content-Length": str(len(ROW)),
                },
            )
            with connect(gateway.http) as connection:
                connection.sendall(top[:-2] + "".join(line + "\r\n" for line in lines).encode() + b"\r\n" + ROW)
                answer = read(connection)
                return answer.status, answer.headers.get("www-authenticate", "")

        token = gateway.token
        status, challenge = sent()
        expect(status == 401 and "error" not in challenge, f"no token: {status} {challenge}")
        two = sent(f"Authorization: Bearer {token}", f"Authorization: Bearer {token}")[0]
        expect(two == 400, f"two tokens: {two}")
        query = gateway.ask("POST", f"/predict?access_token={token}", ROW).status
        expect(query == 400, f"a second one in the query: {query}")
        expect(sent(f"authorization: bearer {token}")[0] == 200, "bearer in lower case is refused")
        status, challenge = sent(f"Authorization: Bearer {mint('reader', 'read')}")
        expect(status == 403 and "insufficient_scope" in challenge, f"too little: {status} {challenge}")
        gateway.good()
        return "401 bare, 400, 400, 200, 403"
