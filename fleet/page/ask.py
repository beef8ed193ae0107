"""QuestDB → the facts of a page: hosts, their strips, the totals; the rest by its neighbours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fleet.page import events, machines, series
from fleet.page.archive import Archive, bucket, in_parts, listed, time_of
from fleet.page.facts import MAINTENANCE, OK, STRIPS_MAX, Facts, Group, Host, Strip
from fleet.page.span import (
    JITTER,
    Grid,
    Span,
    Width,
    grid_of,
    usual_interval_s,
    width_of,
    widths_for,
)
from fleet.questdb_http import Record
from fleet.status import Status

_OF_HOSTS = ("status", "detail", "maintenance", "containers")
"""What is read of `hostStatus`, but for its keys."""
_INTERVALS_MAX = 20_000
_HOSTS_AT_ONCE = 8_000
"""Their rows are less than the client takes of one answer."""


def ask(archive: Archive, wanted: Mapping[str, bool] | None = None) -> Facts | None:
    """All facts about the `wanted` hosts (each with whether it is in maintenance), or about all
    that have rows in the range; None where none of them has any.
    """
    schema = archive.schema
    archive.require(schema.hosts, _OF_HOSTS)
    archive.require(schema.containers, series.COLUMNS)
    archive.require(schema.states, events.COLUMNS)
    archive.require(schema.nodes, machines.OF_NODES)
    archive.require(schema.disks, machines.OF_DISKS)
    found = _hosts(archive)
    if wanted is not None:
        archive = archive.only(
            [host.name for host in found if host.name in wanted],
            [host.name for host in found if host.name not in wanted],
        )
        found = [host for host in found if host.name in wanted]
    if not found:
        return None
    there = {host.name for host in found}
    silent = [
        Host(name, maintenance=away) for name, away in (wanted or {}).items() if name not in there
    ]
    hosts = sorted([*found, *silent], key=_worst_first)
    interval_s, width = _width(archive)
    grid = grid_of(archive.span, width)
    happened, count = events.ask(archive)
    told_of = events.told_of(archive)
    groups, hosts_left_out = series.groups(archive, grid)
    disks, disk_count = machines.disks(archive)
    return Facts(
        span=archive.span,
        grid=grid,
        interval_s=interval_s,
        hosts=tuple(hosts),
        strips=tuple(_strips(archive, grid, hosts[:STRIPS_MAX])),
        sweeps=_sweeps(archive),
        containers=series.container_count(archive),
        gap=_gap(archive),
        tops=series.tops(archive),
        disks=disks,
        disk_count=disk_count,
        events=happened,
        event_count=count,
        groups=_in_order(groups, machines.groups(archive, grid, disk_count)),
        hosts_left_out=hosts_left_out,
        stateless=sum(host.name not in told_of and not host.empty for host in hosts),
        chosen=wanted is not None,
    )


def _in_order(groups: Sequence[Group], of_machines: Sequence[Group]) -> tuple[Group, ...]:
    """Charts of machines stand between those of hosts and those of single containers."""
    place = sum(not group.detailed for group in groups)
    return (*groups[:place], *of_machines, *groups[place:])


def _worst_first(host: Host) -> tuple[bool, float, str]:
    return (host.well or host.maintenance, -host.share, host.name)


def _hosts(archive: Archive) -> list[Host]:
    rows: list[Record] = []
    more = True
    while more:
        part = archive.ask(
            "SELECT host, last(status) now, last(maintenance) away, last(containers) containers, "
            "max(timestamp) newest, sum(CASE WHEN maintenance THEN 0 ELSE 1 END) visits, "
            f"sum(CASE WHEN maintenance OR status = '{OK}' THEN 0 ELSE 1 END) failed "
            f"{archive.rows(archive.schema.hosts)} GROUP BY host "
            f"ORDER BY host LIMIT {len(rows)}, {len(rows) + _HOSTS_AT_ONCE}"
        )
        rows += part
        more = len(part) == _HOSTS_AT_ONCE
    return [
        Host(
            row["host"],
            row["now"],
            row["away"],
            int(row["containers"] or 0),
            time_of(row["newest"]),
            row["visits"],
            row["failed"],
        )
        for row in rows
    ]


def _intervals(archive: Archive) -> str:
    """Visits, each with the seconds `s` since 1970, and `d` since the one before of its host."""
    return (
        "(SELECT s, s - lag(s) OVER (PARTITION BY host ORDER BY timestamp) d FROM "
        "(SELECT timestamp, host, cast(timestamp AS TIMESTAMP)::long / 1000000.0 s "
        f"{archive.rows(archive.schema.hosts)}))"
    )


def _width(archive: Archive) -> tuple[float, Width]:
    """The usual time between two visits of a host, and the width of buckets that goes with it."""
    visits = _intervals(archive)
    rows = archive.ask(
        f"SELECT round(d, 0) d, count() n FROM {visits} WHERE d IS NOT NULL "
        f"GROUP BY d ORDER BY n DESC, d LIMIT {_INTERVALS_MAX}"
    )
    interval_s = usual_interval_s({row["d"]: row["n"] for row in rows})
    widths = widths_for(archive.span, interval_s)
    counts = ", ".join(
        f"sum(CASE WHEN floor(s / {width.seconds}) - floor((s - d) / {width.seconds}) > 1 "
        f"THEN 1 ELSE 0 END) w{place}"
        for place, width in enumerate(widths)
    )
    (holes,) = archive.ask(f"SELECT {counts} FROM {visits} WHERE d <= {interval_s * JITTER}")
    return interval_s, width_of(widths, [holes[f"w{n}"] or 0 for n in range(len(widths))])


def _sweeps(archive: Archive) -> int:
    (row,) = archive.ask(f"SELECT count_distinct(timestamp) n {archive.rows(archive.schema.hosts)}")
    return int(row["n"])


def _gap(archive: Archive) -> Span:
    """The longest time without a sweep, the two ends of the range among them."""
    rows = archive.rows(archive.schema.hosts)
    between = archive.ask(
        "SELECT timestamp, before FROM (SELECT timestamp, lag(timestamp) OVER (ORDER BY timestamp)"
        f" before FROM (SELECT DISTINCT timestamp {rows} ORDER BY timestamp)) "
        "WHERE before IS NOT NULL ORDER BY timestamp - before DESC, timestamp LIMIT 1"
    )
    (ends,) = archive.ask(f"SELECT min(timestamp) first, max(timestamp) last {rows}")
    gaps = [
        Span(archive.span.since, time_of(ends["first"])),
        *(Span(time_of(row["before"]), time_of(row["timestamp"])) for row in between),
        Span(time_of(ends["last"]), archive.span.until),
    ]
    return max(gaps, key=lambda gap: gap.seconds)


def _strips(archive: Archive, grid: Grid, hosts: Sequence[Host]) -> Iterable[Strip]:
    cells: dict[str, dict[int, str]] = {}
    troubles: dict[str, tuple[str, datetime]] = {}
    names = [host.name for host in hosts if host.newest is not None]
    for part in in_parts(names, grid.count):
        here = replace(archive, hosts=f"host IN ({listed(part)})")
        for row in here.ask(
            f"SELECT host, {bucket(grid)}, max({_BADNESS}) badness, "
            f"max(CASE WHEN {_BADNESS} = {len(_MILD)} THEN status END) failure "
            f"{here.rows(archive.schema.hosts)} GROUP BY host, b"
        ):
            place, badness = grid.place(time_of(row["b"])), row["badness"]
            shown = _MILD[badness] if badness < len(_MILD) else row["failure"] or "?"
            cells.setdefault(row["host"], {})[place] = shown
    for part in in_parts(names, _DETAIL_ROWS):
        here = replace(archive, hosts=f"host IN ({listed(part)})")
        not_ok = f"status <> '{OK}'"
        for row in here.ask(
            f"SELECT host, status, detail, timestamp {here.rows(archive.schema.hosts, not_ok)} "
            "LATEST ON timestamp PARTITION BY host"
        ):
            status = row["status"] or "?"
            said = f"{status}: {row['detail']}" if row["detail"] else status
            troubles[row["host"]] = (said, time_of(row["timestamp"]))
    for host in hosts:
        of_host = cells.get(host.name, {})
        trouble, at = troubles.get(host.name, (None, None))
        yield Strip(host, tuple(of_host.get(n) for n in range(grid.count)), trouble, at)


_MILD = (OK, MAINTENANCE, Status.PARTIAL.value)
"""Of several statuses in one bucket the worse is shown: any other, then the last of these."""
_BADNESS = (
    f"CASE WHEN status = '{OK}' THEN 0 WHEN maintenance THEN 1 "
    f"WHEN status = '{Status.PARTIAL.value}' THEN 2 ELSE 3 END"
)
_DETAIL_ROWS = 30
"""A detail, of 500 characters at the most, takes no more room than so many rows."""
