#!/usr/bin/env bash
# CatBoost 1.2.10, saved with format="onnx": a classifier of two classes whose labels are whole numbers other than 0 and
# 1 answers 0 or 1 as `label`, while the maps of probabilities have the right keys. Texts as labels are right. Seen:
# labels -1 and 1 are answered as 0 and 1. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 catboost==1.2.10 scikit-learn==1.9.1 onnxruntime==1.32.0
"$folder/bin/python" - <<'PYTHON'
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from catboost import CatBoostClassifier
from sklearn.datasets import load_iris

rows, species = load_iris(return_X_y=True)
rows = rows.astype(np.float32)
found = {}
for name, labels in {"signs": np.where(species > 0, 1, -1), "texts": np.where(species > 0, "b", "a")}.items():
    model = CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(rows, labels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.save_model(path, format="onnx")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answered, maps = session.run(None, {"features": rows})
    found[name] = (sorted(set(np.asarray(answered).tolist())), list(maps[0]))
    print(f"{name}: trained with {sorted(set(labels.tolist()))}, answered {found[name][0]}, keys {found[name][1]}")
raise SystemExit(0 if found == {"signs": ([0, 1], [-1, 1]), "texts": (["a", "b"], ["a", "b"])} else 1)
PYTHON
