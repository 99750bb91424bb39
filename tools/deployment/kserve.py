"""The files for KServe, against the types of its client.

Each type is a class with the names and types of its keys. They are read from the source, as the client itself would
need all that it depends on. Types of Kubernetes are those of its JSON schemas.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import kubernetes_validate

from .base import DEPLOYMENT, Document, Wrong, documents, expect, files, modules, named, say

VERSION = "1.37.0"
PRIMITIVE: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
    "datetime": str,
}
# Where Kubernetes has the types that KServe uses.
GROUPS = ("io.k8s.api.core.v1", "io.k8s.apimachinery.pkg.apis.meta.v1")
# Protocols that a runtime and an InferenceService may name; the schemas leave them open.
PROTOCOLS = {"v1", "v2", "grpc-v1", "grpc-v2"}


class Type(NamedTuple):
    """The keys of a type, as JSON has them, with the type of each; and those that must be there."""

    keys: dict[str, str]
    required: set[str]


@cache
def types() -> dict[str, Type]:
    folder = modules() / "kserve" / "models"
    found = {}
    for path in folder.glob("v1*.py"):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                tables = {
                    statement.targets[0].id: ast.literal_eval(statement.value)
                    for statement in node.body
                    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
                    if statement.targets[0].id in ("openapi_types", "attribute_map")
                }
                names = tables["attribute_map"]
                required = {names[name] for name in re.findall(r"Invalid value for `(\w+)`, must not be `None`", text)}
                found[node.name] = Type({names[key]: kind for key, kind in tables["openapi_types"].items()}, required)
    if "V1beta1InferenceService" not in found:
        raise Wrong(f"{folder} has no types of KServe")
    return found


@cache
def kubernetes() -> dict[str, Any]:
    """The types of Kubernetes by name."""
    package = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    return json.loads((package / "_definitions.json").read_text())["$defs"]


def faults(value: Any, kind: str, place: str) -> list[str]:
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{place}: expected a list"]
        return [fault for index, one in enumerate(value) for fault in faults(one, listed[1], f"{place}/{index}")]
    if mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        if not isinstance(value, dict):
            return [f"{place}: expected a map"]
        return [fault for key, one in value.items() for fault in faults(one, mapped[1], f"{place}/{key}")]
    if kind in PRIMITIVE:
        is_number = kind in ("int", "float")
        is_right = isinstance(value, PRIMITIVE[kind]) and not (is_number and isinstance(value, bool))
        return [] if is_right else [f"{place}: expected {kind}, got {value!r}"]
    if kind in types():
        keys, required = types()[kind]
        if not isinstance(value, dict):
            return [f"{place}: expected an object of {kind}"]
        found = [f"{place}: {kind} has no key {key}" for key in value if key not in keys]
        found += [f"{place}: {key} is missing" for key in required - set(value)]
        return found + [
            fault for key, one in value.items() if key in keys for fault in faults(one, keys[key], f"{place}/{key}")
        ]
    return kubernetes_faults(value, kind, place)


def kubernetes_faults(value: Any, kind: str, place: str) -> list[str]:
    definitions = kubernetes()
    name = kind.removeprefix("V1")
    known = [f"{group}.{name}" for group in GROUPS if f"{group}.{name}" in definitions]
    if not known:
        return [f"{place}: there is no type {kind}"]
    validator = jsonschema.Draft202012Validator({"$defs": definitions, "$ref": f"#/$defs/{known[0]}"})
    return [f"{place}/{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(value)]


def contradictions(runtimes: dict[str, Document], services: list[Document]) -> list[str]:
    """An InferenceService names a runtime that takes its format and speaks its protocol."""
    found = []
    for service in services:
        model = service["spec"]["predictor"]["model"]
        runtime = runtimes.get(model["runtime"])
        if runtime is None:
            found.append(f"{named(service)}: there is no runtime {model['runtime']}")
            continue
        spec = runtime["spec"]
        if model["protocolVersion"] not in spec["protocolVersions"] or not set(spec["protocolVersions"]) <= PROTOCOLS:
            found.append(f"{named(service)}: {model['protocolVersion']} is not one of {spec['protocolVersions']}")
        if model["modelFormat"]["name"] not in {one["name"] for one in spec["supportedModelFormats"]}:
            found.append(f"{named(service)}: the runtime takes no {model['modelFormat']['name']}")
    return found


def read() -> tuple[dict[str, Document], list[Document]]:
    """The runtimes by kind, and the InferenceServices."""
    everything = [one for path in files(DEPLOYMENT / "kserve", "*.yaml") for one in documents(path.read_text())]
    runtimes = {one["kind"]: one for one in everything if one["kind"].endswith("ServingRuntime")}
    return runtimes, [one for one in everything if one["kind"] == "InferenceService"]


def check() -> None:
    runtimes, services = read()
    found = []
    for one in [*runtimes.values(), *services]:
        version = one["apiVersion"].removeprefix("serving.kserve.io/").capitalize()
        found += [f"{named(one)}: {fault}" for fault in faults(one, f"{version}{one['kind']}", "")]
    expect(found)
    if runtimes["ServingRuntime"]["spec"] != runtimes["ClusterServingRuntime"]["spec"]:
        raise Wrong("deploy/kserve: runtime.yaml and cluster-runtime.yaml have different specs")
    expect(contradictions({one["metadata"]["name"]: one for one in runtimes.values()}, services))
    say(f"KServe: {len(runtimes)} runtimes and {len(services)} services by its types")
