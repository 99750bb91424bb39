"""Access, where the server asks for a token."""

from __future__ import annotations

from .registry import NotApplicable, expect, grpc_rule, rule
from .server import JSON, Server

SECTION = "access"


def paths(server: Server) -> list[tuple[str, str]]:
    """The paths that need a token: all but the probes of the server."""
    model = server.model()
    found = [("GET", "/v2"), ("GET", model.path), ("GET", f"{model.path}/ready"), ("POST", f"{model.path}/infer")]
    if server.has_extension("model_repository"):
        found += [("POST", "/v2/repository/index"), ("POST", f"/v2/repository/models/{model.name}/load")]
    if server.has_extension("statistics"):
        found += [("GET", f"{model.path}/stats")]
    return found


def refused_with(server: Server, authorization: dict[str, str]) -> None:
    if not server.http.token:
        raise NotApplicable("no --token is given")
    for verb, path in paths(server):
        answer = server.http.ask(verb, path, b"{}" if verb == "POST" else None, JSON | authorization, authorized=False)
        expect(answer.status == 401, f"{verb} {path}: {answer.shown()}")
        server.refused(answer, 401)
        expect("WWW-Authenticate" in answer.headers, f"{verb} {path}: no WWW-Authenticate")


@rule("access.none", SECTION, 'no token: 401, {"error"}, WWW-Authenticate')
def no_token(server: Server) -> None:
    refused_with(server, {})


@rule("access.wrong", SECTION, 'a token that is none, or is changed: 401, {"error"}')
def wrong_token(server: Server) -> None:
    refused_with(server, {"Authorization": "Bearer no-token"})
    changed = (server.http.token or "")[:-4] + "AAAA"
    refused_with(server, {"Authorization": f"Bearer {changed}"})
    refused_with(server, {"Authorization": "Basic bm86bm8="})


@grpc_rule("access.grpc", SECTION, "no token, a wrong one: UNAUTHENTICATED")
def grpc_token(server: Server) -> None:
    if not server.http.token:
        raise NotApplicable("no --token is given")
    for metadata in ([], [("authorization", "Bearer no-token")], [("authorization", server.http.token)]):
        for method in ("ServerMetadata", "ModelMetadata", "ModelInfer"):
            code = server.grpc.code(method, b"", metadata=metadata)
            expect(code == "UNAUTHENTICATED", f"{method}: {code}")


@grpc_rule("access.grpc-open", SECTION, "ServerLive and ServerReady need no token")
def grpc_open(server: Server) -> None:
    for method in ("ServerLive", "ServerReady"):
        code = server.grpc.code(method, b"", metadata=[])
        expect(code == "OK", f"{method}: {code}")
