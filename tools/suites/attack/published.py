"""Keys that an issuer must not publish: they verify nothing, and do not take the good ones with them."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from .gateway import SECRET, Gateway, until
from .gateway import signed as signed_by_secret
from .issuer import AUDIENCE, Issuer, signed_by
from .issuers import accepts
from .registry import Encrypted, Run, case, expect
from .secrets import refused_starts
from .tokens import claims, refused
from .wires import bearer, on_each, wires

ISSUER = "https://login.example.com"


@dataclass(frozen=True)
class Unusable:
    """A key, how its owner signs, and what the published form says besides or instead."""

    key: Key
    algorithm: str
    changes: dict[str, Any] = field(default_factory=dict)
    # True if the private part is published, too.
    whole: bool = False

    def published(self, kid: str) -> dict[str, Any]:
        return dict(self.key.as_dict(private=self.whole)) | {"kid": kid} | self.changes


def curve(name: str = "P-256") -> ECKey:
    return ECKey.generate_key(name)


def unusable() -> dict[str, Unusable]:
    """Keys by what is wrong with them, which is their id."""
    rsa = RSAKey.generate_key(2048)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        short = RSAKey.generate_key(1024)
    return {
        "encryption": Unusable(curve(), "ES256", {"use": "enc"}),
        "no-verification": Unusable(curve(), "ES256", {"key_ops": ["sign"]}),
        "PS256-signs-RS256": Unusable(rsa, "RS256", {"alg": "PS256"}),
        "RS256-signs-PS256": Unusable(rsa, "PS256", {"alg": "RS256"}),
        "OAEP": Unusable(rsa, "RS256", {"alg": "RSA-OAEP"}),
        "ES256-of-P-384": Unusable(curve("P-384"), "ES384", {"alg": "ES256"}),
        "ES384-of-P-256": Unusable(curve(), "ES256", {"alg": "ES384"}),
        "secp256k1": Unusable(curve("secp256k1"), "ES256K"),
        "private": Unusable(curve(), "ES256", whole=True),
        "secret": Unusable(OctKey.generate_key(256), "HS256", {"alg": "HS256"}, whole=True),
        "short": Unusable(short, "RS256", {"alg": "RS256"}),
        "twice": Unusable(curve(), "ES256"),
    }


@case(
    "keys that must not be published",
    "an issuer whose key set has keys for encryption, of other algorithms and curves, private, secret and short ones, "
    "and two of one id, besides a good one; tokens signed with each, and by HMAC with what is public",
    "401 on every wire for each; the good key is accepted; the log names what is left out",
    encrypted=Encrypted.FULL,
)
def misused(run: Run) -> str:
    keys = unusable()
    with Issuer() as issuer:
        issuer.published["keys"] += [one.published(kid) for kid, one in keys.items()]
        issuer.published["keys"].append(Unusable(curve(), "ES256").published("twice"))
        tokens = [(kid, signed_by(one.key, one.algorithm, kid, issuer.claims())) for kid, one in keys.items()]
        tokens += confused(issuer)
        with Gateway(run, **issuer.settings("login")) as gateway:
            until(lambda: accepts(gateway, issuer), 10, "the good key is accepted")
            seen = {wire.name: refused(wire, tokens) for wire in wires(gateway)}
            for wire in wires(gateway):
                status = wire.send(bearer(issuer.token())).status
                expect(status == 200, f"{wire.name}: the good key: {status}")
            log = gateway.log()
            # A key of another algorithm than its tokens is a good key.
            usable = {"PS256-signs-RS256", "RS256-signs-PS256"}
            unnamed = [kid for kid in keys if kid not in usable and f"`{kid}`" not in log]
            expect(not unnamed, f"the log does not name {unnamed}")
            gateway.good()
            return on_each(gateway, seen)


def confused(issuer: Issuer) -> list[tuple[str, str]]:
    """Tokens of which the key or the issuer is that of another."""
    good = issuer.keys[-1]
    kid, public = str(good.kid), good.as_dict(private=False)
    pem, document = good.as_pem(private=False).decode(), json.dumps(public, separators=(",", ":"))
    header = {"alg": "HS256", "typ": "at+jwt"}
    found = [
        (f"HMAC by {what}, {where}", signed_by_secret(header | named, issuer.claims(), secret))
        for what, secret in {"the PEM": pem, "the JWK": document, "x": str(public["x"]), "our secret": SECRET}.items()
        for where, named in {"its kid": {"kid": kid}, "no kid": {}}.items()
    ]
    ours: dict[str, Any] = dict(claims())
    return [*found, ("our issuer, its key", signed_by(good, "ES256", kid, ours))]


def written(folder: Path, name: str, *keys: dict[str, Any]) -> dict[str, Any]:
    """Settings of an issuer with a file of these keys."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"keys": keys}))
    return {"auth.issuers.login": {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(file)}}


@case(
    "files of keys that must not be published",
    "a private key, a shared secret, or two keys of one id beside a good one in a file; files of no key of use; "
    "the same as a key of the settings",
    "the start is refused, and the error names the setting; the good key alone is accepted",
)
def files_of_keys(run: Run) -> str:
    folder = run.scratch / "key-sets"
    folder.mkdir()
    keys = {kid: one.published(kid) for kid, one in unusable().items()}
    good = Unusable(curve(), "ES256").published("good")
    grave = ("private", "secret")
    # Of a good kind, but for the algorithm that the settings would have.
    sets = {f"{kid} in a file": written(folder, kid, good, keys[kid]) for kid in grave}
    sets["two of one id in a file"] = written(folder, "twice", good, keys["twice"], good | {"kid": "twice"})
    alone = [kid for kid in keys if kid not in ("PS256-signs-RS256", "RS256-signs-PS256", "twice", *grave)]
    sets |= {f"{kid} alone in a file": written(folder, f"{kid}-alone", keys[kid]) for kid in alone}
    in_files = refused_starts(run, {what: (one, {}) for what, one in sets.items()}, "auth.issuers.login.jwks_file")
    algorithms = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}
    of_settings = {
        kid: {f"auth.keys.{kid}": {"algorithm": algorithms[jwk["kty"]], "jwk": json.dumps(jwk)}}
        for kid, jwk in keys.items()
        if kid not in ("RS256-signs-PS256", "twice")
    }
    in_settings = refused_starts(run, {what: (one, {}) for what, one in of_settings.items()}, "jwk")
    with Gateway(
        run, **{f"auth.issuers.login__{key}": value for key, value in good_alone(folder, good).items()}
    ) as one:
        one.good()
    return f"in files: {in_files}; in the settings: {in_settings}"


def good_alone(folder: Path, good: dict[str, Any]) -> dict[str, Any]:
    return dict(written(folder, "good", good)["auth.issuers.login"])
