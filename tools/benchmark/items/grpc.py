"""One row a request over gRPC, beside REST."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import partial

from ..bench import Bench
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, Request, Row, as_floats, binary_request, iris_rows
from . import iris_1

CONNECTIONS = (1, 32)
METHOD = "/inference.GRPCInferenceService/ModelInfer"
# Fields of ModelInferRequest and of its InferInputTensor, all of them of wire type 2.
MODEL_NAME, INPUTS, RAW_INPUT_CONTENTS = 1, 5, 7
NAME, DATATYPE, SHAPE = 1, 2, 3


def measure(bench: Bench) -> list[Result]:
    rows = iris_rows(ONE_ROW_BODIES)
    everyone = iris_1.started(bench, [name for name in ("echo",) if name in bench.others])
    gateway = everyone[0]
    authorized = {name: value for name, value in gateway.request.headers.items() if name == "authorization"}
    results = []
    for number in CONNECTIONS:
        load = bench.load(number)
        runs: Runs = {
            one.name: partial(bench.run, one, one.request, [one.request.body([row]) for row in rows], load)
            for one in everyone
        }
        tensors = binary_request("/v2/models/iris/infer", "features", rows[:1], authorized)
        runs["gateway, /v2 bytes"] = partial(bench.run, gateway, tensors, [tensors.body([row]) for row in rows], load)
        request = Request(METHOD, authorized, message)
        runs["gateway, gRPC"] = partial(
            bench.run, gateway, request, [message([row]) for row in rows], replace(load, grpc_port=gateway.grpc_port)
        )
        results += alternate("grpc", f"{number} connection{'s' if number > 1 else ''}", runs, bench.rounds)
    return results


def message(rows: list[Row]) -> bytes:
    """A ModelInferRequest behind the prefix of gRPC: not compressed, so long."""
    tensor = field(NAME, b"features") + field(DATATYPE, b"FP32") + field(SHAPE, bytes([len(rows), len(rows[0])]))
    content = field(MODEL_NAME, b"iris") + field(INPUTS, tensor) + field(RAW_INPUT_CONTENTS, as_floats(rows))
    return struct.pack(">?I", False, len(content)) + content


def field(number: int, content: bytes) -> bytes:
    if len(content) > 0x7F:
        raise ValueError("longer than one byte can say")
    return bytes([number << 3 | 2, len(content)]) + content
