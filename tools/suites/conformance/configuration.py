"""A model's configuration."""

from __future__ import annotations

from functools import partial
from typing import Any

from .registry import expect, rule
from .server import Server

SECTION = "1 configuration"
extension_rule = partial(rule, extension="model_configuration")
TYPES = {"BYTES": "TYPE_STRING"}


def check_tensors(config: dict[str, Any], key: str, declared: list[dict[str, Any]]) -> None:
    entries = {entry["name"]: entry for entry in config[key]}
    expect(list(entries) == [entry["name"] for entry in declared], f"{key}: {list(entries)}")
    for wanted in declared:
        entry = entries[wanted["name"]]
        datatype = TYPES.get(wanted["datatype"], f"TYPE_{wanted['datatype']}")
        expect(entry["data_type"] == datatype, f"{key} {wanted['name']}: data_type {entry['data_type']!r}")
        dims = [int(size) for size in entry.get("dims", [])]
        if config["max_batch_size"] > 0:
            dims = [-1, *dims]
        # A configuration has no empty dims; scalars are written as one element.
        same = dims == wanted["shape"] or (not wanted["shape"] and dims in ([], [1]))
        expect(same, f"{key} {wanted['name']}: dims {entry.get('dims')}, the metadata has {wanted['shape']}")


@extension_rule(
    "config.form", SECTION, "name, platform or backend, max_batch_size, input and output as in the metadata"
)
def form(server: Server) -> None:
    for model in server.models:
        config = server.found(f"{model.path}/config")
        expect(config.get("name") == model.name, f"name {config.get('name')!r}")
        expect(bool(config.get("platform") or config.get("backend")), "neither platform nor backend")
        size = config.get("max_batch_size", 0)
        expect(type(size) is int and size >= 0, f"max_batch_size {size!r}")
        config["max_batch_size"] = size
        check_tensors(config, "input", model.metadata["inputs"])
        check_tensors(config, "output", model.metadata["outputs"])


@extension_rule("config.version-path", SECTION, "GET .../versions/V/config: the same form")
def version_path(server: Server) -> None:
    model = server.model("no model has versions", lambda model: bool(model.versions))
    config = server.found(f"{model.path}/versions/{model.versions[-1]}/config")
    expect(config.get("name") == model.name, f"name {config.get('name')!r}")


@extension_rule("config.unknown-model", SECTION, 'an unknown model: 4xx, {"error"}')
def unknown_model(server: Server) -> None:
    server.refused(server.get("/v2/models/no-such-model-here/config"))
