"""KServe's Python SDK over REST, in both of its protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from kserve import InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceRESTClient
from kserve.protocol.infer_type import RequestedOutput
from tritonclient.utils import np_to_triton_dtype

from .checks import Check, equal, expect, refused
from .gateway import Gateway
from .samples import Sample, same, samples
from .triton_http import ROW

Client: TypeAlias = InferenceRESTClient


def samples_of_the_sdk() -> list[Sample]:
    """All but BF16, which it cannot make of an array."""
    return [sample for sample in samples() if sample.model != "brain_half"]


def request_of(sample: Sample, binary: bool, **options: Any) -> InferRequest:
    inputs = []
    for name, array in sample.inputs.items():
        entry = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        entry.set_data_from_numpy(array, binary_data=binary)
        inputs.append(entry)
    return InferRequest(sample.model, inputs, **options)


def compare(answer: Any, sample: Sample) -> None:
    for name, wanted in sample.outputs.items():
        same(answer.get_output_by_name(name).as_numpy(), wanted, name)


def run(gateway: Gateway, protocol: str, ask: Callable[[Client, str, dict[str, str]], Awaitable[Any]]) -> None:
    async def with_client() -> None:
        async with Client(RESTConfig(protocol=protocol, retries=0)) as client:
            await ask(client, gateway.url, gateway.headers)

    asyncio.run(with_client())


async def infer(
    sample: Sample, binary_in: bool, binary_out: bool, client: Client, url: str, headers: dict[str, str]
) -> None:
    request = request_of(sample, binary_in, parameters={"binary_data_output": binary_out})
    compare(await client.infer(url, request, model_name=sample.model, headers=headers), sample)


async def listed_outputs(client: Client, url: str, headers: dict[str, str]) -> None:
    sample = samples()[0]
    outputs = [RequestedOutput(name, parameters={"binary_data": True}) for name in sample.outputs]
    request = request_of(sample, True, request_id="k-1", request_outputs=outputs)
    answer = await client.infer(url, request, model_name=sample.model, headers=headers)
    equal(answer.id, "k-1")
    compare(answer, sample)


async def dictionary(client: Client, url: str, headers: dict[str, str]) -> None:
    body = {"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": ROW.ravel().tolist()}]}
    answer = await client.infer(url, body, model_name="iris", headers=headers)
    equal(answer.get_output_by_name("label").as_numpy().tolist(), [0])


async def health(client: Client, url: str, headers: dict[str, str]) -> None:
    expect(await client.is_server_live(url), "not live")
    expect(await client.is_server_ready(url), "not ready")
    expect(await client.is_model_ready(url, "iris", headers=headers), "iris is not ready")
    expect(not await client.is_model_ready(url, "no-such", headers=headers), "no-such is ready")


async def predict(client: Client, url: str, headers: dict[str, str]) -> None:
    answer = await client.infer(url, {"instances": ROW.tolist()}, model_name="iris", headers=headers)
    equal(len(answer["predictions"]), 1)


async def health_v1(client: Client, url: str, headers: dict[str, str]) -> None:
    expect(await client.is_server_live(url, headers=headers), "not alive")
    expect(await client.is_model_ready(url, "iris", headers=headers), "iris is not ready")


def errors(gateway: Gateway, protocol: str) -> None:
    async def wrong(client: Client, url: str, headers: dict[str, str]) -> None:
        body: dict[str, Any] = {"inputs": []} if protocol == "v2" else {"instances": "text"}
        await client.infer(url, body, model_name="iris", headers=headers)

    async def unknown(client: Client, url: str, headers: dict[str, str]) -> None:
        await client.infer(url, {"instances": [], "inputs": []}, model_name="no-such", headers=headers)

    async def nobody(client: Client, url: str, headers: dict[str, str]) -> None:
        await client.infer(url, {"instances": []}, model_name="iris")

    for ask, status in ((wrong, "400"), (unknown, "404"), (nobody, "401")):
        text = refused(partial(run, gateway, protocol, ask), status)
        # What the client makes of `error` stands before the comma.
        expect(not text.startswith("HTTPStatusError: , "), f"no `error`: {text}")


def checks(gateway: Gateway) -> Iterator[Check]:
    name = "KServe SDK, REST"
    yield f"{name} v2: is_server_live, is_server_ready, is_model_ready", partial(run, gateway, "v2", health)
    for sample in samples_of_the_sdk():
        ways = [(True, True)] if not sample.plain else [(True, True), (False, False), (False, True), (True, False)]
        for binary_in, binary_out in ways:
            what = f"{'binary' if binary_in else 'JSON'} in, {'binary' if binary_out else 'JSON'} out"
            ask = partial(infer, sample, binary_in, binary_out)
            yield f"{name} v2: infer {sample.model}, {what}", partial(run, gateway, "v2", ask)
    yield f"{name} v2: infer with outputs and an id", partial(run, gateway, "v2", listed_outputs)
    yield f"{name} v2: infer with a dictionary", partial(run, gateway, "v2", dictionary)
    yield f"{name} v2: errors", partial(errors, gateway, "v2")
    yield f"{name} v1: is_server_live, is_model_ready", partial(run, gateway, "v1", health_v1)
    yield f"{name} v1: infer", partial(run, gateway, "v1", predict)
    yield f"{name} v1: errors", partial(errors, gateway, "v1")
