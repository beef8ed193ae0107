"""The command line: commands, options, exit codes. It prints; what happens is elsewhere."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fleet import __version__
from fleet.errors import FleetError, UsageError
from fleet.streams import Outlet, standard_streams

if TYPE_CHECKING:
    from fleet.collect import Outcome
    from fleet.inventory import Host
    from fleet.settings import Settings

EXIT_SOME_FAILED = 3
EXIT_NOT_WRITTEN = 4
EXIT_ALL_FAILED = 5
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_Command = TypeVar("_Command", bound=Callable[..., Any])

_EPILOG = """\b
Exit status:
  0  all well
  1  a bug in fleet
  2  usage, inventory or schema
  3  some hosts failed
  4  not written: rows to QuestDB, or data to standard output (a full disk)
  5  every host failed
  130, 143  interrupted
Of 3, 4 and 5 the highest that applies.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line → the exit status."""
    with standard_streams() as printed:
        status = _status_of(arguments, printed)
        sys.stdout.flush()
        if printed.complaint:
            _say(f"fleet: {printed.complaint}")
            status = max(status, EXIT_NOT_WRITTEN)
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


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Several options as one decorator, shown in the order given."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _one_inventory(
    _context: click.Context, _option: click.Parameter, files: tuple[str, ...]
) -> str | None:
    """The file given with -i; several would be merged, and that is not built."""
    if len(files) > 1:
        raise UsageError("-i is given twice: one inventory only in this version")
    return files[0] if files else None


_targeting = _options(
    click.argument("patterns", nargs=-1, metavar="[PATTERN]..."),
    click.option(
        "-i",
        "--inventory",
        metavar="FILE",
        multiple=True,
        callback=_one_inventory,
        help="Ansible's YAML inventory. [default: $FLEET_INVENTORY, else inventory.yaml]",
    ),
    click.option("-l", "--limit", metavar="PATTERN", help="Only hosts that match this as well."),
)
_visiting = _options(
    click.option(
        "-f",
        "--forks",
        type=int,
        help="Hosts visited at the same time. [default: 100]",
    ),
    click.option(
        "--connect-timeout",
        type=float,
        metavar="SECONDS",
        help="For resolving, connecting, the key exchange and the login, each. [default: 10]",
    ),
    click.option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="For one host's whole visit. [default: 30]",
    ),
    click.option(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help="For the whole sweep. [default: 240]",
    ),
    click.option(
        "--max-failed",
        metavar="N|N%",
        help="How many failed hosts still count as well. [default: 0]",
    ),
    click.option(
        "--name",
        help="Of this job: its rows in fleetSweep. [default: fleet]",
    ),
    click.option(
        "--private-key",
        metavar="FILE",
        help="For hosts whose inventory names none. [default: $FLEET_SSH_KEY_FILE]",
    ),
    click.option(
        "--known-hosts",
        metavar="FILE",
        help="Instead of ~/.ssh/known_hosts and the system's.",
    ),
)
_database = _options(
    click.option(
        "--questdb",
        metavar="CONF",
        help="The client's configuration string, without secrets. "
        "[default: $QDB_CLIENT_CONF, else http::addr=localhost:9000;]",
    ),
    click.option(
        "--questdb-file",
        metavar="FILE",
        help="A file that holds the configuration string, secrets and all.",
    ),
    click.option("--table", metavar="NAME", help="[default: containerStats]"),
    click.option("--status-table", metavar="NAME", help="[default: hostStatus]"),
    click.option("--sweep-table", metavar="NAME", help="[default: fleetSweep]"),
)
_talking = _options(
    click.option("-v", "--verbose", is_flag=True, help="A summary also when all is well."),
    click.option("-q", "--quiet", is_flag=True, help="No summary and no progress."),
)


@_fleet.command("collect")
@_targeting
@_visiting
@_database
@_talking
def _collect(**flags: Any) -> int:
    """Visit hosts and publish their figures: cron's command.

    Prints nothing when all went well.
    """
    from fleet import collect
    from fleet.show import progress

    settings, hosts = _prepare(flags)
    with progress(len(hosts), settings.quiet) as watch:
        outcome = collect.collect(hosts, settings, watch)
    return _finish(outcome, settings)


@_fleet.command("snapshot")
@_targeting
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
@_visiting
@_database
@_talking
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
    from fleet.show import View, progress, show
    from fleet.tables import schema_of

    settings, hosts = _prepare(flags, questdb=publish)
    with progress(len(hosts), settings.quiet) as watch:
        run = collect.collect if publish else collect.snapshot
        outcome = run(hosts, settings, watch)
    show(outcome.sweep, schema_of(settings.tables), View(form, of_hosts, sort, top))
    return _finish(outcome, settings, shown=form == "table" and printed.complaint is None)


@_fleet.command("hosts")
@_targeting
def _hosts(**flags: Any) -> None:
    """Print the hosts that the patterns mean, one a line, in Ansible's order. No network."""
    _settings, hosts = _prepare(flags, questdb=False)
    for host in hosts:
        click.echo(host.name)


@_fleet.command("schema")
@click.option("--apply", "apply_", is_flag=True, help="Run the statements that are missing.")
@_database
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

    sweep = outcome.sweep
    for statement in outcome.changes:
        # Of a new table the name is enough; `fleet schema` prints its columns.
        _say(f"fleet: changed the schema: {statement.partition(' (')[0]}")
    status = _exit_status(outcome, settings)
    if not settings.quiet and not shown and (status or settings.verbose):
        for line in report.summary(sweep):
            _say(line)
    for line in outcome.unwritten:
        _say(f"fleet: {line}")
    if outcome.bugs:
        raise RuntimeError("a bug in fleet, please report it") from outcome.bugs[0]
    return status


def _exit_status(outcome: "Outcome", settings: "Settings") -> int:
    """The highest of the statuses that apply."""
    from fleet.status import Status

    counted = [visit for visit in outcome.sweep.visits if not visit.host.maintenance]
    dead = [visit for visit in counted if visit.status not in (Status.OK, Status.PARTIAL)]
    failed = len(outcome.sweep.failed)
    status = EXIT_NOT_WRITTEN if outcome.unwritten else 0
    if not settings.max_failed.allows(failed, len(counted)):
        status = max(status, EXIT_ALL_FAILED if len(dead) == len(counted) else EXIT_SOME_FAILED)
    return status


def _say(line: str) -> None:
    """To standard error, where everything goes that is no data."""
    click.echo(line, err=True)
