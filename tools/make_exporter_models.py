#!/usr/bin/env python3
"""Make small models as exporters write them, in tests/models/exporters/, with the rows that tools/exporter-suite asks.

They need an environment of their own (about 8 GB, for torch and TensorFlow). Commit what changes:

    python3 -m venv /tmp/exporters
    /tmp/exporters/bin/python -m pip install --requirement tools/requirements-exporters.txt
    /tmp/exporters/bin/python tools/make_exporter_models.py             # all; or one group: scikit, boosters, …
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0")

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools" / "models"))

from exporter_models.made import document

MODELS = REPOSITORY / "tests" / "models" / "exporters"
CASES = MODELS / "cases.json"
GROUPS = ("scikit", "boosters", "networks", "keras", "quantised", "hand")


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Exporters keep names in sets.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    groups = sys.argv[1:] or GROUPS
    if set(groups) - set(GROUPS):
        sys.exit(f"make_exporter_models: the groups are {', '.join(GROUPS)}")
    MODELS.mkdir(parents=True, exist_ok=True)
    cases = json.loads(CASES.read_text()) if CASES.exists() else {}
    for group in groups:
        cases = {name: case for name, case in cases.items() if case["group"] != group}
        for made in importlib.import_module(f"exporter_models.{group}").models():
            (MODELS / f"{made.name}.onnx").write_bytes(made.model)
            cases[made.name] = {"group": group, **document(made)}
            print(f"wrote {made.name}.onnx ({len(made.model)} bytes): {made.exporter}, {made.estimator}")
    for path in MODELS.glob("*.onnx"):
        if path.stem not in cases:
            path.unlink()
    # A line a model, so that a change of one is one line.
    lines = (f"{json.dumps(name)}: {json.dumps(case, ensure_ascii=False)}" for name, case in sorted(cases.items()))
    CASES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
