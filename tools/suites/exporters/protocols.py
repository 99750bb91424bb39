"""The protocols: how each writes a request for some rows of a case, and where each output stands in its answer.

An answer is read into a list of rows, each with outputs by name. Protocols of tensors answer all rows in one tensor,
which is taken apart here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .cases import Case
from .connection import Answer, request
from .values import content, elements, flat_row, nested

# Outputs by name, for each row.
Rows = list[dict[str, Any]]
BINARY_HEADER = "inference-header-content-length"


class Unexpected(Exception):
    """An answer that has not the form of its protocol."""


@dataclass(frozen=True)
class Protocol:
    name: str
    write: Callable[[Case, int, int], bytes]
    read: Callable[[Case, Answer, int], Rows]
    # True if it answers by row, so that outputs which are not by row may be refused.
    by_row: Callable[[Case], bool]
    # False if it carries tensors only.
    carries_all: bool = True


def dumps(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def tensors(case: Case, first: int, end: int) -> dict[str, Any]:
    written = {}
    for given in case.inputs:
        part = given.rows[first:end]
        written[given.name] = {"shape": list(part.shape), "data": nested(part.reshape(-1), "NaN")}
    return written


def columns(case: Case, first: int, end: int) -> dict[str, Any]:
    return {given.name: nested(given.rows[first:end], "NaN") for given in case.inputs}


def of_tensor(case: Case, name: str, shape: list[int], data: list, count: int) -> list:
    """An output of all rows as a list of them; one that is not by row stands in each."""
    if name in case.whole:
        return [data] * count
    if not shape or shape[0] != count or len(data) % count:
        raise Unexpected(f"output `{name}` has the shape {shape} for {count} rows")
    size = len(data) // count
    return [data[index * size : (index + 1) * size] for index in range(count)]


def by_rows(outputs: dict[str, list], count: int) -> Rows:
    return [{name: values[index] for name, values in outputs.items()} for index in range(count)]


def native(case: Case, first: int, end: int) -> bytes:
    path = f"/models/{case.name}/predict"
    if not case.takes_rows:
        return request(path, dumps({"inputs": tensors(case, first, end)}))
    rows = [flat_row(case.inputs, index, None) for index in range(first, end)]
    return request(path, dumps({"instances": rows} if end > first + 1 else {"features": rows[0]}))


def read_native(case: Case, answer: Answer, count: int) -> Rows:
    document = json.loads(answer.body)
    if not case.takes_rows:
        return by_rows({n: native_value(case, n, value, count) for n, value in document["outputs"].items()}, count)
    given = document.get("predictions", [document])
    return [named(case, row) for row in given]


def native_value(case: Case, name: str, value: dict[str, Any], count: int) -> list:
    return of_tensor(case, name, value["shape"], value["data"], count)


def named(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """A native row, whose `prediction` and `probabilities` stand for the outputs that are not named."""
    outputs = dict(row.get("outputs", {}))
    left = [name for name in case.together if name not in outputs]
    if "probabilities" not in row:
        # What is not by row may stand elsewhere.
        left = [name for name in left if name not in case.whole]
    if "prediction" in row and left:
        labels = [name for name in left if case.together[name].get("datatype") in ("INT64", "BYTES")]
        prediction = (labels or left)[0]
        outputs[prediction] = row["prediction"]
        left.remove(prediction)
    if "probabilities" in row and left:
        outputs[left[0]] = row["probabilities"]
    return outputs


def native_tensors(case: Case, first: int, end: int) -> bytes:
    return request(f"/models/{case.name}/predict", dumps({"inputs": tensors(case, first, end)}))


def read_native_tensors(case: Case, answer: Answer, count: int) -> Rows:
    outputs: dict[str, list] = {}
    for name, value in json.loads(answer.body)["outputs"].items():
        if "sequence" not in value:
            outputs[name] = native_value(case, name, value, count)
        elif "map" in value["sequence"][0]:
            outputs[name] = [item["map"] for item in value["sequence"]]
        else:
            parts = [native_value(case, name, item, count) for item in value["sequence"]]
            outputs[name] = [list(row) for row in zip(*parts, strict=True)]
    return by_rows(outputs, count)


def oip_json(case: Case, first: int, end: int) -> bytes:
    kinds = {given.name: given.datatype for given in case.inputs}
    inputs = [{"name": n, "datatype": kinds[n], **value} for n, value in tensors(case, first, end).items()]
    return request(f"/v2/models/{case.name}/infer", dumps({"inputs": inputs}))


def read_oip_json(case: Case, answer: Answer, count: int) -> Rows:
    found = json.loads(answer.body)["outputs"]
    return by_rows({o["name"]: of_tensor(case, o["name"], o["shape"], o["data"], count) for o in found}, count)


def oip_bytes(case: Case, first: int, end: int) -> bytes:
    inputs, blobs = [], []
    for given in case.inputs:
        part = given.rows[first:end]
        blobs.append(content(part))
        size = {"binary_data_size": len(blobs[-1])}
        inputs.append({"name": given.name, "datatype": given.datatype, "shape": list(part.shape), "parameters": size})
    head = dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", BINARY_HEADER: str(len(head))}
    return request(f"/v2/models/{case.name}/infer", head + b"".join(blobs), headers)


def read_oip_bytes(case: Case, answer: Answer, count: int) -> Rows:
    length = int(answer.headers[BINARY_HEADER])
    blobs, outputs = answer.body[length:], {}
    for output in json.loads(answer.body[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        data, blobs = elements(output["datatype"], blobs[:size]), blobs[size:]
        outputs[output["name"]] = of_tensor(case, output["name"], output["shape"], data, count)
    return by_rows(outputs, count)


def kserve(case: Case, first: int, end: int) -> bytes:
    if len(case.inputs) == 1:
        rows: list[Any] = nested(case.inputs[0].rows[first:end], "NaN")
    else:
        rows = [
            {given.name: nested(given.rows[index].reshape(-1), "NaN")[0] for given in case.inputs}
            for index in range(first, end)
        ]
    return request(f"/v1/models/{case.name}:predict", dumps({"instances": rows}))


def read_predictions(case: Case, answer: Answer, count: int) -> Rows:
    predictions = json.loads(answer.body)["predictions"]
    if len(predictions) != count:
        raise Unexpected(f"{len(predictions)} predictions for {count} rows")
    names = list(case.together)
    return [{names[0]: row} if len(names) == 1 else row for row in predictions]


def mlflow(case: Case, first: int, end: int) -> bytes:
    headers = {"X-Amzn-SageMaker-Target-Model": case.name}
    if not case.takes_rows:
        return request("/invocations", dumps({"inputs": columns(case, first, end)}), headers)
    rows = [flat_row(case.inputs, index, None) for index in range(first, end)]
    names = [given.name for given in case.inputs] if len(case.inputs) > 1 else list(range(len(rows[0])))
    return request("/invocations", dumps({"dataframe_split": {"columns": names, "data": rows}}), headers)


def read_mlflow(case: Case, answer: Answer, count: int) -> Rows:
    if case.takes_rows:
        return read_predictions(case, answer, count)
    predictions = json.loads(answer.body)["predictions"]
    names = list(case.together)
    outputs = {names[0]: predictions} if len(names) == 1 else predictions
    return by_rows({n: [value] * count if n in case.whole else value for n, value in outputs.items()}, count)


def always(_: Case) -> bool:
    return True


def never(_: Case) -> bool:
    return False


def takes_rows(case: Case) -> bool:
    return case.takes_rows


PROTOCOLS = (
    Protocol("native", native, read_native, takes_rows),
    Protocol("native tensors", native_tensors, read_native_tensors, never),
    Protocol("v2 JSON", oip_json, read_oip_json, never, carries_all=False),
    Protocol("v2 bytes", oip_bytes, read_oip_bytes, never, carries_all=False),
    Protocol("KServe V1", kserve, read_predictions, always),
    Protocol("MLflow", mlflow, read_mlflow, takes_rows),
)
