"""Parameters of requests and tensors."""

from __future__ import annotations

from typing import Any

from .registry import expect, rule
from .server import Server

SECTION = "6 parameters"
CUSTOM = {"my_text": "x", "my_number": 7, "my_truth": True}


@rule("parameters.custom", SECTION, "parameters that the server does not know change nothing")
def custom(server: Server) -> None:
    model = server.model()
    body = model.body(parameters=CUSTOM, outputs=[{"name": name, "parameters": CUSTOM} for name in model.output_names])
    for entry in body["inputs"]:
        entry["parameters"] = CUSTOM
    server.same(model, server.infer(model, body))


@rule("parameters.empty", SECTION, "empty parameters change nothing")
def empty(server: Server) -> None:
    model = server.model()
    body = model.body(parameters={}, outputs=[{"name": name, "parameters": {}} for name in model.output_names])
    for entry in body["inputs"]:
        entry["parameters"] = {}
    server.same(model, server.infer(model, body))


@rule("parameters.form", SECTION, 'a parameter that is no text, number or truth, or no object of them: 400, {"error"}')
def malformed(server: Server) -> None:
    model = server.model()
    forms: tuple[Any, ...] = ({"x": []}, {"x": {}}, [], "text", 1)
    for parameters in forms:
        answer = server.infer(model, model.body(parameters=parameters))
        expect(answer.status == 400, f"{parameters}: {answer.shown()}")
        server.refused(answer, 400)


@rule(
    "parameters.reserved", SECTION, 'names that begin with triton_ are reserved: 400, {"error"}', extension="parameters"
)
def reserved(server: Server) -> None:
    model = server.model()
    server.refused(server.infer(model, model.body(parameters={"triton_thing": 1})), 400)


@rule("parameters.timeout", SECTION, "a timeout of a minute, in microseconds, and a priority of 0 change nothing")
def timeout(server: Server) -> None:
    model = server.model()
    server.same(model, server.infer(model, model.body(parameters={"timeout": 60_000_000, "priority": 0})))


@rule("parameters.timeout-form", SECTION, 'a timeout that is a text or negative: 400, {"error"}')
def timeout_form(server: Server) -> None:
    model = server.model()
    for value in ("soon", -1):
        answer = server.infer(model, model.body(parameters={"timeout": value}))
        expect(answer.status == 400, f"timeout {value!r}: {answer.shown()}")
        server.refused(answer, 400)
