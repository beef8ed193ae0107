"""A room: a mount namespace in which some folders and files are others than on the machine.

Whoever runs in it sees, say, a `/run` of its own, while the machine's is untouched. Its mounts
cannot outlive it, and all its processes are known by it.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.pids import Pid, kill_all, running

Bind = tuple[Path, Path]
"""What is seen instead, and where."""

KEEPER = """
while [ $# -gt 0 ]; do mount --rbind "$1" "$2"; shift 2; done
exec sleep infinity
"""


class Room:
    """A mount namespace, kept by a process that sleeps in it."""

    def __init__(self, lab: Lab, name: str, binds: Sequence[Bind]) -> None:
        words = [word for bind in binds for word in bind]
        unshare = ["unshare", "--mount", "--propagation", "slave"]
        self.keeper = lab.start(name, [*unshare, "sh", "-ec", KEEPER, "room", *words])
        lab.until(lambda: self.keeper.pid.command == "sleep infinity", 10, self.keeper)
        self.inode = self.keeper.pid.room

    def inside(self, *argv: str | Path) -> list[str]:
        """The command line that runs another one in here."""
        # With its root, which is another than the namespace's where we are in a chroot ourselves.
        enter = ["nsenter", f"--target={self.keeper.pid.number}", "--mount", "--root", "--wd"]
        return [*enter, "--", *(str(word) for word in argv)]

    def pids(self) -> list[Pid]:
        """All processes in here, whoever started them, but its keeper."""
        keeper = self.keeper.pid
        return [pid for pid in running() if pid.room == self.inode and pid != keeper]

    def end(self) -> None:
        """Kill all that runs in here; the kernel then forgets the mounts."""
        kill_all(self.pids)
        self.keeper.kill9()
