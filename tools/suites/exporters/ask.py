"""Asking one model by every protocol, and comparing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from . import by_grpc
from .cases import TOGETHER, Case
from .compare import difference
from .connection import Answer, Connection
from .protocols import PROTOCOLS, Protocol, Rows, Unexpected

GRPC = "gRPC"
NAMES = (*(protocol.name for protocol in PROTOCOLS), GRPC)
# Ways to send rows: one after another, all before an answer is read, and the first of them in one request.
ALONE, AT_ONCE, IN_ONE = "alone", "64 at once", "32 in one"
FORMS = (ALONE, AT_ONCE, IN_ONE)
OK = 200
REFUSALS = (400, 422)

# Faults by form; empty if the protocol cannot carry the outputs.
Problems = dict[str, list[str]]


def wrong(case: Case, rows: Rows, first: int, *, by_row: bool) -> str | None:
    """The first difference from ONNX Runtime's own answer to this request."""
    count = len(rows)
    for index, outputs in enumerate(rows):
        allowed = [case.row(case.alone[first], 0) if count == 1 else case.row(case.together, index)]
        if count > 1 and "depends_on_batch" in case.flags:
            # A server may run each row of a request for itself.
            allowed.append(case.row(case.alone[first + index], 0))
        problems = [row_difference(case, expected, outputs, by_row=by_row) for expected in allowed]
        if all(problems):
            return f"row {first + index}: {problems[0]}"
    return None


def row_difference(case: Case, expected: dict[str, Any], outputs: dict[str, Any], *, by_row: bool) -> str | None:
    for name, value in expected.items():
        if name not in outputs:
            if by_row and name in case.whole:
                continue
            return f"output `{name}` is missing"
        problem = difference(value, outputs[name], case.labels)
        if problem:
            return f"output `{name}`: {problem}"
    return None


class Asker:
    """Connections that are kept for all models."""

    def __init__(self, http_port: int, grpc_port: int, count: int) -> None:
        self.connections = [Connection(http_port) for _ in range(count)]
        self.channel = by_grpc.Channel(grpc_port)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.channel.close()

    def ask(self, case: Case, name: str) -> Problems:
        problems: Problems = {}
        if name == GRPC:
            asked = self.by_grpc(case) if case.answers_tensors else iter(())
        else:
            protocol = next(one for one in PROTOCOLS if one.name == name)
            asked = self.by_http(protocol, case) if protocol.carries_all or case.answers_tensors else iter(())
        for form, first, problem in asked:
            note(problems, form, first, problem)
        return problems

    def by_http(self, protocol: Protocol, case: Case) -> Iterator[tuple[str, int, str | None]]:
        by_row = protocol.by_row(case)
        single = [protocol.write(case, row, row + 1) for row in range(case.count)]

        def judge(answer: Answer, first: int, count: int) -> str | None:
            if by_row and case.whole and refused(protocol, answer):
                return None
            if answer.status != OK:
                return f"{answer.status} {answer.body.decode(errors='replace')[:300]}"
            return judged(lambda: wrong(case, protocol.read(case, answer, count), first, by_row=by_row))

        alone = self.connections[0]
        for row, content in enumerate(single):
            alone.send(content)
            yield ALONE, row, judge(alone.receive(), row, 1)
        for connection, content in zip(self.connections, single, strict=True):
            connection.send(content)
        for row, connection in enumerate(self.connections):
            yield AT_ONCE, row, judge(connection.receive(), row, 1)
        alone.send(protocol.write(case, 0, TOGETHER))
        yield IN_ONE, 0, judge(alone.receive(), 0, TOGETHER)

    def by_grpc(self, case: Case) -> Iterator[tuple[str, int, str | None]]:
        def judge(call: Any, first: int, count: int) -> str | None:
            try:
                answer = call.result()
            except grpc.RpcError as error:
                return f"{error.code().name} {error.details()[:300]}"
            return judged(lambda: wrong(case, by_grpc.read(case, answer, count), first, by_row=False))

        for row in range(case.count):
            yield ALONE, row, judge(self.channel.begin(case, row, row + 1), row, 1)
        calls = [self.channel.begin(case, row, row + 1) for row in range(case.count)]
        for row, call in enumerate(calls):
            yield AT_ONCE, row, judge(call, row, 1)
        yield IN_ONE, 0, judge(self.channel.begin(case, 0, TOGETHER), 0, TOGETHER)


def refused(protocol: Protocol, answer: Answer) -> bool:
    """Returns true if rows are refused, and the answer says that they are."""
    if answer.status not in REFUSALS:
        return False
    return protocol.name != "native" or json.loads(answer.body).get("code") == "rows_not_supported"


def judged(compare: Callable[[], str | None]) -> str | None:
    """The fault of an answer; another form than the protocol's is one, too."""
    try:
        return compare()
    except (Unexpected, LookupError, TypeError, ValueError) as error:
        return f"an answer of another form: {type(error).__name__}: {error}"


def note(problems: Problems, form: str, first: int, problem: str | None) -> None:
    found = problems.setdefault(form, [])
    if problem:
        found.append(problem if problem.startswith("row ") else f"row {first}: {problem}")
