"""The console over TLS: the browser chooses HTTP/2, and shows the same page."""

from __future__ import annotations

from pathlib import Path

from lib.certificates import made_in
from lib.suite import expect

from .conftest import NewPerson, served


def test_the_page_works_over_tls_and_http_2(binary: Path, new_person: NewPerson, tmp_path: Path) -> None:
    settings = {f"server__tls__{name}": value for name, value in made_in(tmp_path).settings.items()}
    with served(binary, **settings) as gateway:
        # The authority is the suite's own, which the browser does not know.
        person = new_person(gateway, ignore_https_errors=True)
        person.sign_in()
        spoken = person.page.evaluate("() => performance.getEntriesByType('navigation')[0].nextHopProtocol")
        expect(spoken == "h2", f"the browser speaks {spoken}")
        expect(not person.faults, person.faults)
