"""Numbers that a datatype does not hold. Each has to be refused: none may be cut, rounded or wrapped."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from .registry import expect, rule
from .server import Model, Server
from .tensors import FLOATS, INTEGERS, NON_FINITE
from .transport import strict_json


def refused_as(datatypes: set[str], values: list[Any], server: Server) -> None:
    model, tensor = server.input_of(datatypes, Model.is_plain)
    for value in values:
        changed = server.with_input(model, tensor.with_values([*tensor.values[:-1], value]))
        answer = server.infer(model, model.body(changed))
        expect(answer.status == 400, f"{value} for {tensor.datatype}: {answer.shown()}")
        server.refused(answer, 400)


for datatype, (least, most) in INTEGERS.items():
    rule(f"numbers.range-{datatype.lower()}", "8.6", f'numbers just outside of {datatype}: 400, {{"error"}}')(
        partial(refused_as, {datatype}, [least - 1, most + 1, 2**70])
    )
rule("numbers.fraction", "8.6", 'a fraction for an integer: 400, {"error"}')(
    partial(refused_as, set(INTEGERS), [0.5, 1.5, 1e-3])
)
rule("numbers.truth-for-integer", "8.6", 'true for an integer: 400, {"error"}')(
    partial(refused_as, set(INTEGERS), [True])
)
rule("numbers.truth-for-float", "8.6", 'true for a float: 400, {"error"}')(
    partial(refused_as, {"FP32", "FP64"}, [True])
)
rule("numbers.no-truth", "8.10", 'a number but 0 and 1, or a text, for BOOL: 400, {"error"}')(
    partial(refused_as, {"BOOL"}, [2, -1, 0.5, "true"])
)
rule("numbers.range-fp32", "8.6", 'a number beyond FP32: 400, {"error"}')(partial(refused_as, {"FP32"}, [1e39, -1e300]))


def literally(server: Server, datatypes: set[str], written: str) -> tuple[Model, Any]:
    """An answer to a request that has these characters in place of a number."""
    model, tensor = server.input_of(datatypes, Model.is_plain)
    changed = server.with_input(model, tensor.with_values([*tensor.values[:-1], 123456789]))
    body = json.dumps(model.body(changed)).replace("123456789", written)
    return model, server.infer(model, body.encode())


@rule("numbers.range-fp64", "8.6", 'a number beyond FP64 (1e400): 400, {"error"}')
def beyond_doubles(server: Server) -> None:
    server.refused(literally(server, {"FP32", "FP64"}, "1e400")[1], 400)


@rule("numbers.no-json", "8.7", 'numbers as JSON does not have them (0x1, 01, +1, .5, 1.): 400, {"error"}')
def no_json_numbers(server: Server) -> None:
    for written in ("0x1", "01", "+1", ".5", "1.", "1e", "--1", "1_0"):
        _, answer = literally(server, FLOATS - {"FP16", "BF16"}, written)
        expect(answer.status == 400, f"{written}: {answer.shown()}")
        server.refused(answer, 400)


@rule("numbers.tokens", "8.7", "NaN and Infinity as bare words: taken or refused with 400, as the server documents")
def bare_tokens(server: Server) -> None:
    for token in NON_FINITE:
        _, answer = literally(server, {"FP32", "FP64"}, token)
        if answer.status != 200:
            server.refused(answer, 400)


@rule("numbers.non-finite-out", "8.7", "an answer is JSON even if NaN went in: no bare NaN or Infinity")
def non_finite_out(server: Server) -> None:
    for written in ('"NaN"', '"Infinity"', '"-Infinity"', "NaN"):
        _, answer = literally(server, {"FP32", "FP64"}, written)
        try:
            strict_json(answer.content)
        except ValueError as error:
            expect(False, f"after {written}: {error}: {answer.shown()}")


@rule("numbers.float-for-integer", "8.6", "1.0 for an integer is taken as 1, or refused with 400: never anything else")
def whole_float(server: Server) -> None:
    model, answer = literally(server, set(INTEGERS), "2.0")
    if answer.status != 200:
        server.refused(answer, 400)
        return
    whole = literally(server, set(INTEGERS), "2")[1]
    expect(server.outputs(answer) == server.outputs(whole), f"{model.name}: 2.0 is not 2")
