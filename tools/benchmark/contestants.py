"""The contestants: how each is started and asked, and how its responses are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.gateway import NotServing, Settings, environment, free_port

from . import python_stack
from .gateway import Gateway
from .place import IRIS, LOGS, PROGRAMS
from .processes import Server
from .samples import JSON, Request, Row, as_floats, one_row, one_tensor

# Forests add floats in an order of their own, and scikit-learn's are twice as long.
TOLERANCE = 1e-5
CLASSES = ("setosa", "versicolor", "virginica")
# The number of a class and the probabilities of all, for each row.
Prediction = list[tuple[int, list[float]]]


@dataclass
class Contestant:
    """A server that runs, and how it is asked."""

    name: str
    server: Server
    request: Request
    # What an answer says; nothing if it says nothing of a model.
    read: Callable[[bytes], Prediction] | None
    # Of the gateway.
    grpc_port: int = 0


def gateway(
    binary: Path, folder: Path, changes: Settings | None = None, name: str = "gateway", log: Path | None = None
) -> Contestant:
    """The gateway; its log is a file of its own unless `log` names another."""
    made = Gateway(binary, folder, changes)
    headers = JSON | {"authorization": f"Bearer {made.token()}"}
    server = made.serve(name, log or LOGS / f"{name}.log")
    return Contestant(name, server, Request("/predict", headers, one_row), read_native, made.grpc)


def program(name: str, *arguments: str | Path) -> Server:
    port = free_port()
    command = [PROGRAMS / name, "--listen", f"127.0.0.1:{port}", *arguments]
    return Server(name, port, command, environment(), LOGS / f"{name}.log")


def echo(_: Path) -> Contestant:
    return Contestant("echo", program("echo"), Request("/predict", JSON, one_row), None)


def bytes_echo(_: Path) -> Contestant:
    return Contestant("echo, bytes", program("echo"), Request("/bytes", {}, as_floats), None)


def grpc_echo() -> Contestant:
    """Starts the yardstick of gRPC, which answers nothing over HTTP/1.1."""
    server = program("grpc_echo")
    return Contestant("echo, gRPC", server, Request("/", {}, as_floats), None, server.port)


def plain(_: Path) -> Contestant:
    return Contestant("plain", program("plain", "--model", IRIS), Request("/predict", JSON, one_row), read_native)


def furnace(_: Path) -> Contestant:
    server = program("furnace", "--model", IRIS, "--api-key", python_stack.SECRET)
    headers = JSON | {"x-api-key": python_stack.SECRET}
    return Contestant("furnace", server, Request("/v2/models/iris/infer", headers, one_tensor), read_tensors)


def tutorial(folder: Path) -> Contestant:
    server = python_stack.uvicorn("tutorial", "tutorial", folder)
    return Contestant("tutorial", server, Request("/predict", with_token(), one_row), read_native)


def fastapi_onnx(folder: Path) -> Contestant:
    server = python_stack.uvicorn("fastapi-onnx", "fastapi_onnx", folder)
    return Contestant("fastapi-onnx", server, Request("/predict", with_token(), one_row), read_native)


def mlserver(folder: Path) -> Contestant:
    server = python_stack.mlserver("mlserver", folder, 0)
    return Contestant("mlserver", server, Request("/v2/models/iris/infer", JSON, one_tensor), read_tensors)


def mlserver_workers(folder: Path) -> Contestant:
    server = python_stack.mlserver("mlserver-workers", folder, os.cpu_count() or 1)
    return Contestant("mlserver-workers", server, Request("/v2/models/iris/infer", JSON, one_tensor), read_tensors)


def bentoml(folder: Path) -> Contestant:
    server = python_stack.bentoml("bentoml", folder)
    return Contestant("bentoml", server, Request("/predict", JSON, one_row), read_native)


def litserve(_: Path) -> Contestant:
    return Contestant("litserve", python_stack.litserve("litserve"), Request("/predict", JSON, one_row), read_native)


def mosec(folder: Path) -> Contestant:
    server = python_stack.mosec("mosec", folder)
    return Contestant("mosec", server, Request("/inference", JSON, one_row), read_native)


# All but the gateway; each takes a folder for its files.
OTHERS: dict[str, Callable[[Path], Contestant]] = {
    "echo": echo,
    "plain": plain,
    "furnace": furnace,
    "fastapi-onnx": fastapi_onnx,
    "tutorial": tutorial,
    "mlserver": mlserver,
    "mlserver-workers": mlserver_workers,
    "bentoml": bentoml,
    "litserve": litserve,
    "mosec": mosec,
}


def with_token() -> dict[str, str]:
    return JSON | {"authorization": f"Bearer {python_stack.token()}"}


def read_native(content: bytes) -> Prediction:
    answer = json.loads(content)
    probabilities = [answer["probabilities"][name] for name in CLASSES]
    return [(CLASSES.index(answer["prediction"]), probabilities)]


def read_tensors(content: bytes) -> Prediction:
    outputs = {output["name"]: output["data"] for output in json.loads(content)["outputs"]}
    # Whether nested or flat.
    flat = outputs["probabilities"]
    flat = flat[0] if isinstance(flat[0], list) else flat
    return [(int(outputs["label"][0]), flat)]


def same_answers(contestant: Contestant, wanted: list[Prediction], rows: list[Row]) -> None:
    """That it answers what the gateway does: who answers something else is not worth measuring."""
    for row, (expected,) in zip(rows, wanted, strict=True):
        answered = answer_of(contestant, row)
        if contestant.read is None:
            return
        (came,) = answered
        close = all(abs(a - b) <= TOLERANCE for a, b in zip(came[1], expected[1], strict=True))
        if came[0] != expected[0] or not close:
            raise NotServing(f"{contestant.name} answers {came} to {row}, the gateway {expected}")


def answer_of(contestant: Contestant, row: Row) -> Prediction:
    request = contestant.request
    content = contestant.server.wait(request.path, request.headers, request.body([row]))
    return contestant.read(content) if contestant.read else []
