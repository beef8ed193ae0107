"""`fleet` with a journal of what it does to its disk: `python -m tests.chaos.disk FOLDER WORD ...`.

The journal is a line of JSON for each act, written once it is done, so that it is true wherever
the process is killed: `synced` (a file or a folder), `made` (a folder), `moved`, `removed`, and
`kept`, when the spool has said that a batch is on disk. What is moved or removed is copied before.
"""

import json
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

JOURNAL = "journal"


class Disk:
    """The calls of `os` that matter, each followed by its line in the journal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(folder / JOURNAL, flags, 0o600)
        self._fsync, self._replace = os.fsync, os.replace
        self._unlink, self._mkdir = os.unlink, os.mkdir

    def watch(self) -> None:
        """Take the place of `os`' own calls."""
        for name in ("fsync", "replace", "unlink", "mkdir"):
            setattr(os, name, getattr(self, name))

    def note(self, **act: Any) -> None:
        """A line of the journal, whole or not at all."""
        os.write(self._journal, json.dumps(act, default=str).encode() + b"\n")

    def fsync(self, fd: int) -> None:
        """Of a file or a folder."""
        path = os.readlink(f"/proc/self/fd/{fd}")
        self._fsync(fd)
        self.note(do="synced", path=path)

    def replace(self, source: Any, target: Any) -> None:
        """With a copy of what was moved, and of what it replaced."""
        copy, before = self._copied(source), self._copied(target)
        self._replace(source, target)
        self.note(do="moved", source=source, path=target, copy=copy, before=before)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """With a copy of what is gone."""
        copy = self._copied(path)
        self._unlink(path, dir_fd=dir_fd)
        self.note(do="removed", path=path, copy=copy)

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """A folder."""
        self._mkdir(path, mode, dir_fd=dir_fd)
        self.note(do="made", path=path)

    def _copied(self, path: Any) -> Path | None:
        """The copy of a file; None when there is none."""
        try:
            data = Path(path).read_bytes()
        except OSError:
            return None
        copy = self._folder / f"{next(self._numbers):05d}"
        copy.write_bytes(data)
        return copy


def _tell_kept(disk: Disk) -> None:
    """Note each batch of which the spool says that it is on disk."""
    from fleet.spool import Spool

    write: Callable[..., Any] = Spool.write

    def told(*arguments: Any) -> Any:
        entry, dropped = write(*arguments)
        disk.note(do="kept", path=entry.path)
        return entry, dropped

    Spool.write = told  # type: ignore[assignment,method-assign]


def main() -> None:
    """Run `fleet WORD ...` so."""
    import fleet
    from fleet.cli import main as run

    disk = Disk(Path(sys.argv[1]))
    disk.note(do="began", package=Path(fleet.__file__).parent)
    disk.watch()
    _tell_kept(disk)
    sys.argv[1:] = sys.argv[2:]
    sys.exit(run())


if __name__ == "__main__":
    main()
