"""Visits → batches on disk, in a thread of its own: the disk may be slow, and the sweep goes on.

Where the spool cannot be written, that is said once, and batches are handed on in memory.
"""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

from fleet.batch import Batch, Target
from fleet.ilp_text import Unsendable
from fleet.outbox import Item, Told
from fleet.spool import Dropped, Entry, Refusal, Spool
from fleet.state import Job
from fleet.tables import Schema, Sweep, rows_of, sweep_row
from fleet.visit import Visit, rows_of_visit

if TYPE_CHECKING:
    from fleet.ilp import Encoder

HOLD_S = 0.5
"""How long a visit waits for others to make a batch with it."""

BATCH_MAX_ROWS = 5_000
UNSENDABLE_FROM = 1_000_000
"""Numbers of files of rows that have no ILP: what QuestDB refuses of the batch has its own file."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose batches they are: the job, its sweep, and where its rows go."""

    job: str
    sweep: datetime
    target: Target

    @property
    def key(self) -> Job:
        """What runs once at a time."""
        return Job(self.job, self.target.mark)

    def is_own(self, entry: Entry) -> bool:
        """Whether a batch is of this sweep."""
        return entry.job == self.key and entry.sweep == self.sweep

    def is_backlog(self, entry: Entry) -> bool:
        """Whether a batch of an earlier sweep waits for the same target."""
        return entry.target == self.target.mark and not self.is_own(entry)


@dataclass(slots=True)
class Kept:
    """What the keeper did: every batch it made, rows that have no ILP, what the spool dropped to
    make room, and why there was no writing.
    """

    items: list[Item] = field(default_factory=list)
    unsendable: list[Told] = field(default_factory=list)
    dropped: Dropped = field(default_factory=Dropped)
    trouble: list[str] = field(default_factory=list)
    bug: Exception | None = None

    @property
    def rows(self) -> int:
        """All rows that were given."""
        return sum(item.rows for item in self.items) + sum(one.rows for one in self.unsendable)


class Keeper:
    """Takes visits, then the sweep; puts an `Item` for each batch into `items`, then None."""

    def __init__(self, origin: Origin, tables: Schema, spool: Spool | None) -> None:
        self.kept = Kept()
        self.done = Event()
        self.items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._origin, self._tables, self._spool = origin, tables, spool
        self._inbox: queue.SimpleQueue[Visit | Sweep] = queue.SimpleQueue()
        self._numbered = 0
        self.counts_backlog = True
        """Unset where there is no time for it."""

    def start(self) -> None:
        """Begin; nobody waits for the thread for ever."""
        Thread(target=self._run, name="keeper", daemon=True).start()

    def add(self, arrival: Visit | Sweep) -> None:
        """A visit has ended, and is on disk within a second; or the sweep, which is the last."""
        self._inbox.put(arrival)

    def on_disk(self, work: Callable[[Spool], Result]) -> Result | None:
        """What the spool brings; None, said once, when it does not."""
        if self._spool is None:
            return None
        try:
            return work(self._spool)
        except OSError as error:
            if not self.kept.trouble:
                reason = error.strerror or str(error)
                self.kept.trouble.append(
                    f"the spool {self._spool.folder} cannot be written: {reason}; "
                    "rows are published directly"
                )
            return None

    def _run(self) -> None:
        try:
            from fleet.ilp import Encoder  # noqa: PLC0415 - takes 0.2 s; visits are under way

            with Encoder() as encoder:
                self._keep_until_the_sweep(encoder)
        except Exception as bug:  # noqa: BLE001 - raised by the command in the end
            self.kept.bug = bug
        finally:
            self.items.put(None)
            self.done.set()

    def _keep_until_the_sweep(self, encoder: "Encoder") -> None:
        pending: list[Visit] = []
        rows, due = 0, float("inf")
        while True:
            arrival = self._arrival(due)
            if isinstance(arrival, Visit):
                pending.append(arrival)
                rows += rows_of_visit(arrival)
                due = min(due, time.monotonic() + HOLD_S)
            over = arrival if isinstance(arrival, Sweep) else None
            if over or rows >= BATCH_MAX_ROWS or time.monotonic() >= due:
                self._keep(encoder, tuple(pending), over)
                pending, rows, due = [], 0, float("inf")
            if over:
                return

    def _arrival(self, due: float) -> Visit | Sweep | None:
        wait_s = None if due == float("inf") else max(0.0, due - time.monotonic())
        try:
            return self._inbox.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _keep(self, encoder: "Encoder", visits: tuple[Visit, ...], over: Sweep | None) -> None:
        """A batch of these visits, and of the whole sweep's row once it is over."""
        origin = self._origin
        tables = rows_of(Sweep(origin.sweep, origin.job, "", visits, 0.0), self._tables)
        if over is not None:
            whole = replace(over, spooled=self._waiting_rows())
            tables.append(sweep_row(whole, self._tables))
        encoded = [encoder.encode(rows) for rows in tables]
        parts = tuple(part for part, _unsendable in encoded if part.rows)
        batch = Batch(origin.target, origin.job, origin.sweep, parts)
        self._numbered += 1
        number = self._numbered
        if unsendable := [row for _part, rows in encoded for row in rows]:
            self._put_aside(batch, number, unsendable)
        if batch.rows:
            entry = self.on_disk(lambda spool: self._written(spool, batch, number))
            item = Item(number, batch.rows, entry, batch if entry is None else None)
            self.kept.items.append(item)
            self.items.put(item)

    def _written(self, spool: Spool, batch: Batch, number: int) -> Entry:
        entry, dropped = spool.write(batch, number)
        self.kept.dropped += dropped
        return entry

    def _put_aside(self, batch: Batch, number: int, rows: Sequence[Unsendable]) -> None:
        """Rows that have no ILP are refused by us."""
        refusals = [Refusal(row.table, row.reason, None, row.cells) for row in rows]
        number += UNSENDABLE_FROM
        path = self.on_disk(lambda spool: spool.refuse(batch, number, refusals))
        for table in dict.fromkeys(row.table for row in rows):
            of_table = [row for row in rows if row.table == table]
            told = Told(table, len(of_table), of_table[0].reason, path)
            self.kept.unsendable.append(told)

    def _waiting_rows(self) -> int | None:
        """Rows of earlier sweeps on disk; None when that cannot be known."""
        entries = self.on_disk(lambda spool: spool.waiting()) if self.counts_backlog else None
        if entries is None:
            return None
        return sum(entry.rows for entry in entries if self._origin.is_backlog(entry))
