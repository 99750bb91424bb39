"""tritonclient over gRPC for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import tritonclient.grpc.aio as triton

from .checks import Check, equal, expect
from .gateway import Gateway
from .samples import Sample, same, samples
from .triton_grpc import inputs_of, row
from .triton_http import compare

Client: TypeAlias = triton.InferenceServerClient


def run(gateway: Gateway, ask: Callable[[Client, dict[str, str]], Awaitable[Any]]) -> None:
    async def with_client() -> None:
        async with Client(gateway.grpc) as client:
            await ask(client, {"authorization": f"Bearer {gateway.token}"})

    asyncio.run(with_client())


async def server(client: Client, headers: dict[str, str]) -> None:
    expect(await client.is_server_live() and await client.is_server_ready(), "not live or not ready")
    expect(await client.is_model_ready("iris", headers=headers), "iris is not ready")
    expect((await client.get_server_metadata(headers=headers)).name != "", "no name")
    equal((await client.get_model_metadata("iris", headers=headers)).name, "iris")
    equal((await client.get_model_config("iris", headers=headers)).config.name, "iris")
    expect(len((await client.get_model_repository_index(headers=headers)).models) > 5, "a short index")
    equal((await client.get_inference_statistics("iris", headers=headers)).model_stats[0].name, "iris")


async def load_and_unload(client: Client, headers: dict[str, str]) -> None:
    await client.unload_model("vector", headers=headers)
    expect(not await client.is_model_ready("vector", headers=headers), "it is still ready")
    await client.load_model("vector", headers=headers)
    expect(await client.is_model_ready("vector", headers=headers), "it is not ready again")


async def infer(sample: Sample, client: Client, headers: dict[str, str]) -> None:
    compare(await client.infer(sample.model, inputs_of(sample), headers=headers), sample)


async def many_at_once(client: Client, headers: dict[str, str]) -> None:
    pending = [client.infer("iris", row(), headers=headers, request_id=str(at)) for at in range(32)]
    for at, result in enumerate(await asyncio.gather(*pending)):
        equal(result.get_response().id, str(at))
        same(result.as_numpy("label"), np.array([0]), "label")


async def stream(client: Client, headers: dict[str, str]) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for at in range(5):
            yield {"model_name": "iris", "inputs": row(), "request_id": str(at)}

    came = []
    async for result, error in client.stream_infer(requests(), headers=headers):
        expect(error is None, error)
        came.append(result.get_response().id)
    equal(came, ["0", "1", "2", "3", "4"])


def checks(gateway: Gateway) -> Iterator[Check]:
    name = "tritonclient grpc.aio"
    yield f"{name}: everything about the server and a model", partial(run, gateway, server)
    yield f"{name}: load_model, unload_model", partial(run, gateway, load_and_unload)
    for sample in samples():
        yield f"{name}: infer {sample.model}", partial(run, gateway, partial(infer, sample))
    yield f"{name}: infer, 32 at once", partial(run, gateway, many_at_once)
    yield f"{name}: stream_infer", partial(run, gateway, stream)
