#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1: isotonic calibration draws a line between the points that it has learned. The
# converted model takes the value of the nearest point. Seen: probabilities differ by up to 0.33, and with sigmoid
# calibration by less than 0.000001. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 protobuf==6.33.6
"$folder/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

rows, labels = load_iris(return_X_y=True)
rows = rows.astype(np.float32)
differences = {}
for method in ("isotonic", "sigmoid"):
    calibrated = CalibratedClassifierCV(LogisticRegression(max_iter=500), cv=2, method=method).fit(rows, labels)
    model = to_onnx(calibrated, rows[:1], options={"zipmap": False}, target_opset={"": 21, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answered = session.run(["probabilities"], {"X": rows})[0]
    differences[method] = np.abs(answered - calibrated.predict_proba(rows)).max()
    print(f"{method}: probabilities differ by up to {differences[method]:.2g}")
raise SystemExit(0 if differences["isotonic"] > 0.01 and differences["sigmoid"] < 1e-5 else 1)
PYTHON
