"""Networks of torch, by its exporter (`torch.onnx.export` with `dynamo=True`) and, for one, by the older one."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from . import rows
from .made import Made, serialized

BATCH = torch.export.Dim("batch")
WORDS = 20


class Digit(nn.Module):
    """The place of the greatest output, and nothing else."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).argmax(1)


class Words(nn.Module):
    """Numbers of words in, two classes out."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.words(ids).mean(1)).softmax(1)


class Bag(nn.Module):
    """A mean of words by an embedding bag, which the exporter writes as a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(WORDS, 4, mode="mean")
        self.out = nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.words(ids))


class Recurrent(nn.Module):
    """A series in, what comes next out, and if asked for the state: its first axis counts the layers."""

    def __init__(self, kind: type[nn.Module], *, state: bool = False) -> None:
        super().__init__()
        self.recurrent = kind(2, 4, batch_first=True, num_layers=2 if state else 1)
        self.out = nn.Linear(4, 1)
        self.state = state

    def forward(self, series: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        each, state = self.recurrent(series)
        following = self.out(each[:, -1])
        return (following, state) if self.state else following


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1))


def picture() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))


def exported(
    model: nn.Module, name: str, example: torch.Tensor, outputs: list[str], *, dynamo: bool
) -> onnx.ModelProto:
    shared: dict[str, Any] = {"input_names": [name], "output_names": outputs, "opset_version": 18}
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: BATCH},)
            program = torch.onnx.export(model, (example,), dynamo=True, dynamic_shapes=shapes, verbose=False, **shared)
            return onnx.load_from_string(program.model_proto.SerializeToString())
        written = io.BytesIO()
        axes = {name: {0: "n"}, outputs[0]: {0: "n"}}
        torch.onnx.export(model, (example,), written, dynamo=False, dynamic_axes=axes, **shared)
        return onnx.load_from_string(written.getvalue())


def models() -> Iterator[Made]:
    drawn = np.random.default_rng(rows.SEED)
    flowers = rows.asked(extreme=100)
    ids = drawn.integers(0, WORDS, (rows.COUNT, 6))
    ids[0], ids[1] = 0, WORDS - 1
    series = drawn.normal(0, 1, (rows.COUNT, 5, 2)).astype(np.float32).round(3)
    series[3], series[4] = 0, 50
    pictures = drawn.integers(0, 256, (rows.COUNT, 1, 8, 8)).astype(np.float32)
    pictures[5], pictures[6] = 0, 255
    for name, make, given, value in (
        ("mlp", perceptron, "x", flowers),
        ("mlp_older", perceptron, "x", flowers),
        ("argmax", lambda: Digit(perceptron()), "x", flowers),
        ("words", Words, "ids", ids),
        ("bag", Bag, "ids", ids),
        ("lstm", lambda: Recurrent(nn.LSTM), "series", series),
        ("gru", lambda: Recurrent(nn.GRU), "series", series),
        ("gru_state", lambda: Recurrent(nn.GRU, state=True), "series", series),
        ("conv", picture, "picture", pictures),
    ):
        torch.manual_seed(rows.SEED)
        dynamo, whole = name != "mlp_older", ("state",) if name == "gru_state" else ()
        # Three, as a size of one or two is taken for a fixed one where something else has it too.
        model = exported(make(), given, torch.from_numpy(value[:3]), ["y", *whole], dynamo=dynamo)
        exporter = f"torch, dynamo={dynamo}"
        yield Made(f"torch_{name}", exporter, name.split("_")[0], serialized(model), {given: value}, whole=whole)
