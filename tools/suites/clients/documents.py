"""The examples of docs/clients.md and docs/migration.md: each block is run, and prints what its page says it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lib.gateway import REPOSITORY

from .checks import Check, Wrong, expect
from .gateway import Gateway

# The blocks of a page are run in its order, in one folder, beside the gateway's repository: later ones need the files
# of earlier ones.
PAGES = ("clients.md", "migration.md")
# A block that is marked to be run, and the block after it that says what it prints: curl ends well whatever comes.
BLOCK = re.compile(
    r"^<!-- run: (?P<name>[^\n]+) -->\n```(?P<language>\w+)\n(?P<code>(?:(?!```).*\n)*)```\n\n"
    r"```(?:json|text)\n(?P<prints>(?:(?!```).*\n)*)```$",
    re.MULTILINE,
)
TIMEOUT_SECONDS = 60


def here(gateway: Gateway, text: str) -> str:
    """With this gateway's addresses in place of the default ones."""
    return text.replace("127.0.0.1:8000", gateway.http).replace("127.0.0.1:8001", gateway.grpc)


def run(gateway: Gateway, block: re.Match[str]) -> None:
    code = here(gateway, block["code"])
    command = [sys.executable, "-"] if block["language"] == "python" else ["bash", "-euo", "pipefail"]
    # Commands of packages, such as torch-model-archiver, lie beside the interpreter.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"TOKEN": gateway.token, "PATH": path}
    done = subprocess.run(
        command,
        input=code,
        env=environment,
        cwd=gateway.scratch,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Wrong(f"it ends with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
    wanted = here(gateway, block["prints"]).strip()
    expect(done.stdout.strip() == wanted, f"it prints {done.stdout.strip()!r} in place of {wanted!r}")


def checks(gateway: Gateway) -> Iterator[Check]:
    for name in PAGES:
        page = (REPOSITORY / "docs" / name).read_text()
        blocks = list(BLOCK.finditer(page))
        marked = page.count("<!-- run:")
        yield f"docs/{name}: blocks are found", partial(expect, len(blocks) == marked > 0, f"{len(blocks)} of {marked}")
        for block in blocks:
            yield f"docs/{name}: {block['name']}", partial(run, gateway, block)
