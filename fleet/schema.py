"""Our tables against the server's: what is missing, what conflicts, and how it is made good.

An existing table keeps its columns, its rows, its partitioning, its TTL. Columns it lacks are
added; a type is left as it is when everything that we send arrives in it as it was sent.

Dedup keys make a row that is sent twice one row. Keys of the user's that hold ours and more do
so too (all cells of a row are fixed once) and stay; any others would keep both, or let one
container's row replace another's, and become ours.
"""

import time
from dataclasses import dataclass
from typing import Any

from fleet.errors import QuestDBError, QuestDBUnreachable, SchemaError
from fleet.questdb_http import Client, Record
from fleet.tables import Column, Schema, Table

DESIGNATED = "timestamp"
ILP_VERSION_SINCE_9 = 2
SETTLE_S = 5.0
SETTLE_POLL_S = 0.05

# what we send → the types in which each of its values arrives unharmed
ACCEPTS = {
    "SYMBOL": ("SYMBOL", "VARCHAR", "STRING"),
    "VARCHAR": ("VARCHAR", "STRING", "SYMBOL"),
    "DOUBLE": ("DOUBLE",),  # FLOAT takes it, but with 7 digits a counter of bytes stands still
    "LONG": ("LONG", "INT", "DOUBLE"),  # our integers are counts, of processes at most 2^22
    "BOOLEAN": ("BOOLEAN",),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_NS"),
}
# what we need → the types that ALTER COLUMN TYPE turns into it without losing a value
_WIDENS = {
    "SYMBOL": ("BYTE", "SHORT", "CHAR", "INT", "LONG", "UUID", "IPv4"),
    "VARCHAR": ("BYTE", "SHORT", "CHAR", "INT", "LONG", "UUID", "IPv4"),
    "DOUBLE": ("BYTE", "SHORT", "INT", "LONG", "FLOAT"),
    "LONG": ("BYTE", "SHORT"),
    "BOOLEAN": (),
    "TIMESTAMP": ("DATE",),
}

_IS_GONE = "table does not exist"
"""What QuestDB says to a question or a statement about a table that is not there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What separates the server's tables from ours: statements that would mend it, and conflicts
    that need somebody's decision, each with the way out.
    """

    statements: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def inspect(client: Client, schema: Schema) -> Plan:
    """Compare the server's tables with ours; changes nothing."""
    _check_version(client)
    statements: list[str] = []
    conflicts: list[str] = []
    for table in schema.tables:
        found = described(client, table.name)
        if found is None:
            statements.append(create_statement(table))
            continue
        wrong = _structure_conflict(table, found)
        if wrong is not None:
            conflicts.append(wrong)
            continue
        columns = _columns_still_there(client, table.name)
        if columns is None:
            statements.append(create_statement(table))
            continue
        conflicts += _column_conflicts(table, columns)
        statements += _missing(table, columns)
    return Plan(tuple(statements), tuple(conflicts))


def ensure(client: Client, schema: Schema) -> tuple[str, ...]:
    """Make the server's tables fit for our rows → the statements that were run.

    Raises `SchemaError` on a conflict before anything is changed. Returns once the server shows
    the changes (it applies them by and by) or after a few seconds: rows sent from now on come
    after them in any case. Safe beside other processes that do the same.
    """
    done: list[str] = []
    give_up = time.monotonic() + SETTLE_S
    while True:
        plan = _without_conflict(client, schema)
        new = [statement for statement in plan.statements if statement not in done]
        try:
            ran = [statement for statement in new if _run(client, statement)]
        except QuestDBUnreachable:
            raise
        except QuestDBError:
            _without_conflict(client, schema)  # somebody has just made it: that says more
            raise
        done += ran
        if not plan.statements or time.monotonic() > give_up:
            return tuple(done)
        if not ran:
            time.sleep(SETTLE_POLL_S)


def _without_conflict(client: Client, schema: Schema) -> Plan:
    plan = inspect(client, schema)
    if plan.conflicts:
        raise SchemaError("\n".join(plan.conflicts))
    return plan


def suspended(client: Client, schema: Schema) -> list[str]:
    """Our tables whose WAL is suspended (a full disk, mostly): QuestDB accepts their rows, and
    applies none until somebody resumes them.
    """
    ours = {table.name.lower() for table in schema.tables}
    rows = client.query("SELECT name FROM wal_tables() WHERE suspended")
    return [row["name"] for row in rows if row["name"].lower() in ours]


def create_statement(table: Table[Any]) -> str:
    """The table whole, as we make it."""
    columns = ", ".join(f"{quoted(column.name)} {column.type}" for column in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(table.name)} ({columns}) "
        f"TIMESTAMP({quoted(DESIGNATED)}) PARTITION BY DAY WAL DEDUP {_upsert_keys(table)}"
    )


def _check_version(client: Client) -> None:
    """Raise unless the server is 9.0 or newer, by the versions of ILP that it reads."""
    said = client.settings()
    if said is None:  # a proxy that passes only what is needed; rows will tell
        return
    if ILP_VERSION_SINCE_9 not in said.get("line.proto.support.versions", ()):
        raise QuestDBError(
            f"QuestDB at {client.address} is older than 9.0, the oldest that fleet writes to "
            f"(it says {said.get('release.version', 'nothing of its version')!r})"
        )


def described(client: Client, name: str) -> Record | None:
    """The server's description of a table; names of tables are equal in any case."""
    same = f"lower(table_name) = lower({literal(name)})"
    rows = client.query(f"SELECT * FROM tables() WHERE {same}")  # noqa: S608 - quoted above
    return rows[0] if rows else None


def columns_of(client: Client, name: str) -> dict[str, Record]:
    """The server's columns of a table by name in lower case: names are equal in any case."""
    rows = client.query(f"SHOW COLUMNS FROM {quoted(name)}")
    return {row["column"].lower(): row for row in rows}


def _columns_still_there(client: Client, name: str) -> dict[str, Record] | None:
    """The columns of a table that was there a moment ago; None where somebody has dropped it."""
    try:
        return columns_of(client, name)
    except QuestDBError as error:
        if _IS_GONE not in str(error):
            raise
        return None


def _structure_conflict(table: Table[Any], found: Record) -> str | None:
    name = table.name
    renamed = (
        f"rename it (RENAME TABLE {quoted(name)} TO {quoted(name + '_old')}) and fleet makes "
        "a new one, or give fleet another name for it"
    )
    if found.get("matView") or found.get("table_type", "T") not in ("T", None):
        return f"{name} is a view: give fleet another name for its table"
    designated = found["designatedTimestamp"]
    if designated is None:
        return f"{name} has no designated timestamp: {renamed}"
    if designated.lower() != DESIGNATED:
        return f"{name} has the designated timestamp {designated!r}, not {DESIGNATED!r}: {renamed}"
    if found["partitionBy"] == "NONE":
        return f"{name} is not partitioned, so that it takes no rows over HTTP: {renamed}"
    if not found["walEnabled"]:
        return (
            f"{name} has no WAL, so that it takes no rows over HTTP: "
            f"ALTER TABLE {quoted(name)} SET TYPE WAL, then restart QuestDB"
        )
    return None


def _column_conflicts(table: Table[Any], columns: dict[str, Record]) -> list[str]:
    return [
        _type_conflict(table, column, columns[column.name.lower()])
        for column in table.columns
        if column.name.lower() in columns
        and columns[column.name.lower()]["type"] not in ACCEPTS[column.type]
    ]


def _type_conflict(table: Table[Any], column: Column[Any], found: Record) -> str:
    actual, name = found["type"], found["column"]
    change = f"ALTER TABLE {quoted(table.name)}"
    if actual in _WIDENS[column.type]:
        change += f" ALTER COLUMN {quoted(name)} TYPE {column.type}"
    else:
        change += f" RENAME COLUMN {quoted(name)} TO {quoted(name + '_old')}"
    return f"{table.name}.{name} is {actual}, fleet writes {column.type}: {change}"


def _missing(table: Table[Any], columns: dict[str, Record]) -> list[str]:
    name = quoted(table.name)
    statements = [
        f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column.type}"
        for column in table.columns
        if column.name.lower() not in columns
    ]
    keys = {key for key, column in columns.items() if column["upsertKey"]}
    if not keys.issuperset(key.lower() for key in table.keys):
        statements.append(f"ALTER TABLE {name} DEDUP ENABLE {_upsert_keys(table)}")
    return statements


def _run(client: Client, statement: str) -> bool:
    """Whether it may have changed a table: not one that was dropped since it was looked at."""
    try:
        client.execute(statement)
    except QuestDBError as error:
        if _IS_GONE in str(error):
            return False
        # Two at the same time: the server's IF NOT EXISTS looks before the other's column is
        # there, and its own addition comes after.
        if "duplicate column" not in str(error):
            raise
    return True


def _upsert_keys(table: Table[Any]) -> str:
    return f"UPSERT KEYS({', '.join(quoted(key) for key in table.keys)})"


def quoted(name: str) -> str:
    """An identifier; the names of tables are checked to hold no quotes in settings."""
    return f'"{name}"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
