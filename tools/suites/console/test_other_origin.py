"""A page of another origin predicts if the settings list its origin, and cannot otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from lib.suite import expect
from suites.endtoend.launch import CLIENT, SECRET

from .conftest import served
from .launch import Watched

PREDICT = """async ([url, token]) => {
    try {
        const response = await fetch(`${url}/models/iris/predict`, {
            method: "POST",
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
            body: JSON.stringify({ features: [5.1, 3.5, 1.4, 0.2] }),
        });
        const version = response.headers.get("x-model-version");
        return { status: response.status, version, body: await response.json() };
    } catch (error) {
        return { failed: String(error) };
    }
}"""


class Page(BaseHTTPRequestHandler):
    """A page without anything on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another origin</title>")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def page_elsewhere() -> Iterator[str]:
    """The origin of a server with a page of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def predicted_from(origin: str, gateway: Watched, chromium: Browser) -> dict[str, Any]:
    window = chromium.new_context()
    try:
        page = window.new_page()
        page.goto(origin)
        answered: dict[str, Any] = page.evaluate(PREDICT, [gateway.url, gateway.log_in(CLIENT, SECRET)])
        return answered
    finally:
        window.close()


def test_a_listed_origin_predicts(binary: Path, chromium: Browser) -> None:
    with page_elsewhere() as origin, served(binary, cors__allowed_origins=origin) as gateway:
        answered = predicted_from(origin, gateway, chromium)
        expect(answered.get("status") == 200, answered)
        expect(answered["body"]["prediction"] == "setosa", answered)
        expect(answered["version"] == "1", f"the page cannot read the version: {answered}")


def test_another_origin_does_not(binary: Path, chromium: Browser) -> None:
    for settings in ({}, {"cors__allowed_origins": "https://app.example.com"}):
        with page_elsewhere() as origin, served(binary, **settings) as gateway:
            answered = predicted_from(origin, gateway, chromium)
            expect("Failed to fetch" in answered.get("failed", ""), f"{settings}: {answered}")
