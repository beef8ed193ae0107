"""Parts of batches → QuestDB: delivered, to be tried again, or refused row by row.

```
Part ─▶ POST /write ─▶ 204                      delivered
             │   ▲     no answer, 5xx, 429       again, with full jitter, until the time is up
             │   ├──── line N is invalid         the schema is looked at; then the row is left out
             │   ├──── too large                 halved
             │   └──── login, address, schema    stop: the rows are kept
             └── (QuestDB takes all rows of a request, or none)
```

What is sent is the batch as it stands on disk, the run's own and what waited alike. The client's
`Buffer` has made it (`fleet.ilp`), but cannot be filled from bytes again, and its `flush` hides
the status of an answer and never returns from a redirect; so the request is ours.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TypeVar

from fleet import schema
from fleet.errors import QuestDBUnreachable, RowRefused, TooLarge, TooManyRefused
from fleet.ilp_text import lines_of
from fleet.questdb_conf import QuestDB
from fleet.questdb_http import Client
from fleet.spool import Refusal
from fleet.tables import Schema

REQUEST_MAX_BYTES = 8 * 1024 * 1024
MAX_REFUSALS = 100
"""Of a batch: more is no matter of single rows."""

BACKOFF_S = 0.1
"""The first pause is up to this long, every further one up to twice as long as the one before."""

Result = TypeVar("Result")


class Clock:
    """Until when to try again: a time that another thread may move while somebody waits."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self._ends_at = time.monotonic() + seconds
        self._changed = Event()

    def end_in(self, seconds: float) -> None:
        """No try begins later than so many seconds from now, but the first of its kind."""
        self._ends_at = time.monotonic() + seconds
        self._changed.set()

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends_at - time.monotonic())

    def wait(self, seconds: float) -> bool:
        """Wait so long → whether there is time left after it; returns early when there is none."""
        until = time.monotonic() + seconds
        while (pause := min(until - time.monotonic(), self.left_s)) > 0:
            self._changed.clear()
            self._changed.wait(min(pause, self.left_s))
        return self.left_s > 0


class Publisher:
    """Delivers parts to one QuestDB; for one thread. A context manager is not needed: `close()`.

    `changes` are the statements that it ran on the server's tables. `patience_s` is how long one
    call is tried again, where the clock leaves more.
    """

    def __init__(self, target: QuestDB, tables: Schema, clock: Clock) -> None:
        self._client = Client(target)
        self._target, self._tables = target, tables
        self._max_bytes = min(REQUEST_MAX_BYTES, target.max_buf_size)
        self.clock = clock
        self.patience_s = float("inf")
        self.changes: list[str] = []

    def close(self) -> None:
        """Hang up; also while another thread waits for an answer."""
        self._client.close()

    def ensure(self) -> None:
        """Make the server's tables fit for our rows; raises `SchemaError`, `QuestDBError`."""
        self.changes += self._again(lambda: schema.ensure(self._client, self._tables))

    def suspended(self) -> list[str]:
        """Our tables that are suspended: they accept rows, and apply none."""
        return self._again(lambda: schema.suspended(self._client, self._tables))

    def deliver(self, table: str, body: bytes) -> list[Refusal]:
        """Send ILP of one table → the rows that were refused, all others being accepted.

        Raises `QuestDBUnreachable` when the time was up first, another `QuestDBError` or
        `SchemaError` when trying again would not help; some rows may have been accepted then.
        """
        refused: list[Refusal] = []
        looked = False
        pending = deque(_bounded(body, self._max_bytes))
        while pending:
            request = pending.popleft()
            try:
                self.send(request)
            except RowRefused as error:
                if not looked:
                    looked = True
                    if self._mended():
                        pending.appendleft(request)
                        continue
                lines = lines_of(request)
                if error.line > len(lines):
                    raise
                refused.append(_refusal(table, lines.pop(error.line - 1), error.reason))
                if lines:
                    pending.appendleft(b"".join(lines))
            except TooLarge as error:
                lines = lines_of(request)
                if len(lines) == 1:
                    refused.append(_refusal(table, lines[0], str(error)))
                else:
                    middle = len(lines) // 2
                    pending.extendleft((b"".join(lines[middle:]), b"".join(lines[:middle])))
            if len(refused) > MAX_REFUSALS:
                raise TooManyRefused(
                    f"QuestDB at {self._target.address}: refused more than {MAX_REFUSALS} rows of "
                    f"{table} in one batch, the last one for: {refused[-1].reason}"
                )
        return refused

    def send(self, request: bytes) -> None:
        """Send ILP of one table, as it is; raises what an answer means (`fleet.errors`)."""
        for piece in _bounded(request, self._max_bytes):
            self._again(partial(self._client.write, piece))

    def _mended(self) -> bool:
        """Whether the schema was at fault, and no longer is; raises `SchemaError` if it still is.

        A table may have been dropped, or a column altered, since we last looked.
        """
        before = len(self.changes)
        self.ensure()
        return len(self.changes) > before

    def _again(self, call: Callable[[], Result]) -> Result:
        """What the call returns, tried again while it finds nobody and there is time."""
        longest = self._target.retry_max_backoff_ms / 1000
        pause = min(BACKOFF_S, longest)
        give_up = time.monotonic() + self.patience_s
        while True:
            try:
                return call()
            except QuestDBUnreachable:
                if time.monotonic() >= give_up:
                    raise
                # Full jitter: many who found a server down do not come back all at once.
                if not self.clock.wait(random.uniform(0, pause)):  # noqa: S311 - see above
                    raise
                pause = min(2 * pause, longest)


def _bounded(body: bytes, max_bytes: int) -> list[bytes]:
    """The body in requests of bounded size, cut between rows."""
    if len(body) <= max_bytes:
        return [body] if body else []
    requests, size = [bytearray()], 0
    for line in lines_of(body):
        if size and size + len(line) > max_bytes:
            requests.append(bytearray())
            size = 0
        requests[-1] += line
        size += len(line)
    return [bytes(request) for request in requests]


def _refusal(table: str, line: bytes, reason: str) -> Refusal:
    return Refusal(table, reason, line.decode(errors="backslashreplace").removesuffix("\n"))
