"""The cost of single settings of the gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lib.gateway import NotServing

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..gateway import Settings
from ..place import say
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, iris_rows
from . import iris_1

CONNECTIONS = 32
# The most CPU time of a request, as a multiple of that without traces.
TRACES_LIMIT = {"traces of 1 %": 1.02}


@dataclass(frozen=True)
class Variant:
    """Changes to the settings of the gateway, and to how it is asked."""

    name: str
    changes: Settings
    # The file of its log, if it is not the usual one.
    log: Path | None = None
    # Credentials in place of a token that it signs.
    credentials: str | None = None
    # The certificate by which it is known, if it speaks TLS.
    certificate: Path | None = None


def measure_without_metrics(bench: Bench) -> list[Result]:
    return compare(bench, "metrics-off", Variant("no metrics", {"metrics": {"enabled": False}}))


def measure_with_access_log(bench: Bench) -> list[Result]:
    logged = {"log": {"access": True}}
    variants = [Variant("access log", logged), Variant("access log to /dev/null", logged, Path(os.devnull))]
    return compare(bench, "access-log", *variants)


def measure_with_traces(bench: Bench) -> list[Result]:
    # It takes the spans and answers that it does not know the method: the gateway's work is the same.
    sink = bench.keep(contestants.grpc_echo())
    traced = [
        Variant(
            f"traces of {share} %",
            {"telemetry.otlp": {"endpoint": f"http://127.0.0.1:{sink.grpc_port}", "sample": share / 100}},
        )
        for share in (1, 100)
    ]
    return judge(compare(bench, "traces", *traced), TRACES_LIMIT)


def compare(bench: Bench, item: str, *variants: Variant) -> list[Result]:
    """The gateway with and without changes to its settings, of each build."""
    try:
        changed = [
            started(bench, f"{name}, {variant.name}", binary, variant)
            for variant in variants
            for name, binary in bench.builds().items()
        ]
    except NotServing as error:
        bench.leave_out(str(error))
        return []
    everyone = [*iris_1.started(bench, [other for other in ("echo",) if other in bench.others]), *changed]
    runs: Runs = {one.name: run(bench, one) for one in everyone}
    return alternate(item, f"{CONNECTIONS} connections", runs, bench.rounds, to_gateway=True)


def started(bench: Bench, name: str, binary: Path, variant: Variant) -> Contestant:
    made = contestants.gateway(binary, bench.folder(name), variant.changes, name, variant.log)
    made.server.certificate = variant.certificate
    if variant.credentials:
        made.request.headers["authorization"] = f"Bearer {variant.credentials}"
    contestants.answer_of(bench.keep(made), iris_rows(1)[0])
    return made


def judge(results: list[Result], limits: Mapping[str, float]) -> list[Result]:
    """Says how much CPU a request of each variant takes beside the gateway as it usually is, and how much it may."""
    for result in results:
        ratio = result.figures.get("cpu_to_gateway")
        limit = next((limit for name, limit in limits.items() if result.contestant.endswith(name)), None)
        if ratio is not None and limit is not None:
            verdict = "ok" if ratio <= limit else "TOO MUCH"
            say(f"{result.contestant}: {ratio:.3f} times the CPU time of a request, at most {limit}: {verdict}")
    return results


def run(bench: Bench, one: Contestant) -> partial:
    bodies = [one.request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]
    return partial(bench.run, one, one.request, bodies, bench.load(CONNECTIONS))
