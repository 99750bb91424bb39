"""The output of callgrind (https://valgrind.org/docs/manual/cl-format.html), by part of the program."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

# A part, by what the path of a source file holds; the first that fits counts.
SOURCES = {
    "hashing of the token": ("aws-lc",),
    "ONNX Runtime": ("/ort-", "/ort_sys-", "/ndarray-"),
    "gRPC (tonic, prost)": ("/tonic", "/prost"),
    "HTTP/2 (h2)": ("/h2-",),
    "HTTP (hyper, http)": ("/hyper", "/http-", "/httparse-", "/http-body", "/bytes-", "/httpdate-"),
    "layers (tower, axum)": ("/tower", "/axum", "/matchit-", "/futures-"),
    "tokio": ("/tokio-", "/mio-", "/parking_lot"),
    "JSON (serde)": ("/serde", "/zmij-", "/itoa-", "/fast-float", "/lexical"),
    "quotas (governor)": ("/governor-", "/dashmap-", "/quanta-"),
    "metrics (prometheus)": ("/prometheus-",),
    "tracing": ("/tracing", "/sharded-slab-"),
    "own: protocols, codec": ("/src/protocols", "/src/codec"),
    "own: edge, auth, limits, server": ("/src/edge", "/src/auth", "/src/limits", "/src/server", "/src/telemetry"),
    "own: model, serving, runtime": ("/src/model", "/src/serving", "/src/runtime", "/src/lifecycle", "/src/system"),
}
OBJECTS = {"ONNX Runtime": ("libonnxruntime", "libstdc++", "libgcc_s")}
ALLOCATOR = re.compile(r"malloc|calloc|realloc|free|memalign|unlink_chunk|_int_|tcache")
MEMORY = "memory (malloc, free)"
COPIES = "copying and comparing (libc)"
REST = "the rest"
NAME = re.compile(r"\((\d+)\)(?: (.*))?")


def by_part(output: Path) -> Counter[str]:
    """The instructions of each part."""
    counted: Counter[str] = Counter()
    names: dict[tuple[str, str], str] = {}
    place = {"ob": "", "fl": "", "fn": ""}
    is_call = False
    for line in output.read_text(errors="replace").splitlines():
        key, equals, text = line.partition("=")
        if equals and key in KINDS:
            kind = KINDS[key]
            name = whole(names, kind, text)
            if not key.startswith("c"):
                place[kind] = name
                if key == "fn":
                    # Until another file is named, the function is of its own.
                    place["own"] = place["fl"]
        elif equals and key == "calls":
            is_call = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            if not is_call:
                counted[part_of(place)] += int(line.split()[1])
            is_call = False
    return counted


KINDS = {"ob": "ob", "cob": "ob", "fl": "fl", "fi": "fl", "fe": "fl", "cfi": "fl", "cfl": "fl", "fn": "fn", "cfn": "fn"}


def whole(names: dict[tuple[str, str], str], kind: str, text: str) -> str:
    """A name, which is written once and numbered from then on."""
    match = NAME.fullmatch(text)
    if not match:
        return text
    number, name = match.groups()
    if name is not None:
        names[kind, number] = name
    return names.get((kind, number), "")


def part_of(place: dict[str, str]) -> str:
    for part, objects in OBJECTS.items():
        if any(name in place["ob"] for name in objects):
            return part
    if "libc.so" in place["ob"] or "ld-linux" in place["ob"]:
        return MEMORY if ALLOCATOR.search(place["fn"]) else COPIES
    # Functions of the standard library are part of what they were compiled into.
    for path in (place["fl"], place.get("own", ""), crate_of(place["fn"])):
        for part, sources in SOURCES.items():
            if any(source in path for source in sources):
                return part
    return REST


def crate_of(function: str) -> str:
    """The path by which the crate of a function is looked up."""
    match = re.search(r"\b([a-z_0-9]+)::(?!.*\bcore::)", function)
    found = re.search(r"onnx_gateway::([a-z_]+)", function)
    if found:
        return f"/src/{found[1]}"
    return f"/{match[1]}-" if match else ""
