"""The gateway, asked in both of its ways: by a command for each case, and by one server that has them all."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.gateway import HOST, Gateway, NotServing, Settings

from .cases import Case
from .wire import RELATIVE_TOLERANCE, TOLERANCE, difference, to_json

CLI_TIMEOUT_SECONDS = 90
HTTP_TIMEOUT_SECONDS = 60
# As long as the server gets on within this time, its start may take as long as it takes.
START_PATIENCE_SECONDS = 120
PANIC_STATUS = 101

PASS, REFUSED, WRONG, CRASH, HANG = "pass", "refused", "wrong", "crash", "hang"
# What the gateway takes; larger cases are only compared when they are asked for.
MAX_GOLDEN_BYTES = 8 << 20
# From the least bad to the worst: a case is as its worst data set.
OUTCOMES = (PASS, REFUSED, WRONG, HANG, CRASH)
# What a refusal at the proof says of a case whose golden cases are what this script expects. All others are reasons.
# A candidate that ends the process it is proven in is refused like any other: the server lives and says why.
PROOF_OUTCOMES = {"golden_mismatch": WRONG, "non_finite_output": WRONG, "timed_out": HANG}


@dataclass
class Result:
    outcome: str
    detail: str = ""


def worst(results: list[Result]) -> Result:
    return max(results, key=lambda result: OUTCOMES.index(result.outcome))


def name_of(number: int) -> str:
    return f"case{number:04}"


def body_of(inputs: dict[str, Any]) -> str:
    return json.dumps({"inputs": {name: to_json(value) for name, value in inputs.items()}}, allow_nan=False)


def protocol_body_of(inputs: dict[str, Any]) -> str:
    """The body of an inference request of the Open Inference Protocol."""
    return json.dumps({"inputs": [{"name": name, **to_json(value)} for name, value in inputs.items()]}, allow_nan=False)


def compared(expected: dict[str, Any], text: str | bytes) -> Result:
    try:
        document = json.loads(text)
    except ValueError:
        return Result(WRONG, f"the answer is not JSON: {text[:80]!r}")
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if isinstance(outputs, list):
        # As the Open Inference Protocol has them.
        outputs = {output["name"]: output for output in outputs}
    problem = difference(expected, outputs)
    return Result(WRONG, problem) if problem else Result(PASS)


def write_repository(folder: Path, cases: dict[int, Case]) -> None:
    """A model repository of these cases, with what they must answer as golden cases."""
    for number, case in cases.items():
        model = folder / name_of(number)
        (model / "1").mkdir(parents=True)
        golden = [
            {"inputs": in_full(inputs), "outputs": in_full(tensors(outputs))} for inputs, outputs in case.data_sets
        ]
        contract = [
            "[contract]",
            f"tolerance = {TOLERANCE}",
            f"relative_tolerance = {RELATIVE_TOLERANCE}",
            'non_finite_outputs = "allow"',
        ]
        # Outputs of other kinds are compared when they are asked for; a golden case must have something to compare.
        document = json.dumps(golden, allow_nan=False)
        if all(entry["outputs"] for entry in golden) and len(document) <= MAX_GOLDEN_BYTES:
            contract.append('golden_file = "golden.json"')
            (model / "golden.json").write_text(document)
        (model / "model.toml").write_text("\n".join(contract) + "\n")
        (model / "1" / "model.onnx").write_bytes(case.model)


def tensors(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and not isinstance(value, (list, dict))}


def in_full(values: dict[str, Any]) -> dict[str, Any]:
    """The form of golden cases, which know the types by the model."""

    def without_datatype(value: Any) -> Any:
        return {key: part for key, part in value.items() if key != "datatype"} if isinstance(value, dict) else value

    return {name: without_datatype(to_json(value)) for name, value in values.items()}


def ask_cli(binary: Path, model: Path, case: Case, scratch: Path, environment: dict[str, str]) -> Result:
    """`onnx-gateway predict` for each data set of a case."""
    results = []
    for index, (inputs, expected) in enumerate(case.data_sets):
        body = scratch / f"{model.parent.parent.name}-{index}.json"
        body.write_text(body_of(inputs))
        results.append(predict(binary, model, body, expected, environment))
        body.unlink()
    return worst(results)


def predict(binary: Path, model: Path, body: Path, expected: dict[str, Any], environment: dict[str, str]) -> Result:
    command: list[str | Path] = [binary, "predict", model, "--input", f"@{body}", "--json"]
    try:
        done = subprocess.run(
            command, env=environment, cwd=body.parent, capture_output=True, timeout=CLI_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(HANG, f"no answer within {CLI_TIMEOUT_SECONDS} s")
    complaint = done.stderr.decode(errors="replace").strip()
    if done.returncode < 0:
        return Result(CRASH, f"{signal.Signals(-done.returncode).name}: {complaint[-200:]}")
    if done.returncode == 0:
        return compared(expected, done.stdout)
    if "no result within" in complaint:
        return Result(HANG, complaint.splitlines()[-1])
    # A panic that was contained is a reason; a panic of the command itself is none.
    if done.returncode == PANIC_STATUS or "the prediction panicked" in complaint or not complaint:
        return Result(CRASH, f"status {done.returncode}: {complaint[-200:]}")
    return Result(REFUSED, complaint.splitlines()[-1][:300])


class Server(Gateway):
    """One gateway that serves a whole repository."""

    def __init__(self, binary: Path, repository: Path, scratch: Path, log: Path, locales: Path | None) -> None:
        settings: Settings = {
            "server": {"max_body_bytes": 1 << 28, "max_tensor_body_bytes": 1 << 28},
            "auth": {"enabled": False},
            "rate_limit": {"enabled": False},
            "models": {"repository": str(repository)},
            # A session for each processor would be thousands.
            "runtime": {"instances": 1},
        }
        super().__init__(binary, scratch, settings)
        log.unlink(missing_ok=True)
        self.start(log, locales)
        self.connection = self.connect()
        self.refusals: dict[str, dict[str, str]] = {}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.http, timeout=HTTP_TIMEOUT_SECONDS)

    def wait(self, count: int, progress: Callable[[int], None]) -> None:
        """Until each of so many models is in service or refused."""
        settled, last_step = 0, time.monotonic()
        while settled < count:
            self.expect_alive()
            if time.monotonic() - last_step > START_PATIENCE_SECONDS:
                raise NotServing(f"{count - settled} models are neither in service nor refused")
            time.sleep(1)
            now_settled = self.look()
            if now_settled != settled:
                settled, last_step = now_settled, time.monotonic()
            progress(settled)

    def look(self) -> int:
        """Counts the models that are in service or refused, and keeps the refusals."""
        try:
            status, text = self.request("GET", "/models")
        except OSError:
            return 0
        if status != http.client.OK:
            return 0
        settled = 0
        for model in json.loads(text)["models"]:
            refusals = [version["refusal"] for version in model["versions"] if version.get("refusal")]
            if refusals:
                self.refusals[model["name"]] = refusals[0]
            settled += bool(refusals) or any(version["state"] == "READY" for version in model["versions"])
        return settled

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        try:
            self.connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise error if isinstance(error, OSError) else OSError(str(error)) from error

    def ask(self, number: int, case: Case) -> Result:
        name = name_of(number)
        refusal = self.refusals.get(name)
        if refusal:
            outcome = PROOF_OUTCOMES.get(refusal["reason"], REFUSED)
            return Result(outcome, f"{refusal['reason']}: {refusal['detail']}")
        return worst([self.in_every_dialect(name, inputs, expected) for inputs, expected in case.data_sets])

    def in_every_dialect(self, name: str, inputs: dict[str, Any], expected: dict[str, Any]) -> Result:
        """Natively, and by the Open Inference Protocol where all that goes to and fro are tensors."""
        native = self.predict(f"/models/{name}/predict", body_of(inputs), expected)
        given = {key: value for key, value in inputs.items() if value is not None}
        if native.outcome != PASS or len(tensors(given)) != len(given) or len(tensors(expected)) != len(expected):
            return native
        return self.predict(f"/v2/models/{name}/infer", protocol_body_of(given), expected)

    def predict(self, path: str, body: str, expected: dict[str, Any]) -> Result:
        try:
            status, text = self.request("POST", path, body)
        except TimeoutError:
            return Result(HANG, f"no answer within {HTTP_TIMEOUT_SECONDS} s")
        except OSError as error:
            # A process that dies closes its connections before its end can be seen.
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                return Result(CRASH, f"the connection broke: {error}")
            return Result(CRASH, f"the gateway ended with status {self.process.returncode}")
        if status == http.client.OK:
            return compared(expected, text)
        if status == http.client.GATEWAY_TIMEOUT:
            return Result(HANG, "504")
        return Result(REFUSED, f"{status} {text.decode(errors='replace')[:300]}")

    def fault_of_end(self) -> str | None:
        self.connection.close()
        return super().fault_of_end()
