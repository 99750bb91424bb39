"""Shared parts of the makers of test models: short ways to write a graph, and its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "tests" / "models"
CONTRACT_KEY = "onnx_gateway.contract"
OPSET = helper.make_opsetid("", 21)
ML_OPSET = helper.make_opsetid("ai.onnx.ml", 5)


def rows(name: str, columns: int, element_type: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, ["N", columns])


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def graph(
    name: str,
    nodes: list,
    inputs: list,
    outputs: list,
    initializers: Sequence = (),
    opsets: Sequence = (OPSET,),
    functions: Sequence = (),
) -> onnx.ModelProto:
    body = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    return helper.make_model(body, opset_imports=list(opsets), ir_version=10, functions=list(functions))


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    return twin


def contract_of(model: onnx.ModelProto) -> dict:
    (text,) = (entry.value for entry in model.metadata_props if entry.key == CONTRACT_KEY)
    return json.loads(text)


def set_contract(model: onnx.ModelProto, contract: dict) -> None:
    helper.set_model_props(model, {CONTRACT_KEY: json.dumps(contract)})


def save(name: str, model: onnx.ModelProto) -> None:
    """Writes tests/models/NAME.onnx. Nothing is checked here: some of these files are wrong on purpose."""
    path = MODELS / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    print(f"wrote {path.relative_to(REPOSITORY)} ({path.stat().st_size} bytes)")
