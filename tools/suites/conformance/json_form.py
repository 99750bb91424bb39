"""Bodies that are no JSON, or none that means a request."""

from __future__ import annotations

import json
from functools import partial

from .registry import expect, rule
from .server import JSON, Server
from .tensors import Tensor

NESTING = 200
BODIES: list[tuple[str, str, list[bytes]]] = [
    (
        "json.malformed",
        "JSON that breaks off or is none",
        [b'{"inputs": [', b"{'inputs': []}", b"inputs", b'{"inputs" []}'],
    ),
    ("json.empty", "an empty body", [b"", b"  "]),
    ("json.no-object", "JSON that is no object", [b"[]", b"1", b'"text"', b"null", b"true"]),
    ("json.empty-object", "an object without inputs", [b"{}"]),
    ("json.not-utf-8", "bytes that are no UTF-8", [b'{"id": "\xff\xfe", "inputs": []}', b"\xff\xfe{\x00}\x00"]),
    ("json.deep-lists", "lists nested 200 deep", [b'{"inputs": ' + b"[" * NESTING + b"]" * NESTING + b"}"]),
    ("json.deep-objects", "objects nested 200 deep", [b'{"inputs": ' * NESTING + b"1" + b"}" * NESTING]),
]


def refused(bodies: list[bytes], server: Server) -> None:
    model = server.model()
    for body in bodies:
        answer = server.infer(model, body)
        expect(answer.status == 400, f"{body[:30]!r}: {answer.shown()}")
        server.refused(answer, 400)


for name, wrong, bodies in BODIES:
    rule(name, "8.17", f'{wrong}: 400, {{"error"}}')(partial(refused, bodies))


@rule("json.trailing", "8.17", 'anything after the object: 400, {"error"}')
def trailing(server: Server) -> None:
    model = server.model()
    for rest in (b"x", b"{}", b"]", b"\0"):
        server.refused(server.infer(model, json.dumps(model.body()).encode() + rest), 400)


@rule("json.deep-data", "8.17", 'data nested 200 deep: 400, {"error"}')
def deep_data(server: Server) -> None:
    model = server.model()
    first = model.body()["inputs"][0]
    first["data"] = "here"
    deep = "[" * NESTING + "1" + "]" * NESTING
    body = json.dumps({"inputs": [first]}).replace('"here"', deep)
    server.refused(server.infer(model, body.encode()), 400)


@rule("json.lone-surrogate", "8.8", 'half of a surrogate pair in a text: 400, {"error"}; never another character')
def lone_surrogate(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"})
    body = json.dumps(model.body(server.with_input(model, tensor.with_values(["here"] * len(tensor.values)))))
    server.refused(server.post(model.path + "/infer", body.replace("here", "\\ud800").encode(), JSON), 400)


@rule("json.escapes", "8.8", "texts of BYTES mean the same escaped and as they are")
def escapes(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"}, lambda model: model.is_plain())
    changed: list[Tensor] = server.with_input(model, tensor.with_values(['ö€😀\x00\n"'] * len(tensor.values)))
    answers = [
        server.infer(model, json.dumps(model.body(changed), ensure_ascii=ascii_only).encode())
        for ascii_only in (True, False)
    ]
    if any(answer.status != 200 for answer in answers):
        for answer in answers:
            server.refused(answer)
    else:
        expect(server.outputs(answers[0]) == server.outputs(answers[1]), "other outputs")
