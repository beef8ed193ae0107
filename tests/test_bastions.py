"""The pace at which logins go through a bastion."""

import threading
import time
from types import SimpleNamespace

from fleet.allowance import Allowance
from fleet.transport import bastions
from fleet.transport.bastions import TURNS, Bastion, Pace
from fleet.transport.route import Door


def test_no_more_than_the_turns_go_at_a_time():
    """sshd's MaxStartups begins to drop at ten; we stay below."""
    pace, lock = Pace(), threading.Lock()
    under_way, most = 0, 0

    def login() -> None:
        nonlocal under_way, most
        with pace.turn(Allowance(30)) as ours:
            assert ours
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=login) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == TURNS < 10


def test_dead_hosts_do_not_keep_their_turns(monkeypatch):
    """Who takes too long counts no more, and the next goes on."""
    monkeypatch.setattr(bastions, "TURN_S", 0.1)
    pace = Pace()
    stuck = [pace.turn(Allowance(30)) for _ in range(TURNS)]
    for one in stuck:
        assert one.__enter__()
    with pace.turn(Allowance(20)) as ours:
        assert ours
    for one in stuck:
        one.__exit__(None, None, None)


def test_wait_ends_with_the_visit():
    """A visit without time is told that no turn came."""
    pace = Pace()
    stuck = [pace.turn(Allowance(30)) for _ in range(TURNS)]
    for one in stuck:
        one.__enter__()
    with pace.turn(Allowance(0.05)) as ours:
        assert not ours
    for one in stuck:
        one.__exit__(None, None, None)


def test_turns_begin_when_the_bastion_is_open(monkeypatch):
    """Those who wait for a slow bastion would have had their turns by then, and all go at once."""
    monkeypatch.setattr(bastions, "TURN_S", 0.05)
    active = SimpleNamespace(is_active=lambda: True, global_request=lambda _kind: None)
    session = SimpleNamespace(transport=active), SimpleNamespace(let_in=lambda _most: None)

    def slow(_allowance: Allowance) -> object:
        time.sleep(0.5)
        return session

    bastion, lock = Bastion(Door("b", "b", 22, "ops"), None, slow, 5.0), threading.Lock()
    begun: list[float] = []

    def login() -> None:
        with bastion.turn(Allowance(30)):
            with lock:
                begun.append(time.monotonic())
            time.sleep(0.04)

    threads = [threading.Thread(target=login) for _ in range(5 * TURNS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(begun) - started >= 0.5
    assert max(begun) - min(begun) >= 3 * 0.04
