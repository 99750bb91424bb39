"""Everything mixed for long: nothing is lost, and nothing grows."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

from .crowd import connect
from .files import IRIS, RETRAINED, served
from .frames import HEAD, HEADERS, PREFACE, frame
from .gateway import CLIENT_SECRET, MIB, ROW, TESTED, Gateway, mint, until
from .http1 import ask, head
from .http1 import connect as connect_now
from .logins import FORM, form
from .registry import Run, expect
from .watcher import Watcher

SWAP_SECONDS = 5
PAUSE_SECONDS = 0.02
SAY_SECONDS = 10
ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2]] * 20}
TENSOR = {"name": "features", "shape": [20, 4], "datatype": "FP32", "data": ROWS["instances"]}
BODIES = {
    "/predict": ROW,
    "/models/iris/predict": json.dumps(ROWS).encode(),
    "/v1/models/iris:predict": json.dumps(ROWS).encode(),
    "/v2/models/iris/infer": json.dumps({"inputs": [TENSOR]}).encode(),
    "/invocations": json.dumps(ROWS).encode(),
}


class Soak:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.ended, self.counts = gateway, threading.Event(), Counter[str]()

    def again(self, what: str, step: Callable[[int], None]) -> threading.Thread:
        def loop() -> None:
            number = 0
            while not self.ended.is_set():
                try:
                    step(number)
                    self.counts[what] += 1
                except Exception as error:  # noqa: BLE001 - each is a finding
                    self.counts[f"{what}: {type(error).__name__}: {str(error)[:80]}"] += 1
                number += 1
                self.ended.wait(PAUSE_SECONDS)

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        return thread

    def protocols(self, number: int) -> None:
        path = list(BODIES)[number % len(BODIES)]
        # A caller of its own each time: tokens come and go.
        answer = self.gateway.ask("POST", path, BODIES[path], token=mint(f"caller {number}"))
        expect(answer.status == 200, f"{path}: {answer.status}")

    def grpc(self, _: int) -> None:
        received = b""
        with connect_now(self.gateway.calls, timeout=10, protocol="h2") as connection:
            connection.sendall(PREFACE + frame(HEADERS, 4, 1, HEAD) + frame(0, 1, 1, struct.pack(">BI", 0, 0)))
            while b"\x0a\x02\x08\x01" not in received and b"\x08\x01" not in received:
                part = connection.recv(65536)
                expect(bool(part), "gRPC ended without an answer")
                received += part

    def log_in(self, number: int) -> None:
        right = number % 4 != 0
        answer = ask(
            self.gateway.rest,
            "POST",
            "/token",
            form(CLIENT_SECRET if right else "wrong one"),
            FORM,
            "127.0.0.51" if right else "127.0.0.52",
        )
        expect(answer.status in ((200,) if right else (401, 429, 503)), f"a token: {answer.status}")
        self.ended.wait(0.2)

    def bad_token(self, _: int) -> None:
        status = self.gateway.ask("POST", "/predict", ROW, token="a.b.c", source="127.0.0.53").status
        expect(status in (401, 429), f"a bad token: {status}")
        self.ended.wait(0.2)

    def swap(self, number: int) -> None:
        before = served(self.gateway)
        self.gateway.put("iris/1/model.onnx", (RETRAINED, IRIS)[number % 2])
        until(lambda: served(self.gateway) not in ("", before), 30, "a swap")
        self.ended.wait(SWAP_SECONDS)

    def slow_clients(self, number: int) -> None:
        async def client() -> None:
            _, writer = await connect(self.gateway.rest, "127.0.0.54")
            try:
                top = head("POST", "/token", {"Host": "127.0.0.1", "Content-Length": "1000"})
                for byte in (top if number % 2 else top[:-4])[:40]:
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0.05)
            finally:
                writer.close()

        async def some() -> None:
            await asyncio.gather(*(client() for _ in range(5)), return_exceptions=True)

        asyncio.run(some())

    def measured(self) -> tuple[int, int, int]:
        return self.gateway.memory(), self.gateway.counted("fd"), self.gateway.counted("task")


def soak(run: Run, seconds: int) -> str:
    with Gateway(run, {"regressor.onnx": TESTED / "regressor.onnx"}, server__header_timeout_ms=3000) as gateway:
        mixed = Soak(gateway)
        watcher = Watcher(gateway.rest, gateway.token)
        threads = [
            mixed.again(step.__name__, step)
            for step in (mixed.protocols, mixed.grpc, mixed.log_in, mixed.bad_token, mixed.swap, mixed.slow_clients)
        ]
        begin, said, warm, rows = time.monotonic(), 0.0, max(5, seconds // 4), []
        while (passed := time.monotonic() - begin) < seconds:
            time.sleep(0.5)
            rows.append((passed, *mixed.measured()))
            if passed - said >= SAY_SECONDS:
                said = passed
                memory, files, tasks = rows[-1][1:]
                run.say(
                    f"[{passed:.0f} s] {dict(mixed.counts)}, {memory // MIB} MiB, {files} descriptors, {tasks} threads"
                )
        mixed.ended.set()
        for thread in threads:
            thread.join()
        during = watcher.end()
        asked = f"{during['requests']} asked, {during['lost']} lost, {during['statuses']}"
        seen = f"{dict(mixed.counts)}; another caller {asked}"
        expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
        wrong = [what for what in mixed.counts if ":" in what]
        expect(not wrong, seen)
        # The middle of each half behind the warm-up: a peak is no growth.
        after = [row for row in rows if row[0] > warm]
        half = len(after) // 2
        for position, what, slack in ((1, "memory", 16 * MIB), (2, "descriptors", 16), (3, "threads", 2)):
            first = sorted(row[position] for row in after[:half])[half // 2]
            second = sorted(row[position] for row in after[half:])[(len(after) - half) // 2]
            seen += f"; {what} {first} then {second}"
            expect(second <= first * 1.1 + slack, f"it grows: {seen}")
        gateway.good()
        return seen
