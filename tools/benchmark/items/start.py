"""From the start of the process to the first answer, and what it has in memory then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lib.gateway import NotServing

from .. import contestants
from ..bench import Bench
from ..contestants import Contestant
from ..rounds import Figures, Result, alternate
from ..samples import iris_rows


def measure(bench: Bench) -> list[Result]:
    warm = bench.folder("gateway")
    # The first one admits the model, so that the others know its bytes.
    started(contestants.gateway(bench.gateway, warm))
    runs = {
        "gateway": lambda: started(contestants.gateway(bench.gateway, warm)),
        "gateway, new files": lambda: started(contestants.gateway(bench.gateway, bench.new_folder("gateway"))),
    }
    for name in bench.others:
        start = partial(contestants.OTHERS[name], bench.folder(name))
        try:
            started(start())
        except NotServing as error:
            bench.leave_out(f"{name}: {error}")
        else:
            runs[name] = partial(started_anew, start)
    return alternate("start", "one after another", runs, bench.rounds)


def started_anew(start: Callable[[], Contestant]) -> Figures:
    return started(start())


def started(contestant: Contestant) -> Figures:
    with contestant.server as server:
        contestants.answer_of(contestant, iris_rows(1)[0])
        return {"ready_ms": server.ready_seconds * 1000, "memory_mb": server.memory_bytes() / 1e6, "errors": 0}
