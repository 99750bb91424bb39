"""KServe's Python SDK over TLS, against a gateway of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

from kserve import InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient

from .checks import Check, equal
from .encrypted_gateway import Encrypted
from .gateway import Gateway
from .triton_http import ROW

NAME = "TLS"


class Clients(Encrypted):
    """The ways to ask it."""

    def kserve_rest(self, protocol: str) -> None:
        async def ask() -> Any:
            trust = ssl.create_default_context(cafile=self.certificates.authority)
            async with InferenceRESTClient(RESTConfig(protocol=protocol, retries=0, verify=trust)) as client:
                body: Any = {"instances": ROW.tolist()} if protocol == "v1" else request()
                return await client.infer(f"https://{self.rest}", body, model_name="iris", headers=self.headers)

        answer = asyncio.run(ask())
        count = len(answer["predictions"]) if protocol == "v1" else len(answer.get_output_by_name("label").as_numpy())
        equal(count, 1)

    def kserve_grpc(self) -> None:
        async def ask() -> Any:
            authority = str(self.certificates.authority)
            async with InferenceGRPCClient(self.grpc, retries=0, use_ssl=True, root_certificates=authority) as client:
                return await client.infer(request(), headers=[("authorization", f"Bearer {self.token}")])

        equal(asyncio.run(ask()).get_output_by_name("label").as_numpy().tolist(), [0])


def request() -> InferRequest:
    entry = InferInput("features", [1, 4], "FP32", data=ROW.ravel().tolist())
    return InferRequest("iris", [entry])


def checks(gateway: Gateway) -> Iterator[Check]:
    clients = Clients(gateway.scratch / "encrypted-kserve")
    yield f"{NAME}: KServe SDK, REST v2", partial(clients.kserve_rest, "v2")
    yield f"{NAME}: KServe SDK, REST v1", partial(clients.kserve_rest, "v1")
    yield f"{NAME}: KServe SDK, gRPC", clients.kserve_grpc
    yield f"{NAME}: the gateway ends well", clients.end
