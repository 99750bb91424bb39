"""Models that ONNX Runtime's quantiser, or a conversion to floats of 16 bits, has made smaller."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxconverter_common import float16
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from . import networks, rows
from .made import Made, serialized

# The whole batch has one scale, so what a row is answered depends on the rows beside it.
DEPENDS = ("depends_on_batch",)


class Flowers(CalibrationDataReader):
    def __init__(self) -> None:
        self.parts = iter([{"x": part} for part in np.array_split(rows.FEATURES, 10)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.parts, None)


def floats(kind: str) -> onnx.ModelProto:
    torch.manual_seed(rows.SEED)
    body = networks.perceptron()
    model = networks.Digit(body) if kind == "argmax" else body
    return networks.exported(model, "x", torch.from_numpy(rows.FEATURES[:3]), ["y"], dynamo=True)


def models() -> Iterator[Made]:
    logging.getLogger().setLevel(logging.ERROR)
    inputs = {"x": rows.asked(extreme=100)}
    with tempfile.TemporaryDirectory() as folder:
        given, written = Path(folder) / "given.onnx", Path(folder) / "written.onnx"
        for name in ("mlp", "argmax"):
            onnx.save(floats(name), given)
            quantize_dynamic(given, written, weight_type=QuantType.QInt8)
            model = onnx.load(written)
            yield Made(f"int8_dynamic_{name}", "quantize_dynamic", f"torch, {name}", serialized(model), inputs, DEPENDS)
        for name, form in (("qdq", QuantFormat.QDQ), ("operators", QuantFormat.QOperator)):
            onnx.save(floats("mlp"), given)
            quantize_static(given, written, Flowers(), quant_format=form)
            model = onnx.load(written)
            yield Made(f"int8_static_{name}", f"quantize_static, {form.name}", "torch, mlp", serialized(model), inputs)
    for keep in (True, False):
        model = float16.convert_float_to_float16(floats("mlp"), keep_io_types=keep)
        name = "float16" if keep else "float16_throughout"
        value = inputs["x"] if keep else inputs["x"].astype(np.float16)
        what = f"convert_float_to_float16, keep_io_types={keep}"
        yield Made(name, what, "torch, mlp", serialized(model), {"x": value})
