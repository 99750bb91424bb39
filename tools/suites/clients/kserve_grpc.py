"""KServe's Python SDK over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient

from .checks import Check, equal, expect, refused
from .gateway import Gateway
from .kserve_rest import compare, request_of, samples_of_the_sdk
from .samples import Sample
from .triton_http import ROW

Client: TypeAlias = InferenceGRPCClient
Metadata = list[tuple[str, str]]


def run(gateway: Gateway, ask: Callable[[Client, Metadata], Awaitable[Any]]) -> None:
    async def with_client() -> None:
        async with Client(gateway.grpc, retries=0) as client:
            await ask(client, gateway.metadata)

    asyncio.run(with_client())


async def health(client: Client, metadata: Metadata) -> None:
    expect(await client.is_server_live(), "not live")
    expect(await client.is_server_ready(), "not ready")
    expect(await client.is_model_ready("iris", headers=metadata), "iris is not ready")


async def infer(sample: Sample, raw: bool, client: Client, metadata: Metadata) -> None:
    compare(await client.infer(request_of(sample, raw), headers=metadata), sample)


async def with_id(client: Client, metadata: Metadata) -> None:
    entry = InferInput("features", [1, 4], "FP32", data=ROW.ravel().tolist())
    answer = await client.infer(InferRequest("iris", [entry], request_id="k-2"), headers=metadata)
    equal((answer.id, answer.model_name), ("k-2", "iris"))
    equal(answer.get_output_by_name("label").as_numpy().tolist(), [0])


def errors(gateway: Gateway) -> None:
    async def wrong(client: Client, metadata: Metadata) -> None:
        entry = InferInput("features", [1, 3], "FP32", data=[1.0, 2.0, 3.0])
        await client.infer(InferRequest("iris", [entry]), headers=metadata)

    async def nobody(client: Client, metadata: Metadata) -> None:
        entry = InferInput("features", [1, 4], "FP32", data=ROW.ravel().tolist())
        await client.infer(InferRequest("iris", [entry]))

    refused(lambda: run(gateway, wrong), "INVALID_ARGUMENT")
    refused(lambda: run(gateway, nobody), "UNAUTHENTICATED")


def checks(gateway: Gateway) -> Iterator[Check]:
    name = "KServe SDK, gRPC"
    yield f"{name}: is_server_live, is_server_ready, is_model_ready", partial(run, gateway, health)
    for sample in samples_of_the_sdk():
        yield f"{name}: infer {sample.model}, raw", partial(run, gateway, partial(infer, sample, True))
        if sample.plain:
            yield f"{name}: infer {sample.model}, typed", partial(run, gateway, partial(infer, sample, False))
    yield f"{name}: infer with an id", partial(run, gateway, with_id)
    yield f"{name}: errors", partial(errors, gateway)
