"""Signals while there is something to save: the first ends a run in order, the second at once."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from fleet.sweep import Halt

ENDING = (signal.SIGINT, signal.SIGTERM)
TOGETHER_S = 0.3
"""Signals so close are one: timeout(1) sends its own to the process and to its group."""

_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Whether a signal came, and which; `halt` ends the sweep. `status` is the exit status of a
    run that a signal ended: 130 or 143.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._at = 0.0
        self.halt = Halt()

    @property
    def came(self) -> bool:
        """Whether the run is to end."""
        return self.number is not None

    @property
    def name(self) -> str:
        """`SIGINT` or `SIGTERM`."""
        return signal.Signals(self.number).name if self.number is not None else ""

    @property
    def status(self) -> int | None:
        """The exit status, by the shell's convention."""
        return None if self.number is None else 128 + self.number

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The signals' handler."""
        now = time.monotonic()
        if self.number is None:
            self.number, self._at = number, now
        elif now - self._at > TOGETHER_S:
            _end_at_once(number)
        self.halt.set()


@contextlib.contextmanager
def interruption() -> Iterator[Interruption]:
    """Within it SIGINT and SIGTERM raise nothing: they are noted. Signals that the process was
    started to ignore stay ignored; outside the main thread nothing is noted at all.
    """
    noted = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, noted.handle)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def survive_hangup() -> None:
    """A terminal that goes away ends no run. (Ignoring the signal would be inherited.)"""
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def _end_at_once(number: int) -> None:
    if os.isatty(2):
        with contextlib.suppress(OSError):
            os.write(2, _SHOW_CURSOR)
    os._exit(128 + number)
