"""The crates that are linked into the binary, as `cargo metadata` lists them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

Package = dict[str, Any]


def metadata(target: str) -> dict[str, Any]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def linked(found: dict[str, Any], *, with_macros: bool = False) -> dict[str, list[str]]:
    """The ids of the packages that are linked into the program, itself included, each with those that it depends on.

    `with_macros` adds macros and their dependencies, which run in the compiler.
    """
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    root = found["resolve"]["root"]
    edges: dict[str, list[str]] = {}
    todo = [root]
    while todo:
        one = todo.pop()
        if one in edges:
            continue
        edges[one] = []
        for dependency in nodes[one]["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and (with_macros or not is_of_compiler(packages[dependency["pkg"]])):
                edges[one].append(dependency["pkg"])
        todo += edges[one]
    return edges


def is_of_compiler(package: Package) -> bool:
    """Returns true for macros, which run in the compiler."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def linked_packages(found: dict[str, Any]) -> list[Package]:
    """The packages that are linked into the program, without the program itself."""
    ids = linked(found).keys() - {found["resolve"]["root"]}
    packages = (package for package in found["packages"] if package["id"] in ids)
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def of_compiler(target: str) -> set[tuple[str, str]]:
    """The name and version of each macro and its dependencies that are not linked into the program.

    `cargo auditable` lists them, too: for cargo they are dependencies like others.
    """
    found = metadata(target)
    ids = linked(found, with_macros=True).keys() - linked(found).keys()
    return {(package["name"], package["version"]) for package in found["packages"] if package["id"] in ids}
