"""One command as a whole process, and what it cost: its children and its imports are part of it."""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds on the wall, seconds of CPU, the largest process of it in bytes, its exit status."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    status: int


def measured(
    argv: Sequence[str], stdin: str = "", environment: Mapping[str, str] | None = None
) -> tuple[Cost, str, str]:
    """Run a command to its end → its cost, standard output, standard error."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryFile("w+") as given,
    ):
        given.write(stdin)
        given.seek(0)
        os.sync()  # what an earlier run wrote is not this one's work
        started = time.monotonic()
        child = subprocess.Popen(argv, stdin=given, stdout=out, stderr=err, env=environment)
        _pid, status, usage = os.wait4(child.pid, 0)
        wall_s = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return _cost(wall_s, usage, child.returncode), out.read(), err.read()


def _cost(wall_s: float, usage: resource.struct_rusage, status: int) -> Cost:
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, status)
