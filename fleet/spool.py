"""Rows that QuestDB has not accepted yet, on disk: a file is a batch, and a batch is visits whole.

```
spool/00001795402800123456-00001-120-1f3a90c2-fleet.batch     waits
      (sweep, µs)         (batch)(rows)(target)(job)
spool/refused/….json      rows that QuestDB refused, with its reasons
spool/bad/…               files that were cut, changed or not ours
```

A batch (`fleet.batch`) is written aside, fsynced and renamed, and the folder is fsynced: from the
rename on its visits count, whatever dies.
Names sort by age and say whose rows they are, so that a backlog is counted without being read.
"""

import contextlib
import itertools
import json
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from fleet.batch import Batch, Target
from fleet.errors import BadBatch
from fleet.ilp_text import Part
from fleet.state import Job, make_folder, sync_folder, write_durably

_STEM = (
    r"(?P<sweep>[0-9]{20})-(?P<number>[0-9]{5,9})-(?P<rows>[0-9]{1,9})"
    r"-(?P<target>[0-9a-f]{8})-(?P<job>[A-Za-z0-9_.-]{1,64})"
)
_NAME = re.compile(_STEM + r"\.batch")
_REFUSED = re.compile(_STEM + r"\.json")
_ASIDE = re.compile(rf"\.{_STEM}\.(batch|json)\.tmp")
RETRIED = 10_000_000
"""What is added to a batch's number for that of its refused rows when they are tried again: they
have one name however often that is begun, and no other batch has it.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_MICROSECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch file by its name and its size in bytes; `microseconds` are its sweep's, since 1970.

    A spool may hold a hundred thousand: what is not always needed is made when it is.
    """

    folder: str
    name: str
    microseconds: int
    number: int
    rows: int
    job: Job
    size: int

    @classmethod
    def of(cls, folder: str, name: str, size: int) -> "Entry | None":
        """What the name says; None for a name that is not ours."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        sweep, number, rows, target, job = match.groups()
        if int(sweep) > _LAST_MICROSECOND:
            return None
        return cls(folder, name, int(sweep), int(number), int(rows), Job(job, target), size)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder, self.name)

    @property
    def target(self) -> str:
        """The mark of where its rows go."""
        return self.job.target

    @property
    def sweep(self) -> datetime:
        """The start of the sweep, UTC."""
        return _EPOCH + self.microseconds * _MICROSECOND

    def read(self) -> Batch | None:
        """The batch; None when another has sent it meanwhile. Raises `BadBatch`, or `OSError`."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        batch = Batch.decoded(data)
        if (batch.job, batch.target.mark, batch.rows) != (*self.job, self.rows):
            raise BadBatch("its name says something else than its header")
        return batch


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was refused: its table, QuestDB's reason (or ours), and the row as ILP, or as
    cells where it has no ILP.
    """

    table: str
    reason: str
    ilp: str | None
    cells: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file of refused rows, and the number of the batch that they come from."""

    sweep: datetime
    number: int
    job: str
    target: Target
    refusals: tuple[Refusal, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went because it was too old, or the spool too large: files, and the rows in them."""

    files: int = 0
    rows: int = 0

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(self.files + other.files, self.rows + other.rows)


class Spool:
    """The batches of one state directory. `max_bytes` bounds it: what goes is the oldest. What is
    `spared` does not go, for somebody is about to send it; rather the spool grows.

    Methods raise `OSError` when the disk does not do what they ask; nothing is half done then.
    """

    def __init__(
        self, folder: Path, max_bytes: int, spared: Callable[[Entry], bool] = lambda _entry: False
    ) -> None:
        self.folder = folder
        self._max_bytes, self._spared = max_bytes, spared
        self._used: int | None = None
        self._lock = Lock()

    def write(self, batch: Batch, number: int) -> tuple[Entry, Dropped]:
        """Keep a batch; `number` tells it from others of its sweep. When this returns it is on
        disk; its visits count from the rename within.
        """
        data = batch.encoded()
        make_folder(self.folder)
        dropped = self._make_room(len(data))
        return self._written(batch, number, data), dropped

    def _written(self, batch: Batch, number: int, data: bytes) -> Entry:
        name = _name(batch, number)
        entry = Entry.of(str(self.folder), name, len(data))
        if entry is None:
            raise ValueError(f"a batch that none of us would find: {name}")
        write_durably(self.folder / name, data)
        self._count(len(data))
        return entry

    def waiting(self) -> list[Entry]:
        """Every batch, the oldest first. No folder is no batch."""
        folder = str(self.folder)
        entries = [Entry.of(folder, name, size) for name, size in _files(self.folder)]
        return sorted(
            (entry for entry in entries if entry is not None),
            key=lambda entry: (entry.microseconds, entry.number, entry.job),
        )

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget batches that QuestDB has accepted. (Should a power cut bring one back, it is
        sent again, and is the same rows.)
        """
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                entry.path.unlink()
                self._count(-entry.size)

    def put_away(self, entry: Entry) -> None:
        """Move a file that is no batch to `bad/`."""
        self._to_bad(entry.path)

    def tidy(self, runs: Callable[[Job], bool]) -> list[str]:
        """Move files that are not ours, or no longer good, to `bad/`, and remove what interrupted
        writes of jobs that run no longer left behind → the names of the files moved.
        """
        refused = self.folder / "refused"
        moved = [path for path in self._strangers(runs) if self._to_bad(path)]
        moved += [path for path in self._cut(refused, runs) if self._to_bad(path)]
        return [path.name for path in moved]

    def _strangers(self, runs: Callable[[Job], bool]) -> Iterator[Path]:
        for name, _size in list(_files(self.folder)):
            if _NAME.fullmatch(name):
                continue
            if (writer := _writer_of(name)) is None:
                yield self.folder / name
            elif not runs(writer):
                (self.folder / name).unlink(missing_ok=True)

    def _cut(self, refused: Path, runs: Callable[[Job], bool]) -> Iterator[Path]:
        """Files that are not whole, by their names and ends: reading all would take its time."""
        for name, _size in list(_files(refused)):
            if (writer := _writer_of(name)) is not None:
                if not runs(writer):
                    (refused / name).unlink(missing_ok=True)
            elif not _REFUSED.fullmatch(name) or not _ends_well(refused / name):
                yield refused / name

    def expire(self, before: datetime, target: str, only: Container[Path] | None = None) -> Dropped:
        """Drop batches for a target that are older, all or those in `only`; none that is spared."""
        dropped = Dropped()
        for entry in self.waiting():
            if entry.target != target or entry.sweep >= before or self._spared(entry):
                continue
            if only is None or entry.path in only:
                dropped += self._drop(entry.path, entry.size, entry.rows)
        return dropped

    def expire_put_aside(self, before: datetime) -> Dropped:
        """Drop refused rows and bad files that are older. For whoever holds the lock of refused
        rows.
        """
        dropped = Dropped()
        for path, size in list(self._put_aside()):
            with contextlib.suppress(FileNotFoundError):
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    dropped += self._drop(path, size, _rows_in(path))
        return dropped

    def refuse(self, batch: Batch, number: int, refusals: Sequence[Refusal]) -> Path:
        """Keep refused rows of a batch with their reasons; a batch that is tried again has the
        same file.
        """
        path = self.folder / "refused" / f"{_name(batch, number).removesuffix('.batch')}.json"
        make_folder(path.parent)
        _write_refused(path, batch.job, batch.sweep, batch.target, refusals)
        return path

    def refused(self) -> list[Refused]:
        """Every file of refused rows, the oldest first."""
        found = [
            refused
            for name, _size in _files(self.folder / "refused")
            if _writer_of(name) is None
            and (refused := _refused(self.folder / "refused" / name)) is not None
        ]
        return sorted(found, key=lambda one: (one.sweep, one.path))

    def bad(self) -> list[Path]:
        """The files in `bad/`, and those in `refused/` that will go there."""
        bad = [self.folder / "bad" / name for name, _size in _files(self.folder / "bad")]
        refused = [self.folder / "refused" / name for name, _ in _files(self.folder / "refused")]
        unread = [one for one in refused if not _writer_of(one.name) and _refused(one) is None]
        return sorted([*bad, *unread])

    def retry(self, refused: Refused) -> tuple[int, int]:
        """Make refused rows wait again → (rows that wait, rows that have no ILP and stay). Nothing
        has to go for it: they take the room that they had. For whoever holds the lock of refused
        rows.
        """
        again = [one for one in refused.refusals if one.ilp is not None]
        stay = [one for one in refused.refusals if one.ilp is None]
        if again:
            batch = Batch(refused.target, refused.job, refused.sweep, tuple(_parts(again)))
            self._written(batch, _again(refused.number), batch.encoded())
            if stay:
                _write_refused(refused.path, refused.job, refused.sweep, refused.target, stay)
            else:
                self.drop_refused(refused)
        return len(again), len(stay)

    def drop_refused(self, refused: Refused) -> None:
        """Forget refused rows. For whoever holds the lock of refused rows."""
        refused.path.unlink(missing_ok=True)
        sync_folder(refused.path.parent)

    def _make_room(self, size: int) -> Dropped:
        """Drop the oldest until a file of this size fits; look at the disk only when need be."""
        if self._used is not None and self._used + size <= self._max_bytes:
            return Dropped()
        self._used = sum(one for _path, one in (*self._batches(), *self._put_aside()))
        dropped = Dropped()
        if self._used + size > self._max_bytes:
            for path, one in sorted((*self._batches(), *self._put_aside()), key=_by_name):
                if self._used + size <= self._max_bytes:
                    break
                entry = Entry.of(str(path.parent), path.name, one)
                if entry is None or path.parent != self.folder:
                    dropped += self._drop(path, one, _rows_in(path))
                elif not self._spared(entry):
                    dropped += self._drop(path, one, entry.rows)
        return dropped

    def _batches(self) -> Iterator[tuple[Path, int]]:
        for name, size in _files(self.folder):
            yield self.folder / name, size

    def _count(self, size: int) -> None:
        with self._lock:  # batches are written and removed in threads of their own
            if self._used is not None:
                self._used += size

    def _put_aside(self) -> Iterator[tuple[Path, int]]:
        """What takes room beside batches: path and size."""
        for folder in (self.folder / "refused", self.folder / "bad"):
            for name, size in _files(folder):
                yield folder / name, size

    def _drop(self, path: Path, size: int, rows: int) -> Dropped:
        try:
            path.unlink()
        except FileNotFoundError:
            return Dropped()
        self._count(-size)
        return Dropped(1, rows)

    def _to_bad(self, path: Path) -> bool:
        """Move a file to `bad/`, over none that is there → whether it was still to be moved."""
        folder = self.folder / "bad"
        make_folder(folder)
        for number in itertools.count():
            to = folder / (f"{path.name}.{number}" if number else path.name)
            if not os.path.lexists(to):
                break
        try:
            os.replace(path, to)
            os.utime(to, follow_symlinks=False)  # its age is counted from now
        except FileNotFoundError:
            return False
        return True


def _name(batch: Batch, number: int) -> str:
    microseconds = (batch.sweep - _EPOCH) // _MICROSECOND
    return f"{microseconds:020d}-{number:05d}-{batch.rows}-{batch.target.mark}-{batch.job}.batch"


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Name and size of every file of a folder that may not be there; folders are no files."""
    try:
        listing = os.scandir(folder)
    except FileNotFoundError:
        return
    with listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                if not item.is_dir(follow_symlinks=False):
                    yield item.name, item.stat(follow_symlinks=False).st_size


def _writer_of(name: str) -> Job | None:
    """The job that writes, or wrote, this file aside; None for another file."""
    match = _ASIDE.fullmatch(name)
    return None if match is None else Job(match["job"], match["target"])


def _by_name(item: tuple[Path, int]) -> str:
    return item[0].name


def _again(number: int) -> int:
    """The number of a batch whose refused rows are tried again; after ninety times, the first."""
    return number % RETRIED + RETRIED * (1 + number // RETRIED % 90)


def _ends_well(path: Path) -> bool:
    """Whether a file of refused rows ends as it was written."""
    try:
        with path.open("rb") as file:
            file.seek(-2, os.SEEK_END)
            return file.read() == b"}\n"
    except OSError:  # also one that is shorter
        return False


def _rows_in(path: Path) -> int:
    """How many rows go with a file of `refused/`; those of `bad/` were counted on their way."""
    refused = _refused(path) if path.parent.name == "refused" else None
    return 0 if refused is None else len(refused.refusals)


def _write_refused(
    path: Path, job: str, sweep: datetime, target: Target, refusals: Sequence[Refusal]
) -> None:
    document = {
        "job": job,
        "sweep": sweep.isoformat(),
        "target": target.as_dict(),
        "refused": [
            {"table": one.table, "reason": one.reason, "ilp": one.ilp, "cells": one.cells}
            for one in refusals
        ],
    }
    write_durably(path, json.dumps(document, indent=1).encode() + b"\n")


def _refused(path: Path) -> Refused | None:
    """What a file of refused rows holds; None where it is none, or cannot be read."""
    match = _REFUSED.fullmatch(path.name)
    if match is None:
        return None
    try:
        said = json.loads(path.read_bytes())
        return Refused(
            datetime.fromisoformat(said["sweep"]),
            int(match["number"]),
            said["job"],
            Target.of(said["target"]),
            tuple(
                Refusal(one["table"], one["reason"], one["ilp"], one["cells"])
                for one in said["refused"]
            ),
            path,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _parts(refusals: Sequence[Refusal]) -> Iterator[Part]:
    for table in dict.fromkeys(one.table for one in refusals):
        lines = [one.ilp for one in refusals if one.table == table and one.ilp is not None]
        yield Part(table, (), "".join(f"{line}\n" for line in lines).encode(), len(lines))
