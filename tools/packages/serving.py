"""An installed gateway, which has to serve until a prediction answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib.gateway import HOST, REPOSITORY, NotServing, free_port

MODEL = REPOSITORY / "models" / "iris" / "1" / "model.onnx"
DEVELOPMENT = REPOSITORY / "config" / "development.toml"
ROW, CLASS = [5.1, 3.5, 1.4, 0.2], "setosa"
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 60, 30, 0.1


@dataclass(frozen=True)
class Installed:
    """An installed gateway: its files as it sees them, and how to start it."""

    binary: str
    settings: str
    # The end of the path of the ONNX Runtime that it has to find.
    library: str
    # The program and its arguments that start a command in its place.
    wrapper: Sequence[str | Path] = ()
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def command(self, *words: str) -> list[str | Path]:
        return [*self.wrapper, self.binary, "--config", self.settings, *words]


def serve_command(installed: Installed) -> list[str | Path]:
    """The command that serves. All packages are tried by it."""
    return installed.command("serve")


def prepare(folder: Path) -> tuple[Path, dict[str, str]]:
    """Puts a model and the development settings into an empty folder. Returns the settings' file and more settings."""
    repository = folder / "models"
    (repository / "iris" / "1").mkdir(parents=True)
    shutil.copy(MODEL, repository / "iris" / "1")
    # The gateway accepts the development credentials only from a file of this name.
    settings = folder / "development.toml"
    shutil.copy(DEVELOPMENT, settings)
    return settings, {
        "GATEWAY__MODELS__REPOSITORY": str(repository),
        "GATEWAY__MODELS__STATE_DIRECTORY": str(folder / "state"),
    }


def ask(url: str, token: str | None = None, body: object = None) -> bytes | None:
    """The response's body. `None` unless the status is 200."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as response:
            return bytes(response.read())
    except (urllib.error.URLError, OSError):
        return None


def loaded_library(process: int) -> str | None:
    """The path of the ONNX Runtime that a process has mapped."""
    for line in Path(f"/proc/{process}/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libonnxruntime.so"):
            return f"/{path}"
    return None


def check_serving(installed: Installed) -> None:
    """Serves, predicts once and stops.

    Raises `NotServing` if any of it fails, or if it is another ONNX Runtime that serves.
    """
    port = free_port()
    # Nothing of this machine's environment helps it.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | installed.environment
    environment |= {
        "GATEWAY__SERVER__LISTEN": f"{HOST}:{port}",
        "GATEWAY__GRPC__LISTEN": f"{HOST}:0",
        "GATEWAY__ADMIN__LISTEN": f"{HOST}:0",
    }
    process = subprocess.Popen(
        serve_command(installed),
        env=environment,
        cwd=installed.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        predict(installed, process, f"http://{HOST}:{port}", environment)
        process.terminate()
        if (status := process.wait(STOP_SECONDS)) != 0:
            raise NotServing(f"it ended with status {status} after SIGTERM")
    except (NotServing, subprocess.TimeoutExpired) as fault:
        process.kill()
        log = process.communicate()[0]
        raise NotServing(f"{fault}; its log:\n{log}") from None


def first_response(binary: Path, model: Path, place: Path) -> float:
    """Serves a model file and nothing else, and runs the curl line that is printed.

    Returns the seconds from the start to the response. Raises `NotServing` if the response is not a prediction.
    """
    listeners = {f"GATEWAY__{name}__LISTEN": f"{HOST}:{free_port()}" for name in ("SERVER", "GRPC", "ADMIN")}
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place)} | listeners
    begin = time.monotonic()
    process = subprocess.Popen(
        [binary, "serve", model.name, "--json"], env=environment, cwd=place, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise NotServing("it has no output")
        printed = process.stdout.readline()
        if not printed:
            raise NotServing(f"it printed nothing and ended with status {process.wait(STOP_SECONDS)}")
        command = json.loads(printed)["curl"]
        response = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begin
        if response.returncode != 0 or "prediction" not in json.loads(response.stdout):
            raise NotServing(f"{command} prints {response.stdout!r} {response.stderr}")
        return seconds
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def predict(installed: Installed, process: subprocess.Popen[str], url: str, environment: dict[str, str]) -> None:
    end = time.monotonic() + START_SECONDS
    while ask(f"{url}/health/ready") is None:
        if process.poll() is not None:
            raise NotServing(f"it ended with status {process.returncode} and did not serve")
        if time.monotonic() > end:
            raise NotServing(f"it was not ready within {START_SECONDS} s")
        time.sleep(POLL_SECONDS)
    words = installed.command("token", "--subject", "check", "--scope", "predict")
    signed = subprocess.run(words, env=environment, cwd=installed.folder, capture_output=True, text=True, check=False)
    if signed.returncode != 0:
        raise NotServing(f"no token was signed: {signed.stderr}")
    answer = ask(f"{url}/predict", signed.stdout.strip(), {"features": ROW})
    if answer is None or json.loads(answer).get("prediction") != CLASS:
        raise NotServing(f"{ROW} is {CLASS}, but it answered {answer!r}")
    library = loaded_library(process.pid)
    if library is None or not library.endswith(installed.library):
        raise NotServing(f"it should have loaded {installed.library}, but has {library}")
