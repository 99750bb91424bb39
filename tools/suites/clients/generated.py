"""A client that openapi-python-client generates from the gateway's own description."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .checks import Check, Wrong, equal, expect
from .gateway import Gateway
from .triton_http import ROW

PACKAGE = "generated_gateway_client"
TIMEOUT_SECONDS = 120


def generate(gateway: Gateway) -> None:
    """Without a warning: what a generator does not understand is missing in the client."""
    document = gateway.scratch / "openapi.json"
    document.write_text(json.dumps(gateway.document("GET", "/openapi.json")))
    bin_folder = Path(sys.executable).parent
    command: list[str | Path] = [
        bin_folder / "openapi-python-client",
        "generate",
        "--path",
        document,
        "--meta",
        "none",
        "--overwrite",
    ]
    # It knows only a few types of bodies, and says so of others.
    settings = gateway.scratch / "generator.json"
    settings.write_text(json.dumps({"content_type_overrides": {"text/csv": "application/octet-stream"}}))
    command += ["--output-path", gateway.scratch / PACKAGE, "--config", settings, "--fail-on-warning"]
    # Its name for the shell is in its folder only.
    environment = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(gateway.scratch)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise Wrong(done.stdout + done.stderr)


class Calls:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def module(self, name: str) -> Any:
        if str(self.gateway.scratch) not in sys.path:
            sys.path.insert(0, str(self.gateway.scratch))
        return importlib.import_module(f"{PACKAGE}.{name}")

    def client(self) -> Any:
        return self.module("client").AuthenticatedClient(base_url=self.gateway.url, token=self.gateway.token)

    def call(self, operation: str, *path: str, **options: Any) -> Any:
        """The parsed answer, which has to be 200."""
        answer = self.module(f"api.{operation}").sync_detailed(*path, client=self.client(), **options)
        expect(answer.status_code == 200, f"{answer.status_code} {answer.content[:200]!r}")
        expect(answer.parsed is not None, "the answer is not described")
        return answer.parsed

    def body(self, name: str, document: dict[str, Any]) -> Any:
        return getattr(self.module("models"), name).from_dict(document)

    def models(self) -> None:
        names = [model.name for model in self.call("models.list_").models]
        expect("iris" in names, names)
        equal(self.call("models.one", "iris").name, "iris")

    def predict(self) -> None:
        body = self.body("PredictRequest", {"features": ROW.ravel().tolist()})
        for answer in (
            self.call("predict.predict_default", body=body),
            self.call("predict.predict_model", "iris", body=body),
        ):
            equal((answer.model, answer.version, answer.prediction), ("iris", "1", "setosa"))

    def typed(self, model: str, form: str, **members: Any) -> Any:
        """The answer of a model to a request of its own form, made of its own types."""
        body = getattr(self.module("models"), form)(**members)
        return self.call(f"model_{model}.predict_{model}", body=body)

    def part(self, name: str, **members: Any) -> Any:
        return getattr(self.module("models"), name)(**members)

    def rows(self) -> None:
        lengths = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
        row = self.part("IrisFeatures", **lengths)
        answer = self.typed("iris", "IrisRowRequest", features=row)
        expect(answer.prediction is self.module("models").IrisRowResponsePrediction.SETOSA, answer)
        expect(answer.probabilities.setosa > 0.9, answer)
        many = self.typed("iris", "IrisRowsRequest", instances=[row, [6.7, 3.0, 5.2, 2.3]])
        equal([one.prediction for one in many.predictions], ["setosa", "virginica"])

    def texts(self) -> None:
        models = self.module("models")
        city, colour = models.OneHotFeaturesCity.BERN, models.OneHotFeaturesColour.RED
        # The ages and fares may be missing.
        row = self.part("OneHotFeatures", city=city, colour=colour, visits=3, age=41.5)
        answer = self.typed("one_hot", "OneHotRowRequest", features=row)
        expect(answer.prediction in (0, 1), answer)

    def picture(self) -> None:
        pixels = [[[[0.5]] * 6] * 6]
        inputs = self.part("PicturePredictRequestInputs", picture=pixels)
        answer = self.typed("picture", "PicturePredictRequest", inputs=inputs)
        scores = answer.outputs.identity_0
        equal((scores.datatype, scores.shape), ("FP32", [1, 2]))

    def sequence(self) -> None:
        inputs = self.part("SequencePredictRequestInputs", x=[[1.0, 2.0], [3.0, 4.0]])
        answer = self.typed("sequence", "SequencePredictRequest", inputs=inputs)
        expect(all(part.datatype == "FP32" for part in answer.outputs.parts.sequence), answer)

    def tensors(self) -> None:
        inputs = self.part("SameSymbolPredictRequestInputs", a=[[1.0, 2.0]], b=[[3.0, 4.0]])
        answer = self.typed("same_symbol", "SameSymbolPredictRequest", inputs=inputs)
        equal(answer.outputs.y.shape, [1, 2])

    def infer(self) -> None:
        entry = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": ROW.ravel().tolist()}
        answer = self.call(
            "open_inference.infer", "iris", body=self.body("InferRequestDocument", {"inputs": [entry], "id": "x"})
        )
        equal((answer.model_name, answer.id), ("iris", "x"))

    def metadata(self) -> None:
        equal(self.call("open_inference.model_metadata", "iris").name, "iris")

    def serving(self) -> None:
        equal(self.call("tensorflow.tensorflow_status", "iris").to_dict()["name"], "iris")


def checks(gateway: Gateway) -> Iterator[Check]:
    calls = Calls(gateway)
    name = "openapi-python-client"
    yield f"{name}: a client is generated without a warning", partial(generate, gateway)
    yield f"{name}: models", calls.models
    yield f"{name}: predict", calls.predict
    yield f"{name}: rows by feature name, and a class", calls.rows
    yield f"{name}: texts of a list, and a missing value", calls.texts
    yield f"{name}: a picture", calls.picture
    yield f"{name}: a sequence as output", calls.sequence
    yield f"{name}: tensors without a contract", calls.tensors
    yield f"{name}: infer", calls.infer
    yield f"{name}: metadata", calls.metadata
    yield f"{name}: the status of TensorFlow Serving", calls.serving
