"""One host → one `Visit`."""

from dataclasses import dataclass
from datetime import datetime

from fleet.inventory import Host
from fleet.sources import Sample
from fleet.status import Phase, Status


@dataclass(frozen=True, slots=True)
class Visit:
    """One host in one sweep. Every targeted host yields exactly one, success or failure.

    `phase` and `detail` are None when all is well. `via` names the bastion. `sampled_at` is when
    the answer was complete (central clock, UTC); `dropped` counts rows that held no figures.
    """

    host: Host
    status: Status
    phase: Phase | None
    detail: str | None
    elapsed_s: float
    sampled_at: datetime | None = None
    samples: tuple[Sample, ...] = ()
    dropped: int = 0
    node_uptime_s: float | None = None
    source: str | None = None
    via: str | None = None
