"""Which outputs are answered, and in which order."""

from __future__ import annotations

from typing import Any

from .registry import expect, rule
from .server import Model, Server

SECTION = "1 infer"


def several_outputs(server: Server) -> Model:
    return server.model("no model has two outputs", lambda model: len(model.output_names) > 1)


@rule("outputs.order", "8.12", "the outputs that are asked for, in the order of the request")
def order(server: Server) -> None:
    model = several_outputs(server)
    for names in (model.output_names, model.output_names[::-1]):
        answer = server.infer(model, model.body(outputs=[{"name": name} for name in names]))
        came = list(server.outputs(answer))
        expect(came == names, f"{came} for {names}")


@rule("outputs.one", SECTION, "only the outputs that are asked for, with the same values")
def only_one(server: Server) -> None:
    model = several_outputs(server)
    wanted = server.reference(model)
    for name in model.output_names:
        came = server.outputs(server.infer(model, model.body(outputs=[{"name": name}])))
        expect(came == {name: wanted[name]}, f"{list(came)} for {name}")


@rule("outputs.none", SECTION, "no outputs, an empty list of them: all")
def all_of_them(server: Server) -> None:
    for model in server.models:
        if model.is_plain():
            server.same(model, server.infer(model, model.body(outputs=[])))


@rule("outputs.unknown", "8.12", 'an output that the model does not have: 400, {"error"}')
def unknown(server: Server) -> None:
    model = server.model()
    for outputs in ([{"name": "no-such-output"}], [{"name": name} for name in [*model.output_names, "no-such-output"]]):
        server.refused(server.infer(model, model.body(outputs=outputs)), 400)


@rule("outputs.form", SECTION, 'an output without a name, with a name that is no text, or no list: 400, {"error"}')
def malformed(server: Server) -> None:
    model = server.model()
    forms: tuple[Any, ...] = ([{}], [{"name": 1}], ["text"], {"name": model.output_names[0]})
    for outputs in forms:
        server.refused(server.infer(model, model.body(outputs=outputs)), 400)
