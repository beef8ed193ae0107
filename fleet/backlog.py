"""`fleet spool`: what waits on disk, what was refused and why; sent, exported, tried again.

All of it is safe beside a running `collect`: what a run is sending is left to it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from fleet.batch import Target
from fleet.delivery import Report, target_of
from fleet.errors import BadBatch, Locked, UsageError
from fleet.outbox import Outbox, rows_text
from fleet.publish import Clock, Publisher
from fleet.report import bytes_text
from fleet.settings import Settings
from fleet.spool import Entry, Refused, Spool
from fleet.state import Job, State
from fleet.table import Column, lines
from fleet.tables import schema_of
from fleet.visit import printable


@dataclass(frozen=True, slots=True)
class Waiting:
    """Batches of one job for one target: since when, how many, with how many rows and bytes."""

    target: str
    job: str
    since: datetime
    batches: int
    rows: int
    size: int


class Backlog:
    """The spool of one state directory, for somebody who looks at it."""

    def __init__(self, settings: Settings) -> None:
        if not settings.state_dir:
            raise UsageError("--state-dir: there is no home to look into; name the folder")
        self._settings = settings
        self._state = State(settings.state_dir)
        self._spool = Spool(
            self._state.spool, settings.spool_max_bytes, lambda entry: self._state.runs(entry.job)
        )

    # --- looking

    def waiting(self) -> list[Waiting]:
        """What waits, by target and job, the oldest first."""
        groups: dict[Job, list[Entry]] = {}
        for entry in self._spool.waiting():
            groups.setdefault(entry.job, []).append(entry)
        return [
            Waiting(
                _target_text(entries),
                job.name,
                entries[0].sweep,
                len(entries),
                sum(entry.rows for entry in entries),
                sum(entry.size for entry in entries),
            )
            for job, entries in groups.items()
        ]

    def as_table(self) -> str:
        """For people."""
        waiting, refused, bad = self.waiting(), self._spool.refused(), self._spool.bad()
        if not waiting and not refused and not bad:
            return f"Nothing waits in {self._state.spool}\n"
        parts = []
        if waiting:
            parts.append(lines(_waiting_columns(waiting)))
        if refused:
            parts.append(lines(_refused_columns(refused)))
        if bad:
            names = [f"  {printable(f'{path.parent.name}/{path.name}')}" for path in bad]
            parts.append([f"Damaged, or not ours, in {self._state.spool}:", *names])
        return "\n\n".join("\n".join(part) for part in parts) + "\n"

    def as_json(self) -> str:
        """For programs: `waiting` by target and job, `refused` row by row, `bad` files."""
        document: dict[str, Any] = {
            "folder": str(self._state.spool),
            "waiting": [
                {
                    "target": one.target,
                    "job": one.job,
                    "since": _iso(one.since),
                    "batches": one.batches,
                    "rows": one.rows,
                    "bytes": one.size,
                }
                for one in self.waiting()
            ],
            "refused": [
                {
                    "target": str(one.target),
                    "job": one.job,
                    "sweep": _iso(one.sweep),
                    "table": row.table,
                    "reason": row.reason,
                    "ilp": row.ilp,
                    "cells": row.cells,
                }
                for one in self._spool.refused()
                for row in one.refusals
            ],
            "bad": [f"{path.parent.name}/{path.name}" for path in self._spool.bad()],
        }
        return json.dumps(document, indent=2) + "\n"

    # --- acting

    def flush(self) -> Report:
        """Send what waits for the configured QuestDB and tables. Raises `Locked` when another
        process is at it, and `QuestDBError` or `SchemaError` when nothing can be sent.
        """
        settings, target = self._settings, target_of(self._settings)
        clock = Clock(settings.publish_timeout_s)
        publisher = Publisher(settings.questdb, schema_of(settings.tables), clock)
        publisher.patience_s = settings.publish_timeout_s  # --drain-seconds is for what goes well
        outbox = Outbox(publisher, self._spool)
        with self._state.drain_lock(target.mark) as ours, closing(publisher):
            if not ours:
                raise Locked(f"what waits for {target} is being sent by another process")
            if self._sendable(target):
                publisher.ensure()
                clock.end_in(settings.drain_s)
                outbox.drain(self._sendable(target))
                outbox.settle()
        tally, left = outbox.tally, sum(entry.rows for entry in self._sendable(target))
        waiting = self._spool.waiting()
        elsewhere = sum(entry.rows for entry in waiting if entry.target != target.mark)
        running = max(0, sum(e.rows for e in waiting if e.target == target.mark) - left)
        lines = [*tally.sentences(self._spool.folder)]
        if left:
            why = f": {tally.stopped}" if tally.stopped else ""
            lines.append(f"{rows_text(left)} kept in the spool{why}")
        if running:
            lines.append(f"{rows_text(running)} left to the job that is running")
        if elsewhere:
            lines.append(f"{rows_text(elsewhere)} wait for other targets: `fleet spool` shows them")
        return Report(
            drained=tally.drained,
            waiting=left,
            elsewhere=elsewhere,
            refused=sum(one.rows for one in tally.refused),
            lost=sum(one.rows for one in tally.bad),
            suspended=bool(tally.suspended),
            changes=tuple(publisher.changes),
            lines=tuple(lines),
        )

    def _sendable(self, target: Target) -> list[Entry]:
        """What waits for a target, but for jobs that are running: they send theirs themselves."""
        return [
            entry
            for entry in self._spool.waiting()
            if entry.target == target.mark and not self._state.runs(entry.job)
        ]

    def export(self, output: IO[bytes]) -> tuple[int, list[str]]:
        """Write all that waits, for whatever target, as ILP → (rows, what was left out and why).
        Nothing is removed.
        """
        count, left_out = 0, []
        for entry in self._spool.waiting():
            try:
                batch = entry.read()
            except BadBatch as error:
                left_out.append(f"{entry.path.name} left out: {error}")
                continue
            if batch is not None:  # else it has been sent meanwhile
                count += batch.rows
                for part in batch.parts:
                    output.write(part.body)
        return count, left_out

    def retry_refused(self) -> Report:
        """Make refused rows wait again → those that do, and those that stay refused because they
        have no ILP. Raises `Locked` when another process is at it.
        """
        with self._refused_lock():
            tries = [self._spool.retry(refused) for refused in self._spool.refused()]
        return Report(
            waiting=sum(again for again, _stay in tries),
            refused=sum(stay for _again, stay in tries),
        )

    def drop_refused(self) -> int:
        """Forget refused rows → how many. Raises `Locked` when another process is at it."""
        with self._refused_lock():
            refused = self._spool.refused()
            for one in refused:
                self._spool.drop_refused(one)
        return sum(len(one.refusals) for one in refused)

    @contextmanager
    def _refused_lock(self) -> Iterator[None]:
        with self._state.refused_lock() as ours:
            if not ours:
                raise Locked("refused rows are in the hands of another process")
            yield


def _waiting_columns(waiting: Sequence[Waiting]) -> list[Column]:
    return [
        Column("WAITING SINCE", [_time(one.since) for one in waiting]),
        Column("JOB", [one.job for one in waiting]),
        Column("BATCHES", [str(one.batches) for one in waiting], right=True),
        Column("ROWS", [str(one.rows) for one in waiting], right=True),
        Column("SIZE", [bytes_text(one.size, 1024) for one in waiting], right=True),
        Column("FOR", [one.target for one in waiting]),
    ]


def _refused_columns(refused: Iterable[Refused]) -> list[Column]:
    """A line for each table and reason of a file."""
    groups: dict[tuple[Path, str, str], list[Refused]] = {}
    for one in refused:
        for row in one.refusals:
            groups.setdefault((one.path, row.table, row.reason), []).append(one)
    return [
        Column("REFUSED, OF", [_time(files[0].sweep) for files in groups.values()]),
        Column("JOB", [files[0].job for files in groups.values()]),
        Column("TABLE", [table for _path, table, _reason in groups]),
        Column("ROWS", [str(len(files)) for files in groups.values()], right=True),
        Column("WHY", [reason for _path, _table, reason in groups]),
    ]


def _target_text(entries: Sequence[Entry]) -> str:
    """The target by the first header that can be read; its mark where none can."""
    for entry in entries:
        try:
            batch = entry.read()
        except (BadBatch, OSError):
            continue
        if batch is not None:
            return str(batch.target)
    return entries[0].target


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
