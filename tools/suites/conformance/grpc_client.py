"""The protocol over gRPC, with the messages of its description."""

from __future__ import annotations

from typing import Any

import grpc

from . import messages
from .registry import Miss
from .tensors import Tensor, output_of
from .tensors import encode as encode_values

SERVICE = f"/{messages.SERVICE}/"
TIMEOUT_SECONDS = 30
MOST_MESSAGE_BYTES = 1 << 30
# The field of typed contents that holds the elements of each datatype.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Status(Exception):
    """An answer that is no message."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code


class Grpc:
    def __init__(self, target: str, token: str | None) -> None:
        options = [("grpc.max_receive_message_length", MOST_MESSAGE_BYTES), ("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(target, options=options)
        self.metadata = [("authorization", f"Bearer {token}")] if token else []

    def call(self, method: str, message: dict[str, Any] | bytes | None = None, **options: Any) -> dict[str, Any]:
        request, response = messages.types_of(method)
        content = message if isinstance(message, bytes) else messages.encode(request, message or {})
        return messages.decode(response, self.unary(SERVICE + method, content, **options))

    def unary(self, path: str, content: bytes, *, metadata: Any = None, compression: str | None = None) -> bytes:
        ask = self.channel.unary_unary(path)
        chosen = grpc.Compression.Gzip if compression == "gzip" else None
        try:
            return ask(
                content,
                timeout=TIMEOUT_SECONDS,
                metadata=self.metadata if metadata is None else metadata,
                compression=chosen,
            )
        except grpc.RpcError as error:
            raise Status(error.code().name, error.details() or "") from None

    def code(self, method: str, message: dict[str, Any] | bytes | None = None, **options: Any) -> str:
        """The code that a call ends with."""
        try:
            self.call(method, message, **options)
        except Status as status:
            return status.code
        return "OK"

    def stream(self, path: str, requests: list[bytes]) -> list[bytes]:
        """All that comes for these, until the other side ends."""
        ask = self.channel.stream_stream(path)
        try:
            return list(ask(iter(requests), timeout=TIMEOUT_SECONDS, metadata=self.metadata))
        except grpc.RpcError as error:
            raise Status(error.code().name, error.details() or "") from None


def raw(name: str, inputs: list[Tensor], **members: Any) -> dict[str, Any]:
    heads = [tensor.head() for tensor in inputs]
    return {"model_name": name, "inputs": heads, "raw_input_contents": [tensor.blob() for tensor in inputs], **members}


def typed(name: str, inputs: list[Tensor], **members: Any) -> dict[str, Any]:
    entries = [tensor.head() | {"contents": typed_contents(tensor)} for tensor in inputs]
    return {"model_name": name, "inputs": entries, **members}


def typed_contents(tensor: Tensor) -> dict[str, list[Any]]:
    values = [value.encode() if isinstance(value, str) else value for value in tensor.values]
    return {CONTENTS[tensor.datatype]: values}


def outputs(answer: dict[str, Any]) -> dict[str, tuple[str, list[int], bytes]]:
    """The outputs of an answer as those of REST are read, whether raw or typed."""
    blobs, entries = answer.get("raw_output_contents", []), answer.get("outputs", [])
    if blobs and len(blobs) != len(entries):
        raise Miss(f"{len(blobs)} raw contents for {len(entries)} outputs")
    found = {}
    for at, entry in enumerate(entries):
        blob = blobs[at] if blobs else contents_of(entry)
        if blobs and entry.get("contents"):
            raise Miss(f"output {entry['name']} has contents beside the raw ones")
        name, datatype, shape, content = output_of({"shape": []} | entry, blob)
        found[name] = (datatype, shape, content)
    return found


def contents_of(entry: dict[str, Any]) -> bytes:
    field = CONTENTS.get(entry["datatype"])
    if field is None:
        raise Miss(f"output {entry['name']}: {entry['datatype']} has no typed contents")
    return encode_values(entry["datatype"], entry.get("contents", {}).get(field, []))
