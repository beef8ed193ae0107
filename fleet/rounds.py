"""One round over the hosts: hosts → sweep → visits, in the inventory's order. Knows no QuestDB."""

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from fleet import __version__
from fleet.allowance import Allowance, share_one_heap
from fleet.engines import Engines
from fleet.inventory import Host
from fleet.reading import Before
from fleet.seen import Memory
from fleet.settings import Settings
from fleet.state import Failed
from fleet.status import Status
from fleet.sweep import Halt, Limits, fair, rotated, sweep
from fleet.tables import Sweep
from fleet.transport import Reply, Request, local
from fleet.visit import Visit, failure, lost, visit

if TYPE_CHECKING:
    from fleet.delivery import Report

GARBAGE = 10_000
"""So many objects more than before, and Python looks for those that only hold each other."""

Watch = Callable[[Visit], None]
"""Told of each visit as it completes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its sweep, what became of its rows (None where none were published),
    the statements that changed the server's tables before the sweep, and the exit status of a
    signal that ended it. `waiting` are the hosts that it did not come to, in turn. `bugs` are
    exceptions that should not have been: their hosts' visits say so, and nothing else was lost by
    them.
    """

    sweep: Sweep
    report: "Report | None" = None
    changes: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    bugs: tuple[Exception, ...] = ()
    interrupted: int | None = None


def snapshot(hosts: Sequence[Host], settings: Settings, watch: Watch) -> Outcome:
    """Visit every host once. Visits are told to `watch` as they come, and stand in the order of
    `hosts` in the end.
    """

    def told(visit: Visit) -> Visit:
        watch(visit)
        return replace(visit, seen=None)  # no sweep comes after this one

    return swept(hosts, settings, told, Memory(), datetime.now(UTC))


def swept(
    hosts: Sequence[Host],
    settings: Settings,
    told: Callable[[Visit], Visit],
    memory: Memory,
    started_at: datetime,
    halt: Halt | None = None,
    last: Failed | None = None,
) -> Outcome:
    """One sweep. What `told` returns of each visit is kept. `memory` is what earlier sweeps saw,
    `last` how the one before ended, by which turns are given. After a `halt` the hosts that were
    still out are `skipped`.
    """
    share_one_heap()
    started = monotonic()
    bugs: list[Exception] = []
    engines = Engines()

    def work(host: Host, allowance: Allowance) -> Visit:
        begun = monotonic()
        try:
            before = Before(memory.of(host.name), started_at.timestamp())
            return visit(host, run, allowance, before)
        except Exception as bug:  # noqa: BLE001 - one host's; raised by the command in the end
            bugs.append(bug)
            detail = f"a bug in fleet: {bug!r}"
            return failure(host, Status.SSH_ERROR, None, detail, monotonic() - begun)

    limits = Limits(settings.forks, settings.timeout_s, settings.deadline_s)
    turn = random.randrange(len(hosts)) if hosts else 0  # noqa: S311 - only fairness hangs on it
    in_turn = rotated(hosts, turn)
    if last is not None:
        late = {*last.hosts, *(host.name for host in hosts if host.maintenance)}
        in_turn = fair(hosts, last.waiting, late, turn)
    visits: dict[str, Visit] = {}
    with _runner(hosts, settings) as run, _rarely_collected():
        for done in sweep(in_turn, work, lost, limits, halt):
            visits[done.host.name] = told(engines.told(done))
    done_in_order = tuple(visits[host.name] for host in hosts)
    elapsed_s = monotonic() - started
    return Outcome(
        Sweep(started_at, settings.name, __version__, done_in_order, elapsed_s),
        waiting=_waiting([visits[host.name] for host in in_turn], settings.deadline_s),
        bugs=tuple(bugs),
    )


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """What is loaded stays, and visits leave few rings of objects behind: to look for these as
    often as Python does by itself costs some hundredths of a sweep's CPU.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _waiting(visits: Sequence[Visit], deadline_s: float) -> tuple[str, ...]:
    """Who is to be first in the next sweep: those that the deadline cut short, then those that this
    one did not come to. Who had half of it is as good as failed, or hosts that hang would keep all
    others out.
    """
    skipped = [visit for visit in visits if visit.status is Status.SKIPPED]
    never = [visit.host.name for visit in skipped if visit.elapsed_s == 0]
    cut = [visit.host.name for visit in skipped if 0 < visit.elapsed_s < deadline_s / 2]
    return (*cut, *never)


@contextmanager
def _runner(
    hosts: Sequence[Host], settings: Settings
) -> Iterator[Callable[[Host, Request, Allowance], Reply]]:
    """What runs a request on a host. SSH is only imported where a host is reached by it."""
    if not any(host.connection == "ssh" and host.bad_config is None for host in hosts):
        yield local.run
        return
    from fleet.transport.open import open_ssh  # noqa: PLC0415 - see above

    with open_ssh(hosts, settings) as ssh:

        def run(host: Host, request: Request, allowance: Allowance) -> Reply:
            return (local.run if host.connection == "local" else ssh.run)(host, request, allowance)

        yield run
