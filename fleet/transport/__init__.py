"""Transports: run the probe on one host within a deadline, and bring back a `Reply`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fleet.deadline import Deadline
from fleet.inventory import Host

MAX_STDOUT_BYTES = 4 * 1024 * 1024
MAX_STDERR_BYTES = 64 * 1024


class Ended(StrEnum):
    """Why no more was read."""

    EXIT = "exit"  # the remote command ended
    TIMEOUT = "timeout"  # the visit's time was up
    FLOOD = "flood"  # more than MAX_STDOUT_BYTES
    LOST = "lost"  # the connection broke


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node answered: raw bytes, cut at the limits above, and how it ended."""

    started_at: datetime
    connect_s: float
    run_s: float
    exit_status: int | None
    stdout: bytes
    stderr: bytes
    ended: Ended = Ended.EXIT


Run = Callable[[Host, str, Deadline], Reply]
"""Runs a command line on a host; raises `HostError` where nothing could be run."""
