"""The path, whole: hosts → sweep → rows → QuestDB."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from fleet import __version__, schema
from fleet.allowance import Allowance, share_one_heap
from fleet.errors import QuestDBError
from fleet.inventory import Host
from fleet.publish import Publisher
from fleet.questdb_http import Client
from fleet.settings import Settings
from fleet.status import Status
from fleet.sweep import Limits, Lost, rotated, sweep
from fleet.tables import Rows, Schema, Sweep, rows_of, schema_of
from fleet.transport import Reply, Request, local
from fleet.visit import Visit, failure, visit

Watch = Callable[[Visit], None]
"""Told of each visit as it completes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its sweep, the statements that changed the server's tables, and for
    each table whose rows did not arrive a sentence that says so. `bugs` are exceptions that
    should not have been: their hosts' visits say so, and nothing else was lost by them.
    """

    sweep: Sweep
    changes: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    bugs: tuple[Exception, ...] = ()


def collect(hosts: Sequence[Host], settings: Settings, watch: Watch) -> Outcome:
    """Visit the hosts and publish what they said.

    Raises `SchemaError` before any SSH when a table of the server's cannot take our rows. A
    QuestDB that cannot be reached ends nothing: it is asked again when there are rows.
    """
    tables = schema_of(settings.tables)
    changes = list(_ensured(tables, settings) or ())
    outcome = snapshot(hosts, settings, watch)
    written, unwritten = publish(rows_of(outcome.sweep, tables), tables, settings)
    return replace(outcome, changes=(*changes, *written), unwritten=unwritten)


def snapshot(hosts: Sequence[Host], settings: Settings, watch: Watch) -> Outcome:
    """Visit every host once. Visits are told to `watch` as they come, and stand in the order of
    `hosts` in the end.
    """
    share_one_heap()
    started_at, started = datetime.now(UTC), monotonic()
    run = _runner(hosts, settings)
    bugs: list[Exception] = []

    def work(host: Host, allowance: Allowance) -> Visit:
        begun = monotonic()
        try:
            return visit(host, run, allowance)
        except Exception as bug:  # noqa: BLE001 - one host's; raised by the command in the end
            bugs.append(bug)
            detail = f"a bug in fleet: {bug!r}"
            return failure(host, Status.SSH_ERROR, None, detail, monotonic() - begun)

    limits = Limits(settings.forks, settings.timeout_s, settings.deadline_s)
    turn = random.randrange(len(hosts)) if hosts else 0  # noqa: S311 - only fairness hangs on it
    visits: dict[str, Visit] = {}
    for done in sweep(rotated(hosts, turn), work, _lost, limits):
        visits[done.host.name] = done
        watch(done)
    done_in_order = tuple(visits[host.name] for host in hosts)
    elapsed_s = monotonic() - started
    return Outcome(
        Sweep(started_at, settings.name, __version__, done_in_order, elapsed_s), bugs=tuple(bugs)
    )


def publish(
    batches: Iterable[Rows], tables: Schema, settings: Settings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write rows, table by table → (statements that changed tables, what was not written)."""
    batches = [batch for batch in batches if batch.rows]
    try:
        changes = schema.ensure(Client(settings.questdb), tables)
    except QuestDBError as error:
        return (), tuple(_not_written(batch, error) for batch in batches)
    unwritten = []
    with Publisher(settings.questdb) as publisher:
        for batch in batches:
            try:
                publisher.write(batch)
            except QuestDBError as error:
                unwritten.append(_not_written(batch, error))
    return changes, tuple(unwritten)


def _ensured(tables: Schema, settings: Settings) -> tuple[str, ...] | None:
    """Tables made fit for our rows; None where QuestDB could not be asked."""
    try:
        return schema.ensure(Client(settings.questdb), tables)
    except QuestDBError:
        return None


def _not_written(batch: Rows, error: QuestDBError) -> str:
    count = len(batch.rows)
    rows = "1 row" if count == 1 else f"{count} rows"
    return f"{rows} of {batch.table.name} not written: {error}"


def _runner(
    hosts: Sequence[Host], settings: Settings
) -> Callable[[Host, Request, Allowance], Reply]:
    """What runs a request on a host. SSH is only imported where a host is reached by it."""
    if not any(host.connection == "ssh" and host.bad_config is None for host in hosts):
        return local.run
    from fleet.transport.host_keys import KnownHosts  # noqa: PLC0415 - see above
    from fleet.transport.ssh import Ssh, SshOptions  # noqa: PLC0415 - see above

    known_hosts = KnownHosts.read(settings.known_hosts)
    ssh = Ssh(hosts, SshOptions(settings.connect_timeout_s, known_hosts))

    def run(host: Host, request: Request, allowance: Allowance) -> Reply:
        return (local.run if host.connection == "local" else ssh.run)(host, request, allowance)

    return run


def _lost(host: Host, why: Lost, elapsed_s: float) -> Visit:
    """The visit of a host whose thread did not bring one."""
    if why is Lost.SKIPPED:
        detail = "the sweep's deadline came first"
        return failure(host, Status.SKIPPED, None, detail, elapsed_s)
    detail = f"the visit did not end within {elapsed_s:.0f} s"
    return failure(host, Status.TIMEOUT, None, detail, elapsed_s)
