#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1: HistGradientBoostingRegressor with the loss poisson or gamma answers the
# exponential of what its trees add up to. The converted model answers the sum itself. Seen: 1.94 in place of 6.94,
# with no error or warning. Ends with 1 if that changes.
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
from sklearn.ensemble import HistGradientBoostingRegressor

rows = load_iris().data.astype(np.float32)
prices = np.abs(rows @ np.array([1.5, -2, 3, 0.5])) + 1
is_sum = []
for loss in ("poisson", "gamma"):
    regressor = HistGradientBoostingRegressor(loss=loss, max_iter=20).fit(rows, prices)
    model = to_onnx(regressor, rows[:1], target_opset={"": 21, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answered, right = session.run(None, {"X": rows})[0].ravel(), regressor.predict(rows)
    print(f"{loss}: answered {answered[0]:.2f}, right is {right[0]:.2f}, whose logarithm is {np.log(right[0]):.2f}")
    is_sum.append(np.allclose(answered, np.log(right), atol=1e-4))
raise SystemExit(0 if all(is_sum) else 1)
PYTHON
