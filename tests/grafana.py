"""What Grafana and its QuestDB plugin (0.1.8) make of the questions in a dashboard, in Python.

The frontend replaces `$__conditionalAll`, then variables; the backend the other macros. Written
from the plugin's documented behaviour and checked against its sources' cases in
`tests/test_dashboards.py`. There is no Grafana server in these tests: none can be had here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

ALL = "$__all"
Chosen = str | Sequence[str]
"""What a variable is set to: one value, several, or ALL."""


@dataclass(frozen=True)
class Range:
    """What the time picker says, and the step that Grafana works out for a panel."""

    start: datetime
    end: datetime
    step: timedelta = timedelta(minutes=5)


def expanded(sql: str, span: Range, chosen: Mapping[str, Chosen]) -> str:
    """The SQL that reaches QuestDB."""
    chosen = {**chosen, "__interval_ms": str(int(span.step.total_seconds() * 1000))}
    return _macros(_variables(_conditional_all(sql, chosen), chosen), span)


def _conditional_all(sql: str, chosen: Mapping[str, Chosen]) -> str:
    macro = "$__conditionalAll("
    while (at := sql.rfind(macro)) != -1:
        phrase, variable, end = _arguments(sql, at + len(macro) - 1)
        (name,) = re.findall(r"\$\{?(\w+)", variable)
        if chosen[name] in (ALL, [ALL], ""):
            phrase = "1=1"
        sql = sql[:at] + phrase + sql[end:]
    return sql


def _arguments(sql: str, at: int) -> tuple[str, str, int]:
    """The two arguments of a macro whose bracket opens at `at`, and where it ends."""
    depth, starts, found = 0, at + 1, []
    for place in range(at, len(sql)):
        if sql[place] == "(":
            depth += 1
        elif sql[place] == ")":
            depth -= 1
        if sql[place] == "," and depth == 1:
            found.append(sql[starts:place])
            starts = place + 1
        if depth == 0:
            first, second = [*found, sql[starts:place]]
            return first, second, place + 1
    raise AssertionError(f"a macro without an end: {sql[at:]}")


def _variables(sql: str, chosen: Mapping[str, Chosen]) -> str:
    def value(found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2]
        if name.startswith("__") and name not in chosen:
            return found[0]
        is_one = isinstance(chosen[name], str)
        values = [chosen[name]] if is_one else list(chosen[name])
        if form == "sqlstring":
            escaped = [
                "'" + str(one).replace("'", "''").replace('"', '\\"') + "'" for one in values
            ]
            return ",".join(escaped)
        assert form is None, f"a format that nobody has looked up: {form}"
        return str(values[0]) if is_one else "'" + "','".join(map(str, values)) + "'"

    return re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)", value, sql)


def _macros(sql: str, span: Range) -> str:
    start, end = _micros(span.start), _micros(span.end)
    sql = re.sub(
        r"\$__timeFilter\(([^()]*)\)",
        lambda found: (
            f"{found[1]} >= cast({start} as timestamp) AND {found[1]} <= cast({end} as timestamp)"
        ),
        sql,
    )
    sql = sql.replace("$__fromTime", f"cast({start} as timestamp)")
    sql = sql.replace("$__toTime", f"cast({end} as timestamp)")
    sql = sql.replace("$__sampleByInterval", sample_by(span.step))
    assert "$" not in sql, f"something was not replaced: {sql}"
    return sql


def sample_by(step: timedelta) -> str:
    """A step as the plugin writes it: whole hours are cut to hours, whole days are days."""
    seconds = int(step.total_seconds())
    hours = seconds // 3600
    if hours >= 24 and step == timedelta(hours=hours):
        return f"{hours // 24}d"
    if hours:
        return f"{hours}h"
    return f"{seconds}s" if seconds else f"{max(1, int(step.total_seconds() * 1000))}T"


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


@dataclass(frozen=True)
class Question:
    """One question of a dashboard: whose it is, and its SQL with macros and variables."""

    page: str
    kind: str
    """panel, variable, annotation or alert."""
    title: str
    sql: str
    time_series: bool = False
    range_s: int | None = None


def questions(folder: Path) -> Iterator[Question]:
    """Every question of all dashboards and alert rules in a folder."""
    for path in sorted((folder / "dashboards").glob("*.json")):
        yield from _of_dashboard(path.stem, json.loads(path.read_text()))
    for path in sorted((folder / "provisioning/alerting").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                model, seconds = rule["data"][0]["model"], rule["data"][0]["relativeTimeRange"]
                yield Question(
                    "alerts", "alert", rule["title"], model["rawSql"], range_s=seconds["from"]
                )


def _of_dashboard(page: str, model: dict[str, Any]) -> Iterator[Question]:
    for variable in model["templating"]["list"]:
        yield Question(page, "variable", variable["name"], variable["query"])
    for annotation in model["annotations"]["list"]:
        if "rawSql" in annotation.get("target", {}):
            sql = annotation["target"]["rawSql"]
            yield Question(page, "annotation", annotation["name"], sql)
    for panel in model["panels"]:
        for target in panel["targets"]:
            is_series = target["format"] == 0
            yield Question(page, "panel", panel["title"], target["rawSql"], is_series)
