"""tritonclient over gRPC, synchronous, `async_infer` and streaming."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from .checks import Check, equal, expect, refused
from .gateway import Gateway
from .samples import Sample, same, samples
from .triton_http import ROW, compare

PATIENCE_SECONDS = 30


def inputs_of(sample: Sample) -> list[triton.InferInput]:
    found = []
    for name, array in sample.inputs.items():
        entry = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        found.append(entry.set_data_from_numpy(array))
    return found


def row() -> list[triton.InferInput]:
    return [triton.InferInput("features", [1, 4], "FP32").set_data_from_numpy(ROW)]


class Calls:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.client = triton.InferenceServerClient(gateway.grpc)
        self.headers = {"authorization": f"Bearer {gateway.token}"}

    def infer(self, inputs: Any = None, model: str = "iris", **options: Any) -> Any:
        return self.client.infer(model, row() if inputs is None else inputs, headers=self.headers, **options)

    def sample(self, sample: Sample) -> None:
        compare(self.infer(inputs_of(sample), sample.model), sample)

    def ready(self) -> None:
        expect(self.client.is_server_live() and self.client.is_server_ready(), "not live or not ready")

    def model_ready(self) -> None:
        expect(self.client.is_model_ready("iris", headers=self.headers), "iris is not ready")
        expect(self.client.is_model_ready("iris", "1", headers=self.headers), "iris 1 is not ready")

    def server_metadata(self) -> None:
        message = self.client.get_server_metadata(headers=self.headers)
        expect("statistics" in message.extensions, message)
        document = self.client.get_server_metadata(headers=self.headers, as_json=True)
        equal(document["name"], message.name)

    def model_metadata(self) -> None:
        message = self.client.get_model_metadata("iris", headers=self.headers)
        equal((message.name, message.platform, list(message.inputs[0].shape)), ("iris", "onnxruntime_onnx", [-1, 4]))
        self.client.get_model_metadata("versions", "2", headers=self.headers, as_json=True)

    def config(self) -> None:
        config = self.client.get_model_config("iris", headers=self.headers).config
        equal((config.name, config.max_batch_size, config.input[0].name), ("iris", 0, "features"))
        equal(list(config.input[0].dims), [-1, 4])

    def index(self) -> None:
        models = self.client.get_model_repository_index(headers=self.headers).models
        expect(("iris", "1", "READY") in [(entry.name, entry.version, entry.state) for entry in models], models)

    def statistics(self) -> None:
        before = self.client.get_inference_statistics("iris", headers=self.headers).model_stats[0]
        self.infer()
        after = self.client.get_inference_statistics("iris", "1", headers=self.headers).model_stats[0]
        equal(after.inference_count, before.inference_count + 1)
        equal(after.inference_stats.success.count, before.inference_stats.success.count + 1)

    def load_and_unload(self) -> None:
        self.client.unload_model("vector", headers=self.headers)
        text = refused(
            lambda: self.client.infer(
                "vector",
                [triton.InferInput("x", [1], "FP32").set_data_from_numpy(np.ones(1, np.float32))],
                headers=self.headers,
            )
        )
        expect("UNAVAILABLE" in text or "NOT_FOUND" in text, text)
        self.client.load_model("vector", headers=self.headers)
        expect(self.client.is_model_ready("vector", headers=self.headers), "it is not ready again")

    def names(self) -> None:
        message = self.infer(request_id="r-1").get_response()
        equal((message.id, message.model_name, message.model_version), ("r-1", "iris", "1"))

    def one_output(self) -> None:
        message = self.infer(outputs=[triton.InferRequestedOutput("probabilities")]).get_response()
        equal([entry.name for entry in message.outputs], ["probabilities"])

    def classes(self) -> None:
        output = triton.InferRequestedOutput("probabilities", class_count=2)
        classes = self.infer(outputs=[output]).as_numpy("probabilities")
        value, index, *_ = classes.ravel()[0].decode().split(":")
        expect(classes.size == 2 and float(value) > 0.9 and index == "0", classes)

    def compression(self, algorithm: str) -> None:
        same(self.infer(compression_algorithm=algorithm).as_numpy("label"), np.array([0]), "label")

    def options(self) -> None:
        parameters = {"text": "x", "number": 1, "truth": True}
        self.infer(parameters=parameters, priority=0, timeout=10_000_000, client_timeout=30)

    def errors(self) -> None:
        refused(lambda: self.infer(model="no-such"), "NOT_FOUND")
        short = triton.InferInput("features", [1, 3], "FP32").set_data_from_numpy(ROW[:, :3])
        text = refused(lambda: self.infer([short]), "INVALID_ARGUMENT")
        expect("features" in text, text)
        refused(lambda: self.infer(model="versions", inputs=inputs_of(samples()[0]), model_version="3"), "NOT_FOUND")
        refused(lambda: self.client.infer("iris", row()), "UNAUTHENTICATED")

    def large(self) -> None:
        rows = np.tile(ROW, (400_000, 1))
        result = self.infer([triton.InferInput("features", list(rows.shape), "FP32").set_data_from_numpy(rows)])
        same(result.as_numpy("label"), np.zeros(len(rows), np.int64), "label")

    def many_at_once(self) -> None:
        answers: queue.Queue = queue.Queue()
        for at in range(16):
            self.client.async_infer(
                "iris",
                row(),
                lambda result, error: answers.put((result, error)),
                request_id=str(at),
                headers=self.headers,
            )
        seen = set()
        for _ in range(16):
            result, error = answers.get(timeout=PATIENCE_SECONDS)
            expect(error is None, error)
            same(result.as_numpy("label"), np.array([0]), "label")
            seen.add(result.get_response().id)
        equal(len(seen), 16)

    def stream(self) -> None:
        answers: queue.Queue = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put((result, error)), headers=self.headers)
        try:
            wrong = [triton.InferInput("features", [1, 3], "FP32").set_data_from_numpy(ROW[:, :3])]
            for at in range(6):
                self.client.async_stream_infer("iris", wrong if at == 2 else row(), request_id=str(at))
            came = [answers.get(timeout=PATIENCE_SECONDS) for _ in range(6)]
        finally:
            self.client.stop_stream()
        equal([error is not None for _, error in came], [False, False, True, False, False, False])
        equal([result.get_response().id for result, error in came if error is None], ["0", "1", "3", "4", "5"])


def checks(gateway: Gateway) -> Iterator[Check]:
    calls = Calls(gateway)
    name = "tritonclient grpc"
    yield f"{name}: is_server_live, is_server_ready without a token", calls.ready
    yield f"{name}: is_model_ready", calls.model_ready
    yield f"{name}: get_server_metadata", calls.server_metadata
    yield f"{name}: get_model_metadata", calls.model_metadata
    yield f"{name}: get_model_config", calls.config
    yield f"{name}: get_model_repository_index", calls.index
    yield f"{name}: get_inference_statistics", calls.statistics
    yield f"{name}: load_model, unload_model", calls.load_and_unload
    for sample in samples():
        yield f"{name}: infer {sample.model}", partial(calls.sample, sample)
    yield f"{name}: infer with request_id, names in the answer", calls.names
    yield f"{name}: infer with one output", calls.one_output
    yield f"{name}: infer with class_count", calls.classes
    for algorithm in ("gzip", "deflate"):
        yield f"{name}: infer in {algorithm}", partial(calls.compression, algorithm)
    yield f"{name}: infer with parameters, priority and timeouts", calls.options
    yield f"{name}: errors have their codes and say what is wrong", calls.errors
    yield f"{name}: infer with a message of more than 4 MiB", calls.large
    yield f"{name}: async_infer, 16 at once", calls.many_at_once
    yield f"{name}: async_stream_infer, an error ends only its own request", calls.stream
