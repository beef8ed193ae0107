"""What one visit may use: time, and memory for bytes that are not parsed yet."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Lock

UNPARSED_BYTES = 32 * 1024 * 1024
"""Answers held in memory and not parsed yet, over all visits in flight, less the reserve."""

RESERVE_BYTES = 160 * 1024
"""What every visit may hold beside that: the answer of some 200 containers."""

STALL_S = 2.0


_M_ARENA_MAX = -8  # malloc.h


def share_one_heap() -> None:
    """Have all threads share one heap, where the C library knows how (glibc's mallopt(3)).

    glibc gives threads heaps of their own, to spare them a lock that Python's own makes needless.
    What one visit gave back is then not there for the next: with a hundred visits in flight the
    process would grow by half.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class Budget:
    """A number of bytes shared by the visits in flight; what one visit's small answer takes
    (`RESERVE_BYTES`) is not counted.

    A visit that finds it used up waits, and SSH's window holds its node back meanwhile. The
    visit that holds most never waits, so that one always comes to its end and gives back; should
    that one take nothing for `STALL_S` while others wait, it is ended.
    """

    def __init__(self, limit: int = UNPARSED_BYTES) -> None:
        self._limit = limit
        self._holders: dict[int, _Holder] = {}
        self._changed = Condition()
        self.parsing = Lock()
        """Held while an answer is parsed, so that one at a time is larger than it came."""

    def take(self, allowance: "Allowance", count: int) -> bool:
        """Take `count` bytes for a visit; False when its time was up before there was room."""
        with self._changed:
            holder = self._holders.setdefault(id(allowance), _Holder(allowance))
            while not self._may_take(holder, count):
                left = allowance.remaining_s()
                if left <= 0:
                    return False
                self._changed.wait(min(left, STALL_S / 4))
                largest = max(self._holders.values(), key=_Holder.rank)
                if time.monotonic() - largest.took_at > STALL_S:
                    largest.allowance.expire()
            holder.held += count
            holder.took_at = time.monotonic()
            return True

    def give_back(self, allowance: "Allowance") -> None:
        """Give back all that a visit took."""
        with self._changed:
            if self._holders.pop(id(allowance), None) is not None:
                self._changed.notify_all()

    def _may_take(self, holder: "_Holder", count: int) -> bool:
        if holder.held + count <= RESERVE_BYTES:
            return True
        counted = sum(max(0, one.held - RESERVE_BYTES) for one in self._holders.values())
        if counted + count <= self._limit:
            return True
        return holder is max(self._holders.values(), key=_Holder.rank)


@dataclass(slots=True)
class _Holder:
    """What one visit has taken, and when it last took something."""

    allowance: "Allowance"
    held: int = 0
    took_at: float = field(default_factory=time.monotonic)

    def rank(self) -> tuple[int, int]:
        """By size; ties have an order, or two would wait for each other."""
        return self.held, id(self)


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
        return self._budget.take(self, count)

    @property
    def parsing(self) -> Lock:
        """To be held while this visit's answer is parsed."""
        return self._budget.parsing

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
        self._budget.give_back(self)


def _quietly(close: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, EOFError):
        close()
