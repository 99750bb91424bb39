"""The processes that prove models: one takes too long, one crashes. They end, and what serves goes on."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .candidates import REFUSED_SECONDS, refusal, refuses
from .files import RETRAINED, undisturbed
from .gateway import ROW, TESTED, Gateway, until
from .registry import Run, case, expect
from .watcher import Watcher

# An ordinary model that takes seconds to run.
SLOW = TESTED / "seconds_to_run.onnx"
LIMIT_SECONDS = 2
# More than it takes to load the library.
COMPUTED_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Child:
    """A process that the gateway started."""

    number: int
    is_zombie: bool
    is_proof: bool
    # Of the CPU, so far.
    seconds: float


def children(gateway: Gateway) -> Iterator[Child]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the state and the parent follow it.
            state, parent, *more = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(parent) == gateway.process.pid:
                is_proof = b"admit" in (folder / "cmdline").read_bytes()
                yield Child(int(folder.name), state == "Z", is_proof, sum(map(int, more[9:11])) / TICKS)


def none_left(gateway: Gateway) -> str:
    """Waits until the gateway has no child. Returns a text that says so."""
    until(lambda: not list(children(gateway)), 10, "no child is left")
    return "no child left"


@case(
    "a model that takes too long to prove",
    f"a model that runs for seconds, where a proof may take {LIMIT_SECONDS} s",
    "it is refused as `timed_out`, no process is left, and the old version serves every request",
)
def too_long(run: Run) -> str:
    with Gateway(run, admission__timeout_seconds=LIMIT_SECONDS) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        seen = refuses(gateway, "a slow model", SLOW, "timed_out")
        seen = f"{seen}; {none_left(gateway)}; {undisturbed(watcher)}"
        gateway.good()
        return seen


@case(
    "a proof that crashes",
    "SIGSEGV to the process that proves a model, sent by this suite",
    "it is refused as `crashed`, no process is left, and the old version serves every request",
)
def crashes(run: Run) -> str:
    # Longer than it takes to find the process.
    with Gateway(run, admission__timeout_seconds=60) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        sent = []

        def ended() -> str:
            for child in children(gateway):
                if child.is_proof and not child.is_zombie:
                    # Again and again: Rust's handler lets the first one pass, as no fault comes with it.
                    with suppress(ProcessLookupError):
                        os.kill(child.number, signal.SIGSEGV)
                        sent.append(child.number)
            return refusal(gateway)

        seen = refuses(gateway, "a model whose proof got SIGSEGV", SLOW, "crashed", ended)
        expect(len(set(sent)) == 1, f"{len(set(sent))} processes got the signal")
        seen = f"{seen}; {none_left(gateway)}; {undisturbed(watcher)}"
        gateway.good()
        return seen


@case(
    "a file that changes while it is proven",
    "a file of a model that takes seconds to prove, overwritten in place by another model as soon as its proof runs",
    "the file that lies there serves, by its own digest and after its own proof; the first one never does",
)
def changed(run: Run) -> str:
    first, second = (hashlib.sha256(file.read_bytes()).hexdigest() for file in (SLOW, RETRAINED))
    with Gateway(run, admission__timeout_seconds=60) as gateway:
        gateway.put("late/1/model.onnx", SLOW)
        # A process that waits for its candidate does not compute yet.
        until(lambda: any(child.seconds > COMPUTED_SECONDS for child in children(gateway)), 20, "its proof runs")
        (gateway.repository / "late/1/model.onnx").write_bytes(RETRAINED.read_bytes())
        until(lambda: gateway.serves("late", second[:12]), REFUSED_SECONDS, "the other file serves")
        history = gateway.ask("GET", "/models/late/history").json()["history"]
        seen = [(one["event"], one["digest"]) for one in history]
        expect(seen == [("deployed", second)], f"{seen} of {first} and {second}")
        answer = gateway.ask("POST", "/models/late/predict", ROW)
        digest = answer.headers.get("x-model-digest", "")
        seen_now = f"{answer.status}, {answer.body[:100]!r} of {digest}"
        expect(answer.status == 200 and digest == second[:12] and answer.json()["prediction"] == "setosa", seen_now)
        gateway.good()
        return seen_now
