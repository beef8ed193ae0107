"""Hosts → results as they complete: a bounded pool with a deadline for each and for all.

Every host given yields exactly one result, within the sweep's deadline and a second, whatever
its visit does: a visit that outlives its time is first ended from outside (`Allowance.expire`),
then, if its thread is stuck where nothing reaches it, left behind. Knows nothing of Docker or SSH.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

from fleet.allowance import Allowance, Budget

GRACE_S = 1.0
"""How long a visit that was ended may take to bring in what it has."""

Result = TypeVar("Result")


class Named(Protocol):
    """What is swept: anything with a name that is its alone."""

    @property
    def name(self) -> str:
        """The key of its result."""


Item = TypeVar("Item", bound=Named)


class Lost(Enum):
    """Why an item has no result of its own."""

    SKIPPED = "skipped"  # the sweep's deadline came before it was done
    HALTED = "halted"  # the sweep was ended before its time
    STUCK = "stuck"  # its time was up, and its thread did not come back


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `forks` at once; seconds for each visit, and for all of them together."""

    forks: int
    timeout_s: float
    deadline_s: float


class Halt:
    """Ends a sweep before its time; `set()` may be called from a signal's handler."""

    def __init__(self) -> None:
        self.is_set = False
        self._wakers: list[Callable[[], object]] = []

    def set(self) -> None:
        """End it now."""
        self.is_set = True
        for wake in self._wakers:
            wake()

    def on_set(self, wake: Callable[[], object]) -> None:
        """Have `wake` called then; it must bear being called in the middle of anything."""
        self._wakers.append(wake)


@dataclass(slots=True)
class _Flight(Generic[Item]):
    item: Item
    allowance: Allowance
    started: float = field(default_factory=time.monotonic)
    expired_at: float | None = None
    done: bool = False


def sweep(
    items: Sequence[Item],
    work: Callable[[Item, Allowance], Result],
    lost: Callable[[Item, Lost, float], Result],
    limits: Limits,
    halt: Halt | None = None,
) -> Generator[Result, None, None]:
    """Yield one result for each item, in the order in which they complete.

    `work` makes a result within its allowance, in one of many threads; `lost` makes one for an
    item that has none, after so many seconds. An exception of `work` is a bug: it is raised here
    once the other results are out. Closing the generator ends every visit in flight; after a `halt`
    what has come in is still yielded, and everything else is lost at once.
    """
    yield from _Sweep(items, work, lost, limits, halt or Halt()).results()


class _Sweep(Generic[Item, Result]):
    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Allowance], Result],
        lost: Callable[[Item, Lost, float], Result],
        limits: Limits,
        halt: Halt,
    ) -> None:
        self._work, self._lost, self._limits, self._halt = work, lost, limits, halt
        self._ends_at = time.monotonic() + limits.deadline_s
        self._waiting = deque(items)
        self._flights: dict[str, _Flight[Item]] = {}
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[tuple[_Flight[Item], Result | Exception] | None] = (
            queue.SimpleQueue()
        )
        halt.on_set(lambda: self._done.put(None))  # which may interrupt itself: see its manual
        self._budget = Budget()
        self._bug: Exception | None = None

    def results(self) -> Generator[Result, None, None]:
        """Run it all; see `sweep`."""
        try:
            for _ in range(0 if self._halt.is_set else min(self._limits.forks, len(self._waiting))):
                self._start_worker()
            while self._flights or self._waiting or not self._done.empty():
                if self._halt.is_set:
                    yield from self._halted()
                    break
                yield from self._arrived(self._until_next_event())
                yield from self._overdue()
        finally:
            self._end_all()
        if self._bug is not None:
            raise self._bug

    def _start_worker(self) -> None:
        threading.Thread(target=self._worker, name="visit", daemon=True).start()

    def _worker(self) -> None:
        """Take items one after the other, until none waits or this thread's was given up."""
        while (flight := self._take_off()) is not None:
            result: Result | Exception
            try:
                result = self._work(flight.item, flight.allowance)
            except Exception as bug:  # noqa: BLE001 - handed to the sweep, which raises it
                result = bug
            with self._lock:
                if self._flights.get(flight.item.name) is not flight:
                    return
                flight.done = True
                self._done.put((flight, result))
            del flight, result  # or each thread would hold it until it has the next one

    def _take_off(self) -> _Flight[Item] | None:
        with self._lock:
            left = self._ends_at - time.monotonic()
            if not self._waiting or left <= 0:
                return None
            seconds = min(self._limits.timeout_s, left)
            allowance = Allowance(seconds, self._budget, short=seconds < self._limits.timeout_s)
            flight = _Flight(self._waiting.popleft(), allowance)
            self._flights[flight.item.name] = flight
            return flight

    def _arrived(self, wait_s: float) -> Generator[Result, None, None]:
        """What comes in meanwhile, one result at the most."""
        try:
            arrival = self._done.get(timeout=wait_s)
        except queue.Empty:
            return
        if arrival is None:
            return
        flight, result = arrival
        with self._lock:
            if self._flights.get(flight.item.name) is not flight:
                return
            del self._flights[flight.item.name]
        if isinstance(result, Exception):
            self._bug = self._bug or result
            result = self._lost(flight.item, Lost.STUCK, time.monotonic() - flight.started)
        yield result

    def _until_next_event(self) -> float:
        now = time.monotonic()
        with self._lock:
            events = [
                f.expired_at + GRACE_S if f.expired_at else f.allowance.expires_at
                for f in self._flights.values()
            ]
        return max(0.0, min([*events, self._ends_at, now + 1.0]) - now) + 0.001

    def _overdue(self) -> Generator[Result, None, None]:
        """End visits whose time is up; give those up that do not come back; skip what is left
        when the sweep's own time is up.
        """
        now = time.monotonic()
        over = now >= self._ends_at
        with self._lock:
            skipped = list(self._waiting) if over else []
            if over:
                self._waiting.clear()
            flights = [flight for flight in self._flights.values() if not flight.done]
        for flight in flights:
            if flight.expired_at is None and now >= flight.allowance.expires_at:
                flight.expired_at = now
                flight.allowance.expire()
            elif flight.expired_at is not None and now >= flight.expired_at + GRACE_S:
                with self._lock:
                    if flight.done:  # in the meantime: its result is on its way
                        continue
                    del self._flights[flight.item.name]
                why = Lost.SKIPPED if over else Lost.STUCK
                yield self._lost(flight.item, why, now - flight.started)
                if not over:
                    self._start_worker()
        for item in skipped:
            yield self._lost(item, Lost.SKIPPED, 0.0)

    def _halted(self) -> Generator[Result, None, None]:
        """What has come in, then every other item as lost."""
        while not self._done.empty():
            yield from self._arrived(0.0)
        now = time.monotonic()
        with self._lock:
            left = [(flight.item, now - flight.started) for flight in self._flights.values()]
            left += [(item, 0.0) for item in self._waiting]
        self._end_all()
        for item, elapsed_s in left:
            yield self._lost(item, Lost.HALTED, elapsed_s)

    def _end_all(self) -> None:
        with self._lock:
            self._waiting.clear()
            flights = list(self._flights.values())
            self._flights.clear()
        for flight in flights:
            flight.allowance.expire()


def fair(
    items: Sequence[Item], waiting: Sequence[str], failed: Collection[str], offset: int
) -> list[Item]:
    """The order of turns: first who was `waiting` when the last sweep ended, in that order; then
    the rest from another start each time; last who `failed`, for those may take their whole time.

    With a deadline that is too short for all, every item comes in its turn within as many sweeps
    as it takes to do all of them once.
    """
    failed = frozenset(failed)
    place = {name: number for number, name in enumerate(waiting)}
    first = sorted((one for one in items if one.name in place), key=lambda one: place[one.name])
    last = [one for one in items if one.name in failed and one.name not in place]
    late = {one.name for one in last}
    rest = [one for one in items if one.name not in place and one.name not in late]
    return [*first, *rotated(rest, offset), *last]


def rotated(items: Sequence[Item], offset: int) -> list[Item]:
    """The same items from another start, so that a deadline never starves the same ones."""
    if not items:
        return []
    start = offset % len(items)
    return [*items[start:], *items[:start]]
