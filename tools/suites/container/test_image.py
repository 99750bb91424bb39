"""The image by itself, a container as it is meant to run, what it is for, and its end, in this order."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable

import pytest

from lib.gateway import milliseconds_since
from lib.suite import expect

from .engine import PROGRAM, Engine
from .launch import RETRAINED, SETOSA, SHIPPED, TAG, USER, VIRGINICA, Container, Ended, digest_of

SECRETS = re.compile(r"GATEWAY__|signing.?secret|secret.?hash|demo-secret", re.IGNORECASE)
KEY_SETTING = "GATEWAY__AUTH__SIGNING_SECRET"
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
JSON_LINE = re.compile(r"^\{.*listening", re.MULTILINE)
HEALTHY_SECONDS = 30
STOP_SECONDS = 10
CLASSES = (("setosa", SETOSA), ("virginica", VIRGINICA))

Record = Callable[[str, object], None]
Row = tuple[float, ...]


def each_class(ids: str) -> pytest.MarkDecorator:
    """Asks for each class; the ids are sentences that end with its name."""
    return pytest.mark.parametrize(("name", "row"), CLASSES, ids=[f"{ids} {name}" for name, _ in CLASSES])


def predicts(container: Container, token: str, name: str, row: Row) -> None:
    text = container.classify(row, token).text
    expect(f'"prediction":"{name}"' in text, f"{list(row)} must be {name}: {text}")


def test_the_image_is_built(image_bytes: int, record_property: Record) -> None:
    record_property("figure", f"image {round(image_bytes / 1e6)} MB")


@pytest.mark.usefixtures("image_bytes")
@pytest.mark.parametrize(
    "words",
    [("image", "inspect", TAG), ("history", "--no-trunc", TAG)],
    ids=["the settings of the image hold no secret", "the history of the image holds no secret"],
)
def test_the_image_holds_no_secret(words: tuple[str, ...], engine: Engine) -> None:
    asked = engine.ask(*words)
    expect(asked.returncode == 0 and bool(asked.stdout), f"{' '.join(words)} says nothing: {asked.stderr}")
    lines = [line.strip() for line in asked.stdout.splitlines() if SECRETS.search(line)]
    expect(not lines, f"settings come when the image is run, but it says: {'; '.join(lines)}")


def test_without_a_key_it_ends_with_an_error(without_key: Ended, record_property: Record) -> None:
    expect(without_key.status != 0, "its exit status is 0")
    record_property("seen", f"status {without_key.status}")


def test_without_a_key_it_names_the_setting(without_key: Ended) -> None:
    expect(KEY_SETTING in without_key.output, f"it does not name {KEY_SETTING}: {without_key.output}")


def test_hash_secret_works_in_the_image(hashed: Ended) -> None:
    expect(hashed.status == 0, f"it ends with status {hashed.status}: {hashed.output}")
    expect(hashed.output.startswith("$argon2id$"), f"{hashed.output!r} in place of an argon2id hash")


def test_the_container_gets_ready(container: Container, record_property: Record) -> None:
    record_property("figure", f"ready after {container.ready_ms} ms")


def test_the_first_process_is_the_gateway(process_status: dict[str, list[str]]) -> None:
    expect(process_status["Name"] == [PROGRAM], f"it is {process_status['Name']}")


@pytest.mark.parametrize("field", ["Uid", "Gid"], ids=[f"its uid is {USER}", f"its gid is {USER}"])
def test_it_runs_as_a_user_without_rights(field: str, process_status: dict[str, list[str]]) -> None:
    # Real, effective, saved, and of the file system.
    expect(process_status[field] == [str(USER)] * 4, f"{field}: {' '.join(process_status[field])}")


@pytest.mark.parametrize("field", CAPABILITIES, ids=[f"it has no capabilities in {field}" for field in CAPABILITIES])
def test_it_has_no_capabilities(field: str, process_status: dict[str, list[str]]) -> None:
    (mask,) = process_status[field]
    expect(int(mask, 16) == 0, f"{field}: {mask}")


def test_its_root_file_system_is_read_only(container: Container) -> None:
    # The fields: id, parent, device, root, mount point, options.
    mounts = [line.split() for line in container.inside("cat", "/proc/1/mountinfo").splitlines()]
    options = [mount[5] for mount in mounts if mount[4] == "/"]
    expect(bool(options) and "ro" in options[-1].split(","), f"its options are {options}")


def test_it_logs_json_as_the_settings_of_the_image_say(container: Container) -> None:
    expect(bool(JSON_LINE.search(container.log_text())), f"no line is JSON and says listening: see {container.log}")


def test_the_locale_of_text_models_is_complete(container: Container) -> None:
    complaint = container.inside("sh", "-c", "LC_ALL=en_US.UTF-8 locale 2>&1 >/dev/null")
    expect(not complaint, complaint)


def test_the_command_health_says_that_it_is_ready(container: Container) -> None:
    container.inside(PROGRAM, "health")


def test_the_health_check_succeeds(container: Container, engine: Engine) -> None:
    if engine.program == "podman":
        checked = engine.ask("healthcheck", "run", container.name)
        expect(checked.returncode == 0, f"status {checked.returncode}: {checked.stdout}{checked.stderr}")
        return

    def healthy() -> bool:
        asked = engine.ask("inspect", "--format", "{{.State.Health.Status}}", container.name)
        return asked.stdout.strip() == "healthy"

    # docker runs it by itself, for the first time after an interval.
    container.wait_until(healthy, HEALTHY_SECONDS, "docker says that it is healthy")


def test_the_client_gets_a_token(token: str) -> None:
    expect(bool(token), "it is empty")


@each_class("it predicts")
def test_it_predicts(name: str, row: Row, container: Container, token: str) -> None:
    predicts(container, token, name, row)


def test_without_a_token_it_responds_401(container: Container) -> None:
    response = container.predict_row(SETOSA, None)
    expect(response.status == http.client.UNAUTHORIZED, f"{response.status}: {response.text}")


def test_a_response_has_the_digest_of_the_model(container: Container, token: str) -> None:
    digest = container.digest(token)
    expect(digest == digest_of(SHIPPED), f"{digest} in place of {digest_of(SHIPPED)}")


def test_a_retrained_model_is_put_into_service(swap_ms: int, record_property: Record) -> None:
    record_property("seen", f"{swap_ms} ms after it was put over the old one")


@pytest.mark.usefixtures("swap_ms")
@each_class("the retrained model predicts")
def test_the_retrained_model_predicts(name: str, row: Row, container: Container, token: str) -> None:
    predicts(container, token, name, row)


@pytest.mark.usefixtures("refused")
def test_a_broken_file_is_refused() -> None:
    """The fixture has waited for it."""


@pytest.mark.usefixtures("refused")
@each_class("after a broken file it predicts")
def test_after_a_broken_file_it_predicts(name: str, row: Row, container: Container, token: str) -> None:
    predicts(container, token, name, row)


@pytest.mark.usefixtures("refused")
def test_after_a_broken_file_the_model_before_it_serves(container: Container, token: str) -> None:
    digest = container.digest(token)
    expect(digest == digest_of(RETRAINED), f"{digest} in place of {digest_of(RETRAINED)}")


def test_it_ends_with_status_0_on_sigterm(container: Container, record_property: Record) -> None:
    begin = time.monotonic()
    status = container.stop(STOP_SECONDS)
    expect(status == 0, f"it ends with status {status}")
    record_property("seen", f"after {milliseconds_since(begin)} ms")
