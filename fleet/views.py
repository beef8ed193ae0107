"""Materialized views: each container's figures by ten minutes and by hours, for long ranges.

A view has, for each metric, the sum of its values, how many there were, and the largest, so that a
mean over any longer time is what the table itself would give. QuestDB keeps views up to date, late
rows included. What is no key of the table's can be no key of a view (QuestDB's documentation,
"materialized views", of tables with dedup keys): names and labels are the last ones of a bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.errors import QuestDBError, SchemaError
from fleet.questdb_http import Client, Record
from fleet.schema import Plan, columns_of, described, quoted
from fleet.tables import Table, reserved_names

METRICS = (
    "cpu",
    "memory_use",
    "memory_percentage",
    "pids",
    "net_in_rate",
    "net_out_rate",
    "block_in_rate",
    "block_out_rate",
)


FIGURES = (
    "samples",
    *(f"{metric}_{what}" for metric in METRICS for what in ("sum", "count", "max")),
)
"""A view's own columns: no label may have the name of one."""

TABLE_HOURS = 24
"""The longest range, in hours, that dashboards read from the table itself."""


@dataclass(frozen=True, slots=True)
class Size:
    """A view's bucket, as QuestDB writes it and in minutes, and the ranges in hours that dashboards
    read from it: longer than `over_hours`, and up to `to_hours` (None: any).
    """

    name: str
    minutes: int
    over_hours: int
    to_hours: int | None


SIZES = (Size("10m", 10, TABLE_HOURS, 168), Size("1h", 60, 168, None))


_UNITS = {"bytes": 0, "B": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}


def in_bytes(column: str) -> str:
    """A size of memory in bytes, by the unit beside it. Per-node publishers, whose rows may be in
    the same table, left it as Docker printed it. Null where the unit is no unit of memory.
    """
    cases = " ".join(f"WHEN '{unit}' THEN {1024.0**power}" for unit, power in _UNITS.items())
    return f"{column} * CASE {column}_unit {cases} END"


def figure(metric: str) -> str:
    """A metric of the table, as it can be summed."""
    return in_bytes(metric) if metric == "memory_use" else metric


LIMIT = f"last({in_bytes('total_memory')}) AS total_memory"


def view_name(table: str, size: Size) -> str:
    """What the server calls a view of `containerStats`, under that table's name there."""
    return f"{table}_{size.name}"


def create_statement(table: str, size: Size, labels: Sequence[str]) -> str:
    """A view whole."""
    columns = [f"last({quoted(name)}) AS {quoted(name)}" for name in (*_TEXTS, *labels)]
    columns += [LIMIT, "count() AS samples"]
    for metric in METRICS:
        columns += [
            f"sum({figure(metric)}) AS {metric}_sum",
            f"count({figure(metric)}) AS {metric}_count",
            f"max({figure(metric)}) AS {metric}_max",
        ]
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {quoted(view_name(table, size))} "
        f"WITH BASE {quoted(table)} REFRESH IMMEDIATE AS "
        f"(SELECT timestamp, host, container, {', '.join(columns)} "
        f"FROM {quoted(table)} SAMPLE BY {size.name}) PARTITION BY DAY"
    )


_TEXTS = ("name", "service")


def inspect(client: Client, table: str, labels: Sequence[str]) -> Plan:
    """Compare the server's views of a table with ours; changes nothing.

    A view that QuestDB has given up (its table was truncated, or a column of it changed) is
    refreshed. A view without the column of a label is a conflict: no statement adds one.
    """
    found = {row["view_name"].lower(): row for row in _views(client)}
    statements: list[str] = []
    conflicts: list[str] = []
    for size in SIZES:
        name = view_name(table, size)
        view = found.get(name.lower())
        if view is None and described(client, name) is not None:
            conflicts.append(
                f"{name} is a table of yours, and dashboards read a view of that name: rename it "
                f"(RENAME TABLE {quoted(name)} TO {quoted(name + '_old')}), then run this again"
            )
            continue
        if view is None:
            statements.append(create_statement(table, size, labels))
            continue
        lacking = _lacking(client, table, size, labels)
        if str(view["base_table_name"]).lower() != table.lower():
            conflicts.append(
                f"{name} is a view of {view['base_table_name']}, not of {table}: "
                f"DROP MATERIALIZED VIEW {quoted(name)}, then run this again"
            )
        elif lacking:
            conflicts.append(
                f"{name} has no column {', '.join(lacking)}, and none can be added: "
                f"DROP MATERIALIZED VIEW {quoted(name)}, then run this again (what it holds of "
                "rows that the table has no longer is lost)"
            )
        elif view["view_status"] == "invalid":
            statements.append(f"REFRESH MATERIALIZED VIEW {quoted(name)} FULL")
    return Plan(tuple(statements), tuple(conflicts))


def ensure(client: Client, table: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Make the server's views fit → the statements that were run. QuestDB fills a new view from
    the rows there are, by and by.

    Raises `SchemaError` on a conflict, before anything is changed.
    """
    plan = inspect(client, table, labels)
    if plan.conflicts:
        raise SchemaError("\n".join(plan.conflicts))
    for statement in plan.statements:
        client.execute(statement)
    return plan.statements


def labels_of(client: Client, table: Table[Any]) -> tuple[str, ...]:
    """The labels that a table on the server has: its SYMBOL columns that are not ours."""
    if described(client, table.name) is None:
        return ()
    ours = reserved_names()
    return tuple(
        str(row["column"])
        for name, row in columns_of(client, table.name).items()
        if row["type"] == "SYMBOL" and name not in ours
    )


def _views(client: Client) -> list[Record]:
    try:
        return client.query("SELECT * FROM materialized_views()")
    except QuestDBError as error:
        if "materialized_views" not in str(error):
            raise
        raise SchemaError(f"this QuestDB has no materialized views: {error}") from None


def _lacking(client: Client, table: str, size: Size, labels: Sequence[str]) -> list[str]:
    """Columns that our view has and the server's has not."""
    there = columns_of(client, view_name(table, size))
    ours = [*_TEXTS, *labels, "total_memory", *FIGURES]
    return [column for column in ours if column.lower() not in there]
