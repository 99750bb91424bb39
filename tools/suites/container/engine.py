"""docker or podman, or the two commands that the environment names in their place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.gateway import REPOSITORY

CANDIDATES = ("docker", "podman")
# The program of the image.
PROGRAM = "onnx-gateway"
PROGRAM_FILE = f"/usr/local/bin/{PROGRAM}"
# How the image is meant to be run; what CONTAINER_RUN names adds these by itself.
RESTRICTIONS = (
    "--rm",
    "--network",
    "host",
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
)


class NoEngine(Exception):
    """No container can be run here; says what is missing."""


@dataclass(frozen=True)
class Engine:
    """The program that is asked about images and containers, and the commands that build and run them, if named."""

    program: str
    builder: str | None = None
    runner: str | None = None

    def build(self, tag: str, log: Path) -> int:
        """Builds the image of the source tree. Returns the exit status."""
        # podman's own format has no health check, and would leave it out.
        form = ["--format", "docker"] if self.program == "podman" else []
        command = [self.builder, ".", tag] if self.builder else [self.program, "build", "--tag", tag, *form, "."]
        with log.open("wb") as output:
            return subprocess.run(command, cwd=REPOSITORY, stdout=output, stderr=output, check=False).returncode

    def command(self, tag: str, options: Sequence[str], words: Sequence[str] = ()) -> list[str]:
        """The command that runs the image in the foreground; the words follow the name of its program."""
        if not self.runner:
            return [self.program, "run", *RESTRICTIONS, *options, tag, *words]
        # Nothing can follow the image's name here, but podman takes a whole command as its entry point.
        whole = ["--entrypoint", json.dumps([PROGRAM, *words])] if words else []
        return [self.runner, tag, *options, *whole]

    def copy_program(self, tag: str, target: Path) -> str:
        """Copies the program of the image to a file. Returns what went wrong, or an empty text."""
        created = self.ask("create", tag)
        if created.returncode != 0:
            return created.stderr
        container = created.stdout.split()[-1]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            copied = self.ask("cp", f"{container}:{PROGRAM_FILE}", str(target))
            return copied.stderr if copied.returncode != 0 else ""
        finally:
            self.ask("rm", "--force", container)

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *words], capture_output=True, text=True, check=False)


def works(program: str) -> bool:
    """Returns true if the engine responds: a client without a daemon is no use."""
    try:
        return subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def chosen(variables: Mapping[str, str]) -> Engine:
    """The engine that the environment names, or the first that works."""
    builder, runner = variables.get("CONTAINER_BUILD"), variables.get("CONTAINER_RUN")
    if builder and runner:
        return Engine("podman", builder, runner)
    if builder or runner:
        raise NoEngine("CONTAINER_BUILD and CONTAINER_RUN go together: set both or neither")
    program = next(filter(works, CANDIDATES), None)
    if program is None:
        raise NoEngine("neither docker nor podman works here: start or install one, or see --help")
    return Engine(program)
