"""Each model by each protocol as a test, against one gateway that serves all of them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib.gateway import REPOSITORY, NotServing, environment

from .ask import FORMS, NAMES, Asker
from .cases import Case, read
from .launch import Launched

MODELS = REPOSITORY / "tests" / "models" / "exporters"
PIN = REPOSITORY / "tools" / "onnxruntime.txt"
LOG = REPOSITORY / "target" / "exporter-suite.log"
REFERENCE_PYTHON = REPOSITORY / ".venv" / "bin" / "python"
# Of one response.
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Options:
    """The binary, and the part of a name that chooses models."""

    binary: Path
    only: str
    say: Callable[[str], None]


OPTIONS = pytest.StashKey[Options]()


@dataclass
class Served:
    """The gateway with all models, the expected responses, and connections to ask."""

    launched: Launched
    cases: dict[str, Case]
    asker: Asker


def names(only: str) -> list[str]:
    return sorted(path.stem for path in MODELS.glob("*.onnx") if only in path.stem)


def references(chosen: list[str], scratch: Path, say: Callable[[str], None]) -> Path:
    """The responses of ONNX Runtime itself, as a file."""
    responses = scratch / "answers.json"
    command: list[str | Path] = [REFERENCE_PYTHON, "-m", f"{__package__}.reference", responses, *chosen]
    subprocess.run(command, env=environment() | {"PYTHONPATH": str(REPOSITORY / "tools")}, check=True)
    version = json.loads(responses.read_text())["version"]
    if f"onnxruntime=={version} " not in PIN.read_text():
        say(f"the responses to compare with are those of ONNX Runtime {version}, which is not the pinned one")
    return responses


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = names(metafunc.config.stash[OPTIONS].only)
    # One model after another: each is asked by every protocol before the next.
    pairs = [(name, protocol) for name in chosen for protocol in NAMES]
    metafunc.parametrize(("name", "protocol"), pairs, ids=[f"{name}, {protocol}" for name, protocol in pairs])


@pytest.fixture(scope="session")
def served(pytestconfig: pytest.Config) -> Iterator[Served]:
    options = pytestconfig.stash[OPTIONS]
    chosen = names(options.only)
    LOG.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exporter-suite-") as folder:
        scratch = Path(folder)
        cases = read(MODELS / "cases.json", references(chosen, scratch, options.say))
        launched = Launched(options.binary, MODELS, chosen, scratch, LOG)
        options.say(f"starting the gateway with {len(chosen)} models")
        try:
            launched.wait()
            asker = Asker(launched.http, launched.grpc, max(case.count for case in cases))
            try:
                yield Served(launched, {case.name: case for case in cases}, asker)
            finally:
                asker.close()
        finally:
            fault = launched.fault_of_end()
        if fault:
            raise NotServing(f"{fault}; see {LOG}")


def test_model(name: str, protocol: str, served: Served, record_property: Callable[[str, object], None]) -> None:
    refusal = served.launched.refusals.get(name)
    if refusal:
        record_property("mark", "refused")
        pytest.fail(refusal, pytrace=False)
    case = served.cases[name]
    problems = served.asker.ask(case, protocol)
    if not problems:
        record_property("mark", "-")
        pytest.skip("the protocol cannot carry the outputs")
    counts = [len(problems[form]) for form in FORMS]
    record_property("mark", "/".join(map(str, counts)) if any(counts) else "ok")
    found = [f"{form}: {texts[0][:SHOWN_CHARACTERS]}" for form, texts in problems.items() if texts]
    if found:
        pytest.fail(f"({case.exporter}, {case.estimator}), {'; '.join(found)}", pytrace=False)
