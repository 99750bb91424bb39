"""Quotas that gateways share in a Redis server, which is stopped, stalled, slowed and started again meanwhile."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.certificates import Certificates, issue
from lib.gateway import free_port

from .gateway import ROW, Gateway, mint, until
from .http1 import Answer, Listener, ask
from .redis import Redis, Relay
from .registry import Run, Wrong, case, expect

REDIS = ("redis-server", "redis-server")
PASSWORD = "a-password-of-redis"
MINUTE = 60
MOST = 100
# More than a charge may wait, with what a busy machine adds.
SLOW_SECONDS = 0.5
# Far more than `rate_limit.store_timeout_ms`.
LATE_SECONDS = 0.4


@contextmanager
def server(run: Run, certificates: Certificates | None = None) -> Iterator[Redis]:
    redis = Redis(run.scratch / f"redis-{time.monotonic_ns()}", certificates)
    try:
        yield redis
    finally:
        redis.signal(signal.SIGCONT)
        redis.stop()


def sharing(url: str, requests: int, period: int) -> dict[str, Any]:
    """Settings of a quota for each caller in the server at this URL."""
    return {
        "rate_limit__enabled": True,
        "rate_limit__store": url,
        "rate_limit__replicas": 2,
        "rate_limit.per_address__requests": 1_000_000,
        "rate_limit.per_caller__requests": requests,
        "rate_limit.per_caller__period_seconds": period,
    }


@contextmanager
def two_at(run: Run, url: str, requests: int, period: int = MINUTE, **changed: Any) -> Iterator[list[Gateway]]:
    """Two gateways whose callers share a quota in the server at this URL."""
    settings = sharing(url, requests, period) | changed
    with Gateway(run, **settings) as first, Gateway(run, **settings) as second:
        until(lambda: up(first) and up(second), 10, "both have reached the server")
        yield [first, second]


@contextmanager
def two(run: Run, requests: int, period: int = MINUTE, **changed: Any) -> Iterator[tuple[Redis, list[Gateway]]]:
    """A server, and two gateways whose callers share a quota in it."""
    with server(run) as redis, two_at(run, redis.url, requests, period, **changed) as gateways:
        yield redis, gateways


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
        return shared_by(gateways)


def shared_by(gateways: list[Gateway]) -> str:
    """Sends more than a quota over all gateways: they answer the quota together."""
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


def outage(run: Run, begin_it: Callable[[Redis, Relay], Any], end_it: Callable[[Redis, Relay], Any]) -> str:
    """Load before, during and after an outage: no 5xx, one bounded delay, a bounded total, and an end by itself."""
    with server(run) as redis, Relay(redis.port) as relay, two_at(run, relay.url, MOST, 3600) as gateways:
        before, _ = load(gateways, mint("other"), 20)
        expect(before == {200: 20}, f"before: {dict(before)}")
        token = mint("outage")
        first, _ = load(gateways, token, MOST // 2)
        starting = threading.Timer(0.3, begin_it, [redis, relay])
        starting.start()
        during, times = load(gateways, token, 6 * MOST, threads=8)
        starting.join()
        # The outage is over only when all were asked in it.
        late, more = load(gateways, token, MOST, threads=8)
        during, times = during + late, times + more
        slow = sum(seconds > SLOW_SECONDS for seconds in times)
        fallen = [not up(one) for one in gateways]
        end_it(redis, relay)
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
    return outage(run, lambda redis, _: redis.stop(), lambda redis, _: redis.start())


@case(
    "a server of quotas that stalls",
    "redis-server is halted by SIGSTOP under load, and goes on",
    "the same; no request waits longer than the limit of a charge",
    needs=REDIS,
)
def stalled(run: Run) -> str:
    return outage(run, lambda redis, _: redis.signal(signal.SIGSTOP), lambda redis, _: redis.signal(signal.SIGCONT))


@case(
    "a server of quotas that is slow",
    f"every reply of redis-server is {LATE_SECONDS:g} s late from one moment under load on, and in time again later",
    "the same; no late reply is taken for that of another request",
    needs=REDIS,
)
def slow(run: Run) -> str:
    return outage(
        run, lambda _, relay: setattr(relay, "delay", LATE_SECONDS), lambda _, relay: setattr(relay, "delay", 0.0)
    )


@case(
    "a server of quotas that is not there",
    "the gateway starts without it",
    "it starts, counts its share, and says so in metrics and log",
    needs=REDIS,
)
def absent(run: Run) -> str:
    url = f"redis://user:{PASSWORD}@127.0.0.1:{free_port()}"
    with Gateway(run, **sharing(url, 10, 3600)) as gateway:
        return alone(gateway)


def alone(gateway: Gateway) -> str:
    """Expects that a gateway counts its share of ten, half of it, and says so."""
    until(lambda: not up(gateway), 10, "it says that it counts alone")
    counts, _ = load([gateway], mint("a"), 20)
    expect(counts == {200: 5, 429: 15}, dict(counts))
    log = gateway.log()
    expect("failed to charge a shared quota" in log, "the log does not say so")
    if PASSWORD in log:
        raise Wrong("the log has the password")
    return str(dict(counts))


def trusting(file: Path) -> dict[str, str]:
    """Variables of a gateway that trusts the authority in this file."""
    return {"SSL_CERT_FILE": str(file)}


@case(
    "a server of quotas with TLS",
    f"redis-server with a certificate of the suite's authority; {MOST} a minute over two gateways that trust it",
    f"{MOST} of them and what the time gives back, one more or less",
    needs=REDIS,
)
def encrypted(run: Run) -> str:
    files = run.certificates
    with (
        server(run, files) as redis,
        two_at(run, redis.url, MOST, variables=trusting(files.authority)) as gateways,
    ):
        return shared_by(gateways)


@case(
    "a server of quotas that is not to be trusted",
    "redis-server with a certificate of another authority or name; without TLS for rediss, and with TLS for redis",
    "no quota is charged there: the gateway counts its share, and says so in metrics and log",
    needs=REDIS,
)
def untrusted(run: Run) -> str:
    files = run.certificates
    other = replace(files, **dict(zip(("certificate", "key"), elsewhere(files), strict=True)))
    trusted = trusting(files.authority)
    seen = {}
    with server(run, files) as redis, server(run, other) as of_another_name, server(run) as plain:
        for what, url, variables in (
            ("another authority", redis.url, {}),
            ("another name", of_another_name.url, trusted),
            ("no TLS", plain.url.replace("redis:", "rediss:"), trusted),
            ("TLS for redis", redis.url.replace("rediss:", "redis:"), trusted),
        ):
            with Gateway(run, variables=variables, **sharing(url, 10, 3600)) as gateway:
                seen[what] = alone(gateway)
    return "; ".join(f"{what}: {counts}" for what, counts in seen.items())


def elsewhere(files: Certificates) -> tuple[Path, Path]:
    """A certificate of the same authority for another host, with its key."""
    return issue(files.authority.parent, "elsewhere", "subjectAltName=DNS:elsewhere.example,IP:127.0.0.2")
