"""Issuers of tokens on loopback: one of a registry package, and one that misbehaves when it is told to."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet

from .gateway import encoded
from .http1 import HOST
from .registry import expect

AUDIENCE = "https://models.example.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LARGE = 100 << 20
BLOCK = b" " * (64 << 10)


def signed_by(key: Key, algorithm: str, kid: str, claims: dict[str, Any], **header: Any) -> str:
    """A token with more in its header, if wanted."""
    message = f"{encoded({'alg': algorithm, 'typ': 'at+jwt', 'kid': kid} | header)}.{encoded(claims)}"
    # The library signs no header that it would refuse.
    return (
        f"{message}.{encoded(jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm).sign(message.encode(), key))}"
    )


class Issuer:
    """An issuer with keys that can be changed, and with every way of not handing them out."""

    def __init__(self) -> None:
        self.keys = [self.new_key("1")]
        self.published: dict[str, Any] = self.public()
        self.behavior = "keys"
        self.fetches: list[float] = []
        self.server = ThreadingHTTPServer((HOST, 0), handler_of(self))
        self.server.daemon_threads = True
        self.url = f"http://{HOST}:{self.server.server_port}"
        self.ended = threading.Event()

    @staticmethod
    def new_key(kid: str) -> ECKey:
        return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})

    def public(self) -> dict[str, Any]:
        return dict(KeySet(list(self.keys)).as_dict(private=False))

    def rotate(self) -> None:
        """Publishes another key beside the last one, and signs with it from now on."""
        key = self.new_key(str(int(self.keys[-1].kid or 0) + 1))
        self.keys = [self.keys[-1], key]
        self.published = self.public()

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "caller", "iat": now, "exp": now + 600, "scope": "predict"}
        return claims | changed

    def token(self, key: ECKey | None = None, **changed: Any) -> str:
        key = key or self.keys[-1]
        return signed_by(key, "ES256", str(key.kid), self.claims(**changed))

    def settings(self, name: str) -> dict[str, Any]:
        """Settings of a gateway that accepts its tokens, as its tests name them."""
        section = f"auth.issuers.{name}"
        return {f"{section}__issuer": self.url, f"{section}__audience": AUDIENCE, f"{section}__discovery": True}

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


def handler_of(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.endswith("openid-configuration"):
                self.document({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"})
                return
            issuer.fetches.append(time.monotonic())
            match issuer.behavior:
                case "keys":
                    self.document(issuer.published)
                case "down":
                    self.send_error(503)
                case "redirect":
                    self.send_response(302)
                    self.send_header("Location", f"{issuer.url}/.well-known/openid-configuration")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                case "slow":
                    issuer.ended.wait(30)
                case "malformed":
                    self.document({"keys": {"not": "a list"}})
                case "large":
                    self.blanks()

        def document(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def blanks(self) -> None:
            """A response of 100 MB without a length, of which no more exists than is read."""
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(LARGE // len(BLOCK)):
                    self.wfile.write(BLOCK)
            except OSError:
                pass
            self.close_connection = True

    return Handler


class Provider:
    """An OpenID provider as others write it: `oidc-provider-mock`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=10)
        connection.request(method, path, urlencode(form) if form else None, FORM if form else {})
        return connection.getresponse()

    def token(self, client: str) -> str:
        """Logs a user in, by the authorization code flow, and returns the signed token."""
        found = json.loads(self.ask("GET", "/.well-known/openid-configuration").read())
        back = "http://localhost/back"
        query = {"client_id": client, "redirect_uri": back, "response_type": "code", "scope": "openid"}
        path = f"{urlsplit(found['authorization_endpoint']).path}?{urlencode(query)}"
        location = self.ask("POST", path, {"sub": "ada"}).headers["Location"]
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        form |= {"client_id": client, "client_secret": "of no use"}
        answer = self.ask("POST", urlsplit(found["token_endpoint"]).path, form)
        expect(answer.status == 200, f"the provider gave no token: {answer.status}")
        return str(json.loads(answer.read())["id_token"])


@contextmanager
def provider(roles: list[str]) -> Iterator[Provider]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from oidc_provider_mock import User, run_server_in_thread
    with run_server_in_thread(user_claims=[User(sub="ada", claims={"roles": roles})]) as server:
        yield Provider(server.server_port)
