"""Rows → QuestDB, over ILP/HTTP by the official client; the only module that imports it.

```
Rows ─▶ client's Buffer (≤ 10,000 rows, ≤ 8 MiB) ─▶ flush ─▶ 204, or a mapped error
  └───▶ the same rows as ILP text (`snapshot --format ilp`)
```

A flush is one request of one table, and QuestDB takes all its rows or none.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

import questdb

from fleet.errors import QuestDBError, QuestDBUnreachable, UsageError
from fleet.questdb_conf import QuestDB, client_conf
from fleet.questdb_http import denied, text_of, within
from fleet.tables import Cell, Row, Rows, Table

BATCH_MAX_ROWS = 10_000
BATCH_MAX_BYTES = 8 * 1024 * 1024
DESIGNATED = "timestamp"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")

_Code = questdb.QuestDBErrorCode
_NETWORK = (_Code.SocketError, _Code.CouldNotResolveAddr, _Code.ConnectTimeout)


class Writer(Protocol):
    """Where rows go: QuestDB, or what stands in for it."""

    def write(self, rows: Rows) -> None:
        """Deliver the rows of one table; raises `QuestDBError` if any of them did not arrive."""


class RefusedRow(ValueError):
    """A row that QuestDB would refuse, and its whole batch with it."""


class Publisher:
    """A `Writer` to one QuestDB, for one thread; a context manager.

    Nothing is asked of the server before the first flush. Rows that cannot be sent (NUL, half a
    surrogate pair) are left out and said in the end; every other row of the call goes. A QuestDB
    that was not reached once is not tried again: each time would cost a whole time-out.
    """

    def __init__(self, target: QuestDB) -> None:
        self._target = target
        self._max_bytes = min(BATCH_MAX_BYTES, target.max_buf_size // 2)
        self._busy = False
        self._unreachable: QuestDBUnreachable | None = None
        self._sender = self._made()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._busy:  # a flush that never returned still holds the sender
            self._sender.close(flush=False)

    def write(self, rows: Rows) -> None:
        """Send the rows in batches; the first batch that fails ends it."""
        if self._unreachable is not None:
            raise self._unreachable
        line = _Line(rows.table)
        buffer = self._sender.new_buffer()
        refused: list[str] = []
        pending = 0
        for row in rows.rows:
            try:
                line.add(buffer, row)
            except RefusedRow as reason:
                refused.append(str(reason))
                continue
            pending += 1
            if pending == BATCH_MAX_ROWS or len(buffer) >= self._max_bytes:
                self._flush(buffer)
                pending = 0
        if pending:
            self._flush(buffer)
        if refused:
            count, table = len(refused), rows.table.name
            raise QuestDBError(
                f"{count} of {len(rows.rows)} rows of {table} not sent: {refused[0]}"
            )

    def _made(self) -> Any:
        try:
            sender: Any = questdb.Sender.from_conf(client_conf(self._target))
            with _no_proxies():
                sender.establish()
        except questdb.QuestDBError as error:
            # Our own checks left only files: tls_roots that cannot be read.
            raise UsageError(text_of(self._target, str(error))) from None
        return sender

    def _flush(self, buffer: Any) -> None:
        try:
            self._send(buffer)
        except QuestDBUnreachable as error:
            self._unreachable = error
            raise
        buffer.clear()

    def _send(self, buffer: Any) -> None:
        # The client bounds its requests, but not all that it does: a redirect of a POST makes
        # client 6.0.0 spin for ever.
        seconds = 2 * self._target.request_s(len(buffer)) + self._target.retry_timeout_ms / 1000
        self._busy = True
        try:
            within(seconds, lambda: self._sender.flush(buffer, clear=False, transactional=True))
        except TimeoutError:
            detail = f"no end of a request within {seconds:.0f} s (does it redirect?)"
            raise QuestDBUnreachable(text_of(self._target, detail)) from None
        except questdb.QuestDBError as error:
            self._busy = False
            raise _mapped(self._target, error, self._target.request_s(len(buffer))) from None
        self._busy = False


def ilp_text(rows: Rows) -> str:
    """The rows as ILP of version 1, as `POST /write?precision=n` takes them."""
    conf = "http::addr=localhost:9000;protocol_version=1;auto_flush=off;"
    line = _Line(rows.table)
    with questdb.Sender.from_conf(conf) as sender:  # never used, so it connects to nothing
        buffer = sender.new_buffer()
        for row in rows.rows:
            try:
                line.add(buffer, row)
            except RefusedRow as reason:
                raise QuestDBError(f"a row of {rows.table.name} has no ILP: {reason}") from None
        return bytes(buffer).decode()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cell goes in a row of the client's."""

    index: int
    name: str
    convert: Callable[[Any], Any]


class _Line:
    """How rows of one table go into the client's buffer."""

    def __init__(self, table: Table[Any]) -> None:
        self._table = table.name
        places = [
            (column.type, _Place(index, column.name, CONVERSIONS[column.type]))
            for index, column in enumerate(table.columns)
            if column.name != DESIGNATED
        ]
        self._symbols = [place for kind, place in places if kind == "SYMBOL"]
        self._columns = [place for kind, place in places if kind != "SYMBOL"]
        self._designated = [column.name for column in table.columns].index(DESIGNATED)

    def add(self, buffer: Any, row: Row) -> None:
        """Append one row to the buffer; raises `RefusedRow` and appends nothing."""
        symbols, columns = _cells(self._symbols, row), _cells(self._columns, row)
        if not symbols and not columns:
            raise ValueError(f"a row of {self._table} holds nothing: the client would drop it")
        at = _timestamp(row[self._designated])
        buffer.row(self._table, symbols=symbols, columns=columns, at=at)


def _cells(places: Iterable[_Place], row: Row) -> dict[str, Any]:
    """Values by column name, without those that are unknown."""
    cells = {}
    for place in places:
        cell = row[place.index]
        if cell is None:
            continue
        try:
            value = place.convert(cell)
        except RefusedRow as reason:
            raise RefusedRow(f"{place.name} {reason}") from None
        except TypeError as error:
            raise TypeError(f"{place.name}: {error}") from None
        if value is not None:
            cells[place.name] = value
    return cells


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
    if isinstance(cell, bool) or not isinstance(cell, int | float):
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


@contextmanager
def _no_proxies() -> Iterator[None]:
    """The client asks a proxy of the environment, whatever the address; it reads the variables
    in `establish()`. `/exec` goes straight, and so do rows.
    """
    names = [name for name in os.environ if name.lower() in PROXY_VARIABLES]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)


def _mapped(target: QuestDB, error: Any, seconds: float) -> QuestDBError:
    """The client's error as ours. Its code does not tell a refusal from a server in trouble
    (both are `ServerFlushError`), so QuestDB's own answer is looked for in the text.
    `seconds` is what one request had.
    """
    text = str(error).removeprefix("Could not flush buffer: ")
    if error.code in _NETWORK:
        text = re.sub(r"^https?://\S+/write: (io: )?", "", text)
        if text.startswith("timeout: "):  # "per call", "connect": the client's own stages
            return QuestDBUnreachable(text_of(target, f"no answer within {seconds:.3g} s"))
        return _network(target, text)
    if error.code is _Code.AuthError:
        text = text.removeprefix("HTTP endpoint authentication error: ")
        reason, _, status = text.removesuffix("]").rpartition(" [code: ")
        return QuestDBError(
            text_of(target, denied(target, 403 if status == "403" else 401, reason))
        )
    if error.code is _Code.HttpNotSupported:
        return QuestDBError(text_of(target, "nothing there takes ILP (404): is it QuestDB?"))
    if error.code is not _Code.ServerFlushError:
        return QuestDBError(text_of(target, text))
    kind, reason = _reason(text)
    if kind is None or kind == "internal error":
        return QuestDBUnreachable(text_of(target, f"did not take the rows: {reason}"))
    return QuestDBError(text_of(target, f"refused the rows: {reason}"))


def _network(target: QuestDB, text: str) -> QuestDBError:
    if "CaUsedAsEndEntity" in text:
        detail = (
            "its certificate is a CA's own (openssl req -x509 makes such): the client wants a "
            "server's certificate, made with basicConstraints=CA:FALSE or signed by that CA"
        )
        return QuestDBError(text_of(target, detail))
    if "certificate" in text:
        return QuestDBError(text_of(target, f"its certificate is not trusted: {text}"))
    return QuestDBUnreachable(text_of(target, text))


def _reason(text: str) -> tuple[str | None, str]:
    """(QuestDB's code, its reason); the code is None where the answer is not QuestDB's own."""
    suffixed = re.fullmatch(r"(.*) \[id: [^,\]]*, code: ([^,\]]*)(?:, line: \d+)?\]", text, re.S)
    if suffixed:
        kind, message = suffixed[2], suffixed[1]
    else:
        try:
            answer = json.loads(text, strict=False)
            kind, message = str(answer["code"]), str(answer["message"])
        except (ValueError, TypeError, KeyError):
            return None, text or "(no reason given)"
    head, separator, tail = message.partition("encountered on line(s):")
    return kind, tail.strip() if separator else head
