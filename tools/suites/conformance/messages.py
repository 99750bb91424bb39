"""The gRPC messages, compiled from the service's description when they are first needed.

They have a pool of their own: clients in the same process bring messages of the same names.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from grpc_tools import protoc

from lib.gateway import REPOSITORY

DESCRIPTION = "open_inference.proto"
SERVICE = "inference.GRPCInferenceService"


@cache
def pool() -> descriptor_pool.DescriptorPool:
    (description,) = (REPOSITORY / "src").rglob(DESCRIPTION)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "compiled"
        status = protoc.main(["protoc", f"-I{description.parent}", f"--descriptor_set_out={compiled}", DESCRIPTION])
        if status != 0:
            raise RuntimeError(f"protoc ends with {status}")
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file
    made = descriptor_pool.DescriptorPool()
    for file in files:
        made.AddSerializedFile(file.SerializeToString())
    return made


def types_of(method: str) -> tuple[type[Message], type[Message]]:
    """The request and the response of a method of the service."""
    found = pool().FindServiceByName(SERVICE).methods_by_name[method]
    return message_factory.GetMessageClass(found.input_type), message_factory.GetMessageClass(found.output_type)


def encode(kind: type[Message], document: dict[str, Any]) -> bytes:
    return kind(**document).SerializeToString()


def decode(kind: type[Message], content: bytes) -> dict[str, Any]:
    try:
        return document_of(kind.FromString(content))
    except DecodeError as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None


def document_of(message: Message) -> dict[str, Any]:
    """The fields that are set: a scalar that has its type's zero is not."""
    return {field.name: plain(field, value) for field, value in message.ListFields()}


def plain(field: Any, value: Any) -> Any:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return {key: single(item) for key, item in value.items()}
    return [single(item) for item in value] if field.is_repeated else single(value)


def single(value: Any) -> Any:
    return document_of(value) if isinstance(value, Message) else value
