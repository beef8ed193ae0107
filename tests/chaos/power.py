"""What a run has on disk by its journal (see `disk`), and what a power cut leaves of it.

After a power cut nothing is there for certain but what was synced: a file whose content was not is
cut, a name whose folder was not is as before (a removed file may be back). Nobody promises that it
goes so badly; a run whose process alone was killed keeps everything, for the system writes it back.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.disk import JOURNAL

Act = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Journal:
    """The acts of one run, and where the copies of its files lie."""

    acts: tuple[Act, ...]

    @classmethod
    def read(cls, folder: Path) -> "Journal":
        """Of a run that is over; none when it was killed before it began."""
        file = folder / JOURNAL
        lines = file.read_text().splitlines() if file.exists() else []
        return cls(tuple(json.loads(line) for line in lines))

    @property
    def package(self) -> Path | None:
        """The package that ran."""
        began = [Path(act["package"]) for act in self.acts if act["do"] == "began"]
        return began[0] if began else None

    def renamed(self) -> dict[str, bytes]:
        """Name → content of each batch that was put in its place."""
        return {
            Path(act["path"]).name: Path(act["copy"]).read_bytes()
            for act in self.acts
            if act["do"] == "moved" and _is_batch(act)
        }

    def durable(self) -> dict[str, bytes]:
        """Of these the ones that a power cut must leave: the folder was synced after the rename,
        or the spool has said so.
        """
        sure: set[str] = set()
        for number, act in enumerate(self.acts):
            if act["do"] == "kept":
                sure.add(Path(act["path"]).name)
            elif act["do"] == "synced":
                sure |= {
                    Path(one["path"]).name
                    for one in self.acts[:number]
                    if one["do"] == "moved" and str(Path(one["path"]).parent) == act["path"]
                }
        return {name: data for name, data in self.renamed().items() if name in sure}

    def removed(self) -> set[str]:
        """Names of batches that are gone because they were sent."""
        acts = (act for act in self.acts if act["do"] == "removed")
        return {Path(act["path"]).name for act in acts if _is_batch(act)}


def _is_batch(act: Act) -> bool:
    """Whether its file is a batch that waits."""
    path = Path(act["path"])
    return path.suffix == ".batch" and path.parent.name == "spool"


def cut(journal: Journal, chance: Random) -> None:
    """Undo what the run has not made durable."""
    for act in _uncertain(journal.acts):
        _UNDO[act["do"]](act, chance)
    for path in _unsynced(journal.acts):
        if path.is_file():
            os.truncate(path, chance.randrange(path.stat().st_size or 1))


def _uncertain(acts: Iterable[Act]) -> Iterator[Act]:
    """Changes of names, the latest first, whose folder was not synced after them."""
    pending: list[Act] = []
    for act in acts:
        if act["do"] == "synced":
            pending = [one for one in pending if str(Path(one["path"]).parent) != act["path"]]
        elif act["do"] in _UNDO:
            pending.append(act)
    return reversed(pending)


def _unsynced(acts: Iterable[Act]) -> set[Path]:
    """Files whose content was never synced before they were put in their places."""
    synced: set[str] = set()
    found: set[Path] = set()
    for act in acts:
        if act["do"] == "synced":
            synced.add(act["path"])
            found.discard(Path(act["path"]))
        elif act["do"] == "moved":
            if act["source"] not in synced:
                found.add(Path(act["path"]))
            synced.discard(act["source"])
    return found


def _unmake(act: Act, _chance: Random) -> None:
    shutil.rmtree(act["path"], ignore_errors=True)


def _unmove(act: Act, _chance: Random) -> None:
    path, source = Path(act["path"]), Path(act["source"])
    path.unlink(missing_ok=True)
    if act["before"]:
        shutil.copy(act["before"], path)
    if act["copy"] and source.parent.is_dir():
        shutil.copy(act["copy"], source)


def _unremove(act: Act, chance: Random) -> None:
    path = Path(act["path"])
    if act["copy"] and path.parent.is_dir() and chance.random() < 0.5:
        shutil.copy(act["copy"], path)


_UNDO: dict[str, Callable[[Act, Random], None]] = {
    "made": _unmake,
    "moved": _unmove,
    "removed": _unremove,
}
