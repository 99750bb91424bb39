"""Where the instructions of a request go, by part of the program: counted by valgrind, so that a busy machine makes no
difference. What the kernel does is not among them; its share of the CPU time is measured beside.

The binary needs its symbols, and has to find its CPU's features without asking the kernel, which valgrind hides:

    CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \\
        cargo build --release --bin onnx-gateway --features rustix/use-libc-auxv
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lib.gateway import environment

from .. import callgrind, contestants, generator
from ..bench import Bench
from ..contestants import Contestant
from ..gateway import Gateway
from ..place import LOGS
from ..processes import Server
from ..rounds import Result
from ..samples import JSON, ONE_ROW_BODIES, iris_rows
from .protocols import PROTOCOLS, Protocol

CONNECTIONS = 8
SECONDS = 4.0
# Under valgrind everything takes many times as long.
WARMUP_SECONDS = 2.0
KERNEL = "kernel"


def measure(bench: Bench) -> list[Result]:
    if not shutil.which("valgrind"):
        bench.leave_out("valgrind is not there, which counts the instructions")
        return []
    if not has_symbols(bench.gateway):
        bench.leave_out("the binary has no symbols: tools/benchmark/items/profile.py says how to build it")
        return []
    results = []
    for name, protocol in PROTOCOLS.items():
        if protocol.streams != 1 and protocol.streams:
            continue
        kernel = kernel_share(bench, protocol)
        counted, requests = counts(bench, protocol)
        whole = sum(counted.values())
        for part, instructions in counted.most_common():
            share = instructions / whole * (1 - kernel)
            figures = {"instructions": instructions / requests, "cpu_share": share}
            results.append(Result("profile", name, part, figures))
        results.append(Result("profile", name, KERNEL, {"cpu_share": kernel}))
    return results


def has_symbols(binary: Path) -> bool:
    found = subprocess.run(["readelf", "--sections", "--wide", binary], capture_output=True, text=True, check=True)
    return ".debug_line" in found.stdout


def kernel_share(bench: Bench, protocol: Protocol) -> float:
    """The part of the server's CPU time that the kernel has, without valgrind."""
    made = Gateway(bench.gateway, bench.new_folder("profile"))
    with made.serve("profile", LOGS / "profile.log") as server:
        gateway = contestant(server, made)
        gateway.server.wait(gateway.request.path, gateway.request.headers, gateway.request.body(iris_rows(1)))
        load(bench, gateway, protocol, bench.warmup_seconds)
        begin = times(server.process.pid)
        load(bench, gateway, protocol, bench.seconds)
        user, system = (end - first for end, first in zip(times(server.process.pid), begin, strict=True))
    return system / (user + system)


def times(process: int) -> tuple[int, int]:
    """User and system time of a process so far, in ticks."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def counts(bench: Bench, protocol: Protocol) -> tuple[Counter[str], int]:
    """Instructions by part, and the requests that took them."""
    folder = bench.new_folder("profile")
    made = Gateway(bench.gateway, folder)
    with made.serve("profile", LOGS / "profile.log") as server:
        # The proof is a process of its own, which valgrind would not start: the model is known afterwards.
        gateway = contestant(server, made)
        server.wait(gateway.request.path, gateway.request.headers, gateway.request.body(iris_rows(1)))
    output = folder / "callgrind"
    command: list[str | Path] = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={output}"]
    command += made.command("serve")
    with Server("profile", made.http, command, environment(), LOGS / "profile.log") as server:
        gateway = contestant(server, made)
        server.wait(gateway.request.path, gateway.request.headers, gateway.request.body(iris_rows(1)))
        load(bench, gateway, protocol, WARMUP_SECONDS)
        switch(server, "on")
        requests = load(bench, gateway, protocol, SECONDS)
        switch(server, "off")
    # Written at the end of the process.
    return callgrind.by_part(output), requests


def switch(server: Server, state: str) -> None:
    subprocess.run(["callgrind_control", "-i", state, str(server.process.pid)], capture_output=True, check=True)
    time.sleep(0.1)


def contestant(server: Server, made: Gateway) -> Contestant:
    headers = {"authorization": f"Bearer {made.token()}"}
    return Contestant(
        "gateway", server, PROTOCOLS["native"].request(headers | JSON), contestants.read_native, made.grpc
    )


def load(bench: Bench, gateway: Contestant, protocol: Protocol, seconds: float) -> int:
    """The number of requests answered."""
    headers = {"authorization": gateway.request.headers["authorization"]}
    request = protocol.request(headers)
    plan = replace(bench.load(CONNECTIONS), seconds=seconds, warmup_seconds=0.0)
    if protocol.streams:
        plan = replace(plan, grpc_port=gateway.grpc_port)
    bodies = [request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]
    return int(generator.run(gateway.server, request, bodies, plan, bench.scratch)["requests"])
