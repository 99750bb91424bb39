#!/usr/bin/env bash
# onnxmltools 1.16.0 with XGBoost 3.2.0: a random forest of several classes keeps all trees of the first class before
# those of the second. The converted model gives its trees to the classes in turn, which is the order of boosters only.
# Seen: other labels for 5 of 150 rows of iris, and probabilities that differ by up to 0.4, with no error or warning;
# none differ for XGBClassifier. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 xgboost==3.2.0 onnxmltools==1.16.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 \
    skl2onnx==1.20.0 protobuf==6.33.6
"$folder/bin/python" - <<'PYTHON'
import json

import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_iris

rows, labels = load_iris(return_X_y=True)
rows = rows.astype(np.float32)
is_same = {}
for kind in (xgboost.XGBRFClassifier, xgboost.XGBClassifier):
    model = kind(n_estimators=4, random_state=0).fit(rows, labels)
    learned = json.loads(model.get_booster().save_raw("json"))["learner"]["gradient_booster"]["model"]["tree_info"]
    converted = convert_xgboost(model, initial_types=[("input", FloatTensorType([None, 4]))], target_opset=15)
    lists = {a.name: list(a.ints) for node in converted.graph.node for a in node.attribute}
    written = list(dict(zip(lists["class_treeids"], lists["class_ids"], strict=True)).values())
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    answered, probabilities = session.run(None, {"input": rows})
    other = int((answered != model.predict(rows)).sum())
    difference = np.abs(probabilities - model.predict_proba(rows)).max()
    print(f"{kind.__name__}: class of each tree {learned}, converted {written}")
    print(f"  other labels: {other} of {len(rows)}; probabilities differ by up to {difference:.2g}")
    is_same[kind] = (learned == written, other == 0, bool(difference < 1e-5))
raise SystemExit(0 if list(is_same.values()) == [(False,) * 3, (True,) * 3] else 1)
PYTHON
