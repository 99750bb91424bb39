"""Responses of ONNX Runtime itself, through its Python interface: the best that the gateway can give."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from .cases import Case
from .wire import difference, to_json

# What numpy has no type of its own for, and the interface gives and takes only as bytes.
BYTE_TYPES = {
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
}
ELEMENT_TYPES = {np.dtype(numpy_type): element_type for element_type, numpy_type in BYTE_TYPES.items()}

cases: list[Case] = []


def references(all_cases: list[Case], processes: int) -> Iterator[str | None]:
    """The fault of ONNX Runtime's response to each case. `None` if it is right."""
    cases[:] = all_cases
    # Forked, so that the cases need not be made again; ONNX Runtime is not loaded here before.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(reference, range(len(cases)), chunksize=16)


def reference(number: int) -> str | None:
    # Else it starts a thread and writes files when it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    case = cases[number]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])
        for inputs, expected in case.data_sets:
            answer = {name: to_json(value) for name, value in run(session, inputs).items()}
            problem = difference(expected, answer)
            if problem:
                return problem
    except Exception as error:  # noqa: BLE001 - its errors have no common class
        return f"{type(error).__name__}: {error}"[:300]
    return None


def run(session: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    names = [output.name for output in session.get_outputs()]
    types = [value.type for value in [*session.get_inputs(), *session.get_outputs()]]
    if not any("bfloat16" in kind or "float8" in kind for kind in types):
        return dict(zip(names, session.run(names, inputs), strict=True))
    feeds = {name: to_ort(array) for name, array in inputs.items()}
    values = session.run_with_ort_values(names, feeds)
    return {name: from_ort(value) for name, value in zip(names, values, strict=True)}


def to_ort(value: np.ndarray) -> Any:
    from onnxruntime import OrtValue

    array = np.ascontiguousarray(value).reshape(np.shape(value))
    element_type = ELEMENT_TYPES.get(array.dtype)
    if element_type is None:
        return OrtValue.ortvalue_from_numpy(array)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(f"u{array.dtype.itemsize}"), element_type)


def from_ort(value: Any) -> Any:
    numpy_type = BYTE_TYPES.get(value.element_type())
    if numpy_type is None:
        return value.numpy()
    content = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(content, numpy_type).reshape(value.shape())
