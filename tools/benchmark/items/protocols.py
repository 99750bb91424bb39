"""One row a request over each protocol, beside the least that a server can do with such requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..generator import Load
from ..rounds import YARDSTICK, Result, Runs, alternate
from ..samples import JSON, ONE_ROW_BODIES, Request, Row, binary_request, compact, iris_rows, one_row, one_tensor
from . import iris_1
from .grpc import METHOD, message

CONNECTIONS = 32
Headers = dict[str, str]


@dataclass(frozen=True)
class Protocol:
    """A way to ask the gateway, and the yardstick for it."""

    request: Callable[[Headers], Request]
    yardstick: str = YARDSTICK
    connections: int = CONNECTIONS
    # Requests at a time on each connection, over gRPC only.
    streams: int = 0
    # Others that take the same bodies at the same path.
    others: tuple[str, ...] = ()


def instances(rows: list[Row]) -> bytes:
    return compact({"instances": rows})


def split_frame(rows: list[Row]) -> bytes:
    return compact({"dataframe_split": {"columns": list(COLUMNS), "data": rows}})


def tensors(headers: Headers) -> Request:
    return binary_request("/v2/models/iris/infer", "features", iris_rows(1), headers)


COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
PROTOCOLS = {
    "native": Protocol(lambda headers: Request("/predict", headers | JSON, one_row)),
    "/v2 JSON": Protocol(
        lambda headers: Request("/v2/models/iris/infer", headers | JSON, one_tensor),
        others=("furnace", "mlserver", "mlserver-workers"),
    ),
    "/v2 bytes": Protocol(tensors, "echo, bytes"),
    "KServe V1": Protocol(lambda headers: Request("/v1/models/iris:predict", headers | JSON, instances)),
    "MLflow": Protocol(lambda headers: Request("/invocations", headers | JSON, split_frame)),
    "gRPC": Protocol(lambda headers: Request(METHOD, headers, message), "echo, gRPC", streams=1),
    "gRPC, streams": Protocol(
        lambda headers: Request(METHOD, headers, message), "echo, gRPC", connections=1, streams=32
    ),
}


def measure(bench: Bench, names: tuple[str, ...] = tuple(PROTOCOLS)) -> list[Result]:
    gateways = [
        bench.keep(contestants.gateway(binary, bench.folder(name), name=name))
        for name, binary in bench.builds().items()
    ]
    echoes = {
        echo.name: bench.keep(echo)
        for echo in (contestants.echo(bench.scratch), contestants.bytes_echo(bench.scratch), contestants.grpc_echo())
    }
    answered(gateways, echoes)
    results = []
    for name in names:
        protocol = PROTOCOLS[name]
        runs: Runs = {one.name: asked(bench, protocol, one) for one in gateways}
        runs[protocol.yardstick] = asked(bench, protocol, echoes[protocol.yardstick])
        others = iris_1.comparable(bench, gateways, [other for other in protocol.others if other in bench.others])
        runs |= {one.name: asked_its_way(bench, protocol, one) for one in others}
        results += alternate(
            "protocols", name, runs, bench.rounds, protocol.yardstick, to_gateway=bool(protocol.others)
        )
    return results


def answered(gateways: list[Contestant], echoes: dict[str, Contestant]) -> None:
    """Waits until all answer, and sees that each protocol answers as the first gateway does."""
    row = iris_rows(1)
    for echo in echoes.values():
        if not echo.grpc_port:
            contestants.answer_of(echo, row[0])
    for protocol in PROTOCOLS.values():
        if protocol.streams:
            continue
        requests = [protocol.request(authorization(one)) for one in gateways]
        bodies = [
            one.server.wait(request.path, request.headers, request.body(row))
            for one, request in zip(gateways, requests, strict=True)
        ]
        if any(body != bodies[0] for body in bodies):
            raise contestants.NotServing(f"{requests[0].path}: the builds answer differently: {bodies}")


def authorization(one: Contestant) -> Headers:
    return {name: value for name, value in one.request.headers.items() if name == "authorization"}


def asked(bench: Bench, protocol: Protocol, one: Contestant) -> partial:
    if one.name == protocol.yardstick and not protocol.streams:
        return asked_its_way(bench, protocol, one)
    request = protocol.request(authorization(one))
    load: Load = bench.load(protocol.connections)
    if protocol.streams:
        load = replace(load, grpc_port=one.grpc_port, streams=protocol.streams)
    return partial(bench.run, one, request, [request.body([row]) for row in iris_rows(ONE_ROW_BODIES)], load)


def asked_its_way(bench: Bench, protocol: Protocol, one: Contestant) -> partial:
    """Asks one that is no gateway by its own request."""
    bodies = [one.request.body([row]) for row in iris_rows(ONE_ROW_BODIES)]
    return partial(bench.run, one, one.request, bodies, bench.load(protocol.connections))
