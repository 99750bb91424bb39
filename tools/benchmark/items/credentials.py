"""The kinds of credentials, and TLS, beside the gateway as it usually is: HS256 over plain HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lib.gateway import environment

from ..bench import Bench
from ..gateway import Settings
from ..rounds import Result
from .variants import Variant, compare, judge

# The most CPU time of a request, as a multiple of that with HS256. Tokens are verified once and then known.
LIMITS = {"RS256": 1.05, "ES256": 1.05, "API key": 1.05}
TLS_LIMIT = {"TLS": 1.25}

KEYS = {
    "RS256": ("RSA", "rsa_keygen_bits:2048"),
    "ES256": ("EC", "ec_paramgen_curve:P-256"),
}


def measure(bench: Bench) -> list[Result]:
    """Tokens signed with key pairs, and API keys, in place of a shared secret."""
    if not shutil.which("openssl"):
        bench.leave_out("openssl is not there, with which the keys are made")
        return []
    variants = [Variant(algorithm, signing(bench, algorithm)) for algorithm in KEYS]
    return judge(compare(bench, "auth", *variants, api_key(bench)), LIMITS)


def measure_tls(bench: Bench) -> list[Result]:
    """TLS over connections that stay open: the handshakes are before what is measured."""
    if not shutil.which("openssl"):
        bench.leave_out("openssl is not there, with which the certificate is made")
        return []
    certificate, key = self_signed(bench.folder("certificate"))
    changes = {"server.tls": {"certificate_file": str(certificate), "private_key_file": str(key)}}
    return judge(compare(bench, "tls", Variant("TLS", changes, certificate=certificate)), TLS_LIMIT)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Makes a certificate for loopback that is its own authority. Returns it and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    options = ["-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    files: list[str | Path] = ["-keyout", key, "-out", certificate]
    # Its own authority: a certificate that may sign others is none of a server.
    openssl("req", *options, *names, "-addext", "basicConstraints=critical,CA:FALSE", *files)
    return certificate, key


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def signing(bench: Bench, algorithm: str) -> Settings:
    """Settings of a gateway that signs with a new key pair."""
    folder = bench.folder(f"key-{algorithm}")
    private, public = folder / "private.pem", folder / "public.pem"
    kind, option = KEYS[algorithm]
    openssl("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    key = {"algorithm": algorithm, "private_key_file": str(private), "public_key_file": str(public)}
    return {"auth": {"signing_key": "bench"}, "auth.keys.bench": key}


def api_key(bench: Bench) -> Variant:
    command: list[str | Path] = [bench.gateway, "api-key", "bench", "--scope", "predict", "--json"]
    made = json.loads(subprocess.run(command, env=environment(), capture_output=True, check=True).stdout)
    settings = {"hash": made["hash"], "scopes": made["scopes"]}
    return Variant("API key", {"auth.api_keys.bench": settings}, credentials=made["key"])
