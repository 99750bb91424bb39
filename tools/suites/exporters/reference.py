"""ONNX Runtime's own answers, through its Python interface: each row alone, and the first rows in one run.

It runs in the environment of `tools/setup --train`, as ONNX Runtime and the clients are in different ones:

    python -m suites.exporters.reference ANSWERS.json [NAME…]
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime

from lib.gateway import REPOSITORY

from .cases import ELEMENTS, TOGETHER, array

MODELS = REPOSITORY / "tests" / "models" / "exporters"
DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
NAMES = {np.dtype(element): name for name, element in ELEMENTS.items()}


def plain(value: Any) -> Any:
    """An output as JSON: a tensor, or a list of maps or of tensors."""
    if isinstance(value, list):
        return {"items": [plain(item) for item in value]}
    if isinstance(value, dict):
        return {"map": {str(key): float(number) for key, number in value.items()}}
    datatype = NAMES.get(value.dtype, "BYTES")
    data = value.ravel().tolist()
    if datatype.startswith("FP") and not all(map(math.isfinite, data)):
        raise ValueError("an output is not finite")
    return {"datatype": datatype, "shape": list(value.shape), "data": data}


def answers(name: str, rows: dict[str, list]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = str(MODELS / f"{name}.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = {value.name: DATATYPES[value.type] for value in session.get_inputs()}
    inputs = {key: array(rows[key], datatype) for key, datatype in kinds.items()}
    outputs = [value.name for value in session.get_outputs()]

    def run(first: int, end: int) -> dict[str, Any]:
        fed = {key: value[first:end] for key, value in inputs.items()}
        return {key: plain(value) for key, value in zip(outputs, session.run(outputs, fed), strict=True)}

    count = len(next(iter(inputs.values())))
    return {
        "inputs": [
            {"name": value.name, "datatype": kinds[value.name], "shape": value.shape} for value in session.get_inputs()
        ],
        "alone": [run(row, row + 1) for row in range(count)],
        "together": run(0, TOGETHER),
    }


def main() -> int:
    cases = json.loads((MODELS / "cases.json").read_text())
    names = sys.argv[2:] or list(cases)
    document = {"version": onnxruntime.__version__, "models": {n: answers(n, cases[n]["inputs"]) for n in names}}
    Path(sys.argv[1]).write_text(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
