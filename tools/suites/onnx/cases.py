"""The test cases that the `onnx` package ships or makes, in one form."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx.backend.test
from onnx import TensorProto, numpy_helper

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")

# What every client can be expected to send and read.
STANDARD_TYPES = {
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
    TensorProto.BOOL,
    TensorProto.STRING,
}


@dataclass
class Case:
    """A model and the outputs that it must give for its inputs.

    A value is an array, a list for a sequence, or None for an optional that is none.
    """

    kind: str
    name: str
    model: bytes
    standard: bool
    data_sets: list[tuple[dict[str, Any], dict[str, Any]]]


def collect() -> list[Case]:
    """All cases, in an order that does not change."""
    # Some cases are about infinities, and numpy says so while it makes them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*generated(), *shipped()]


def generated() -> Iterator[Case]:
    from onnx.backend.test.case import model as simple
    from onnx.backend.test.case import node

    for case in [*node.collect_testcases(None), *simple.collect_testcases()]:
        # The other kind are models to download.
        if case.kind in KINDS:
            yield make_case(case.kind, case.name, case.model, case.data_sets)


def shipped() -> Iterator[Case]:
    (package,) = onnx.backend.test.__path__
    for kind in KINDS[2:]:
        for folder in sorted((Path(package) / "data" / kind).iterdir()):
            if (folder / "model.onnx").is_file():
                data_sets = [
                    (read_tensors(data_set, "input"), read_tensors(data_set, "output"))
                    for data_set in sorted(folder.glob("test_data_set_*"))
                ]
                yield make_case(kind, folder.name, onnx.load(folder / "model.onnx"), data_sets)


def read_tensors(folder: Path, prefix: str) -> list[TensorProto]:
    count = len(list(folder.glob(f"{prefix}_*.pb")))
    return [TensorProto.FromString((folder / f"{prefix}_{index}.pb").read_bytes()) for index in range(count)]


def make_case(kind: str, name: str, model: onnx.ModelProto, data_sets: list) -> Case:
    # Old files list their weights among the inputs, where a caller has no business.
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = list(model.graph.output)
    named = [
        (
            {value.name: plain(item) for value, item in zip(inputs, given, strict=False)},
            {value.name: plain(item) for value, item in zip(outputs, expected, strict=False)},
        )
        for given, expected in data_sets
    ]
    fed = {name for given, _ in named for name in given}
    standard = all(is_standard(value) for value in [*(v for v in inputs if v.name in fed), *outputs])
    return Case(kind, name, model.SerializeToString(), standard, named)


def plain(value: Any) -> Any:
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def is_standard(value: onnx.ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in STANDARD_TYPES
