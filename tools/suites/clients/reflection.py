"""Google's own client for reflection and health: the service is called with nothing known of it but its address."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from .checks import Check, equal, expect, refused
from .gateway import Gateway
from .triton_http import ROW

SERVICE = "inference.GRPCInferenceService"
METHODS = {
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelStreamInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
}


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds the token to each call, as the client for reflection has no place for it."""

    def __init__(self, metadata: list[tuple[str, str]]) -> None:
        self.metadata = metadata

    def with_token(self, ask: Any, details: Any, requests: Any) -> Any:
        return ask(details._replace(metadata=[*(details.metadata or []), *self.metadata]), requests)

    intercept_unary_unary = intercept_stream_stream = with_token


class Reflected:
    """The service as it says it is."""

    def __init__(self, gateway: Gateway) -> None:
        self.channel = grpc.intercept_channel(grpc.insecure_channel(gateway.grpc), Bearer(gateway.metadata))
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def service(self) -> Any:
        return self.pool.FindServiceByName(SERVICE)

    def call(self, method: str, **fields: Any) -> Any:
        described = self.service().methods_by_name[method]
        ask = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return ask(GetMessageClass(described.input_type)(**fields), timeout=30)


def lists(gateway: Gateway) -> None:
    reflected = Reflected(gateway)
    services = set(reflected.database.get_services())
    expect({SERVICE, "grpc.health.v1.Health"} <= services, services)
    missing = METHODS - {method.name for method in reflected.service().methods}
    expect(not missing, f"without {missing}")


def infers(gateway: Gateway) -> None:
    reflected = Reflected(gateway)
    entry = {
        "name": "features",
        "datatype": "FP32",
        "shape": [1, 4],
        "contents": {"fp32_contents": ROW.ravel().tolist()},
    }
    answer = reflected.call("ModelInfer", model_name="iris", inputs=[entry], id="x")
    equal((answer.model_name, answer.model_version, answer.id), ("iris", "1", "x"))


def looks(gateway: Gateway) -> None:
    reflected = Reflected(gateway)
    equal(reflected.call("ModelMetadata", name="iris").name, "iris")
    equal(reflected.call("ModelConfig", name="iris").config.name, "iris")
    equal(reflected.call("ModelStatistics", name="iris").model_stats[0].name, "iris")
    expect(len(reflected.call("RepositoryIndex").models) > 5, "a short index")


def health(gateway: Gateway) -> None:
    with grpc.insecure_channel(gateway.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
            equal(answer.status, health_pb2.HealthCheckResponse.SERVING)
        watched = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
        equal(next(watched).status, health_pb2.HealthCheckResponse.SERVING)
        watched.cancel()
        refused(lambda: stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=30), "NOT_FOUND")


def checks(gateway: Gateway) -> Iterator[Check]:
    name = "grpcio-reflection"
    yield f"{name}: lists the services and their methods", partial(lists, gateway)
    yield f"{name}: ModelInfer with messages made of what it says", partial(infers, gateway)
    yield f"{name}: ModelMetadata, ModelConfig, ModelStatistics, RepositoryIndex", partial(looks, gateway)
    yield "grpcio-health-checking: Check and Watch", partial(health, gateway)
