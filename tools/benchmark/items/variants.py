"""The cost of single settings of the gateway."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lib.gateway import NotServing

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..gateway import Settings
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, iris_rows
from . import iris_1

CONNECTIONS = 32


@dataclass(frozen=True)
class Variant:
    """Changes to the settings of the gateway, and the file of its log if it is not the usual one."""

    name: str
    changes: Settings
    log: Path | None = None


def measure_rs256(bench: Bench) -> list[Result]:
    """Tokens signed with a key of RSA, in place of a secret."""
    if not shutil.which("openssl"):
        bench.leave_out("openssl is not there, with which the key is made")
        return []
    folder = bench.folder("keys")
    private, public = folder / "private.pem", folder / "public.pem"
    make: list[str | Path] = [
        "openssl",
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        private,
    ]
    subprocess.run(make, check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    key = {"algorithm": "RS256", "private_key_file": str(private), "public_key_file": str(public)}
    changes = {"auth": {"signing_key": "bench"}, "auth.keys.bench": key}
    return compare(bench, "rs256", Variant("RS256", changes))


def measure_without_metrics(bench: Bench) -> list[Result]:
    return compare(bench, "metrics-off", Variant("no metrics", {"metrics": {"enabled": False}}))


def measure_with_access_log(bench: Bench) -> list[Result]:
    logged = {"log": {"access": True}}
    variants = [Variant("access log", logged), Variant("access log to /dev/null", logged, Path(os.devnull))]
    return compare(bench, "access-log", *variants)


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
    contestants.answer_of(bench.keep(made), iris_rows(1)[0])
    return made


def run(bench: Bench, one: Contestant) -> partial:
    bodies = [one.request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]
    return partial(bench.run, one, one.request, bodies, bench.load(CONNECTIONS))
