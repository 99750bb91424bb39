"""Files that must not serve, each for its reason, while the old version serves."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lib.gateway import REPOSITORY

from .files import IRIS, RETRAINED, served, swapped, undisturbed
from .gateway import TESTED, Gateway, until
from .registry import Run, case, expect
from .watcher import Watcher

REFUSED_SECONDS = 40
DATA = REPOSITORY / "tests" / "data"
# The served file is replaced by each of these; each has another reason than the one before.
FILES: tuple[tuple[str, bytes | Path, str], ...] = (
    ("a truncated file", IRIS.read_bytes()[:2000], "truncated"),
    ("an empty file", b"", "truncated"),
    ("a page", b"<html><body>404 Not Found</body></html>", "not_onnx"),
    ("random bytes", os.urandom(5000), "not_onnx"),
    ("an input of another name", TESTED / "iris_renamed_input.onnx", "incompatible_signature"),
    ("NaN weights", TESTED / "iris_nan_weights.onnx", "non_finite_output"),
    ("a golden case that it does not reproduce", TESTED / "iris_golden_mismatch.onnx", "golden_mismatch"),
)


def refusal(gateway: Gateway, model: str = "iris") -> str:
    """The reason why the newest file is refused; empty if it is not."""
    versions = gateway.ask("GET", f"/models/{model}").json().get("versions", [])
    found = [(one.get("refusal") or {}).get("reason", "") for one in versions]
    return next((reason for reason in found if reason), "")


def refuses(
    gateway: Gateway, what: str, content: Path | bytes, reason: str, found: Callable[[], str] | None = None
) -> str:
    """Puts a file in the place of the served one: it is refused for this reason, and the old one serves.

    `found` returns the reason once there is one.
    """
    before = served(gateway)
    gateway.put("iris/1/model.onnx", content)
    given = until(found or (lambda: refusal(gateway)), REFUSED_SECONDS, f"{what} is refused")
    expect(given == reason, f"{what}: {given}, not {reason}")
    expect(served(gateway) == before, f"{what} is served")
    return f"{what}: {given}"


@case(
    "files that must not serve",
    "a truncated file, a page, random bytes, another signature, NaN weights, a wrong golden case",
    "each is refused for its reason, the old version serves every request, and a good file after it is served",
    only_full=True,
)
def bad_files(run: Run) -> str:
    with Gateway(run) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        seen = []
        good = [IRIS, RETRAINED]
        for number, (what, content, reason) in enumerate(FILES):
            seen.append(refuses(gateway, what, content, reason))
            swapped(gateway, good[(number + 1) % 2], f"a good file after {what}", REFUSED_SECONDS)
        seen.append(undisturbed(watcher))
        gateway.good()
        return "; ".join(seen)


@case(
    "a file that is not pinned",
    "a model.toml that allows only the served file, then another file",
    "it is refused for its hash, the old version serves",
)
def pinned(run: Run) -> str:
    with Gateway(run) as gateway:
        digest = hashlib.sha256(IRIS.read_bytes()).hexdigest()
        gateway.put("iris/model.toml", f'[pin]\nsha256 = ["{digest}"]\n'.encode())
        seen = refuses(gateway, "another file", RETRAINED, "digest_mismatch")
        gateway.good()
        return seen


# Pairs of files of which the second breaks the callers of the first.
PAIRS = ("11-input-renamed", "12-input-type", "13-narrower-input", "21-output-type", "22-output-columns")


@case(
    "files that would break callers",
    "an input of another name, of another type or narrower, an output of another type or with fewer columns",
    "each is refused as `incompatible_signature`, and the old version serves",
)
def breaking(run: Run) -> str:
    models = {f"{pair}/1/model.onnx": TESTED / "pairs" / pair / "old.onnx" for pair in PAIRS}
    with Gateway(run, models) as gateway:
        for pair in PAIRS:
            until(partial(gateway.serves, pair), REFUSED_SECONDS, f"{pair} serves")
            gateway.put(f"{pair}/1/model.onnx", TESTED / "pairs" / pair / "new.onnx")
        for pair in PAIRS:
            reason = until(partial(refusal, gateway, pair), REFUSED_SECONDS, f"{pair} is refused")
            expect(reason == "incompatible_signature", f"{pair}: {reason}")
            old = hashlib.sha256((TESTED / "pairs" / pair / "old.onnx").read_bytes()).hexdigest()
            expect(gateway.serves(pair, old[:12]), f"{pair}: the old version does not serve")
        gateway.good()
        return f"{len(PAIRS)} files, each incompatible_signature"


@case(
    "a file that is not signed",
    "a model.toml that names a minisign key, then files with no signature, with one of another file, with an empty one",
    "each is refused as `signature_mismatch`, and the signed one serves",
)
def unsigned(run: Run) -> str:
    signature = DATA / "iris_retrained.onnx.minisig"
    key = (DATA / "minisign.pub").read_text().splitlines()[-1]
    models: dict[str, Path | bytes] = {
        "iris/1/model.onnx": RETRAINED,
        "iris/1/model.onnx.minisig": signature,
        "iris/model.toml": f'[pin]\nminisign_public_key = "{key}"\n'.encode(),
    }
    with Gateway(run, models) as gateway:
        seen = [refuses(gateway, "a file with the signature of another", IRIS, "signature_mismatch")]
        for number, (what, content) in enumerate({"no signature": None, "an empty one": b""}.items(), 2):
            if content is not None:
                gateway.put(f"iris/{number}/model.onnx.minisig", content)
            gateway.put(f"iris/{number}/model.onnx", IRIS)
            reason = until(partial(reason_of, gateway, str(number)), REFUSED_SECONDS, f"{what}: a refusal")
            expect(reason == "signature_mismatch", f"{what}: {reason}")
            seen.append(f"{what}: {reason}")
        gateway.good()
        return "; ".join(seen)


def reason_of(gateway: Gateway, version: str) -> str:
    """The reason why a version is refused; empty if it is not."""
    versions = gateway.ask("GET", "/models/iris").json().get("versions", [])
    found = [(one.get("refusal") or {}).get("reason", "") for one in versions if one["version"] == version]
    return "".join(found)


@case(
    "a model that fails in service",
    "a file that passes its proof and answers NaN to some rows, which a caller then sends again and again",
    "it is rolled back by itself within a second of the share of failures, and no other request fails",
)
def fails(run: Run) -> str:
    least: dict[str, Any] = {"rollback__min_answers": 10, "rollback__failure_share": 0.1}
    with Gateway(run, **least) as gateway:
        first, watcher = served(gateway), Watcher(gateway.rest, gateway.token)
        swapped(gateway, TESTED / "iris_nan_on_large.onnx", "the file that fails later")
        # Too long a flower for it.
        body, statuses, begin = (
            json.dumps({"features": [14.95, 3.5, 1.4, 0.2]}).encode(),
            Counter[int](),
            time.monotonic(),
        )
        while served(gateway) != first:
            expect(time.monotonic() - begin < REFUSED_SECONDS, f"it serves on: {dict(statuses)}")
            statuses[gateway.ask("POST", "/predict", body).status] += 1
        took = time.monotonic() - begin
        expect(set(statuses) <= {200, 422} and statuses[422] > 0, f"{dict(statuses)}")
        expect(gateway.ask("POST", "/predict", body).status == 200, "what failed is not answered by the old version")
        expect(refusal(gateway) == "rolled_back", refusal(gateway))
        seen = f"{dict(statuses)} in {took:.1f} s; {undisturbed(watcher)}"
        gateway.good()
        return seen


@case("a rollback", "the call, after a swap", "the previous version answers the next request")
def rolled_back(run: Run) -> str:
    with Gateway(run) as gateway:
        first = served(gateway)
        swapped(gateway, RETRAINED, "a swap")
        watcher = Watcher(gateway.rest, gateway.token)
        answer = gateway.ask("POST", "/models/iris/rollback", b"")
        expect(answer.status == 200 and served(gateway) == first, f"{answer.status}, then {served(gateway)}")
        seen = undisturbed(watcher)
        gateway.good()
        return seen
