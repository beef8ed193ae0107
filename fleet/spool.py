"""Rows that QuestDB has not accepted yet, on disk: a file is a batch, and a batch is visits whole.

```
spool/00001795402800123456-00001-120-1f3a90c2-fleet.batch     waits
      (sweep, µs)         (batch)(rows)(target)(job)
spool/refused/….json      rows that QuestDB refused, with its reasons
spool/bad/…               files that were cut, changed or not ours
```

A batch file is a line with the format's version and a checksum of all that follows, a line of JSON
(job, sweep, target, tables with their columns), then ILP as it is sent. It is written aside,
fsynced and renamed, and the folder is fsynced: from the rename on its visits count, whatever dies.
Names sort by age and say whose rows they are, so that a backlog is counted without being read.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleet.errors import BadBatch
from fleet.ilp import Part
from fleet.state import make_folder, sync_folder, write_durably

FORMAT = 1
_MAGIC = b"fleet-batch"
_NAME = re.compile(
    r"(?P<sweep>[0-9]{20})-(?P<number>[0-9]{5})-(?P<rows>[0-9]{1,9})"
    r"-(?P<target>[0-9a-f]{8})-(?P<job>[A-Za-z0-9_.-]{1,64})\.batch"
)
_HEADER_MAX_BYTES = 1024 * 1024
_RETRIED_FROM = 50_000
"""Numbers of batches that are made of refused rows; a sweep has no more than a few thousand."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go, and nowhere else: a QuestDB and its tables. No user, no secret: those may
    change while rows wait.
    """

    scheme: str
    host: str
    port: int
    tables: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Eight digits that stand for this target in names of files."""
        words = [self.scheme, self.host, str(self.port), *self.tables]
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        return {
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "tables": list(self.tables),
        }

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Target":
        """What a file says."""
        return cls(said["scheme"], said["host"], said["port"], tuple(said["tables"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port} {','.join(self.tables)}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole visits of one sweep of a job, for one target: a part for each table."""

    target: Target
    job: str
    sweep: datetime
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Of all its tables."""
        return sum(part.rows for part in self.parts)

    def encoded(self) -> bytes:
        """The bytes of its file."""
        header = {
            "job": self.job,
            "sweep": self.sweep.isoformat(),
            "target": self.target.as_dict(),
            "parts": [
                {
                    "table": part.table,
                    "columns": part.columns,
                    "rows": part.rows,
                    "bytes": len(part.body),
                }
                for part in self.parts
            ],
        }
        rest = b"".join((json.dumps(header).encode(), b"\n", *(part.body for part in self.parts)))
        return b"%s %d %s\n%s" % (_MAGIC, FORMAT, _checksum(rest), rest)

    @classmethod
    def decoded(cls, data: bytes) -> "Batch":
        """The batch of a file's bytes; raises `BadBatch` when one of them is not as written."""
        first, _, rest = data.partition(b"\n")
        words = first.split(b" ")
        if len(words) != 3 or words[0] != _MAGIC:
            raise BadBatch("it does not begin as a batch does")
        if words[2] != _checksum(rest):
            raise BadBatch("its checksum differs: it was cut or changed")
        if words[1] != b"%d" % FORMAT:
            raise BadBatch(f"its format is {words[1].decode(errors='replace')}, not {FORMAT}")
        header, _, body = rest.partition(b"\n")
        try:
            return cls._made(json.loads(header), body)
        except (ValueError, KeyError, TypeError) as error:
            raise BadBatch(f"its header cannot be used: {error!r}") from None

    @classmethod
    def _made(cls, said: dict[str, Any], body: bytes) -> "Batch":
        parts, start = [], 0
        for part in said["parts"]:
            end = start + part["bytes"]
            columns = tuple((name, kind) for name, kind in part["columns"])
            parts.append(Part(part["table"], columns, body[start:end], part["rows"]))
            start = end
        if start != len(body):
            raise ValueError(f"{len(body)} bytes of rows, not {start}")
        return cls(
            Target.of(said["target"]),
            said["job"],
            datetime.fromisoformat(said["sweep"]),
            tuple(parts),
        )


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).hexdigest().encode()


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A batch file by its name and its size in bytes; sorts from the oldest sweep on."""

    sweep: datetime
    number: int
    job: str
    rows: int
    target: str
    size: int
    path: Path

    @classmethod
    def of(cls, path: Path, size: int) -> "Entry | None":
        """What the name says; None for a name that is not ours."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        try:
            sweep = _EPOCH + int(match["sweep"]) * _MICROSECOND
        except OverflowError:
            return None
        number, rows = int(match["number"]), int(match["rows"])
        return cls(sweep, number, match["job"], rows, match["target"], size, path)

    def read(self) -> Batch | None:
        """The batch; None when another has sent it meanwhile. Raises `BadBatch`, or `OSError`."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        batch = Batch.decoded(data)
        if (batch.target.mark, batch.job, batch.rows) != (self.target, self.job, self.rows):
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
    """A file of refused rows; sorts as the batch it comes from."""

    sweep: datetime
    job: str
    target: Target
    refusals: tuple[Refusal, ...]
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went because the spool was too old or too large: batches with their rows, or files
    of refused rows and bad ones.
    """

    files: int = 0
    rows: int = 0

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(self.files + other.files, self.rows + other.rows)


class Spool:
    """The batches of one state directory. `max_bytes` bounds it: what goes is the oldest.

    Methods raise `OSError` when the disk does not do what they ask; nothing is half done then.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._used: int | None = None

    def write(self, batch: Batch, number: int) -> tuple[Entry, Dropped]:
        """Keep a batch; `number` tells it from others of its sweep. When this returns it is on
        disk; its visits count from the rename within.
        """
        data = batch.encoded()
        make_folder(self.folder)
        dropped = self._make_room(len(data))
        path = self.folder / _name(batch, number)
        write_durably(path, data)
        mark, rows = batch.target.mark, batch.rows
        return Entry(batch.sweep, number, batch.job, rows, mark, len(data), path), dropped

    def waiting(self) -> list[Entry]:
        """Every batch, the oldest first. No folder is no batch."""
        entries = (Entry.of(path, size) for path, size in _files(self.folder))
        return sorted(entry for entry in entries if entry is not None)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget batches that QuestDB has accepted. (Should a power cut bring one back, it is
        sent again, and is the same rows.)
        """
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                entry.path.unlink()
                if self._used is not None:
                    self._used -= entry.size

    def put_away(self, entry: Entry) -> None:
        """Move a file that is no batch to `bad/`."""
        self._to_bad(entry.path)

    def tidy(self, runs: Callable[[str], bool]) -> list[Path]:
        """Move files that are not ours to `bad/`, and remove what interrupted writes of jobs that
        run no longer left behind → the files moved.
        """
        moved = []
        for path, _size in _files(self.folder):
            if _NAME.fullmatch(path.name):
                continue
            if (job := _writer_of(path)) is None:
                self._to_bad(path)
                moved.append(path)
            elif not runs(job):
                path.unlink(missing_ok=True)
        for path, _size in _files(self.folder / "refused"):
            if (job := _writer_of(path)) is not None and not runs(job):
                path.unlink(missing_ok=True)
        return moved

    def expire(self, before: datetime, runs: Callable[[str], bool]) -> Dropped:
        """Drop what is older, but nothing of a job that is running."""
        old = [item for item in self._droppable() if item[0] < before]
        return self._drop(
            (size, path, rows) for _age, size, path, rows, job in old if not (job and runs(job))
        )

    def refuse(self, batch: Batch, number: int, refusals: Sequence[Refusal]) -> Path:
        """Keep refused rows of a batch with their reasons; a batch that is tried again has the
        same file.
        """
        folder = self.folder / "refused"
        make_folder(folder)
        path = folder / f"{_name(batch, number).removesuffix('.batch')}.json"
        document = {
            "job": batch.job,
            "sweep": batch.sweep.isoformat(),
            "target": batch.target.as_dict(),
            "refused": [
                {"table": one.table, "reason": one.reason, "ilp": one.ilp, "cells": one.cells}
                for one in refusals
            ],
        }
        write_durably(path, json.dumps(document, indent=1).encode() + b"\n")
        return path

    def refused(self) -> list[Refused]:
        """Every file of refused rows that can be read, the oldest first."""
        found = []
        for path, size in _files(self.folder / "refused"):
            if path.suffix != ".json":  # one that is being written
                continue
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found.append(_refused(path, size))
        return sorted(found, key=lambda one: (one.sweep, one.path))

    def bad(self) -> list[tuple[Path, int]]:
        """The files in `bad/` with their sizes."""
        return sorted(_files(self.folder / "bad"))

    def retry(self, refused: Refused) -> tuple[int, int]:
        """Make refused rows wait again → (rows that wait, rows that have no ILP and stay)."""
        sendable = [one for one in refused.refusals if one.ilp is not None]
        if sendable:
            batch = Batch(refused.target, refused.job, refused.sweep, tuple(_parts(sendable)))
            taken = {entry.number for entry in self.waiting() if entry.sweep == refused.sweep}
            number = next(n for n in range(_RETRIED_FROM, 100_000) if n not in taken)
            self.write(batch, number)
        rest = [one for one in refused.refusals if one.ilp is None]
        if not rest:
            self.drop_refused(refused)
        return len(sendable), len(rest)

    def drop_refused(self, refused: Refused) -> None:
        """Forget refused rows."""
        refused.path.unlink(missing_ok=True)
        sync_folder(refused.path.parent)

    def _make_room(self, size: int) -> Dropped:
        """Drop the oldest until a file of this size fits; look at the disk only when need be."""
        if self._used is None or self._used + size > self._max_bytes:
            items = self._droppable()
            self._used = sum(item[1] for item in items)
            over = self._used + size - self._max_bytes
            doomed = []
            for _age, item_size, path, rows, _job in items:
                if over <= 0:
                    break
                doomed.append((item_size, path, rows))
                over -= item_size
            dropped = self._drop(doomed)
        else:
            dropped = Dropped()
        self._used += size
        return dropped

    def _droppable(self) -> list[tuple[datetime, int, Path, int, str]]:
        """Everything that takes room, from the oldest: (age, size, path, rows, job)."""
        items = [
            (entry.sweep, entry.size, entry.path, entry.rows, entry.job) for entry in self.waiting()
        ]
        for folder in ("refused", "bad"):
            for path, size in _files(self.folder / folder):
                with contextlib.suppress(FileNotFoundError):
                    age = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    items.append((age, size, path, 0, ""))
        return sorted(items)

    def _drop(self, items: Iterable[tuple[int, Path, int]]) -> Dropped:
        dropped = Dropped()
        for size, path, rows in items:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                dropped += Dropped(1, rows)
                if self._used is not None:
                    self._used -= size
        return dropped

    def _to_bad(self, path: Path) -> None:
        folder = self.folder / "bad"
        make_folder(folder)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / path.name)


def _name(batch: Batch, number: int) -> str:
    microseconds = (batch.sweep - _EPOCH) // _MICROSECOND
    return f"{microseconds:020d}-{number:05d}-{batch.rows}-{batch.target.mark}-{batch.job}.batch"


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Path and size of every file of a folder that may not be there; folders are no files."""
    try:
        listing = os.scandir(folder)
    except FileNotFoundError:
        return
    with listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                if not item.is_dir(follow_symlinks=False):
                    yield Path(item.path), item.stat(follow_symlinks=False).st_size


def _writer_of(path: Path) -> str | None:
    """The job that writes, or wrote, this file aside; None for another file."""
    name = path.name.removeprefix(".")
    if not name.endswith(".tmp"):
        return None
    stem = name.removesuffix(".tmp").removesuffix(".json").removesuffix(".batch")
    match = _NAME.fullmatch(f"{stem}.batch")
    return None if match is None else match["job"]


def _refused(path: Path, size: int) -> Refused:
    said = json.loads(path.read_bytes())
    return Refused(
        datetime.fromisoformat(said["sweep"]),
        said["job"],
        Target.of(said["target"]),
        tuple(
            Refusal(one["table"], one["reason"], one["ilp"], one["cells"])
            for one in said["refused"]
        ),
        size,
        path,
    )


def _parts(refusals: Sequence[Refusal]) -> Iterator[Part]:
    for table in dict.fromkeys(one.table for one in refusals):
        lines = [one.ilp for one in refusals if one.table == table and one.ilp is not None]
        yield Part(table, (), "".join(f"{line}\n" for line in lines).encode(), len(lines))
