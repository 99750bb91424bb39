"""Outputs as their best classes."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

from .registry import Miss, expect, rule
from .server import Model, Server
from .tensors import FLOATS, INTEGERS, numbers_in

SECTION = "5 classification"
extension_rule = partial(rule, extension="classification")
FORM = re.compile(r"(?P<value>[^:]+):(?P<index>[0-9]+)(:(?P<label>.*))?", re.DOTALL)
# Servers write as few as six digits after the point.
TOLERANCE = 1e-5


def classified(server: Server) -> tuple[Model, str, list[int], list[Any]]:
    """A model, an output of it that can be classified, its shape and its numbers."""
    kinds = {"FP32", "FP64", *INTEGERS}

    def output(model: Model) -> str | None:
        names = (
            entry["name"]
            for entry in model.metadata["outputs"]
            if entry["datatype"] in kinds and entry["shape"] and math.prod(abs(size) for size in entry["shape"]) > 1
        )
        return next(names, None)

    model = server.model(
        "no model has a numeric output of more than one element", lambda model: output(model) is not None
    )
    name = output(model) or ""
    datatype, shape, blob = server.reference(model)[name]
    return model, name, shape, numbers_in(datatype, blob)


def ask(server: Server, model: Model, name: str, count: Any, **more: Any) -> Any:
    wanted = [{"name": name, "parameters": {"classification": count, **more}}]
    return server.infer(model, model.body(outputs=wanted))


def rows_of(shape: list[int], values: list[Any], answered: list[int]) -> list[list[Any]]:
    """The numbers that each list of classes is of: all of them, or those of a row."""
    if len(answered) == 1:
        return [values]
    width = math.prod(shape[1:])
    return [values[at * width : (at + 1) * width] for at in range(shape[0])]


@extension_rule(
    "classification.form", SECTION, "BYTES of [k] or [batch, k], texts VALUE:INDEX[:LABEL], the largest first"
)
def form(server: Server) -> None:
    model, name, shape, values = classified(server)
    for count in (1, 2, 1_000):
        document = server.answered(ask(server, model, name, count))
        entry = document["outputs"][0]
        expect(entry["datatype"] == "BYTES", f"datatype {entry['datatype']}")
        rows = rows_of(shape, values, entry["shape"])
        kept = min(count, len(rows[0]))
        expect(entry["shape"] in ([kept], [len(rows), kept]), f"shape {entry['shape']} for {count} of {shape}")
        texts = entry["data"]
        if texts and isinstance(texts[0], list):
            texts = [text for row in texts for text in row]
        expect(len(texts) == kept * len(rows), f"{len(texts)} texts")
        for at, row in enumerate(rows):
            check_row(row, texts[at * kept : (at + 1) * kept])


def check_row(row: list[Any], texts: list[str]) -> None:
    best = sorted(row, reverse=True)
    seen = set()
    for rank, text in enumerate(texts):
        match = FORM.fullmatch(text)
        if match is None:
            raise Miss(f"text {text!r}")
        value, index = float(match["value"]), int(match["index"])
        expect(index < len(row) and index not in seen, f"index of {text!r}")
        seen.add(index)
        near = math.isclose(value, row[index], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        expect(near, f"{text!r}, but the output has {row[index]} there")
        expect(row[index] == best[rank], f"{text!r} is not number {rank + 1}")


@extension_rule("classification.others", SECTION, "other outputs come as they are")
def others(server: Server) -> None:
    model, name, _, _ = classified(server)
    wanted = server.reference(model)
    outputs = [
        {"name": other, "parameters": {"classification": 1}} if other == name else {"name": other}
        for other in model.output_names
    ]
    came = server.outputs(server.infer(model, model.body(outputs=outputs)))
    expect(list(came) == model.output_names, f"outputs {list(came)}")
    expect(all(came[other] == wanted[other] for other in wanted if other != name), "other values")


@extension_rule("classification.binary", SECTION, "classes may come in binary")
def binary(server: Server) -> None:
    model, name, _, _ = classified(server)
    plain, packed = ask(server, model, name, 2, binary_data=False), ask(server, model, name, 2, binary_data=True)
    expect(server.outputs(plain) == server.outputs(packed), "other classes than in JSON")


@extension_rule("classification.count", SECTION, 'a count that is negative, a fraction or a text: 400, {"error"}')
def count_form(server: Server) -> None:
    model, name, _, _ = classified(server)
    for count in (-1, 1.5, "2"):
        answer = ask(server, model, name, count)
        expect(answer.status == 400, f"{count!r}: {answer.shown()}")
        server.refused(answer, 400)


@extension_rule("classification.no-numbers", SECTION, 'an output that has no numbers (BYTES, BOOL): 400, {"error"}')
def no_numbers(server: Server) -> None:
    def output(model: Model) -> str | None:
        kinds = {*INTEGERS, *FLOATS}
        return next((entry["name"] for entry in model.metadata["outputs"] if entry["datatype"] not in kinds), None)

    model = server.model("no model has such an output", lambda model: output(model) is not None)
    server.refused(ask(server, model, output(model) or "", 1), 400)
