"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tomllib
from pathlib import Path

from lib.environment import BENCH, BENTOML, LITSERVE, MOSEC
from lib.gateway import REPOSITORY

from .place import WORKSPACE

CRATES = ("axum", "hyper", "tokio", "ort", "furnace-server")
PACKAGES = {
    BENCH: ("fastapi", "uvicorn", "slowapi", "PyJWT", "scikit-learn", "onnxruntime", "mlserver"),
    BENTOML: ("bentoml",),
    LITSERVE: ("litserve",),
    MOSEC: ("mosec",),
}


def described() -> str:
    return f"{processor()}, {os.cpu_count()} CPUs, {memory_gb()} GB, Linux {platform.release()}, {platform.machine()}"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "a processor without a name"


def memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def versions(gateway: Path) -> dict[str, str]:
    locked = {package["name"]: package["version"] for package in lock()}
    commit = first_line(["git", "rev-parse", "--short", "HEAD"])
    found = {"gateway": f"{first_line([gateway, '--version'])}, commit {commit}"}
    found |= {"Rust": first_line(["rustc", "--version"]).removeprefix("rustc "), "Python": platform.python_version()}
    # Which the wheel in tools/onnxruntime.txt holds.
    pinned = re.search(r"onnxruntime==([\d.]+)", (REPOSITORY / "tools" / "onnxruntime.txt").read_text())
    found["ONNX Runtime"] = pinned[1] if pinned else "unknown"
    found |= {name: locked[name] for name in CRATES}
    for environment, names in PACKAGES.items():
        pins = dict(line.split("==") for line in environment.requirements.read_text().splitlines() if "==" in line)
        found |= {name: pins[name] for name in names}
    return found


def lock() -> list[dict[str, str]]:
    return tomllib.loads((WORKSPACE / "Cargo.lock").read_text())["package"]


def first_line(command: list[str | Path]) -> str:
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return (ended.stdout.splitlines() or ["unknown"])[0]
