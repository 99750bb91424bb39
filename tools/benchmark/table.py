"""Results as people read them."""

from __future__ import annotations

from .rounds import Result

COLUMNS = {
    "ready_ms": ("ready after ms", "{:,.0f}"),
    "requests_per_second": ("requests/s", "{:,.0f}"),
    "per_core": ("requests/s per CPU", "{:,.0f}"),
    "rows_per_second": ("rows/s", "{:,.0f}"),
    "rows_ratio": ("rows ×", "{:.3g}"),
    "cpu_us": ("CPU µs/request", "{:,.1f}"),
    "cpu_ratio": ("CPU ×", "{:.3g}"),
    "rows_to_gateway": ("rows × gateway", "{:.3g}"),
    "cpu_to_gateway": ("CPU × gateway", "{:.3g}"),
    "cpu_to_baseline": ("CPU × baseline", "{:.3f}"),
    "p50_us": ("p50 µs", "{:,.0f}"),
    "p99_us": ("p99 µs", "{:,.0f}"),
    "p99_over_bare_us": ("p99 − bare µs", "{:,.0f}"),
    "p999_us": ("p99.9 µs", "{:,.0f}"),
    "loaded_mb": ("MB loaded", "{:,.0f}"),
    "memory_mb": ("MB", "{:,.0f}"),
    "instructions": ("instructions/request", "{:,.0f}"),
    "cpu_share": ("CPU share", "{:.1%}"),
    "errors": ("errors", "{:,.0f}"),
}


def lines(results: list[Result]) -> list[tuple[str, ...]]:
    shown = [name for name in COLUMNS if any(name in result.figures for result in results)]
    if all(result.figures.get("rows_per_second") == result.figures.get("requests_per_second") for result in results):
        # A row a request: twice the same.
        shown = [name for name in shown if name != "rows_per_second"]
    head = ("item", "setting", "server", *(COLUMNS[name][0] for name in shown))
    body = [
        (
            result.item,
            result.setting,
            result.contestant,
            *(COLUMNS[name][1].format(result.figures[name]) if name in result.figures else "" for name in shown),
        )
        for result in results
    ]
    return [head, *body]


def show(results: list[Result]) -> None:
    found = lines(results)
    widths = [max(len(line[index]) for line in found) for index in range(len(found[0]))]
    for line in found:
        # Words to the left, numbers to the right.
        cells = [
            cell.ljust(width) if index < 3 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
