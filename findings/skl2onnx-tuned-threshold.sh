#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1: TunedThresholdClassifierCV learns the probability from which on a row is of
# the second class. The converted model ignores it and takes the likelier class. Seen: other labels for 63 of 150 rows
# (sepals of iris), with no error or warning, while probabilities agree. Ends with 1 if that changes.
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
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

rows, species = load_iris(return_X_y=True)
rows = rows[:, :2].astype(np.float32)
tuned = TunedThresholdClassifierCV(LogisticRegression(max_iter=500), cv=3).fit(rows, species == 1)
model = to_onnx(tuned, rows[:1], options={"zipmap": False}, target_opset={"": 21, "ai.onnx.ml": 3})
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
answered, probabilities = session.run(None, {"X": rows})
different = int((answered.astype(bool) != tuned.predict(rows)).sum())
agree = np.allclose(probabilities, tuned.predict_proba(rows), atol=1e-5)
takes_likelier = np.array_equal(answered.astype(bool), probabilities[:, 1] > 0.5)
print(f"threshold {tuned.best_threshold_:.2g}; labels that differ: {different} of {len(rows)}")
print(f"probabilities agree: {agree}; labels are those of the likelier class: {takes_likelier}")
raise SystemExit(0 if different and agree and takes_likelier else 1)
PYTHON
