"""A repository in an object store: what changes there serves, and what fails there changes nothing."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lib.gateway import REPOSITORY
from lib.suite import expect
from suites.endtoend.launch import CLIENT, READY_SECONDS, ROW, SECRET

from .conftest import Follower, NewGateway, started
from .emulators import Emulator

EXAMPLE = (REPOSITORY / "models" / "iris" / "1" / "model.onnx").read_bytes()
TEST_MODELS = REPOSITORY / "tests" / "models"
RETRAINED = (TEST_MODELS / "iris_retrained.onnx").read_bytes()
ALIKE = 100


class Load:
    """Requests one after another, and the number of responses by status and digest of the model."""

    def __init__(self, gateway: Follower) -> None:
        self.gateway, self.token = gateway, gateway.log_in(CLIENT, SECRET)
        self.seen: Counter[tuple[int, str]] = Counter()
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.ends.is_set():
            response = self.gateway.predict_row(ROW, self.token)
            self.seen[response.status, response.headers.get("x-model-digest", "")] += 1

    def __enter__(self) -> Load:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.thread.join()

    def digests(self) -> list[str]:
        """The digests of models that have answered, in the order of their first response."""
        return [digest for _, digest in self.seen]

    def expect_no_failure(self) -> None:
        statuses = {status for status, _ in self.seen}
        expect(statuses == {http.client.OK}, self.seen)


def test_a_retrained_object_serves_without_one_failed_request(
    store: Emulator, new_gateway: NewGateway, record_property: Callable[[str, object], None]
) -> None:
    store.put("iris/1/model.onnx", EXAMPLE)
    gateway = new_gateway(store)
    with Load(gateway) as load:
        gateway.wait_until(lambda: load.seen.total() >= ALIKE, READY_SECONDS, "the load runs")
        store.put("iris/1/model.onnx", RETRAINED)
        gateway.wait_until(lambda: len(load.digests()) > 1, READY_SECONDS, "the retrained object serves")
        before = load.seen.total()
        gateway.wait_until(lambda: load.seen.total() >= before + ALIKE, READY_SECONDS, "the load goes on")
    load.expect_no_failure()
    expect(len(load.digests()) == 2, load.seen)
    record_property("seen", f"{load.seen.total()} requests, none failed")


def test_a_store_that_hangs_takes_nothing_out_of_service(store: Emulator, new_gateway: NewGateway) -> None:
    store.put("iris/1/model.onnx", EXAMPLE)
    gateway = new_gateway(store)
    gateway.wait_for_metric("gateway_repository_available 1")
    with Load(gateway) as load:
        store.hang()
        gateway.wait_for_metric('gateway_repository_polls_total{outcome="slow"} ')
        gateway.wait_for_metric("gateway_repository_available 0")
        store.go_on()
        gateway.wait_for_metric("gateway_repository_available 1")
    load.expect_no_failure()


def test_the_mirror_serves_while_the_store_is_away(store: Emulator, new_gateway: NewGateway) -> None:
    store.put("iris/1/model.onnx", EXAMPLE)
    gateway = new_gateway(store)
    expect(gateway.stop() == 0, "the gateway ends well")
    store.stop()
    gateway.start()
    expect(gateway.predict().status == http.client.OK, "a model serves")
    gateway.wait_for_metric('gateway_repository_polls_total{outcome="unreachable"} ')
    gateway.wait_for_metric("gateway_repository_available 0")


def test_a_model_of_several_objects_serves_once_all_are_there(store: Emulator, new_gateway: NewGateway) -> None:
    parts = TEST_MODELS / "external"
    store.put("iris/1/model.onnx", EXAMPLE)
    store.put("wide/1/model.onnx", (parts / "model.onnx").read_bytes())
    gateway = new_gateway(store)
    serves = 'gateway_model_info{digest="'
    expect(gateway.metrics().count(serves) == 1, gateway.metrics())
    store.put("wide/1/weights.bin", (parts / "weights.bin").read_bytes())
    gateway.wait_until(lambda: gateway.metrics().count(serves) == 2, READY_SECONDS, "the other model serves")


def test_a_wrong_authority_is_not_accepted(folder: Path, new_gateway: NewGateway) -> None:
    with started("s3_with_tls", folder / "store") as store:
        store.put("iris/1/model.onnx", EXAMPLE)
        gateway = new_gateway(store)
        expect(gateway.stop() == 0, "the gateway ends well")
        del gateway.variables["GATEWAY__MODELS__STORE__CA_FILE"]
        gateway.start()
        gateway.wait_for_metric('gateway_repository_polls_total{outcome="unreachable"} ')
        expect(gateway.predict().status == http.client.OK, "the mirror serves")
