"""Keys that everyone could guess: the start is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from lib.certificates import openssl
from lib.gateway import environment, toml

from .gateway import SECRET, Gateway
from .registry import Run, case, expect
from .wires import bearer, on_each, wires

CHECK_SECONDS = 30


def public_key(folder: Path, name: str, *how: str) -> Path:
    """A new key pair; the file of its public part."""
    folder.mkdir(exist_ok=True)
    openssl(folder, "genpkey", *how, "-out", f"{name}.key")
    openssl(folder, "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pem")
    return folder / f"{name}.pem"


def weak(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Settings, and variables of the environment, by what is wrong with them."""
    short = public_key(folder, "rsa-1024", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    curve = public_key(folder, "p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    secret_file = folder / "secret"
    secret_file.write_text(SECRET)

    def key(algorithm: str, file: Path) -> dict[str, Any]:
        return {"auth.keys.other": {"algorithm": algorithm, "public_key_file": str(file)}}

    return {
        "a secret of 8 bytes": ({"auth": {"signing_secret": "12345678"}}, {}),
        "a secret that everyone knows": ({"auth": {"signing_secret": "your-256-bit-secret-your-256-bit-secret"}}, {}),
        "a secret of one letter": ({"auth": {"signing_secret": "a" * 40}}, {}),
        "an RSA key of 1,024 bits": (key("RS256", short), {}),
        "a curve of another algorithm": (key("ES256", curve), {}),
        "a key of another kind": (key("EdDSA", curve), {}),
        "a secret twice": ({"auth": {"signing_secret": SECRET, "signing_secret_file": str(secret_file)}}, {}),
        "no key": ({}, {}),
    }


@case(
    "weak keys",
    "secrets that are short, known, or of one letter, RSA of 1,024 bits, other kinds of keys, a secret twice, none",
    "the start is refused, and the error names the setting",
)
def weak_keys(run: Run) -> str:
    accepted = []
    cases = weak(run.scratch / "keys")
    for number, (what, (settings, variables)) in enumerate(cases.items()):
        file = run.scratch / f"weak-{number}.toml"
        file.write_text(toml(settings))
        done = subprocess.run(
            [run.binary, "--config", file, "check"],
            env=environment() | variables,
            cwd=run.scratch,
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
        if done.returncode == 0 or "auth." not in done.stderr + done.stdout:
            accepted.append(f"{what}: {done.returncode} {(done.stderr or done.stdout)[-100:]}")
        expect(SECRET not in done.stdout + done.stderr, f"{what}: the secret is printed")
    expect(not accepted, "; ".join(accepted))
    return f"{len(cases)} refused"


@case(
    "a public key as a secret",
    "tokens signed by HMAC with the public key of RS256, under its kid and without one",
    "401 on each wire",
)
def confused(run: Run) -> str:
    from .tokens import claims, signed

    folder = run.scratch / "confused"
    file = public_key(folder, "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    key: dict[str, Any] = {"auth.keys.rsa__algorithm": "RS256", "auth.keys.rsa__public_key_file": str(file)}
    with Gateway(run, **key) as gateway:
        text = file.read_text()
        tokens = [
            signed({"alg": algorithm, "typ": "at+jwt"} | kid, claims(), secret)
            for algorithm in ("HS256", "RS256")
            for kid in ({}, {"kid": "rsa"})
            for secret in (text, text.strip())
        ]
        seen = {}
        for wire in wires(gateway):
            statuses = {wire.send(bearer(token)).status for token in tokens}
            expect(statuses == {401}, f"{wire.name}: {statuses}")
            seen[wire.name] = f"{len(tokens)} tokens, each 401"
        gateway.good()
        return on_each(gateway, seen)
