"""An executable inventory: run with `--list`, it prints JSON."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time

from fleet.errors import InventoryError
from fleet.inventory.document import MAX_BYTES

TIMEOUT_S = 60.0
_MAGIC = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")  # scripts, Linux, macOS
_TAIL_BYTES = 4096
_CHUNK_BYTES = 1024 * 1024


def is_program(path: str) -> bool:
    """Whether a file is to be run: one with execute permission that is no plain text."""
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_MAGIC)
    except OSError:
        return False


def run(path: str) -> bytes:
    """What the executable at `path` prints, within a bound of bytes and of seconds."""
    with tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                [os.path.abspath(path), "--list"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as exc:
            raise InventoryError(path, f"cannot be run: {exc.strerror or exc}") from None
        try:
            output, trouble = _read(process, time.monotonic() + TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said = _last_line(stderr.fileno())
    if trouble:
        raise InventoryError(path, f"{trouble}{said}")
    return output


def _read(process: "subprocess.Popen[bytes]", until: float) -> tuple[bytes, str]:
    """The output, and what went wrong with it."""
    assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
    output = bytearray()
    os.set_blocking(process.stdout.fileno(), False)
    with process.stdout as stream:
        while (rest := until - time.monotonic()) > 0:
            chunk = _chunk(stream.fileno(), rest)
            if chunk is None:
                break
            output += chunk
            if len(output) > MAX_BYTES:
                return b"", f"prints more than {MAX_BYTES // 1024 // 1024} MiB"
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
                break
    status = process.poll()
    if status is None:
        return b"", f"--list did not end within {TIMEOUT_S:g} s"
    if status:
        how = f"signal {-status} ended" if status < 0 else f"exit status {status} of"
        return b"", f"{how} --list"
    return bytes(output), ""


def _chunk(descriptor: int, timeout_s: float) -> bytes | None:
    """The next bytes, nothing at the end, None where the time is up."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(timeout_s * 1000):
        return None
    return os.read(descriptor, _CHUNK_BYTES)


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    if not lines:
        return ""
    shown = "".join(char if char.isprintable() else "?" for char in lines[-1][:300])
    return f"; it says: {shown}"
