"""A visit's time: what is left of it, and how it is taken away from outside."""

import contextlib
import time
from collections.abc import Callable
from threading import Lock


class Deadline:
    """A moment on the monotonic clock, and what to close when it has come.

    The transport asks `remaining_s()` before each wait, and registers with `on_expire` what
    ends a wait that does not look at the clock (the socket). The sweep calls `expire()`.
    """

    def __init__(self, seconds: float) -> None:
        self.expires_at = time.monotonic() + seconds
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
        """Whether the moment has come, by the clock or by `expire()`."""
        return self.remaining_s() <= 0.0

    def on_expire(self, close: Callable[[], object]) -> None:
        """Have `close` called once when the deadline expires; at once if it has."""
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


def _quietly(close: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, EOFError):
        close()
