"""A service of BentoML that runs a model with ONNX Runtime. Run by `bentoml serve`."""

import os

import bentoml
import numpy as np
import onnxruntime

CLASSES = ("setosa", "versicolor", "virginica")


# A worker for each CPU, and no line in the log for each request.
@bentoml.service(workers="cpu_count", logging={"access": {"enabled": False}})
class Iris:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api
    def predict(self, features: list[float]) -> dict:
        rows = np.array([features], np.float32)
        (label,), (probabilities,) = self.session.run(["label", "probabilities"], {"features": rows})
        named = dict(zip(CLASSES, probabilities.tolist(), strict=True))
        return {"prediction": CLASSES[label], "probabilities": named}
