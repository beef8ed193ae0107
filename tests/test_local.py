"""The transport for the central host itself."""

import time
from pathlib import Path

from fleet.allowance import Allowance
from fleet.inventory import Host
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, Ended, local

HERE = Host("here", "here", connection="local")


def _run(command: str, seconds: float = 20.0):
    return local.run(HERE, lambda _seconds: command, Allowance(seconds))


def test_both_streams_and_the_exit_status_arrive():
    """What the command says, and how it ends."""
    reply = _run("echo out; echo err >&2; exit 3")
    assert (reply.stdout, reply.stderr) == (b"out\n", b"err\n")
    assert (reply.exit_status, reply.ended) == (3, Ended.EXIT)


def test_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    """When the time is up, the whole process group goes."""
    pid = tmp_path / "pid"
    started = time.monotonic()
    reply = _run(f"echo early; sleep 1000 & echo $! >{pid}; wait", 0.5)
    assert (reply.stdout, reply.exit_status, reply.ended) == (b"early\n", None, Ended.TIMEOUT)
    assert time.monotonic() - started < 5
    child = Path("/proc", pid.read_text().strip(), "stat")
    end = time.monotonic() + 5
    while child.exists() and child.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "the child stayed behind"
        time.sleep(0.01)


def test_flood_is_cut():
    """More than the limit is not read."""
    reply = _run("yes")
    assert (len(reply.stdout), reply.ended) == (MAX_STDOUT_BYTES, Ended.FLOOD)


def test_flood_on_stderr_costs_nothing():
    """Of stderr the beginning is kept, and the command goes on."""
    reply = _run("head -c 1000000 /dev/zero >&2; echo done")
    assert (reply.stdout, len(reply.stderr)) == (b"done\n", MAX_STDERR_BYTES)
    assert reply.ended is Ended.EXIT


def test_closed_stdin():
    """Nothing of ours is read by what runs."""
    assert _run("cat; echo end").stdout == b"end\n"
