"""curl and tritonclient over TLS, against a gateway of its own, and without trust in its authority."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial

import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from .checks import Check, LeftOut, equal, expect, refused
from .encrypted_gateway import Encrypted
from .gateway import Gateway
from .triton_http import ROW

NAME = "TLS"


class Clients(Encrypted):
    """The ways to ask it."""

    def curl(self, version: str, expected: str, *trust: str) -> str:
        what = ["--silent", "--show-error", version, "--write-out", "\\n%{http_version}", *trust]
        sent = ["--json", json.dumps({"features": ROW.ravel().tolist()}), "-H", f"Authorization: Bearer {self.token}"]
        try:
            command = ["curl", *what, *sent, f"https://{self.rest}/predict"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except FileNotFoundError:
            raise LeftOut("curl over TLS (package curl)") from None
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        body, _, spoken = done.stdout.rpartition("\n")
        equal((json.loads(body)["prediction"], spoken), ("setosa", expected))
        return body

    def trusted_curl(self, version: str, expected: str) -> None:
        self.curl(version, expected, "--cacert", str(self.certificates.authority))

    def triton_http(self) -> None:
        trust = {"ca_certs": str(self.certificates.authority)}
        client = triton_http.InferenceServerClient(self.rest, ssl=True, ssl_options=trust)
        entry = triton_http.InferInput("features", [1, 4], "FP32").set_data_from_numpy(ROW)
        equal(client.infer("iris", [entry], headers=self.headers).as_numpy("label").tolist(), [0])

    def triton_grpc(self) -> None:
        authority = str(self.certificates.authority)
        client = triton_grpc.InferenceServerClient(self.grpc, ssl=True, root_certificates=authority)
        entry = triton_grpc.InferInput("features", [1, 4], "FP32").set_data_from_numpy(ROW)
        headers = {"authorization": f"Bearer {self.token}"}
        equal(client.infer("iris", [entry], headers=headers).as_numpy("label").tolist(), [0])

    def unknown(self) -> None:
        expect("certificate" in refused(partial(self.curl, "--http1.1", "1.1")).lower(), "another error")


def checks(gateway: Gateway) -> Iterator[Check]:
    clients = Clients(gateway.scratch / "encrypted")
    yield f"{NAME}: curl, HTTP/1.1", partial(clients.trusted_curl, "--http1.1", "1.1")
    yield f"{NAME}: curl, HTTP/2", partial(clients.trusted_curl, "--http2", "2")
    yield f"{NAME}: curl without trust in the authority is not answered", clients.unknown
    yield f"{NAME}: tritonclient over HTTP", clients.triton_http
    yield f"{NAME}: tritonclient over gRPC", clients.triton_grpc
    yield f"{NAME}: the gateway ends well", clients.end
