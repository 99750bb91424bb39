"""One row a request, over REST, with few and with many connections."""

from __future__ import annotations

from functools import partial

from lib.gateway import NotServing

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..rounds import Result, Runs, alternate
from ..samples import ONE_ROW_BODIES, iris_rows

CONNECTIONS = (1, 32, 256)
COMPARED_ROWS = 20


def measure(bench: Bench, connections: tuple[int, ...] = CONNECTIONS) -> list[Result]:
    rows = iris_rows(ONE_ROW_BODIES)
    everyone = started(bench, bench.others)
    results = []
    for number in connections:
        runs: Runs = {
            one.name: partial(
                bench.run, one, one.request, [one.request.body([row]) for row in rows], bench.load(number)
            )
            for one in everyone
        }
        results += alternate("iris-1", f"{number} connections" if number > 1 else "1 connection", runs, bench.rounds)
    return results


def started(bench: Bench, others: list[str]) -> list[Contestant]:
    """All that run here and answer what the gateway answers; who does not is left out, with the reason."""
    gateways = [
        bench.keep(contestants.gateway(binary, bench.folder(name), name=name))
        for name, binary in bench.builds().items()
    ]
    return [*gateways, *comparable(bench, gateways, others)]


def comparable(bench: Bench, gateways: list[Contestant], others: list[str]) -> list[Contestant]:
    """Starts those of the others that run here and answer what the gateways answer."""
    rows = iris_rows(COMPARED_ROWS)
    wanted = [contestants.answer_of(gateways[0], row) for row in rows]
    for baseline in gateways[1:]:
        contestants.same_answers(baseline, wanted, rows)
    found = []
    for name in others:
        try:
            other = bench.keep(contestants.OTHERS[name](bench.folder(name)))
            contestants.same_answers(other, wanted, rows)
        except NotServing as error:
            bench.leave_out(f"{name}: {error}")
        else:
            found.append(other)
    return found
