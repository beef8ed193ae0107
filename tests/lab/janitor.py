"""Undoes a lab when its owner is gone, however it went: `python -m tests.lab.janitor FOLDER`.

The owner holds the other end of our standard input and never writes. When it closes its lab there
is nothing left to do; when it was killed, the kernel closes the pipe and we undo what it left.
"""

import os
import signal
import sys
from pathlib import Path

from tests.lab.ledger import undo


def main() -> None:
    """Wait for the owner's end, then undo."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    undo(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
