"""The console where only the admin listener loads, unloads and rolls back: it offers none of that, and says why."""

from __future__ import annotations

from pathlib import Path

from lib.gateway import fetch
from lib.suite import expect
from suites.endtoend.launch import CLIENT, SECRET

from .conftest import TEST_MODELS, NewPerson, served

FORBIDDEN = 403
BUTTONS = ("Roll back", "Load", "Unload")


def test_management_is_not_offered_where_it_is_not_served(binary: Path, new_person: NewPerson) -> None:
    with served(binary, server__management="admin", models__poll_interval_ms=200) as gateway:
        person = new_person(gateway)
        person.sign_in()
        person.choose("iris")
        # There is something to roll back, and the token has the scope.
        gateway.put("iris/2/model.onnx", TEST_MODELS / "iris_retrained.onnx")
        person.wait_for_event("Deployed 2")
        person.wait_for_text("#model .head", "The admin listener alone loads, unloads and rolls back")
        shown = [name for name in BUTTONS if person.page.get_by_role("button", name=name, exact=True).count()]
        expect(not shown, f"the page offers {shown}")
        person.page.click("#model .examples button >> nth=0")
        person.page.wait_for_selector(".bars tr")
        expect(person.answer() == "setosa", person.answer())
        person.take_picture("management")
        expect(not person.faults, person.faults)
        headers = {"Authorization": f"Bearer {gateway.log_in(CLIENT, SECRET)}"}
        answer = fetch(f"{gateway.url}/models/iris/rollback", b"", headers)
        expect(answer.status == FORBIDDEN and "served_by_admin" in answer.text, f"{answer.status}: {answer.text}")
        person.leave()
