"""The sweep: one result for each item, within its time, whatever the visits do."""

import threading
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sweep import Halt, Limits, Lost, fair, rotated, sweep
from tests.lab.waiting import poll

LIMITS = Limits(5, 5.0, 10.0)


@dataclass(frozen=True)
class Item:
    name: str


def _items(count: int) -> list[Item]:
    return [Item(f"h{number}") for number in range(count)]


def _visiting() -> bool:
    return any(thread.name == "visit" for thread in threading.enumerate())


def _lost(item, why, _elapsed_s):
    return item.name, why


def _run(items, work, forks=50, timeout_s=5.0, deadline_s=20.0):
    return list(sweep(items, work, _lost, Limits(forks, timeout_s, deadline_s)))


def test_every_item_yields_exactly_one_result():
    """More items than threads: all come back, none twice."""
    results = _run(_items(300), lambda item, _: (item.name, "done"), forks=7)
    assert sorted(results) == sorted((item.name, "done") for item in _items(300))


def test_no_items_yield_nothing():
    """An empty sweep ends at once."""
    assert _run([], lambda item, _: item) == []


def test_no_more_than_forks_run_at_once():
    """The pool is bounded."""
    running, most, lock = 0, 0, threading.Lock()

    def work(item, _allowance):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return item.name

    _run(_items(40), work, forks=4)
    assert most == 4


def test_results_come_as_they_complete():
    """A slow one delays nobody."""

    def work(item, _allowance):
        time.sleep(1.0 if item.name == "h0" else 0)
        return item.name

    assert _run(_items(20), work)[-1] == "h0"


def test_visit_that_waits_is_ended_from_outside():
    """What a visit registered is closed when its time is up, and its own result counts."""

    def work(item, allowance):
        closed = threading.Event()
        allowance.on_expire(closed.set)
        assert closed.wait(10)
        return item.name, "ended"

    started = time.monotonic()
    results = _run(_items(3), work, timeout_s=0.3)
    assert sorted(results) == [(f"h{n}", "ended") for n in range(3)]
    assert time.monotonic() - started < 5


def test_visit_that_is_stuck_is_left_behind():
    """A thread that nothing reaches costs its own result, and its place goes to the next."""
    release = threading.Event()

    def work(item, _allowance):
        if item.name == "h0":
            release.wait(30)
        return item.name, "done"

    results = _run(_items(4), work, forks=1, timeout_s=0.2)
    release.set()
    assert sorted(results) == [
        ("h0", Lost.STUCK),
        ("h1", "done"),
        ("h2", "done"),
        ("h3", "done"),
    ]


def test_deadline_skips_what_is_left():
    """When the sweep's time is up, what waits and what hangs is skipped; what is done stays."""
    release = threading.Event()

    def work(item, _allowance):
        if item.name != "h0":
            release.wait(30)
        return item.name, "done"

    started = time.monotonic()
    results = _run(_items(50), work, forks=2, timeout_s=30, deadline_s=0.5)
    release.set()
    assert time.monotonic() - started < 5
    assert results[0] == ("h0", "done")
    assert sorted(results[1:]) == sorted((f"h{n}", Lost.SKIPPED) for n in range(1, 50))


def test_last_visits_know_that_they_are_short():
    """A visit that starts late gets what the sweep has left, and is told so."""
    allowances = {}

    def work(item, allowance):
        allowances[item.name] = (allowance.short, allowance.remaining_s())
        time.sleep(0.4)
        return item.name

    _run(_items(2), work, forks=1, timeout_s=1.0, deadline_s=1.2)
    assert allowances["h0"][0] is False
    assert allowances["h1"][0] is True
    assert allowances["h1"][1] < 0.85


def test_exception_is_raised_when_the_others_are_out():
    """A bug is never swallowed, and loses nothing of the others."""

    def work(item, _allowance):
        if item.name == "h1":
            raise ZeroDivisionError
        return item.name, "done"

    results = []
    with pytest.raises(ZeroDivisionError):
        results.extend(sweep(_items(5), work, _lost, LIMITS))
    assert sorted(results) == [(f"h{n}", Lost.STUCK if n == 1 else "done") for n in range(5)]


def test_closing_ends_what_is_in_flight():
    """Whoever stops reading leaves no visit behind."""
    ended = threading.Event()

    def work(item, allowance):
        if item.name == "h0":
            return item.name
        allowance.on_expire(ended.set)
        assert ended.wait(20)
        return item.name

    running = sweep(_items(2), work, _lost, LIMITS)
    assert next(running) == "h0"
    running.close()
    assert ended.wait(5)


def test_halt_keeps_what_came_in_and_loses_the_rest():
    """What is out is ended and lost, what waits is lost, at once; what is done stays."""
    halt, ended = Halt(), threading.Event()

    def work(item, allowance):
        if item.name != "h0":
            allowance.on_expire(ended.set)
            ended.wait(30)
        return item.name, "done"

    started = time.monotonic()
    running = sweep(_items(50), work, _lost, Limits(3, 30.0, 60.0), halt)
    results = [next(running)]
    halt.set()
    results.extend(running)
    assert time.monotonic() - started < 10
    assert results[0] == ("h0", "done")
    assert sorted(results[1:]) == sorted((f"h{n}", Lost.HALTED) for n in range(1, 50))
    assert ended.wait(5)


def test_halt_yields_what_has_come_in_already():
    """Results that nobody has asked for yet are not lost by it."""
    halt, done = Halt(), []

    def work(item, _allowance):
        done.append(item.name)
        return item.name, "done"

    running = sweep(_items(20), work, _lost, LIMITS, halt)
    results = [next(running)]
    poll(lambda: len(done) == 20, 20, "twenty visits")
    poll(lambda: not _visiting(), 20, "the end of their threads")
    halt.set()
    results.extend(running)
    assert sorted(results) == sorted((item.name, "done") for item in _items(20))


def test_halt_wakes_a_sweep_that_waits():
    """It may come from another thread, or a signal's handler, at any time."""
    halt, out = Halt(), threading.Event()

    def work(item, allowance):
        closed = threading.Event()
        allowance.on_expire(closed.set)
        out.set()
        assert closed.wait(60)
        return item.name, "late"

    def end():
        assert out.wait(20)
        halt.set()

    threading.Thread(target=end).start()
    started = time.monotonic()
    results = list(sweep(_items(2), work, _lost, Limits(2, 60.0, 60.0), halt))
    assert time.monotonic() - started < 10
    assert sorted(results) == [("h0", Lost.HALTED), ("h1", Lost.HALTED)]


def test_halt_before_the_start_loses_everything():
    """A signal that comes very early ends a sweep of a thousand hosts as well."""
    halt = Halt()
    halt.set()

    def work(item, allowance):
        closed = threading.Event()
        allowance.on_expire(closed.set)
        assert closed.wait(60)
        return item.name, "late"

    started = time.monotonic()
    results = list(sweep(_items(1000), work, _lost, Limits(10, 60.0, 60.0), halt))
    assert time.monotonic() - started < 10
    assert sorted(results) == sorted((item.name, Lost.HALTED) for item in _items(1000))


def test_halt_tells_how_long_a_visit_was_out():
    """A visit that was ended has had its time, one that never began none."""
    halt, out = Halt(), threading.Event()

    def work(item, allowance):
        closed = threading.Event()
        allowance.on_expire(closed.set)
        out.set()
        closed.wait(60)

    def lost(item, why, elapsed_s):
        return item.name, why, elapsed_s

    running = sweep(_items(2), work, lost, Limits(1, 60.0, 60.0), halt)

    def end():
        assert out.wait(20)
        time.sleep(0.2)
        halt.set()

    threading.Thread(target=end).start()
    (first, _, some_s), (second, _, none_s) = running
    assert (first, second) == ("h0", "h1")
    assert 0.1 < some_s < 20
    assert none_s == 0.0


def test_a_bug_before_the_halt_is_raised_all_the_same():
    """A halt hides no bug; every item has its result first."""
    halt, raised = Halt(), threading.Event()

    def work(item, allowance):
        if item.name == "h0":
            raised.set()
            raise ZeroDivisionError
        closed = threading.Event()
        allowance.on_expire(closed.set)
        closed.wait(60)

    results = []

    def collected():
        for result in sweep(_items(3), work, _lost, LIMITS, halt):
            results.append(result)
            halt.set()

    with pytest.raises(ZeroDivisionError):
        collected()
    assert results == [("h0", Lost.STUCK), ("h1", Lost.HALTED), ("h2", Lost.HALTED)]


def test_no_thread_is_left():
    """After a sweep, its threads are gone."""
    _run(_items(100), lambda item, _: item.name, forks=30)
    end = time.monotonic() + 5
    while any(thread.name == "visit" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


@given(st.lists(st.integers(), unique=True), st.integers(0, 10**6))
def test_rotation_keeps_everything_in_order(numbers, offset):
    """A rotation is a rotation."""
    items = [Item(str(number)) for number in numbers]
    turned = rotated(items, offset)
    assert sorted(turned, key=items.index) == items
    if items:
        assert turned[0] == items[offset % len(items)]
        doubled = items + items
        assert any(doubled[start : start + len(items)] == turned for start in range(len(items)))


@given(
    st.integers(1, 60), st.integers(2, 20), st.integers(0, 10), st.randoms(use_true_random=False)
)
def test_deadline_that_is_too_short_for_all_starves_nobody(count, turns, dead, random):
    """Each sweep comes to so many hosts only, the last of which is cut short; some fail. All are
    done within the sweeps that it takes to do each of them once, and one more.
    """
    items = _items(count)
    failing = {item.name for item in random.sample(items, min(dead, count))}
    done: set[str] = set()
    waiting: list[str] = []
    failed: list[str] = []
    for _number in range(-(-count // (turns - 1)) + 1):
        order = fair(items, waiting, failed, random.randrange(count))
        assert sorted(order, key=items.index) == items
        names = [item.name for item in order]
        done |= set(names[: turns - 1])
        waiting = names[turns - 1 :]
        failed = [name for name in names if name in failing or name in waiting]
    assert done == {item.name for item in items}


def test_who_failed_starts_last_and_who_waited_first():
    """Those that are neither have another start each time; names of others are passed over."""
    order = fair(_items(7), ["h5", "gone", "h2"], ["h5", "h2", "h1", "h6"], 2)
    assert [item.name for item in order] == ["h5", "h2", "h4", "h0", "h3", "h1", "h6"]
