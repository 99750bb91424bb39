#!/usr/bin/env bash
# ONNX Runtime 1.32.0: a session of a forest from an .onnx file keeps more than three times the memory of a session of
# the same forest in ONNX Runtime's own format, whose file is longer. Both answer the same. Seen: 92 MB for an .onnx
# file of 20 MB, and 28 MB for an .ort file of 45 MB. Ends with 1 if that changes. Needs Linux with glibc, which is told
# to give freed memory back before it is measured.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 protobuf==6.33.6
cat >"$folder/make.py" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor

folder = Path(sys.argv[1])
random = np.random.default_rng(0)
rows = random.random((20000, 8)).astype(np.float32)
forest = RandomForestRegressor(20, random_state=0).fit(rows, random.random(len(rows)))
model = to_onnx(forest, rows[:1], target_opset={"": 17, "ai.onnx.ml": 3})
(folder / "forest.onnx").write_bytes(model.SerializeToString())
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.optimized_model_filepath = str(folder / "forest.ort")
options.add_session_config_entry("session.save_model_format", "ORT")
onnxruntime.InferenceSession(folder / "forest.onnx", options, providers=["CPUExecutionProvider"])
PYTHON
cat >"$folder/measure.py" <<'PYTHON'
import ctypes
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def resident_bytes():
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


before = resident_bytes()
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
kept = resident_bytes() - before
print(kept, session.run(None, {"X": np.full((1, 8), 0.5, np.float32)})[0].item())
PYTHON
"$folder/bin/python" "$folder/make.py" "$folder"
read -r of_onnx answer < <("$folder/bin/python" "$folder/measure.py" "$folder/forest.onnx")
read -r of_own same_answer < <("$folder/bin/python" "$folder/measure.py" "$folder/forest.ort")
echo "forest.onnx: $(stat -c %s "$folder/forest.onnx") bytes, its session keeps $of_onnx, answer $answer"
echo "forest.ort: $(stat -c %s "$folder/forest.ort") bytes, its session keeps $of_own, answer $same_answer"
[[ $answer == "$same_answer" && $of_onnx -gt $((2 * of_own)) ]]
