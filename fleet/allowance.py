"""What one visit may use: time, and memory for bytes that are not parsed yet."""

import contextlib
import time
from collections.abc import Callable
from threading import Condition, Lock

UNPARSED_BYTES = 48 * 1024 * 1024
"""Answers held in memory and not parsed yet, over all visits in flight."""


class Budget:
    """A number of bytes shared by the visits in flight.

    A visit that finds it used up waits, and SSH's window holds its node back meanwhile. The
    visit that holds most never waits, so that one always comes to its end and gives back.
    """

    def __init__(self, limit: int = UNPARSED_BYTES) -> None:
        self._limit = limit
        self._held: dict[int, int] = {}
        self._changed = Condition()

    def take(self, holder: int, count: int, remaining_s: Callable[[], float]) -> bool:
        """Take `count` bytes for `holder`; False when its time was up before there was room."""
        with self._changed:
            while not self._may_take(holder, count):
                left = remaining_s()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.5))
            self._held[holder] = self._held.get(holder, 0) + count
            return True

    def give_back(self, holder: int) -> None:
        """Give back all that `holder` took."""
        with self._changed:
            if self._held.pop(holder, None) is not None:
                self._changed.notify_all()

    def _may_take(self, holder: int, count: int) -> bool:
        if sum(self._held.values()) + count <= self._limit:
            return True
        mine = self._held.get(holder, 0)
        return all(mine > held for other, held in self._held.items() if other != holder)


class Allowance:
    """One visit's time, and its share of a `Budget`.

    The transport asks `remaining_s()` before each wait, and registers with `on_expire` what
    ends a wait that does not look at the clock (a socket). The sweep calls `expire()`. `short`
    says that this is less than a visit's usual time, because the sweep ends first.
    """

    def __init__(self, seconds: float, budget: Budget | None = None, short: bool = False) -> None:
        self.expires_at = time.monotonic() + seconds
        self.short = short
        self._budget = budget or Budget()
        self._lock = Lock()
        self._closers: list[Callable[[], object]] = []
        self._expired = False

    def remaining_s(self, at_most: float | None = None) -> float:
        """Seconds left, never negative, at most `at_most`; 0 once expired."""
        if self._expired:
            return 0.0
        left = max(0.0, self.expires_at - time.monotonic())
        return left if at_most is None else min(left, at_most)

    @property
    def expired(self) -> bool:
        """Whether the time is up, by the clock or by `expire()`."""
        return self.remaining_s() <= 0.0

    def take(self, count: int) -> bool:
        """Room for `count` bytes of answer; waits for it, False when the time was up first."""
        return self._budget.take(id(self), count, self.remaining_s)

    def on_expire(self, close: Callable[[], object]) -> None:
        """Have `close` called once when the time is up; at once if it is."""
        with self._lock:
            if not self._expired:
                self._closers.append(close)
                return
        _quietly(close)

    def expire(self) -> None:
        """End the visit now: whatever was registered is closed. Callable from any thread."""
        with self._lock:
            self._expired = True
            closers, self._closers = self._closers, []
        for close in closers:
            _quietly(close)

    def finish(self) -> None:
        """The visit is over: nothing is closed any more, and its bytes are given back."""
        with self._lock:
            self._closers = []
        self._budget.give_back(id(self))


def _quietly(close: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, EOFError):
        close()
