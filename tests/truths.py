"""What every question of dashboards and alerts must answer over `tests.history`, without any SQL.

`TRUTHS` has, by page and title, a function from what was asked (`Asked`) to the rows that must come
out, in the order of the question's columns. Rows of `ORDERED` come in that order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tests.asked import (
    LOOK_BACK,
    Answer,
    Asked,
    Truth,
    failed,
    floor,
    grouped,
    mean,
    newest,
    total,
)
from tests.history import LABELS, Cells
from tests.truths_of_alerts import RULES


def each(*metrics: str) -> Truth:
    """A series for each container's name."""

    def truth(asked: Asked) -> Answer:
        groups: dict[Any, list[Cells]] = defaultdict(list)
        for bucket in asked.buckets:
            if asked.container_fits(bucket):
                groups[bucket["time"], bucket["host"], bucket["name"]] += bucket["rows"]
        known = {
            (host, name)
            for (_, host, name), rows in groups.items()
            if any(row[metrics[0]] is not None for row in rows)
        }
        return [
            (*key, *(_mean(rows, metric) for metric in metrics))
            for key, rows in groups.items()
            if key[1:] in known
        ]

    return truth


def _mean(rows: list[Cells], metric: str) -> float | None:
    if metric == "total_memory":
        return float(rows[-1][metric])
    return mean(row[metric] for row in rows)


def summed(by: str, *metrics: str, one_host: bool = False) -> Truth:
    """A series for each value of a column: what its containers had together, on average over the
    sweeps of their hosts.
    """

    def truth(asked: Asked) -> Answer:
        groups: dict[Any, list[Cells]] = defaultdict(list)
        for bucket in asked.buckets:
            fits = asked.is_chosen("host", bucket["host"])
            if fits if one_host else asked.container_fits(bucket):
                groups[bucket["time"], bucket[by]].append(bucket)
        return [
            (*key, *(total(_part(asked, bucket, metric) for bucket in found) for metric in metrics))
            for key, found in groups.items()
        ]

    return truth


def _part(asked: Asked, bucket: Cells, metric: str) -> float | None:
    known = mean(row[metric] for row in bucket["rows"])
    if known is None:
        return None
    return known * len(bucket["rows"]) / asked.sweeps[bucket["time"], bucket["host"]]


def top(metric: str) -> Truth:
    """The highest means over the range."""

    def truth(asked: Asked) -> Answer:
        groups: dict[Any, list[Cells]] = defaultdict(list)
        for bucket in sorted(asked.buckets, key=lambda bucket: bucket["time"]):
            if asked.host_fits(bucket):
                groups[bucket["host"], bucket["name"]] += bucket["rows"]
        found = []
        for (host, name), rows in groups.items():
            values = [row[metric] for row in rows if row[metric] is not None]
            if values:
                figures = (sum(values) / len(values), max(values))
                found.append((host, name, rows[-1]["service"], *figures))
        return sorted(found, key=lambda row: (-row[3], row[0], row[1]))[:20]

    return truth


def visits(what: Callable[[list[Cells]], Any]) -> Truth:
    """A figure of the newest visits."""
    return lambda asked: [(what(asked.newest_visits),)]


def _share(rows: list[Cells]) -> float | None:
    return 100.0 * sum(map(failed, rows)) / len(rows) if rows else None


def _by_status_now(asked: Asked) -> Answer:
    groups = grouped(asked.newest_visits, lambda row: row["status"])
    return [(status, len(rows)) for status, rows in groups.items()]


def _last_of_hosts(asked: Asked) -> dict[datetime, list[Cells]]:
    """The last visit of each host in each step of time."""
    step = asked.span.step
    groups = grouped(
        asked.of_hosts("hosts"), lambda row: (floor(row["timestamp"], step), row["host"])
    )
    found: dict[datetime, list[Cells]] = defaultdict(list)
    for (time, _), rows in groups.items():
        found[time].append(rows[-1])
    return found


def _by_status(asked: Asked) -> Answer:
    return [
        (time, status, len(same))
        for time, rows in _last_of_hosts(asked).items()
        for status, same in grouped(rows, lambda row: row["status"]).items()
    ]


def _containers_over_time(asked: Asked) -> Answer:
    return [
        (time, sum(row["containers"] for row in rows))
        for time, rows in _last_of_hosts(asked).items()
    ]


def _last(rows: Iterable[Cells], host: str) -> datetime | None:
    return max((row["timestamp"] for row in rows if row["host"] == host), default=None)


def _not_ok(asked: Asked) -> Answer:
    good = [row for row in asked.rows("hosts") if row["status"] == "ok"]
    columns = ("host", "status", "phase", "detail", "maintenance")
    return [
        (*(row[column] for column in columns), _last(good, row["host"]), row["timestamp"])
        for row in asked.newest_visits
        if row["status"] != "ok"
    ]


def _ages(asked: Asked) -> Answer:
    full = [row for row in asked.rows("hosts") if row["containers"] > 0]
    found = []
    for row in asked.newest_visits:
        last = _last(full, row["host"])
        age = None if last is None else asked.age(last)
        found.append((row["host"], row["status"], row["containers"], age))
    return found


def jobs(what: Callable[[list[Cells]], Any]) -> Truth:
    """A series for each job."""

    def truth(asked: Asked) -> Answer:
        groups = grouped(
            asked.rows("sweeps"),
            lambda row: (floor(row["timestamp"], asked.span.step), row["name"]),
        )
        return [(*key, what(rows)) for key, rows in groups.items()]

    return truth


def last_of_jobs(what: Callable[[list[Cells]], Any]) -> Truth:
    """A figure of the jobs' last sweeps."""
    return lambda asked: [(what(newest(asked.rows("sweeps"), "name")),)]


def _latest(asked: Asked) -> Answer:
    columns = (
        *("host", "name", "service", "image", "cpu", "memory_use", "total_memory"),
        *("memory_percentage", "net_in_rate", "net_out_rate", "block_in_rate", "block_out_rate"),
        "pids",
    )
    rows = newest(asked.rows("containers"), "host", "container")
    return [
        (
            *(row[column] for column in columns),
            asked.age(row["timestamp"]),
            row["container"],
            row["source"],
        )
        for row in rows
        if asked.container_fits(row)
    ]


def values(column: str, table: str, *narrowed_by: str) -> Truth:
    """What a variable offers."""

    def truth(asked: Asked) -> Answer:
        source = asked.rows("containers") if asked.hours <= 24 else asked.buckets
        if table == "hosts":
            source = [*source, *asked.rows("hosts")]
        fitting = [
            row for row in source if all(asked.is_chosen(name, row[name]) for name in narrowed_by)
        ]
        return [(value,) for value in sorted({row[column] for row in fitting} - {None})]

    return truth


def _redeploys(asked: Asked, one_host: bool = False, by_container: bool = False) -> Answer:
    since = asked.span.start - LOOK_BACK
    first: dict[tuple[str, str], dict[str, datetime]] = defaultdict(dict)
    for row in sorted(asked.history.rows["states"], key=lambda row: row["timestamp"]):
        fits = asked.is_chosen("host", row["host"])
        if not one_host:
            fits = asked.container_fits(row) if by_container else asked.host_fits(row)
        if fits and since <= row["timestamp"] <= asked.span.end and row["state"] != "vanished":
            seen = first[row["host"], row["name"]]
            seen.setdefault(row["container"], row["timestamp"])
    return [
        (time, f"{host}: {name} is {container}", f"{host},{name}")
        for (host, name), seen in first.items()
        for container, time in list(seen.items())[1:]
        if time >= asked.span.start
    ]


def here(table: str, column: str) -> Truth:
    """A figure of one host's newest row."""

    def truth(asked: Asked) -> Answer:
        return [(row[column],) for row in newest(_here(asked, table), "host")]

    return truth


def _here(asked: Asked, table: str) -> list[Cells]:
    return [row for row in asked.rows(table) if asked.is_chosen("host", row["host"])]


def _status_strip(asked: Asked) -> Answer:
    groups = grouped(_here(asked, "hosts"), lambda row: floor(row["timestamp"], asked.span.step))
    return [(time, rows[-1]["status"]) for time, rows in groups.items()]


def node(*columns: str) -> Truth:
    """Means of one host's node."""

    def truth(asked: Asked) -> Answer:
        groups = grouped(
            _here(asked, "nodes"), lambda row: floor(row["timestamp"], asked.span.step)
        )
        return [
            (time, *(mean(row[column] for row in rows) for column in columns))
            for time, rows in groups.items()
        ]

    return truth


def _disks_in_use(asked: Asked) -> Answer:
    groups = grouped(
        _here(asked, "disks"), lambda row: (floor(row["timestamp"], asked.span.step), row["mount"])
    )
    return [(*key, mean(row["used_percentage"] for row in rows)) for key, rows in groups.items()]


def _disk_rates(asked: Asked) -> Answer:
    rates: dict[tuple[datetime, str], list[tuple[float | None, ...]]] = defaultdict(list)
    for mount, rows in grouped(_here(asked, "disks"), lambda row: row["mount"]).items():
        for before, row in zip([None, *rows], rows, strict=False):
            key = floor(row["timestamp"], asked.span.step), mount
            rates[key].append(_rates_between(before, row))
    return [
        (*key, mean(pair[0] for pair in found), mean(pair[1] for pair in found))
        for key, found in rates.items()
    ]


def _rates_between(before: Cells | None, row: Cells) -> tuple[float | None, ...]:
    def rate(column: str) -> float | None:
        if before is None or row[column] < before[column]:
            return None
        seconds = (row["timestamp"] - before["timestamp"]).total_seconds()
        return (row[column] - before[column]) / seconds

    return rate("read_bytes"), rate("written_bytes")


def _disks_now(asked: Asked) -> Answer:
    columns = ("mount", "device", "file_system", "size", "available", "used_percentage")
    rows = newest(_here(asked, "disks"), "mount")
    return [tuple(row[c] for c in (*columns, "inodes", "inodes_free")) for row in rows]


def _state_changes(asked: Asked) -> Answer:
    columns = ("timestamp", "name", "state", "health", "exit_code", "oom_killed", "restarts")
    watched = ("state", "health", "restarts", "started")
    since = asked.span.start - LOOK_BACK
    there = [
        row
        for row in asked.history.rows["states"]
        if since <= row["timestamp"] <= asked.span.end and asked.is_chosen("host", row["host"])
    ]
    found = []
    for rows in grouped(there, lambda row: row["container"]).values():
        for before, row in zip([None, *rows], rows, strict=False):
            is_other = before is None or any(row[one] != before[one] for one in watched)
            if is_other and row["timestamp"] >= asked.span.start:
                found.append(tuple(row[c] for c in (*columns, "image", "container")))
    return found


def _age_of_newest(table: str, one_host: bool) -> Truth:
    def truth(asked: Asked) -> Answer:
        rows = _here(asked, table) if one_host else asked.rows(table)
        times = [row["timestamp"] for row in rows]
        return [(asked.age(max(times)),)] if times else []

    return truth


_HOST_VARIABLES = {
    "env": values("env", "hosts"),
    "role": values("role", "hosts", "env"),
    "host": values("host", "hosts", *LABELS),
}


def _variables(page: str) -> dict[tuple[str, str], Truth]:
    return {(page, name): truth for name, truth in _HOST_VARIABLES.items()}


TRUTHS: dict[tuple[str, str], Truth] = {
    **{("alerts", title): truth for title, truth in RULES.items()},
    **_variables("fleet"),
    **_variables("containers"),
    **_variables("host"),
    ("containers", "service"): values("service", "containers", *LABELS, "host"),
    ("containers", "container"): values("name", "containers", *LABELS, "host", "service"),
    ("fleet", "Redeploys"): _redeploys,
    ("containers", "Redeploys"): lambda asked: _redeploys(asked, by_container=True),
    ("host", "Redeploys"): lambda asked: _redeploys(asked, one_host=True),
    ("fleet", "Hosts ok"): visits(lambda rows: sum(row["status"] == "ok" for row in rows)),
    ("fleet", "Hosts not ok"): visits(lambda rows: sum(map(failed, rows))),
    ("fleet", "Hosts without data"): visits(
        lambda rows: sum(row["containers"] == 0 for row in rows)
    ),
    ("fleet", "Containers"): visits(lambda rows: total(row["containers"] for row in rows)),
    ("fleet", "Age of the newest sweep"): _age_of_newest("sweeps", False),
    ("fleet", "Last sweep took"): last_of_jobs(lambda rows: max(row["elapsed"] for row in rows)),
    ("fleet", "Failed visits"): lambda asked: [(_share(asked.of_hosts("hosts")),)],
    ("fleet", "Rows in the spool"): last_of_jobs(lambda rows: sum(row["spooled"] for row in rows)),
    ("fleet", "Hosts by status now"): _by_status_now,
    ("fleet", "Hosts by status"): _by_status,
    ("fleet", "Containers over time"): _containers_over_time,
    ("fleet", "Hosts that are not ok"): _not_ok,
    ("fleet", "Age of each host's newest sample"): _ages,
    ("fleet", "Top containers by CPU"): top("cpu"),
    ("fleet", "Top containers by memory"): top("memory_use"),
    ("fleet", "Sweep duration"): jobs(lambda rows: max(row["elapsed"] for row in rows)),
    ("fleet", "Share of failed visits"): lambda asked: [
        (time, _share(rows))
        for time, rows in grouped(
            asked.of_hosts("hosts"), lambda row: floor(row["timestamp"], asked.span.step)
        ).items()
    ],
    ("fleet", "Rows waiting in the spool"): jobs(lambda rows: rows[-1]["spooled"]),
    ("containers", "CPU"): each("cpu"),
    ("containers", "Memory, against its limit"): each("memory_use", "total_memory"),
    ("containers", "Memory, in percent of its limit"): each("memory_percentage"),
    ("containers", "Processes and threads"): each("pids"),
    ("containers", "Network"): each("net_in_rate", "net_out_rate"),
    ("containers", "Block devices"): each("block_in_rate", "block_out_rate"),
    ("containers", "CPU by service"): summed("service", "cpu"),
    ("containers", "Memory by service"): summed("service", "memory_use"),
    ("containers", "Network by service"): summed("service", "net_in_rate", "net_out_rate"),
    ("containers", "Latest sample of each container"): _latest,
    ("host", "Status"): lambda asked: [(row["status"],) for row in asked.newest_visit],
    ("host", "Age of the newest visit"): _age_of_newest("hosts", True),
    ("host", "Containers"): lambda asked: [(row["containers"],) for row in asked.newest_visit],
    ("host", "CPUs"): here("nodes", "cpus"),
    ("host", "Up since boot"): here("nodes", "uptime"),
    ("host", "Clock ahead"): here("nodes", "clock_skew"),
    ("host", "Status over time"): _status_strip,
    ("host", "CPU of containers"): summed("name", "cpu", one_host=True),
    ("host", "Memory of containers"): summed("name", "memory_use", one_host=True),
    ("host", "Received by containers"): summed("name", "net_in_rate", one_host=True),
    ("host", "Sent by containers"): summed("name", "net_out_rate", one_host=True),
    ("host", "Read by containers"): summed("name", "block_in_rate", one_host=True),
    ("host", "Written by containers"): summed("name", "block_out_rate", one_host=True),
    ("host", "Load of the node"): node("load1", "load5", "load15", "cpus"),
    ("host", "Memory of the node"): node("memory_available", "memory_total"),
    ("host", "Pressure on the node"): node("cpu_pressure", "memory_pressure", "io_pressure"),
    ("host", "Disks in use"): _disks_in_use,
    ("host", "Read from and written to disks"): _disk_rates,
    ("host", "Disks now"): _disks_now,
    ("host", "State changes"): _state_changes,
}

ORDERED = {
    ("fleet", "Top containers by CPU"),
    ("fleet", "Top containers by memory"),
    *((page, name) for page in ("fleet", "host", "containers") for name in (*LABELS, "host")),
}
