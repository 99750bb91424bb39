"""Issuers that rotate their keys, do not respond, or respond with something else."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from .gateway import MIB, ROW, Gateway, encoded, until
from .http1 import Answer, ask
from .issuer import Issuer, provider
from .registry import Run, case, expect
from .wires import bearer, wires

LOOKUP_SECONDS = 30
LATE_SECONDS = 60
CLIENTS = 8


def predict(gateway: Gateway, token: str, number: int = 1) -> Answer:
    headers = [("Content-Type", "application/json"), bearer(token)]
    return ask(gateway.rest, "POST", "/predict", ROW, headers, f"127.0.3.{1 + number % 200}")


def accepts(gateway: Gateway, issuer: Issuer) -> bool:
    return predict(gateway, issuer.token()).status == 200


@contextmanager
def known(run: Run, *names: str) -> Iterator[tuple[Gateway, dict[str, Issuer]]]:
    """A gateway that has the keys of issuers with these names."""
    with ExitStack() as stack:
        issuers = {name: stack.enter_context(Issuer()) for name in names}
        settings = {key: value for name, issuer in issuers.items() for key, value in issuer.settings(name).items()}
        gateway = stack.enter_context(Gateway(run, **settings))
        for name, issuer in issuers.items():
            until(partial(accepts, gateway, issuer), 10, f"the gateway has the keys of {name}")
        yield gateway, issuers
        gateway.good()


@case(
    "issuers side by side",
    "tokens of two issuers, one of them oidc-provider-mock; tokens of one with the key of the other",
    "200 on every wire; 401 for the key of another",
)
def side_by_side(run: Run) -> str:
    with provider(["predict"]) as login, Issuer() as own:
        name = "auth.issuers.login"
        settings: dict[str, Any] = {
            f"{name}__issuer": login.url,
            f"{name}__audience": "gateway",
            f"{name}__discovery": True,
        }
        settings |= {f"{name}__scope_claim": "roles"} | own.settings("own")
        with Gateway(run, **settings) as gateway:
            for wire in wires(gateway):
                for token in (login.token("gateway"), own.token(), gateway.token):
                    answer = wire.send(bearer(token))
                    expect(answer.status == 200, f"{wire.name}: {answer.status} {answer.body[:200]!r}")
            for what, token in {
                "the audience of another client": login.token("another"),
                "the issuer of the other": own.token(iss=login.url),
                "a key that is not published": own.token(Issuer.new_key("1")),
                "another audience": own.token(aud="another"),
                "no audience": own.token(aud=None),
                "expired": own.token(exp=int(time.time()) - 31),
            }.items():
                answer = predict(gateway, token)
                expect(answer.status == 401, f"{what}: {answer.status}")
            gateway.good()
    return "each by its own key and rules"


@case(
    "rotation of an issuer's keys",
    "an issuer that signs with a new key from one moment on, under load",
    "no good token is refused; one fetch at the start and one for the new key",
)
def rotation(run: Run) -> str:
    with known(run, "own") as (gateway, issuers):
        issuer, seen = issuers["own"], Counter[int]()
        over = threading.Event()

        def client(number: int) -> None:
            count = 0
            while not over.is_set():
                count += 1
                seen[predict(gateway, issuer.token(jti=f"{number}-{count}"), number).status] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(client, number) for number in range(CLIENTS)]
            until(lambda: seen.total() > run.pick(100, 1000), 60, "load")
            before = seen.total()
            issuer.rotate()
            until(lambda: seen.total() > before + run.pick(100, 1000), 60, "load with the new key")
            over.set()
            for one in clients:
                one.result()
        expect(set(seen) == {200}, f"statuses {dict(seen)}")
        expect(len(issuer.fetches) == 2, f"{len(issuer.fetches)} fetches")
        return f"{seen.total()} requests, all 200, {len(issuer.fetches)} fetches"


@case(
    "unknown keys of an issuer",
    "thousands of tokens that each name another key",
    "401 for each; at most one fetch in 30 s; a good token is accepted",
)
def unknown_keys(run: Run) -> str:
    with known(run, "own") as (gateway, issuers):
        issuer = issuers["own"]
        before, begin = len(issuer.fetches), time.monotonic()
        stranger = Issuer.new_key("unknown")
        whole = issuer.token(stranger)
        tokens = run.pick(1000, 10_000)

        def send(number: int) -> int:
            return predict(gateway, renamed(whole, f"../{number}' OR '1'='1"), number).status

        with ThreadPoolExecutor(CLIENTS) as pool:
            seen = Counter(pool.map(send, range(tokens)))
        seconds = time.monotonic() - begin
        expect(set(seen) == {401}, f"statuses {dict(seen)}")
        fetches, most = len(issuer.fetches) - before, math.ceil(seconds / LOOKUP_SECONDS)
        expect(fetches <= most, f"{fetches} fetches in {seconds:.0f} s")
        expect(accepts(gateway, issuer), "a good token is refused")
        return f"{tokens} tokens in {seconds:.1f} s, all 401, {fetches} fetch"


def renamed(token: str, kid: str) -> str:
    """The token with another key id; the signature is of a stranger's key anyway."""
    return ".".join([encoded({"alg": "ES256", "typ": "at+jwt", "kid": kid}), *token.split(".")[1:]])


@case(
    "issuers that do not hand out their keys",
    "issuers that are down, redirect, are slow, malformed, and 100 MB large, after they handed out keys",
    "known keys are accepted at once; a token of an unknown key gets 503 with Retry-After; bounded memory",
)
def bad_sources(run: Run) -> str:
    behaviors = ("down", "redirect", "slow", "malformed", "large")
    with known(run, *behaviors) as (gateway, issuers):
        memory = gateway.memory()
        gateway.forget_peak()
        with ThreadPoolExecutor(len(issuers)) as pool:
            for name, issuer in issuers.items():
                issuer.behavior = name
            unknown = {
                name: pool.submit(predict, gateway, issuer.token(Issuer.new_key("2")))
                for name, issuer in issuers.items()
            }
            for name, issuer in issuers.items():
                begin = time.monotonic()
                answer = predict(gateway, issuer.token(jti="new"))
                seconds = time.monotonic() - begin
                expect(answer.status == 200, f"{name}: a known key: {answer.status}")
                expect(seconds < 1, f"{name}: a known key waited {seconds:.1f} s")
            for name, sent in unknown.items():
                answer = sent.result()
                retry = int(answer.headers.get("retry-after", 0))
                expect(answer.status == 503 and retry >= 1, f"{name}: an unknown key: {answer.status}, {retry} s")
        growth = gateway.memory("VmHWM") - memory
        expect(growth < 16 * MIB, f"the memory grew by {growth // MIB} MiB")
        for name, issuer in issuers.items():
            expect(len(issuer.fetches) == 2, f"{name}: {len(issuer.fetches)} fetches")
    return f"{len(behaviors)} kinds; known keys 200, unknown ones 503; {growth // MIB} MiB more"


@case(
    "a start without the issuer",
    "an issuer that is down when the gateway starts, and comes up later",
    "ready; 503 with Retry-After for its tokens, then 200, and never 401",
)
def late_issuer(run: Run) -> str:
    with Issuer() as issuer:
        issuer.behavior = "down"
        with Gateway(run, **issuer.settings("own")) as gateway:
            answer = predict(gateway, issuer.token())
            expect(answer.status == 503 and "retry-after" in answer.headers, f"while it is down: {answer.status}")
            issuer.behavior = "keys"
            seen, begin = Counter[int](), time.monotonic()
            while not seen[200]:
                expect(time.monotonic() - begin < LATE_SECONDS, f"no token is accepted: {dict(seen)}")
                seen[predict(gateway, issuer.token()).status] += 1
                time.sleep(0.05)
            expect(set(seen) <= {200, 503}, f"statuses {dict(seen)}")
            gateway.good()
            return f"503, and 200 after {time.monotonic() - begin:.1f} s"
