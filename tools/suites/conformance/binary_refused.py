"""Binary requests with something wrong in lengths or bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from .registry import expect, rule
from .server import HEADER_LENGTH, OCTETS, Model, Server
from .tensors import Tensor

SECTION = "2 binary"
extension_rule = partial(rule, extension="binary_tensor_data")


def send(server: Server, model: Model, head: bytes, blobs: bytes, length: object = None) -> None:
    """A request that has to be refused with 400."""
    headers = OCTETS | {HEADER_LENGTH: str(len(head) if length is None else length)}
    answer = server.infer(model, head + blobs, headers)
    expect(answer.status == 400, f"{headers[HEADER_LENGTH]}: {answer.shown()}")
    server.refused(answer, 400)
    # What was refused leaves nothing behind on the connection.
    expect(server.ask_somehow(model).status == 200, "afterwards a good request is not taken")


def header_value(values: Callable[[int, int], list[object]], server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model)
    for value in values(len(head), len(head + blobs)):
        send(server, model, head, blobs, value)


HEADERS: list[tuple[str, str, Callable[[int, int], list[object]]]] = [
    ("beyond", "more than the body has", lambda head, body: [body + 1, body * 10]),
    ("negative", "less than nothing", lambda head, body: [-1, -head]),
    (
        "form",
        "no whole number",
        lambda head, body: ["", "x", f"{head}.0", f"0x{head:x}", f"{head}, {head}", f"{head} 1"],
    ),
    ("short", "the JSON is cut", lambda head, body: [1, head - 1]),
    ("long", "bytes of tensors are taken for JSON", lambda head, body: [head + 1, body]),
]
for name, wrong, values in HEADERS:
    extension_rule(f"binary.header-{name}", SECTION, f'a header value that is wrong ({wrong}): 400, {{"error"}}')(
        partial(header_value, values)
    )


def changed_body(change: Callable[[dict[str, Any], bytes], bytes], server: Server) -> None:
    model = server.model("no model has an input with elements", lambda model: bool(model.inputs[0].values))
    head, blobs = server.binary_parts(model)
    body = json.loads(head)
    blobs = change(body["inputs"][0], blobs)
    send(server, model, json.dumps(body).encode(), blobs)


def with_size(change: Callable[[int], object]) -> Callable[[dict[str, Any], bytes], bytes]:
    def apply(first: dict[str, Any], blobs: bytes) -> bytes:
        first["parameters"]["binary_data_size"] = change(first["parameters"]["binary_data_size"])
        return blobs

    return apply


def both(first: dict[str, Any], blobs: bytes) -> bytes:
    first["data"] = [1]
    return blobs


def neither(first: dict[str, Any], blobs: bytes) -> bytes:
    first["parameters"] = {}
    return blobs


def consistently(by: int) -> Callable[[dict[str, Any], bytes], bytes]:
    """A tensor that is too long or short for its shape, but for nothing else."""

    def apply(first: dict[str, Any], blobs: bytes) -> bytes:
        size = first["parameters"]["binary_data_size"]
        first["parameters"]["binary_data_size"] = size + by
        return (blobs[:size] + b"\0" * 8)[: size + by] + blobs[size:]

    return apply


BODIES: list[tuple[str, str, Callable[[dict[str, Any], bytes], bytes]]] = [
    ("leftover", "bytes after the last tensor", lambda first, blobs: blobs + b"\0"),
    ("short", "a byte of the last tensor is missing", lambda first, blobs: blobs[:-1]),
    ("no-bytes", "no bytes follow", lambda first, blobs: b""),
    ("size-more", "a tensor longer than its shape", consistently(4)),
    ("size-less", "a tensor shorter than its shape", consistently(-1)),
    ("size-beyond", "binary_data_size beyond the body", with_size(lambda size: size + 1_000_000)),
    ("size-zero", "binary_data_size 0 for a tensor that has elements", with_size(lambda size: 0)),
    ("size-negative", "binary_data_size negative", with_size(lambda size: -size)),
    ("size-fraction", "binary_data_size a fraction", with_size(lambda size: size + 0.5)),
    ("size-text", "binary_data_size a text", with_size(str)),
    ("data-and-size", "data and binary_data_size", both),
    ("no-data-no-size", "neither data nor binary_data_size", neither),
]
for name, wrong, change in BODIES:
    extension_rule(f"binary.{name}", SECTION, f'{wrong}: 400, {{"error"}}')(partial(changed_body, change))


@extension_rule("binary.size-without-header", SECTION, 'binary_data_size without the header: 400, {"error"}')
def size_without_header(server: Server) -> None:
    model = server.model()
    head, blobs = server.binary_parts(model)
    server.refused(server.infer(model, head), 400)
    server.refused(server.infer(model, head + blobs, OCTETS), 400)


@extension_rule("binary.flag-form", SECTION, 'binary_data that is no truth value: 400, {"error"}')
def flag_form(server: Server) -> None:
    model = server.model()
    wanted = [{"name": model.output_names[0], "parameters": {"binary_data": "true"}}]
    server.refused(server.infer(model, model.body(outputs=wanted)), 400)
    server.refused(server.infer(model, model.body(parameters={"binary_data_output": "true"})), 400)


@extension_rule("binary.truths", "8.10", 'bytes of BOOL but 0 and 1: 400, {"error"}')
def truths(server: Server) -> None:
    model, tensor = server.input_of({"BOOL"})
    if model.inputs[0] is not tensor:
        model = Model(model.name, model.metadata, [tensor, *(other for other in model.inputs if other is not tensor)])
    head, blobs = server.binary_parts(model)
    for byte in (b"\x02", b"\xff"):
        send(server, model, head, byte + blobs[1:])


def wrong_texts(tensor: Tensor) -> list[bytes]:
    good, word = tensor.blob(), struct.pack("<I", 1) + b"a"
    return [
        struct.pack("<I", 10 * len(good)) + good[4:],
        struct.pack("<I", len(good)) + good[4:],
        good + word,
        good + b"\0",
        good[:-1],
        good[: -len(word)],
        b"\0\0",
    ]


@extension_rule("binary.text-lengths", "8.9", 'lengths of BYTES that do not use up the tensor exactly: 400, {"error"}')
def text_lengths(server: Server) -> None:
    model, tensor = server.input_of({"BYTES"}, lambda model: len(model.inputs) == 1)
    for blob in wrong_texts(tensor):
        entry = tensor.head() | {"parameters": {"binary_data_size": len(blob)}}
        send(server, model, json.dumps({"inputs": [entry]}).encode(), blob)
