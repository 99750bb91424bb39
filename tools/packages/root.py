"""System packages in a root folder: this machine's file system below an overlay, which takes all changes.

It has to run in a mount namespace of its own, as root:

    unshare --mount --propagation private python -m packages.root deb|rpm PACKAGE   from tools/
"""

from __future__ import annotations

import configparser
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.gateway import NotServing

from .check import Wrong
from .serving import MODEL, Installed, check_serving

UNIT = "usr/lib/systemd/system/onnx-gateway.service"
LIBRARY = "/usr/lib/onnx-gateway/libonnxruntime.so"
USER = "onnx-gateway"
KEY = "etc/onnx-gateway/signing-secret"
STATE = "var/lib/onnx-gateway"
# Folders and files of the package managers and of users, which change whatever is installed.
BOOKKEEPING = ("var/lib/dpkg", "var/lib/rpm", "root/.rpmdb", "var/log", "var/cache", "run", "tmp")
ACCOUNTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid", ".pwd.lock")

INSTALL = {"deb": ("dpkg", "--install"), "rpm": ("rpm", "--install", "--nodeps")}
REMOVE = {"deb": ("dpkg", "--remove"), "rpm": ("rpm", "--erase")}
# Where data stays after a removal; systemd's part of Debian remembers there whether the service was enabled.
KEPT = (STATE, "etc/onnx-gateway", "var/lib/systemd/deb-systemd-helper-enabled")


class Root:
    """The root folder and the folder of all changes to it."""

    def __init__(self, work: Path) -> None:
        # Not on the file system that is below the overlay.
        mount("-t", "tmpfs", "tmpfs", work)
        self.folder, self.changes = work / "root", work / "changes"
        scratch = work / "scratch"
        for folder in (self.folder, self.changes, scratch):
            folder.mkdir()
        options = f"lowerdir=/,upperdir={self.changes},workdir={scratch}"
        mount("-t", "overlay", "overlay", "-o", options, self.folder)
        for shared in ("proc", "dev"):
            mount("--rbind", f"/{shared}", self.folder / shared)
        # No sign of a running systemd, so that scripts start and stop nothing.
        for empty in ("run", "tmp"):
            mount("-t", "tmpfs", "tmpfs", self.folder / empty)

    def command(self, *words: str | Path) -> list[str | Path]:
        return ["chroot", self.folder, *words]

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def new_files(self) -> list[str]:
        """Files and folders that were added, changed or taken away."""
        found = []
        for path in sorted(self.changes.rglob("*")):
            name = str(path.relative_to(self.changes))
            is_only_entered = path.is_dir() and not path.is_symlink() and (Path("/") / name).is_dir()
            if not is_only_entered and not is_bookkeeping(name):
                found.append(name)
        return found


def is_bookkeeping(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    is_account = folder == "etc" and file.rstrip("-") in ACCOUNTS
    return is_account or any(name == place or name.startswith(f"{place}/") for place in BOOKKEEPING)


def is_kept(name: str) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in KEPT)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def service_of(unit: str) -> dict[str, str]:
    """The entries of the section [Service] that occur once."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit)
    return dict(parser["Service"])


def installed_gateway(root: Root) -> Installed:
    """The gateway as its unit starts it: the command, the user and the folder."""
    service = service_of((root.folder / UNIT).read_text())
    binary, option, settings, command = service["ExecStart"].split()
    if (option, command) != ("--config", "serve"):
        raise Wrong(f"ExecStart is {service['ExecStart']}")
    identity = [f"--reuid={service['User']}", f"--regid={service['Group']}", "--init-groups", "--no-new-privs"]
    # The folder is entered after the root was changed.
    enter = ["env", f"--chdir={service['WorkingDirectory']}"]
    wrapper = root.command("setpriv", *identity, "--bounding-set=-all", *enter)
    name, _, value = service["Environment"].partition("=")
    return Installed(binary, settings, LIBRARY, wrapper, environment={name: value})


def put_data(root: Root) -> None:
    """Adds what an operator adds: a key and a model."""
    key = root.folder / KEY
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    os.chown(key, int(root.run("id", "--user", USER)), int(root.run("id", "--group", USER)))
    model = root.folder / STATE / "models" / "iris" / "1"
    model.mkdir(parents=True)
    shutil.copy(MODEL, model)


def expect_unit(root: Root) -> None:
    said = root.run("systemd-analyze", "verify", f"/{UNIT}")
    if said:
        raise Wrong(f"systemd-analyze verify: {said}")


def expect_owner(root: Root) -> None:
    state = (root.folder / STATE).stat()
    if state.st_uid == 0 or stat.S_IMODE(state.st_mode) != 0o750:
        raise Wrong(f"/{STATE} belongs to {state.st_uid} and has the mode {state.st_mode:o}")


def check(kind: str, package: Path) -> None:
    # Never emptied file by file: devices of this machine are mounted below.
    work = Path(tempfile.mkdtemp(prefix="onnx-gateway-root-"))
    try:
        root = Root(work)
        copy = Path("/tmp") / package.name
        shutil.copy(package, root.folder / "tmp")
        root.run(*INSTALL[kind], copy)
        expect_unit(root)
        expect_owner(root)
        put_data(root)
        check_serving(installed_gateway(root))
        root.run(*REMOVE[kind], USER)
        lost = [name for name in (KEY, f"{STATE}/models/iris/1/model.onnx") if not (root.folder / name).exists()]
        left = [name for name in root.new_files() if not is_kept(name)]
        if lost or left:
            raise Wrong(f"a removal takes {lost} and leaves {left}; it should take all but data")
        if kind == "deb":
            root.run("dpkg", "--purge", USER)
            if left := root.new_files():
                raise Wrong(f"a purge leaves {left}")
            if USER in (root.folder / "etc" / "passwd").read_text():
                raise Wrong("a purge leaves the user")
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", work], check=False)
        work.rmdir()


def main() -> None:
    kind, package = sys.argv[1:]
    try:
        check(kind, Path(package))
    except (Wrong, NotServing) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
