"""Metadata of the server and its models."""

from __future__ import annotations

from .registry import Miss, NotApplicable, expect, rule
from .server import Model, Server
from .tensors import DATATYPES

SECTION = "1 metadata"
# For each extension, a path that only a server with it answers, with anything but 404, 405 and 501.
PATHS = {
    "model_repository": ("POST", "/v2/repository/index"),
    "model_configuration": ("GET", "{model}/config"),
    "statistics": ("GET", "{model}/stats"),
    "trace": ("GET", "/v2/trace/setting"),
    "logging": ("GET", "/v2/logging"),
    "system_shared_memory": ("GET", "/v2/systemsharedmemory/status"),
    "cuda_shared_memory": ("GET", "/v2/cudasharedmemory/status"),
}


def is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


@rule("metadata.server", SECTION, "GET /v2: 200, JSON with name, version and extensions, a list of texts")
def server_metadata(server: Server) -> None:
    answer = server.get("/v2")
    expect(answer.status == 200, answer.shown())
    document = answer.object()
    expect(isinstance(document.get("name"), str), f"name: {document.get('name')!r}")
    expect(isinstance(document.get("version"), str), f"version: {document.get('version')!r}")
    expect(is_texts(document.get("extensions")), f"extensions: {document.get('extensions')!r}")


@rule("metadata.server-slash", SECTION, "GET /v2/ answers as GET /v2")
def server_metadata_slash(server: Server) -> None:
    expect(server.found("/v2/") == server.found("/v2"), "another document")


@rule("metadata.json", SECTION, "Content-Type of documents is application/json")
def content_type(server: Server) -> None:
    for path in ("/v2", server.model().path):
        came = server.get(path).headers.get_content_type()
        expect(came == "application/json", f"{path}: {came}")


@rule("metadata.extensions", SECTION, "each extension that is advertised answers")
def extensions(server: Server) -> None:
    model = server.model()
    asked = [name for name in PATHS if server.has_extension(name)]
    if not asked:
        raise NotApplicable("none with a path of its own is advertised")
    for name in asked:
        method, path = PATHS[name]
        answer = server.http.ask(method, path.format(model=model.path))
        expect(answer.status not in (404, 405, 501), f"{name}: {answer.shown()}")


def check_tensors(where: str, tensors: list) -> None:
    for tensor in tensors:
        expect(isinstance(tensor.get("name"), str), f"{where}: name {tensor.get('name')!r}")
        expect(tensor.get("datatype") in DATATYPES, f"{where} {tensor['name']}: datatype {tensor.get('datatype')!r}")
        shape = tensor.get("shape")
        good = isinstance(shape, list) and all(type(size) is int and size >= -1 for size in shape)
        expect(good, f"{where} {tensor['name']}: shape {shape!r}")


@rule("metadata.model", SECTION, "a model's: name, platform, inputs and outputs with name, datatype, shape; -1 varies")
def model_metadata(server: Server) -> None:
    for model in server.models:
        document = server.found(model.path)
        expect(document.get("name") == model.name, f"name {document.get('name')!r}")
        expect(isinstance(document.get("platform"), str), f"platform {document.get('platform')!r}")
        check_tensors(f"{model.name}: input", document["inputs"])
        check_tensors(f"{model.name}: output", document["outputs"])


@rule("metadata.versions", "8.14", "versions are texts, properties are texts by text")
def versions_are_texts(server: Server) -> None:
    for model in server.models:
        versions = model.metadata.get("versions", [])
        expect(is_texts(versions), f"{model.name}: versions {versions!r}")
        properties = model.metadata.get("properties", {})
        expect(all(isinstance(value, str) for value in properties.values()), f"properties {properties!r}")


def versioned(server: Server) -> Model:
    return server.model("no model has versions", lambda model: bool(model.versions))


@rule("metadata.version-path", SECTION, "GET .../versions/V: the metadata of each version that is listed")
def version_path(server: Server) -> None:
    model = versioned(server)
    for version in model.versions:
        document = server.found(f"{model.path}/versions/{version}")
        expect(document["name"] == model.name, f"version {version}: name {document['name']!r}")
        check_tensors("input", document["inputs"])


@rule("metadata.unknown-model", SECTION, 'an unknown model: 4xx, {"error"}')
def unknown_model(server: Server) -> None:
    server.refused(server.get("/v2/models/no-such-model-here"))


@rule("metadata.unknown-version", SECTION, 'an unknown version: 4xx, {"error"}')
def unknown_version(server: Server) -> None:
    server.refused(server.get(f"{versioned(server).path}/versions/987654321"))


@rule("metadata.version-form", "8.14", 'a version that is no number, or negative: 4xx, {"error"}')
def version_form(server: Server) -> None:
    model = versioned(server)
    for version in ("-1", "1.0", "no-such-label", "99999999999999999999999", "%20"):
        server.refused(server.get(f"{model.path}/versions/{version}"))


@rule("metadata.case-sensitive", SECTION, "names are case-sensitive")
def case_sensitive(server: Server) -> None:
    names = {model.name for model in server.models} | set(server.unusable)
    model = server.model("no model's name has letters", lambda model: model.name.swapcase() not in names)
    server.refused(server.get(f"/v2/models/{model.name.swapcase()}"))


@rule("metadata.url-encoded", "8.15", "names in paths may be percent-encoded")
def url_encoded(server: Server) -> None:
    model = server.model()
    encoded = "".join(f"%{byte:02X}" for byte in model.name.encode())
    expect(server.found(f"/v2/models/{encoded}")["name"] == model.name, "another model")
    answer = server.infer(model, path=f"/v2/models/{encoded}/infer")
    server.same(model, answer)


@rule("metadata.models", SECTION, "GET /v2/models, where there is one: models, a list of texts")
def models_list(server: Server) -> None:
    answer = server.get("/v2/models")
    if answer.status in (404, 405):
        raise NotApplicable("there is none")
    expect(answer.status == 200, answer.shown())
    names = answer.object().get("models")
    if not isinstance(names, list) or not is_texts(names):
        raise Miss(f"models: {names!r}")
    missing = [model.name for model in server.models if model.name not in names]
    expect(not missing, f"not in it: {missing}")
