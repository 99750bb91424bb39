"""Who is measured: how each is started, how it is asked, and what its answers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .gateway import Gateway, Settings
from .place import LOGS, PROGRAMS, environment
from .processes import NotServing, Server, free_port
from .samples import JSON, Request, Row, one_row

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

    def wait(self, row: Row) -> None:
        self.server.wait(self.request.path, self.request.headers, self.request.body([row]))


def gateway(binary: Path, folder: Path, changes: Settings | None = None, name: str = "gateway") -> Contestant:
    made = Gateway(binary, folder, changes)
    headers = JSON | {"authorization": f"Bearer {made.token()}"}
    return Contestant(name, made.start(name, LOGS / f"{name}.log"), Request("/predict", headers, one_row), read_native)


def echo() -> Contestant:
    port = free_port()
    command = [PROGRAMS / "echo", "--listen", f"127.0.0.1:{port}"]
    server = Server("echo", port, command, environment(), LOGS / "echo.log")
    return Contestant("echo", server, Request("/predict", JSON, one_row), None)


def read_native(content: bytes) -> Prediction:
    answer = json.loads(content)
    probabilities = [answer["probabilities"][name] for name in CLASSES]
    return [(CLASSES.index(answer["prediction"]), probabilities)]


def same_answers(contestant: Contestant, wanted: list[Prediction], rows: list[Row]) -> None:
    """That it answers what the gateway does: who answers something else is not worth measuring."""
    if contestant.read is None:
        return
    for row, (expected,) in zip(rows, wanted, strict=True):
        (came,) = answer_of(contestant, row)
        close = all(abs(a - b) <= TOLERANCE for a, b in zip(came[1], expected[1], strict=True))
        if came[0] != expected[0] or not close:
            raise NotServing(f"{contestant.name} answers {came} to {row}, the gateway {expected}")


def answer_of(contestant: Contestant, row: Row) -> Prediction:
    request = contestant.request
    content = contestant.server.wait(request.path, request.headers, request.body([row]))
    return contestant.read(content) if contestant.read else []
