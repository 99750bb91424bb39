"""The release binary from outside, in the order of a user: the documents' lines, a retrained model, and the end."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.gateway import REPOSITORY, fetch, milliseconds_since
from lib.suite import expect

from . import documents
from .browser import PICTURE, Browser
from .launch import CLIENT, ROW, SECRET, Released
from .trace import Traced

MODEL = REPOSITORY / "models" / "iris" / "1" / "model.onnx"
TRAINER = REPOSITORY / ".venv" / "bin" / "python"
SWAP_SECONDS = 20
# Slower than the quota of an address refills.
SWAP_POLL_SECONDS = 0.5
# Of the output of each block.
SHOWN_CHARACTERS = 60
BLOCKS = documents.blocks()
# curl ends well whatever the status, so these say that the responses are those of the documents.
PARTS = (
    '"prediction":"setosa"',
    '"prediction":"virginica"',
    '"pointer":"/features/0"',
    '"event":"deployed"',
    '"outputs":{"label"',
    '"model_name":"iris"',
    '"predictions":[{"label":2',
)
ROUTES = ("/predict", "/models/{model}/predict", "/token", "/models", "/health/ready")

Record = Callable[[str, object], None]


def test_the_gateway_gets_ready(gateway: Released, record_property: Record) -> None:
    size_kib = gateway.binary.stat().st_size // 1024
    idle_mib = gateway.memory_kib() // 1024
    record_property("figure", f"binary {size_kib} KiB, idle memory {idle_mib} MiB, ready after {gateway.ready_ms} ms")


def test_the_documents_have_no_marked_block_that_is_not_run() -> None:
    marks = documents.marks()
    expect(len(BLOCKS) == marks > 0, f"{len(BLOCKS)} blocks of sh follow {marks} lines {documents.MARK}")


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=[f"the block at {block.place} runs" for block in BLOCKS])
def test_the_block_runs(number: int, run_documents: documents.Run) -> None:
    ended = len(run_documents.outputs)
    expect(number <= ended, f"it is not reached: the block at {BLOCKS[min(ended, number)].place} fails")
    expect(number < ended, f"it ends with status {run_documents.status}: {run_documents.complaint}")


@pytest.mark.parametrize("part", PARTS, ids=[f"the blocks respond {part}" for part in PARTS])
def test_the_blocks_respond(part: str, run_documents: documents.Run) -> None:
    outputs = run_documents.outputs
    begins = " | ".join(output.strip()[:SHOWN_CHARACTERS] for output in outputs)
    expect(any(part in output for output in outputs), f"the {len(outputs)} blocks that run respond: {begins}")


def test_a_model_in_its_own_place_changes_nothing_for_callers(binary: Path) -> None:
    done = subprocess.run([binary, "diff", MODEL, MODEL], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"diff ends with status {done.returncode}: {done.stderr}")
    expect(done.stdout.startswith("callers notice no difference"), f"diff tells a model from itself: {done.stdout}")


def test_a_freshly_trained_model_is_put_into_service(gateway: Released, record_property: Record) -> None:
    if not TRAINER.exists():
        pytest.skip("training a model (tools/setup --train)")
    model = gateway.repository / "iris" / "2" / "model.onnx"
    training: list[str | Path] = [TRAINER, "tools/train_iris.py", "--seed", "7", "--trees", "50", "--output", model]
    done = subprocess.run(training, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"the training ends with status {done.returncode}: {done.stderr}")
    begin, token = time.monotonic(), gateway.log_in(CLIENT, SECRET)

    def serves() -> bool:
        return gateway.predict_row(ROW, token).headers.get("x-model-version") == "2"

    gateway.wait_until(serves, SWAP_SECONDS, "the retrained model is in service", SWAP_POLL_SECONDS)
    trained = ", ".join(done.stdout.splitlines())
    record_property("seen", f"{milliseconds_since(begin)} ms after it was written ({trained})")


def test_promtool_finds_no_fault_with_the_metrics(gateway: Released) -> None:
    if not shutil.which("promtool"):
        pytest.skip("the metrics' form (promtool, package prometheus)")
    metrics = fetch(f"http://127.0.0.1:{gateway.admin}/metrics")
    expect(metrics.status == http.client.OK, f"/metrics responds with {metrics.status}")
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics.content, capture_output=True, check=False)
    complaint = (done.stdout + done.stderr).decode(errors="replace").strip()
    expect(done.returncode == 0, f"promtool ends with status {done.returncode}: {complaint}")
    expect(not complaint, complaint)


@pytest.mark.parametrize("route", ROUTES, ids=[f"a browser shows {route} on /docs" for route in ROUTES])
def test_a_browser_shows_the_route(route: str, shown_routes: str) -> None:
    expect(f'data-path="{route}"' in shown_routes, f"not among {len(shown_routes)} characters")


def test_a_browser_takes_a_picture_of_the_routes(gateway: Released, chosen_browser: Browser) -> None:
    chosen_browser.take_picture(f"{gateway.url}/docs/")
    expect(PICTURE.exists(), f"there is no {PICTURE}")


def test_the_gateway_ends_with_status_0_on_sigterm(gateway: Released) -> None:
    status = gateway.stop()
    expect(status == 0, f"it ends with status {status}")


def test_the_gateway_predicts_under_strace(traced: Traced) -> None:
    expect(traced.response.status == http.client.OK, f"{traced.response.status}: {traced.response.text}")


def test_the_gateway_ends_with_status_0_under_strace(traced: Traced) -> None:
    expect(traced.status == 0, f"it ends with status {traced.status}")


def test_strace_sees_no_connection_to_anywhere(traced: Traced) -> None:
    expect(not traced.calls, "; ".join(traced.calls))
