"""Comparison with docs/benchmarks.json: in ratios to the echo, as machines differ."""

from __future__ import annotations

from . import record
from .bench import Bench
from .items import iris_1, protocols
from .place import say
from .rounds import Figures, Result

ITEM, CONNECTIONS = "iris-1", 32
# Beside the native one, which is iris-1.
PROTOCOLS = ("/v2 JSON", "/v2 bytes", "KServe V1", "MLflow", "gRPC")
# What other programs on the machine may make of it, beside those that the median already leaves out.
FACTOR_OF_NOISE = 1.6


def judge(bench: Bench) -> int:
    """0 if it does, 1 if not."""
    kept = record.read()
    settings = {ITEM: [f"{CONNECTIONS} connections"], "protocols": list(PROTOCOLS)}
    recorded = {
        setting: gateway_of(record.of(kept, item), setting) for item, names in settings.items() for setting in names
    }
    missing = [setting for setting, figures in recorded.items() if figures is None]
    if missing:
        say(f"FAILED: {record.JSON.name} has nothing to compare {', '.join(missing)} with: tools/bench --record")
        return 1
    results = iris_1.measure(bench, (CONNECTIONS,))
    bench.rounds = bench.rounds // 2 + 1
    results += protocols.measure(bench, PROTOCOLS)
    judged = [judged_one(setting, recorded[setting], gateway_of(results, setting)) for setting in recorded]
    if all(judged):
        say("as recorded")
    return 0 if all(judged) else 1


def judged_one(setting: str, recorded: Figures | None, came: Figures | None) -> bool:
    """True if a request costs about what is recorded."""
    if recorded is None or came is None:
        say(f"FAILED: {setting} was not measured")
        return False
    factor = came["cpu_ratio"] / recorded["cpu_ratio"]
    print(
        f"{setting}: CPU per request {came['cpu_ratio']:.2f} × echo, recorded {recorded['cpu_ratio']:.2f}: "
        f"{factor:.2f} times; requests/s {came['rows_ratio']:.3f} × echo, recorded {recorded['rows_ratio']:.3f}"
    )
    if came["errors"]:
        say(f"FAILED: {setting}: {came['errors']:.0f} requests failed")
        return False
    if factor > FACTOR_OF_NOISE:
        say(
            f"FAILED: {setting}: a request costs {factor:.2f} times what was recorded, more than noise explains "
            f"({FACTOR_OF_NOISE}): find out why, or record it with tools/bench --record"
        )
        return False
    if factor < 1 / FACTOR_OF_NOISE:
        say(f"{setting}: less than was recorded: tools/bench --record")
    return True


def gateway_of(results: list[Result], setting: str) -> Figures | None:
    for result in results:
        if result.contestant == "gateway" and result.setting == setting:
            return result.figures
    return None
