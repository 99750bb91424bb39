"""A person in front of the page: what they do, and what the browser has to say of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, Route

from lib.environment import CONSOLE
from suites.endtoend.launch import CLIENT, SECRET

from .launch import PICTURES, Watched

AXE = CONSOLE.folder / "node" / "node_modules" / "axe-core" / "axe.min.js"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
WINDOW = {"width": 1360, "height": 1000}
PATIENCE_MS = 15_000
# The browser itself reports responses with such a status, which the checks provoke.
PROVOKED = re.compile(r"Failed to load resource: .*(status of (401|404|409|422|429|503)|net::ERR_)")


class Person:
    """One window of the browser with the page of a gateway."""

    def __init__(self, browser: Browser, gateway: Watched, assets: Path | None, window: dict[str, Any]) -> None:
        self.gateway = gateway
        self.context = browser.new_context(**({"viewport": WINDOW} | window))
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        # What no person should cause: failures of scripts, breaches of the policy, requests to elsewhere.
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", self.hear)
        self.page.on("request", self.see)
        if assets:
            self.page.route("**/console/*/*", lambda route: from_folder(route, assets))

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not PROVOKED.search(message.text):
            self.faults.append(f"console: {message.text}")

    def see(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.gateway.url).netloc:
            self.faults.append(f"request: {request.url}")

    def leave(self) -> None:
        self.context.close()

    def open(self) -> None:
        self.page.goto(f"{self.gateway.url}/")
        self.page.wait_for_selector("#sign-in[open]")

    def type_secret(self, secret: str = SECRET) -> None:
        self.page.fill("#client-id", CLIENT)
        self.page.fill("#client-secret", secret)
        self.page.click("#sign-in-button")

    def sign_in(self) -> None:
        self.open()
        self.type_secret()
        self.page.wait_for_selector("#models a")
        self.page.wait_for_selector("#live[data-state=live]")

    def choose(self, model: str) -> None:
        self.page.click(f"#models a:has-text('{model}')")
        self.page.wait_for_selector(f"#model h1:text-is('{model}')")

    def field(self, feature: str) -> Locator:
        """The number, list or text of a feature."""
        field = self.page.locator("#model .field", has=self.page.locator(f"label:has-text('{feature}')")).first
        return field.locator("input:not([type=range], [type=checkbox]), select").first

    def predict(self) -> None:
        self.page.click("#model .prediction button[type=submit]")

    def part(self, name: str) -> Locator:
        """A part of the page by its heading."""
        return self.page.get_by_role("region", name=name, exact=True)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def wait_for_text(self, selector: str, text: str) -> None:
        self.page.locator(selector, has_text=text).first.wait_for()

    def answer(self) -> str:
        """The prediction that is shown."""
        return self.text("#model .prediction-value")

    def events(self) -> list[str]:
        """The events of the history, the latest first, each with its version."""
        rows = self.part("Deployments").first.locator("tbody tr").all()
        return [" ".join(row.locator("td").nth(column).inner_text() for column in (1, 2)) for row in rows]

    def wait_for_event(self, event: str) -> None:
        """Waits until the latest event of the history is this one."""
        first = "#model .history tbody tr:first-child"
        self.page.wait_for_function(
            "([row, event]) => { const cells = document.querySelectorAll(`${row} td`);"
            " return cells.length > 2 && `${cells[1].innerText} ${cells[2].innerText}` === event; }",
            arg=[first, event],
        )

    def take_picture(self, name: str) -> Path:
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def barriers(self) -> list[str]:
        """Returns the serious and critical findings of axe-core, with their elements."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {'; '.join(node['html'][:120] for node in one['nodes'][:3])}" for one in serious]


def from_folder(route: Route, folder: Path) -> None:
    file = folder / Path(urlsplit(route.request.url).path).name
    route.fulfill(body=file.read_bytes(), content_type=MEDIA_TYPES[file.suffix])
