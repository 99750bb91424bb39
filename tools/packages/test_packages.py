"""Checks of what packages are made of, which need no package. tools/test runs them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import subprocess
import tarfile
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from lib.gateway import REPOSITORY
from packages import audit, build
from packages.check import pinned_version
from packages.root import KEY, STATE, UNIT, is_bookkeeping, is_kept, service_of

SERVICE = REPOSITORY / "deploy" / "systemd" / "onnx-gateway.service"


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / path).read_text())


def test_the_wheel_depends_on_the_pinned_onnx_runtime() -> None:
    project = toml("pyproject.toml")["project"]
    assert project["dependencies"] == [f"onnxruntime=={pinned_version()}"]
    assert project["description"] == toml("Cargo.toml")["package"]["description"]


def test_the_same_archive_is_written_twice(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("runs")
    (tmp_path / "text").write_text("is read")
    files = {"share/text": tmp_path / "text", "bin/program": tmp_path / "program"}
    for name in ("one.tar.gz", "other.tar.gz"):
        build.write_tar(tmp_path / name, "gateway-1", files)
        os.utime(tmp_path / "text", (1, 1))
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        modes = {entry.name: entry.mode for entry in tar.getmembers()}
    assert modes == {"gateway-1/bin/program": 0o755, "gateway-1/share/text": 0o644}


def test_a_folder_of_this_machine_is_found_and_kept_out() -> None:
    assert build.found_paths(b"built from nothing") == []
    named = b"panicked at " + os.fsencode(REPOSITORY) + b"/src/main.rs"
    assert build.found_paths(named) == [str(REPOSITORY)]
    flags = build.compiler_flags()["RUSTFLAGS"]
    assert f"--remap-path-prefix={REPOSITORY}=onnx-gateway" in flags


def test_a_wheel_that_names_a_folder_of_this_machine_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "gateway.whl"
    for path, is_refused in ((REPOSITORY, True), (Path("/usr/lib"), False)):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("METADATA", f"Home: {path}/docs")
        with pytest.raises(build.NotBuilt) if is_refused else contextlib.nullcontext():
            build.expect_no_paths(wheel)


def test_the_innermost_folder_is_replaced() -> None:
    lengths = [len(flag.split("=")[1]) for flag in build.compiler_flags()["RUSTFLAGS"].split()]
    assert lengths == sorted(lengths)


def installed_files(metadata: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The files of the deb and of the rpm: where each is installed, and from where."""
    deb, rpm = {}, {}
    for source, target, _ in metadata["deb"]["assets"]:
        deb["/" + (target + Path(source).name if target.endswith("/") else target)] = source
    for asset in metadata["generate-rpm"]["assets"]:
        rpm[asset["dest"]] = asset["source"]
    return deb, rpm


def test_deb_and_rpm_install_the_same_files() -> None:
    deb, rpm = installed_files(toml("Cargo.toml")["package"]["metadata"])
    # cargo-deb adds these by itself.
    assert rpm.pop(f"/{UNIT}") == str(SERVICE.relative_to(REPOSITORY))
    assert rpm.pop("/usr/share/doc/onnx-gateway/LICENSE") == "LICENSE"
    assert deb == rpm
    for source in deb.values():
        if not source.startswith(("target/", ".onnxruntime/")):
            assert (REPOSITORY / source).is_file(), source


def test_every_package_has_the_licences_of_what_it_contains() -> None:
    deb, _ = installed_files(toml("Cargo.toml")["package"]["metadata"])
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        assert f"/usr/share/doc/onnx-gateway/onnxruntime/{name}" in deb
        assert f"share/doc/onnx-gateway/onnxruntime/{name}" in build.TAR_FILES
    assert "/usr/share/doc/onnx-gateway/THIRD-PARTY.txt" in deb
    assert "share/doc/onnx-gateway/THIRD-PARTY.txt" in build.TAR_FILES
    for folder in ("share/doc/onnx-gateway", "/usr/share/doc/onnx-gateway"):
        assert f"{folder}/{build.BILL.name}" in {**build.TAR_FILES, **deb}
    assert str(build.THIRD_PARTY.relative_to(REPOSITORY)) in toml("pyproject.toml")["project"]["license-files"]


def test_a_wheel_without_the_licences_of_its_crates_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "gateway.whl"
    for name, is_refused in (("licenses/LICENSE", True), ("licenses/target/THIRD-PARTY.txt", False)):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"onnx_gateway-0.1.0.dist-info/{name}", "MIT")
        with pytest.raises(build.NotBuilt) if is_refused else contextlib.nullcontext():
            build.expect_licences(wheel)


def test_the_licences_name_each_crate_with_its_text(tmp_path: Path) -> None:
    output = tmp_path / "THIRD-PARTY.txt"
    subprocess.run([REPOSITORY / "tools" / "third-party", "--output", output], check=True)
    text = output.read_text()
    overview, _, texts = text.partition("=" * 100)
    for crate in ("axum", "tokio", "aws-lc-sys", "ort", "zstd-sys"):
        assert f"\n  {crate} " in overview, crate
        assert f"{crate} " in texts, crate
    # These run in the compiler, in the build and in tests alone.
    for crate in ("syn", "protox", "proptest"):
        assert f"\n  {crate} " not in overview, crate
    assert build.found_paths(text.encode()) == []


def elf(sections: dict[bytes, bytes]) -> bytes:
    """A file with the head of ELF and these sections, and nothing to run."""
    names = b"\0" + b"\0".join([*sections, b".shstrtab"]) + b"\0"
    contents = {**sections, b".shstrtab": names}
    body, table = bytearray(64), []
    for name, content in contents.items():
        table.append(struct.pack("<IIQQQQIIQQ", names.index(name), 1, 0, 0, len(body), len(content), 0, 0, 1, 0))
        body += content
    body[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", body, 0x28, len(body))
    struct.pack_into("<HHH", body, 0x3A, 64, len(table), len(table) - 1)
    return bytes(body) + b"".join(table)


def test_the_crates_in_a_binary_are_compared_with_the_bill(tmp_path: Path) -> None:
    listed = [
        {"name": "onnx-gateway", "version": "1.0.0", "root": True},
        {"name": "ort", "version": "2.0.0", "kind": "runtime"},
        {"name": "cc", "version": "1.2.3", "kind": "build"},
    ]
    section = zlib.compress(json.dumps({"packages": listed}).encode())
    binary, bill = tmp_path / "onnx-gateway", tmp_path / "bill.json"
    binary.write_bytes(elf({b".text": b"code", audit.SECTION: section}))
    assert audit.crates(binary) == {("onnx-gateway", "1.0.0"), ("ort", "2.0.0")}

    def write(version: str) -> None:
        root = {"name": "onnx-gateway", "version": "1.0.0", "purl": "pkg:cargo/onnx-gateway@1.0.0"}
        parts = [{"name": "ort", "version": version, "purl": f"pkg:cargo/ort@{version}"}]
        bill.write_text(json.dumps({"metadata": {"component": root}, "components": parts}))

    write("2.0.0")
    build.expect_auditable(binary, bill)
    write("2.0.1")
    with pytest.raises(build.NotBuilt, match=r"ort 2\.0\.0, ort 2\.0\.1"):
        build.expect_auditable(binary, bill)
    binary.write_bytes(elf({b".text": b"code"}))
    with pytest.raises(build.NotBuilt, match="build it by cargo auditable"):
        build.expect_auditable(binary, bill)


def test_the_bill_of_the_image_follows_the_schema_and_lists_all_that_is_in_it(tmp_path: Path) -> None:
    status, release, output = tmp_path / "status", tmp_path / "os-release", tmp_path / "bill.json"
    status.write_text(
        "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36-9+deb12u10\nArchitecture: amd64\n"
        "Description: library\n more text\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n"
    )
    release.write_text('ID=debian\nVERSION_ID="12"\n')
    command: list[str | Path] = [
        REPOSITORY / "tools" / "sbom",
        "--validate",
        "--image",
        status,
        release,
        "--output",
        output,
    ]
    subprocess.run(command, check=True)
    found = json.loads(output.read_text())
    names = {one["name"] for one in found["components"]}
    # Of the program, of ONNX Runtime, and of Debian.
    assert {"onnx-gateway", "rustls", "aws-lc-sys", "onnxruntime", "debian", "libc6"} <= names
    # These are removed, or run in the compiler and in tests alone.
    assert not {"gone", "syn", "proptest"} & names
    (libc,) = (one["purl"] for one in found["components"] if one["name"] == "libc6")
    assert libc == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12&upstream=glibc"
    assert build.found_paths(output.read_bytes()) == []


def test_the_unit_starts_what_is_installed() -> None:
    deb, _ = installed_files(toml("Cargo.toml")["package"]["metadata"])
    service = service_of(SERVICE.read_text())
    binary, _, settings, _ = service["ExecStart"].split()
    assert {binary, settings} <= set(deb)
    package = toml("config/package.toml")
    assert package["auth"]["signing_secret_file"] == f"/{KEY}"
    assert package["models"]["state_directory"].startswith(f"/{STATE}/")
    assert service["StateDirectory"] == Path(STATE).name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / SERVICE.name
    # The program is not installed here.
    unit.write_text(SERVICE.read_text().replace("ExecStart=/usr/bin/onnx-gateway", "ExecStart=/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "bookkeeping", "kept"),
    [
        ("var/lib/dpkg/status", True, False),
        ("etc/passwd-", True, False),
        ("etc/passwd.old", False, False),
        ("etc/onnx-gateway/gateway.toml", False, True),
        ("var/lib/onnx-gateway", False, True),
        ("var/lib/onnx-gateways", False, False),
        ("usr/bin/onnx-gateway", False, False),
    ],
)
def test_what_a_removal_may_leave(name: str, bookkeeping: bool, kept: bool) -> None:
    assert (is_bookkeeping(name), is_kept(name)) == (bookkeeping, kept)
