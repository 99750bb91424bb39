#!/usr/bin/env bash
# MLServer 1.7.1: the label `version` of model_infer_request_success is the version in the path of the request, not that of
# the model. Requests without a version in their path, as most clients send, count as "None", although their responses
# name version 3; and a model counts under two labels if some clients name its version. Seen: two requests to one model
# of version 3 are 1.0 with version="None" and 1.0 with version="3". The model's metadata have no versions either. Ends
# with 1 if that changes.
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
        outputs = [NumpyCodec.encode_output("y", values)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
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
from contextlib import ExitStack
from pathlib import Path

binaries, folder = Path(sys.executable).parent, Path(sys.argv[1])
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.5, 2.5]}]}).encode()


def ask(port, path, body=None):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def is_ready():
    try:
        ask(http, "/v2/models/echo/ready")
    except OSError:
        return False
    return True


with ExitStack() as stack:
    bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
    http, grpc, metrics = (one.getsockname()[1] for one in bound)
settings = {
    "host": "127.0.0.1", "parallel_workers": 0, "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
    "metrics_dir": str(folder),
}
(folder / "settings.json").write_text(json.dumps(settings))
model = {"name": "echo", "implementation": "echo.Echo", "parameters": {"version": "3"}}
(folder / "model-settings.json").write_text(json.dumps(model))
log = folder / "log"
with log.open("wb") as output:
    command = [binaries / "mlserver", "start", "."]
    server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
try:
    until = time.monotonic() + 120
    while server.poll() is None and not is_ready() and time.monotonic() < until:
        time.sleep(0.1)
    for path in ("/v2/models/echo/infer", "/v2/models/echo/versions/3/infer"):
        print("version in the response:", json.loads(ask(http, path, BODY))["model_version"])
    series = ask(metrics, "/metrics").splitlines()
    counted = [line for line in series if line.startswith("model_infer_request_success_total")]
    print(*sorted(counted), sep="\n")
    print("versions in the metadata:", json.loads(ask(http, "/v2/models/echo"))["versions"])
    server.terminate()
    server.wait(60)
finally:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
PYTHON
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check uvloop==0.21.0 mlserver==1.7.1 \
    fastapi==0.115.14 grpcio==1.85.3 numpy==2.4.6 pandas==3.1.1 protobuf==6.33.6 pydantic==2.14.4 \
    pydantic-settings==2.16.3 starlette==0.46.2 tritonclient==2.73.0 uvicorn==0.54.0
"$folder/bin/python" -m pip check --disable-pip-version-check
seen=$("$folder/bin/python" "$folder/serve.py" "$folder/model")
echo "$seen"
[[ $seen == 'version in the response: 3
version in the response: 3
model_infer_request_success_total{model="echo",version="3"} 1.0
model_infer_request_success_total{model="echo",version="None"} 1.0
versions in the metadata: []' ]]
