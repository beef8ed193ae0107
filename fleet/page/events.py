"""QuestDB → what became of containers: a row of `containerState` beside the one before it."""

from fleet.page.archive import Archive, time, time_of
from fleet.page.facts import EVENTS_MAX, LOOK_BACK, Event
from fleet.questdb_http import Record

COLUMNS = ("name", "state", "exit_code", "restarts", "started", "finished", "oom_killed", "health")
"""What is read of `containerState`, but for its keys."""

_WINDOW = "OVER (PARTITION BY host, container ORDER BY timestamp)"
_REMEMBERED = ("gone", "oom", "sick", "restarts", "began", "ended")

_NEWS = {
    "ended_now": "gone = 1 AND (gone_was = 0 OR (ended_was IS NOT NULL AND ended <> ended_was) "
    "OR (gone_was IS NULL AND finished >= {since}))",
    "vanished_now": "gone = 2 AND (gone_was IS NULL OR gone_was <> 2)",
    "killed_now": "oom = 1 AND (oom_was = 0 OR (began_was IS NOT NULL AND began <> began_was) "
    "OR (oom_was IS NULL AND started >= {since}))",
    "restarted_now": "gone = 0 AND began_was IS NOT NULL AND began <> began_was",
    "counted_now": "restarts_was IS NOT NULL AND restarts > restarts_was",
    "sick_now": "sick = 1 AND (sick_was = 0 OR (sick_was IS NULL AND started >= {since}))",
}
"""What is news, each as an SQL condition."""


def ask(archive: Archive) -> tuple[tuple[Event, ...], int]:
    """The newest events of the range, newest first, and how many there are in all."""
    since = time(archive.span.since)
    rows = archive.rows(archive.schema.states, since=archive.span.since - LOOK_BACK)
    plain = (
        "SELECT timestamp, host, container, name, state, exit_code, restarts, started, finished, "
        "CASE WHEN state IN ('exited', 'dead') THEN 1 WHEN state = 'vanished' THEN 2 ELSE 0 END "
        "gone, CASE WHEN oom_killed THEN 1 ELSE 0 END oom, "
        "CASE WHEN health = 'unhealthy' THEN 1 ELSE 0 END sick, "
        f"started::long began, finished::long ended {rows}"
    )
    before = ", ".join(f"lag({name}) {_WINDOW} {name}_was" for name in _REMEMBERED)
    news = {name: condition.format(since=since) for name, condition in _NEWS.items()}
    told = ", ".join(f"({condition}) {name}" for name, condition in news.items())
    happened = (
        f"(SELECT *, {told} FROM (SELECT *, {before} FROM ({plain})) WHERE timestamp >= {since}) "
        f"WHERE {' OR '.join(news)}"
    )
    (row,) = archive.ask(f"SELECT count() n FROM {happened}")
    found = archive.ask(
        f"SELECT * FROM {happened} ORDER BY timestamp DESC, host, container LIMIT {EVENTS_MAX}"
    )
    return tuple(_event(one) for one in found), row["n"]


def told_of(archive: Archive) -> set[str]:
    """The hosts of whose containers any state is known: of others nothing is, news or not."""
    rows = archive.rows(archive.schema.states, since=archive.span.since - LOOK_BACK)
    return {row["host"] for row in archive.ask(f"SELECT DISTINCT host {rows}")}


def _event(row: Record) -> Event:
    said: list[str] = []
    grave = False
    if row["killed_now"]:
        said.append("a process was killed for want of memory")
        grave = True
    if row["ended_now"]:
        code = row["exit_code"]
        said.append(row["state"] if code is None else f"{row['state']} with code {code}")
        grave = grave or code != 0
    if row["vanished_now"]:
        said.append("vanished: it is listed no more")
    if row["restarted_now"] or row["counted_now"]:
        count = row["restarts"]
        by_docker = row["counted_now"] and count is not None
        said.append(f"restarted by Docker ({count} in all)" if by_docker else "started again")
        grave = grave or bool(by_docker)
    if row["sick_now"]:
        said.append("unhealthy")
        grave = True
    return Event(
        time_of(row["timestamp"]),
        row["host"],
        row["container"],
        row["name"] or row["container"],
        "; ".join(said),
        grave,
    )
