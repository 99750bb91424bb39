"""The documentation as a browser shows it, without a window."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lib.gateway import REPOSITORY

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PICTURE = REPOSITORY / "target" / "docs.png"
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--window-size=1280,1600",
    "--virtual-time-budget=10000",
)
# Ends the browser's own children, too.
LIMIT = ("timeout", "60")
# The viewer lets long paths break after each slash.
BREAKS = ("<wbr>", "\u200b")


class Failed(RuntimeError):
    """The browser ended with an error, or did not end."""


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        self.program, self.profile = program, profile

    def show(self, page: str, *how: str) -> str:
        """The output of the browser for a page."""
        command = [*LIMIT, self.program, *OPTIONS, f"--user-data-dir={self.profile}", *how, page]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = " ".join(done.stderr.splitlines()[-3:])
            raise Failed(f"{self.program} ended with status {done.returncode} for {page}: {last}")
        return done.stdout

    def document(self, page: str) -> str:
        """The document of a page, once its scripts have run."""
        document = self.show(page, "--dump-dom")
        for one in BREAKS:
            document = document.replace(one, "")
        return document

    def take_picture(self, page: str) -> None:
        PICTURE.unlink(missing_ok=True)
        self.show(page, f"--screenshot={PICTURE}")


def found() -> str | None:
    """The first of `PROGRAMS` that is installed. `None` if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)
