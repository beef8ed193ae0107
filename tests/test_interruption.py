"""Signals: the first ends a run in order, the second at once."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from textwrap import dedent

import pytest

from fleet.interruption import ENDING, TOGETHER_S, Interruption, interruption, survive_hangup

RUN = """
import os, signal, sys, time
from fleet.interruption import interruption, survive_hangup
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
{before}
with interruption() as noted:
    woken = []
    noted.halt.on_set(lambda: woken.append(True))
    print("ready", flush=True)
    while not noted.came:
        time.sleep(0.01)
    print(noted.number, noted.name, noted.status, noted.halt.is_set, woken, flush=True)
    if "{then}" == "wait":
        time.sleep(60)
print("after", flush=True)
{after}
sys.exit(noted.status)
"""


@contextmanager
def run(before: str = "", then: str = "", after: str = "") -> Iterator["subprocess.Popen[str]"]:
    """A process that waits for a signal, and says what it noted."""
    script = RUN.format(before=before, then=then, after=dedent(after))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", ENDING)
def test_the_first_is_noted(number: signal.Signals) -> None:
    """Nothing is raised; the sweep is ended; the run goes on to its own end, and its status."""
    with run() as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert out == f"{number} {number.name} {128 + number} True [True]\nafter\n"
    assert (err, process.returncode) == ("", 128 + number)


@pytest.mark.parametrize("first", ENDING)
@pytest.mark.parametrize("second", ENDING)
def test_the_second_ends_it_at_once(first: signal.Signals, second: signal.Signals) -> None:
    """Whatever goes on; the exit status is that of the second. What comes together is one."""
    with run(then="wait") as process:
        process.send_signal(first)
        assert process.stdout
        assert process.stdout.readline().startswith(f"{first} ")
        process.send_signal(second)  # as timeout(1) does: to the process, and to its group
        time.sleep(TOGETHER_S + 0.1)
        assert process.poll() is None
        started = time.monotonic()
        process.send_signal(second)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - started < 10
    assert (out, err, process.returncode) == ("", "", 128 + second)


@pytest.mark.parametrize("number", ENDING)
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """`nohup`, or a shell's background: the other signal still ends the run."""
    other = next(one for one in ENDING if one is not number)
    before = f"signal.signal(signal.{number.name}, signal.SIG_IGN)"
    after = f"print(signal.getsignal(signal.{number.name}) is signal.SIG_IGN)"
    with run(before, after=after) as process:
        for _ in range(3):
            process.send_signal(number)
        process.send_signal(other)
        out, _ = process.communicate(timeout=60)
    assert out == f"{other} {other.name} {128 + other} True [True]\nafter\nTrue\n"


def test_handlers_are_given_back() -> None:
    """Whoever calls us finds theirs again, also after an error."""

    def theirs(_number: int, _frame: object) -> None:
        """Nothing."""

    before = [signal.signal(number, theirs) for number in ENDING]
    try:
        with suppress(ZeroDivisionError), interruption() as noted:
            assert all(signal.getsignal(number) == noted.handle for number in ENDING)
            raise ZeroDivisionError
        assert [signal.getsignal(number) for number in ENDING] == [theirs, theirs]
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)


def test_nothing_has_come_at_first() -> None:
    """No signal, no name, no status."""
    noted = Interruption()
    assert (noted.came, noted.number, noted.name, noted.status) == (False, None, "", None)
    assert not noted.halt.is_set


def test_outside_the_main_thread_nothing_is_noted() -> None:
    """A program that calls us from a thread of its own keeps its handlers."""
    before = [signal.getsignal(number) for number in ENDING]
    seen: list[object] = []

    def work() -> None:
        with interruption() as noted:
            seen.append(noted.came)
            seen.extend(signal.getsignal(number) for number in ENDING)
        survive_hangup()

    hangup = signal.getsignal(signal.SIGHUP)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert seen == [False, *before]
    assert [signal.getsignal(number) for number in ENDING] == before
    assert signal.getsignal(signal.SIGHUP) is hangup


def test_a_terminal_that_goes_away_ends_no_run() -> None:
    """SIGHUP is survived by us, and not by the programs that we start."""
    before = "survive_hangup()"
    after = """
        import subprocess
        sleeper = subprocess.Popen(["sleep", "60"])
        sleeper.send_signal(signal.SIGHUP)
        print(sleeper.wait(30))
    """
    with run(before, after=after) as process:
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert out.endswith(f"after\n{-signal.SIGHUP}\n")
    assert process.returncode == 143
