"""QuestDB as a page asks it: ranges, hosts and texts in SQL, answers of bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from fleet.errors import UsageError
from fleet.page.span import Grid, Span
from fleet.questdb_http import Client, Record
from fleet.tables import Schema, Table

LIST_MAX_BYTES = 20_000
"""Of a list of hosts in a question's address: QuestDB takes 32 KiB of it in all."""
ANSWER_BYTES = 3_000_000
"""What an answer may have at the most, by our count: less than the client takes."""


_TEXTS = ("SYMBOL", "VARCHAR", "STRING")
_NUMBERS = ("DOUBLE", "FLOAT", "LONG", "INT", "SHORT", "BYTE")
_READABLE = {
    "SYMBOL": _TEXTS,
    "VARCHAR": _TEXTS,
    "DOUBLE": _NUMBERS,
    "LONG": _NUMBERS,
    "BOOLEAN": ("BOOLEAN",),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_NS"),
}
"""What we write → the types of columns that questions can be asked of as well."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The tables, the range, and the hosts that are asked about (`hosts`, an SQL condition; empty
    for all).
    """

    client: Client
    schema: Schema
    span: Span
    hosts: str = ""

    def only(self, names: Iterable[str], others: Iterable[str]) -> "Archive":
        """The same for some hosts only; `others` are those that have rows as well."""
        chosen, rest = listed(names), listed(others)
        if len(quote_plus(chosen)) <= LIST_MAX_BYTES:
            return replace(self, hosts=f"host IN ({chosen})")
        if not rest:
            return replace(self, hosts="")
        if len(quote_plus(rest)) <= LIST_MAX_BYTES:
            return replace(self, hosts=f"host NOT IN ({rest})")
        raise UsageError(
            "the patterns mean more hosts than one question to QuestDB can name; fewer can be "
            "asked about, or nearly all"
        )

    def ask(self, sql: str) -> list[Record]:
        """The rows of a question."""
        return self.client.query(sql)

    def rows(self, table: Table[Any], *conditions: str, since: datetime | None = None) -> str:
        """`FROM` and `WHERE` for the rows of a table in the range that fulfil the conditions.

        Rows of others, in which what a row is about is null, are left out.
        """
        about = (f"{key} IS NOT NULL" for key in table.keys if key != "timestamp")
        within = (
            f"timestamp >= {time(since or self.span.since)}",
            f"timestamp < {time(self.span.until)}",
        )
        asked = [*within, *about, *((self.hosts,) if self.hosts else ()), *conditions]
        return f"FROM {identifier(table.name)} WHERE {' AND '.join(asked)}"

    def require(self, table: Table[Any], needed: Sequence[str]) -> None:
        """Raise `UsageError` for a table or a column that is needed, and is not there or holds
        something else.
        """
        there = {row["table_name"].lower() for row in self.ask("SELECT table_name FROM tables()")}
        cure = "`fleet schema --apply`, with the same names of tables, makes it, as collect does"
        if table.name.lower() not in there:
            raise UsageError(f"QuestDB has no table {table.name!r}: {cure}")
        shown = self.ask(f"SHOW COLUMNS FROM {identifier(table.name)}")
        types = {row["column"].lower(): row["type"] for row in shown}
        ours = {column.name: column.type for column in table.columns}
        for name in (*table.keys, *needed):
            found = types.get(name.lower())
            if found is None:
                raise UsageError(
                    f"{table.name!r} has no column {name!r}: {cure}; if the table is not fleet's, "
                    "give fleet another name for it"
                )
            if found not in _READABLE[ours[name]]:
                raise UsageError(
                    f"{table.name}.{name} is {found}, fleet writes {ours[name]}: `fleet schema`, "
                    "with the same names of tables, says what to do"
                )


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a table or a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def time(at: datetime) -> str:
    """A time as SQL writes it."""
    return f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"


def listed(names: Iterable[str]) -> str:
    """Texts for `IN (…)`."""
    return ",".join(text(name) for name in names)


def time_of(said: str) -> datetime:
    """A time as QuestDB says it, to the microsecond."""
    return datetime.fromisoformat(said[:26].rstrip("Z") + "+00:00")


def bucket(grid: Grid) -> str:
    """The start of the bucket of a row, as the column `b`."""
    return f"timestamp_floor('{grid.width.text}', timestamp) b"


def in_parts(names: Sequence[str], rows_each: int, named: int = 1) -> Iterator[list[str]]:
    """Names in parts, each so small that a question that lists them so many times (`named`) fits,
    and an answer of `rows_each` rows for each.
    """
    longest = LIST_MAX_BYTES // named
    part: list[str] = []
    size = 0
    for name in names:
        cost = rows_each * (120 + 6 * len(name))
        if part and (
            size + cost > ANSWER_BYTES or len(quote_plus(listed([*part, name]))) > longest
        ):
            yield part
            part, size = [], 0
        part.append(name)
        size += cost
    if part:
        yield part
