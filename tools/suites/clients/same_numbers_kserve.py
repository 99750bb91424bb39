"""One set of rows by KServe's SDK, which cannot be in one process with tritonclient."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from kserve import InferInput, InferRequest

from . import kserve_grpc, kserve_rest
from .checks import Check
from .gateway import Gateway
from .same_numbers import Answer, all_rows, same


def by_kserve(module: Any, binary: bool, gateway: Gateway, rows: np.ndarray) -> Answer:
    entry = InferInput("features", list(rows.shape), "FP32")
    entry.set_data_from_numpy(rows, binary_data=binary)
    request = InferRequest(
        "iris", [entry], parameters={"binary_data_output": binary} if module is kserve_rest else None
    )
    answers = []

    async def rest(client: Any, url: str, headers: dict[str, str]) -> None:
        answers.append(await client.infer(url, request, model_name="iris", headers=headers))

    async def grpc(client: Any, metadata: Any) -> None:
        answers.append(await client.infer(request, headers=metadata))

    if module is kserve_rest:
        kserve_rest.run(gateway, "v2", rest)
    else:
        kserve_grpc.run(gateway, grpc)
    outputs = [answers[0].get_output_by_name(name).as_numpy() for name in ("label", "probabilities")]
    return outputs[0], outputs[1].astype(np.float32)


def checks(gateway: Gateway) -> Iterator[Check]:
    rows, _ = all_rows()
    for module, what in ((kserve_rest, "REST v2"), (kserve_grpc, "gRPC")):
        for binary in (False, True):
            name = f"the same numbers: KServe SDK, {what}, {'binary' if binary else 'JSON or typed'}"
            yield name, partial(same, gateway, rows, partial(by_kserve, module, binary))
