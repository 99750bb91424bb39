#!/usr/bin/env python3
"""Train a random forest on Iris and export it as one ONNX file that is a whole deployment.

The file carries its own contract in the ONNX metadata (key `onnx_gateway.contract`): feature names
with units and ranges, class labels, and golden cases that the gateway runs before it serves the file.
The export is written by rename, so a gateway that watches the folder never sees half a file.

Run it with the environment that `tools/setup --train` makes:

    .venv/bin/python tools/train_iris.py --seed 7 --trees 50 --output models/iris/2/model.onnx
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

REPOSITORY = Path(__file__).resolve().parent.parent
CONTRACT_KEY = "onnx_gateway.contract"

# Shortest and longest plausible measurements, wider than the data set: a value outside is a mistake
# of the caller (millimetres for centimetres, a shifted column), not an unusual flower.
FEATURES = [
    {"name": "sepal_length", "unit": "cm", "minimum": 0.1, "maximum": 15.0},
    {"name": "sepal_width", "unit": "cm", "minimum": 0.1, "maximum": 10.0},
    {"name": "petal_length", "unit": "cm", "minimum": 0.1, "maximum": 15.0},
    {"name": "petal_width", "unit": "cm", "minimum": 0.1, "maximum": 10.0},
]

# One flower of each class, answered by the exported model itself after it was proved equal to
# scikit-learn: what the gateway repeats before it serves the file.
GOLDEN_ROWS = [
    [5.1, 3.5, 1.4, 0.2],
    [5.9, 2.8, 4.3, 1.3],
    [6.7, 3.0, 5.2, 2.3],
]
GOLDEN_TOLERANCE = 1e-4
MINIMUM_HELD_OUT_ACCURACY = 0.9
FOLDS = 5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a random forest on Iris and export it to ONNX with its contract."
    )
    parser.add_argument("--seed", type=int, default=42, help="random seed (default: %(default)s)")
    parser.add_argument("--trees", type=int, default=100, help="trees in the forest (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=REPOSITORY / "models" / "iris" / "1" / "model.onnx",
        help="where to write the ONNX file (default: models/iris/1/model.onnx)",
    )
    parser.add_argument(
        "--answers",
        type=Path,
        help="also write all 150 rows and scikit-learn's answers to them, as JSON, for tests",
    )
    options = parser.parse_args()
    if options.trees < 1:
        parser.error("--trees must be at least 1")
    if not 0 <= options.seed < 2**32:
        parser.error("--seed must be between 0 and 4294967295")
    return options


def run(model: bytes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and probabilities (N, 3) of the exported model."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(["label", "probabilities"], {"features": rows})
    return labels, probabilities


def golden_cases(model: bytes) -> list[dict]:
    cases = []
    for row in GOLDEN_ROWS:
        labels, probabilities = run(model, np.array([row], dtype=np.float32))
        cases.append(
            {
                "inputs": {"features": [row]},
                "outputs": {
                    "label": labels.tolist(),
                    "probabilities": [[round(float(p), 6) for p in probabilities[0]]],
                },
            }
        )
    return cases


def write_by_rename(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".model-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a gateway that runs as another user must be able to read it.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def main() -> int:
    options = arguments()
    iris = load_iris()
    rows = iris.data.astype(np.float32)

    forest = RandomForestClassifier(n_estimators=options.trees, random_state=options.seed)

    # Every row is predicted by a forest that has not seen it: one split of 150 rows leaves so few
    # that the figure would say more about the split than about the forest.
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=options.seed)
    held_out = cross_val_predict(forest, rows, iris.target, cv=folds)
    accuracy = accuracy_score(iris.target, held_out)
    print(f"held-out accuracy: {accuracy:.3f} ({FOLDS} folds, {len(rows)} rows)", flush=True)
    if accuracy < MINIMUM_HELD_OUT_ACCURACY:
        print(f"error: held-out accuracy is below {MINIMUM_HELD_OUT_ACCURACY}; nothing was written", file=sys.stderr)
        return 1

    forest.fit(rows, iris.target)
    exported = to_onnx(
        forest,
        initial_types=[("features", FloatTensorType([None, len(FEATURES)]))],
        options={id(forest): {"zipmap": False}},
        target_opset={"": 21, "ai.onnx.ml": 3},
    )
    content = exported.SerializeToString()

    labels, probabilities = run(content, rows)
    equal_labels = int((labels == forest.predict(rows)).sum())
    difference = float(np.abs(probabilities - forest.predict_proba(rows)).max())
    print(
        f"export against scikit-learn: {equal_labels} of {len(rows)} labels equal, "
        f"largest difference in a probability {difference:.1e}"
    )
    if equal_labels != len(rows) or difference > GOLDEN_TOLERANCE:
        print("error: the exported model does not answer as scikit-learn does; nothing was written", file=sys.stderr)
        return 1

    contract = {
        "features": FEATURES,
        "classes": [str(name) for name in iris.target_names],
        "golden": golden_cases(content),
        "tolerance": GOLDEN_TOLERANCE,
    }
    onnx.helper.set_model_props(exported, {CONTRACT_KEY: json.dumps(contract)})
    exported.doc_string = (
        f"Random forest of {options.trees} trees on the Iris data set, seed {options.seed}, "
        f"held-out accuracy {accuracy:.3f}"
    )
    content = exported.SerializeToString()
    write_by_rename(options.output, content)
    print(f"wrote {options.output} ({len(content)} bytes)")
    if options.answers:
        answers = {
            "rows": [[round(float(value), 1) for value in row] for row in rows],
            "labels": [str(iris.target_names[index]) for index in forest.predict(rows)],
        }
        write_by_rename(options.answers, json.dumps(answers).encode())
        print(f"wrote {options.answers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
