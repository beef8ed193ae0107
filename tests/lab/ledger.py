"""The ledger of a lab: what must be undone, written down before it is done.

Whoever undoes reads it from the end: the lab itself when it closes, and its janitor when the lab's
process died without closing. Two may undo the same thing; all of it bears that.
`python -m tests.lab.ledger ROOT ...` undoes labs whose janitors died as well.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab.pids import Pid, contained, kill_all, marked
from tests.lab.waiting import LabError

FILE = "ledger"
Entry = dict[str, Any]


class Ledger:
    """An append-only file of entries, each undone at most once by its owner."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._last = 0

    def note(self, **entry: Any) -> int:
        """Write down one thing to undo; its number is for `struck`."""
        self._last += 1
        self._append({"n": self._last, **entry})
        return self._last

    def process(self, pid: Pid) -> int:
        """A process to kill."""
        return self.note(do="kill", pid=pid.number, started=pid.started)

    def command(self, argv: Sequence[str | Path]) -> int:
        """A command to run, which bears being run in vain."""
        return self.note(do="run", argv=[str(word) for word in argv])

    def strike(self, number: int) -> None:
        """Somebody has undone it already."""
        self._append({"struck": number})

    def _append(self, entry: Entry) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def entries(folder: Path) -> list[Entry]:
    """What is still to be undone, the latest first."""
    noted: dict[int, Entry] = {}
    path = folder / FILE
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # the last line of a writer that was killed
            entry = json.loads(line)
            noted.pop(entry["struck"], None) if "struck" in entry else noted.update(
                {entry["n"]: entry}
            )
    return list(reversed(noted.values()))


def undo(folder: Path) -> None:
    """Undo all that the ledger of this folder names, then remove the folder.

    What cannot be undone is said, and stays in the ledger for the next lab to try.
    """
    failed = False
    for act in (lambda: kill_all(lambda: marked(str(folder))), *map(_act, entries(folder))):
        try:
            act()
        except (LabError, OSError) as error:
            failed = True
            print(f"{folder}: {error}", file=sys.stderr)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)


def _act(entry: Entry) -> Callable[[], object]:
    """How one thing is undone."""
    match entry:
        case {"do": "kill", "pid": number, "started": started}:
            return partial(Pid(number, started).signal, signal.SIGKILL)
        case {"do": "contained", "folder": containers}:
            return partial(end_containers, Path(containers))
        case {"do": "run", "argv": argv}:  # what it undoes may be gone already
            return partial(
                subprocess.run, argv, check=False, capture_output=True, stdin=subprocess.DEVNULL
            )
        case _:
            raise LabError(f"not a ledger entry: {entry!r}")


def end_containers(folder: Path) -> None:
    """Kill what is left of an engine's containers, whose folders these are, and their cgroups."""
    ids = [entry.name for entry in folder.glob("*")]
    cgroups = Path("/sys/fs/cgroup")
    for id_ in ids:  # cgroup v1 keeps a paused process from dying
        for file in cgroups.glob(f"*/docker/{id_}/freezer.state"):
            file.write_text("THAWED")
    kill_all(lambda: contained(ids))
    for parent in (cgroups / "docker", *cgroups.glob("*/docker")):
        for cgroup in (*(parent / id_ for id_ in ids), parent):
            with contextlib.suppress(OSError):  # the parent may be in use by another engine
                cgroup.rmdir()


def undo_orphans(root: Path) -> None:
    """Undo the labs under this folder whose owners died and whose janitors died too."""
    for folder in root.glob("run-*"):
        number, started = folder.name.split("-")[1:3]
        if not Pid(int(number), int(started)).alive:
            undo(folder)


if __name__ == "__main__":
    for root in sys.argv[1:]:
        undo_orphans(Path(root))
