"""The protocol's gRPC messages by their field numbers, so that no code generated from anybody's files is needed."""

from __future__ import annotations

import struct
from typing import Any

VARINTS = {"bool", "int32", "int64", "uint32", "uint64"}
FIXED = {"float": ("<f", 5), "double": ("<d", 1)}

TENSOR = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "*int64"),
    "parameters": (4, "map InferParameter"),
    "contents": (5, "InferTensorContents"),
}
DURATION = {"count": (1, "uint64"), "ns": (2, "uint64")}
NAME_AND_VERSION = {"name": (1, "string"), "version": (2, "string")}
REPOSITORY_MODEL = {
    "repository_name": (1, "string"),
    "model_name": (2, "string"),
    "parameters": (3, "map RepositoryParameter"),
}
# For each message its fields: number and type; * is repeated, "map X" a map from texts.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Empty": {},
    "Live": {"live": (1, "bool")},
    "Ready": {"ready": (1, "bool")},
    "NameAndVersion": NAME_AND_VERSION,
    "ServerMetadataResponse": {"name": (1, "string"), "version": (2, "string"), "extensions": (3, "*string")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "*int64")},
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "*string"),
        "platform": (3, "string"),
        "inputs": (4, "*TensorMetadata"),
        "outputs": (5, "*TensorMetadata"),
        "properties": (6, "map string"),
    },
    "InferParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "double_param": (4, "double"),
        "uint64_param": (5, "uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "*bool"),
        "int_contents": (2, "*int32"),
        "int64_contents": (3, "*int64"),
        "uint_contents": (4, "*uint32"),
        "uint64_contents": (5, "*uint64"),
        "fp32_contents": (6, "*float"),
        "fp64_contents": (7, "*double"),
        "bytes_contents": (8, "*bytes"),
    },
    "InferTensor": TENSOR,
    "InferRequestedOutput": {"name": (1, "string"), "parameters": (2, "map InferParameter")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "map InferParameter"),
        "inputs": (5, "*InferTensor"),
        "outputs": (6, "*InferRequestedOutput"),
        "raw_input_contents": (7, "*bytes"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "map InferParameter"),
        "outputs": (5, "*InferTensor"),
        "raw_output_contents": (6, "*bytes"),
    },
    "ModelStreamInferResponse": {"error_message": (1, "string"), "infer_response": (2, "ModelInferResponse")},
    "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
    "ModelIndex": {"name": (1, "string"), "version": (2, "string"), "state": (3, "string"), "reason": (4, "string")},
    "RepositoryIndexResponse": {"models": (1, "*ModelIndex")},
    "RepositoryParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "bytes_param": (4, "bytes"),
    },
    "RepositoryModel": REPOSITORY_MODEL,
    "StatisticDuration": DURATION,
    "InferStatistics": {
        "success": (1, "StatisticDuration"),
        "fail": (2, "StatisticDuration"),
        "queue": (3, "StatisticDuration"),
        "compute_input": (4, "StatisticDuration"),
        "compute_infer": (5, "StatisticDuration"),
        "compute_output": (6, "StatisticDuration"),
    },
    "ModelStatistics": {
        "name": (1, "string"),
        "version": (2, "string"),
        "last_inference": (3, "uint64"),
        "inference_count": (4, "uint64"),
        "execution_count": (5, "uint64"),
        "inference_stats": (6, "InferStatistics"),
    },
    "ModelStatisticsResponse": {"model_stats": (1, "*ModelStatistics")},
    "ModelInput": {"name": (1, "string"), "data_type": (2, "uint32"), "dims": (4, "*int64")},
    "ModelConfig": {
        "name": (1, "string"),
        "platform": (2, "string"),
        "max_batch_size": (4, "int32"),
        "backend": (17, "string"),
    },
    "ModelConfigResponse": {"config": (1, "ModelConfig")},
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "uint64")},
    "ReflectionRequest": {
        "host": (1, "string"),
        "file_by_filename": (3, "string"),
        "file_containing_symbol": (4, "string"),
        "list_services": (7, "string"),
    },
    "ReflectedService": {"name": (1, "string")},
    "ReflectedServices": {"service": (1, "*ReflectedService")},
    "ReflectedFiles": {"file_descriptor_proto": (1, "*bytes")},
    "ReflectionResponse": {
        "file_descriptor_response": (4, "ReflectedFiles"),
        "list_services_response": (6, "ReflectedServices"),
    },
}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def scalar(kind: str, value: Any) -> bytes:
    if kind in VARINTS:
        return varint(int(value))
    if kind in FIXED:
        return struct.pack(FIXED[kind][0], value)
    content = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else encode(kind, value)
    return varint(len(content)) + content


def wire_type(kind: str) -> int:
    return 0 if kind in VARINTS else FIXED[kind][1] if kind in FIXED else 2


def tagged(number: int, kind: str, value: Any) -> bytes:
    return varint(number << 3 | wire_type(kind)) + scalar(kind, value)


def encode(message: str, document: dict[str, Any]) -> bytes:
    parts = []
    for name, value in document.items():
        number, kind = MESSAGES[message][name]
        if kind.startswith("map "):
            entries = (tagged(1, "string", key) + tagged(2, kind[4:], item) for key, item in value.items())
            parts += [tagged(number, "bytes", entry) for entry in entries]
        elif not kind.startswith("*"):
            parts.append(tagged(number, kind, value))
        elif wire_type(kind[1:]) != 2:
            packed = b"".join(scalar(kind[1:], item) for item in value)
            parts.append(tagged(number, "bytes", packed) if value else b"")
        else:
            parts += [tagged(number, kind[1:], item) for item in value]
    return b"".join(parts)


class Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.content[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def take(self, size: int) -> bytes:
        if self.position + size > len(self.content):
            raise ValueError("a field leads beyond its message")
        self.position += size
        return self.content[self.position - size : self.position]

    def field(self, wire: int) -> Any:
        if wire == 0:
            return self.varint()
        return self.take({1: 8, 5: 4}.get(wire) or self.varint())


def read_scalar(kind: str, value: Any) -> Any:
    if kind == "bool":
        return bool(value)
    if kind in ("int32", "int64"):
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind in FIXED:
        return struct.unpack(FIXED[kind][0], value)[0]
    if kind in VARINTS or kind == "bytes":
        return value
    return value.decode() if kind == "string" else decode(kind, value)


def unpacked(kind: str, wire: int, value: Any) -> list[Any]:
    if wire_type(kind) == 2 or wire != 2:
        return [read_scalar(kind, value)]
    reader, items = Reader(value), []
    while reader.position < len(value):
        items.append(read_scalar(kind, reader.field(wire_type(kind))))
    return items


def decode(message: str, content: bytes) -> dict[str, Any]:
    """Only what is there: a field that is absent has its type's zero, whoever wants to know."""
    known = {number: (name, kind) for name, (number, kind) in MESSAGES[message].items()}
    reader = Reader(content)
    document: dict[str, Any] = {}
    while reader.position < len(content):
        tag = reader.varint()
        value = reader.field(tag & 7)
        if tag >> 3 not in known:
            continue
        name, kind = known[tag >> 3]
        if kind.startswith("map "):
            MESSAGES["Entry"] = {"key": (1, "string"), "value": (2, kind[4:])}
            entry = decode("Entry", value)
            document.setdefault(name, {})[entry.get("key", "")] = entry.get("value")
        elif kind.startswith("*"):
            document.setdefault(name, []).extend(unpacked(kind[1:], tag & 7, value))
        else:
            document[name] = read_scalar(kind, value)
    return document
