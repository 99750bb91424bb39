"""A server of LitServe that runs a model with ONNX Runtime."""

import os

import litserve
import numpy as np
import onnxruntime

CLASSES = ("setosa", "versicolor", "virginica")


class Iris(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe names it
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict) -> np.ndarray:
        return np.array([request["features"]], np.float32)

    def predict(self, rows: np.ndarray) -> list:
        return self.session.run(["label", "probabilities"], {"features": rows})

    def encode_response(self, output: list) -> dict:
        (label,), (probabilities,) = output
        named = dict(zip(CLASSES, probabilities.tolist(), strict=True))
        return {"prediction": CLASSES[label], "probabilities": named}


if __name__ == "__main__":
    number = os.cpu_count() or 1
    # The queue between its processes is the one that its documentation has for many requests.
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=number, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=number,
        generate_client_file=False,
        access_log=False,
    )
