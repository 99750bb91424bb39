#!/usr/bin/env bash
# onnxmltools 1.16.0 with LightGBM 4.7.0: the output `label` is declared with the shape [1], and has one item for each
# row. Seen: 150 labels for 150 rows, and a warning of ONNX Runtime. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 lightgbm==4.7.0 onnxmltools==1.16.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 \
    skl2onnx==1.20.0 protobuf==6.33.6
"$folder/bin/python" - <<'PYTHON'
import lightgbm
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_iris

rows, labels = load_iris(return_X_y=True)
booster = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, labels)
model = convert_lightgbm(booster, initial_types=[("input", FloatTensorType([None, 4]))], target_opset=15)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
declared = session.get_outputs()[0].shape
answered = session.run(["label"], {"input": rows.astype("float32")})[0].shape
print(f"declared {declared}, answered {list(answered)}")
raise SystemExit(0 if declared == [1] and answered == (150,) else 1)
PYTHON
