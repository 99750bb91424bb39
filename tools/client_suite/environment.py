"""The Python environment with the clients that people use. Nothing but Python itself is needed to make it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / ".venv-clients"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = REPOSITORY / "tools" / "requirements-clients.txt"
BUF = "@bufbuild/buf@1.75.0"


def make_environment(say: Callable[[str], None]) -> None:
    """The clients, pinned; again only when a pin changes."""
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + BUF.encode()).hexdigest()
    stamp_file = ENVIRONMENT / "stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return
    say(f"installing the clients in {ENVIRONMENT.name} (about 550 MB)")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=True)
    install: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
        REQUIREMENTS,
    ]
    subprocess.run(install, check=True)
    if shutil.which("npm"):
        folder = ENVIRONMENT / "node"
        folder.mkdir()
        say("installing buf")
        command: list[str | Path] = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, BUF]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    stamp_file.write_text(stamp)
