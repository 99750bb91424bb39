"""Checks of packages: each is installed into an empty place, serves from there, and is removed again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

from lib.gateway import REPOSITORY

from .build import BILL, COMPATIBILITY, Say, expect_auditable
from .serving import MODEL, Installed, check_serving, first_response, prepare

# The library comes in a wheel of its own.
WHEEL_LIMIT_BYTES = 12_000_000


class Wrong(RuntimeError):
    """A package is not as it should be."""


class LeftOut(RuntimeError):
    """A check that needs something this machine does not have."""


def left_over(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "onnx" in path.name.lower())


def check_wheel(wheel: Path, say: Say) -> None:
    """Installs the wheel and all it needs into an empty environment."""
    if COMPATIBILITY not in wheel.name:
        raise Wrong(f"{wheel.name} is not a wheel for {COMPATIBILITY}")
    if wheel.stat().st_size >= WHEEL_LIMIT_BYTES:
        raise Wrong(f"the wheel takes {wheel.stat().st_size} bytes; allowed are {WHEEL_LIMIT_BYTES}")
    with tempfile.TemporaryDirectory(prefix="onnx-gateway-wheel-") as name:
        folder = Path(name)
        say("installing the wheel and ONNX Runtime's into an empty environment")
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--only-binary", ":all:", wheel], check=True)
        place = folder / "place"
        place.mkdir()
        settings, more = prepare(place)
        binary = environment / "bin" / "onnx-gateway"
        library = f"/site-packages/onnxruntime/capi/libonnxruntime.so.{pinned_version()}"
        check_serving(Installed(str(binary), str(settings), library, environment=more, folder=place))
        empty = folder / "empty"
        empty.mkdir()
        shutil.copy(MODEL, empty / "iris.onnx")
        seconds = first_response(binary, empty / "iris.onnx", empty)
        say(f"served iris.onnx; the printed curl line got a prediction {seconds:.2f} s after the start")
        subprocess.run([*pip, "uninstall", "--yes", "onnx-gateway", "onnxruntime"], check=True)
        if left := left_over(environment):
            raise Wrong(f"the wheel leaves files behind: {', '.join(left)}")


def pinned_version() -> str:
    """The version of ONNX Runtime in tools/onnxruntime.txt."""
    pins = (REPOSITORY / "tools" / "onnxruntime.txt").read_text()
    (line,) = (line for line in pins.splitlines() if line.startswith("onnxruntime=="))
    return line.removeprefix("onnxruntime==").partition(" ")[0]


def check_tar(archive: Path, say: Say) -> None:
    """Unpacks the archive into an empty folder."""
    say("unpacking the archive into an empty folder")
    with tempfile.TemporaryDirectory(prefix="onnx-gateway-tar-") as name:
        folder = Path(name)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (prefix,) = folder.iterdir()
        expect_auditable(prefix / "bin" / "onnx-gateway", prefix / "share" / "doc" / "onnx-gateway" / BILL.name)
        place = folder / "place"
        place.mkdir()
        settings, more = prepare(place)
        library = f"/{prefix.name}/lib/onnx-gateway/libonnxruntime.so"
        binary = prefix / "bin" / "onnx-gateway"
        check_serving(Installed(str(binary), str(settings), library, environment=more, folder=place))


def provided(program: str, system_package: str, say: Say) -> bool:
    """Returns true if the program is there, or could be installed."""
    if not shutil.which(program) and shutil.which("apt-get"):
        say(f"installing {system_package}")
        for words in (["update"], ["install", "--yes", "--no-install-recommends", system_package]):
            subprocess.run(["apt-get", *words], capture_output=True, check=False)
    return shutil.which(program) is not None


def check_in_root(kind: str, needed: str) -> Callable[[Path, Say], None]:
    """A check that installs a system package, above a file system that keeps none of it."""

    def check(package: Path, say: Say) -> None:
        if os.geteuid() != 0:
            raise LeftOut(f"the check of the {kind} needs root")
        for program, system_package in ((needed, needed), ("unshare", "util-linux"), ("systemd-analyze", "systemd")):
            if not provided(program, system_package, say):
                raise LeftOut(f"the check of the {kind} needs {program}: apt-get install {system_package}")
        say(f"installing the {kind} into a root folder that is thrown away")
        # All mounts are of a namespace of their own, which ends with the process.
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "packages.root", kind]
        done = subprocess.run(
            [*command, str(package)], cwd=REPOSITORY / "tools", stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            raise Wrong(done.stderr.strip())

    return check


CHECKS: dict[str, Callable[[Path, Say], None]] = {
    "wheel": check_wheel,
    "deb": check_in_root("deb", "dpkg"),
    "rpm": check_in_root("rpm", "rpm"),
    "tar": check_tar,
}
