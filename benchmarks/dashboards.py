"""How long each question of the dashboards takes over thirty days of a thousand containers.

The rows are made by QuestDB itself, a sweep each five minutes; the questions are those that
`fleet dashboards` writes, expanded as Grafana's plugin does.
"""

import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fleet import schema, views
from fleet.dashboards.render import LABELS, Names, files
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.tables import TableNames, schema_of
from tests.grafana import ALL, Question, Range, expanded, questions
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll

HOSTS, EACH, DAYS, EVERY_MIN = 100, 10, 30, 5
START = datetime(2026, 10, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
SWEEPS = DAYS * 24 * 60 // EVERY_MIN
SPANS = {
    "6 h": (timedelta(hours=6), timedelta(minutes=5)),
    "24 h": (timedelta(hours=24), timedelta(minutes=5)),
    "7 d": (timedelta(days=7), timedelta(minutes=10)),
    "30 d": (timedelta(days=30), timedelta(hours=1)),
}
ENOUGH_S = 600
_CHOSEN = dict.fromkeys((*LABELS, "service", "container"), ALL)


def answers(lab: Lab, rounds: int) -> dict[str, Any]:
    """Milliseconds of each question, the median of some rounds, by range."""
    with QuestDB(lab, "bench-dashboards") as database:
        rows = _filled(database)
        asked = [question for question in _questions() if question.kind != "alert"]
        found: dict[str, Any] = {
            "containers": HOSTS * EACH,
            "days": DAYS,
            "rows": rows,
            "ranges": {},
        }
        for name, (lasts, step) in SPANS.items():
            span = Range(END - lasts, END, step)
            times = {q: _median_ms(database, _expanded(q, span), rounds) for q in asked}
            slowest = max(asked, key=lambda question: times[question])
            found["ranges"][name] = {
                "questions": len(asked),
                "median_ms": statistics.median(times.values()),
                "slowest_ms": times[slowest],
                "slowest": f"{slowest.page.capitalize()}: {slowest.title}",
                "over_1s": sum(ms > 1000 for ms in times.values()),
            }
            print(f"  {name}: {found['ranges'][name]}", flush=True)
        found["views"] = _with_and_without_views(database, asked, rounds)
        return found


def _questions() -> list[Question]:
    with TemporaryDirectory() as folder:
        for path, text in files(Names()).items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return list(questions(Path(folder)))


def _expanded(question: Question, span: Range) -> str:
    is_of_one = question.page == "host" and question.kind != "variable"
    host = "host007" if is_of_one else ALL
    return expanded(question.sql, span, {**_CHOSEN, "host": host})


def _with_and_without_views(
    database: QuestDB, asked: list[Question], rounds: int
) -> dict[str, float]:
    """The sum of CPU by service over all days, from the view and from the table itself."""
    (cpu,) = [question for question in asked if question.title == "CPU by service"]
    sql = _expanded(cpu, Range(START, END, timedelta(hours=1)))
    from_table = sql.replace("<= 24 ", "<= 9999 ").replace("> 168", "> 9999")
    return {
        "view_ms": _median_ms(database, sql, rounds),
        "table_ms": _median_ms(database, from_table, rounds),
    }


def _median_ms(database: QuestDB, sql: str, rounds: int) -> float:
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        database.sql(sql)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[1:])  # the first reads the disk, and compiles


def _filled(database: QuestDB) -> int:
    client = Client(parse_conf(database.conf, "bench"))
    names = TableNames()
    schema.ensure(client, schema_of(names, LABELS))
    labels = "'prod' AS env, CASE WHEN n % 3 = 0 THEN 'db' ELSE 'web' END AS role"
    at = f"dateadd('m', ({EVERY_MIN} * sweep)::int, '{START:%Y-%m-%d}T00:00:00Z'::timestamp)"
    host = "'host' || lpad(n::string, 3, '0') AS host"
    per_host = (
        f"(SELECT (x - 1) / {HOSTS} AS sweep, (x - 1) % {HOSTS} AS n FROM long_sequence({{}}))"
    )
    hosts = per_host.format(SWEEPS * HOSTS)
    rates = ", ".join(f"rnd_double() * 1e5 AS {rate}" for rate in views.METRICS[4:])
    _insert(
        database,
        names.hosts,
        f"SELECT {at} AS timestamp, {host}, CASE WHEN rnd_double() < 0.01 THEN 'timeout' ELSE 'ok' "
        f"END AS status, false AS maintenance, {EACH} AS containers, 1.5 AS elapsed, {labels} "
        f"FROM {hosts}",
    )
    _insert(
        database,
        names.nodes,
        f"SELECT {at} AS timestamp, {host}, 4 AS cpus, 1.6e10 AS memory_total, "
        f"rnd_double() * 1e10 AS memory_available, rnd_double() AS load1, {labels} FROM {hosts}",
    )
    _insert(
        database,
        names.disks,
        f"SELECT {at} AS timestamp, {host}, '/' AS mount, rnd_double() * 100 AS used_percentage, "
        f"512.0 * sweep AS read_bytes, 256.0 * sweep AS written_bytes, {labels} FROM {hosts}",
    )
    _insert(
        database,
        names.sweeps,
        f"SELECT {at} AS timestamp, 'fleet' AS name, {HOSTS} AS hosts, 1 AS failed, "
        f"0 AS spooled, 20.0 AS elapsed FROM (SELECT x - 1 AS sweep FROM long_sequence({SWEEPS}))",
    )
    each = (
        f"(SELECT (x - 1) / {HOSTS * EACH} AS sweep, (x - 1) % {HOSTS} AS n, "
        f"(x - 1) % {HOSTS * EACH} AS m FROM long_sequence({{}}))"
    )
    container = (
        f"{host}, 'c' || lpad(m::string, 11, '0') AS container, 'app-' || m::string AS name, "
        "'service-' || (m % 20)::string AS service"
    )
    _insert(
        database,
        names.states,
        f"SELECT dateadd('h', sweep::int, '{START:%Y-%m-%d}T00:00:00Z'::timestamp) AS timestamp, "
        f"{container}, 'running' AS state, 0 AS restarts, {labels} "
        f"FROM {each.format(DAYS * 24 * HOSTS * EACH)}",
    )
    views.ensure(client, names.containers, LABELS)
    rows = SWEEPS * HOSTS * EACH
    _insert(
        database,
        names.containers,
        f"SELECT {at} AS timestamp, {container}, 'c' || lpad(m::string, 63, '0') AS id, "
        "'image:1' AS image, rnd_double() * 100 AS cpu, rnd_double() * 100 AS memory_percentage, "
        "5 AS pids, rnd_double() * 1e9 AS memory_use, 'bytes' AS memory_use_unit, "
        "2e9 AS total_memory, 'bytes' AS total_memory_unit, "
        f"'docker+kernel' AS source, 300.0 AS window_seconds, {rates}, {labels} "
        f"FROM {each.format(rows)}",
    )
    poll(lambda: _is_quiet(database), ENOUGH_S, "tables and views that are up to date")
    return rows


def _insert(database: QuestDB, table: str, select: str) -> None:
    columns = ", ".join(_columns(select))
    client = Client(parse_conf(database.conf.rstrip(";") + f";request_timeout={ENOUGH_S}000;", "b"))
    client.execute(f'INSERT INTO "{table}" ({columns}) {select}')


def _columns(select: str) -> list[str]:
    """The names that a SELECT gives its columns, up to its own FROM."""
    depth, words, found = 0, select.split(), []
    for place, word in enumerate(words):
        depth += word.count("(") - word.count(")")
        if depth == 0 and word == "AS":
            found.append(words[place + 1].rstrip(","))
        if depth == 0 and word == "FROM":
            break
    return found


def _is_quiet(database: QuestDB) -> bool:
    lag = database.sql("SELECT sum(sequencerTxn - writerTxn) AS lag FROM wal_tables()")
    views_ = database.sql(
        "SELECT view_status, refresh_base_table_txn AS done, base_table_txn AS wanted "
        "FROM materialized_views()"
    )
    is_done = [row["view_status"] == "valid" and row["done"] == row["wanted"] for row in views_]
    return lag == [{"lag": 0}] and all(is_done)
