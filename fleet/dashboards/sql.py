"""The questions that dashboards ask, as QuestDB's SQL with the macros of Grafana's QuestDB plugin.

Rules that all of them keep:

- Null is a gap, never 0. A mean is taken over what is known.
- A line is broken where two sweeps did not come (`broken`): Grafana joins whatever points it gets.
- A sum over containers is what they had together at a time: each one's mean in a bucket, for the
  part of its host's sweeps at which it was there. So a second sweep in one bucket doubles nothing,
  and a container that took another's place is not counted beside it.
- Variables stand as `${name:sqlstring}`, which quotes and escapes them: names come from nodes. A
  condition on a variable that is set to All is none (`$__conditionalAll`), so that rows without a
  label, or a service, are not lost.
- Ranges over a day read the views of `fleet.views`: each branch that is not meant for the range has
  a constant condition that is false, and QuestDB reads nothing for it.
"""

from collections.abc import Iterator, Sequence

from fleet.dashboards import tokens
from fleet.views import LIMIT, METRICS, SIZES, TABLE_HOURS, Size, figure

TIME = "$__timeFilter(timestamp)"
BUCKET = "$__sampleByInterval"
HOURS = "datediff('h', $__fromTime, $__toTime)"

STEP_S = f"greatest($__interval_ms / 1000, {tokens.INTERVAL_SECONDS})"
"""Seconds from one point of a line to the next: Grafana's step, but no less than the interval."""

NOT_VISITED = "not visited"

MISSED = 2.5
"""A line is broken where points are so many steps apart."""


def given(column: str, variable: str | None = None) -> str:
    """A condition: the column has one of the variable's values, or the variable is All."""
    name = variable or column
    return f"$__conditionalAll({column} IN (${{{name}:sqlstring}}), ${name})"


OF_HOSTS = f"{tokens.OF_LABELS} AND {given('host')}"
OF_CONTAINERS = f"{OF_HOSTS} AND {given('service')} AND {given('name', 'container')}"
ONE_HOST = "host IN (${host:sqlstring})"


def table(token: str) -> str:
    """A table, by its token."""
    return f'"{token}"'


def _of_view(size: Size) -> str:
    """The condition under which a range is read from a view."""
    holds = f"{HOURS} > {size.over_hours}"
    return holds if size.to_hours is None else f"{holds} AND {HOURS} <= {size.to_hours}"


def _first(size: Size) -> str:
    """The bucket of a view in which the range begins: it is taken whole, as is the last."""
    return f"timestamp_floor('{size.name}', $__fromTime)"


def buckets(*metrics: str) -> str:
    """Each container's figures in each bucket: time, host, container, name, service, total_memory,
    the labels, `samples` (its rows), and for each metric its sum, how many values that has, and
    the largest.
    """
    last = f"last(name) AS name, last(service) AS service{tokens.LAST_LABELS}"
    grouped = ", ".join(
        f"sum({figure(m)}) AS {m}_sum, count({figure(m)}) AS {m}_count, max({figure(m)}) AS {m}_max"
        for m in metrics
    )
    kept = ", ".join(f"{m}_sum, {m}_count, {m}_max" for m in metrics)
    branches = [
        f"SELECT timestamp AS time, host, container, {last}, {LIMIT}, "
        f"count() AS samples, {grouped} FROM {table(tokens.CONTAINERS)} "
        f"WHERE {TIME} AND {HOURS} <= {TABLE_HOURS} SAMPLE BY {BUCKET}"
    ]
    branches += [
        f"SELECT timestamp AS time, host, container, name, service{tokens.LABEL_COLUMNS}, "
        f'total_memory, samples, {kept} FROM "{tokens.CONTAINERS}_{size.name}" '
        f"WHERE timestamp >= {_first(size)} AND timestamp <= $__toTime AND {_of_view(size)}"
        for size in SIZES
    ]
    return "(" + " UNION ALL ".join(branches) + ")"


def names() -> str:
    """The hosts, names, services and labels of containers in the range, as variables need them: no
    step of time, for Grafana has none there.
    """
    columns = f"host, name, service{tokens.LABEL_COLUMNS}"
    branches = [
        f"SELECT {columns} FROM {table(tokens.CONTAINERS)} "
        f"WHERE {TIME} AND {HOURS} <= {TABLE_HOURS}"
    ]
    branches += [
        f'SELECT {columns} FROM "{tokens.CONTAINERS}_{size.name}" '
        f"WHERE timestamp >= {_first(size)} AND timestamp <= $__toTime AND {_of_view(size)}"
        for size in SIZES
    ]
    return "(" + " UNION ALL ".join(branches) + ")"


def hosts() -> str:
    """Hosts and their labels in the range: those that were visited, and those that have rows,
    which views keep longer.
    """
    columns = f"host{tokens.LABEL_COLUMNS}"
    return (
        f"(SELECT {columns} FROM {table(tokens.HOSTS)} WHERE {TIME} "
        f"UNION ALL SELECT {columns} FROM {names()})"
    )


def _sweeps_of_hosts() -> str:
    """How many sweeps read containers of each host in each bucket."""
    counted = f"timestamp AS time, host, count() AS sweeps FROM {table(tokens.HOSTS)}"
    branches = [
        f"SELECT {counted} WHERE {TIME} AND {HOURS} <= {TABLE_HOURS} AND containers > 0 "
        f"SAMPLE BY {BUCKET}"
    ]
    for size in SIZES:
        last = f"timestamp_floor('{size.name}', $__toTime)"
        branches.append(
            f"SELECT {counted} WHERE timestamp >= {_first(size)} "
            f"AND timestamp < dateadd('m', {size.minutes}, {last}) "
            f"AND {_of_view(size)} AND containers > 0 SAMPLE BY {size.name}"
        )
    return "(" + " UNION ALL ".join(branches) + ")"


def broken(rows: str, keys: Sequence[str], values: Sequence[str], of_buckets: bool = False) -> str:
    """Rows of lines with a row of nulls one step after each point that the next one, or the end of
    the range, does not follow: in Grafana it ends all lines there. `rows` has time, `keys` and
    `values`.
    """
    step = STEP_S
    if of_buckets:  # a view's rows are as far apart as its buckets, whatever Grafana's step is
        cases = "".join(
            f" WHEN {_of_view(size)} THEN greatest({size.minutes * 60}, {tokens.INTERVAL_SECONDS})"
            for size in SIZES
        )
        step = f"CASE{cases} ELSE {STEP_S} END"
    shown = ", ".join(f'CASE WHEN part = 1 THEN "{value}" END AS "{value}"' for value in values)
    return (
        "SELECT CASE WHEN part = 1 THEN time ELSE dateadd('s', "
        f"cast({step} AS int), time) END AS time, {''.join(f'{key}, ' for key in keys)}{shown} "
        f"FROM (SELECT *, coalesce(follows, $__toTime) AS next_time FROM "
        f"(SELECT *, lead(time) OVER (ORDER BY time) AS follows FROM ({rows}))) "
        "CROSS JOIN (SELECT x AS part FROM long_sequence(2)) "
        f"WHERE part = 1 OR datediff('s', time, next_time) > {MISSED} * {step} ORDER BY time"
    )


def _means(values: dict[str, str]) -> Iterator[str]:
    """Columns by the metric they show, of rows that are grouped; a limit is the last one."""
    for name, metric in values.items():
        if metric in METRICS:
            yield f'1.0 * sum({metric}_sum) / sum({metric}_count) AS "{name}"'
        else:
            yield f'last({metric}) AS "{name}"'


def per_container(where: str, most: int, /, **values: str) -> str:
    """A series for each container's name and value: `values` are columns by the metric they show,
    and `total_memory`, which is none, shows the limit. Of more than `most` names those are kept
    that have the highest mean of the first.
    """
    metrics = [metric for metric in values.values() if metric in METRICS]
    first = metrics[0]
    found = (
        f"WITH found AS (SELECT * FROM {buckets(*metrics)} WHERE {where}), "
        f"top AS (SELECT host, name FROM (SELECT host, name, "
        f"1.0 * sum({first}_sum) / sum({first}_count) AS of_all FROM found) "
        f"WHERE of_all IS NOT NULL ORDER BY of_all DESC, host, name LIMIT {most}) "
        f"SELECT found.time AS time, found.host AS host, found.name AS name, "
        f"{', '.join(_means(values))} FROM found "
        "JOIN top ON found.host = top.host AND found.name = top.name"
    )
    return broken(found, ("host", "name"), list(values), of_buckets=True)


def summed(where: str, by: str, /, **values: str) -> str:
    """A series for each value of the column `by`: what its containers had together."""
    # There may be no visits, or fewer than rows: they are not kept so long, or a per-node publisher
    # was at work. Then a host had as many sweeps as the container with the most rows.
    part = "1.0 * samples / CASE WHEN sweeps > most THEN sweeps ELSE most END"
    inner = ", ".join(
        f'1.0 * {metric}_sum / {metric}_count * {part} AS "{name}"'
        for name, metric in values.items()
    )
    outer = ", ".join(f'sum("{name}") AS "{name}"' for name in values)
    found = (
        f"SELECT time, {by}, {outer} FROM (SELECT each.time AS time, {by}, {inner} "
        "FROM (SELECT * FROM (SELECT *, max(samples) OVER (PARTITION BY time, host) AS most "
        f"FROM {buckets(*values.values())}) WHERE {where}) each "
        f"LEFT JOIN {_sweeps_of_hosts()} visits "
        "ON each.time = visits.time AND each.host = visits.host)"
    )
    return broken(found, (by,), list(values), of_buckets=True)


def top(metric: str, where: str, limit: int) -> str:
    """The containers with the highest mean of a metric over the range, and its largest value."""
    return (
        "SELECT host, name, service, mean, peak FROM (SELECT host, name, "
        "last(service) AS service, "
        f"1.0 * sum({metric}_sum) / sum({metric}_count) AS mean, max({metric}_max) AS peak "
        f"FROM (SELECT * FROM {buckets(metric)} WHERE {where} ORDER BY time)) "
        f"WHERE mean IS NOT NULL ORDER BY mean DESC, host, name LIMIT {limit}"
    )


def newest_visits(where: str = OF_HOSTS) -> str:
    """The newest visit of each host in the range for which a condition holds: host, status, phase,
    detail, maintenance, containers, timestamp. One that is three intervals old says nothing of now:
    its status is `not visited`, and it has no containers.
    """
    is_old = f"timestamp < dateadd('s', -{tokens.intervals(3)}, $__toTime)"
    columns = (
        f"host, CASE WHEN {is_old} THEN '{NOT_VISITED}' ELSE status END AS status, phase, detail, "
        f"maintenance, CASE WHEN {is_old} THEN 0 ELSE containers END AS containers, timestamp"
    )
    return newest(tokens.HOSTS, "host", where, columns)


def newest(token: str, keys: str, where: str, columns: str = "*") -> str:
    """The newest row of each of `keys` in the range, where that fits.

    Conditions come after LATEST ON, not before: a host or a container is what it is now. QuestDB
    (9.3) also finds no name with a quote in it when a key of LATEST ON is compared before.
    """
    return (
        f"(SELECT {columns} FROM (SELECT * FROM {table(token)} WHERE {TIME} "
        f"LATEST ON timestamp PARTITION BY {keys}) WHERE {where})"
    )


def values_of(column: str, source: str, where: str) -> str:
    """The values that a variable offers."""
    return (
        f'SELECT DISTINCT "{column}" FROM {source} WHERE {where} AND "{column}" IS NOT NULL '
        f'ORDER BY "{column}"'
    )
