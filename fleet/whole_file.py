"""A file in a folder of the user's choice, replaced whole or not at all.

`fleet.state.write_durably` is for our own folders: its name for what is written aside is known
before, which in a folder that others can write to is a way for them to redirect it.
"""

import contextlib
import os
import stat
import tempfile


def write_whole(target: str, data: bytes) -> None:
    """Write aside, fsync, rename: the file keeps its rights, a new one gets the usual ones. Raises
    `OSError`; the file is then as it was, and nothing is left beside it.
    """
    handle, aside = tempfile.mkstemp(prefix=".fleet-", dir=os.path.dirname(target) or ".")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(target))
        os.replace(aside, target)
    except BaseException:  # Ctrl-C too leaves nothing behind; it goes on
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


def _mode(target: str) -> int:
    """The rights of the file that is replaced, or those that a new one gets."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
