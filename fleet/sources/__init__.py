"""Sources: ways of reading containers' figures on a node. One file each: `sh` text and parser."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One container at one time. A measurement that is not known is None, never 0.

    `id` is the full id as the node gave it (64 hex digits, 12 from very old clients). Sizes are
    bytes; `cpu_percent` is percent of one core (400 = four cores busy); `net_*` and `block_*`
    are totals since the container started, in = received/read, out = sent/written.
    """

    id: str
    name: str
    image: str | None = None
    service: str | None = None
    cpu_percent: float | None = None
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None
    memory_percent: float | None = None
    pids: int | None = None
    net_in_bytes: float | None = None
    net_out_bytes: float | None = None
    block_in_bytes: float | None = None
    block_out_bytes: float | None = None
