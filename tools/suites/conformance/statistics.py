"""Statistics: the counts of requests."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from .registry import expect, rule
from .server import Model, Server

SECTION = "4 statistics"
extension_rule = partial(rule, extension="statistics")
DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
CLOCK_SECONDS = 60


def of(server: Server, model: Model) -> dict[str, Any]:
    """The sum of a model's versions is not made: the one that serves by default is the last of them."""
    entries = server.found(f"{model.path}/stats")["model_stats"]
    expect(isinstance(entries, list) and entries != [], f"model_stats: {entries!r}")
    wanted = server.answered(server.infer(model)).get("model_version")
    return next((entry for entry in entries if entry.get("version") == wanted), entries[-1])


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


@extension_rule("statistics.form", SECTION, "model_stats of name, version, counts, and durations of count and ns")
def form(server: Server) -> None:
    model = server.model()
    entry = of(server, model)
    expect(entry["name"] == model.name, f"name {entry['name']!r}")
    expect(isinstance(entry.get("version", ""), str), f"version {entry.get('version')!r}")
    for key in ("last_inference", "inference_count", "execution_count"):
        expect(is_count(entry.get(key)), f"{key} {entry.get(key)!r}")
    for key in DURATIONS:
        duration = entry["inference_stats"].get(key)
        expect(isinstance(duration, dict), f"inference_stats has no {key}")
        expect(is_count(duration.get("count")) and is_count(duration.get("ns")), f"{key}: {duration}")
    for batch in entry.get("batch_stats", []):
        expect(is_count(batch.get("batch_size")), f"batch_stats: {batch}")
        for key in ("compute_input", "compute_infer", "compute_output"):
            expect(is_count(batch[key]["count"]) and is_count(batch[key]["ns"]), f"batch_stats {key}: {batch[key]}")
    for usage in entry.get("memory_usage", []):
        expect(is_count(usage.get("byte_size")), f"memory_usage: {usage}")


@extension_rule("statistics.all", SECTION, "GET /v2/models/stats: those of all models")
def all_models(server: Server) -> None:
    names = {entry["name"] for entry in server.found("/v2/models/stats")["model_stats"]}
    missing = {model.name for model in server.models} - names
    expect(not missing, f"not in it: {missing}")


@extension_rule("statistics.version-path", SECTION, "GET .../versions/V/stats: only that version's")
def version_path(server: Server) -> None:
    model = server.model("no model has versions", lambda model: bool(model.versions))
    version = model.versions[-1]
    entries = server.found(f"{model.path}/versions/{version}/stats")["model_stats"]
    expect([entry["version"] for entry in entries] == [version], f"versions {[entry['version'] for entry in entries]}")


@extension_rule("statistics.unknown-model", SECTION, 'an unknown model: 4xx, {"error"}')
def unknown_model(server: Server) -> None:
    server.refused(server.get("/v2/models/no-such-model-here/stats"))


@extension_rule("statistics.counts", SECTION, "a request of three rows adds 3 to inference_count, 1 to success")
def counts(server: Server) -> None:
    def is_batched(model: Model) -> bool:
        entries = model.metadata["inputs"] + model.metadata["outputs"]
        return all(len(entry["shape"]) > 1 and entry["shape"][0] == -1 for entry in entries)

    model = server.model("in no model the first dimension of all tensors varies", is_batched)
    before = of(server, model)
    rows = [tensor.reshaped([3, *tensor.shape[1:]]) for tensor in model.inputs]
    expect(server.infer(model, model.body(rows)).status == 200, "three rows are not taken")
    after = of(server, model)
    # The look itself asks for one row, to learn which version answers.
    added = after["inference_count"] - before["inference_count"]
    expect(added == 4, f"inference_count grew by {added} for 3 rows and 1")
    added = after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"]
    expect(added == 2, f"success.count grew by {added} for 2 requests")
    added = after["execution_count"] - before["execution_count"]
    expect(1 <= added <= 2, f"execution_count grew by {added} for 2 requests")
    expect(after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"], "no time was spent")


@extension_rule("statistics.last", "8.21", "last_inference is in milliseconds of the epoch")
def last_inference(server: Server) -> None:
    model = server.model()
    of(server, model)
    last = of(server, model)["last_inference"]
    expect(abs(last / 1000 - time.time()) < CLOCK_SECONDS, f"last_inference {last}, now {time.time() * 1000:.0f}")
