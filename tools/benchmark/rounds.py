"""Contestants in turn, round by round, so that what else the machine does meets all of them; and the medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .place import say

Figures = dict[str, float]
Runs = dict[str, Callable[[], Figures]]
# Of these there are ratios to the yardstick, a row against a row, made within each round.
RATIOS = {"rows_per_second": "rows_ratio", "cpu_per_row_us": "cpu_ratio"}
YARDSTICK = "echo"
# The same two ratios to the gateway as it usually is, where that says more.
GATEWAY = "gateway"
GATEWAY_RATIOS = {"rows_per_second": "rows_to_gateway", "cpu_per_row_us": "cpu_to_gateway"}
# The build that the gateway is compared with, and the ratio of a request's CPU time to that build's.
BASELINE = "baseline"
BASELINE_RATIO = "cpu_to_baseline"


@dataclass(frozen=True)
class Result:
    """The medians of a contestant in one setting."""

    item: str
    setting: str
    contestant: str
    figures: Figures

    def document(self) -> dict[str, Any]:
        head = {"item": self.item, "setting": self.setting, "contestant": self.contestant}
        return head | {name: rounded(value) for name, value in self.figures.items()}


def rounded(value: float) -> float:
    """Four digits are more than is known."""
    return float(f"{value:.4g}")


def per_request(raw: dict[str, Any], rows: int) -> Figures:
    """The figures of one run of so many rows a request, as they are compared."""
    found = {
        "requests_per_second": raw["requests"] / raw["seconds"],
        "rows_per_second": raw["requests"] * rows / raw["seconds"],
        "errors": raw["errors"],
        **{name: raw[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")},
    }
    if raw.get("server_cpu_us") is not None:
        found["cpu_us"] = raw["server_cpu_us"] / raw["requests"]
        found["cpu_per_row_us"] = found["cpu_us"] / rows
    return found


def alternate(
    item: str, setting: str, runs: Runs, rounds: int, yardstick: str = YARDSTICK, *, to_gateway: bool = False
) -> list[Result]:
    """Runs all of them in each round, the order turned by one from round to round.

    `to_gateway` adds the ratios to the gateway to those to the yardstick.
    """
    seen: dict[str, list[Figures]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        turn = number % len(names)
        this_round = {name: runs[name]() for name in names[turn:] + names[:turn]}
        compare(this_round, yardstick)
        if to_gateway:
            add_ratios(this_round, GATEWAY, GATEWAY_RATIOS)
        for name, figures in this_round.items():
            seen[name].append(figures)
        shown = ", ".join(f"{name} {summary(this_round[name])}" for name in names)
        say(f"{item}, {setting}, round {number + 1} of {rounds}: {shown}")
    return [Result(item, setting, name, medians(seen[name])) for name in names]


def compare(this_round: dict[str, Figures], yardstick: str) -> None:
    add_ratios(this_round, yardstick, RATIOS)
    for name, figures in this_round.items():
        baseline = this_round.get(name.replace("gateway", BASELINE, 1), figures)
        if baseline is not figures and "cpu_us" in figures:
            figures[BASELINE_RATIO] = figures["cpu_us"] / baseline["cpu_us"]


def add_ratios(this_round: dict[str, Figures], standard_name: str, ratios: dict[str, str]) -> None:
    standard = this_round.get(standard_name, {})
    for figures in this_round.values():
        for name, ratio in ratios.items():
            if name in figures and standard.get(name):
                figures[ratio] = figures[name] / standard[name]


def summary(figures: Figures) -> str:
    rate = figures.get("requests_per_second")
    return f"{rate:,.0f}/s" if rate is not None else f"{figures['ready_ms']:,.0f} ms"


def medians(rounds: list[Figures]) -> Figures:
    found = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    # One failure in any round is worth knowing.
    found["errors"] = sum(figures["errors"] for figures in rounds)
    return found
