"""Sources: ways of reading containers' figures on a node. One file each: `sh` text and parser."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One container at one time. A measurement that is not known is None, never 0.

    `id` is the full id as the node gave it (64 hex digits, 12 from very old clients). Sizes are
    bytes; `cpu_percent` is percent of one core (400 = four cores busy); `net_*` and `block_*`
    are totals since the container started, in = received/read, out = sent/written.

    `source` says where they come from: `docker` (`docker stats`: sizes are rounded), `kernel`
    (exact), or both, see `fleet.exact`. What follows it only the kernel knows: CPU seconds and
    seconds throttled since the start, packets, errors and drops in both directions together,
    processes killed for want of memory, the most memory ever used; and rates in bytes a second
    over `window_s` seconds of the node's own uptime.
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
    source: str = "docker"
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    net_packets_in: int | None = None
    net_packets_out: int | None = None
    net_errors: int | None = None
    net_drops: int | None = None
    oom_kills: int | None = None
    memory_peak_bytes: float | None = None
    window_s: float | None = None
    net_in_rate: float | None = None
    net_out_rate: float | None = None
    block_in_rate: float | None = None
    block_out_rate: float | None = None
