"""Health of the server and its models."""

from __future__ import annotations

from .registry import NotApplicable, expect, rule
from .server import Server
from .transport import Answer

SECTION = "1 health"


def is_well(answer: Answer, **documents: object) -> None:
    """200 exactly, and nothing said but what the protocol's editions have."""
    expect(answer.status == 200, answer.shown())
    if answer.content.strip():
        document = answer.object()
        expect(all(document.get(key, value) == value for key, value in documents.items()), answer.shown())


@rule("health.live", SECTION, 'GET /v2/health/live: 200, no body or {"live": true}')
def live(server: Server) -> None:
    is_well(server.get("/v2/health/live"), live=True)


@rule("health.ready", SECTION, 'GET /v2/health/ready: 200, no body or {"ready": true}')
def ready(server: Server) -> None:
    is_well(server.get("/v2/health/ready"), ready=True)


@rule("health.open", SECTION, "probes need no token")
def open_to_all(server: Server) -> None:
    if not server.http.token:
        raise NotApplicable("no --token is given")
    for path in ("/v2/health/live", "/v2/health/ready"):
        is_well(server.http.ask("GET", path, authorized=False), live=True, ready=True)


@rule("health.model", SECTION, 'GET .../ready: 200, no body or {"name", "ready": true}')
def model_ready(server: Server) -> None:
    for model in server.models:
        is_well(server.get(f"{model.path}/ready"), name=model.name, ready=True)


@rule("health.model-version", SECTION, "GET .../versions/V/ready: 200")
def version_ready(server: Server) -> None:
    model = server.model("no model has versions", lambda model: bool(model.versions))
    is_well(server.get(f"{model.path}/versions/{model.versions[-1]}/ready"), name=model.name, ready=True)


@rule("health.unknown-model", SECTION, "a model that is not there is not ready: no 2xx")
def unknown_model(server: Server) -> None:
    answer = server.get("/v2/models/no-such-model-here/ready")
    expect(answer.status >= 400, answer.shown())


@rule("health.unknown-version", SECTION, "a version that is not there is not ready: no 2xx")
def unknown_version(server: Server) -> None:
    answer = server.get(f"{server.model().path}/versions/987654321/ready")
    expect(answer.status >= 400, answer.shown())
