"""Numbers and texts that do not fit."""

from __future__ import annotations

import json

from .gateway import TESTED, Gateway
from .registry import Run, case, expect

DEPTH = 10_000
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
    "numbers beyond their type, NaN, lone surrogates, depth, members twice",
    "400 or 422 that names the place, in every dialect; never a 5xx",
)
def out_of_range(run: Run) -> str:
    with Gateway(run, {"integers.onnx": TESTED / "integers.onnx"}) as gateway:
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
        expect(not wrong, "; ".join(wrong))
        gateway.good()
        return f"{count} bodies, each refused"


def named(document: dict) -> list[bool]:
    return ["pointer" in error for error in document.get("errors", [])]
