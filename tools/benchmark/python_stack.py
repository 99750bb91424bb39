"""The environments of the servers written in Python, and how each is started."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from lib.environment import BENCH, BENTOML, LITSERVE, MOSEC, Environment
from lib.gateway import REPOSITORY, NotServing, environment, free_port

from .place import IRIS, LOGS, say
from .processes import Server

SERVERS = REPOSITORY / "tools" / "benchmark" / "servers"
SECRET = "for measurements only: everyone knows this key"
TOKEN_SECONDS = 86_400


# What was in the way of an environment, by the name of its folder, so that each is tried once only.
obstacles: dict[str, str] = {}


def make(environment: Environment) -> None:
    """Makes the environment of a server."""
    name = environment.folder.name
    if name in obstacles:
        raise NotServing(obstacles[name])
    try:
        environment.make(say)
    except (OSError, subprocess.CalledProcessError) as error:
        obstacles[name] = f"{name} cannot be made: {error}"
        raise NotServing(obstacles[name]) from error


def uvicorn(name: str, module: str, folder: Path) -> Server:
    """A worker for each CPU."""
    make(BENCH)
    forest = folder / "forest.joblib"
    if not forest.exists():
        subprocess.run([BENCH.python, SERVERS / "make_forest.py", forest], check=True)
    port = free_port()
    command: list[str | Path] = [
        BENCH.python,
        "-m",
        "uvicorn",
        "--app-dir",
        str(SERVERS),
        f"{module}:app",
        "--port",
        str(port),
        "--workers",
        str(os.cpu_count() or 1),
        "--no-access-log",
    ]
    shared = {"BENCH_SECRET": SECRET, "BENCH_FOREST": str(forest), "BENCH_MODEL": str(IRIS)}
    return Server(name, port, command, environment() | shared, LOGS / f"{name}.log")


def mlserver(name: str, folder: Path, workers: int) -> Server:
    """MLServer with so many processes that run the model; with none, its own process does."""
    make(BENCH)
    http, grpc, metrics = (free_port() for _ in range(3))
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    # Without a line in the log for each request.
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": workers, "debug": False}))
    model = {"name": "iris", "implementation": "iris_runtime.OnnxModel", "parameters": {"uri": str(IRIS)}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    shutil.copy(SERVERS / "mlserver" / "iris_runtime.py", folder)
    command: list[str | Path] = [BENCH.folder / "bin" / "mlserver", "start", str(folder)]
    return Server(name, http, command, environment() | {"PYTHONPATH": str(folder)}, LOGS / f"{name}.log")


def bentoml(name: str, folder: Path) -> Server:
    make(BENTOML)
    port = free_port()
    command: list[str | Path] = [
        BENTOML.folder / "bin" / "bentoml",
        "serve",
        "service:Iris",
        "--working-dir",
        SERVERS / "bentoml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    # Its store is in the folder, and it reports no use.
    shared = {"BENCH_MODEL": str(IRIS), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
    return Server(name, port, command, environment() | shared, LOGS / f"{name}.log")


def litserve(name: str) -> Server:
    make(LITSERVE)
    port = free_port()
    command: list[str | Path] = [LITSERVE.python, SERVERS / "litserve" / "server.py"]
    shared = {"BENCH_MODEL": str(IRIS), "BENCH_PORT": str(port)}
    return Server(name, port, command, environment() | shared, LOGS / f"{name}.log")


def mosec(name: str, folder: Path) -> Server:
    make(MOSEC)
    port = free_port()
    command: list[str | Path] = [MOSEC.python, SERVERS / "mosec" / "server.py"]
    # The sockets between its processes are in the folder.
    command += ["--address", "127.0.0.1", "--port", str(port), "--path", folder / "sockets"]
    return Server(name, port, command, environment() | {"BENCH_MODEL": str(IRIS)}, LOGS / f"{name}.log")


def token() -> str:
    """A token as a service would issue it for itself: HS256, a subject, an end."""
    claims = {"sub": "bench", "exp": int(time.time()) + TOKEN_SECONDS}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{encoded(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
