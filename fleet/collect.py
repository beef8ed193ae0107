"""The path, whole: hosts → sweep → visits → spool → QuestDB."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

from fleet import schema
from fleet.delivery import Delivery, target_of
from fleet.errors import QuestDBError
from fleet.interruption import interruption
from fleet.inventory import Host
from fleet.questdb_http import Client
from fleet.rounds import Outcome, Watch, swept
from fleet.seen import Memory
from fleet.settings import Settings
from fleet.state import Failed, Job, State
from fleet.tables import Schema, schema_of
from fleet.visit import Visit

ASKED_FIRST_MS = 3_000
"""A QuestDB that hangs does not hold up the visits any longer than this."""


def collect(
    hosts: Sequence[Host],
    settings: Settings,
    watch: Watch,
    labels: Sequence[str] = (),
    *,
    shown: bool = False,
) -> Outcome:
    """Visit the hosts, and publish what they said by way of the spool. Unless it is to be `shown`,
    the sweep in the outcome is without figures: they are not held once they are on their way.

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
            return kept if shown else _let_go(kept)

        with interruption() as noted:
            delivery.start()
            outcome = swept(
                hosts, settings, told, memory, started_at, noted.halt, _last(state, settings)
            )
            _record_failed(state, settings, outcome)
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


def _let_go(visit: Visit) -> Visit:
    """A visit whose rows are on their way: how it ended, and how many containers it had."""
    return replace(visit, samples=(), states=(), node=None, let_go=len(visit.samples))


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


def _last(state: State, settings: Settings) -> Failed | None:
    """How the last sweep of this `--name` ended; None where that cannot be known."""
    if settings.state_dir:
        with suppress(OSError, ValueError):
            return state.failed(settings.name)
    return None


def _record_failed(state: State, settings: Settings, outcome: Outcome) -> None:
    """Which hosts failed, for `--failed` and for the order of the next sweep; no run fails for want
    of a place to put that.
    """
    if settings.state_dir:
        with suppress(OSError):
            names = [visit.host.name for visit in outcome.sweep.failed]
            at = outcome.sweep.started_at
            state.record_failed(settings.name, at, names, outcome.waiting)


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
