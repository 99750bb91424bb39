"""Routes of the scope `manage`, where only the admin listener serves them: REST, gRPC, the command `rollback`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lib.gateway import environment

from . import http2
from .files import RETRAINED, served, swapped, undisturbed
from .gateway import Gateway, mint
from .http1 import Listener, ask
from .registry import Encrypted, Run, case, expect
from .watcher import Watcher
from .wires import JSON, bearer, field, wires

AUDIENCE = "operators"
COMMAND_SECONDS = 60
# The number of `metadata_props` in a model's file, which are pairs of a key (1) and a value (2).
METADATA = 14
PATHS = {
    "/models/iris/rollback": b"",
    "/v2/repository/index": b"{}",
    "/v2/repository/models/iris/load": b"{}",
    "/v2/repository/models/iris/unload": b"{}",
    "/revoke": json.dumps({"subject": "somebody"}).encode(),
}
# A RepositoryModelLoadRequest and -Unload have the model's name as field 2; one for the index may be empty.
CALLS = {
    "RepositoryIndex": b"",
    "RepositoryModelLoad": field(2, b"iris"),
    "RepositoryModelUnload": field(2, b"iris"),
}


def refused_everywhere(gateway: Gateway) -> int:
    """Asks the public listeners for what has moved, with a token of every scope. Returns the number of refusals."""
    wrong, count = [], 0
    for wire in wires(gateway):
        if wire.is_grpc:
            mine = [bearer(gateway.token)]
            answers = {name: http2.call(gateway.calls, name, body, mine) for name, body in CALLS.items()}
        else:
            answers = {path: wire.post(path, body, JSON, bearer(gateway.token)) for path, body in PATHS.items()}
        for what, answer in answers.items():
            count += 1
            if answer.status != 403:
                wrong.append(f"{wire.name}, {what}: {answer.status} {answer.body[:100]!r}")
    expect(not wrong, "; ".join(wrong))
    return count


def command(run: Run, gateway: Gateway, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `onnx-gateway rollback iris` with the settings of a gateway, or with the options alone."""
    own = [] if "--url" in options else gateway.arguments
    return subprocess.run(
        [run.binary, *own, "rollback", "iris", *options],
        env=environment(),
        cwd=gateway.folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def rolls_back(run: Run, gateway: Gateway, source: Path | bytes, before: str, *options: str) -> None:
    """Deploys a file, and expects that the command brings back what served before."""
    swapped(gateway, source, "a swap")
    done = command(run, gateway, *options)
    expect(done.returncode == 0 and served(gateway) == before, f"{options}: {done.returncode} {done.stderr.strip()}")


@case(
    "management on the admin listener",
    "load, unload, rollback, index and revoke on the public listeners with every scope; on the admin listener with "
    "tokens of the wrong audience and scope, and with none; then `onnx-gateway rollback`, by settings and by --url",
    "403 on the public ones, 401 and 403 on the admin one; the command rolls back; no other request is lost",
    encrypted=Encrypted.ALWAYS,
)
def moved(run: Run) -> str:
    # The admin listener has a certificate only by itself.
    tls = run.certificates.settings if run.tls else {}
    settings: dict[str, Any] = {"server__management": "admin", "admin__audience": AUDIENCE}
    settings |= {f"admin.tls__{name}": value for name, value in tls.items()}
    with Gateway(run, **settings) as gateway:
        refusals = refused_everywhere(gateway)
        admin = Listener(gateway.admin, gateway.rest.authority)
        token = mint("operator", "manage", aud=AUDIENCE)

        def status(*headers: tuple[str, str]) -> int:
            return ask(admin, "POST", "/v2/repository/index", b"{}", [JSON, *headers]).status

        seen = {
            "no token": status(),
            "a public token": status(bearer(gateway.token)),
            "no manage": status(bearer(mint("reader", "read predict", aud=AUDIENCE))),
            "its own": status(bearer(token)),
        }
        expect(list(seen.values()) == [401, 401, 403, 200], seen)
        public = ask(gateway.rest, "GET", "/models", headers=[bearer(token)]).status
        expect(public == 401, f"a token of the admin listener on a public one: {public}")
        watcher, before = Watcher(gateway.rest, gateway.token), served(gateway)
        rolls_back(run, gateway, RETRAINED, before)
        scheme = "https" if tls else "http"
        own = ["--url", f"{scheme}://127.0.0.1:{gateway.admin}", "--token", token]
        own += ["--ca-file", str(run.certificates.authority)] if tls else []
        # What was rolled back is refused: the same model in other bytes is not.
        other = RETRAINED.read_bytes() + field(METADATA, field(1, b"suite") + field(2, b"another"))
        rolls_back(run, gateway, other, before, *own)
        wrong_listener = [one.replace(f":{gateway.admin}", f":{gateway.http}") for one in own]
        done = command(run, gateway, *wrong_listener)
        expect(done.returncode != 0 and served(gateway) == before, f"by a public listener: {done.returncode}")
        told = undisturbed(watcher)
        gateway.good()
        return f"{refusals} refused; {seen}; two commands rolled back; {told}"
