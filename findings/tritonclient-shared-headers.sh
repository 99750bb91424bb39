#!/usr/bin/env bash
# tritonclient 2.73.0, HTTP: `infer` with a binary input writes the length of its JSON into the dictionary of headers
# that it was given. The next call with the same dictionary and an input in JSON sends that length, which is another
# request's. Seen: a body of 158 bytes, all of it JSON, with Inference-Header-Content-Length: 154; with a dictionary of
# its own for each call the header is not there. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 'tritonclient[http]==2.73.0'
"$folder/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import tritonclient.http as triton

ANSWER = {"model_name": "m", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
LENGTH = "Inference-Header-Content-Length"
received = []


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((self.headers.get(LENGTH), body))
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def ask(client, binary, headers):
    values = triton.InferInput("x", [2, 4], "FP32").set_data_from_numpy(np.ones((2, 4), np.float32), binary_data=binary)
    client.infer("m", [values], outputs=[triton.InferRequestedOutput("y", binary_data=False)], headers=headers)
    length, body = received[-1]
    print(f"{'binary' if binary else 'JSON'} input: body of {len(body)} bytes, {LENGTH}: {length}")
    return length, body


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = triton.InferenceServerClient(f"127.0.0.1:{server.server_port}")
shared = {"x-caller": "shop"}
first, _ = ask(client, True, shared)
second, body = ask(client, False, shared)
own, same_body = ask(client, False, {"x-caller": "shop"})
client.close()
server.shutdown()
json.loads(body)
raise SystemExit(0 if first == second and int(second) != len(body) and own is None and same_body == body else 1)
PYTHON
