"""Certificates for gateways that suites start: an authority of their own, and a certificate that it issues."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "200"
# Names and addresses at which the gateway is asked.
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class NoOpenSsl(RuntimeError):
    """The program that makes certificates is missing."""


@dataclass(frozen=True)
class Certificates:
    """Files as PEM: the authority to trust, and the certificate that it issued with its key."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """The entries of a section `tls`."""
        return {"certificate_file": str(self.certificate), "private_key_file": str(self.key)}


def openssl(folder: Path, *arguments: str) -> None:
    if not shutil.which("openssl"):
        raise NoOpenSsl("openssl is missing, which makes certificates: apt-get install openssl")
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def make_authority(folder: Path) -> None:
    """Makes `authority.pem` with its key."""
    folder.mkdir(parents=True, exist_ok=True)
    subject = ("-subj", "/CN=Authority of a suite", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(
        folder, "req", "-x509", *CURVE, "-keyout", "authority.key", "-out", "authority.pem", "-days", DAYS, *subject
    )


def issue(folder: Path, name: str, names: str = NAMES, usage: str = "serverAuth") -> tuple[Path, Path]:
    """Issues a certificate for a new key by the authority of this folder. Returns both files."""
    certificate, key, request = folder / f"{name}.pem", folder / f"{name}.key", f"{name}.csr"
    extensions = f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
    (folder / f"{name}.extensions").write_text(f"{extensions}{names}\n")
    openssl(folder, "req", "-new", *CURVE, "-keyout", key.name, "-out", request, "-subj", f"/CN={name}")
    authority = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
    how = ("-days", DAYS, "-sha256", "-extfile", f"{name}.extensions")
    openssl(folder, "x509", "-req", "-in", request, *authority, "-out", certificate.name, *how)
    return certificate, key


def made_in(folder: Path) -> Certificates:
    """Makes an authority and a certificate of this machine in a folder; those that are there are kept."""
    authority, certificate, key = folder / "authority.pem", folder / "gateway.pem", folder / "gateway.key"
    if not certificate.exists():
        make_authority(folder)
        issue(folder, "gateway")
    return Certificates(authority, certificate, key)
