"""The state directory: where it is, locks that die with their holder, times that never repeat."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import Locked
from fleet.state import SWEEPS_KEPT, Job, State, default_folder, make_folder, write_durably
from tests.lab.waiting import poll

NOW = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)

X, N, NIGHTLY = (Job(name, "1f3a90c2") for name in ("x", "n", "nightly"))


# --- where it is


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        (
            {
                "FLEET_STATE_DIR": "/ours",
                "STATE_DIRECTORY": "/systemds",
                "XDG_STATE_HOME": "/users",
            },
            "/ours",
        ),
        ({"STATE_DIRECTORY": "/systemds", "XDG_STATE_HOME": "/users"}, "/systemds"),
        ({"STATE_DIRECTORY": "/first:/second"}, "/first"),
        ({"XDG_STATE_HOME": "/users"}, "/users/fleet"),
        ({"XDG_STATE_HOME": "relative"}, "/home/joe/.local/state/fleet"),
        ({"FLEET_STATE_DIR": "", "STATE_DIRECTORY": "", "XDG_STATE_HOME": ""}, None),
        ({"FLEET_STATE_DIR": "~/mine"}, "/home/joe/mine"),
        ({}, "/home/joe/.local/state/fleet"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], folder: str | None
) -> None:
    """Ours, systemd's, the user's: the first that is said; what is empty is not said."""
    monkeypatch.setenv("HOME", "/home/joe")
    assert default_folder(environ) == (folder or "/home/joe/.local/state/fleet")


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that nobody knows, without HOME: then only what is named."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert default_folder({}) == ""
    assert default_folder({"STATE_DIRECTORY": "/var/lib/fleet"}) == "/var/lib/fleet"


def test_folders_are_for_their_owner(tmp_path: Path) -> None:
    """Made when something is first put into them, and those above as well."""
    state = State(tmp_path / "a" / "b")
    assert state.spool == tmp_path / "a" / "b" / "spool"
    assert not (tmp_path / "a").exists()
    with state.run_lock(Job("x", "1f3a90c2")):
        pass
    for folder in (tmp_path / "a", state.folder, state.folder / "locks"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (state.folder / "locks/run-x-1f3a90c2.lock").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The caller hears of it from the system."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="Not a directory"),
        State(tmp_path / "file").run_lock(Job("x", "1f3a90c2")),
    ):
        pass
    with pytest.raises(OSError, match="Not a directory"):
        State(tmp_path / "file").new_sweep(Job("x", "1f3a90c2"), lambda: NOW)


# --- locks

HOLD = """
import sys
from fleet.state import Job, State
with State(sys.argv[1]).run_lock(Job("nightly", "1f3a90c2")):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, script: str = HOLD) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of `nightly` until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", dedent(script), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def take(folder: Path, wait_s: float = 0.0, name: str = "nightly") -> None:
    """Take the lock, and let it go."""
    with State(folder).run_lock(Job(name, "1f3a90c2"), wait_s):
        pass


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """Another process's run is told at once, with its pid and age, and how to wait for it."""
    with holder(tmp_path) as process:
        started = time.monotonic()
        with pytest.raises(Locked) as caught:
            take(tmp_path)
        assert time.monotonic() - started < 5
        assert re.fullmatch(
            rf"another run of the job 'nightly' is under way: pid {process.pid}, for \d+ s "
            r"\(--wait-lock SECONDS waits for its end\)",
            str(caught.value),
        )
        assert caught.value.exit_code == 6
        take(tmp_path, name="other")
        take(tmp_path / "elsewhere")
    take(tmp_path)


def test_one_run_at_a_time_within_a_process(tmp_path: Path) -> None:
    """A second State of the same folder is no way around it."""
    with (
        State(tmp_path).run_lock(Job("nightly", "1f3a90c2")),
        pytest.raises(Locked, match=f"pid {os.getpid()}, for 0 s"),
    ):
        take(tmp_path)
    take(tmp_path)


def test_the_age_is_that_of_the_lock(tmp_path: Path) -> None:
    """Seconds since it was taken, by what its holder wrote there."""
    with State(tmp_path).run_lock(Job("nightly", "1f3a90c2")):
        file = tmp_path / "locks/run-nightly-1f3a90c2.lock"
        since = datetime.now(UTC) - timedelta(hours=1)
        file.write_text(f'{{"pid": 17, "since": "{since.isoformat()}"}}')
        with pytest.raises(Locked, match=r"pid 17, for 36\d\d s"):
            take(tmp_path)
        file.write_text('{"pid": 17, "since": "2999-01-01T00:00:00+00:00"}')
        with pytest.raises(Locked, match="pid 17, for 0 s"):
            take(tmp_path)


@pytest.mark.parametrize("said", ["", "x", "[]", "17", '{"pid": 1}', '{"pid": "x", "since": "y"}'])
def test_a_holder_may_not_have_said_who_it_is(tmp_path: Path, said: str) -> None:
    """A disk that was full makes a lock no less a lock."""
    with State(tmp_path).run_lock(Job("nightly", "1f3a90c2")):
        (tmp_path / "locks/run-nightly-1f3a90c2.lock").write_text(said)
        with pytest.raises(Locked, match="under way: it has not said who it is"):
            take(tmp_path)


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """Killed without a word: the next run goes on at once, whatever the file says."""
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        assert str(process.pid) in (tmp_path / "locks/run-nightly-1f3a90c2.lock").read_text()
        assert not State(tmp_path).runs(Job("nightly", "1f3a90c2"))
        take(tmp_path)


def test_a_frozen_holder_holds(tmp_path: Path) -> None:
    """A process that is stopped still has its lock."""
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Locked):
            take(tmp_path)


def test_a_file_alone_is_no_lock(tmp_path: Path) -> None:
    """What an ended run has left is signed anew by the next."""
    take(tmp_path)
    file = tmp_path / "locks/run-nightly-1f3a90c2.lock"
    file.write_text('{"pid": 1, "since": "2020-01-01T00:00:00+00:00"}' + " " * 1000)
    with State(tmp_path).run_lock(Job("nightly", "1f3a90c2")):
        assert f'{{"pid": {os.getpid()}, ' in file.read_text()
        with pytest.raises(Locked, match=f"pid {os.getpid()}, for 0 s"):
            take(tmp_path)


def test_an_end_is_waited_for(tmp_path: Path) -> None:
    """As long as was said: until the other one ends, or in vain."""
    with holder(tmp_path) as process:
        started = time.monotonic()
        with pytest.raises(Locked) as caught:
            take(tmp_path, 0.3)
        assert 0.25 < time.monotonic() - started < 10
        assert "--wait-lock" not in str(caught.value)
        done: list[bool] = []

        def wait() -> None:
            take(tmp_path, 60)
            done.append(True)

        waiter = Thread(target=wait)
        waiter.start()
        assert process.stdin
        process.stdin.close()
        waiter.join(30)
        assert done


def test_whether_it_runs_is_seen_without_touching_it(tmp_path: Path) -> None:
    """Asking takes nothing, makes nothing, and ends no lock of this process's own."""
    state = State(tmp_path / "state")
    assert not state.runs(Job("nightly", "1f3a90c2"))
    assert not state.folder.exists()
    with holder(state.folder):
        before = (state.folder / "locks/run-nightly-1f3a90c2.lock").read_text()
        for _ in range(3):
            assert state.runs(Job("nightly", "1f3a90c2"))
            assert not state.runs(Job("other", "1f3a90c2"))
        assert (state.folder / "locks/run-nightly-1f3a90c2.lock").read_text() == before
    assert not state.runs(Job("nightly", "1f3a90c2"))
    with state.run_lock(Job("nightly", "1f3a90c2")):
        assert state.runs(Job("nightly", "1f3a90c2"))
        with pytest.raises(Locked):
            take(state.folder)
    assert not state.runs(Job("nightly", "1f3a90c2"))


def test_no_child_inherits_it(tmp_path: Path) -> None:
    """A program that a run has started, and that outlives it, holds nothing."""
    script = """
        import subprocess, sys
        from fleet.state import Job, State
        with State(sys.argv[1]).run_lock(Job("nightly", "1f3a90c2")):
            child = subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.stdin.read()"],
                stdin=subprocess.PIPE, close_fds=False,
            )
            print("held", flush=True)
            print(child.pid, flush=True)
            sys.stdin.read()
    """
    with holder(tmp_path, script) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        os.kill(child, signal.SIGSTOP)  # else it would end with its standard input
        process.kill()
        process.wait(20)
        try:
            os.kill(child, 0)
            poll(
                lambda: not State(tmp_path).runs(Job("nightly", "1f3a90c2")),
                10,
                "the end of the lock",
            )
            take(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_backlog_is_one_runs_at_a_time(tmp_path: Path) -> None:
    """Whoever comes second is told so and never waits; another target's is another's."""
    state = State(tmp_path)
    with state.drain_lock("1f3a90c2") as first, State(tmp_path).drain_lock("1f3a90c2") as second:
        assert (first, second) == (True, False)
        with state.drain_lock("00000000") as other:
            assert other
    with state.drain_lock("1f3a90c2") as later:
        assert later


# --- the times of sweeps


def test_a_sweep_has_the_time_it_starts_at(tmp_path: Path) -> None:
    """Whole microseconds, UTC, as it is, and on disk before it is used."""
    state = State(tmp_path)
    assert state.new_sweep(Job("nightly", "1f3a90c2"), lambda: NOW) == NOW
    assert (tmp_path / "sweeps/nightly-1f3a90c2").read_text() == "1795402800123456\n"
    later = NOW.astimezone().replace(year=2027)
    assert state.new_sweep(Job("nightly", "1f3a90c2"), lambda: later) == later


def test_a_clock_that_stands_still_makes_no_two_sweeps_one(tmp_path: Path) -> None:
    """The next free microsecond is taken; other jobs have times of their own."""
    times = [State(tmp_path).new_sweep(Job("nightly", "1f3a90c2"), lambda: NOW) for _ in range(5)]
    assert times == [NOW + timedelta(microseconds=number) for number in range(5)]
    assert State(tmp_path).new_sweep(Job("other", "1f3a90c2"), lambda: NOW) == NOW


def test_a_clock_that_jumps_back_makes_no_two_sweeps_one(tmp_path: Path) -> None:
    """An hour of sweeps, the clock set back by an hour, and the same hour again."""
    hour = [NOW + timedelta(minutes=5 * number) for number in range(12)]
    times = [
        State(tmp_path).new_sweep(Job("n", "1f3a90c2"), lambda now=now: now)
        for now in (*hour, *hour, *hour)
    ]
    assert len(set(times)) == 36
    assert times[:12] == hour
    assert times[12:24] == [one + timedelta(microseconds=1) for one in hour]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_no_time_is_had_twice(tmp_path_factory: pytest.TempPathFactory, clock: list[int]) -> None:
    """Whatever the clock says."""
    state = State(tmp_path_factory.mktemp("state"))
    times = [
        state.new_sweep(Job("n", "1f3a90c2"), lambda step=step: NOW + timedelta(microseconds=step))
        for step in clock
    ]
    assert len(set(times)) == len(clock)


def test_no_two_processes_have_the_same_time(tmp_path: Path) -> None:
    """Each under the job's lock, as runs are, with a clock that stands still."""
    script = """
        import sys
        from datetime import UTC, datetime
        from fleet.state import Job, State
        state, now = State(sys.argv[1]), datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)
        for _ in range(20):
            with state.run_lock(Job("nightly", "1f3a90c2"), 60):
                print(state.new_sweep(Job("nightly", "1f3a90c2"), lambda: now).microsecond)
    """
    argv = [sys.executable, "-c", dedent(script), str(tmp_path)]
    runs = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    times = [int(line) for run in runs for line in run.communicate(timeout=120)[0].split()]
    assert sorted(times) == list(range(123456, 123456 + 60))


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0\xff\xfe",
        b"x\n-1\n1.5\n\n",
        b"9" * 5000,
        b"1795402800123456",
        b"1795402800123456\r\n\xd9\xa1\n",
        b"1795402800123456\njunk\n99999999999999999999999\n",
    ],
)
def test_junk_in_the_file_is_passed_over(tmp_path: Path, junk: bytes) -> None:
    """A file that was cut or edited ends no run; the times in it that can be read still count."""
    make_folder(tmp_path / "sweeps")
    (tmp_path / "sweeps/nightly-1f3a90c2").write_bytes(junk)
    taken = b"1795402800123456" in junk.splitlines()
    expected = NOW + timedelta(microseconds=int(taken))
    assert State(tmp_path).new_sweep(Job("nightly", "1f3a90c2"), lambda: NOW) == expected
    assert State(tmp_path).new_sweep(Job("nightly", "1f3a90c2"), lambda: NOW) > expected


def test_the_file_does_not_grow(tmp_path: Path) -> None:
    """So many sweeps are remembered, the last ones."""
    make_folder(tmp_path / "sweeps")
    numbers = "".join(f"{number}\n" for number in range(SWEEPS_KEPT))
    (tmp_path / "sweeps/nightly-1f3a90c2").write_text(numbers)
    State(tmp_path).new_sweep(Job("nightly", "1f3a90c2"), lambda: NOW)
    lines = (tmp_path / "sweeps/nightly-1f3a90c2").read_text().split()
    assert len(lines) == SWEEPS_KEPT
    assert (lines[0], lines[-1]) == ("1", "1795402800123456")


# --- files


def test_a_file_replaces_another_whole(tmp_path: Path) -> None:
    """Also where an interrupted write has left its own."""
    file = tmp_path / "file"
    (tmp_path / ".file.tmp").write_bytes(b"left behind, and longer than what comes")
    write_durably(file, b"one")
    write_durably(file, b"")
    write_durably(file, b"three")
    assert file.read_bytes() == b"three"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- the hosts that failed


def test_failed_hosts_are_those_of_the_last_sweep(tmp_path: Path) -> None:
    """Each name has its own record; the later one replaces the earlier, also by nobody."""
    state = State(tmp_path / "state")
    assert state.failed("x") is None
    state.record_failed("x", NOW, ["web1", "b\u00fcro", "\udcff"])
    state.record_failed("nightly", NOW, ["db1"])
    assert state.failed("x") == (NOW, ("web1", "b\u00fcro", "\udcff"), ())
    state.record_failed("x", NOW + timedelta(hours=1), [])
    assert state.failed("x") == (NOW + timedelta(hours=1), (), ())
    assert state.failed("nightly") == (NOW, ("db1",), ())
    state.record_failed("nightly", NOW, ["db1", "b", "a"], ["b", "a"])
    assert state.failed("nightly") == (NOW, ("db1", "b", "a"), ("b", "a"))
    assert sorted(path.name for path in (tmp_path / "state/failed").iterdir()) == ["nightly", "x"]
    assert state.failed_file("x").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"timestamp": "2026-11-23T03:00:00+00:00", "hosts": ["a"',
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"timestamp": "2026-11-23T03:00:00", "hosts": []}',
        b'{"timestamp": "yesterday", "hosts": []}',
        b'{"timestamp": 7, "hosts": []}',
        b'{"timestamp": "0001-01-01T00:00:00+23:00", "hosts": []}',
        b'{"timestamp": "2026-11-23T03:00:00+00:00", "hosts": [1]}',
        b'{"timestamp": "2026-11-23T03:00:00+00:00", "hosts": "web1"}',
        b'{"timestamp": "2026-11-23T03:00:00+00:00", "hosts": [], "waiting": [1]}',
        b'{"timestamp": "2026-11-23T03:00:00+00:00", "hosts": [], "waiting": "web1"}',
        b'{"hosts": []}',
        b"[" * 100_000,
    ],
)
def test_damaged_record_of_failed_hosts(tmp_path: Path, text: bytes) -> None:
    """Nothing is guessed from it."""
    state = State(tmp_path)
    make_folder(tmp_path / "failed")
    state.failed_file("x").write_bytes(text)
    with pytest.raises(ValueError, match=r"^it is cut or changed$"):
        state.failed("x")
