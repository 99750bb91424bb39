"""The figures that are kept: docs/benchmarks.json, and what is made of them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from lib.gateway import REPOSITORY

from . import machine, page, picture
from .rounds import Result

JSON = REPOSITORY / "docs" / "benchmarks.json"
PAGE = JSON.with_suffix(".md")
PICTURE = JSON.with_suffix(".svg")
Record = dict[str, Any]


def read() -> Record:
    return json.loads(JSON.read_text()) if JSON.exists() else {"machine": "", "versions": {}, "items": {}}


def update(results: list[Result], left_out: list[str], items: list[str], gateway: Path, how: str) -> None:
    """Puts what was measured in the place of what the same items gave before."""
    record = read()
    here = machine.described()
    if record["machine"] != here:
        # Figures of two machines say nothing beside each other.
        record["items"] = {}
    versions = machine.versions(gateway)
    record |= {"machine": here, "versions": versions}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for item in items:
        found = [result.document() for result in results if result.item == item]
        reasons = [reason for reason in left_out if reason.startswith(f"{item}: ")]
        record["items"][item] = {
            "date": today,
            "gateway": versions["gateway"],
            "how": how,
            "left_out": reasons,
            "results": found,
        }
    JSON.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    PICTURE.write_text(picture.draw(record))
    PAGE.write_text(page.write(record))


def of(record: Record, item: str) -> list[Result]:
    """The results of an item, as they were when they were measured."""
    return [page.result_of(entry) for entry in record["items"].get(item, {}).get("results", [])]
