"""A run's own rows, from its visits by way of the spool to QuestDB, while the sweep goes on.

```
visit ─▶ keeper ─▶ every half second a batch ─▶ spool, fsynced ─▶ sender ─▶ QuestDB
         (thread)                                                 (thread)   └─ then what waited
```

The spool is the only road; `fleet.keeper` has the first half of it, `fleet.outbox` the second.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os.path import exists
from threading import Event, Thread

from fleet.batch import Target
from fleet.errors import FleetError, TooManyRefused
from fleet.interruption import Interruption
from fleet.keeper import Keeper, Origin
from fleet.outbox import Item, Outbox, refused_sentences, rows_text
from fleet.publish import Clock, Publisher
from fleet.settings import Settings
from fleet.spool import Dropped, Entry, Spool
from fleet.state import Job, State
from fleet.tables import Schema, Sweep, TableNames
from fleet.visit import Visit, printable, rows_of_visit

INTERRUPTED_S = 0.8
"""How long a run that a signal ended goes on sending."""

_POLL_S = 0.05
_GRACE_S = 0.5
"""Beyond the time that a thread was given, which it keeps by itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run's rows, in rows: `sent` and `drained` (of earlier sweeps) were
    accepted, `kept` and `waiting` (of earlier sweeps) are on disk for the next run, `elsewhere`
    wait for other targets, `refused` are put aside, `lost` are gone; `suspended` says that some
    were accepted and are not applied. `lines` say all of that which needs eyes.
    """

    sent: int = 0
    drained: int = 0
    kept: int = 0
    waiting: int = 0
    elsewhere: int = 0
    refused: int = 0
    lost: int = 0
    suspended: bool = False
    changes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    bugs: tuple[Exception, ...] = ()


def target_of(settings: Settings) -> Target:
    """Where a run's rows go.

    Of the tables that came later only names that are not the usual ones tell targets apart, so that
    what waits from before they came is sent.
    """
    conf, names, usual = settings.questdb, settings.tables, TableNames()
    tables = (names.containers, names.hosts, names.sweeps)
    later = ("states", "nodes", "disks")
    tables += tuple(
        getattr(names, one) for one in later if getattr(names, one) != getattr(usual, one)
    )
    return Target(conf.scheme, conf.host, conf.port, tables)


class Delivery:
    """One run's. `trouble` is why there is no state directory: then there is no spool either."""

    def __init__(
        self,
        settings: Settings,
        tables: Schema,
        state: State,
        started_at: datetime,
        trouble: str | None = None,
    ) -> None:
        self._settings, self._state, self._trouble = settings, state, trouble
        self._origin = Origin(settings.name, started_at, target_of(settings))
        self._spool = (
            None if trouble else Spool(state.spool, settings.spool_max_bytes, self._is_spared)
        )
        self._keeper = Keeper(self._origin, tables, self._spool)
        self._clock = Clock()
        self._publisher = Publisher(settings.questdb, tables, self._clock)
        self._outbox = Outbox(self._publisher, self._spool)
        self._own_done, self._all_done = Event(), Event()
        self._hurried_at: float | None = None
        self._stopped: FleetError | None = None
        self._late = False
        self._given = 1  # row of fleetSweep
        self._others_drain = False
        self._expired = Dropped()
        self._foreign: list[str] = []
        self._bug: Exception | None = None

    def start(self) -> None:
        """Start the threads; neither the run nor the end of the process waits for them for ever."""
        self._keeper.start()
        Thread(target=self._send_all, name="sender", daemon=True).start()

    def add(self, visit: Visit) -> None:
        """A visit has ended; it is on disk within a second."""
        self._given += rows_of_visit(visit)
        self._keeper.add(visit)

    def finish(self, sweep: Sweep, interruption: Interruption) -> Report:
        """The sweep is over: wait until its rows are sent, then for what waited before them, each
        for its time at the most; a second at the most once a signal has come.
        """
        self._keeper.counts_backlog = not interruption.came
        self._keeper.add(sweep)
        self._clock.end_in(self._settings.publish_timeout_s)
        longest_s = self._settings.questdb.request_timeout_ms / 1000 + _GRACE_S
        self._wait(self._own_done, self._settings.publish_timeout_s + longest_s, interruption)
        if self._own_done.is_set():
            self._wait(self._all_done, self._settings.drain_s + longest_s, interruption)
        # Before we hang up, after which our own cut would look like QuestDB's.
        self._late = not self._own_done.is_set()
        self._stopped = self._outbox.tally.stopped
        if not self._all_done.is_set():
            self._publisher.close()
        return self._report()

    def _wait(self, done: Event, seconds: float, interruption: Interruption) -> None:
        """Wait for a thread, in steps in which a signal is seen."""
        until = time.monotonic() + seconds
        while not done.is_set() and time.monotonic() < until:
            if interruption.came:
                if self._hurried_at is None:
                    self._hurried_at = time.monotonic()
                    self._clock.end_in(min(INTERRUPTED_S, self._clock.left_s))
                until = min(until, self._hurried_at + INTERRUPTED_S)
            done.wait(_POLL_S)

    def _report(self) -> Report:
        """What became of every row, by what is on disk now."""
        hurried = self._hurried_at is not None  # then the backlog is not even counted
        waiting = [] if hurried else self._keeper.on_disk(lambda spool: spool.waiting()) or []
        tally, kept = self._outbox.tally, self._keeper.kept
        own = [item for item in kept.items if item.entry and exists(item.entry.path)]
        known = {*tally.accepted, *(item.place for item in own), *(bad.path for bad in tally.bad)}
        gone = [item for item in kept.items if item.place not in known]
        backlog = [] if self._others_drain else list(filter(self._is_our_backlog, waiting))
        return Report(
            sent=tally.sent - tally.drained,
            drained=tally.drained,
            kept=sum(item.rows for item in own),
            waiting=sum(entry.rows for entry in backlog),
            elsewhere=sum(e.rows for e in waiting if e.target != self._origin.target.mark),
            refused=sum(one.rows for one in (*kept.unsendable, *tally.refused)),
            lost=sum(item.rows for item in gone)
            + sum(bad.rows for bad in tally.bad)
            + self._expired.rows
            + kept.dropped.rows
            + self._unkept(),
            suspended=bool(tally.suspended),
            changes=tuple(self._publisher.changes),
            lines=tuple(self._lines(own, gone, backlog)),
            bugs=tuple(bug for bug in (kept.bug, self._bug) if bug is not None),
        )

    def _why(self) -> str:
        """Why rows were not sent, as the end of a sentence."""
        if self._stopped is not None:
            return f": {self._stopped}"
        if self._hurried_at is not None:
            return ": the run was interrupted"
        return ": QuestDB took longer than --publish-timeout" if self._late else ""

    def _unkept(self) -> int:
        """Rows that a disk which hangs has not let us keep in time."""
        return 0 if self._keeper.done.is_set() else max(0, self._given - self._keeper.kept.rows)

    def _lines(
        self,
        own: Sequence[Item],
        gone: Sequence[Item],
        backlog: Sequence[Entry],
    ) -> Iterator[str]:
        tally, kept = self._outbox.tally, self._keeper.kept
        if self._trouble:
            yield f"{self._trouble}: no lock and no spool, rows are published directly"
        yield from kept.trouble
        why = self._why()
        if own:
            yield f"{rows_text(sum(one.rows for one in own))} kept in the spool{why}"
        elif self._stopped and not gone:
            yield str(self._stopped)
        if unkept := self._unkept():
            yield f"{rows_text(unkept)} lost: the spool did not take them in time"
        if gone:
            yield f"{rows_text(sum(one.rows for one in gone))} lost{why}"
        if backlog:
            count, since = rows_text(sum(one.rows for one in backlog)), backlog[0].sweep
            yield f"{count} of earlier sweeps still in the spool, since {since:%Y-%m-%d %H:%M:%SZ}"
        yield from refused_sentences(kept.unsendable)
        yield from tally.sentences(self._state.spool)
        for name in self._foreign:
            yield f"{name} moved to {self._state.spool / 'bad'}: it is no file of the spool's"
        for limit, went in (
            ("--spool-max-bytes", kept.dropped),
            ("--spool-max-age", self._expired),
        ):
            if went.files:
                rows = rows_text(went.rows)
                files = "1 file" if went.files == 1 else f"{went.files} files"
                yield f"{rows} dropped with {files} of the spool: {limit}"

    # --- the sender's thread: batches → QuestDB

    def _send_all(self) -> None:
        try:
            while (item := self._keeper.items.get()) is not None:
                self._outbox.send(item)
            self._outbox.settle()
            self._own_done.set()
            self._drain()
        except Exception as bug:  # noqa: BLE001 - raised by the command in the end
            self._bug = bug
        finally:
            self._publisher.close()
            self._own_done.set()
            self._all_done.set()

    def _drain(self) -> None:
        """Send what waits for this target, the oldest first; nothing of a job that is running,
        which does so itself. What could not be sent, and is too old, goes.
        """
        spool, tally = self._spool, self._outbox.tally
        if spool is None:
            return
        try:
            if self._hurried_at is None:
                self._foreign = [printable(name) for name in spool.tidy(self._runs_elsewhere)]
            with self._state.drain_lock(self._origin.target.mark) as ours:
                self._others_drain = not ours
                if not ours or self._hurried_at is not None:
                    return
                if self._settings.drain_s and tally.stopped is None:
                    self._clock.end_in(self._settings.drain_s)
                    self._publisher.patience_s = self._settings.publish_timeout_s
                    self._outbox.drain(filter(self._is_ours, spool.waiting()))
                    self._outbox.settle()
                if self._hurried_at is None:
                    self._expire(spool)
        except OSError as error:
            if not self._keeper.kept.trouble:  # which has said it
                tally.trouble.append(f"the backlog was left alone: {error}")

    def _expire(self, spool: Spool) -> None:
        """Drop what is too old: of batches, only those that QuestDB did not take just now."""
        before = datetime.now(UTC) - timedelta(seconds=self._settings.spool_max_age_s)
        tally, mark = self._outbox.tally, self._origin.target.mark
        if tally.stopped is not None and not isinstance(tally.stopped, TooManyRefused):
            self._expired += spool.expire(before, mark)
        elif tally.passed_over:
            self._expired += spool.expire(before, mark, tally.passed_over)
        with self._state.refused_lock() as ours:
            if ours:
                self._expired += spool.expire_put_aside(before)

    def _is_our_backlog(self, entry: Entry) -> bool:
        return self._origin.is_backlog(entry) and self._is_ours(entry)

    def _is_ours(self, entry: Entry) -> bool:
        return entry.target == self._origin.target.mark and not self._runs_elsewhere(entry.job)

    def _is_spared(self, entry: Entry) -> bool:
        """Whether a batch is not ours to drop: it is of this sweep, or of a run under way."""
        return self._origin.is_own(entry) or self._runs_elsewhere(entry.job)

    def _runs_elsewhere(self, job: Job) -> bool:
        return job != self._origin.key and self._state.runs(job)
