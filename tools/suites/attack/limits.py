"""Quotas, their addresses, and the queue of a model."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .gateway import MIB, TESTED, Gateway, mint
from .registry import Encrypted, Run, case, expect
from .wires import Wire, on_each, wires

MOST = 10
PROXY = "127.0.0.71"


def quota(scope: str, requests: int, seconds: int = 3600, **others: Any) -> dict[str, Any]:
    other = {"address": "caller", "caller": "address"}[scope]
    return others | {
        "rate_limit__enabled": True,
        f"rate_limit.per_{scope}__requests": requests,
        f"rate_limit.per_{scope}__period_seconds": seconds,
        f"rate_limit.per_{other}__requests": 100_000,
    }


def on_wires(run: Run, settings: dict[str, Any], try_it: Callable[[Wire, int], str]) -> str:
    """Tries something on each wire of one gateway, with the number of the wire."""
    with Gateway(run, **settings) as gateway:
        seen = {wire.name: try_it(wire, number) for number, wire in enumerate(wires(gateway))}
        gateway.good()
        return on_each(gateway, seen)


def forwarded(wire: Wire, *values: str, source: str = "127.0.0.1") -> int:
    return wire.predict(headers=[("X-Forwarded-For", value) for value in values], source=source).status


@case(
    "forged addresses",
    "X-Forwarded-For of a peer that is no proxy, another value each time, and hundreds more in a second line",
    "one bucket: 429",
    encrypted=Encrypted.FULL,
)
def untrusted(run: Run) -> str:
    def forge(wire: Wire, number: int) -> str:
        source = f"127.0.4.{number + 1}"
        many = ", ".join(["203.0.113.1"] * 1000)
        counts = Counter(
            forwarded(wire, f"203.0.113.{value}", many[: 8000 * (value % 2)], source=source)
            for value in range(3 * MOST)
        )
        expect(0 < counts[200] <= MOST and set(counts) == {200, 429}, f"{wire.name}: {dict(counts)}")
        return str(dict(sorted(counts.items())))

    return on_wires(run, quota("address", MOST), forge)


@case(
    "addresses behind a proxy",
    "`evil, real` of a trusted proxy, in one line and in two",
    "the bucket is that of the address the proxy saw: 429; another address has its own",
    encrypted=Encrypted.FULL,
)
def trusted(run: Run) -> str:
    def relay(wire: Wire, number: int) -> str:
        real, other = f"203.0.113.{2 * number + 1}", f"203.0.113.{2 * number + 2}"
        counts = Counter(
            forwarded(
                wire, *((f"198.51.100.{value}, {real}",) if value % 2 else (f"198.51.100.{value}", real)), source=PROXY
            )
            for value in range(3 * MOST)
        )
        expect(0 < counts[200] <= MOST and set(counts) == {200, 429}, f"{wire.name}: {dict(counts)}")
        expect(forwarded(wire, other, source=PROXY) == 200, f"{wire.name}: another address is refused too")
        return str(dict(sorted(counts.items())))

    return on_wires(run, quota("address", MOST, server__trusted_proxies=[f"{PROXY}/32"]), relay)


@case(
    "addresses of one network",
    "a thousand IPv6 addresses of one /64 behind a trusted proxy (20,000 in the full form)",
    "one bucket: no more than its requests; memory grows by less than 1 MiB",
)
def one_network(run: Run) -> str:
    with Gateway(run, **quota("address", MOST, server__trusted_proxies=[f"{PROXY}/32"])) as gateway:
        wire, count = next(iter(wires(gateway))), run.pick(1000, 20_000)
        for value in range(100):
            forwarded(wire, f"2001:db8:0:1::{value:x}", source=PROXY)
        before = gateway.memory()
        counts = Counter(forwarded(wire, f"2001:db8::{value:x}", source=PROXY) for value in range(count))
        grown = gateway.memory() - before
        seen = f"{dict(counts)}, {grown // 1024} KiB more"
        expect(0 < counts[200] <= MOST and set(counts) == {200, 429} and grown < MIB, seen)
        return seen


@case(
    "one more than the quota",
    "burst + 1",
    "429 with Retry-After and RateLimit fields; 200 when it was waited for",
    encrypted=Encrypted.FULL,
)
def burst(run: Run) -> str:
    def exceed(wire: Wire, number: int) -> str:
        token = mint(f"burst {number}")
        statuses = [wire.predict(token).status for _ in range(3)]
        answer = wire.predict(token)
        wait = answer.headers.get("retry-after", "")
        seen = f"{statuses}, then {answer.status}, Retry-After {wait}, RateLimit {answer.headers.get('ratelimit')}"
        expect(statuses == [200] * 3 and answer.status == 429 and wait.isdigit() and int(wait) >= 1, seen)
        expect(wire.is_grpc or answer.json()["type"].endswith("#quota-exceeded"), seen)
        expect("ratelimit" in answer.headers and "ratelimit-policy" in answer.headers, f"no RateLimit fields: {seen}")
        time.sleep(int(wait) + 0.2)
        expect(wire.predict(token).status == 200, f"{wire.name}: not 200 after {wait} s")
        return seen

    # A long period: a slow machine must not get a request back meanwhile.
    return on_wires(run, quota("caller", 3, 6), exceed)


@case(
    "a reload at the limit",
    "a caller whose quota is used up, and settings that are read again with something else changed",
    "still 429, over REST and gRPC",
)
def reloaded(run: Run) -> str:
    with Gateway(run, **quota("caller", 3)) as gateway:
        rest, *_, calls = wires(gateway)
        statuses = [rest.predict().status for _ in range(4)]
        gateway.reload("[server]\n", "[server]\nmax_body_bytes = 123456\n", "server.max_body_bytes")
        after = [rest.predict().status, calls.predict().status]
        seen = f"{statuses}, then {after}"
        expect(statuses == [200, 200, 200, 429] and after == [429, 429], seen)
        return seen


@case("a caller that floods", "caller A asks ten times its quota", "B gets all of its own", encrypted=Encrypted.FULL)
def flood(run: Run) -> str:
    most = run.pick(20, 100)

    def both(wire: Wire, number: int) -> str:
        mine, other = mint(f"a {number}"), mint(f"b {number}")
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(wire.predict, mine) for _ in range(10 * most)]
            b = Counter(wire.predict(other).status for _ in range(most))
            a = Counter(one.result().status for one in asked)
        expect(b == {200: most}, f"{wire.name}: B: {dict(b)}")
        expect(set(a) == {200, 429} and a[200] <= most, f"{wire.name}: A: {dict(a)}")
        return f"A {dict(sorted(a.items()))}, B {dict(b)}"

    return on_wires(run, quota("caller", most), both)


@case(
    "a queue that one caller fills",
    "20 requests of one caller, room for 10, then 6 other callers with one each",
    "the 6 are answered; refusals are 503 with Retry-After",
)
def queue(run: Run) -> str:
    models = {"slow/1/model.onnx": TESTED / "slow.onnx"}
    settings: dict[str, Any] = {
        "runtime__queue_capacity": 10,
        "runtime__instances": 1,
        "runtime__scheduler": "own_threads",
    }
    with Gateway(run, models, **settings) as gateway:
        body = json.dumps({"features": {"turns": 100_000}}).encode()
        with ThreadPoolExecutor(26) as pool:
            much = [pool.submit(gateway.ask, "POST", "/models/slow/predict", body) for _ in range(20)]
            time.sleep(0.3)
            few = [
                pool.submit(gateway.ask, "POST", "/models/slow/predict", body, token=mint(f"other {number}"))
                for number in range(6)
            ]
            others = Counter(one.result().status for one in few)
            answers = [one.result() for one in much]
        first = Counter(one.status for one in answers)
        seen = f"the one: {dict(first)}, the others: {dict(others)}"
        expect(others == {200: 6}, seen)
        expect(set(first) <= {200, 503}, seen)
        expect(all("retry-after" in one.headers for one in answers if one.status == 503), f"no Retry-After: {seen}")
        gateway.good()
        return seen


@case("more rows than a body may have", "a batch over server.max_body_bytes", "413 that names the limit, at once")
def batch(run: Run) -> str:
    with Gateway(run, server__max_body_bytes=10_000) as gateway:
        body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 1000}).encode()
        answer = gateway.ask("POST", "/predict", body)
        expect(answer.status == 413, answer.status)
        gateway.good()
        return f"{answer.status}: {answer.json().get('detail')}"
