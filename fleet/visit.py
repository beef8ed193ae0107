"""One host → one `Visit`: run the probe, and have its answer judged.

A visit that brought no answer has its status from the transport (`HostError`); what an answer
means is decided in `fleet.verdict`.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import probe
from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.node_facts import Node
from fleet.reading import NOTHING_BEFORE, Before
from fleet.seen import Seen
from fleet.sources import Sample
from fleet.states import ContainerState
from fleet.status import Phase, Status
from fleet.sweep import Lost
from fleet.transport import Run
from fleet.verdict import judge

MAX_DETAIL_CHARACTERS = 500
ANSWER_MARGIN_S = 1.0
"""How much earlier than our own deadline the node is told to be done."""

FIRST_WINDOW_S = 1
"""Between two readings of the kernel's counters, where no earlier sweep has any."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One host in one sweep. Every targeted host yields exactly one, success or failure.

    `phase` is None when all is well, and `detail` then only holds what is worth a word. `via` names
    the bastion. `sampled_at` is when the answer was complete (central clock, UTC), None where none
    came; `dropped` counts containers that had no figures; `node_uptime_s` is the node's own clock
    when its figures were taken; `source` says where these come from. `states` are all containers,
    running or not; `node` is the node itself, None where it said nothing; `seen` is what the next
    sweep is to know. `let_go` counts samples that were published and are not held any more.
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
    states: tuple[ContainerState, ...] = ()
    node: Node | None = None
    seen: Seen | None = None
    let_go: int = 0

    @property
    def containers(self) -> int:
        """How many have figures, whether these are still held or not."""
        return len(self.samples) + self.let_go


def visit(host: Host, run: Run, allowance: Allowance, before: Before = NOTHING_BEFORE) -> Visit:
    """Visit one host within its allowance. A failure is a value; only a bug of ours is raised."""
    if host.bad_config is not None:
        return failure(host, Status.BAD_CONFIG, None, host.bad_config, 0.0)
    found = _visit(host, run, allowance, before)
    if allowance.short and _cut_short(found.status, allowance):
        detail = f"the sweep's deadline came first ({found.detail})"
        return failure(host, Status.SKIPPED, found.phase, detail, found.elapsed_s, found.via)
    return found


def _cut_short(status: Status, allowance: Allowance) -> bool:
    """Whether a visit with less than its usual time failed for want of time."""
    if status is Status.TIMEOUT:
        return True
    return allowance.expired and status in (Status.DNS, Status.UNREACHABLE, Status.SSH_ERROR)


def _visit(host: Host, run: Run, allowance: Allowance, before: Before) -> Visit:
    started = time.monotonic()
    window_s = 0 if before.seen is not None and before.seen.counted else FIRST_WINDOW_S

    def request(seconds: float) -> str:
        return probe.request(host, seconds - ANSWER_MARGIN_S, window_s)

    try:
        reply = run(host, request, allowance)
        sampled_at = datetime.now(UTC)
        with allowance.parsing:
            verdict = judge(host, reply, sampled_at, before)
        return Visit(
            host,
            verdict.status,
            verdict.phase,
            verdict.detail and printable(verdict.detail),
            time.monotonic() - started,
            sampled_at=sampled_at,
            samples=verdict.samples,
            dropped=verdict.dropped,
            node_uptime_s=verdict.node_uptime_s,
            source=verdict.source,
            via=reply.via,
            states=verdict.states,
            node=verdict.node,
            seen=verdict.seen,
        )
    except HostError as error:
        elapsed_s = time.monotonic() - started
        return failure(host, error.status, error.phase, error.detail, elapsed_s, error.via)
    finally:
        allowance.finish()


def rows_of_visit(visit: Visit) -> int:
    """How many rows a visit brings into all tables."""
    nodes = 0 if visit.node is None else 1 + len(visit.node.figures.disks)
    return len(visit.samples) + 1 + sum(one.due for one in visit.states) + nodes


def failure(
    host: Host,
    status: Status,
    phase: Phase | None,
    detail: str,
    elapsed_s: float,
    via: str | None = None,
) -> Visit:
    """A visit that brought nothing."""
    return Visit(host, status, phase, printable(detail), elapsed_s, via=via)


def lost(host: Host, why: Lost, elapsed_s: float) -> Visit:
    """The visit of a host whose thread did not bring one."""
    if why is Lost.SKIPPED:
        detail = "the sweep's deadline came first"
        return failure(host, Status.SKIPPED, None, detail, elapsed_s)
    if why is Lost.HALTED:
        return failure(host, Status.SKIPPED, None, "the run was interrupted", elapsed_s)
    detail = f"the visit did not end within {elapsed_s:.0f} s"
    return failure(host, Status.TIMEOUT, None, detail, elapsed_s)


def printable(text: str) -> str:
    """Foreign text, safe for a terminal, a log line and a table: at most 500 characters, and
    what is not printable (controls, escapes, direction marks, lone surrogates) spelled out.
    """
    spelled = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text[: MAX_DETAIL_CHARACTERS + 1]
    )
    if len(spelled) <= MAX_DETAIL_CHARACTERS:
        return spelled
    return spelled[: MAX_DETAIL_CHARACTERS - 1] + "…"
