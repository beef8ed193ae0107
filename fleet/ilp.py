"""Rows → ILP text, by the official client's `Buffer`; the only module that imports the client.

Version 1 of the protocol: every value is text, to the bit, so that a batch on disk can be read by
people, cut between rows and sent again as it is. (Version 2 writes doubles as raw bytes, a line
feed among them; it is no more than 7 % faster to make and to take.)
"""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Self

import questdb

from fleet.errors import QuestDBError
from fleet.ilp_text import Part, Unsendable
from fleet.tables import Cell, Row, Rows, Table

DESIGNATED = "timestamp"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REMEMBERED = 64

_NOWHERE = "http::addr=localhost:9000;protocol_version=1;auto_flush=off;"
"""A sender makes buffers; ours never connects."""


class RefusedRow(ValueError):
    """A row that has no ILP (NUL, half a surrogate pair): QuestDB would refuse its whole batch."""


class Encoder:
    """Makes ILP of rows; for one thread. A context manager."""

    def __init__(self) -> None:
        self._sender: Any = questdb.Sender.from_conf(_NOWHERE)

    def __enter__(self) -> Self:
        self._sender.establish()  # with a pinned version this asks nothing of anybody
        return self

    def __exit__(self, *_error: object) -> None:
        self._sender.close(flush=False)

    def encode(self, rows: Rows) -> tuple[Part, tuple[Unsendable, ...]]:
        """The rows that can be sent, and those that cannot."""
        line = _Line(rows.table)
        buffer = self._sender.new_buffer()
        unsendable = []
        for row in rows.rows:
            try:
                line.add(buffer, row)
            except RefusedRow as reason:
                unsendable.append(Unsendable(rows.table.name, str(reason), _as_text(rows, row)))
        columns = tuple((column.name, column.type) for column in rows.table.columns)
        count = len(rows.rows) - len(unsendable)
        return Part(rows.table.name, columns, bytes(buffer), count), tuple(unsendable)


def ilp_text(rows: Rows) -> str:
    """The rows as `POST /write?precision=n` takes them."""
    with Encoder() as encoder:
        part, unsendable = encoder.encode(rows)
    for row in unsendable:
        raise QuestDBError(f"a row of {row.table} has no ILP: {row.reason}")
    return part.body.decode()


class _Place(NamedTuple):
    """Where a cell goes in a row of the client's."""

    at: int
    name: str
    convert: Callable[[Any], Any]


class _Line:
    """How rows of one table go into the client's buffer."""

    def __init__(self, table: Table[Any]) -> None:
        self._table = table.name
        places = [
            (column.type, _Place(index, column.name, _remembered(column.type)))
            for index, column in enumerate(table.columns)
            if column.name != DESIGNATED
        ]
        self._symbols = [place for kind, place in places if kind == "SYMBOL"]
        self._columns = [place for kind, place in places if kind != "SYMBOL"]
        self._designated = [column.name for column in table.columns].index(DESIGNATED)
        self._at = _remembered("TIMESTAMP")

    def add(self, buffer: Any, row: Row) -> None:
        """Append one row to the buffer; raises `RefusedRow` and appends nothing."""
        symbols, columns = _cells(self._symbols, row), _cells(self._columns, row)
        if not symbols and not columns:
            raise ValueError(f"a row of {self._table} holds nothing: the client would drop it")
        at = self._at(row[self._designated])
        buffer.row(self._table, symbols=symbols, columns=columns, at=at)


def _cells(places: Iterable[_Place], row: Row) -> dict[str, Any]:
    """Values by column name, without those that are unknown."""
    cells = {}
    name = ""
    try:
        for index, name, convert in places:
            cell = row[index]
            if cell is not None and (value := convert(cell)) is not None:
                cells[name] = value
    except RefusedRow as reason:
        raise RefusedRow(f"{name} {reason}") from None
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    return cells


def _remembered(kind: str) -> Callable[[Any], Any]:
    """The conversion of a type. Texts and times come again row after row: of those the last ones
    are kept.
    """
    convert = CONVERSIONS[kind]
    if kind not in ("SYMBOL", "VARCHAR", "TIMESTAMP"):
        return convert
    return lru_cache(REMEMBERED, typed=True)(convert)


def _as_text(rows: Rows, row: Row) -> dict[str, str]:
    names = [column.name for column in rows.table.columns]
    return {
        name: str(cell).encode("utf-8", "backslashreplace").decode()
        for name, cell in zip(names, row, strict=True)
        if cell is not None
    }


def _text(cell: Cell) -> str | None:
    """A string; the empty one is unknown. NUL passes the client, and the server refuses all."""
    if not isinstance(cell, str):
        raise TypeError(f"expected str, not {cell!r}")
    if "\0" in cell:
        raise RefusedRow(f"holds NUL: {cell[:80]!r}")
    if not cell.isascii() and any("\ud800" <= char <= "\udfff" for char in cell):
        raise RefusedRow(f"holds what is not Unicode: {cell[:80]!r}")
    return str(cell) or None


def _double(cell: Cell) -> float | None:
    """A float; what is not finite is unknown."""
    if type(cell) is not float and (isinstance(cell, bool) or not isinstance(cell, int | float)):
        raise TypeError(f"expected float, not {cell!r}")
    return float(cell) if math.isfinite(cell) else None


def _long(cell: Cell) -> int:
    if isinstance(cell, bool) or not isinstance(cell, int):
        raise TypeError(f"expected int, not {cell!r}")
    return cell


def _boolean(cell: Cell) -> bool:
    if not isinstance(cell, bool):
        raise TypeError(f"expected bool, not {cell!r}")
    return cell


def _timestamp(cell: Cell) -> Any:
    if not isinstance(cell, datetime) or cell.tzinfo is None:
        raise TypeError(f"expected an aware datetime, not {cell!r}")
    return questdb.TimestampMicros((cell - EPOCH) // timedelta(microseconds=1))


CONVERSIONS: dict[str, Callable[[Cell], Any]] = {
    "SYMBOL": _text,
    "VARCHAR": _text,
    "DOUBLE": _double,
    "LONG": _long,
    "BOOLEAN": _boolean,
    "TIMESTAMP": _timestamp,
}
