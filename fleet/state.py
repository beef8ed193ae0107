"""The state directory: where it is, one run at a time, and the times that sweeps have had.

```
STATE/
  locks/run-NAME-TARGET.lock   held while a job of that --name runs
  locks/drain-TARGET.lock      held while the backlog for a QuestDB is sent
  locks/refused.lock           held while refused rows are tried again or dropped
  sweeps/NAME-TARGET           the timestamps of the job's last sweeps
  known_hosts                  the host keys that `fleet trust` has recorded
  locks/known_hosts.lock       held while that is changed
  seen/NAME-TARGET             what the job's last sweep saw, see `fleet.seen`
  failed/NAME                  the hosts that failed in the last sweep of that --name, in JSON
  spool/                       see `fleet.spool`
```

Locks are the kernel's, on the open file (fcntl(2), "open file description locks"): they end with
their process, however it ends, and others can ask who holds one without touching it.
"""

import contextlib
import fcntl
import json
import os
import re
import stat
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from fleet.errors import Locked

VARIABLE = "FLEET_STATE_DIR"
SWEEPS_KEPT = 1000
"""Of every job: what a clock that was set back may come upon again."""

_LOCK_POLL_S = 0.1
_SIGN_S = 0.5
_FLOCK = "hhqqi"  # struct flock of fcntl(2), natively aligned
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def default_folder(environ: Mapping[str, str]) -> str:
    """`FLEET_STATE_DIR`, systemd's `STATE_DIRECTORY`, else the user's state directory (XDG).

    Empty where there is no home to put one into.
    """
    if environ.get(VARIABLE):
        return os.path.expanduser(environ[VARIABLE])
    if environ.get("STATE_DIRECTORY"):  # systemd.exec(5): several are separated by colons
        return environ["STATE_DIRECTORY"].partition(":")[0]
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the specification: what is relative is ignored
        base = os.path.expanduser("~/.local/state")
    return os.path.join(base, "fleet") if os.path.isabs(base) else ""


class Job(NamedTuple):
    """What runs once at a time: a `--name`, and the mark of where its rows go."""

    name: str
    target: str


class Failed(NamedTuple):
    """The hosts that failed in a sweep, and when that began; `waiting` are those that it did not
    come to, or cut short, in the order in which they would have had their turns.
    """

    at: datetime
    hosts: tuple[str, ...]
    waiting: tuple[str, ...] = ()


class State:
    """One state directory. Folders are made when something is first put into them, for their
    owner alone; `OSError` tells that they cannot be.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def spool(self) -> Path:
        """The folder of rows that QuestDB has not accepted yet."""
        return self.folder / "spool"

    @contextlib.contextmanager
    def run_lock(self, job: Job, wait_s: float = 0.0) -> Iterator[None]:
        """One run of a job at a time; raises `Locked` when another has it after `wait_s`."""
        give_up = time.monotonic() + wait_s
        while (fd := _locked(self._run_lock(job))) is None:
            if time.monotonic() >= give_up:
                waits = "" if wait_s else " (--wait-lock SECONDS waits for its end)"
                raise Locked(
                    f"another run of the job {job.name!r} is under way: {self._holder(job)}{waits}"
                )
            time.sleep(_LOCK_POLL_S)
        with _holding(fd):
            yield

    def runs(self, job: Job) -> bool:
        """Whether a run of this job is under way, this process's own among them."""
        return _is_locked(self._run_lock(job))

    @contextlib.contextmanager
    def drain_lock(self, target: str) -> Iterator[bool]:
        """Whether the backlog for a target is ours to send; never waits."""
        with self._lock(f"drain-{target}") as ours:
            yield ours

    @contextlib.contextmanager
    def refused_lock(self) -> Iterator[bool]:
        """Whether refused rows are ours to try again or to drop; never waits."""
        with self._lock("refused") as ours:
            yield ours

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[bool]:
        fd = _locked(self.folder / "locks" / f"{name}.lock")
        if fd is None:
            yield False
            return
        with _holding(fd):
            yield True

    def new_sweep(self, job: Job, now: Callable[[], datetime]) -> datetime:
        """A time that no sweep of this job has had: now, or the next free microsecond.

        It is on disk before it is used, so a clock that is set back, or stands still, never makes
        two sweeps one. Other jobs' sweeps have rows of their own in `fleetSweep`; that two of them
        visit one host in the same microsecond is left to chance.
        """
        file = self.folder / "sweeps" / f"{job.name}-{job.target}"
        taken = _times(file)
        moment = now()
        microseconds = (moment - _EPOCH) // _MICROSECOND
        while microseconds in taken:
            microseconds += 1
        kept = [*taken, microseconds][-SWEEPS_KEPT:]
        make_folder(file.parent)
        write_durably(file, "".join(f"{one}\n" for one in kept).encode())
        return _EPOCH + timedelta(microseconds=microseconds)

    def memory_file(self, job: Job) -> Path:
        """What the last sweep of a job saw; see `fleet.seen`."""
        return self.folder / "seen" / f"{job.name}-{job.target}"

    def failed_file(self, name: str) -> Path:
        """Where the failed hosts of a `--name` stand."""
        return self.folder / "failed" / name

    def record_failed(
        self, name: str, at: datetime, hosts: Sequence[str], waiting: Sequence[str] = ()
    ) -> None:
        """Put down which hosts failed in a sweep, in the place of those of the one before; see
        `Failed`.
        """
        file = self.failed_file(name)
        make_folder(file.parent)
        document = {"timestamp": at.isoformat(), "hosts": list(hosts), "waiting": list(waiting)}
        write_durably(file, json.dumps(document).encode() + b"\n")

    def failed(self, name: str) -> Failed | None:
        """The hosts that failed in the last sweep of a `--name`; None where there was none.

        Raises `ValueError` for a record that is no record, `OSError` for what cannot be read.
        """
        file = self.failed_file(name)
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # a pipe would keep us waiting
                raise OSError("it is no regular file")
            text = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            document = json.loads(text)
            at, hosts = datetime.fromisoformat(document["timestamp"]), document["hosts"]
            waiting = document.get("waiting", [])
            whole = at.tzinfo is not None and isinstance(hosts, list) and isinstance(waiting, list)
            if not whole or not all(isinstance(host, str) for host in (*hosts, *waiting)):
                raise ValueError
            return Failed(at.astimezone(UTC), tuple(hosts), tuple(waiting))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise ValueError("it is cut or changed") from None

    def _run_lock(self, job: Job) -> Path:
        return self.folder / "locks" / f"run-{job.name}-{job.target}.lock"

    def _holder(self, job: Job) -> str:
        """Who holds a job's lock, by what it wrote there, as far as that can be read; one that has
        only just taken it may be about to.
        """
        give_up = time.monotonic() + _SIGN_S
        while True:
            try:
                said = json.loads(self._run_lock(job).read_text())
                age_s = (datetime.now(UTC) - datetime.fromisoformat(said["since"])).total_seconds()
                return f"pid {int(said['pid'])}, for {max(0.0, age_s):.0f} s"
            except (OSError, ValueError, KeyError, TypeError):
                if time.monotonic() >= give_up:
                    return "it has not said who it is"
            time.sleep(_LOCK_POLL_S / 4)


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in its place whole, or not at all: written aside, fsynced, renamed, and the
    folder fsynced, so that it is there after a power cut as well. Raises `OSError`.
    """
    aside = path.with_name(f".{path.name}.tmp")
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """The folder and those above it, for their owner alone; their names are made durable."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        sync_folder(missing.parent)


def _times(file: Path) -> list[int]:
    """What the file of a job's sweeps holds; what is no number is passed over."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return []
    return [int(line) for line in text.split("\n") if re.fullmatch("[0-9]{1,18}", line)]


def _flock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


@contextlib.contextmanager
def held(file: Path, wait_s: float, poll_s: float = 0.02) -> Iterator[bool]:
    """Whether a lock file is ours, after at most `wait_s` of waiting. Raises `OSError`."""
    give_up = time.monotonic() + wait_s
    while (fd := _locked(file)) is None:
        if time.monotonic() >= give_up:
            yield False
            return
        time.sleep(poll_s)
    with _holding(fd):
        yield True


def _locked(file: Path) -> int | None:
    """The lock file open and locked; None while another has it. Raises `OSError`."""
    make_folder(file.parent)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
        _sign(fd)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError | PermissionError):  # EAGAIN, or EACCES: both mean it
            return None
        raise
    return fd


def _sign(fd: int) -> None:
    """Say in the lock file who holds it; a disk that is full makes it no less locked."""
    said = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat()})
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, said.encode(), 0)


def _is_locked(file: Path) -> bool:
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
    finally:
        os.close(fd)
    kind: int = struct.unpack(_FLOCK, answer)[0]
    return kind != fcntl.F_UNLCK


@contextlib.contextmanager
def _holding(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)
