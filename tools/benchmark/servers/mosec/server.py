"""A server of mosec that runs a model with ONNX Runtime."""

import os

import numpy as np
import onnxruntime
from mosec import Server, Worker

CLASSES = ("setosa", "versicolor", "virginica")


class Iris(Worker):
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def forward(self, data: dict) -> dict:
        rows = np.array([data["features"]], np.float32)
        (label,), (probabilities,) = self.session.run(["label", "probabilities"], {"features": rows})
        named = dict(zip(CLASSES, probabilities.tolist(), strict=True))
        return {"prediction": CLASSES[label], "probabilities": named}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Iris, num=os.cpu_count() or 1)
    server.run()
