"""Writes a forest of about 25 MB, from `x` (N, 64) to a label and probabilities, all float. Run in .venv."""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier

COLUMNS, ROWS, TREES, SEED = 64, 12_000, 190, 0

chance = np.random.default_rng(SEED)
rows = chance.standard_normal((ROWS, COLUMNS)).astype(np.float32)
# Classes by chance: each tree grows until it has learnt them all, so the forest is large.
classes = chance.integers(0, 2, ROWS)
forest = RandomForestClassifier(n_estimators=TREES, random_state=SEED, n_jobs=-1).fit(rows, classes)
model = to_onnx(forest, rows[:1], options={"zipmap": False}, target_opset={"": 21, "ai.onnx.ml": 3})
# The name that the requests have.
(given,) = model.graph.input
for node in model.graph.node:
    node.input[:] = ["x" if name == given.name else name for name in node.input]
given.name = "x"
Path(sys.argv[1]).write_bytes(model.SerializeToString())
