"""The questions that dashboards ask, as QuestDB's SQL with the macros of Grafana's QuestDB plugin.

Rules that all of them keep:

- Null is a gap, never 0. A mean is taken over what is known.
- A sum is taken in two steps: first each container's mean in a bucket, then the sum of those, so
  that a second sweep in one bucket doubles nothing.
- Variables stand as `${name:sqlstring}`, which quotes and escapes them: names come from nodes. A
  condition on a variable that is set to All is none (`$__conditionalAll`), so that rows without a
  label, or a service, are not lost.
- Ranges over a day read the views of `fleet.views`: each branch that is not meant for the range has
  a constant condition that is false, and QuestDB reads nothing for it.
"""

from fleet.dashboards import tokens
from fleet.views import METRICS, SIZES

TIME = "$__timeFilter(timestamp)"
BUCKET = "$__sampleByInterval"
HOURS = "datediff('h', $__fromTime, $__toTime)"

TABLE_HOURS = 24
"""Longest range that is read from the table itself."""


def given(column: str, variable: str | None = None) -> str:
    """A condition: the column has one of the variable's values, or the variable is All."""
    name = variable or column
    return f"$__conditionalAll({column} IN (${{{name}:sqlstring}}), ${name})"


OF_HOSTS = f"{tokens.OF_LABELS} AND {given('host')}"
OF_CONTAINERS = f"{OF_HOSTS} AND {given('service')} AND {given('name', 'container')}"
ONE_HOST = "host = ${host:sqlstring}"


def table(token: str) -> str:
    """A table, by its token."""
    return f'"{token}"'


def buckets(*metrics: str) -> str:
    """Each container's figures in each bucket: time, host, container, name, service, total_memory,
    the labels, and for each metric its sum, how many values that has, and the largest.
    """
    last = f"last(name) AS name, last(service) AS service{tokens.LAST_LABELS}"
    grouped = ", ".join(
        f"sum({m}) AS {m}_sum, count({m}) AS {m}_count, max({m}) AS {m}_max" for m in metrics
    )
    kept = ", ".join(f"{m}_sum, {m}_count, {m}_max" for m in metrics)
    branches = [
        f"SELECT timestamp AS time, host, container, {last}, last(total_memory) AS total_memory, "
        f"{grouped} FROM {table(tokens.CONTAINERS)} "
        f"WHERE {TIME} AND {HOURS} <= {TABLE_HOURS} SAMPLE BY {BUCKET}"
    ]
    for size in SIZES:
        holds = f"{HOURS} > {size.over_hours}"
        if size.to_hours is not None:
            holds += f" AND {HOURS} <= {size.to_hours}"
        branches.append(
            f"SELECT timestamp AS time, host, container, name, service{tokens.LABEL_COLUMNS}, "
            f'total_memory, {kept} FROM "{tokens.CONTAINERS}_{size.name}" '
            f"WHERE {TIME} AND {holds}"
        )
    return "(" + " UNION ALL ".join(branches) + ")"


def mean(metric: str) -> str:
    """The mean of a metric in a bucket; null where no value of it is known."""
    return f"1.0 * {metric}_sum / {metric}_count"


def per_container(where: str, most: int | None = None, /, **values: str) -> str:
    """A series for each container and value: `values` are columns by the metric they show, and
    `total_memory`, which is none, shows the limit. `most` keeps the so many containers that have
    the highest mean of the first.
    """
    metrics = [metric for metric in values.values() if metric in METRICS]
    shown = ", ".join(
        f'{mean(metric) if metric in METRICS else metric} AS "{name}"'
        for name, metric in values.items()
    )
    of = f"SELECT * FROM {buckets(*metrics)} WHERE {where}"
    if most is None:
        return f"SELECT time, host, name, {shown} FROM ({of}) ORDER BY time, host, name"
    first = metrics[0]
    return (
        f"WITH found AS ({of}) "
        f"SELECT found.time AS time, found.host AS host, name, {shown} FROM found "
        f"JOIN (SELECT host, container, 1.0 * sum({first}_sum) / sum({first}_count) AS of_all "
        f"FROM found ORDER BY of_all DESC LIMIT {most}) top "
        "ON found.host = top.host AND found.container = top.container "
        "ORDER BY time, host, name"
    )


def summed(where: str, by: str, /, **values: str) -> str:
    """A series for each value of the column `by`: sums over containers of their means."""
    inner = ", ".join(f'{mean(metric)} AS "{name}"' for name, metric in values.items())
    outer = ", ".join(f'sum("{name}") AS "{name}"' for name in values)
    return (
        f"SELECT time, {by}, {outer} FROM (SELECT time, {by}, {inner} "
        f"FROM {buckets(*values.values())} WHERE {where}) ORDER BY time, {by}"
    )


def top(metric: str, where: str, limit: int) -> str:
    """The containers with the highest mean of a metric over the range, and its largest value."""
    return (
        "SELECT host, name, service, mean, peak FROM (SELECT host, container, "
        "last(name) AS name, last(service) AS service, "
        f"1.0 * sum({metric}_sum) / sum({metric}_count) AS mean, max({metric}_max) AS peak "
        f"FROM (SELECT * FROM {buckets(metric)} WHERE {where} ORDER BY time)) "
        f"WHERE mean IS NOT NULL ORDER BY mean DESC, host, name LIMIT {limit}"
    )


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
        f"SELECT DISTINCT {column} FROM {source} WHERE {where} AND {column} IS NOT NULL "
        f"ORDER BY {column}"
    )
