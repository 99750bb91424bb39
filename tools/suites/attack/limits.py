"""Quotas, their addresses, and the queue of a model."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .gateway import ROW, TESTED, Gateway, mint
from .registry import Run, case, expect

MOST = 10


def quota(scope: str, requests: int, seconds: int = 3600, **others: Any) -> dict[str, Any]:
    other = {"address": "caller", "caller": "address"}[scope]
    return others | {
        "rate_limit__enabled": True,
        f"rate_limit.per_{scope}__requests": requests,
        f"rate_limit.per_{scope}__period_seconds": seconds,
        f"rate_limit.per_{other}__requests": 100_000,
    }


def forwarded(gateway: Gateway, *values: str) -> int:
    # As lines of one header each; those of a dictionary would be one.
    joined = "\r\nX-Forwarded-For: ".join(values)
    return gateway.ask("POST", "/predict", ROW, {"X-Forwarded-For": joined}).status


@case("forged addresses", "X-Forwarded-For of a peer that is no proxy, another value each time", "one bucket: 429")
def untrusted(run: Run) -> str:
    with Gateway(run, **quota("address", MOST)) as gateway:
        counts = Counter(forwarded(gateway, f"203.0.113.{number}") for number in range(3 * MOST))
        expect(0 < counts[200] <= MOST and set(counts) == {200, 429}, dict(counts))
        return str(dict(counts))


@case(
    "addresses behind a proxy",
    "`evil, real` of a trusted proxy, in one line and in two",
    "the bucket is that of the address the proxy saw: 429; another address has its own",
)
def trusted(run: Run) -> str:
    with Gateway(run, **quota("address", MOST, server__trusted_proxies=["127.0.0.1/32"])) as gateway:
        counts = Counter(
            forwarded(
                gateway,
                *((f"198.51.100.{number}, 203.0.113.1",) if number % 2 else (f"198.51.100.{number}", "203.0.113.1")),
            )
            for number in range(3 * MOST)
        )
        expect(0 < counts[200] <= MOST and set(counts) == {200, 429}, dict(counts))
        expect(forwarded(gateway, "203.0.113.2") == 200, "another address is refused too")
        return str(dict(counts))


@case("one more than the quota", "burst + 1", "429 with Retry-After and RateLimit fields; 200 when it was waited for")
def burst(run: Run) -> str:
    with Gateway(run, **quota("caller", 3, 3)) as gateway:
        statuses = [gateway.ask("POST", "/predict", ROW).status for _ in range(3)]
        answer = gateway.ask("POST", "/predict", ROW)
        wait = answer.headers.get("retry-after", "")
        seen = f"{statuses}, then {answer.status}, Retry-After {wait}, RateLimit {answer.headers.get('ratelimit')}"
        expect(statuses == [200] * 3 and answer.status == 429 and wait.isdigit() and int(wait) >= 1, seen)
        expect(answer.json()["type"].endswith("#quota-exceeded"), seen)
        expect("ratelimit" in answer.headers and "ratelimit-policy" in answer.headers, f"no RateLimit fields: {seen}")
        time.sleep(int(wait) + 0.2)
        expect(gateway.ask("POST", "/predict", ROW).status == 200, f"not 200 after {wait} s")
        return seen


@case("a caller that floods", "caller A asks ten times its quota", "B gets all of its own")
def flood(run: Run) -> str:
    most = run.pick(20, 100)
    with Gateway(run, **quota("caller", most)) as gateway:
        mine = mint("b")
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(gateway.ask, "POST", "/predict", ROW) for _ in range(10 * most)]
            b = Counter(gateway.ask("POST", "/predict", ROW, token=mine).status for _ in range(most))
            a = Counter(one.result().status for one in asked)
        expect(b == {200: most}, f"B: {dict(b)}")
        expect(set(a) == {200, 429}, f"A: {dict(a)}")
        return f"A {dict(a)}, B {dict(b)}"


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
