"""The central host itself: the same probe, run by its own `sh`."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import IO

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.status import Phase, Status
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, Ended, Reply, Request

_CHUNK_BYTES = 32 * 1024


def run(_host: Host, request: Request, allowance: Allowance) -> Reply:
    """Run the request under `sh`, in a process group of its own that ends with the visit."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            ["sh", "-c", request(allowance.remaining_s())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(Status.SSH_ERROR, Phase.PROBE, f"sh cannot be run here: {error}") from error
    with process:
        try:
            stdout, stderr, ended = _read(process, allowance)
            if ended is Ended.EXIT:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(allowance.remaining_s())
        finally:
            exit_status = process.poll()
            if exit_status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return Reply(0.0, time.monotonic() - started, exit_status, stdout, stderr, ended)


def _read(
    process: subprocess.Popen[bytes], allowance: Allowance
) -> tuple[bytearray, bytearray, Ended]:
    """Both streams until they end, the time is up, or there is too much."""
    assert process.stdout is not None  # noqa: S101 - Popen was asked for both pipes
    assert process.stderr is not None  # noqa: S101 - as above
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, stdout)
        selector.register(process.stderr, selectors.EVENT_READ, stderr)
        while selector.get_map():
            ready = selector.select(allowance.remaining_s(1.0))
            if not ready and allowance.expired:
                return stdout, stderr, Ended.TIMEOUT
            for key, _events in ready:
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # registered above
                chunk = os.read(stream.fileno(), _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(stream)
                elif key.data is stderr:
                    stderr += chunk[: MAX_STDERR_BYTES - len(stderr)]
                elif not allowance.take(len(chunk)):
                    return stdout, stderr, Ended.TIMEOUT
                else:
                    stdout += chunk[: MAX_STDOUT_BYTES - len(stdout)]
                    if len(stdout) >= MAX_STDOUT_BYTES:
                        return stdout, stderr, Ended.FLOOD
    return stdout, stderr, Ended.EXIT
