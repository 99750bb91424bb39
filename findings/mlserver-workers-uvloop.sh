#!/usr/bin/env bash
# MLServer 1.7.1 with uvloop 0.23.0, which its requirements allow and pip takes by default: worker processes fail as
# they start, and one worker is the default. A worker asks for the event loop before there is one: uvloop 0.21.0 makes
# it then, 0.22.1 and 0.23.0 raise an error. Seen: "There is no current event loop in thread 'MainThread'", the model is
# never ready, and after a few seconds the server ends with status 0. It answers without workers, and with one beside
# uvloop 0.21.0. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
mkdir "$folder/model"
cat >"$folder/model/echo.py" <<'PYTHON'
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Echo(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        values = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", values)])
PYTHON
cat >"$folder/serve.py" <<'PYTHON'
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

binaries, folder, workers = Path(sys.executable).parent, Path(sys.argv[1]), int(sys.argv[2])
VALUES = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.5, 2.5]}
ERROR = "There is no current event loop in thread 'MainThread'"


def ask(path, body=None):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{settings['http_port']}/v2/models/echo/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read()


def is_ready():
    try:
        ask("ready")
    except OSError:
        return False
    return True


settings = {"host": "127.0.0.1", "parallel_workers": workers, "metrics_endpoint": None}
with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as grpc:
    settings |= {"http_port": http.getsockname()[1], "grpc_port": grpc.getsockname()[1]}
(folder / "settings.json").write_text(json.dumps(settings))
(folder / "model-settings.json").write_text(json.dumps({"name": "echo", "implementation": "echo.Echo"}))
command, log, ready = [binaries / "mlserver", "start", "."], folder / "log", False
with log.open("wb") as output:
    server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
try:
    until = time.monotonic() + 120
    while server.poll() is None and not ready and time.monotonic() < until:
        time.sleep(0.1)
        ready = is_ready()
    if ready:
        answer = json.loads(ask("infer", json.dumps({"inputs": [VALUES]}).encode()))
        print("answered", answer["outputs"][0]["data"])
    elif server.poll() is None:
        print("neither ready nor ended")
    else:
        reason = ERROR if ERROR in log.read_text() else "another reason"
        print(f"ended with status {server.returncode}: {reason}")
    server.terminate()
    server.wait(60)
finally:
    # The workers are in its session.
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
PYTHON
use_uvloop() {
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "uvloop==$1" mlserver==1.7.1 \
        fastapi==0.115.14 grpcio==1.85.3 numpy==2.4.6 pandas==3.1.1 protobuf==6.33.6 pydantic==2.14.4 \
        pydantic-settings==2.16.3 starlette==0.46.2 tritonclient==2.73.0 uvicorn==0.54.0
    "$folder/bin/python" -m pip check --disable-pip-version-check
}
serve() { "$folder/bin/python" "$folder/serve.py" "$folder/model" "$1"; }
use_uvloop 0.23.0
newest=$(serve 1)
echo "uvloop 0.23.0, 1 worker: $newest"
without=$(serve 0)
echo "uvloop 0.23.0, no worker: $without"
use_uvloop 0.21.0
older=$(serve 1)
echo "uvloop 0.21.0, 1 worker: $older"
answered='answered [1.5, 2.5]'
refused="ended with status 0: There is no current event loop in thread 'MainThread'"
[[ $newest == "$refused" && $without == "$answered" && $older == "$answered" ]]
