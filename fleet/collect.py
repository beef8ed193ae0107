"""The path, whole: hosts → sweep → visits → spool → QuestDB."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from fleet import __version__, schema
from fleet.allowance import Allowance, share_one_heap
from fleet.delivery import Delivery, Report, target_of
from fleet.engines import Engines
from fleet.errors import QuestDBError
from fleet.interruption import interruption
from fleet.inventory import Host
from fleet.questdb_http import Client
from fleet.reading import Before
from fleet.seen import Memory
from fleet.settings import Settings
from fleet.state import Job, State
from fleet.status import Status
from fleet.sweep import Halt, Limits, rotated, sweep
from fleet.tables import Schema, Sweep, schema_of
from fleet.transport import Reply, Request, local
from fleet.visit import Visit, failure, lost, visit

ASKED_FIRST_MS = 3_000
"""A QuestDB that hangs does not hold up the visits any longer than this."""

Watch = Callable[[Visit], None]
"""Told of each visit as it completes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its sweep, what became of its rows (None where none were published),
    the statements that changed the server's tables before the sweep, and the exit status of a
    signal that ended it. `bugs` are exceptions that should not have been: their hosts' visits say
    so, and nothing else was lost by them.
    """

    sweep: Sweep
    report: Report | None = None
    changes: tuple[str, ...] = ()
    bugs: tuple[Exception, ...] = ()
    interrupted: int | None = None


def collect(
    hosts: Sequence[Host],
    settings: Settings,
    watch: Watch,
    labels: Sequence[str] = (),
    *,
    shown: bool = False,
) -> Outcome:
    """Visit the hosts, and publish what they said by way of the spool. Unless it is to be `shown`,
    the sweep in the outcome is without states and nodes.

    Raises `Locked` when a run of the same name is under way, and `SchemaError` before any SSH
    when a table of the server's cannot take our rows. A QuestDB that cannot be reached ends
    nothing: it is asked again when there are rows.
    """
    tables, state = schema_of(settings.tables, labels), State(settings.state_dir)
    with ExitStack() as held:
        trouble = _entered(held, state, settings)
        changes = _ensured(tables, settings)
        started_at = _new_sweep(state, settings, trouble)
        memory_file = None if trouble else state.memory_file(_job(settings))
        memory = Memory.read(memory_file) if memory_file else Memory()
        delivery = Delivery(settings, tables, state, started_at, trouble)

        def told(visit: Visit) -> Visit:
            delivery.add(visit)
            watch(visit)
            if visit.seen is not None:
                memory.note(visit.host.name, visit.seen)
            kept = replace(visit, seen=None)
            return kept if shown else replace(kept, states=(), node=None)

        with interruption() as noted:
            delivery.start()
            outcome = _swept(hosts, settings, told, memory, started_at, noted.halt)
            _record_failed(state, settings, outcome.sweep)
            report = delivery.finish(outcome.sweep, noted)
            if memory_file:  # after the rows: what is remembered as told is on its way
                with suppress(OSError):
                    memory.write(memory_file, started_at.timestamp())
        return replace(
            outcome,
            report=report,
            changes=changes,
            bugs=(*outcome.bugs, *report.bugs),
            interrupted=noted.status,
        )


def snapshot(hosts: Sequence[Host], settings: Settings, watch: Watch) -> Outcome:
    """Visit every host once. Visits are told to `watch` as they come, and stand in the order of
    `hosts` in the end.
    """

    def told(visit: Visit) -> Visit:
        watch(visit)
        return visit

    return _swept(hosts, settings, told, Memory(), datetime.now(UTC))


def _swept(
    hosts: Sequence[Host],
    settings: Settings,
    told: Callable[[Visit], Visit],
    memory: Memory,
    started_at: datetime,
    halt: Halt | None = None,
) -> Outcome:
    """One sweep. What `told` returns of each visit is kept. `memory` is what earlier sweeps saw.
    After a `halt` the hosts that were still out are `skipped`.
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
    visits: dict[str, Visit] = {}
    with _runner(hosts, settings) as run:
        for done in sweep(rotated(hosts, turn), work, lost, limits, halt):
            visits[done.host.name] = told(engines.told(done))
    done_in_order = tuple(visits[host.name] for host in hosts)
    elapsed_s = monotonic() - started
    return Outcome(
        Sweep(started_at, settings.name, __version__, done_in_order, elapsed_s), bugs=tuple(bugs)
    )


def _entered(held: ExitStack, state: State, settings: Settings) -> str | None:
    """Take the job's lock → why there is no state directory to take it in."""
    if not settings.state_dir:
        return "no state directory (--state-dir, FLEET_STATE_DIR or a home names one)"
    try:
        held.enter_context(state.run_lock(_job(settings), settings.wait_lock_s))
    except OSError as error:
        reason = error.strerror or str(error)
        return f"the state directory {settings.state_dir} cannot be used: {reason}"
    return None


def _job(settings: Settings) -> Job:
    return Job(settings.name, target_of(settings).mark)


def _new_sweep(state: State, settings: Settings, trouble: str | None) -> datetime:
    """The sweep's time; one that no earlier sweep of this job has had, where that can be known."""
    if trouble is None:
        with suppress(OSError):  # a full disk: the spool will say so
            return state.new_sweep(_job(settings), lambda: datetime.now(UTC))
    return datetime.now(UTC)


def _record_failed(state: State, settings: Settings, sweep: Sweep) -> None:
    """Which hosts failed, for `--failed`; no run fails for want of a place to put that."""
    if settings.state_dir:
        with suppress(OSError):
            names = [visit.host.name for visit in sweep.failed]
            state.record_failed(settings.name, sweep.started_at, names)


def _ensured(tables: Schema, settings: Settings) -> tuple[str, ...]:
    """The statements that made the server's tables fit for our rows; none where QuestDB could not
    be asked.
    """
    asked = min(settings.questdb.request_timeout_ms, ASKED_FIRST_MS)
    client = Client(replace(settings.questdb, request_timeout_ms=asked))
    try:
        return schema.ensure(client, tables)
    except QuestDBError:
        return ()
    finally:
        client.close()


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
