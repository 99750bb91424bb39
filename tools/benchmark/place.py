"""Where everything is, and what is built before anything is measured."""

from __future__ import annotations

import os
import subprocess
import sys

from lib.gateway import REPOSITORY

WORKSPACE = REPOSITORY / "tools" / "benchmark" / "rust"
TARGET = REPOSITORY / "target" / "benchmark"
PROGRAMS = TARGET / "release"
LOGS = REPOSITORY / "target" / "bench-logs"
IRIS = REPOSITORY / "models" / "iris" / "1" / "model.onnx"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def build_programs() -> None:
    say("building the load generator and what the gateway is compared with")
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    subprocess.run(command, cwd=WORKSPACE, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)}, check=True)


def build_gateway() -> None:
    say("building the gateway")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--bin", "onnx-gateway"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
