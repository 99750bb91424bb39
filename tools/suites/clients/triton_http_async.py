"""tritonclient over HTTP for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import tritonclient.http.aio as triton

from .checks import Check, equal, expect
from .gateway import Gateway
from .samples import Sample, same, samples
from .triton_http import compare, inputs_of, outputs_of, row

Client: TypeAlias = triton.InferenceServerClient


def run(gateway: Gateway, ask: Callable[[Client, dict[str, str]], Awaitable[Any]]) -> None:
    async def with_client() -> None:
        async with Client(gateway.http) as client:
            await ask(client, gateway.headers)

    asyncio.run(with_client())


async def server(client: Client, headers: dict[str, str]) -> None:
    expect(await client.is_server_live() and await client.is_server_ready(), "not live or not ready")
    expect(await client.is_model_ready("iris", headers=headers), "iris is not ready")
    expect("name" in await client.get_server_metadata(headers=headers), "no name")
    equal((await client.get_model_metadata("iris", headers=headers))["name"], "iris")
    equal((await client.get_model_config("iris", headers=headers))["name"], "iris")
    expect(len(await client.get_model_repository_index(headers=headers)) > 5, "a short index")
    statistics = await client.get_inference_statistics("iris", headers=headers)
    equal(statistics["model_stats"][0]["name"], "iris")


async def load_and_unload(client: Client, headers: dict[str, str]) -> None:
    await client.unload_model("vector", headers=headers)
    expect(not await client.is_model_ready("vector", headers=headers), "it is still ready")
    await client.load_model("vector", headers=headers)
    expect(await client.is_model_ready("vector", headers=headers), "it is not ready again")


async def infer(sample: Sample, binary: bool, client: Client, headers: dict[str, str]) -> None:
    inputs, outputs = inputs_of(sample, binary), outputs_of(sample, binary)
    compare(await client.infer(sample.model, inputs, outputs=outputs, headers=headers), sample)


async def many_at_once(client: Client, headers: dict[str, str]) -> None:
    pending = [client.infer("iris", row(), headers=dict(headers), request_id=str(at)) for at in range(32)]
    for at, result in enumerate(await asyncio.gather(*pending)):
        equal(result.get_response()["id"], str(at))
        same(result.as_numpy("label"), np.array([0]), "label")


async def compressed(client: Client, headers: dict[str, str]) -> None:
    for algorithm in ("gzip", "deflate"):
        options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
        result = await client.infer("iris", row(), headers=dict(headers), **options)
        same(result.as_numpy("label"), np.array([0]), "label")


def checks(gateway: Gateway) -> Iterator[Check]:
    name = "tritonclient http.aio"
    yield f"{name}: everything about the server and a model", partial(run, gateway, server)
    yield f"{name}: load_model, unload_model", partial(run, gateway, load_and_unload)
    for sample in samples():
        yield f"{name}: infer {sample.model}, binary", partial(run, gateway, partial(infer, sample, True))
        if sample.plain:
            yield f"{name}: infer {sample.model}, JSON", partial(run, gateway, partial(infer, sample, False))
    yield f"{name}: infer, 32 at once", partial(run, gateway, many_at_once)
    yield f"{name}: infer in gzip and deflate", partial(run, gateway, compressed)
