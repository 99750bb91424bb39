"""Builds the packages, all of them from one binary."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from lib.environment import PACKAGE
from lib.gateway import REPOSITORY

from .audit import NotAuditable, crates
from .bill import crates_of
from .crates import of_compiler

TARGET = f"{platform.machine()}-unknown-linux-gnu"
PROFILE = "dist"
# The oldest C library that ONNX Runtime's own wheels work with.
COMPATIBILITY = "manylinux_2_28"
OUTPUT = REPOSITORY / "target" / "packages"
BINARY = REPOSITORY / "target" / TARGET / PROFILE / "onnx-gateway"
RUNTIME = REPOSITORY / ".onnxruntime"
# The licences of the crates in the binary, by tools/third-party.
THIRD_PARTY = REPOSITORY / "target" / "THIRD-PARTY.txt"
# The bill of materials, by tools/sbom.
BILL = REPOSITORY / "target" / "onnx-gateway.cdx.json"
CARGO_TOOLS = REPOSITORY / "target" / "package-tools"
# With these versions.
CARGO_DEB, CARGO_GENERATE_RPM = "cargo-deb@3.8.0", "cargo-generate-rpm@0.21.1"
CARGO_AUDITABLE = "cargo-auditable@0.7.7"

Say = Callable[[str], None]


class NotBuilt(RuntimeError):
    """A package that could not be built, or is not as it should be."""


def version() -> str:
    with (REPOSITORY / "Cargo.toml").open("rb") as manifest:
        return str(tomllib.load(manifest)["package"]["version"])


def run(command: list[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """Runs a command in the source tree, with its output to standard error."""
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | (environment or {}), stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise NotBuilt(f"{Path(command[0]).name} ended with status {done.returncode}")


def machine_paths() -> dict[Path, str]:
    """Folders of this machine that a compiler writes into what it builds, and what stands there instead."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    folders = {REPOSITORY: "onnx-gateway", cargo: "cargo"}
    # Its name says where the sources came from.
    return folders | dict.fromkeys(cargo.glob("registry/src/*"), "crates")


def compiler_flags() -> dict[str, str]:
    """Variables that keep this machine's folders out of the binary; of two that fit, compilers take the last."""
    folders = sorted(machine_paths().items(), key=lambda entry: len(str(entry[0])))
    rust = " ".join(f"--remap-path-prefix={folder}={name}" for folder, name in folders)
    c = " ".join(f"-ffile-prefix-map={folder}={name}" for folder, name in folders)
    suffix = TARGET.replace("-", "_")
    return {"RUSTFLAGS": rust, f"CFLAGS_{suffix}": c, f"CXXFLAGS_{suffix}": c}


def found_paths(data: bytes) -> list[str]:
    """The folders of this machine that are named in a file all the same."""
    return [str(folder) for folder in machine_paths() if os.fsencode(folder) in data]


def expect_no_paths(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if named := found_paths(archive.read(name)):
                raise NotBuilt(f"{name} in the wheel names folders of this machine: {', '.join(named)}")


def expect_licences(wheel: Path) -> None:
    """A wheel is built without the licences of the crates if their file is not there."""
    with zipfile.ZipFile(wheel) as archive:
        if not any(name.endswith(f"/{THIRD_PARTY.name}") for name in archive.namelist()):
            raise NotBuilt(f"the wheel lacks {THIRD_PARTY.name}, which tools/third-party writes")


def expect_bill(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        if not any(name.endswith(f"/sboms/{BILL.name}") for name in archive.namelist()):
            raise NotBuilt(f"the wheel lacks {BILL.name}, which tools/sbom writes")


def expect_auditable(binary: Path, bill: Path = BILL) -> None:
    """A binary has to name its crates, which are those of the bill."""
    try:
        linked = crates(binary) - of_compiler(TARGET)
    except NotAuditable as fault:
        raise NotBuilt(f"{binary.name} does not name its crates: {fault}") from None
    if differences := linked ^ crates_of(json.loads(bill.read_text())):
        names = ", ".join(f"{name} {crate}" for name, crate in sorted(differences))
        raise NotBuilt(f"{bill.name} and {binary.name} differ in these crates: {names}")


def auditing_cargo(say: Say) -> Path:
    """A program that stands for cargo, and has the crates named in what it builds."""
    auditable = cargo_tool(CARGO_AUDITABLE, say)
    program = CARGO_TOOLS / "bin" / "cargo-that-audits"
    cargo = shutil.which("cargo")
    program.write_text(f'#!/bin/sh\nCARGO="{cargo}" exec "{auditable}" auditable "$@"\n')
    program.chmod(0o755)
    return program


def build_wheel(say: Say) -> Path:
    """Builds the binary and the wheel around it."""
    PACKAGE.make(say)
    say(f"building the binary with the profile {PROFILE}: many minutes the first time")
    programs = PACKAGE.folder / "bin"
    # maturin starts the Zig of its own environment.
    environment = compiler_flags() | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"CARGO": str(auditing_cargo(say))}
    maturin: list[str | Path] = [programs / "maturin", "build", "--locked", "--zig", "--compatibility", COMPATIBILITY]
    options: list[str | Path] = ["--target", TARGET, "--profile", PROFILE, "--sbom-include", BILL, "--out", OUTPUT]
    run([*maturin, *options], environment)
    expect_auditable(BINARY)
    expect_no_paths(built("wheel"))
    expect_licences(built("wheel"))
    expect_bill(built("wheel"))
    return built("wheel")


def cargo_tool(name: str, say: Say) -> Path:
    """The program of a cargo command, built here if it is not there yet."""
    program = CARGO_TOOLS / "bin" / name.partition("@")[0]
    if not program.exists():
        say(f"building {name} (once)")
        # It packs files, which takes minutes if it is not optimized; more than that is not worth its time.
        optimized = {"CARGO_PROFILE_DEV_OPT_LEVEL": "2", "CARGO_PROFILE_DEV_DEBUG": "false"}
        run(["cargo", "install", "--debug", "--locked", "--quiet", "--root", CARGO_TOOLS, name], optimized)
    return program


def build_deb(say: Say) -> Path:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    program = cargo_tool(CARGO_DEB, say)
    of_binary: list[str | Path] = ["--no-build", "--no-strip", "--target", TARGET, "--profile", PROFILE]
    run([program, "deb", *of_binary, "--output", OUTPUT])
    return built("deb")


def build_rpm(say: Say) -> Path:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    program = cargo_tool(CARGO_GENERATE_RPM, say)
    run([program, "generate-rpm", "--target", TARGET, "--profile", PROFILE, "--output", OUTPUT])
    return built("rpm")


# A folder as below /usr/local, from the source tree; programs are executable.
TAR_FILES = {
    "bin/onnx-gateway": BINARY,
    "lib/onnx-gateway/libonnxruntime.so": RUNTIME / "libonnxruntime.so",
    "share/doc/onnx-gateway/LICENSE": REPOSITORY / "LICENSE",
    "share/doc/onnx-gateway/THIRD-PARTY.txt": THIRD_PARTY,
    "share/doc/onnx-gateway/onnx-gateway.cdx.json": BILL,
    "share/doc/onnx-gateway/CHANGELOG.md": REPOSITORY / "CHANGELOG.md",
    "share/doc/onnx-gateway/installation.md": REPOSITORY / "docs" / "installation.md",
    "share/doc/onnx-gateway/onnxruntime/LICENSE": RUNTIME / "LICENSE",
    "share/doc/onnx-gateway/onnxruntime/ThirdPartyNotices.txt": RUNTIME / "ThirdPartyNotices.txt",
    "share/onnx-gateway/onnx-gateway.service": REPOSITORY / "deploy" / "systemd" / "onnx-gateway.service",
    "share/onnx-gateway/gateway.toml": REPOSITORY / "config" / "package.toml",
    "share/onnx-gateway/development.toml": REPOSITORY / "config" / "development.toml",
}


def write_tar(archive: Path, folder: str, files: Mapping[str, Path]) -> None:
    """Writes a compressed archive that depends on nothing but the files' names and bytes."""
    with (
        archive.open("wb") as output,
        gzip.GzipFile("", "wb", fileobj=output, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, source in sorted(files.items()):
            data = source.read_bytes()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(data), 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(data))


def build_tar(_say: Say) -> Path:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    folder = f"onnx-gateway-{version()}-linux-{platform.machine()}"
    write_tar(OUTPUT / f"{folder}.tar.gz", folder, TAR_FILES)
    return built("tar")


BUILDERS: dict[str, Callable[[Say], Path]] = {
    "wheel": build_wheel,
    "deb": build_deb,
    "rpm": build_rpm,
    "tar": build_tar,
}
PATTERNS = {"wheel": "onnx_gateway-*.whl", "deb": "*.deb", "rpm": "*.rpm", "tar": "*.tar.gz"}


def built(kind: str) -> Path:
    """The one package of a kind that is there."""
    found = sorted(OUTPUT.glob(PATTERNS[kind]))
    if len(found) != 1:
        raise NotBuilt(f"{OUTPUT} should hold one {PATTERNS[kind]}, but holds {len(found)}")
    return found[0]


def build(kind: str, say: Say) -> Path:
    """Builds a package in the place of an older one."""
    for old in OUTPUT.glob(PATTERNS[kind]):
        old.unlink()
    return BUILDERS[kind](say)


def prepare(kinds: list[str], say: Say, *, rebuild: bool) -> None:
    """Gets what packages are made of: ONNX Runtime, licences, bill, and the binary unless the wheel brings it."""
    run([REPOSITORY / "tools" / "setup"])
    run([REPOSITORY / "tools" / "third-party", "--target", TARGET, "--output", THIRD_PARTY])
    run([REPOSITORY / "tools" / "sbom", "--target", TARGET, "--validate", "--output", BILL])
    OUTPUT.mkdir(parents=True, exist_ok=True)
    shutil.copy(BILL, OUTPUT)
    if "wheel" not in kinds and (rebuild or not BINARY.exists()):
        build("wheel", say)
