"""Triton's extensions over gRPC."""

from __future__ import annotations

from .grpc_client import SERVICE, Status, outputs, raw
from .messages import decode, encode, types_of
from .registry import NotApplicable, expect, grpc_rule
from .repository import STATES
from .server import Server

SECTION = "7 gRPC"


@grpc_rule("grpc.index", "3 repository", "RepositoryIndex: what the index over REST has", extension="model_repository")
def index(server: Server) -> None:
    entries = server.grpc.call("RepositoryIndex").get("models", [])
    expect(all(entry.get("state", "") in STATES | {""} for entry in entries), f"states of {entries}")
    over_rest = server.post("/v2/repository/index").json()
    names = {(entry["name"], entry.get("version", "")) for entry in entries}
    wanted = {(entry["name"], entry.get("version", "")) for entry in over_rest}
    expect(names == wanted, f"{sorted(names ^ wanted)} are only in one of them")
    ready = server.grpc.call("RepositoryIndex", {"ready": True}).get("models", [])
    expect(all(entry.get("state") == "READY" for entry in ready), "`ready` has others")


@grpc_rule(
    "grpc.load-unknown", "3 repository", "loading a model that is not there: an error", extension="model_repository"
)
def load_unknown(server: Server) -> None:
    code = server.grpc.code("RepositoryModelLoad", {"model_name": "no-such-model-here"})
    expect(code in ("NOT_FOUND", "INVALID_ARGUMENT"), code)


@grpc_rule(
    "grpc.config", "1 configuration", "ModelConfig: name and platform or backend", extension="model_configuration"
)
def config(server: Server) -> None:
    for model in server.models:
        came = server.grpc.call("ModelConfig", {"name": model.name})["config"]
        expect(came.get("name") == model.name, f"name {came.get('name')!r}")
        expect(bool(came.get("platform") or came.get("backend")), "neither platform nor backend")
    code = server.grpc.code("ModelConfig", {"name": "no-such-model-here"})
    expect(code == "NOT_FOUND", f"an unknown model: {code}")


@grpc_rule("grpc.statistics", "4 statistics", "ModelStatistics: one inference more than before", extension="statistics")
def statistics(server: Server) -> None:
    model = server.models[0]
    version = server.grpc.call("ModelInfer", raw(model.name, model.inputs)).get("model_version", "")

    def successes() -> int:
        entries = server.grpc.call("ModelStatistics", {"name": model.name, "version": version})["model_stats"]
        expect(len(entries) == 1 and entries[0]["name"] == model.name, f"{len(entries)} entries")
        return entries[0]["inference_stats"]["success"].get("count", 0)

    before = successes()
    server.grpc.call("ModelInfer", raw(model.name, model.inputs))
    after = successes()
    expect(after == before + 1, f"success.count was {before} and is {after}")
    everything = server.grpc.call("ModelStatistics")["model_stats"]
    missing = {known.name for known in server.models} - {entry["name"] for entry in everything}
    expect(not missing, f"not in those of all: {missing}")


@grpc_rule("grpc.stream", SECTION, "ModelStreamInfer: an answer to each request, in order; an error ends only its own")
def stream(server: Server) -> None:
    model = server.models[0]
    asked, streamed = types_of("ModelStreamInfer")
    too_long = [tensor.blob() + b"\0\0\0" for tensor in model.inputs]
    requests = [
        raw(model.name, model.inputs, id="1"),
        raw(model.name, model.inputs, id="2") | {"raw_input_contents": too_long},
        raw("no-such-model-here", model.inputs, id="3"),
        raw(model.name, model.inputs, id="4"),
    ]
    try:
        came = server.grpc.stream(SERVICE + "ModelStreamInfer", [encode(asked, request) for request in requests])
    except Status as status:
        if status.code == "UNIMPLEMENTED":
            raise NotApplicable("there is none") from None
        raise
    answers = [decode(streamed, content) for content in came]
    expect(len(answers) == len(requests), f"{len(answers)} answers")
    wrong = [bool(answer.get("error_message")) for answer in answers]
    expect(wrong == [False, True, True, False], f"error_message: {wrong}")
    for at in (0, 3):
        answer = answers[at]["infer_response"]
        expect(answer.get("id") == requests[at]["id"], f"id {answer.get('id')!r} in place of {requests[at]['id']!r}")
        expect(outputs(answer) == server.reference(model), "other values than over REST")
