"""A lab: one folder, the processes that were started in it, and their certain end."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.lab import pids
from tests.lab.ledger import Ledger, undo, undo_orphans
from tests.lab.pids import Pid
from tests.lab.waiting import LabError, poll

PROJECT = Path(__file__).resolve().parents[2]
TAIL_BYTES = 2000


class Process:
    """A started program, its log, and what tests do to it."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log
        pid = Pid.of(popen.pid)
        if pid is None:
            raise LabError(f"{name} ended at once: {self.tail()}")
        self.pid = pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def tail(self) -> str:
        """The end of its log, for errors."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")

    def stop(self, grace_s: float = 10) -> None:
        """Ask it to end, and kill it when it has not after `grace_s`."""
        self.pid.signal(signal.SIGCONT)
        self.pid.signal(signal.SIGTERM)
        try:
            self.popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill9()

    def kill9(self) -> None:
        """End it without a word of warning."""
        self.pid.signal(signal.SIGKILL)
        self.popen.wait(10)

    def pause(self) -> None:
        """Freeze it."""
        self.pid.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self.pid.signal(signal.SIGCONT)


class Lab:
    """A folder under `root` (where downloads and keys stay for the next run) for one run's parts.

    Every process started here carries the folder's name in its environment; what else must be
    undone goes into the ledger first. A janitor process does it should we not come to it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def __enter__(self) -> "Lab":
        self.root.mkdir(parents=True, exist_ok=True)
        undo_orphans(self.root)
        me = Pid.of(os.getpid())
        assert me is not None
        prefix = f"run-{me.number}-{me.started}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
        self.folder.chmod(0o755)
        self.ledger = Ledger(self.folder)
        self._processes: list[Process] = []
        self._addresses = _addresses()
        self.ssh_port = free_port()
        with (self.root / "janitor.log").open("ab") as log:
            self._janitor = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.janitor", str(self.folder)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at a terminal is not for it
            )
        return self

    def __exit__(self, *_error: object) -> None:
        undo(self.folder)
        for process in self._processes:
            process.popen.poll()
        assert self._janitor.stdin
        self._janitor.stdin.close()
        self._janitor.wait(30)

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Start a program in a session of its own, its output in NAME.log."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [str(word) for word in argv],
                env={**os.environ, **(env or {}), pids.MARK: str(self.folder)},
                cwd=cwd or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = Process(name, popen, log)
        self._processes.append(process)
        self.ledger.process(process.pid)
        return process

    def address(self) -> str:
        """A loopback address that no other part of this lab has; with `ssh_port` it is a node."""
        return next(self._addresses)

    def until(self, condition: Callable[[], bool], within_s: float, process: Process) -> None:
        """Wait until a condition holds; a process that ends meanwhile ends the wait."""

        def holds() -> bool:
            if not process.alive:
                raise LabError(f"{process.name} ended: {process.tail()}")
            return condition()

        poll(holds, within_s, process.name, why=process.tail)


def _addresses() -> Iterator[str]:
    """Of 127.0.0.0/8, from places of this lab's own: other labs may run on this machine."""
    taken = set()
    while True:
        second, third = 1 + os.urandom(1)[0] % 254, os.urandom(1)[0] & 0xF0
        if (second, third) in taken:
            continue
        taken.add((second, third))
        for last in range(16 * 254):
            yield f"127.{second}.{third + last // 254}.{1 + last % 254}"


def free_port(address: str = "127.0.0.1") -> int:
    """A port nobody listens on, outside the range that the kernel gives to clients."""
    for _attempt in range(200):
        port = 20_000 + int.from_bytes(os.urandom(2)) % 12_000
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise LabError(f"no free port on {address}")
