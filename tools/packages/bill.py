"""The bill of materials in CycloneDX 1.6: what the binary and the image consist of.

It depends on its sources alone, so the same sources give the same file.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .crates import REPOSITORY, linked, metadata

Component = dict[str, Any]

RUNTIME_PINS = REPOSITORY / "tools" / "onnxruntime.txt"
RUNTIME_LIBRARY = REPOSITORY / ".onnxruntime" / "libonnxruntime.so"


def purl(kind: str, name: str, version: str, **qualifiers: str) -> str:
    """The package URL of a component."""
    more = "&".join(f"{key}={quote(value, safe='')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}" + (f"?{more}" if more else "")


def component(kind: str, name: str, version: str, url: str, **more: object) -> Component:
    return {"type": kind, "bom-ref": url, "name": name, "version": version, "purl": url} | more


def licences(expression: str | None) -> dict[str, Any]:
    """The licence of a crate; older manifests have a slash for `OR`."""
    if not expression:
        return {}
    spdx = " OR ".join(part.strip() for part in expression.split("/"))
    return {"licenses": [{"expression": spdx}]}


def sha256(content: str) -> dict[str, Any]:
    return {"hashes": [{"alg": "SHA-256", "content": content}]}


def checksums() -> dict[tuple[str, str], str]:
    """The checksums of the crates' archives."""
    with (REPOSITORY / "Cargo.lock").open("rb") as lock:
        packages = tomllib.load(lock)["package"]
    return {(one["name"], one["version"]): one["checksum"] for one in packages if "checksum" in one}


def crate_parts(target: str) -> tuple[Component, list[Component], dict[str, list[str]]]:
    """The program, the crates linked into it, and the references that each depends on."""
    found = metadata(target)
    edges, known = linked(found), checksums()
    root = found["resolve"]["root"]
    components: dict[str, Component] = {}
    for package in found["packages"]:
        if package["id"] not in edges:
            continue
        name, version = package["name"], package["version"]
        kind = "application" if package["id"] == root else "library"
        checksum = known.get((name, version))
        more = licences(package["license"]) | (sha256(checksum) if checksum else {})
        components[package["id"]] = component(kind, name, version, purl("cargo", name, version), **more)
    refs = {one: components[one]["bom-ref"] for one in components}
    depends = {refs[one]: sorted({refs[other] for other in others}) for one, others in edges.items()}
    program = components.pop(root)
    return program, list(components.values()), depends


def runtime_part() -> Component:
    """ONNX Runtime: the library of its wheel, which is loaded and not linked."""
    (line,) = (line for line in RUNTIME_PINS.read_text().splitlines() if line.startswith("onnxruntime=="))
    version = line.removeprefix("onnxruntime==").partition(" ")[0]
    digest = sha256(hashlib.sha256(RUNTIME_LIBRARY.read_bytes()).hexdigest()) if RUNTIME_LIBRARY.exists() else {}
    more = {"description": "libonnxruntime.so of this wheel, loaded at run time"} | licences("MIT") | digest
    return component("library", "onnxruntime", version, purl("pypi", "onnxruntime", version), **more)


def paragraphs(status: str) -> Iterator[dict[str, str]]:
    """The entries of dpkg's list of packages."""
    for paragraph in status.split("\n\n"):
        fields = (line.partition(":") for line in paragraph.splitlines() if line[:1] not in {" ", ""})
        yield {name: value.strip() for name, _, value in fields}


def debian_parts(status: Path, release: Mapping[str, str]) -> list[Component]:
    """Debian itself and the packages that are installed, from the files of an image."""
    distribution, number = release["ID"], release["VERSION_ID"]
    system = {
        "type": "operating-system",
        "bom-ref": f"{distribution}-{number}",
        "name": distribution,
        "version": number,
    }
    found = [system]
    for entry in paragraphs(status.read_text()):
        if entry.get("Status", "").endswith(" installed"):
            # `Source` has a version of its own where that differs.
            source = entry.get("Source", entry["Package"]).partition(" ")[0]
            qualifiers = {"arch": entry["Architecture"], "distro": f"{distribution}-{number}", "upstream": source}
            url = purl(f"deb/{distribution}", entry["Package"], entry["Version"], **qualifiers)
            found.append(component("library", entry["Package"], entry["Version"], url))
    return found


def release_of(text: str) -> dict[str, str]:
    """The values of os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def document(root: Component, components: Iterable[Component], depends: Mapping[str, list[str]]) -> dict[str, Any]:
    listed = sorted(components, key=lambda one: str(one["bom-ref"]))
    body = {
        "metadata": {"component": root},
        "components": listed,
        "dependencies": [{"ref": ref, "dependsOn": depends[ref]} for ref in sorted(depends)],
    }
    # The same content has the same number.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    }
    return head | body


def of_binary(target: str) -> dict[str, Any]:
    """The bill of the program: its crates, and ONNX Runtime."""
    program, crates, depends = crate_parts(target)
    runtime = runtime_part()
    depends[program["bom-ref"]].append(runtime["bom-ref"])
    return document(program, [*crates, runtime], depends | {runtime["bom-ref"]: []})


def of_image(target: str, status: Path, release: Path) -> dict[str, Any]:
    """The bill of the image: the program and all it needs, and the packages of Debian around it."""
    program, crates, depends = crate_parts(target)
    runtime, debian = runtime_part(), debian_parts(status, release_of(release.read_text()))
    depends[program["bom-ref"]].append(runtime["bom-ref"])
    image = {
        "type": "container",
        "bom-ref": "image",
        "name": "onnx-gateway",
        "version": program["version"],
    } | licences("Apache-2.0")
    contained = [program["bom-ref"], *(one["bom-ref"] for one in debian)]
    depends |= {"image": sorted(contained), runtime["bom-ref"]: []}
    return document(image, [program, *crates, runtime, *debian], depends)


def crates_of(bill: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The name and version of each crate in a bill, the program included."""
    every = [bill["metadata"]["component"], *bill["components"]]
    return {(one["name"], one["version"]) for one in every if one.get("purl", "").startswith("pkg:cargo/")}
