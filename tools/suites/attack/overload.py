"""Far more than the gateway can do: slow connections by the thousand, and ten times the load that it can bear.

The figures depend on the machine, so they are judged in the full form only.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .crowd import connect, connect_plain
from .frames import PREFACE
from .gateway import TESTED, Gateway, mint
from .http1 import head
from .registry import Run, Wrong, case, expect
from .watcher import Watcher, watched

# Below this a percentile says more about the machine than about the gateway.
FLOOR_MS = 5.0
SOURCES = 16
TURNS = 4000
CLIENTS = 40
TIMES = 10
REFUSAL_MS = 10.0
H2LOAD = ("h2load", "nghttp2-client")


async def slow_client(gateway: Gateway, number: int, ended: asyncio.Event, counts: Counter[str]) -> None:
    """Opens one of several kinds of slow connections, and another when it is closed, until the end."""
    kinds = ("no byte", "half a head", "a slow body", "HTTP/2 without a request")
    kind = kinds[number % len(kinds)]
    listener = gateway.calls if kind.startswith("HTTP/2") else gateway.rest
    body = {"Host": "127.0.0.1", "Authorization": f"Bearer {mint(f'slow {number}')}", "Content-Length": "1000"}
    first = {
        "no byte": b"",
        "half a head": head("GET", "/health", {"Host": "127.0.0.1"})[:-4],
        "a slow body": head("POST", "/predict", body | {"Content-Type": "application/json"}),
        "HTTP/2 without a request": PREFACE,
    }[kind]
    source = f"127.0.3.{1 + number % SOURCES}"
    while not ended.is_set():
        try:
            if kind == "no byte":
                reader, writer = await connect_plain(listener, source)
            else:
                protocol = "h2" if listener is gateway.calls else "http/1.1"
                reader, writer = await connect(listener, source, protocol)
            counts[kind] += 1
            closing = asyncio.ensure_future(drained(reader))
            try:
                writer.write(first)
                while not ended.is_set() and not closing.done():
                    await asyncio.wait([closing], timeout=1)
                    if kind == "a slow body":
                        writer.write(b"{")
            finally:
                closing.cancel()
                writer.close()
        except (OSError, EOFError, TimeoutError, ssl.SSLError):
            await asyncio.sleep(0.2)


async def drained(reader: asyncio.StreamReader) -> None:
    """Reads until the end of the connection."""
    with suppress(OSError):
        while await reader.read(4096):
            pass


async def crowded(gateway: Gateway, count: int, seconds: float) -> tuple[dict[str, Any], Counter[str], int]:
    """Figures of another caller beside slow connections, the connections by kind, and the descriptors meanwhile."""
    ended, counts = asyncio.Event(), Counter[str]()
    clients = [asyncio.ensure_future(slow_client(gateway, number, ended, counts)) for number in range(count)]
    await asyncio.sleep(seconds / 2)
    watcher = Watcher(gateway.rest, gateway.token)
    await asyncio.sleep(seconds)
    descriptors = gateway.counted("fd")
    during = await asyncio.to_thread(watcher.end)
    ended.set()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return during, counts, descriptors


def many_slow(run: Run) -> str:
    with Gateway(run) as gateway:
        idle = watched(gateway.rest, gateway.token, 10)
        during, counts, descriptors = asyncio.run(crowded(gateway, 2000, 15))
        most = 2 * max(idle["p99_ms"], FLOOR_MS)
        seen = (
            f"{dict(counts)}, {descriptors} descriptors; p99 idle {idle['p99_ms']:.1f} ms, then {during['p99_ms']:.1f} "
            f"(at most {most:.1f}) of {during['requests']} requests, {during['lost']} lost, {during['statuses']}"
        )
        expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
        expect(during["p99_ms"] <= most, seen)
        gateway.good()
        return seen


@case(
    "2,000 slow connections",
    "2,000 connections of 16 addresses that send nothing, half a head, a slow body, or HTTP/2 without a request",
    "another caller is answered, with a p99 within twice the idle one (5 ms count as none)",
    only_full=True,
)
def slow_plain(run: Run) -> str:
    return many_slow(run)


@case(
    "2,000 slow connections, TLS",
    "the same with TLS; those that send nothing are without a handshake",
    "another caller is answered, with a p99 within twice the idle one (5 ms count as none)",
    only_full=True,
)
def slow_encrypted(run: Run) -> str:
    return many_slow(replace(run, tls=True))


@dataclass
class Load:
    """Responses in a time: their number by status, and their latencies in milliseconds."""

    seconds: float
    latencies: dict[int, list[float]]

    def rate(self, status: int) -> float:
        return len(self.latencies.get(status, [])) / self.seconds

    def p99(self, *statuses: int) -> float:
        found = sorted(one for status in statuses for one in self.latencies.get(status, []))
        return found[int(len(found) * 0.99)] if found else 0.0

    def text(self) -> str:
        rates = ", ".join(f"{self.rate(status):.0f}/s of {status}" for status in sorted(self.latencies))
        return f"{rates}; p99 {self.p99(200):.0f} ms, of refusals {self.p99(429, 503):.1f} ms"


def half(second: bool) -> set[int]:
    """One half of the CPUs: the gateway has one, its load the other."""
    cpus = sorted(os.sched_getaffinity(0))
    middle = max(1, len(cpus) // 2)
    return set(cpus[middle:] if second and len(cpus) > 1 else cpus[:middle])


def loaded(run: Run, gateway: Gateway, protocol: str, seconds: int, clients: int, rate: float | None = None) -> Load:
    """Asks the slow model for some seconds, as often as it answers or at this rate in total."""
    body, log = run.scratch / "body.json", run.scratch / "h2load.log"
    body.write_text(json.dumps({"features": {"turns": TURNS}}))
    log.unlink(missing_ok=True)
    scheme = "https" if gateway.rest.authority else "http"
    command = ["h2load", "-D", str(seconds), "-c", str(clients), "-d", str(body), f"--log-file={log}"]
    command += ["--h1"] if protocol == "http/1.1" else ["-m", "1"]
    command += ["-H", "content-type: application/json", "-H", f"authorization: Bearer {gateway.token}"]
    if rate:
        command.append(f"--rps={max(1, round(rate / clients))}")
    command.append(f"{scheme}://127.0.0.1:{gateway.http}/models/slow/predict")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, half(second=True)),
    )
    if done.returncode != 0 or not log.exists():
        raise Wrong(f"h2load ends with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
    return Load(seconds, latencies(log))


def latencies(log: Path) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for line in log.read_text().splitlines():
        _, status, micros = line.split("\t")[:3]
        found.setdefault(int(status), []).append(int(micros) / 1000)
    return found


def saturated(run: Run, protocol: str) -> str:
    models = {"slow/1/model.onnx": TESTED / "slow.onnx"}
    settings: dict[str, Any] = {
        "runtime__instances": 1,
        "runtime__scheduler": "own_threads",
        "runtime__queue_capacity": 20,
        "server__threads": 1,
    }
    with Gateway(run, models, **settings) as gateway:
        for task in Path(f"/proc/{gateway.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), half(second=False))
        alone = loaded(run, gateway, protocol, 5, 1)
        peak = loaded(run, gateway, protocol, 10, 8)
        asked = TIMES * peak.rate(200)
        # Another caller has its turn meanwhile.
        other = threading.Event()
        counts: Counter[int] = Counter()
        asking = threading.Thread(target=asked_beside, args=(gateway, other, counts))
        asking.start()
        try:
            much = loaded(run, gateway, protocol, 60, CLIENTS, asked)
        finally:
            other.set()
            asking.join()
        share = (much.rate(200) + counts[200] / 60) / peak.rate(200)
        most = 2 * (8 + 20) * 1000 / peak.rate(200)
        seen = (
            f"alone {alone.text()} | peak {peak.text()} | {asked:.0f}/s asked: {much.text()}; "
            f"goodput {share:.0%} of the peak; another caller {dict(counts)}"
        )
        expect(set(much.latencies) <= {200, 429, 503}, f"other statuses: {seen}")
        expect(much.rate(503) + much.rate(429) > much.rate(200), f"not saturated: {seen}")
        expect(share >= 0.9, seen)
        expect(much.p99(429, 503) < REFUSAL_MS, seen)
        expect(much.p99(200) < most, f"admitted ones take longer than {most:.0f} ms: {seen}")
        expect(set(counts) == {200}, f"another caller is refused: {seen}")
        gateway.good()
        return seen


def asked_beside(gateway: Gateway, ended: threading.Event, counts: Counter[int]) -> None:
    """One request at a time of a caller of its own."""
    token, body = mint("another"), json.dumps({"features": {"turns": TURNS}}).encode()
    while not ended.is_set():
        counts[gateway.ask("POST", "/models/slow/predict", body, token=token).status] += 1
        time.sleep(0.2)


ASKED = f"{TIMES} times the requests that one model can answer, for a minute"
GOODPUT = "goodput at least 90 % of the peak, refusals (503, 429) within 10 ms, admitted ones bounded, others served"


@case("ten times saturation, HTTP/1.1", ASKED, GOODPUT, only_full=True, needs=H2LOAD)
def saturated_1(run: Run) -> str:
    return saturated(run, "http/1.1")


@case("ten times saturation, HTTP/1.1, TLS", ASKED, GOODPUT, only_full=True, needs=H2LOAD)
def saturated_1_tls(run: Run) -> str:
    return saturated(replace(run, tls=True), "http/1.1")


@case("ten times saturation, HTTP/2, TLS", ASKED, GOODPUT, only_full=True, needs=H2LOAD)
def saturated_2_tls(run: Run) -> str:
    return saturated(replace(run, tls=True), "h2")
