"""Files that must not serve, each for its reason, while the old version serves."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .files import IRIS, RETRAINED, served, swapped, undisturbed
from .gateway import TESTED, Gateway, until
from .registry import Run, case, expect
from .watcher import Watcher

REFUSED_SECONDS = 40
# The served file is replaced by each of these; each has another reason than the one before.
FILES: tuple[tuple[str, bytes | Path, tuple[str, ...]], ...] = (
    ("a truncated file", IRIS.read_bytes()[:2000], ("truncated",)),
    ("a page", b"<html><body>404 Not Found</body></html>", ("not_onnx",)),
    ("random bytes", os.urandom(5000), ("not_onnx",)),
    ("an input of another name", TESTED / "iris_renamed_input.onnx", ("incompatible_signature",)),
    ("NaN weights", TESTED / "iris_nan_weights.onnx", ("non_finite_output",)),
    ("a golden case that it does not reproduce", TESTED / "iris_golden_mismatch.onnx", ("golden_mismatch",)),
)


def refusal(gateway: Gateway) -> str:
    """The reason why the newest file is refused; empty if it is not."""
    versions = gateway.ask("GET", "/models/iris").json().get("versions", [])
    found = [(one.get("refusal") or {}).get("reason", "") for one in versions]
    return next((reason for reason in found if reason), "")


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
        for number, (what, content, reasons) in enumerate(FILES):
            before = served(gateway)
            gateway.put("iris/1/model.onnx", content)
            reason = until(lambda: refusal(gateway), REFUSED_SECONDS, f"{what} is refused")
            expect(reason in reasons, f"{what}: {reason}, not one of {reasons}")
            expect(served(gateway) == before, f"{what} is served")
            seen.append(f"{what}: {reason}")
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
        before = served(gateway)
        gateway.put("iris/1/model.onnx", RETRAINED)
        reason = until(lambda: refusal(gateway), REFUSED_SECONDS, "the file is refused")
        expect(reason == "digest_mismatch", reason)
        expect(served(gateway) == before, "it is served")
        gateway.good()
        return reason


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
