"""One command as a whole process, and what it cost: its children and its imports are part of it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LAUNCHER = """
import json, os, subprocess, sys, time
started = time.monotonic()
child = subprocess.Popen(sys.argv[2:])
_pid, status, usage = os.wait4(child.pid, 0)
found = {
    "wall_s": time.monotonic() - started,
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "peak_bytes": usage.ru_maxrss * 1024,
    "status": os.waitstatus_to_exitcode(status),
}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""
"""A small process between: what forks counts as the peak of what it starts (getrusage(2))."""


class Cost(NamedTuple):
    """Seconds on the wall, seconds of CPU, the largest process of it in bytes, its exit status."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    status: int


def measured(argv: Sequence[str], stdin: str = "") -> tuple[Cost, str, str]:
    """Run a command to its end → its cost, standard output, standard error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, out, err, cost = (folder / part for part in ("in", "out", "err", "cost"))
        given.write_text(stdin)
        os.sync()  # what an earlier run wrote is not this one's work
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(cost), *argv]
        with given.open() as in_, out.open("w") as out_, err.open("w") as err_:
            subprocess.run(launcher, check=True, stdin=in_, stdout=out_, stderr=err_)
        return Cost(**json.loads(cost.read_text())), out.read_text(), err.read_text()
