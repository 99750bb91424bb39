"""Requests of platforms besides predictions: probes without a token, and what is served."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

from .checks import Check, equal, expect
from .gateway import TIMEOUT_SECONDS, VERTEX_HEALTH_ROUTE, VERTEX_PREDICT_ROUTE, Gateway

ROWS = [[5.1, 3.5, 1.4, 0.2]]


def probed(gateway: Gateway, path: str) -> None:
    """200 without a token: a platform has none to probe with."""
    with urllib.request.urlopen(gateway.url + path, timeout=TIMEOUT_SECONDS) as answer:
        equal(answer.status, 200)


def closed(gateway: Gateway, path: str, body: Any) -> None:
    """401 without one, where something is asked of a model."""
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(gateway.url + path, json.dumps(body).encode(), kind)
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        equal(error.code, 401)
    else:
        expect(False, "it is answered")


def serving_status(gateway: Gateway) -> None:
    for path in ("/v1/models/iris", "/v1/models/iris/versions/1"):
        status = gateway.document("GET", path)["model_version_status"]
        equal(status[0]["version"], "1")
        equal((status[0]["state"], status[0]["status"]["error_code"]), ("AVAILABLE", "OK"))


def serving_metadata(gateway: Gateway) -> None:
    document = gateway.document("GET", "/v1/models/iris/metadata")
    equal(document["model_spec"]["name"], "iris")
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    equal(signature["inputs"]["features"]["dtype"], "DT_FLOAT")


def kserve_models(gateway: Gateway) -> None:
    expect("iris" in gateway.document("GET", "/v1/models")["models"], "iris is not listed")
    equal(gateway.document("GET", "/v1/models/iris")["ready"], True)


def checks(gateway: Gateway) -> Iterator[Check]:
    for name, path in (
        ("MLflow", "/ping"),
        ("MLflow", "/version"),
        ("MLflow", "/health"),
        ("SageMaker", "/ping"),
        ("Vertex AI", VERTEX_HEALTH_ROUTE),
    ):
        yield f"{name}: GET {path} needs no token", partial(probed, gateway, path)
    for name, path in (
        ("KServe v1", "/v1/models/iris:predict"),
        ("MLflow and SageMaker", "/invocations"),
        ("Vertex AI", VERTEX_PREDICT_ROUTE),
    ):
        yield f"{name}: POST {path} needs one", partial(closed, gateway, path, {"instances": ROWS})
    yield "TensorFlow Serving: the status of a model and of a version", partial(serving_status, gateway)
    yield "TensorFlow Serving: the metadata of a model", partial(serving_metadata, gateway)
    yield "KServe v1: the models, and whether one is ready", partial(kserve_models, gateway)
