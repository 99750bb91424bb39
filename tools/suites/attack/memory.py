"""Memory of what is in flight: bodies, unpacked ones, answers that are taken slowly."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from .crowd import connect, crowd, read_head, send_all, shown
from .gateway import MIB, TESTED, Gateway, mint
from .http1 import Listener, head, refusal
from .registry import Encrypted, Run, case, expect
from .watcher import Watcher, watched

KINDS = TESTED / "kinds"
SAMPLE_SECONDS = 0.02
BACK_SECONDS = 25
# Pages of the program that are read when a large request is first answered.
CODE_BYTES = 8 * MIB
TIMES_SLOWER = 10
ACCEPTED = ("200", "408", "413", "429", "503", "closed", "still waiting")


class Peak:
    """The most memory while something happens."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.most, self.ended = gateway, 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self) -> Peak:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()

    def look(self) -> None:
        while not self.ended.is_set() and self.gateway.process.poll() is None:
            try:
                self.most = max(self.most, self.gateway.memory())
            except (OSError, ProcessLookupError):
                return
            time.sleep(SAMPLE_SECONDS)


def besieged(run: Run, limit: int, attack: Callable[[Gateway], Counter[str]], **changed: Any) -> str:
    """Attacks a gateway while another caller asks: the gateway lives, stays below its limit, and gives memory back."""
    models = {
        "gram.onnx": KINDS / "gram.onnx",
        "total.onnx": KINDS / "total.onnx",
        "regressor.onnx": TESTED / "regressor.onnx",
    }
    changed |= {
        "runtime__memory_limit_bytes": limit,
        "runtime__instances": 1,
        "server__body_timeout_ms": run.pick(2500, 10_000),
    }
    with Gateway(run, models, **changed) as gateway:
        token = mint("another")
        idle = watched(gateway.rest, token, run.pick(1, 5))
        before = gateway.memory()
        watcher = Watcher(gateway.rest, token)
        with Peak(gateway) as peak:
            counts = attack(gateway)
        gateway_lives = gateway.process.poll() is None
        during = watcher.end()
        seen = (
            f"{shown(counts)}; another caller: {during['requests']} asked, {during['lost']} lost, "
            f"p99 {during['p99_ms']:.0f} ms (idle {idle['p99_ms']:.1f}); {before // MIB} MiB before, "
            f"{peak.most // MIB} at the peak of {limit // MIB}"
        )
        expect(gateway_lives, f"it ended: {seen}")
        unexpected = [what for what in counts if what.split()[0] not in ACCEPTED and what not in ACCEPTED]
        expect(not unexpected, f"{unexpected}: {seen}")
        expect(
            during["lost"] == 0 and set(during["statuses"]) == {"200"},
            f"another caller got {during['statuses']} {during['first_lost']}: {seen}",
        )
        expect(peak.most < limit, f"above its limit: {seen}")
        gateway.good()
        if not run.quick:
            expect(during["p99_ms"] < TIMES_SLOWER * max(idle["p99_ms"], 5), f"too slow for another caller: {seen}")
            run.say(f"waiting {BACK_SECONDS} s for the memory to be given back")
            time.sleep(BACK_SECONDS)
            after = gateway.memory()
            seen += f", {after // MIB} after"
            expect(after <= before * 1.1 + CODE_BYTES, f"not given back: {seen}")
        return seen


async def answered(reader: asyncio.StreamReader) -> str:
    answer = await read_head(reader)
    wrong = refusal(answer)
    return f"wrong: {wrong}" if wrong else str(answer.status)


@case(
    "slow bodies without a token",
    "bodies of 2 MB to /token from 12 addresses, the last byte kept back",
    "it lives, others are answered, memory below the limit, refusals are 413, 408, or 503 with Retry-After",
    encrypted=Encrypted.FULL,
)
def slow_bodies(run: Run) -> str:
    body = b"a" * (2_000_000 - 1)
    top = head(
        "POST",
        "/token",
        {
            "Host": "127.0.0.1",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(body) + 1),
        },
    )

    async def client(number: int) -> str:
        reader, writer = await connect(gateway_listener[0], f"127.0.0.{2 + number % 12}")
        try:
            await send_all(writer, top + body)
            return await answered(reader)
        finally:
            writer.close()

    gateway_listener: list[Listener] = []

    def attack(gateway: Gateway) -> Counter[str]:
        gateway_listener.append(gateway.rest)
        return crowd(run.pick(100, 600), client, run.pick(8, 20))

    return besieged(run, run.pick(192, 512) * MIB, attack)


@case(
    "packed bodies of one caller",
    "bodies of about 4 kB that unpack to 4 MB, at once",
    "it lives, others are answered, memory below the limit, refusals are 503 with Retry-After or 429",
)
def packed(run: Run) -> str:
    rows = 250_000
    content = json.dumps({"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": []}]})
    body = gzip.compress(content.replace("[]}", "[" + "0,1,0,1," * (rows - 1) + "0,1,0,1]}").encode())

    def attack(gateway: Gateway) -> Counter[str]:
        name = "total"
        top = head(
            "POST",
            f"/v2/models/{name}/infer",
            {
                "Host": "127.0.0.1",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "Authorization": f"Bearer {gateway.token}",
                "Content-Length": str(len(body)),
            },
        )

        async def client(_: int) -> str:
            reader, writer = await connect(gateway.rest)
            try:
                await send_all(writer, top + body)
                return await answered(reader)
            finally:
                writer.close()

        return crowd(run.pick(32, 50), client, run.pick(20, 60))

    return besieged(run, run.pick(192, 512) * MIB, attack)


@case(
    "slow readers",
    "answers of 20 MB (9 MB in the short form), taken at 2 kB/s",
    "it lives, others are answered, memory below the limit, and they are ended within a minute",
    encrypted=Encrypted.FULL,
)
def slow_readers(run: Run) -> str:
    rows = run.pick(1000, 1450)
    tensor = {"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": [0.123 + 0.37 * n for n in range(4 * rows)]}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "products"}]}).encode()

    def attack(gateway: Gateway) -> Counter[str]:
        top = head(
            "POST",
            "/v2/models/gram/infer",
            {
                "Host": "127.0.0.1",
                "Content-Type": "application/json",
                "Authorization": f"Bearer {gateway.token}",
                "Content-Length": str(len(body)),
            },
        )

        async def client(_: int) -> str:
            reader, writer = await connect(gateway.rest)
            try:
                await send_all(writer, top + body)
                answer = await read_head(reader)
                if answer.status != 200:
                    return f"wrong: {refusal(answer)}" if refusal(answer) else str(answer.status)
                while await reader.read(1000):
                    await asyncio.sleep(0.5)
                return "closed"
            finally:
                writer.close()

        before = gateway.counted("fd")
        counts = crowd(run.pick(24, 40), client, run.pick(5, 60))
        # A client that reads slowly sees it only after it has read what its system holds for it: the gateway is asked.
        kept = gateway.counted("fd") - before
        expect(run.quick or kept < 5, f"{kept} connections are kept for a minute: {shown(counts)}")
        return counts

    return besieged(run, run.pick(192, 512) * MIB, attack)


@case(
    "large bodies at once",
    "12 bodies of tensors at once: 64 MB each, 16 MB in the short form",
    "it lives, others are answered, memory below the limit, refusals are 503 with Retry-After",
)
def large_bodies(run: Run) -> str:
    size = run.pick(16, 64) * 1_000_000
    top, body = binary_request(size)

    def attack(gateway: Gateway) -> Counter[str]:
        headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {gateway.token}"} | top

        async def client(_: int) -> str:
            reader, writer = await connect(gateway.rest)
            try:
                writer.write(head("POST", "/v2/models/regressor/infer", headers))
                await send_all(writer, body)
                return await answered(reader)
            finally:
                writer.close()

        return crowd(12, client, run.pick(20, 60))

    return besieged(run, run.pick(192, 512) * MIB, attack)


def binary_request(size: int) -> tuple[dict[str, str], bytes]:
    """Head and body of rows for `regressor` as a binary tensor, answered in binary."""
    columns = REGRESSOR_COLUMNS
    rows = size // (4 * columns)
    tensor = {
        "name": "x",
        "shape": [rows, columns],
        "datatype": "FP32",
        "parameters": {"binary_data_size": rows * columns * 4},
    }
    prefix = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = prefix + struct.pack("<f", 0.5) * (rows * columns)
    return {
        "Inference-Header-Content-Length": str(len(prefix)),
        "Content-Length": str(len(body)),
    }, body


REGRESSOR_COLUMNS = 2


def multiple(run: Run, name: str, headers: dict[str, str], body: bytes, most: float) -> str:
    with Gateway(run, {"regressor.onnx": TESTED / "regressor.onnx"}, runtime__instances=1) as gateway:
        gateway.good()
        before = gateway.memory()
        gateway.forget_peak()
        answer = gateway.ask("POST", "/v2/models/regressor/infer", body, headers, timeout=120)
        peak = gateway.memory("VmHWM")
        expect(answer.status == 200, f"{answer.status}: {answer.body[:200]!r}")
        times = (peak - before) / len(body)
        seen = f"{name} of {len(body) / 1e6:.0f} MB: {times:.2f} x its size at the peak"
        expect(times < most, seen)
        return seen


@case(
    "one large binary request", "a binary tensor of 64 MB (16 MB in the short form)", "below 2 x its size at the peak"
)
def one_binary(run: Run) -> str:
    headers, body = binary_request(run.pick(16, 64) * 1_000_000)
    return multiple(run, "binary", headers, body, 2)


@case(
    "one large JSON request",
    "a tensor of 64 MB as JSON, three characters a number (16 MB in the short form)",
    "below 3 x its size at the peak",
)
def one_json(run: Run) -> str:
    size = run.pick(16, 64) * 1_000_000
    numbers = size // 4
    rows = numbers // REGRESSOR_COLUMNS
    tensor = {"name": "x", "shape": [rows, REGRESSOR_COLUMNS], "datatype": "FP32", "data": [0]}
    data = ",".join(["0.5"] * (rows * REGRESSOR_COLUMNS))
    text = json.dumps({"inputs": [tensor], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]})
    return multiple(run, "JSON", {}, text.replace("[0]", f"[{data}]").encode(), 3)
