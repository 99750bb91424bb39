"""Alerts, the board, and the rules for the autoscaler: they parse, they work, and name only metrics that there are."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from .base import DEPLOYMENT, REPOSITORY, Wrong, documents, expect, run, say, system_program

RULES = DEPLOYMENT / "prometheus" / "rules.yml"
BOARD = DEPLOYMENT / "grafana" / "onnx-gateway.json"
ADAPTER = DEPLOYMENT / "prometheus" / "adapter.yml"
# Labels that Prometheus adds, and that of buckets.
OF_PROMETHEUS = {"job", "instance", "namespace", "pod", "le"}
SUFFIXES = ("_bucket", "_sum", "_count")
# Expressions of PromQL have others in these.
BELOW = ("lhs", "rhs", "expr", "param", "vector_selector", "args")


def documented() -> dict[str, set[str]]:
    """The metrics of docs/metrics.md with their labels."""
    page = (REPOSITORY / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(gateway_\w+)` \| \w+ \|([^|]*)\|", page, re.MULTILINE)
    if len(rows) < 20:
        raise Wrong(f"docs/metrics.md: only {len(rows)} rows of metrics were found")
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def selectors(expression: Any) -> Iterator[Any]:
    if type(expression).__name__ == "VectorSelector":
        yield expression
    for name in BELOW:
        below = getattr(expression, name, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None:
                yield from selectors(one)


def faults(text: str, metrics: dict[str, set[str]]) -> list[str]:
    """Faults of one expression: of its form, in the names of metrics, and in those of labels."""
    try:
        parsed = promql_parser.parse(text)
    except ValueError as fault:
        return [f"{fault}: {text}"]
    found, of_all = [], set(OF_PROMETHEUS)
    for selector in selectors(parsed):
        names = [selector.name.removesuffix(ending) for ending in SUFFIXES]
        name = next((name for name in names if name in metrics), None)
        if name is None:
            found.append(f"docs/metrics.md has no {selector.name}: {text}")
            continue
        of_all |= metrics[name]
        unknown = {matcher.name for matcher in selector.matchers.matchers} - metrics[name] - OF_PROMETHEUS
        found += [f"{name} has no label {label}: {text}" for label in unknown]
    grouped = {label.strip() for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", text) for label in group.split(",")}
    return found + [f"no series has the label {label}: {text}" for label in grouped - of_all]


def board_expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of each part of the board, with its expression."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            if query is None:
                raise Wrong(f"{BOARD.name}: the variable {variable['name']} is not label_values(SERIES, LABEL)")
            yield variable["name"], f"group by ({query[2]}) ({query[1]})"


def check_board(metrics: dict[str, set[str]]) -> int:
    board = json.loads(BOARD.read_text())
    expressions = [(title, text.replace("$__rate_interval", "5m")) for title, text in board_expressions(board)]
    expect([f"{BOARD.name}: {title}: {fault}" for title, text in expressions for fault in faults(text, metrics)])
    numbers = [panel["id"] for panel in board["panels"]]
    if len(numbers) != len(set(numbers)):
        raise Wrong(f"{BOARD.name}: two panels have one id")
    places = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + line, panel["title"])
        for panel in board["panels"]
        for column in range(panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["h"])
    ]
    if len({place[:2] for place in places}) != len(places) or max(place[0] for place in places) >= 24:
        raise Wrong(f"{BOARD.name}: panels overlap, or are wider than 24 columns")
    # Prometheus is the judge of what is an expression: another parser may be more patient.
    promtool_accepts([text for _, text in expressions])
    return len(expressions)


def promtool_accepts(expressions: list[str]) -> None:
    rules = [{"record": f"expression:{index}", "expr": text} for index, text in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}, file)
        file.flush()
        run([system_program("promtool", "prometheus"), "check", "rules", file.name])


def check_rules(metrics: dict[str, set[str]]) -> int:
    promtool = system_program("promtool", "prometheus")
    run([promtool, "check", "rules", RULES])
    run([promtool, "test", "rules", "rules_test.yml"], folder=RULES.parent)
    (groups,) = documents(RULES.read_text())
    rules = [rule for group in groups["groups"] for rule in group["rules"]]
    expect([f"{rule['alert']}: {fault}" for rule in rules for fault in faults(rule["expr"], metrics)])
    names = {rule["alert"] for rule in rules}
    tested = set(re.findall(r"alertname: (\w+)", RULES.with_name("rules_test.yml").read_text()))
    expect([f"rules_test.yml does not test {name}" for name in names - tested])
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    rows = set(re.findall(r"^\| `(OnnxGateway\w+)` \|", page, re.MULTILINE))
    expect([f"docs/operations.md has no row for the alert {name}" for name in sorted(names - rows)])
    expect([f"docs/operations.md describes {name}, which is no alert" for name in sorted(rows - names)])
    return len(rules)


def check_adapter(metrics: dict[str, set[str]]) -> None:
    """The queries of the adapter, with its placeholders filled in as it does."""
    (values,) = documents(ADAPTER.read_text())
    texts = []
    for rule in values["rules"]["custom"]:
        series = rule["seriesQuery"]
        name = series.split("{")[0]
        filled = rule["metricsQuery"].replace("<<.Series>>", name).replace("<<.GroupBy>>", "pod")
        texts += [series, filled.replace("<<.LabelMatchers>>", 'namespace="models", pod="a"')]
    expect([f"{ADAPTER.name}: {fault}" for text in texts for fault in faults(text, metrics)])
    promtool_accepts(texts)


def check() -> None:
    metrics = documented()
    alerts, expressions = check_rules(metrics), check_board(metrics)
    check_adapter(metrics)
    prometheus = yaml.safe_load((DEPLOYMENT / "compose" / "prometheus.yml").read_text())
    prometheus["rule_files"] = [str(RULES)]
    with tempfile.TemporaryDirectory(prefix="check-deploy-") as name:
        path = Path(name) / "prometheus.yml"
        path.write_text(yaml.safe_dump(prometheus))
        run([system_program("promtool", "prometheus"), "check", "config", path])
    say(f"monitoring: {alerts} alerts are tested and have a runbook, {expressions} expressions of the board")
