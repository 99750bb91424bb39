"""The cost of single settings of the gateway."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

from lib.gateway import NotServing

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..gateway import Settings
from ..rounds import Result, alternate
from ..samples import ONE_ROW_BODIES, iris_rows
from . import iris_1

CONNECTIONS = 32


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
    return compare(bench, "rs256", "gateway, RS256", {"auth": {"signing_key": "bench"}, "auth.keys.bench": key})


def measure_without_metrics(bench: Bench) -> list[Result]:
    return compare(bench, "metrics-off", "gateway, no metrics", {"metrics": {"enabled": False}})


def measure_with_access_log(bench: Bench) -> list[Result]:
    return compare(bench, "access-log", "gateway, access log", {"log": {"access": True}})


def compare(bench: Bench, item: str, name: str, changes: Settings) -> list[Result]:
    """The gateway with and without changes to its settings."""
    rows = iris_rows(ONE_ROW_BODIES)
    try:
        changed = bench.keep(contestants.gateway(bench.gateway, bench.folder("changed"), changes, name))
        contestants.answer_of(changed, rows[0])
    except NotServing as error:
        bench.leave_out(str(error))
        return []
    everyone = [*iris_1.started(bench, [other for other in ("echo",) if other in bench.others]), changed]
    return alternate(item, f"{CONNECTIONS} connections", {one.name: run(bench, one) for one in everyone}, bench.rounds)


def run(bench: Bench, one: Contestant) -> partial:
    bodies = [one.request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]
    return partial(bench.run, one, one.request, bodies, bench.load(CONNECTIONS))
