"""The gateway as its own description says: the document is valid, and schemathesis finds nothing that differs from it.

schemathesis sends requests that the schemas accept and requests that they refuse, and compares status, headers and body
of each response. The document has the schemas of five unlike models: rows with ranges, texts in a column each, a
picture, a sequence as output, and tensors without a contract.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from .checks import Check, Wrong, equal, expect
from .gateway import Gateway

# The paths of the default model are typed, too.
TYPED = ("iris", "one_hot", "picture", "sequence", "same_symbol")
# Few, and the same requests each time. More find more: SCHEMATHESIS_EXAMPLES=100 takes some minutes.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "2")
SEED = 1
TIMEOUT_SECONDS = 900
# Requests that change which models serve would change the responses to all others.
CHANGES = ("DELETE /models/{model}", "POST /v2/repository/models/{model}/unload", "POST /models/{model}/rollback")
# Its response ends when the client has enough of it.
ENDLESS = ("GET /events",)
# Elsewhere a body may be wrong though its schema accepts it: tensors whose dimensions must be equal, or whose elements
# must be as many as the shape says, a path in the repository, CSV, and all that the paths of any model leave open.
EXACT = r"^/(v1/)?models/(iris|one_hot)(/invoke|:predict)$|^/models/iris/predict$"
SETTINGS = f"""
[parameters]
"path.model" = "iris"
"path.version" = "1"
"path.label" = "canary"

[checks.positive_data_acceptance]
enabled = false

[[operations]]
include-path-regex = '{EXACT}'
checks.positive_data_acceptance.enabled = true

# Numbers of any size overflow in their sums, and infinity in an output is an error of the model.
[[operations]]
include-path-regex = '/(picture|same_symbol)(/|:)'
checks.not_a_server_error.expected-statuses = ['2xx', '3xx', '4xx', '500']
"""


class Description:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def document(self) -> dict[str, Any]:
        return self.gateway.document("GET", "/openapi.json")

    def of_typed(self) -> dict[str, Any]:
        """The description without the paths of other models, which are of the same kinds."""
        document = self.document()
        named = re.compile(r"^/(?:v1/|v2/)?models/([^/:{]+)")
        models = {path: found[1] for path in document["paths"] if (found := named.match(path))}
        for path, model in models.items():
            if model not in TYPED:
                del document["paths"][path]
        return document

    def is_valid(self) -> None:
        faults = [error.message for error in OpenAPIV31SpecValidator(self.document()).iter_errors()]
        equal(faults, [])

    def has_each_model(self, model: str) -> None:
        document = self.document()
        operation = document["paths"][f"/models/{model}/predict"]["post"]
        equal(operation["operationId"], f"predict_{model}")
        body = operation["requestBody"]["content"]["application/json"]
        status, _, _ = self.gateway.ask("POST", f"/models/{model}/predict", body["example"])
        equal(status, 200)

    def stays_until_a_swap(self) -> None:
        _, _, headers = self.gateway.ask("GET", "/openapi.json")
        status, body, _ = self.gateway.ask("GET", "/openapi.json", headers={"If-None-Match": headers["etag"]})
        equal((status, body), (304, b""))

    def tested(self) -> None:
        """Runs schemathesis, and says what it found."""
        scratch = self.gateway.scratch
        settings, document = scratch / "schemathesis.toml", scratch / "described.json"
        settings.write_text(SETTINGS)
        document.write_text(json.dumps(self.of_typed()))
        program = Path(sys.executable).parent / "schemathesis"
        command: list[str | Path] = [
            *(program, "--config-file", settings, "run", document, "--url", self.gateway.url),
            *("--header", f"Authorization: Bearer {self.gateway.token}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--workers", "2"),
            *("--seed", str(SEED), "--generation-deterministic", "--no-color"),
        ]
        for operation in CHANGES + ENDLESS:
            command += ["--exclude-name", operation]
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        if done.returncode != 0:
            failures = re.findall(r"^_+ (.+) _+$|^- (ST.+)$|^    (curl .{0,300})", done.stdout, re.MULTILINE)
            lines = ["".join(parts) for parts in failures] or done.stdout.splitlines()[-20:]
            raise Wrong("\n".join([*lines[:30], done.stderr[-300:]]))
        expect("passed" in done.stdout, done.stdout[-300:])


def checks(gateway: Gateway) -> Iterator[Check]:
    described = Description(gateway)
    yield "the description is valid OpenAPI 3.1", described.is_valid
    for model in TYPED:
        yield f"the description has {model}, and its example is accepted", partial(described.has_each_model, model)
    yield "the description stays the same until a swap", described.stays_until_a_swap
    yield "schemathesis finds nothing", described.tested
