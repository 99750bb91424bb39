"""Quotas that two gateways share in a Redis server, which is stopped, stalled and started again meanwhile."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .gateway import ROW, Gateway, mint, until
from .http1 import Answer, Listener, ask
from .registry import Run, Wrong, case, expect

REDIS = ("redis-server", "redis-server")
MINUTE = 60
MOST = 100
# More than a charge may wait, with what a busy machine adds.
SLOW_SECONDS = 0.5


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Redis:
    """A server on a loopback address, without files."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/1"

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            ["redis-server", *options, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.answers, 20, "redis-server answers")

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def two(run: Run, requests: int, period: int = MINUTE, **changed: Any) -> Iterator[tuple[Redis, list[Gateway]]]:
    """A server, and two gateways whose callers share a quota in it."""
    redis = Redis(run.scratch / f"redis-{time.monotonic_ns()}")
    settings: dict[str, Any] = {
        "rate_limit__enabled": True,
        "rate_limit__store": redis.url,
        "rate_limit__replicas": 2,
        "rate_limit.per_address__requests": 1_000_000,
        "rate_limit.per_caller__requests": requests,
        "rate_limit.per_caller__period_seconds": period,
    } | changed
    try:
        with Gateway(run, **settings) as first, Gateway(run, **settings) as second:
            gateways = [first, second]
            until(lambda: all(up(one) for one in gateways), 10, "both have reached the server")
            yield redis, gateways
    finally:
        redis.signal(signal.SIGCONT)
        redis.stop()


def metric(gateway: Gateway, name: str) -> float:
    text = ask(Listener(gateway.admin), "GET", "/metrics").body.decode()
    found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)]
    return sum(map(float, found))


def up(gateway: Gateway) -> bool:
    return metric(gateway, "gateway_quota_store_up") == 1


def load(gateways: list[Gateway], token: str, number: int, threads: int = 4) -> tuple[Counter[int], list[float]]:
    """Sends requests to all gateways in turn; returns the status and the time of each."""

    def one(place: int) -> tuple[int, float]:
        begin = time.monotonic()
        answer = gateways[place % len(gateways)].ask("POST", "/predict", ROW, token=token)
        return answer.status, time.monotonic() - begin

    with ThreadPoolExecutor(threads) as pool:
        asked = list(pool.map(one, range(number)))
    return Counter(status for status, _ in asked), [seconds for _, seconds in asked]


@case(
    "a quota over two gateways",
    f"{MOST} a minute, 3 times as many requests over both",
    f"{MOST} of them and what the time gives back, one more or less",
    needs=REDIS,
)
def shared(run: Run) -> str:
    with two(run, MOST) as (_, gateways):
        begin = time.monotonic()
        counts, _ = load(gateways, mint("shared"), 3 * MOST)
        given = (time.monotonic() - begin) * MOST / MINUTE
        seen = f"{dict(counts)}, {given:.1f} given back"
        expect(set(counts) == {200, 429} and MOST - 1 <= counts[200] <= MOST + given + 1, seen)
        other = gateways[0].ask("POST", "/predict", ROW, token=mint("another"))
        expect(other.status == 200, f"another caller: {other.status}")
        return seen


@case(
    "an address over two gateways",
    "10 an hour for each address, 3 times as many requests over both",
    "10",
    needs=REDIS,
)
def addresses(run: Run) -> str:
    small = {"rate_limit.per_address__requests": 10, "rate_limit.per_address__period_seconds": 3600}
    with two(run, 1_000_000, **small) as (_, gateways):
        counts, _ = load(gateways, mint("a"), 30)
        expect(counts == {200: 10, 429: 20}, dict(counts))
        return str(dict(counts))


@case(
    "rows over two gateways",
    "1,000 rows at one gateway, of 1,500 an hour; then 1,000 at the other",
    "500 are left after the first; the second is 429, and 413 if it can never fit",
    needs=REDIS,
)
def rows(run: Run) -> str:
    with two(run, 1500, 3600) as (_, gateways):
        token = mint("rows")

        def batch(gateway: Gateway, number: int) -> Answer:
            body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * number}).encode()
            return gateway.ask("POST", "/predict", body, token=token)

        answers = [batch(gateways[0], 1000), batch(gateways[1], 1000), batch(gateways[1], 1501)]
        left = answers[0].headers.get("ratelimit", "")
        seen = f"{[one.status for one in answers]}, RateLimit {left}"
        expect([one.status for one in answers] == [200, 429, 413], seen)
        expect('"caller";r=500' in left, seen)
        return seen


def outage(run: Run, begin_it: Any, end_it: Any) -> str:
    """Load before, during and after an outage: no 5xx, one bounded delay, a bounded total, and an end by itself."""
    with two(run, MOST, 3600) as (redis, gateways):
        before, _ = load(gateways, mint("other"), 20)
        expect(before == {200: 20}, f"before: {dict(before)}")
        token = mint("outage")
        first, _ = load(gateways, token, MOST // 2)
        starting = threading.Timer(0.3, begin_it, [redis])
        starting.start()
        during, times = load(gateways, token, 6 * MOST, threads=8)
        starting.join()
        # The outage is over only when all were asked in it.
        late, more = load(gateways, token, MOST, threads=8)
        during, times = during + late, times + more
        slow = sum(seconds > SLOW_SECONDS for seconds in times)
        fallen = [not up(one) for one in gateways]
        end_it(redis)
        until(lambda: all(up(one) for one in gateways), 20, "both charge the server again")
        after, _ = load(gateways, token, 3 * MOST)
        total = first[200] + during[200] + after[200]
        seen = (
            f"{dict(first)}, then {dict(during)}, then {dict(after)}: {total}; {slow} slow, longest {max(times):.2f} s"
        )
        expect(not any(status >= 500 for one in (first, during, after) for status in one), seen)
        expect(all(fallen), f"a gateway does not say that it counts alone: {seen}")
        # The server's bucket, a second one if it forgets, and the share of each gateway.
        expect(total <= 3 * MOST + 2, f"more than one burst of each: {seen}")
        expect(during[200] <= MOST // 2 + MOST, f"more than the rest and the shares: {seen}")
        expect(slow == 0, seen)
        for gateway in gateways:
            gateway.good()
        return seen


@case(
    "a server of quotas that stops",
    "redis-server is killed under load, and started again",
    "no 5xx; each gateway counts its share; one burst of each at most; both come back by themselves",
    needs=REDIS,
)
def stopped(run: Run) -> str:
    return outage(run, lambda redis: redis.stop(), lambda redis: redis.start())


@case(
    "a server of quotas that stalls",
    "redis-server is halted by SIGSTOP under load, and goes on",
    "the same; no request waits longer than the limit of a charge",
    needs=REDIS,
)
def stalled(run: Run) -> str:
    return outage(run, lambda redis: redis.signal(signal.SIGSTOP), lambda redis: redis.signal(signal.SIGCONT))


@case(
    "a server of quotas that is not there",
    "the gateway starts without it",
    "it starts, counts its share, and says so in metrics and log",
    needs=REDIS,
)
def absent(run: Run) -> str:
    settings: dict[str, Any] = {
        "rate_limit__enabled": True,
        "rate_limit__store": f"redis://user:a-password-of-redis@127.0.0.1:{free_port()}",
        "rate_limit.per_caller__requests": 10,
        "rate_limit.per_caller__period_seconds": 3600,
    }
    with Gateway(run, **settings) as gateway:
        until(lambda: not up(gateway), 10, "it says that it counts alone")
        counts, _ = load([gateway], mint("a"), 20)
        expect(counts == {200: 5, 429: 15}, dict(counts))
        log = gateway.log()
        expect("failed to charge a shared quota" in log, "the log does not say so")
        if "a-password-of-redis" in log:
            raise Wrong("the log has the password")
        return str(dict(counts))
