"""Requests of many rows: each row costs one, on every protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial

from . import http2
from .gateway import Gateway, mint
from .http1 import Answer
from .limits import quota
from .registry import Encrypted, Run, case, expect
from .wires import JSON, Wire, bearer, field, message, on_each, wires

MOST = 100
ROW = [5.1, 3.5, 1.4, 0.2]
ASK = "/ask"
Send = Callable[[int, str], Answer]


def bodies(rows: int) -> Iterator[tuple[str, str, bytes, list[tuple[str, str]]]]:
    """A name, a path, a body with so many rows, and headers: each protocol of REST, in each of its forms."""
    instances = [ROW] * rows
    tensor = {"name": "features", "datatype": "FP32", "shape": [rows, len(ROW)]}
    bytes_of_rows = struct.pack("<4f", *ROW) * rows
    top = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(bytes_of_rows)}}]}).encode()
    csv = ",".join(map(str, ROW)) + "\n"
    in_json = {
        ("native, instances", "/predict"): {"instances": instances},
        ("native, inputs", "/models/iris/predict"): {"inputs": {"features": instances}},
        ("Open Inference", "/v2/models/iris/infer"): {"inputs": [tensor | {"data": ROW * rows}]},
        ("TensorFlow Serving, instances", "/v1/models/iris:predict"): {"instances": instances},
        ("TensorFlow Serving, inputs", "/v1/models/iris:predict"): {"inputs": instances},
        ("MLflow, inputs", "/invocations"): {"inputs": instances},
        ("MLflow, dataframe_split", "/invocations"): {"dataframe_split": {"data": instances}},
        ("Vertex AI", ASK): {"instances": instances},
    }
    for (name, path), document in in_json.items():
        yield name, path, json.dumps(document).encode(), [JSON]
    length = ("Inference-Header-Content-Length", str(len(top)))
    yield "Open Inference, binary", "/v2/models/iris/infer", top + bytes_of_rows, [length]
    yield "SageMaker, CSV", "/invocations", (csv * rows).encode(), [("Content-Type", "text/csv; header=absent")]


def by_rest(wire: Wire, name: str, rows: int, token: str) -> Answer:
    """Sends rows in one of the forms above."""
    path, body, headers = next((path, body, headers) for one, path, body, headers in bodies(rows) if one == name)
    return wire.post(path, body, bearer(token), *headers)


def by_stream(wire: Wire, rows: int, token: str) -> Answer:
    """Sends rows as the one message of a stream. The status is that of the error in its response, if it has one."""
    answer = http2.call(wire.gateway.calls, "ModelStreamInfer", message(rows), [bearer(token)])
    # Field 1 of a response is the error, which names the quota; field 2 is the response of the model.
    if answer.status == 200 and answer.body[:1] == field(1, b"")[:1]:
        answer.status = 413 if b"more rows" in answer.body or b"at most" in answer.body else 429
    return answer


def forms(wire: Wire) -> dict[str, Send]:
    """The forms in which rows can be sent on this wire."""
    if not wire.is_grpc:
        return {name: partial(by_rest, wire, name) for name, *_ in bodies(1)}
    unary: Send = lambda rows, token: wire.predict(token, rows=rows)  # noqa: E731 - it is one of two
    return {"ModelInfer": unary, "ModelStreamInfer": partial(by_stream, wire)}


def left(answer: Answer) -> str:
    """The rest of the caller's quota, as the response says it."""
    policies = answer.headers.get("ratelimit", "").split(", ")
    return next((one.partition("r=")[2].partition(";")[0] for one in policies if one.startswith('"caller"')), "")


def charged(wire: Wire, name: str, send: Send) -> list[str]:
    """Sends rows that fit, rows that do not fit any more, and rows that never fit. Returns what is wrong."""
    token, wrong = mint(f"{wire.name} {name}"), []

    def note(right: bool, what: str, answer: Answer) -> None:
        if not right:
            seen = f"{answer.status}, RateLimit {answer.headers.get('ratelimit')}, {answer.body[:150]!r}"
            wrong.append(f"{wire.name}, {name}, {what}: {seen}")

    fits, late, never, last = (send(rows, token) for rows in (30, MOST - 29, MOST + 1, 1))
    is_stream = name == "ModelStreamInfer"
    note(fits.status == 200 and (is_stream or left(fits) == str(MOST - 30)), "30 rows", fits)
    note(late.status == 429 and (is_stream or "retry-after" in late.headers), f"{MOST - 29} rows", late)
    # gRPC has one code for both; only what helps has a time.
    status = 429 if name == "ModelInfer" else 413
    note(never.status == status and "retry-after" not in never.headers, f"{MOST + 1} rows", never)
    # The two refusals have cost one each, and this one.
    note(last.status == 200 and (is_stream or left(last) == str(MOST - 33)), "one row", last)
    return wrong


@case(
    "rows of a batch",
    f"30 rows, {MOST - 29}, {MOST + 1} and one, of {MOST} an hour, in every form of every protocol",
    "30 are charged 30; more than is left is 429 with Retry-After, more than the quota 413 without it, and each costs "
    "one; the last is answered",
    encrypted=Encrypted.ALWAYS,
)
def batches(run: Run) -> str:
    with Gateway(run, dialects__vertex_predict_route=ASK, **quota("caller", MOST)) as gateway:
        seen = {}
        for wire in wires(gateway):
            wrong = [one for name, send in forms(wire).items() for one in charged(wire, name, send)]
            expect(not wrong, "; ".join(wrong))
            seen[wire.name] = f"{len(forms(wire))} forms, each charged by its rows"
        gateway.good()
        return on_each(gateway, seen)
