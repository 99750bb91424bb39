"""HTTP as it is on the wire: nothing is added, followed or decoded that a rule may want to see."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .registry import Miss

TIMEOUT_SECONDS = 30
MOST_RETRIES = 30


def strict_json(content: bytes) -> Any:
    """JSON as RFC 8259 has it: NaN and Infinity are no JSON, though Python reads them."""

    def refuse(token: str) -> None:
        raise ValueError(f"{token} is no JSON")

    return json.loads(content.decode("utf-8"), parse_constant=refuse)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    def json(self) -> Any:
        try:
            return strict_json(self.content)
        except ValueError as error:
            raise Miss(f"{self.shown()}: not JSON ({error})") from None

    def object(self) -> dict[str, Any]:
        document = self.json()
        if not isinstance(document, dict):
            raise Miss(f"no JSON object: {self.shown()}")
        return document

    def shown(self) -> str:
        text = self.content[:161].decode("utf-8", "backslashreplace").strip()
        text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
        return f"{self.status} {text if len(text) <= 160 else text[:157] + '...'}".strip()


class Http:
    """One connection, opened anew when the server closes it."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self.secure = parts.scheme == "https"
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or (443 if self.secure else 80)
        self.prefix = parts.path.rstrip("/")
        self.token = token
        self.connection: http.client.HTTPConnection | None = None

    def connect(self) -> http.client.HTTPConnection:
        if self.secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        authorized: bool = True,
    ) -> Answer:
        every = dict(headers or {})
        if authorized and self.token:
            every["Authorization"] = f"Bearer {self.token}"
        for _ in range(MOST_RETRIES):
            answer = self.once(method, path, body, every)
            if answer.status != http.client.TOO_MANY_REQUESTS:
                break
            seconds = min(float(answer.headers.get("Retry-After", "1") or 1), 60.0)
            print(f"conformance: the server's rate limit: waiting {seconds:g} s", file=sys.stderr, flush=True)
            time.sleep(seconds)
        return answer

    def once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        try:
            return self.exchange(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError, http.client.CannotSendRequest):
            # An idle connection may be closed at any time; a fresh one may not.
            self.close()
            try:
                return self.exchange(method, path, body, headers)
            except http.client.HTTPException as error:
                self.close()
                raise OSError(str(error) or type(error).__name__) from error
        except http.client.HTTPException as error:
            self.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        except OSError:
            self.close()
            raise

    def exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self.connection is None:
            self.connection = self.connect()
        # By hand, so that nothing but what a rule names is sent: no Content-Type, no Accept-Encoding.
        self.connection.putrequest(method, self.prefix + path, skip_accept_encoding=True)
        for name, value in headers.items():
            self.connection.putheader(name, value)
        lower = {name.lower() for name in headers}
        if (
            "transfer-encoding" not in lower
            and "content-length" not in lower
            and (body is not None or method == "POST")
        ):
            self.connection.putheader("Content-Length", str(len(body or b"")))
        self.connection.endheaders(body)
        response = self.connection.getresponse()
        return Answer(response.status, response.msg, response.read())

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
