"""Numbers and texts that do not fit."""

from __future__ import annotations

import json
import math
import struct

from . import http2
from .gateway import TESTED, Gateway
from .http1 import Answer
from .registry import Encrypted, Run, case, expect
from .wires import bearer, message

DEPTH = 100_000
# Of 32 bits. Twice as much is infinite.
LARGEST = 3.4e38
# In place of the first number of a row.
VALUES = (
    "1e39",
    "-1e39",
    "9" * 60,
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    '"\\ud800"',
    '"text"',
    "true",
    "{}",
    "[" * 50 + "]" * 50,
    "null",
    '"1"',
)
WIDER = ("9223372036854775808", "-9223372036854775809", "1e19", "0.5", "18446744073709551616")
BODIES = (
    "[" * DEPTH,
    '{"features":' * DEPTH,
    '{"features": [5.1, 3.5, 1.4, 0.2], "features": [1, 2, 3, 4]}',
    "",
    "nul",
    "\ufeff",
    '{"features": [5.1, 3.5, 1.4]}',
    '{"instances": []}',
    '{"instances": [[5.1, 3.5, 1.4, 0.2], [1]]}',
)


@case(
    "numbers out of range",
    "numbers beyond their type, NaN (also as bytes, and over gRPC), lone surrogates, depth, members twice",
    "400 or 422 that names the place, in every dialect; never a 5xx",
    encrypted=Encrypted.FULL,
)
def out_of_range(run: Run) -> str:
    models = {"integers.onnx": TESTED / "integers.onnx", "total.onnx": TESTED / "kinds" / "total.onnx"}
    with Gateway(run, models) as gateway:
        wrong, count = [], 0
        for value in VALUES:
            row = f"[{value}, 3.5, 1.4, 0.2]"
            tensor = f'{{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": {row}}}'
            for path, body in (
                ("/predict", f'{{"features": {row}}}'),
                ("/predict", f'{{"instances": [{row}]}}'),
                ("/v1/models/iris:predict", f'{{"instances": [{row}]}}'),
                ("/v2/models/iris/infer", f'{{"inputs": [{tensor}]}}'),
                ("/invocations", f'{{"dataframe_split": {{"data": [{row}]}}}}'),
            ):
                answer = gateway.ask("POST", path, body.encode())
                count += 1
                if answer.status not in (400, 422):
                    wrong.append(f"{path} {value[:12]}: {answer.status}")
                elif path == "/predict" and not any(named(answer.json())):
                    wrong.append(f"{path} {value[:12]}: no place in {json.dumps(answer.json())[:100]}")
        for value in WIDER:
            tensor = f'{{"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [{value}, 1]}}'
            answer = gateway.ask("POST", "/v2/models/integers/infer", f'{{"inputs": [{tensor}]}}'.encode())
            count += 1
            if answer.status != 400:
                wrong.append(f"INT64 {value}: {answer.status}")
        for body in BODIES:
            answer = gateway.ask("POST", "/predict", body.encode())
            count += 1
            if answer.status not in (400, 422):
                wrong.append(f"{body[:20]}: {answer.status}")
        # Bytes carry every number, so the model gets it, and its answer is refused.
        for number in (math.nan, math.inf, -math.inf, LARGEST):
            numbers = (number, number, 1.4, 0.2)
            call = message(1, "total", "x", numbers)
            for what, answer in {
                "gRPC": http2.call(gateway.calls, "ModelInfer", call, [bearer(gateway.token)]),
                "binary": binary(gateway, numbers),
            }.items():
                count += 1
                if answer.status not in (400, 422):
                    wrong.append(f"{what} {number}: {answer.status}")
        expect(not wrong, "; ".join(wrong))
        gateway.good()
        return f"{count} bodies, each refused"


def binary(gateway: Gateway, row: tuple[float, ...]) -> Answer:
    """Sends a row as a binary tensor over REST."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    top = json.dumps({"inputs": [tensor]}).encode()
    body = top + struct.pack("<4f", *row)
    length = {"Inference-Header-Content-Length": str(len(top)), "Content-Type": "application/octet-stream"}
    return gateway.ask("POST", "/v2/models/total/infer", body, length)


def named(document: dict) -> list[bool]:
    return ["pointer" in error for error in document.get("errors", [])]
