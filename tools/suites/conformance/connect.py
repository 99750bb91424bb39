"""Connecting to a server: its models, and inputs that they take."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .grpc_client import Grpc
from .server import Server
from .transport import Http

MOST_MODELS = 30


@dataclass(frozen=True)
class Target:
    """The server under test, and how much may be done to it."""

    url: str
    grpc: str | None
    token: str | None
    models: list[str]
    assumed: set[str]
    manage: bool
    largest_body_mib: int


def say(text: str) -> None:
    print(f"conformance: {text}", file=sys.stderr, flush=True)


def connect(target: Target) -> Server:
    http = Http(target.url, target.token)
    answer = http.ask("GET", "/v2")
    if answer.status != 200:
        raise ValueError(f"GET /v2: {answer.shown()}")
    server = Server(http, answer.object())
    server.assumed = target.assumed
    server.manage, server.largest_body_mib = target.manage, target.largest_body_mib
    if target.grpc:
        server.grpc = Grpc(target.grpc, target.token)
    return server


def names_of_models(server: Server) -> list[str]:
    """The models that the server lists, in one of the ways that there are."""
    answer = server.post("/v2/repository/index", {"ready": True})
    if answer.status == 200:
        return list(dict.fromkeys(entry["name"] for entry in answer.json() if entry.get("state", "READY") == "READY"))
    answer = server.get("/v2/models")
    return list(answer.object()["models"]) if answer.status == 200 else []


def prepare(server: Server, chosen: list[str]) -> None:
    names = chosen or names_of_models(server)
    if len(names) > MOST_MODELS:
        say(f"only the first {MOST_MODELS} of {len(names)} models are used")
    for name in names[:MOST_MODELS]:
        server.prepare(name)
        if name in server.unusable:
            say(f"model {name} is not used: {server.unusable[name]}")
    if not server.models:
        raise ValueError("no model can be used; name one with --model")
    # What JSON can ask comes first, then what is the plainest.
    server.models.sort(key=lambda model: (not model.is_plain(), len(model.inputs)))
    say(f"models: {', '.join(model.name for model in server.models)}")
