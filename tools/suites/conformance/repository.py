"""The index of the models, and loading and unloading them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any
from urllib.parse import quote

from .registry import NotApplicable, expect, rule
from .server import Model, Server

SECTION = "3 repository"
extension_rule = partial(rule, extension="model_repository")
STATES = {"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"}
PATIENCE_SECONDS = 60


def index(server: Server, body: Any = None) -> list[dict[str, Any]]:
    answer = server.post("/v2/repository/index", body)
    expect(answer.status == 200, answer.shown())
    document = answer.json()
    expect(isinstance(document, list), f"no array: {answer.shown()}")
    return document


@extension_rule("repository.index", "8.20", "POST /v2/repository/index: an array of name, version?, state?, reason?")
def index_form(server: Server) -> None:
    for entry in index(server):
        expect(isinstance(entry.get("name"), str), f"name: {entry}")
        expect(all(isinstance(entry.get(key, ""), str) for key in ("version", "state", "reason")), f"{entry}")
        expect(entry.get("state", "READY") in STATES, f"state {entry.get('state')!r}")


@extension_rule("repository.index-bodies", SECTION, "the body of the index may be empty or {}")
def index_bodies(server: Server) -> None:
    expect(sorted(map(str, index(server, b""))) == sorted(map(str, index(server, {}))), "two indexes")


@extension_rule("repository.ready", SECTION, 'with {"ready": true} only what is READY, all that serves')
def index_ready(server: Server) -> None:
    ready = index(server, {"ready": True})
    others = [entry for entry in ready if entry.get("state") != "READY"]
    expect(not others, f"also {others[:2]}")
    missing = {model.name for model in server.models} - {entry["name"] for entry in ready}
    expect(not missing, f"not in it: {missing}")


@extension_rule("repository.index-form", SECTION, 'a body that is no object, or ready that is no truth: 400, {"error"}')
def index_malformed(server: Server) -> None:
    bodies: tuple[Any, ...] = (b"[", [], {"ready": "yes"})
    for body in bodies:
        server.refused(server.post("/v2/repository/index", body), 400)


@extension_rule("repository.index-post", "8.20", 'GET of the index is no way to it: 405, {"error"}')
def index_is_post(server: Server) -> None:
    server.refused(server.get("/v2/repository/index"), 405)


def act(server: Server, name: str, action: str, body: Any = None) -> Any:
    return server.post(f"/v2/repository/models/{quote(name, safe='')}/{action}", body)


@extension_rule("repository.load-unknown", SECTION, 'loading a model that is not there: 4xx, {"error"}')
def load_unknown(server: Server) -> None:
    server.refused(act(server, "no-such-model-here", "load"))


@extension_rule("repository.load-form", SECTION, 'parameters that are none, or that load does not have: an {"error"}')
def load_form(server: Server) -> None:
    name = server.model().name
    bodies: tuple[Any, ...] = (b"{", {"parameters": []}, {"parameters": {"no_such_parameter": 1}})
    for body in bodies:
        answer = act(server, name, "load", body)
        expect(answer.status >= 400 and "error" in answer.object(), f"{body}: {answer.shown()}")


def managed(server: Server) -> Model:
    if not server.manage:
        raise NotApplicable("it changes what serves: only with --manage")
    return server.models[-1]


def becomes(server: Server, model: Model, ready: bool) -> None:
    """Unloading is answered before it is done."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (server.get(f"{model.path}/ready").status == 200) != ready:
        expect(time.monotonic() < end, f"after {PATIENCE_SECONDS} s the model is {'not ' * ready}ready")
        time.sleep(0.05)


@extension_rule("repository.load", SECTION, "loading what serves: 200, it serves on")
def load_again(server: Server) -> None:
    model = managed(server)
    bodies: tuple[Any, ...] = (None, {}, {"parameters": {}})
    for body in bodies:
        answer = act(server, model.name, "load", body)
        expect(answer.status == 200, answer.shown())
        expect(server.ask_somehow(model).status == 200, "afterwards it does not answer")


@extension_rule("repository.unload", SECTION, "unload: 200, not ready, no inference; load brings it back")
def unload_and_load(server: Server) -> None:
    model = managed(server)
    try:
        answer = act(server, model.name, "unload", {"parameters": {"unload_dependents": False}})
        expect(answer.status == 200, answer.shown())
        becomes(server, model, ready=False)
        answer = server.ask_somehow(model)
        expect(answer.status >= 400 and "error" in answer.object(), answer.shown())
        states = {entry.get("state") for entry in index(server) if entry["name"] == model.name}
        expect("READY" not in states, f"states in the index: {states}")
        again = act(server, model.name, "unload")
        expect(again.status == 200, f"unloading what is not loaded: {again.shown()}")
    finally:
        answer = act(server, model.name, "load")
        becomes(server, model, ready=True)
    expect(answer.status == 200, answer.shown())
    expect(server.ask_somehow(model).status == 200, "loaded again it does not answer")
