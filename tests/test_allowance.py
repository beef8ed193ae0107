"""What a visit may use: time, and memory for unparsed bytes."""

import threading
import time

from fleet.allowance import RESERVE_BYTES, Allowance, Budget


def test_time_runs_out():
    """What is left falls to 0 and never below."""
    allowance = Allowance(0.05)
    assert 0 < allowance.remaining_s() <= 0.05
    assert allowance.remaining_s(at_most=0.01) <= 0.01
    time.sleep(0.06)
    assert allowance.remaining_s() == 0
    assert allowance.expired


def test_expiry_closes_what_was_registered_once():
    """Closers run when the time is taken away, each once; a late one runs at once."""
    closed = []
    allowance = Allowance(60)
    allowance.on_expire(lambda: closed.append("a"))
    allowance.expire()
    allowance.expire()
    allowance.on_expire(lambda: closed.append("b"))
    assert closed == ["a", "b"]
    assert allowance.expired


def test_closer_that_fails_does_not_keep_the_others_open():
    """A socket that is closed already is no reason to leave the next one open."""
    closed = []

    def fail():
        raise OSError

    allowance = Allowance(60)
    allowance.on_expire(fail)
    allowance.on_expire(lambda: closed.append("b"))
    allowance.expire()
    assert closed == ["b"]


def test_finished_visit_closes_nothing():
    """After the end of a visit its sockets may belong to others."""
    closed = []
    allowance = Allowance(60)
    allowance.on_expire(lambda: closed.append("a"))
    allowance.finish()
    allowance.expire()
    assert closed == []


def _large(budget: Budget, count: int, seconds: float = 60) -> Allowance:
    """A visit that holds so many bytes beside the reserve."""
    allowance = Allowance(seconds, budget)
    assert allowance.take(RESERVE_BYTES)
    assert allowance.take(count)
    return allowance


def test_small_answers_never_wait():
    """What every visit may hold is not counted."""
    budget = Budget(0)
    assert all(Allowance(0.01, budget).take(RESERVE_BYTES) for _ in range(100))


def test_budget_is_waited_for_and_given_back():
    """A visit that finds no room waits until another is done."""
    budget = Budget(100)
    big, small = _large(budget, 90), _large(budget, 10)
    taken = threading.Event()

    def grow():
        assert small.take(10)
        taken.set()

    thread = threading.Thread(target=grow, daemon=True)
    thread.start()
    assert not taken.wait(0.2)
    big.finish()
    assert taken.wait(5)


def test_visit_that_holds_most_never_waits():
    """Were all to wait, none would end: the largest goes on."""
    budget = Budget(100)
    big, small = _large(budget, 60), _large(budget, 40, seconds=0.3)
    assert big.take(1000)
    assert not small.take(1), "its time was up before there was room"


def test_budget_of_a_lonely_visit_is_enough():
    """A single answer larger than the whole budget is bounded by its own limit, not by this."""
    assert Allowance(60, Budget(10)).take(10 * RESERVE_BYTES)


def test_equals_do_not_wait_for_each_other():
    """Of two that hold the same, one goes on."""
    budget = Budget(100)
    visits = [_large(budget, 50, seconds=0.3) for _ in range(2)]
    assert sorted(visit.take(10) for visit in visits) == [False, True]


def test_largest_that_stalls_is_ended():
    """Who holds most and takes nothing more makes room: the others' answers are whole."""
    budget = Budget(100)
    stalled, other = _large(budget, 90), _large(budget, 10)
    stalled.on_expire(stalled.finish)
    assert other.take(50)
    assert stalled.expired
    assert not other.expired
