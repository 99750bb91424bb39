"""docs/benchmarks.svg: bars on a logarithmic scale."""

from __future__ import annotations

import math
from typing import Any

ITEM, SETTING = "iris-1", "32 connections"
PANELS = {
    "cpu_us": "CPU µs per request (less is better)",
    "requests_per_second": "requests per second (more is better)",
    "p99_us": "p99 latency, µs (less is better)",
}
NAMES_WIDTH, PANEL_WIDTH, GAP, BAR, STEP, TOP, BOTTOM = 125, 250, 50, 18, 28, 64, 34
# Room behind the longest bar for its number.
NUMBER_WIDTH = 50
COLOURS = {"gateway": "#0b6e4f", "echo": "#9aa5b1"}
OTHER_COLOUR = "#4a76a8"


def draw(record: dict[str, Any]) -> str:
    entries = [entry for entry in record["items"].get(ITEM, {}).get("results", []) if entry["setting"] == SETTING]
    entries.sort(key=lambda entry: entry["cpu_us"])
    width = NAMES_WIDTH + len(PANELS) * (PANEL_WIDTH + GAP)
    height = TOP + len(entries) * STEP + BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        ),
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        text(10, 22, f"Iris, one row a request, {SETTING}; logarithmic scales", 'font-size="15" font-weight="600"'),
    ]
    for row, entry in enumerate(entries):
        weight = ' font-weight="700"' if entry["contestant"] == "gateway" else ""
        parts.append(text(NAMES_WIDTH - 8, middle(row), entry["contestant"], f'text-anchor="end"{weight}'))
    for column, (figure, title) in enumerate(PANELS.items()):
        parts += panel(NAMES_WIDTH + column * (PANEL_WIDTH + GAP), title, figure, entries)
    return "\n".join([*parts, "</svg>", ""])


def panel(left: int, title: str, figure: str, entries: list[dict[str, Any]]) -> list[str]:
    values = [max(entry[figure], 1e-9) for entry in entries] or [1]
    low = math.floor(math.log10(min(values)) - 0.1)
    high = max(math.log10(max(values)), low + 1)
    scale = (PANEL_WIDTH - NUMBER_WIDTH) / (high - low)
    foot = TOP + len(entries) * STEP
    parts = [text(left, TOP - 14, title, 'font-weight="600"')]
    for power in range(low, math.floor(high) + 1):
        x = left + (power - low) * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{foot}" stroke="#e3e6ea"/>')
        parts.append(text(x, foot + 16, f"{10.0**power:,.10g}", 'text-anchor="middle" fill="#666" font-size="10"'))
    for row, (entry, value) in enumerate(zip(entries, values, strict=True)):
        colour = COLOURS.get(entry["contestant"], OTHER_COLOUR)
        length = (math.log10(value) - low) * scale
        top = TOP + row * STEP + (STEP - BAR) / 2
        parts.append(f'<rect x="{left}" y="{top:.0f}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
        parts.append(text(left + length + 5, middle(row), shown(value), 'font-size="11"'))
    return parts


def middle(row: int) -> float:
    return TOP + row * STEP + STEP / 2 + 4


def shown(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def text(x: float, y: float, content: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{content}</text>'
