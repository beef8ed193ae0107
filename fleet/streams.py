"""Standard streams as a run finds them: closed, full, or with a reader that goes away.

Printing never raises. What became of it is asked in the end, so a pipe that broke keeps nobody
from saying which rows were not written. What is said on standard error waits for its reader only
so long: a run that nobody reads must end all the same.
"""

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

PATIENCE_S = 5.0
"""How long standard error may stand still: a pipe that is full, a terminal that was stopped."""

_PIECE = select.PIPE_BUF
"""What a pipe takes without a wait when select(2) says that it is writable."""


class Outlet(io.RawIOBase):
    """The far side of a standard stream. After the first error it takes all and passes nothing;
    `patience_s` makes a reader who does not read for so long an error.
    """

    def __init__(
        self, number: int, patience_s: float | None = None, *, closed: bool = False
    ) -> None:
        self._number, self._patience_s, self._closed = number, patience_s, closed
        self.error: OSError | None = None

    @property
    def complaint(self) -> str | None:
        """Why not all was printed; None if it was, or if its reader had read enough."""
        if self.error is None or self.error.errno == errno.EPIPE:
            return None
        return f"standard output: {self.error.strerror}"

    def refuse_if_closed(self) -> bool:
        """For what is lost unless it is printed: where the stream was closed from the start, that
        is an error. Elsewhere a closed stream only says that nobody wants to read.
        """
        if self._closed:
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._closed

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def fileno(self) -> int:
        """The stream's own number."""
        return self._number

    def isatty(self) -> bool:
        """Whether a person may be watching."""
        return os.isatty(self._number)

    def write(self, data) -> int:  # type: ignore[no-untyped-def] # any buffer
        """Pass on what the other side takes; from its first error on, nothing."""
        while self.error is None:
            try:
                if self._patience_s is None:
                    return os.write(self._number, data)
                if select.select([], [self._number], [], self._patience_s)[1]:
                    return os.write(self._number, memoryview(data)[:_PIECE])
                self.error = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            except BlockingIOError:  # somebody who shares the pipe made it so
                select.select([], [self._number], [])
            except OSError as error:
                self.error = error
        return len(data)


@contextlib.contextmanager
def standard_streams() -> Iterator[Outlet]:
    """Standard streams that can be used whatever they were → standard output's `Outlet`."""
    _hold_numbers()
    before = sys.stdin, sys.stdout, sys.stderr
    with open(os.devnull, "r+", encoding="utf-8") as nothing:
        numbers = [(stream or nothing).fileno() for stream in before[1:]]
        outlets = [Outlet(numbers[0], closed=before[1] is None), Outlet(numbers[1], PATIENCE_S)]
        sys.stdin = before[0] or nothing
        sys.stdout = _text(outlets[0], before[1] or nothing)
        sys.stderr = _text(outlets[1], before[2] or nothing)
        try:
            yield outlets[0]
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdin, sys.stdout, sys.stderr = before


def _text(outlet: Outlet, like: TextIO) -> TextIO:
    """Text in the encoding of `like`; what that cannot say is escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=like.encoding,
        errors="backslashreplace",
        newline="\n",
        line_buffering=outlet.isatty() or like is sys.__stderr__,
    )


def _hold_numbers() -> None:
    """Keep 0, 1 and 2 from what is opened later: a socket there would get what libraries say."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            held = os.open(os.devnull, os.O_RDWR)
            if held != number:
                os.dup2(held, number)
                os.close(held)
            os.set_inheritable(number, True)
