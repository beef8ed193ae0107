"""Every question of dashboards and alerts, on a real QuestDB, against a history that is known.

There is no Grafana here: `tests.grafana` expands macros and variables as it and its plugin do.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet import schema, views
from fleet.dashboards import sql
from fleet.dashboards.render import Names, files, filled
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.tables import reserved_names, schema_of
from tests.asked import Answer, Asked
from tests.grafana import ALL, Chosen, Question, Range, expanded, questions
from tests.history import END, INTERVAL, LABELS, LATE, day, deliver, history, names_of
from tests.lab.questdb import QuestDB
from tests.lab.waiting import LabError, poll
from tests.truths import ORDERED, TRUTHS

pytestmark = pytest.mark.e2e

EVERYTHING: dict[str, Chosen] = dict.fromkeys((*LABELS, "host", "service", "container"), ALL)
CHOICES: dict[str, dict[str, Chosen]] = {
    "all": EVERYTHING,
    "several": {
        **EVERYTHING,
        "env": ["prod", "it's"],
        "host": ["web1", "db1", "o'hara"],
        "service": ["api", "it's", "pg"],
    },
    "one": {**EVERYTHING, "role": ["web"], "host": ["web1"], "container": ["api"]},
    "nothing": {**EVERYTHING, "env": ["stage"], "host": ["db1"]},
}
HOST_OF = {"all": "db1", "several": "o'hara", "one": "web1", "nothing": "nowhere"}
"""The one that the page *Host* is about."""

SPANS = {
    "an edge": Range(END - timedelta(days=2, minutes=18), END - timedelta(minutes=23), INTERVAL),
    "the pause": Range(day(22), day(22, 12), INTERVAL),
    "the cut-over": Range(day(1, 20), day(2, 4), INTERVAL),
    "6 hours": Range(END - timedelta(hours=6), END, INTERVAL),
    "2 days": Range(day(27, 13), day(29, 13), INTERVAL),
    "30 days": Range(END - timedelta(days=30), END, timedelta(hours=1)),
    "the boot": Range(day(10, 3), day(10, 8), timedelta(minutes=30)),
    "what came late": Range(LATE[0] - timedelta(hours=1), LATE[1], INTERVAL),
}
CASES = [
    ("6 hours", "all"),
    ("6 hours", "several"),
    ("6 hours", "one"),
    ("6 hours", "nothing"),
    ("2 days", "several"),
    ("the cut-over", "all"),
    ("30 days", "all"),
    ("30 days", "one"),
    ("the boot", "all"),
    ("an edge", "all"),
    ("the pause", "all"),
    ("what came late", "all"),
]


@dataclass(frozen=True)
class Fleet:
    """The history in QuestDB, its tables and views, and the files that Grafana would read."""

    questdb: QuestDB
    names: Names
    folder: Path

    def ask(self, question: Question, span: Range, chosen: Mapping[str, Chosen]) -> Answer:
        """What QuestDB answers, its times as times."""
        rows = self.questdb.sql(expanded(question.sql, span, chosen))
        return [tuple(_cell(value) for value in row.values()) for row in rows]


@pytest.fixture(scope="module")
def fleet(questdb: QuestDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The tables are filled, views are made of them, and then come the rows that were late."""
    tables = names_of("history")
    names = Names(tables=tables, labels=LABELS, interval_s=int(INTERVAL.total_seconds()))
    ours, client = schema_of(tables, LABELS), Client(parse_conf(questdb.conf, "test"))
    for table in ours.tables:
        questdb.sql(f'DROP TABLE IF EXISTS "{table.name}"')
    schema.ensure(client, ours)
    made = history()
    deliver(client, ours, {name: made.in_time(name) for name in made.rows})
    views.ensure(client, tables.containers, LABELS)
    _until_views_hold(questdb)
    deliver(client, ours, {name: made.late(name) for name in made.rows})
    for name, table in zip(made.rows, (getattr(tables, name) for name in made.rows), strict=True):
        questdb.wait_for(
            f'SELECT count() AS n FROM "{table}"',
            partial(_counts, len(made.rows[name])),
            60,
        )
    _until_views_hold(questdb)
    folder = tmp_path_factory.mktemp("grafana")
    for path, text in files(names).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    yield Fleet(questdb, names, folder)
    for size in views.SIZES:
        questdb.sql(f'DROP MATERIALIZED VIEW "{views.view_name(tables.containers, size)}"')
    for table in ours.tables:
        questdb.sql(f'DROP TABLE "{table.name}"')


def test_no_permitted_label_breaks_a_question(questdb: QuestDB, tmp_path: Path) -> None:
    """Labels with every name that some question gives to a column of its own: each is refused in an
    inventory, or all questions can be asked.
    """
    given = {name for file in files(Names()).values() for name in re.findall(r"AS (\w+)", file)}
    labels = tuple(sorted({name.lower() for name in given} - reserved_names() - {"int", "long"}))
    assert len(labels) > 10
    tables = names_of("labelled")
    names = Names(tables=tables, labels=labels, interval_s=int(INTERVAL.total_seconds()))
    ours, client = schema_of(tables, labels), Client(parse_conf(questdb.conf, "test"))
    schema.ensure(client, ours)
    views.ensure(client, tables.containers, labels)
    for path, text in files(names).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    chosen = dict.fromkeys((*labels, "host", "service", "container"), ALL)
    refused = set()
    try:
        for question in questions(tmp_path):
            for span in (SPANS["6 hours"], SPANS["30 days"]):
                try:
                    questdb.sql(expanded(question.sql, span, {**chosen, "host": ["web1"]}))
                except LabError as error:
                    refused.add(str(error)[-80:])
    finally:
        for size in views.SIZES:
            questdb.sql(f'DROP MATERIALIZED VIEW "{views.view_name(tables.containers, size)}"')
        for table in ours.tables:
            questdb.sql(f'DROP TABLE "{table.name}"')
    assert refused == set()


def _counts(wanted: int, rows: list[dict[str, Any]]) -> bool:
    return rows == [{"n": wanted}]


def _until_views_hold(questdb: QuestDB) -> None:
    """QuestDB fills views by and by."""

    def hold() -> bool:
        rows = questdb.sql(
            "SELECT view_status, refresh_base_table_txn AS done, base_table_txn AS wanted "
            "FROM materialized_views()"
        )
        return all(row["view_status"] == "valid" and row["done"] == row["wanted"] for row in rows)

    poll(hold, 60, "views that are up to date")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


def _without_breaks(found: Answer, times: set[datetime], step: timedelta, end: datetime) -> Answer:
    """The points of lines; where two steps or more are missing, at the end as well, there is one
    row more, without a figure, one step after the last point.
    """
    breaks = [row for row in found if row[0] not in times]
    assert not any(isinstance(value, int | float) for row in breaks for value in row)
    in_order = sorted(times)
    follows = pairwise([*in_order, end]) if in_order else ()
    missing = [a + step for a, b in follows if b - a > 2.5 * step]
    assert [row[0] for row in breaks] == missing
    return [row for row in found if row[0] in times]


def _sorted(rows: Answer) -> Answer:
    return sorted(rows, key=lambda row: [(one is None, str(one)) for one in row if _exact(one)])


def _exact(value: Any) -> bool:
    return not isinstance(value, float)


def _assert_same(found: Answer, wanted: Answer, in_order: bool) -> None:
    if not in_order:
        found, wanted = _sorted(found), _sorted(wanted)
    for mine, true in zip(found, wanted, strict=False):
        assert len(mine) == len(true)
        assert all(map(_same, mine, true)), f"{mine}, and {true} is true"
    assert len(found) == len(wanted), f"{len(found)} rows, not {len(wanted)}"


def _same(mine: Any, true: Any) -> bool:
    if isinstance(true, float) and mine is not None:
        return math.isclose(mine, true, rel_tol=1e-9)
    return bool(mine == true)


@pytest.mark.parametrize(("title", "choice"), CASES)
def test_every_question_is_answered_truly(fleet, title, choice):
    """Panels, variables, annotations: what QuestDB answers is what the history's events say."""
    span, chosen = SPANS[title], CHOICES[choice]
    of_one = {**chosen, "host": HOST_OF[choice]}
    several, single = (Asked(history(), span, of) for of in (chosen, of_one))
    wrong = []
    for question in questions(fleet.folder):
        if question.kind == "alert":
            continue
        is_single = question.page == "host" and question.kind != "variable"
        about, of = (single, of_one) if is_single else (several, chosen)
        key = question.page, question.title
        found, wanted = fleet.ask(question, span, of), TRUTHS[key](about)
        try:
            if question.time_series or question.title == "Status over time":
                times = [row[0] for row in found]
                assert times == sorted(times), "Grafana needs time series in the order of time"
                step = max(about.step if "_10m" in question.sql else span.step, INTERVAL)
                found = _without_breaks(found, {row[0] for row in wanted}, step, span.end)
            _assert_same(found, wanted, key in ORDERED)
        except AssertionError as error:
            wrong.append(f"{key}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("at", [END, day(20, 13), day(22, 5, 10)], ids=["end", "death", "no cron"])
def test_every_alert_is_of_what_is_wrong(fleet, at):
    """Rules list offenders and no others: at the end, when a host died, when cron stood still."""
    for question in questions(fleet.folder):
        if question.kind == "alert":
            span = Range(at - timedelta(seconds=question.range_s), at, INTERVAL)
            found = fleet.ask(question, span, {})
            _assert_same(found, TRUTHS["alerts", question.title](Asked(history(), span, {})), False)


def test_the_history_has_something_to_alert_of(fleet):
    """At the end of the history, or when a host died in it, each rule has an offender."""
    silent = set()
    for question in questions(fleet.folder):
        if question.kind == "alert":
            span = Range(END - timedelta(seconds=question.range_s), END, INTERVAL)
            if not [row for row in fleet.ask(question, span, {}) if row[-1] > 0]:
                silent.add(question.title)
    assert silent == set()


def test_views_are_what_their_tables_give(fleet):
    """Late rows included: each view has, row by row, what its own question asks of the table."""
    table = fleet.names.tables.containers
    for size in views.SIZES:
        statement = views.create_statement(table, size, LABELS)
        (select,) = re.findall(r" AS \((SELECT .*)\) PARTITION", statement)
        order = "ORDER BY timestamp, host, container"
        view = fleet.questdb.sql(f'SELECT * FROM "{views.view_name(table, size)}" {order}')
        assert view == fleet.questdb.sql(f"SELECT * FROM ({select}) {order}")
        late = [row for row in view if LATE[0] <= _cell(row["timestamp"]) < LATE[1]]
        assert sum(row["pids_count"] for row in late) == len(history().late("containers"))


def test_questions_for_other_ranges_read_nothing(fleet):
    """QuestDB's plan has an empty table for each branch that is not meant for the range."""
    cpu = next(q for q in questions(fleet.folder) if q.title == "CPU of containers")
    for title, branch in (("6 hours", 0), ("2 days", 1), ("30 days", 2)):
        chosen = {**CHOICES["all"], "host": "db1"}
        sql = "EXPLAIN " + expanded(cpu.sql, SPANS[title], chosen)
        plan = "\n".join(row["QUERY PLAN"] for row in fleet.questdb.sql(sql))
        read = set(re.findall(r"scan on: (\w+)", plan))
        assert read == {"history_hosts", "history_containers" + ("", "_10m", "_1h")[branch]}, plan


def test_of_many_containers_the_busiest_are_shown(fleet):
    """The limit keeps those with the highest mean, and nobody whose figure is not known."""
    span = SPANS["6 hours"]
    text = sql.per_container("1=1", 3, received="net_in_rate")
    question = Question("", "panel", "", filled(text, fleet.names), True)
    found = fleet.ask(question, span, {})
    values: dict[str, list[float]] = {}
    for row in Asked(history(), span, CHOICES["all"]).rows("containers"):
        if row["net_in_rate"] is not None:
            values.setdefault(row["name"], []).append(row["net_in_rate"])
    means = {name: sum(rates) / len(rates) for name, rates in values.items()}
    assert {row[2] for row in found} == set(sorted(means, key=means.__getitem__)[-3:])


def test_the_page_of_one_host_bears_several(fleet):
    """A link may bring several hosts, as it does from a page where they can be chosen: no error."""
    chosen = {**CHOICES["all"], "host": ["web1", "db1"]}
    for question in questions(fleet.folder):
        if question.page == "host":
            fleet.ask(question, SPANS["6 hours"], chosen)
