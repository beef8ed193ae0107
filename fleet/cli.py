"""The command line: commands, options, exit codes. It prints; what happens is elsewhere."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from fleet import __version__, options
from fleet.errors import FleetError, UsageError
from fleet.streams import Outlet, standard_streams

if TYPE_CHECKING:
    from fleet.backlog import Backlog
    from fleet.collect import Outcome
    from fleet.delivery import Report
    from fleet.inventory import Host
    from fleet.settings import Settings

EXIT_SOME_FAILED = 3
EXIT_KEPT = 4
EXIT_NOT_PRINTED = 4
EXIT_ALL_FAILED = 5
EXIT_LOST = 7
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_EPILOG = """\b
Exit status:
  0  all well
  1  a bug in fleet
  2  usage, inventory or schema
  3  some hosts failed
  4  rows are kept in the spool, for the next run to send; or data was not
     printed (a full disk)
  5  every host failed
  6  another run of the same --name is under way
  7  rows were refused or dropped
  130, 143  interrupted
Of 3, 4, 5 and 7 the highest that applies.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line → the exit status."""
    with standard_streams() as printed:
        status = _status_of(arguments, printed)
        sys.stdout.flush()
        if printed.complaint:
            _say(f"fleet: {printed.complaint}")
            status = max(status, EXIT_NOT_PRINTED)
    return status


def _status_of(arguments: Sequence[str] | None, printed: Outlet) -> int:
    try:
        with _ended_by_sigterm():
            result = _fleet.main(arguments, "fleet", standalone_mode=False, obj=printed)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except FleetError as error:
        _say(f"fleet: {error}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except _Terminated:
        return EXIT_TERMINATED


class _Terminated(BaseException):
    """SIGTERM came: whatever is open is closed on the way out."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, so that it leaves the terminal as it was."""
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@click.group(
    name="fleet",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="fleet", message="%(prog)s %(version)s")
def _fleet() -> None:
    """Docker figures of a whole fleet, over SSH, into QuestDB. Nothing is installed on a node."""


@_fleet.command("collect")
@options.targeting
@options.visiting
@options.database
@options.delivering
@options.talking
def _collect(**flags: Any) -> int:
    """Visit hosts and publish their figures: cron's command.

    Prints nothing when all went well. What QuestDB has not accepted is kept on disk, and sent
    by the next run.
    """
    from fleet import collect
    from fleet.interruption import survive_hangup
    from fleet.show import progress

    survive_hangup()
    settings, hosts = _prepare(flags)
    with progress(len(hosts), settings.quiet) as watch:
        outcome = collect.collect(hosts, settings, watch)
    return _finish(outcome, settings)


@_fleet.command("snapshot")
@options.targeting
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "csv", "ilp"]),
    default="table",
    show_default=True,
)
@click.option("--hosts", "of_hosts", is_flag=True, help="Hosts instead of containers (jsonl, csv).")
@click.option(
    "--sort",
    type=click.Choice(["host", "name", "cpu", "memory", "net", "block", "pids"]),
    default="host",
    show_default=True,
    help="Figures sort from the largest.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N containers.")
@click.option("--publish", is_flag=True, help="Publish the figures as well, as collect does.")
@options.visiting
@options.database
@options.delivering
@options.talking
@click.pass_obj
def _snapshot(
    printed: Outlet,
    /,
    form: str,
    of_hosts: bool,
    sort: str,
    top: int | None,
    publish: bool,
    **flags: Any,
) -> int:
    """Visit hosts and print their figures; publish nothing unless told to."""
    if of_hosts and form not in ("jsonl", "csv"):
        raise click.UsageError("--hosts goes with --format jsonl or csv")
    from fleet import collect
    from fleet.interruption import survive_hangup
    from fleet.show import View, progress, show
    from fleet.tables import schema_of

    if publish:
        survive_hangup()
    settings, hosts = _prepare(flags, questdb=publish)
    with progress(len(hosts), settings.quiet) as watch:
        run = collect.collect if publish else collect.snapshot
        outcome = run(hosts, settings, watch)
    show(outcome.sweep, schema_of(settings.tables), View(form, of_hosts, sort, top))
    return _finish(outcome, settings, shown=form == "table" and printed.complaint is None)


@_fleet.command("hosts")
@options.targeting
def _hosts(**flags: Any) -> None:
    """Print the hosts that the patterns mean, one a line, in Ansible's order. No network."""
    _settings, hosts = _prepare(flags, questdb=False)
    for host in hosts:
        click.echo(host.name)


@_fleet.command("schema")
@click.option("--apply", "apply_", is_flag=True, help="Run the statements that are missing.")
@options.database
def _schema(apply_: bool, **flags: Any) -> None:
    """Compare the server's tables with ours, and print the statements that are missing.

    collect runs them itself; this is for those who want to see or to run them before. A table
    that conflicts with ours is an error that names the way out.
    """
    from fleet import schema
    from fleet.errors import SchemaError
    from fleet.questdb_http import Client
    from fleet.settings import settings_from
    from fleet.tables import schema_of

    settings = settings_from(flags, os.environ)
    client, tables = Client(settings.questdb), schema_of(settings.tables)
    if apply_:
        for statement in schema.ensure(client, tables):
            click.echo(f"{statement};")
        return
    plan = schema.inspect(client, tables)
    for statement in plan.statements:
        click.echo(f"{statement};")
    if plan.conflicts:
        raise SchemaError("\n       ".join(plan.conflicts))


@_fleet.command("spool")
@click.option("--flush", is_flag=True, help="Send what waits for the QuestDB named.")
@click.option(
    "--export",
    metavar="FILE",
    help="Write all that waits as ILP (- is standard output); nothing is removed.",
)
@click.option("--retry-refused", is_flag=True, help="Make refused rows wait again, and --flush.")
@click.option("--drop-refused", is_flag=True, help="Forget refused rows.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
)
@options.state_dir
@options.database
@click.option(
    "--publish-timeout",
    type=float,
    metavar="SECONDS",
    help="For trying to reach QuestDB. [default: its retry_timeout, 10]",
)
@click.option(
    "--drain-seconds",
    type=float,
    default=3600.0,
    metavar="SECONDS",
    help="For --flush. [default: 3600]",
)
def _spool(
    flush: bool,
    export: str | None,
    retry_refused: bool,
    drop_refused: bool,
    form: str,
    **flags: Any,
) -> int:
    """Show what waits on disk, since when, for which QuestDB, and what was refused and why.

    Safe beside a running collect, which sends its own rows itself.
    """
    acts = sum((flush, export is not None, retry_refused, drop_refused))
    if acts > 1:
        raise click.UsageError("give one of --flush, --export, --retry-refused and --drop-refused")
    if acts and form != "table":
        raise click.UsageError("--format goes with looking only")
    from fleet.backlog import Backlog
    from fleet.settings import settings_from

    settings = settings_from(flags, os.environ, questdb=flush or retry_refused)
    backlog = Backlog(settings)
    try:
        if export is not None:
            return _exported(backlog, export)
        if drop_refused:
            click.echo(f"refused rows dropped: {backlog.drop_refused()}")
            return 0
        if flush or retry_refused:
            return _flushed(backlog, retry_refused)
        click.echo(backlog.as_json() if form == "json" else backlog.as_table(), nl=False)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"--state-dir: {settings.state_dir} cannot be used: {reason}") from None
    return 0


def _flushed(backlog: "Backlog", retry_refused: bool) -> int:
    retried = backlog.retry_refused() if retry_refused else None
    if retried is not None:
        click.echo(f"refused rows that wait again: {retried.waiting}")
        if retried.refused:
            click.echo(f"refused rows that stay, for they have no ILP: {retried.refused}")
    told = backlog.flush()
    click.echo(f"rows sent: {told.drained}")
    for statement in told.changes:
        _say(f"fleet: changed the schema: {statement.partition(' (')[0]}")
    for line in told.lines:
        _say(f"fleet: {line}")
    return _delivery_status(told)


def _exported(backlog: "Backlog", file: str) -> int:
    output = None
    try:
        output = click.open_file(file, "wb")
        with output:
            count, left_out = backlog.export(output)
    except OSError as error:
        if output is None or not file:
            raise UsageError(f"--export: {file!r}: {error.strerror or error}") from None
        _say(f"fleet: --export: {file}: {error.strerror or error}")
        return EXIT_NOT_PRINTED
    for line in left_out:
        _say(f"fleet: {line}")
    _say(f"fleet: rows exported: {count}")
    return EXIT_LOST if left_out else 0


@_fleet.command("units")
@click.option(
    "--interval",
    default="5min",
    show_default=True,
    metavar="TIME",
    help="From one run to the next, as 30s, 5min, 2h or 1d.",
)
@click.option("-i", "--inventory", metavar="FILE", help="[default: /etc/fleet/inventory.yaml]")
@click.option("--name", help="Of the job. [default: fleet]")
@click.option("--private-key", metavar="FILE", help="[default: /etc/fleet/id_ed25519]")
@click.option("--known-hosts", metavar="FILE", help="[default: /etc/fleet/known_hosts]")
@click.option("--questdb-file", metavar="FILE", help="[default: /etc/fleet/questdb.conf]")
def _units(interval: str, name: str | None, **files: str | None) -> None:
    """Print a systemd service, its timer and a crontab line that run collect every so often."""
    from pathlib import Path

    from fleet.units import PROGRAM, Interval, Units

    beside = Path(sys.executable).with_name("fleet")
    given: dict[str, Any] = {
        option: os.path.abspath(os.path.expanduser(file))
        for option, file in files.items()
        if file is not None
    }
    if name is not None:
        given["name"] = name
    program = str(beside) if beside.exists() else PROGRAM
    units = Units(interval=Interval.parse(interval), program=program, **given)
    for warning in units.hidden:
        _say(f"fleet: {warning}")
    click.echo(units.printed(), nl=False)


def _prepare(flags: dict[str, Any], questdb: bool = True) -> "tuple[Settings, tuple[Host, ...]]":
    """The settings of a command, and the hosts that its patterns mean."""
    from fleet.inventory import load
    from fleet.pattern import select
    from fleet.settings import settings_from

    settings = settings_from(flags, os.environ, questdb=questdb)
    inventory = load(settings.inventory, private_key=settings.private_key)
    selection = select(settings.patterns, settings.limit, inventory)
    for warning in selection.warnings:
        _say(f"fleet: {warning}")
    return settings, selection.hosts


def _finish(outcome: "Outcome", settings: "Settings", shown: bool = False) -> int:
    """Say what needs eyes, unless a table has `shown` it → the exit status."""
    from fleet import report

    sweep, told = outcome.sweep, outcome.report
    for statement in (*outcome.changes, *(told.changes if told else ())):
        # Of a new table the name is enough; `fleet schema` prints its columns.
        _say(f"fleet: changed the schema: {statement.partition(' (')[0]}")
    status = _exit_status(outcome, settings)
    if not settings.quiet and not shown and (status or settings.verbose):
        for line in report.summary(sweep):
            _say(line)
    for line in told.lines if told else ():
        _say(f"fleet: {line}")
    if told and settings.verbose:
        _say(f"fleet: {report.delivered(told.sent, told.drained, told.elsewhere)}")
    if outcome.bugs:
        raise RuntimeError("a bug in fleet, please report it") from outcome.bugs[0]
    return status


def _exit_status(outcome: "Outcome", settings: "Settings") -> int:
    """The highest of the statuses that apply; a signal's, if one ended the run."""
    from fleet.status import Status

    if outcome.interrupted is not None:
        return outcome.interrupted
    counted = [visit for visit in outcome.sweep.visits if not visit.host.maintenance]
    dead = [visit for visit in counted if visit.status not in (Status.OK, Status.PARTIAL)]
    failed = len(outcome.sweep.failed)
    status = 0 if outcome.report is None else _delivery_status(outcome.report)
    if not settings.max_failed.allows(failed, len(counted)):
        status = max(status, EXIT_ALL_FAILED if len(dead) == len(counted) else EXIT_SOME_FAILED)
    return status


def _delivery_status(told: "Report") -> int:
    if told.refused or told.lost:
        return EXIT_LOST
    return EXIT_KEPT if told.kept or told.waiting or told.suspended else 0


def _say(line: str) -> None:
    """To standard error, where everything goes that is no data."""
    click.echo(line, err=True)
