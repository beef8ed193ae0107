"""Transports: run the probe on one host within its allowance, and bring back a `Reply`."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fleet.allowance import Allowance
from fleet.inventory import Host
from fleet.status import Phase

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
    """What a node answered: raw bytes, cut at the limits above, and how it ended.

    `connect_s` is the time until the login was through, `run_s` that of the command;
    `exit_status` is None when none came; `via` names the
    bastion nearest to the node, `user` whom the login was as.
    """

    connect_s: float
    run_s: float
    exit_status: int | None
    stdout: bytes | bytearray
    stderr: bytes | bytearray
    ended: Ended = Ended.EXIT
    via: str | None = None
    user: str | None = None


Request = Callable[[float], str]
"""Seconds left of a visit → the command line to run."""

Told = Callable[[Phase, str], None]
"""Told of each step of the way to a node that succeeded, in words."""

Run = Callable[[Host, Request, Allowance], Reply]
"""Runs a request on a host; raises `HostError` where nothing could be run."""
