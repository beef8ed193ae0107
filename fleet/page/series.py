"""QuestDB → the top tables and the lines of charts.

A sum over containers is what they had together, bucket by bucket: of each its mean there, for the
part of its host's sweeps at which it was there. So a bucket with two sweeps counts nothing twice,
and containers that come and go are not counted beside each other. What is null in a bucket is not
in its mean, and where nothing else is there is no value.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fleet.page.archive import Archive, bucket, in_parts, listed, text, time_of
from fleet.page.facts import (
    DETAILED_MAX,
    LINES_MAX,
    METRICS,
    TOP_MAX,
    TOPS,
    Chart,
    Group,
    Metric,
    Ranked,
    Series,
    Top,
)
from fleet.page.span import Grid

COLUMNS = (
    *("name", "cpu", "memory_use", "memory_use_unit", "memory_percentage"),
    *("net_in_rate", "net_out_rate", "block_in_rate", "block_out_rate"),
)
"""What is read of `containerStats`, but for its keys."""


def container_count(archive: Archive, *conditions: str) -> int:
    """How many containers have rows that fulfil the conditions."""
    rows = archive.rows(archive.schema.containers, *conditions)
    (row,) = archive.ask(f"SELECT count() n FROM (SELECT DISTINCT host, container {rows})")
    return int(row["n"])


def tops(archive: Archive) -> tuple[Top, ...]:
    """The top tables."""
    return tuple(_top(archive, metric) for metric in TOPS)


def _top(archive: Archive, metric: Metric) -> Top:
    known = f"{metric.sql} IS NOT NULL"
    rows = archive.ask(
        f"SELECT host, container, last(name) name, avg({metric.sql}) mean, max({metric.sql}) most "
        f"{archive.rows(archive.schema.containers, known)} GROUP BY host, container "
        f"ORDER BY mean DESC, host, container LIMIT {TOP_MAX}"
    )
    ranked = tuple(
        Ranked(
            row["host"],
            row["container"],
            row["name"] or row["container"],
            row["mean"],
            row["most"],
        )
        for row in rows
    )
    return Top(metric, ranked, container_count(archive, known))


def groups(archive: Archive, grid: Grid) -> tuple[tuple[Group, ...], int]:
    """All charts: of the fleet, of hosts, of the containers of some hosts → those, and how many
    hosts with containers have no charts of these.
    """
    ranks = {metric.name: _host_ranks(archive, grid, metric) for metric in METRICS}
    counts = {metric.name: _host_count(archive, metric) for metric in METRICS}
    most = max(counts.values())
    found = []
    if most > 1:
        found.append(Group("All hosts together", _SUMS, _fleet(archive, grid)))
    charts = tuple(
        _of_hosts(archive, grid, metric, ranks[metric.name], counts[metric.name])
        for metric in METRICS
    )
    found.append(Group("Hosts", _SUMS, charts))
    busiest = dict.fromkeys(name for metric in METRICS for name in ranks[metric.name])
    for name in list(busiest)[:DETAILED_MAX]:
        charts = tuple(_of_containers(archive, grid, metric, name) for metric in METRICS)
        found.append(Group(f"Containers of {name}", "", charts, detailed=True))
    return tuple(found), max(0, most - DETAILED_MAX)


_SUMS = (
    "Sums over containers: what they had together. Of each the mean in a bucket counts for the "
    "part of its host's sweeps at which it was there. Containers whose figure is not known are not "
    "in it, nor are hosts without data."
)


def _sums(archive: Archive, grid: Grid, metrics: Sequence[Metric], hosts: str = "") -> str:
    """Buckets of hosts (`hosts`: of some only): what a host's containers had together.

    Where no visit tells how many sweeps there were, or tells of too few, it is as many as the
    container has rows that has the most.
    """
    only = (hosts,) if hosts else ()
    means = ", ".join(f"avg({metric.sql}) {metric.name}" for metric in metrics)
    rows = archive.rows(archive.schema.containers, *only)
    each = f"SELECT {bucket(grid)}, host, container, count() n, {means} {rows}"
    sums = ", ".join(f"sum({metric.name} * n) {metric.name}" for metric in metrics)
    of_hosts = f"SELECT b, host, max(n) most, {sums} FROM ({each} GROUP BY b, host, container)"
    visits = replace(archive, hosts="").rows(archive.schema.hosts, "containers > 0", *only)
    sweeps = f"SELECT {bucket(grid)}, host, count() n {visits} GROUP BY b, host"
    parts = ", ".join(
        f"each.{metric.name} / greatest(each.most, coalesce(sweeps.n, 0)) {metric.name}"
        for metric in metrics
    )
    return (
        f"(SELECT each.b b, each.host host, {parts} FROM ({of_hosts} GROUP BY b, host) each "
        f"LEFT JOIN ({sweeps}) sweeps ON each.b = sweeps.b AND each.host = sweeps.host)"
    )


def _host_ranks(archive: Archive, grid: Grid, metric: Metric) -> list[str]:
    means = f"SELECT host, avg({metric.name}) mean FROM {_sums(archive, grid, [metric])}"
    rows = archive.ask(
        f"SELECT host, mean FROM ({means} GROUP BY host) WHERE mean IS NOT NULL "
        f"ORDER BY mean DESC, host LIMIT {LINES_MAX}"
    )
    return [row["host"] for row in rows]


def _host_count(archive: Archive, metric: Metric) -> int:
    rows = archive.rows(archive.schema.containers, f"{metric.sql} IS NOT NULL")
    (row,) = archive.ask(f"SELECT count_distinct(host) n {rows}")
    return int(row["n"])


def _fleet(archive: Archive, grid: Grid) -> tuple[Chart, ...]:
    columns = ", ".join(
        f"sum({metric.name}) {metric.name}, count({metric.name}) n{place}"
        for place, metric in enumerate(METRICS)
    )
    rows = archive.ask(f"SELECT b, {columns} FROM {_sums(archive, grid, METRICS)} GROUP BY b")
    by_place = {grid.place(time_of(row["b"])): row for row in rows}
    found = [by_place.get(place, {}) for place in range(grid.count)]
    lines = [
        Series(
            metric.title,
            tuple(row.get(metric.name) for row in found),
            tuple(row.get(f"n{place}", 0) for row in found),
        )
        for place, metric in enumerate(METRICS)
    ]
    known = [one if any(value is not None for value in one.values) else None for one in lines]
    return tuple(
        Chart(title, form, tuple(one for one in known[places] if one), 0, "lines")
        for title, form, places in _TOGETHER
    )


_TOGETHER = (
    ("CPU", "percent", slice(0, 1)),
    ("Memory", "bytes", slice(1, 2)),
    ("Network", "rate", slice(2, 4)),
    ("Block devices", "rate", slice(4, 6)),
)
"""Charts of all hosts: title, form, and which metrics."""


def _of_hosts(
    archive: Archive, grid: Grid, metric: Metric, names: Sequence[str], count: int
) -> Chart:
    lines: tuple[Series, ...] = ()
    if names:
        rows = []
        for part in in_parts(names, grid.count, named=2):
            sums = _sums(archive, grid, [metric], f"host IN ({listed(part)})")
            rows += archive.ask(f"SELECT host, b, {metric.name} v FROM {sums}")
        lines = _lines(grid, [(name, name) for name in names], rows, "host")
    return Chart(metric.title, metric.form, lines, count - len(names), "hosts")


def _of_containers(archive: Archive, grid: Grid, metric: Metric, host: str) -> Chart:
    here = (f"host = {text(host)}", f"{metric.sql} IS NOT NULL")
    rows = archive.rows(archive.schema.containers, *here)
    ranked = archive.ask(
        f"SELECT container, last(name) name, avg({metric.sql}) mean {rows} GROUP BY container "
        f"ORDER BY mean DESC, container LIMIT {LINES_MAX}"
    )
    lines: tuple[Series, ...] = ()
    count = len(ranked)
    if ranked:
        ids = listed(row["container"] for row in ranked)
        of_these = archive.rows(archive.schema.containers, *here, f"container IN ({ids})")
        found = archive.ask(
            f"SELECT container, {bucket(grid)}, avg({metric.sql}) v {of_these} "
            "GROUP BY container, b"
        )
        names = Counter(row["name"] for row in ranked)
        labels = [(row["container"], _label(row, names)) for row in ranked]
        lines = _lines(grid, labels, found, "container")
    if count == LINES_MAX:
        count = container_count(archive, *here)
    return Chart(metric.title, metric.form, lines, count - len(lines), "containers")


def _label(row: dict[str, str | None], names: Counter[str | None]) -> str:
    """A container's name; with its id where another one has it, too."""
    name, container = row["name"], row["container"] or ""
    if name is None:
        return container
    return f"{name} ({container})" if names[name] > 1 else name


def _lines(
    grid: Grid,
    labels: Sequence[tuple[str, str]],
    rows: Sequence[dict[str, object]],
    key: str,
) -> tuple[Series, ...]:
    """A line for each of the (key, label) pairs; a bucket without a row has no value."""
    values: dict[object, list[float | None]] = {
        one: [None] * grid.count for one, _label_of_it in labels
    }
    for row in rows:
        value = row["v"]
        if isinstance(value, int | float):
            values[row[key]][grid.place(time_of(str(row["b"])))] = float(value)
    return tuple(Series(label, tuple(values[one])) for one, label in labels)
