"""The protocol's own methods over gRPC, without tensors."""

from __future__ import annotations

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from .grpc_client import Status, raw
from .messages import decode, encode
from .registry import NotApplicable, expect, grpc_rule
from .server import Server

SECTION = "7 gRPC"


@grpc_rule("grpc.live", SECTION, "ServerLive: live")
def live(server: Server) -> None:
    expect(server.grpc.call("ServerLive").get("live") is True, "not live")


@grpc_rule("grpc.ready", SECTION, "ServerReady: ready")
def ready(server: Server) -> None:
    expect(server.grpc.call("ServerReady").get("ready") is True, "not ready")


@grpc_rule("grpc.model-ready", SECTION, "ModelReady: ready, with and without a version")
def model_ready(server: Server) -> None:
    for model in server.models:
        for version in ["", *model.versions]:
            came = server.grpc.call("ModelReady", {"name": model.name, "version": version})
            expect(came.get("ready") is True, f"{model.name} {version} is not ready")


@grpc_rule("grpc.unknown-not-ready", SECTION, "ModelReady of an unknown model: not ready, or NOT_FOUND")
def unknown_not_ready(server: Server) -> None:
    try:
        came = server.grpc.call("ModelReady", {"name": "no-such-model-here"})
    except Status as status:
        expect(status.code in ("NOT_FOUND", "INVALID_ARGUMENT"), str(status))
    else:
        expect(not came.get("ready", False), "it is ready")


@grpc_rule("grpc.server-metadata", SECTION, "ServerMetadata: the same as over REST")
def server_metadata(server: Server) -> None:
    came = server.grpc.call("ServerMetadata")
    expect((came.get("name"), came.get("version")) == (server.metadata["name"], server.metadata["version"]), f"{came}")
    wanted = server.metadata.get("extensions", [])
    expect(came.get("extensions", []) == wanted, f"extensions {came.get('extensions')}, over REST {wanted}")


@grpc_rule("grpc.model-metadata", SECTION, "ModelMetadata: the same as over REST")
def model_metadata(server: Server) -> None:
    for model in server.models:
        for version in ["", *model.versions[-1:]]:
            came = server.grpc.call("ModelMetadata", {"name": model.name, "version": version})
            for key in ("name", "platform"):
                expect(came.get(key) == model.metadata[key], f"{key} {came.get(key)!r}")
            for key in ("inputs", "outputs"):
                tensors = [{"shape": []} | entry for entry in came.get(key, [])]
                expect(tensors == model.metadata[key], f"{model.name}: {key} {tensors}")


@grpc_rule("grpc.unknown-model", SECTION, "ModelMetadata and ModelInfer of an unknown model: NOT_FOUND")
def unknown_model(server: Server) -> None:
    code = server.grpc.code("ModelMetadata", {"name": "no-such-model-here"})
    expect(code == "NOT_FOUND", f"ModelMetadata: {code}")
    code = server.grpc.code("ModelInfer", raw("no-such-model-here", server.models[0].inputs))
    expect(code == "NOT_FOUND", f"ModelInfer: {code}")


@grpc_rule("grpc.unknown-version", SECTION, "an unknown version, or one that is no number: an error, not UNKNOWN")
def unknown_version(server: Server) -> None:
    model = server.models[0]
    for version in ("987654321", "no-such-label", "-1"):
        code = server.grpc.code("ModelInfer", raw(model.name, model.inputs, model_version=version))
        expect(code in ("NOT_FOUND", "INVALID_ARGUMENT"), f"version {version!r}: {code}")


@grpc_rule("grpc.unknown-method", SECTION, "a method that there is not: UNIMPLEMENTED")
def unknown_method(server: Server) -> None:
    try:
        server.grpc.unary("/inference.GRPCInferenceService/NoSuchMethod", b"")
    except Status as status:
        expect(status.code == "UNIMPLEMENTED", str(status))
    else:
        expect(False, "it is answered")


@grpc_rule("grpc.malformed", SECTION, "bytes that are no message: an error, and the connection lives on")
def malformed(server: Server) -> None:
    for content in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"):
        code = server.grpc.code("ModelInfer", content)
        expect(code in ("INVALID_ARGUMENT", "INTERNAL"), f"{content[:6]!r}: {code}")
    live(server)


@grpc_rule("grpc.health", SECTION, "grpc.health.v1: SERVING for the server, NOT_FOUND for a service that is none")
def health(server: Server) -> None:
    path = "/grpc.health.v1.Health/Check"
    try:
        answer = decode(health_pb2.HealthCheckResponse, server.grpc.unary(path, b""))
    except Status as status:
        if status.code == "UNIMPLEMENTED":
            raise NotApplicable("there is none") from None
        raise
    expect(answer.get("status") == 1, f"status {answer.get('status')}")
    try:
        server.grpc.unary(path, encode(health_pb2.HealthCheckRequest, {"service": "no.such.Service"}))
    except Status as status:
        expect(status.code == "NOT_FOUND", str(status))
    else:
        expect(False, "a service that is none is answered")


@grpc_rule("grpc.reflection", SECTION, "reflection lists inference.GRPCInferenceService and has its file")
def reflection(server: Server) -> None:
    requests = [{"list_services": "*"}, {"file_containing_symbol": "inference.GRPCInferenceService"}]
    for edition in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{edition}.ServerReflection/ServerReflectionInfo"
        try:
            answers = server.grpc.stream(
                path, [encode(reflection_pb2.ServerReflectionRequest, request) for request in requests]
            )
        except Status as status:
            if status.code == "UNIMPLEMENTED":
                continue
            raise
        services, files = (decode(reflection_pb2.ServerReflectionResponse, answer) for answer in answers)
        names = [entry["name"] for entry in services["list_services_response"]["service"]]
        expect("inference.GRPCInferenceService" in names, f"services {names}")
        expect(files["file_descriptor_response"]["file_descriptor_proto"] != [], "no file")
        return
    raise NotApplicable("there is none")
