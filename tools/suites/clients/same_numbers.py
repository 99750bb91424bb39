"""One set of rows in every dialect: equal numbers, bit for bit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from lib.gateway import REPOSITORY

from .checks import Check, Wrong, expect
from .gateway import VERTEX_PREDICT_ROUTE, Gateway

ANSWERS = REPOSITORY / "tests" / "data" / "iris_answers.json"
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
CLASSES = ["setosa", "versicolor", "virginica"]
JSON_HEADER = "Inference-Header-Content-Length"

# What the model answers to all rows: classes by number, and a row of probabilities each.
Answer = tuple[np.ndarray, np.ndarray]
Way = Callable[[Gateway, np.ndarray], Answer]


def numbered(labels: Any) -> np.ndarray:
    """Classes by number, whether they came by number or by name."""
    flat = np.asarray(labels).ravel().tolist()
    return np.array([CLASSES.index(label) if isinstance(label, str) else label for label in flat], np.int64)


def probabilities(rows: Any) -> np.ndarray:
    """As FP32, which JSON has to carry in as many digits as it takes."""
    listed = [[row[name] for name in CLASSES] if isinstance(row, dict) else row for row in rows]
    return np.array(listed, np.float64).astype(np.float32).reshape(len(listed), len(CLASSES))


def of_outputs(document: dict[str, Any]) -> Answer:
    outputs = {entry["name"]: entry["data"] for entry in document["outputs"]}
    return numbered(outputs["label"]), probabilities(np.reshape(outputs["probabilities"], (-1, len(CLASSES))).tolist())


def of_predictions(document: dict[str, Any]) -> Answer:
    """A row each, with all outputs by name."""
    predictions = document["predictions"]
    return numbered([row["label"] for row in predictions]), probabilities([row["probabilities"] for row in predictions])


def of_columns(columns: dict[str, Any]) -> Answer:
    return numbered(columns["label"]), probabilities(columns["probabilities"])


def numbers(rows: np.ndarray) -> list[list[float]]:
    """As a person writes them: 5.1, not 5.099999904632568."""
    return [[float(str(number)) for number in row] for row in rows]


def native(gateway: Gateway, rows: np.ndarray) -> Answer:
    answer = gateway.document("POST", "/predict", {"instances": numbers(rows)})["predictions"]
    return numbered([row["prediction"] for row in answer]), probabilities([row["probabilities"] for row in answer])


def native_named(gateway: Gateway, rows: np.ndarray) -> Answer:
    named = [dict(zip(FEATURES, row, strict=True)) for row in numbers(rows)]
    answer = gateway.document("POST", "/models/iris/predict", {"instances": named})["predictions"]
    return numbered([row["prediction"] for row in answer]), probabilities([row["probabilities"] for row in answer])


def native_tensors(gateway: Gateway, rows: np.ndarray) -> Answer:
    outputs = gateway.document("POST", "/models/iris/predict", {"inputs": {"features": numbers(rows)}})["outputs"]
    flat = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"]).tolist()
    return numbered(outputs["label"]["data"]), probabilities(flat)


def oip_body(rows: np.ndarray, data: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "features", "shape": list(rows.shape), "datatype": "FP32", "data": data}]}


def oip_flat(gateway: Gateway, rows: np.ndarray) -> Answer:
    flat = [number for row in numbers(rows) for number in row]
    return of_outputs(gateway.document("POST", "/v2/models/iris/infer", oip_body(rows, flat)))


def oip_nested(gateway: Gateway, rows: np.ndarray) -> Answer:
    return of_outputs(gateway.document("POST", "/v2/models/iris/versions/1/infer", oip_body(rows, numbers(rows))))


def binary_body(rows: np.ndarray) -> tuple[bytes, int]:
    entry: dict[str, Any] = {"name": "features", "shape": list(rows.shape), "datatype": "FP32"}
    entry["parameters"] = {"binary_data_size": rows.nbytes}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return head + rows.tobytes(), len(head)


def of_binary(content: bytes, length: int) -> Answer:
    blobs, found = content[length:], {}
    for entry in json.loads(content[:length])["outputs"]:
        size = entry["parameters"]["binary_data_size"]
        kind = {"INT64": np.int64, "FP32": np.float32}[entry["datatype"]]
        found[entry["name"]] = np.frombuffer(blobs[:size], kind).reshape(entry["shape"])
        blobs = blobs[size:]
    return found["label"], found["probabilities"]


def header(headers: dict[str, str], name: str) -> str:
    return next(value for key, value in headers.items() if key.lower() == name.lower())


def oip_binary(gateway: Gateway, rows: np.ndarray) -> Answer:
    body, length = binary_body(rows)
    headers = {JSON_HEADER: str(length), "Content-Type": "application/octet-stream"}
    status, content, came = gateway.ask("POST", "/v2/models/iris/infer", body, headers)
    expect(status == 200, f"{status} {content[:200]!r}")
    return of_binary(content, int(header(came, JSON_HEADER)))


def oip_raw(gateway: Gateway, rows: np.ndarray) -> Answer:
    headers = {JSON_HEADER: "0", "Content-Type": "application/octet-stream"}
    status, content, came = gateway.ask("POST", "/v2/models/iris/infer", rows.tobytes(), headers)
    expect(status == 200, f"{status} {content[:200]!r}")
    return of_binary(content, int(header(came, JSON_HEADER)))


def by_triton(transport: str, gateway: Gateway, rows: np.ndarray) -> Answer:
    # Not above: its messages and those of KServe's SDK cannot be in one process.
    triton = importlib.import_module(f"tritonclient.{transport}")
    client = triton.InferenceServerClient(gateway.http if transport == "http" else gateway.grpc)
    entry = triton.InferInput("features", list(rows.shape), "FP32").set_data_from_numpy(rows)
    headers = {"authorization": f"Bearer {gateway.token}"}
    result = client.infer("iris", [entry], headers=headers)
    client.close()
    return result.as_numpy("label"), result.as_numpy("probabilities")


def kserve_v1(gateway: Gateway, rows: np.ndarray) -> Answer:
    return of_predictions(gateway.document("POST", "/v1/models/iris:predict", {"instances": numbers(rows)}))


def serving_row(gateway: Gateway, rows: np.ndarray) -> Answer:
    body = {"signature_name": "serving_default", "instances": numbers(rows)}
    return of_predictions(gateway.document("POST", "/v1/models/iris/versions/1:predict", body))


def serving_row_named(gateway: Gateway, rows: np.ndarray) -> Answer:
    body = {"instances": [{"features": row} for row in numbers(rows)]}
    return of_predictions(gateway.document("POST", "/v1/models/iris:predict", body))


def serving_column(gateway: Gateway, rows: np.ndarray) -> Answer:
    return of_columns(gateway.document("POST", "/v1/models/iris:predict", {"inputs": numbers(rows)})["outputs"])


def serving_column_named(gateway: Gateway, rows: np.ndarray) -> Answer:
    body = {"inputs": {"features": numbers(rows)}}
    return of_columns(gateway.document("POST", "/v1/models/iris:predict", body)["outputs"])


def mlflow(form: str, gateway: Gateway, rows: np.ndarray) -> Answer:
    forms = {
        "instances": numbers(rows),
        "inputs": {"features": numbers(rows)},
        "dataframe_split": {"columns": FEATURES, "data": numbers(rows)},
        "dataframe_records": [dict(zip(FEATURES, row, strict=True)) for row in numbers(rows)],
    }
    return of_any_predictions(gateway.document("POST", "/invocations", {form: forms[form]}))


def mlflow_csv(gateway: Gateway, rows: np.ndarray) -> Answer:
    lines = [",".join(FEATURES), *(",".join(map(str, row)) for row in numbers(rows))]
    body = ("\n".join(lines) + "\n").encode()
    return of_any_predictions(gateway.document("POST", "/invocations", body, {"Content-Type": "text/csv"}))


def of_any_predictions(document: dict[str, Any]) -> Answer:
    """Frames come as records, tensors as columns."""
    predictions = document["predictions"]
    return of_columns(predictions) if isinstance(predictions, dict) else of_predictions(document)


def sagemaker(gateway: Gateway, rows: np.ndarray) -> Answer:
    return of_outputs(gateway.document("POST", "/invocations", oip_body(rows, numbers(rows))))


def sagemaker_binary(gateway: Gateway, rows: np.ndarray) -> Answer:
    body, length = binary_body(rows)
    kind = "application/vnd.sagemaker-triton.binary+json;json-header-size="
    status, content, came = gateway.ask("POST", "/invocations", body, {"Content-Type": f"{kind}{length}"})
    expect(status == 200, f"{status} {content[:200]!r}")
    answered = header(came, "Content-Type").replace(" ", "")
    expect(answered.startswith(kind), f"Content-Type {answered}")
    return of_binary(content, int(answered.removeprefix(kind)))


def sagemaker_model(gateway: Gateway, rows: np.ndarray) -> Answer:
    headers = {"X-Amzn-SageMaker-Target-Model": "iris"}
    return of_outputs(gateway.document("POST", "/models/iris/invoke", oip_body(rows, numbers(rows)), headers))


def vertex(gateway: Gateway, rows: np.ndarray) -> Answer:
    body = {"instances": numbers(rows), "parameters": {}}
    return of_predictions(gateway.document("POST", VERTEX_PREDICT_ROUTE, body))


def grpc_typed_by_hand(gateway: Gateway, rows: np.ndarray) -> Answer:
    from .reflection import Reflected

    entry = {
        "name": "features",
        "datatype": "FP32",
        "shape": list(rows.shape),
        "contents": {"fp32_contents": rows.ravel().tolist()},
    }
    answer = Reflected(gateway).call("ModelInfer", model_name="iris", inputs=[entry])
    if answer.raw_output_contents:
        label, scores = answer.raw_output_contents
        return np.frombuffer(label, np.int64), np.frombuffer(scores, np.float32).reshape(-1, len(CLASSES))
    label, scores = (entry.contents for entry in answer.outputs)
    return np.array(label.int64_contents), np.array(scores.fp32_contents, np.float32).reshape(-1, len(CLASSES))


WAYS: list[tuple[str, Way]] = [
    ("native, rows", native),
    ("native, named rows", native_named),
    ("native, tensors", native_tensors),
    ("Open Inference Protocol, flat JSON", oip_flat),
    ("Open Inference Protocol, nested JSON, by version", oip_nested),
    ("Open Inference Protocol, a raw request", oip_raw),
    ("tritonclient http", partial(by_triton, "http")),
    ("tritonclient grpc, raw", partial(by_triton, "grpc")),
    ("gRPC, typed", grpc_typed_by_hand),
    ("KServe v1", kserve_v1),
    ("TensorFlow Serving, rows, by version", serving_row),
    ("TensorFlow Serving, named rows", serving_row_named),
    ("TensorFlow Serving, columns", serving_column),
    ("TensorFlow Serving, named columns", serving_column_named),
    *[
        (f"MLflow, {form}", partial(mlflow, form))
        for form in ("instances", "inputs", "dataframe_split", "dataframe_records")
    ],
    ("MLflow, CSV", mlflow_csv),
    ("SageMaker, JSON", sagemaker),
    ("SageMaker, binary", sagemaker_binary),
    ("SageMaker, several models", sagemaker_model),
    ("Vertex AI", vertex),
]


def same(gateway: Gateway, rows: np.ndarray, way: Way) -> None:
    wanted, came = oip_binary(gateway, rows), way(gateway, rows)
    for name, right, given in zip(("label", "probabilities"), wanted, came, strict=True):
        there = np.asarray(given, right.dtype).reshape(right.shape)
        different = np.flatnonzero((there != right).reshape(len(rows), -1).any(axis=1))
        if different.size:
            at = different[0]
            raise Wrong(f"{name}: {different.size} rows differ, in {at}: {there[at]!r} in place of {right[at]!r}")
        expect(there.tobytes() == right.tobytes(), f"{name}: the same numbers in other bits")


def known(gateway: Gateway, rows: np.ndarray, labels: list[str]) -> None:
    came = [CLASSES[label] for label in oip_binary(gateway, rows)[0]]
    different = [at for at, (one, other) in enumerate(zip(came, labels, strict=True)) if one != other]
    expect(not different, f"rows {different[:5]} have another class than the model's training says")


def all_rows() -> tuple[np.ndarray, list[str]]:
    """The data set, and what the model says of each row."""
    document = json.loads(ANSWERS.read_text())
    return np.array(document["rows"], np.float32), document["labels"]


def checks(gateway: Gateway) -> Iterator[Check]:
    rows, labels = all_rows()
    name = "the same numbers"
    yield f"{name}: Open Inference Protocol, binary, as the model was trained", partial(known, gateway, rows, labels)
    for way_name, way in WAYS:
        yield f"{name}: {way_name}", partial(same, gateway, rows, way)
