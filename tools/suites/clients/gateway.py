"""The gateway as the checks see it: addresses, a token, and a way to ask it without any client."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60
# The routes that Vertex AI would name in the environment of its containers.
VERTEX_PREDICT_ROUTE = "/v1/endpoints/1234/deployedModels/5678:predict"
VERTEX_HEALTH_ROUTE = "/vertex-health"


@dataclass
class Gateway:
    http: str
    grpc: str
    token: str
    # A folder for files of the checks.
    scratch: Path

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """The headers for gRPC."""
        return [("authorization", f"Bearer {self.token}")]

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, self.headers | (headers or {}), method=method)
        if content is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def document(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON of an answer that has to be 200."""
        status, content, _ = self.ask(method, path, body, headers)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {content.decode(errors='replace')}")
        return json.loads(content)
