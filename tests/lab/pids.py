"""Processes known for certain: a number alone may belong to somebody else by now."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.waiting import poll

MARK = "FLEET_LAB"
"""The variable that every part of a lab has in its environment: the lab's folder."""


@dataclass(frozen=True, slots=True)
class Pid:
    """A process by its number and its start time in clock ticks since boot."""

    number: int
    started: int

    @classmethod
    def of(cls, number: int) -> "Pid | None":
        """The process that has this number now; None when nobody has, or a zombie."""
        stat = _stat(number)
        return None if stat is None else cls(number, stat[1])

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return Pid.of(self.number) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, to this process or to nobody."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.number)
            try:
                if self.alive:  # the handle holds whoever this is, so nobody slips in between
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    @property
    def parent(self) -> int:
        """The number of its parent; 0 when it is gone."""
        stat = _stat(self.number)
        return stat[0] if stat else 0

    @property
    def command(self) -> str:
        """Its command line, for people."""
        return _read(self.number, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()

    @property
    def uid(self) -> int | None:
        """Whose it is; None when it is gone."""
        try:
            return Path(f"/proc/{self.number}").stat().st_uid
        except OSError:
            return None

    @property
    def room(self) -> int | None:
        """The inode of its mount namespace; None when it is gone or may not be asked."""
        try:
            return Path(f"/proc/{self.number}/ns/mnt").stat().st_ino
        except OSError:
            return None

    @property
    def cgroups(self) -> str:
        """Its cgroups, as `/proc/PID/cgroup` names them."""
        return _read(self.number, "cgroup").decode(errors="replace")


def _read(number: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{number}/{file}").read_bytes()
    except OSError:
        return b""


def _stat(number: int) -> tuple[int, int] | None:
    """Parent and start time; the name in the middle may hold blanks and parentheses."""
    fields = _read(number, "stat").rpartition(b")")[2].split()
    return None if not fields or fields[0] in b"ZX" else (int(fields[1]), int(fields[19]))


def running() -> Iterator[Pid]:
    """Every process of the machine."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (pid := Pid.of(int(entry))):
            yield pid


def marked(mark: str) -> list[Pid]:
    """The processes whose environment carries this lab's mark; never the caller itself."""
    wanted = f"{MARK}={mark}".encode()
    return [
        pid
        for pid in running()
        if pid.number != os.getpid() and wanted in _read(pid.number, "environ").split(b"\0")
    ]


def contained(ids: Sequence[str]) -> list[Pid]:
    """The processes of these containers: their cgroups carry the full id."""
    return [pid for pid in running() if ids and any(id_ in pid.cgroups for id_ in ids)]


def kill_all(find: Callable[[], Iterable[Pid]], within_s: float = 10) -> None:
    """Kill what `find` finds until it finds nothing: it may fork while we look."""

    def none_left() -> bool:
        found = list(find())
        for pid in found:
            pid.signal(signal.SIGKILL)
        return not found

    poll(none_left, within_s, "the end of killed processes")
