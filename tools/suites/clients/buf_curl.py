"""`buf curl`, which is to gRPC what curl is to HTTP, by reflection."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lib.gateway import REPOSITORY

from .checks import Check, LeftOut, Wrong, equal, expect
from .gateway import Gateway
from .triton_http import ROW

PROGRAM = REPOSITORY / ".venv-clients" / "node" / "node_modules" / ".bin" / "buf"
TIMEOUT_SECONDS = 60


def ask(gateway: Gateway, path: str, body: Any, *options: str) -> str:
    if not PROGRAM.exists():
        raise LeftOut("npm is needed to install it")
    command: list[str | Path] = [
        PROGRAM,
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "-H",
        f"authorization: Bearer {gateway.token}",
        # The same for reflection.
        "--reflect-header",
        "*",
        "-d",
        json.dumps(body),
        *options,
        f"http://{gateway.grpc}{path}",
    ]
    # Nothing of the user's home is read or written.
    environment = os.environ | {"HOME": str(gateway.scratch), "BUF_CACHE_DIR": str(Path(gateway.scratch) / "buf")}
    done = subprocess.run(
        command,
        env=environment,
        cwd=gateway.scratch,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Wrong(done.stderr or done.stdout)
    return done.stdout


def lists(gateway: Gateway) -> None:
    came = ask(gateway, "", {}, "--list-methods")
    expect("inference.GRPCInferenceService/ModelInfer" in came, came)


def infers(gateway: Gateway) -> None:
    entry = {
        "name": "features",
        "datatype": "FP32",
        "shape": [1, 4],
        "contents": {"fp32_contents": ROW.ravel().tolist()},
    }
    body = {"model_name": "iris", "id": "b-1", "inputs": [entry]}
    answer = json.loads(ask(gateway, "/inference.GRPCInferenceService/ModelInfer", body))
    equal((answer["modelName"], answer["id"]), ("iris", "b-1"))


def metadata(gateway: Gateway) -> None:
    answer = json.loads(ask(gateway, "/inference.GRPCInferenceService/ModelMetadata", {"name": "iris"}))
    equal(answer["inputs"][0]["name"], "features")


def checks(gateway: Gateway) -> Iterator[Check]:
    yield "buf curl: lists the methods", partial(lists, gateway)
    yield "buf curl: ModelInfer", partial(infers, gateway)
    yield "buf curl: ModelMetadata", partial(metadata, gateway)
