"""Keys that everyone could guess: the start is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from lib.certificates import openssl
from lib.gateway import environment, toml

from .gateway import SECRET, Gateway, signed
from .registry import Encrypted, Run, case, expect
from .tokens import HEADER, claims
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
    return refused_starts(run, weak(run.scratch / "keys"))


def refused_starts(run: Run, cases: dict[str, tuple[dict[str, Any], dict[str, str]]], named: str = "auth.") -> str:
    """Checks settings that are each wrong, with their variables: each is refused by a text that has this name."""
    accepted = []
    for number, (what, (settings, variables)) in enumerate(cases.items()):
        file = run.scratch / f"refused-{number}.toml"
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
        if done.returncode == 0 or named not in done.stderr + done.stdout:
            accepted.append(f"{what}: {done.returncode} {(done.stderr or done.stdout)[-100:]}")
        expect(SECRET not in done.stdout + done.stderr, f"{what}: the secret is printed")
    expect(not accepted, "; ".join(accepted))
    return f"{len(cases)} refused"


SECRETS = {kid: f"{kid}-secret-{SECRET}" for kid in ("old", "new")}


@case(
    "rotation of the gateway's keys",
    "tokens of an old and of a new key; the old key is then removed from the settings",
    "200 for both; after it 401 for the old one, also where it was accepted before, and 200 for the new one",
    encrypted=Encrypted.FULL,
)
def rotation(run: Run) -> str:
    keys: dict[str, Any] = {
        f"auth.keys.{kid}__{key}": value
        for kid, secret in SECRETS.items()
        for key, value in (("algorithm", "HS256"), ("secret", secret))
    }
    with Gateway(run, auth__signing_key="new", **keys) as gateway:
        tokens = [signed(HEADER | {"kid": kid}, claims(), secret) for kid, secret in SECRETS.items()]
        crossed = signed(HEADER | {"kid": "new"}, claims(), SECRETS["old"])
        tried = list(wires(gateway))
        before = {wire.name: [wire.send(bearer(token)).status for token in tokens] for wire in tried}
        old = toml({"auth.keys.old": {"algorithm": "HS256", "secret": SECRETS["old"]}})
        gateway.reload(old, "", "auth.keys.old")
        seen = {}
        for wire in tried:
            after = [wire.send(bearer(token)).status for token in (*tokens, crossed)]
            seen[wire.name] = f"{before[wire.name]}, then {after}"
            expect(before[wire.name] == [200, 200] and after == [401, 200, 401], f"{wire.name}: {seen[wire.name]}")
        expect(not any(secret in gateway.log() for secret in SECRETS.values()), "the log has a secret")
        gateway.good()
        return on_each(gateway, seen)


@case(
    "a public key as a secret",
    "tokens signed by HMAC with the public key of RS256, under its kid and without one",
    "401 on each wire",
    encrypted=Encrypted.FULL,
)
def confused(run: Run) -> str:
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
