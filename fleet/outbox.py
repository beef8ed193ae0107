"""Batches on their way out: sent, removed once QuestDB has accepted them and applies them, and
counted whatever became of them. For one thread.

A batch that was accepted stays on disk until `settle()` has seen that no table of ours is
suspended: such a table says 204 and applies nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fleet.batch import Batch
from fleet.errors import (
    BadBatch,
    FleetError,
    QuestDBError,
    QuestDBUnreachable,
    RowRefused,
    SchemaError,
    TooLarge,
    TooManyRefused,
)
from fleet.publish import Publisher
from fleet.spool import Entry, Refusal, Spool

GROUP_MAX_ROWS = 10_000
GROUP_MAX_BYTES = 4 * 1024 * 1024
SETTLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Item:
    """A batch to send: a file of the spool, or, where none could be written, what it would hold."""

    number: int
    rows: int
    entry: Entry | None
    batch: Batch | None = None

    @property
    def place(self) -> Path | int:
        """What tells it from every other: its file, else its number."""
        return self.number if self.entry is None else self.entry.path


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of a table that were refused: how many, the first reason, and the file that keeps
    them, None where that could not be written.
    """

    table: str
    rows: int
    reason: str
    kept_in: Path | None


@dataclass(frozen=True, slots=True)
class Bad:
    """A file that was no batch, or no longer: where it was, the rows of its name, and why."""

    path: Path
    rows: int
    why: str


@dataclass(slots=True)
class Tally:
    """What became of batches: rows that were accepted (`drained` of them from earlier runs), the
    places of those batches, what stopped us, what was passed over, which of our tables apply
    nothing, what was refused, what was no batch, and what the disk did not do.
    """

    sent: int = 0
    drained: int = 0
    accepted: set[Path | int] = field(default_factory=set)
    stopped: FleetError | None = None
    passed_over: set[Path] = field(default_factory=set)
    suspended: list[str] = field(default_factory=list)
    refused: list[Told] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def sentences(self, spool: Path) -> Iterator[str]:
        """What needs eyes of all that, but for what stopped us."""
        yield from self.trouble
        for table in self.suspended:
            yield (
                f"{table} is suspended: it applies no rows until QuestDB is told "
                f'ALTER TABLE "{table}" RESUME WAL (wal_tables() says why)'
            )
        yield from refused_sentences(self.refused)
        for bad in self.bad:
            yield f"{bad.path.name} moved to {spool / 'bad'}: {bad.why}"


def refused_sentences(refused: Iterable[Told]) -> Iterator[str]:
    """What was refused, table by table."""
    for one in refused:
        kept = f"kept in {one.kept_in}" if one.kept_in else "and lost, for they cannot be kept"
        yield f"{rows_text(one.rows)} of {one.table} refused, {kept}: {one.reason}"


def rows_text(count: int) -> str:
    """`1 row`, `2 rows`."""
    return "1 row" if count == 1 else f"{count} rows"


class Outbox:
    """Sends batches by a `Publisher`; no `spool` means that what is refused cannot be kept."""

    def __init__(self, publisher: Publisher, spool: Spool | None) -> None:
        self.tally = Tally()
        self._publisher, self._spool = publisher, spool
        self._accepted: list[Item] = []
        self._settled_at = time.monotonic()
        self._looked = False

    def send(self, item: Item) -> None:
        """Send a batch of this run, unless something has stopped us. It stays where it is when
        it is not accepted.
        """
        if self._may_go_on():
            self._tried(lambda: self._send_item(item))

    def drain(self, waiting: Iterable[Entry]) -> None:
        """Send batches of earlier runs, in the order given, until the publisher's time is up.
        They, too, stay when they are not accepted.
        """
        for group in _groups(waiting):
            if not self._may_go_on() or self.tally.suspended or not self._publisher.clock.left_s:
                return
            before = self.tally.sent
            sent = self._tried(partial(self._send_group, group))
            self.tally.drained += self.tally.sent - before
            if not sent:
                return

    def settle(self) -> None:
        """Remove what was accepted, if it is applied; make good what changed meanwhile."""
        accepted, self._accepted = self._accepted, []
        self._settled_at = time.monotonic()
        if not accepted:
            return
        if self._tried(self._look) and not self.tally.suspended:
            self._remove(accepted)

    def _remove(self, accepted: Sequence[Item]) -> None:
        if self._spool is None:
            return
        try:
            self._spool.remove(item.entry for item in accepted if item.entry is not None)
        except OSError as error:
            self.tally.trouble.append(f"a batch that was sent cannot be removed: {error}")

    def _may_go_on(self) -> bool:
        return self.tally.stopped is None and (self._looked or self._tried(self._look))

    def _look(self) -> None:
        """Tables fit for our rows, and those that are suspended."""
        self._publisher.ensure()
        self._looked = True
        try:
            self.tally.suspended = self._publisher.suspended()
        except QuestDBUnreachable:
            raise
        except QuestDBError:  # a login that may write, and not ask this: its 204 must do
            self.tally.suspended = []

    def _tried(self, call: Callable[[], None]) -> bool:
        """Whether it went well; what stopped it stops everything after it."""
        try:
            call()
        except (QuestDBError, SchemaError) as error:
            self.tally.stopped = error
            return False
        return True

    def _send_item(self, item: Item) -> None:
        batch = self._read(item)
        if batch is not None:
            self._send_batch(item, batch)

    def _send_group(self, group: Sequence[Item]) -> None:
        """Several small batches in one request a table; where a row is refused, one by one."""
        read = [(item, batch) for item in group if (batch := self._read(item)) is not None]
        if len(read) > 1:
            try:
                for body in _joined(batch for _item, batch in read):
                    self._publisher.send(body)
            except (RowRefused, TooLarge):
                pass
            else:
                for item, _batch in read:
                    self._accept(item)
                return
        for item, batch in read:
            if not self._publisher.clock.left_s:
                return
            try:
                self._send_batch(item, batch)
            except TooManyRefused as error:  # it must not hold up those behind it
                name = item.entry.name if item.entry else "a batch"
                if item.entry:
                    self.tally.passed_over.add(item.entry.path)
                self.tally.trouble.append(f"{rows_text(item.rows)} kept ({name}): {error}")

    def _send_batch(self, item: Item, batch: Batch) -> None:
        refusals: list[Refusal] = []
        held = False
        for part in batch.parts:
            if part.table in self.tally.suspended and item.entry is not None:
                held = True
            else:
                refusals += self._publisher.deliver(part.table, part.body)
        if self._kept_refused(item, batch, refusals) and not held:
            self._accept(item, len(refusals))

    def _accept(self, item: Item, refused: int = 0) -> None:
        self.tally.sent += item.rows - refused
        self.tally.accepted.add(item.place)
        self._accepted.append(item)
        if time.monotonic() - self._settled_at > SETTLE_EVERY_S:
            self.settle()

    def _read(self, item: Item) -> Batch | None:
        """The batch, from its file if it has one; a file that is none is put away and said."""
        entry = item.entry
        if entry is None or self._spool is None:
            return item.batch
        try:
            return entry.read()
        except BadBatch as error:
            why = str(error)
        except OSError as error:
            self.tally.trouble.append(f"{entry.path} cannot be read: {error.strerror or error}")
            return None
        self.tally.bad.append(Bad(entry.path, item.rows, why))
        try:
            self._spool.put_away(entry)
        except OSError as error:
            self.tally.trouble.append(f"{entry.path} cannot be moved: {error.strerror or error}")
        return None

    def _kept_refused(self, item: Item, batch: Batch, refusals: Sequence[Refusal]) -> bool:
        """Keep refused rows with their reasons → whether the batch may go."""
        if not refusals:
            return True
        path = None
        if self._spool is not None:
            try:
                path = self._spool.refuse(batch, item.number, refusals)
            except OSError as error:
                self.tally.trouble.append(f"refused rows cannot be kept: {error}")
        for table in dict.fromkeys(one.table for one in refusals):
            of_table = [one for one in refusals if one.table == table]
            self.tally.refused.append(Told(table, len(of_table), of_table[0].reason, path))
        return path is not None or item.entry is None


def _groups(waiting: Iterable[Entry]) -> Iterator[list[Item]]:
    """Batches that fit into one request together."""
    group: list[Item] = []
    rows = size = 0
    for entry in waiting:
        full = rows + entry.rows > GROUP_MAX_ROWS or size + entry.size > GROUP_MAX_BYTES
        if group and full:
            yield group
            group, rows, size = [], 0, 0
        group.append(Item(entry.number, entry.rows, entry))
        rows += entry.rows
        size += entry.size
    if group:
        yield group


def _joined(batches: Iterable[Batch]) -> list[bytes]:
    """The ILP of several batches, table by table."""
    bodies: dict[str, list[bytes]] = {}
    for batch in batches:
        for part in batch.parts:
            bodies.setdefault(part.table, []).append(part.body)
    return [b"".join(parts) for parts in bodies.values()]
