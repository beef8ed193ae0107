"""What each alert rule must list over `tests.history`: by its events, without any SQL."""

from datetime import timedelta
from itertools import pairwise

from tests.asked import LATELY_S, Answer, Asked, Truth, failed, grouped, newest
from tests.history import INTERVAL, LIVES


def _away(asked: Asked) -> set[str]:
    """Hosts that nobody is told of."""
    return {row["host"] for row in newest(asked.rows("hosts"), "host") if row["maintenance"]}


def _host_not_ok(asked: Asked) -> Answer:
    groups = grouped(asked.rows("hosts"), lambda row: row["host"])
    old = asked.span.end - 3 * INTERVAL
    return [
        (host, 2)
        for host, rows in groups.items()
        if len(rows) > 1 and all(map(failed, rows[-2:])) and rows[-1]["timestamp"] >= old
    ]


def _no_sweep(asked: Asked) -> Answer:
    found = []
    for name, rows in grouped(asked.rows("sweeps"), lambda row: row["name"]).items():
        times = [row["timestamp"] for row in rows]
        gaps = sorted(b - a for a, b in pairwise(times))
        if len(times) > 6:
            usual = max(INTERVAL, gaps[(len(gaps) + 1) // 2 - 1])
            found.append((name, (asked.span.end - times[-1]) / usual))
    if not asked.rows("sweeps"):
        found.append(("any", timedelta(days=7) / INTERVAL))
    return found


def _key_changed(asked: Asked) -> Answer:
    old = asked.span.end - 3 * INTERVAL
    return [
        (row["host"], 1)
        for row in newest(asked.rows("hosts"), "host")
        if row["status"] == "host_key_changed" and row["timestamp"] >= old
        if row["host"] not in _away(asked)
    ]


def _memory_near_limit(asked: Asked) -> Answer:
    """By the events: who has more than nine tenths, and was seen at its host's last sweep, which
    is one of the last three intervals.
    """
    last = {row["host"]: row["timestamp"] for row in asked.rows("hosts") if row["containers"] > 0}
    old = asked.span.end - 3 * INTERVAL
    most: dict[tuple[str, str], float] = {}
    for row in newest(asked.rows("containers"), "host", "container"):
        if row["memory_use"] > 0.9 * row["total_memory"] and (
            row["timestamp"] >= max(old, last[row["host"]])
        ):
            key = row["host"], row["name"]
            most[key] = max(most.get(key, 0), row["memory_percentage"])
    return [(*key, value) for key, value in most.items() if key[0] not in _away(asked)]


def _vanished(asked: Asked) -> Answer:
    """By the lives: who ended in the range, seen by a sweep, after an hour or more, and has nobody
    of its service, or of its name, beside it now.
    """
    found = []
    for life in LIVES:
        if life.host in _away(asked):
            continue
        lately = asked.span.end - timedelta(seconds=LATELY_S)
        if life.ended is None or not lately <= life.ended <= asked.span.end:
            continue
        if life.exited is not None:
            continue
        seen = any(
            row["host"] == life.host and row["timestamp"] >= life.ended
            for row in asked.rows("hosts")
            if row["containers"] > 0
        )
        name = life.name_at(life.ended)
        beside = [
            other
            for other in LIVES
            if other.host == life.host
            and other.started <= asked.span.end
            and (other.ended is None or other.ended > asked.span.end)
            and (other.service or other.name_at(asked.span.end)) == (life.service or name)
        ]
        if seen and not beside and life.ended - life.started >= timedelta(hours=1):
            found.append((life.host, name, 1))
    return found


def _restarting(asked: Asked) -> Answer:
    """By the lives: who was restarted three times or more within the last hour."""
    since = asked.span.end - timedelta(seconds=LATELY_S)
    found = []
    for life in LIVES:
        rows = [row for row in asked.rows("states") if row["id"] == life.id]
        seen = [row["timestamp"] for row in rows if row["restarts"] is not None]
        counted = [
            moment
            for moment in life.restarts
            if any(time >= max(moment, since) for time in seen)
            and any(time < moment for time in seen)
            and moment > since - INTERVAL
        ]
        if len(counted) >= 3 and life.host not in _away(asked):
            found.append((life.host, life.name_at(asked.span.end), len(counted)))
    return found


def _spool_grows(asked: Asked) -> Answer:
    found = []
    for name, rows in grouped(asked.rows("sweeps"), lambda row: row["name"]).items():
        last = [row["spooled"] for row in rows[-3:]]
        if len(last) == 3 and last[0] < last[1] < last[2]:
            found.append((name, last[2]))
    return found


RULES: dict[str, Truth] = {
    "Host not ok for two sweeps": _host_not_ok,
    "No sweep for three intervals": _no_sweep,
    "Host key changed": _key_changed,
    "Memory over 90 % of its limit": _memory_near_limit,
    "Container vanished": _vanished,
    "Container keeps restarting": _restarting,
    "Spool grows": _spool_grows,
}
