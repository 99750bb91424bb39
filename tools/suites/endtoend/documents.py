"""The marked blocks of the documents, run as one script: later ones use the variables of earlier ones."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from lib.gateway import REPOSITORY

MARK = "<!-- run: curl -->"
BLOCK = re.compile(rf"^{re.escape(MARK)}\n```sh\n(?P<code>(?:(?!```).*\n)*)```$", re.MULTILINE)
# As `tools/serve` serves.
URL = "http://127.0.0.1:8000"
# Ends the output of a block: a character that no response has.
END = "\x1e"
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A block and its place, as in `README.md:27`."""

    place: str
    code: str


@dataclass(frozen=True)
class Run:
    """The outputs of the blocks that were run to their end, and the end of the script."""

    outputs: list[str]
    status: int
    complaint: str


def pages() -> dict[str, str]:
    paths = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return {str(path.relative_to(REPOSITORY)): path.read_text() for path in paths}


def marks() -> int:
    return sum(line == MARK for text in pages().values() for line in text.splitlines())


def blocks() -> list[Block]:
    """The marked blocks, in the order in which they are run."""
    newline = "\n"
    return [
        Block(f"{name}:{text[: match.start()].count(newline) + 1}", match["code"])
        for name, text in pages().items()
        for match in BLOCK.finditer(text)
    ]


def run(url: str) -> Run:
    """Runs all blocks with this address in place of the default one."""
    script = "".join(f"{block.code}printf '\\036'\n" for block in blocks()).replace(URL, url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    outputs = done.stdout.split(END)
    # Behind the last end is the output of the block that failed.
    return Run(outputs[:-1], done.returncode, f"{outputs[-1]}{done.stderr}".strip())
