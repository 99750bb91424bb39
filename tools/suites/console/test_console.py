"""The console as a person uses it, in the order in which they would."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lib.gateway import REPOSITORY, fetch
from lib.suite import expect
from suites.endtoend.launch import CLIENT, SECRET

from .conftest import TEST_MODELS, NewPerson, served, served_file
from .launch import Watched
from .person import AXE, Person

SCHEMES = ("light", "dark")
NARROW = {"width": 390, "height": 844}
# The page says when the token of the settings below ends.
LIFETIME_SECONDS = 5
# Signing in and showing a model takes four of them.
REQUESTS_OF_CALLER = 6


def test_a_wrong_secret_is_told_in_words(gateway: Watched, new_person: NewPerson) -> None:
    person = new_person(gateway)
    person.open()
    person.type_secret("not the secret")
    person.page.wait_for_selector("#sign-in-notice .notice")
    told = person.text("#sign-in-notice")
    expect("client" in told.lower(), told)
    person.page.check("input[name=way][value=token]")
    person.page.fill("#token", "not.a.token")
    person.page.click("#sign-in-button")
    person.wait_for_text("#sign-in-notice", "does not accept the token. It is not a whole token")
    reason = person.text("#sign-in-reason")
    expect("any more" not in reason, f"it was never accepted: {reason}")
    # Only the end of it is wrong.
    person.page.fill("#token", f"{gateway.log_in(CLIENT, SECRET)[:-9]}wrong_one")
    person.page.click("#sign-in-button")
    person.wait_for_text("#sign-in-notice", "It is mistyped, or from another gateway")
    expect(not person.faults, person.faults)


def test_a_token_can_be_pasted_and_nothing_is_stored(gateway: Watched, new_person: NewPerson) -> None:
    person = new_person(gateway)
    person.open()
    person.page.check("input[name=way][value=token]")
    person.page.fill("#token", f"Bearer {gateway.log_in(CLIENT, SECRET)}")
    person.page.click("#sign-in-button")
    person.page.wait_for_selector("#models a")
    expect(person.text("#who-name") == CLIENT, person.text("#who"))
    stored = person.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    expect(stored == [0, 0, ""], stored)
    person.page.click("#sign-out")
    person.page.wait_for_selector("#sign-in[open]")
    left = person.page.evaluate("document.querySelectorAll('#models a, #model *').length")
    expect(left == 0, f"{left} elements are left after signing out")


def test_a_token_without_manage_is_told_why_buttons_are_missing(gateway: Watched, new_person: NewPerson) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET, "scope": "read"}
    token = json.loads(fetch(f"{gateway.url}/token", urlencode(form).encode()).content)["access_token"]
    person = new_person(gateway)
    person.open()
    person.page.check("input[name=way][value=token]")
    person.page.fill("#token", token)
    person.page.click("#sign-in-button")
    person.wait_for_text("#model .head", "lacks the scope manage")
    expect(person.page.locator("button:has-text('Roll back')").count() == 0, "the button is not there")
    expect(not person.faults, person.faults)
    # A caller may have four streams of events.
    person.leave()


def test_after_serve_file_the_printed_token_signs_in_and_values_may_miss(binary: Path, new_person: NewPerson) -> None:
    with served_file(binary, "exporters/sk_histograms_gaps") as (gateway, token):
        person = new_person(gateway)
        person.open()
        client = person.page.locator("#by-client:visible, #sign-in-ways:visible")
        expect(client.count() == 0, "there is no client to sign in as")
        expect("the token that it printed" in person.text("#by-token"), person.text("#by-token"))
        person.page.fill("#token", token)
        person.page.click("#sign-in-button")
        person.page.wait_for_selector("#model .prediction .field")
        fields = person.page.locator("#model .field input[type=number]")
        typed = [field.input_value() for field in fields.all()]
        expect(len(typed) > 0 and not any(typed), f"the fields begin empty: {typed}")
        person.predict()
        person.page.wait_for_selector(".result .facts")
        sent = person.page.locator(".curl").text_content() or ""
        expect('"features":[null,' in sent, sent)
        expect(not person.faults, person.faults)
        person.leave()


def test_iris_is_predicted_by_sliders(person: Person) -> None:
    person.choose("iris")
    sliders = person.page.locator("input[type=range]")
    expect(sliders.count() == 4, f"{sliders.count()} sliders")
    petal_length = sliders.nth(2)
    petal_length.focus()
    petal_length.press("Home")
    for _ in range(4):
        petal_length.press("ArrowRight")
    person.field("petal_width").fill("0.2")
    expect(float(person.field("petal_length").input_value()) < 2, "the number follows the slider")
    person.predict()
    person.page.wait_for_selector(".bars tr")
    expect(person.answer() == "setosa", person.answer())
    rows = person.page.locator(".bars tr").all_inner_texts()
    expect(len(rows) == 3 and rows[0].startswith("setosa"), rows)
    widths = person.page.evaluate("[...document.querySelectorAll('.bar-fill')].map((bar) => bar.offsetWidth)")
    expect(widths[0] > 100 and widths[0] > 5 * max(widths[1:]), widths)


def test_the_line_for_curl_gives_the_same_answer(person: Person, gateway: Watched) -> None:
    token = gateway.log_in(CLIENT, SECRET)
    person.page.click("summary:has-text('curl')")
    line = person.text(".curl")
    expect("$TOKEN" in line and token[:20] not in line, line)
    done = subprocess.run(["bash", "-c", line], env=os.environ | {"TOKEN": token}, capture_output=True, check=True)
    expect(json.loads(done.stdout)["prediction"] == person.answer(), done.stdout)


def test_a_golden_case_is_predicted_with_one_click(person: Person) -> None:
    for case in ("virginica", "versicolor"):
        person.page.click(f".examples button:has-text('{case}')")
        person.wait_for_text(".prediction-value", case)


def test_a_value_out_of_range_is_told_at_its_field(person: Person) -> None:
    field = person.field("sepal_length")
    field.fill("51")
    person.predict()
    person.wait_for_text("#model .fault", "0.1 to 15")
    expect(field.get_attribute("aria-invalid") == "true", "the field is marked")
    listed = person.text(".result .notice li")
    expect(listed.startswith("sepal_length expected"), f"a field is known by its name: {listed}")
    field.fill("5.1")


def test_the_charts_show_the_requests(person: Person) -> None:
    person.page.wait_for_function(
        "() => document.querySelector('#model svg.chart').getAttribute('aria-label').match(/at most [1-9]/)"
    )
    person.wait_for_text("#gateway h2", "Gateway")
    labels = person.page.eval_on_selector_all("svg.chart", "charts => charts.map((one) => one.ariaLabel)")
    expect(len(labels) == 8 and any("of 1 rows" in label for label in labels), labels)


def test_categories_are_a_list_and_other_models_take_json(person: Person) -> None:
    person.choose("towns")
    person.field("town").select_option(label="Zug")
    for number in person.page.locator("#model .field input[type=number]").all():
        number.fill("1")
    person.predict()
    person.page.wait_for_selector(".result .facts")
    person.choose("square")
    expect(person.page.locator("#body").is_visible(), "a model without rows has a text for its body")
    person.page.fill("#body", "{")
    person.predict()
    person.wait_for_text("#body-fault", "not JSON")
    person.choose("wine")
    field = person.page.locator("#model .field input[type=number]").first
    expect(field.input_value() == "", "a field without an example begins empty")
    person.predict()
    person.wait_for_text("#model .fault", "Type a number")
    person.choose("iris")


def test_a_retrained_model_shows_up_without_a_reload(person: Person, gateway: Watched) -> None:
    person.page.evaluate("window.mark = 1")
    person.field("sepal_width").fill("3.3")
    gateway.put("iris/2/model.onnx", TEST_MODELS / "iris_retrained.onnx")
    person.wait_for_event("Deployed 2")
    expect(person.page.evaluate("window.mark") == 1, "the page was loaded again")
    typed = person.field("sepal_width").input_value()
    expect(typed == "3.3", f"what was typed is now {typed}")


def test_a_refused_file_is_shown_with_its_reason(person: Person, gateway: Watched) -> None:
    gateway.put("iris/3/model.onnx", TEST_MODELS / "iris_golden_mismatch.onnx")
    person.wait_for_event("Refused 3")
    person.wait_for_text("#model .notice", "golden_mismatch")


def test_a_rollback_is_asked_about_and_then_done(person: Person) -> None:
    before = person.events()
    person.page.click("button:has-text('Roll back')")
    expect(person.page.evaluate("document.activeElement.id") == "question-no", "the harmless answer has the focus")
    person.page.keyboard.press("Escape")
    expect(person.events() == before, person.events())
    person.page.click("button:has-text('Roll back')")
    person.page.click("#question-yes")
    person.wait_for_text("#model .notice.good", "serves again")
    person.wait_for_event("Rolled back 1")


def test_a_model_is_unloaded_and_loaded_again(person: Person) -> None:
    person.choose("wine")
    person.page.click("button:text-is('Unload')")
    person.page.click("#question-yes")
    person.wait_for_event("Unloaded 1")
    person.wait_for_text("#model .head .chip", "UNAVAILABLE")
    person.page.click("button:text-is('Load')")
    person.page.click("#question-yes")
    person.wait_for_event("Deployed 1")
    person.wait_for_text("#model .head .chip", "READY")


def test_a_model_that_vanishes_is_told_in_words(person: Person, gateway: Watched) -> None:
    (gateway.repository / "wine.onnx").unlink()
    person.wait_for_text("#main-notice", "wine is not in the repository")
    person.choose("iris")
    expect(not person.text("#main-notice"), person.text("#main-notice"))


@pytest.mark.parametrize("scheme", SCHEMES, ids=[f"nothing keeps people out, {scheme}" for scheme in SCHEMES])
def test_nothing_keeps_people_out(scheme: str, person: Person, gateway: Watched, new_person: NewPerson) -> None:
    if not AXE.exists():
        pytest.skip("the barriers that axe-core finds (npm)")
    other = new_person(gateway, color_scheme=scheme)
    other.open()
    found = other.barriers()
    other.type_secret()
    other.choose("iris")
    other.page.click(".examples button >> nth=0")
    other.page.wait_for_selector(".bars")
    other.page.wait_for_selector("svg.chart line", state="attached")
    found += other.barriers()
    other.take_picture(scheme)
    other.page.click("button:has-text('Roll back')")
    found += other.barriers()
    other.take_picture(f"{scheme}-question")
    expect(not found, found)
    expect(not other.faults, other.faults)


def test_the_page_fits_a_telephone(gateway: Watched, new_person: NewPerson) -> None:
    person = new_person(gateway, viewport=NARROW)
    person.sign_in()
    person.choose("iris")
    person.page.click(".examples button >> nth=0")
    person.page.wait_for_selector(".bars")
    person.take_picture("narrow")
    width = person.page.evaluate("document.documentElement.scrollWidth")
    expect(width == NARROW["width"], f"the page is {width} px wide")
    expect(not person.faults, person.faults)


def test_an_expired_token_is_told_and_what_was_typed_is_kept(binary: Path, new_person: NewPerson) -> None:
    with served(binary, auth__token_lifetime_seconds=LIFETIME_SECONDS) as gateway:
        person = new_person(gateway)
        person.sign_in()
        person.choose("iris")
        field = person.field("petal_length")
        field.fill("1.5")
        person.wait_for_text("#sign-in-reason", "expired")
        person.type_secret()
        person.page.wait_for_selector("#live[data-state=live]")
        expect(field.input_value() == "1.5", f"what was typed is now {field.input_value()}")
        person.leave()


def test_a_used_up_quota_is_counted_down(binary: Path, new_person: NewPerson) -> None:
    quota = {"rate_limit__per_caller__requests": REQUESTS_OF_CALLER, "rate_limit__per_caller__period_seconds": 12}
    with served(binary, **quota) as gateway:
        person = new_person(gateway)
        person.sign_in()
        person.page.wait_for_selector(".prediction")
        for _ in range(REQUESTS_OF_CALLER):
            person.predict()
            person.page.wait_for_selector(".result:not([aria-busy])")
        person.wait_for_text(".result", "Try again in")
        told = person.text(".result .notice")
        expect(told.lower().count("try again in") == 1 and "rate_limit.per_caller" in told, told)
        again = person.page.get_by_role("button", name="Try again")
        expect(again.is_disabled(), "it can be sent again only after the time is over")
        person.wait_for_text(".result", "You can try again now")
        expect(again.is_enabled(), "it can be sent again")
        person.leave()


def test_a_lost_connection_is_told_in_words(person: Person, gateway: Watched) -> None:
    status = gateway.stop()
    expect(status == 0, f"the gateway ends with status {status}")
    person.page.wait_for_selector("#live[data-state=lost]")
    told = person.text("#live")
    expect("trying again" in told, told)
    person.predict()
    person.wait_for_text(".result", "does not respond")


def test_no_script_failed_and_no_request_went_elsewhere(person: Person) -> None:
    expect(not person.faults, person.faults)
    expect((REPOSITORY / "target" / "console" / "light.png").exists(), "there is no picture")
