#!/usr/bin/env bash
# tritonclient 2.73.0 with KServe's SDK 0.21.0: pip installs both, and either works alone. Both bring the messages of
# the Open Inference Protocol under the names of one package, of which protobuf takes only one in a process. Seen: the
# second import ends with a TypeError, "duplicate symbol 'inference.ServerLiveRequest'", in either order. Ends with 1 if
# that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    'tritonclient[grpc]==2.73.0' kserve==0.21.0 protobuf==6.33.6 grpcio==1.85.3
"$folder/bin/python" -m pip check --disable-pip-version-check
"$folder/bin/python" - <<'PYTHON'
import subprocess
import sys

said = {}
for order in ("tritonclient.grpc", "kserve", "tritonclient.grpc, kserve", "kserve, tritonclient.grpc"):
    done = subprocess.run([sys.executable, "-c", f"import {order}"], capture_output=True, text=True, check=False)
    said[order] = "no error" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    print(f"import {order}: {said[order]}")
alone, together = list(said.values())[:2], list(said.values())[2:]
is_refused = all(text.startswith("TypeError") and "inference.ServerLiveRequest" in text for text in together)
raise SystemExit(0 if alone == ["no error"] * 2 and is_refused else 1)
PYTHON
