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
from fleet.commands import (
    authorize,
    check,
    completion,
    dashboards,
    hosts,
    page,
    schema,
    spool,
    trust,
    units,
)
from fleet.errors import FleetError, UsageError
from fleet.exits import (
    EXIT_INTERRUPTED,
    EXIT_NOT_PRINTED,
    EXIT_TERMINATED,
    delivery_status,
    hosts_status,
)
from fleet.prepare import prepare, say
from fleet.streams import Outlet, standard_streams

if TYPE_CHECKING:
    from fleet.rounds import Outcome
    from fleet.settings import Settings

_EPILOG = """\b
Exit status:
  0  all well
  1  a bug in fleet
  2  usage, inventory or schema
  3  some hosts failed
  4  rows are kept in the spool, for the next run to send; or data was not
     printed (a full disk)
  5  every host failed, and of none was even a part read
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
            say(f"fleet: {printed.complaint}")
            status = max(status, EXIT_NOT_PRINTED)
    return status


def _status_of(arguments: Sequence[str] | None, printed: Outlet) -> int:
    if instruction := os.environ.get("_FLEET_COMPLETE"):  # a shell asks what could stand here
        from fleet.completion import answer

        return answer(_fleet, instruction)
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
        say(f"fleet: {error}")
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
    settings, selection = prepare(flags)
    targets, labels = selection.hosts, selection.labels
    with progress(len(targets), settings.quiet) as watch:
        outcome = collect.collect(targets, settings, watch, labels)
    return _finish(outcome, settings)


@_fleet.command("snapshot")
@options.targeting
@options.form("table", "json", "jsonl", "csv", "ilp")
@click.option("--hosts", "of_hosts", is_flag=True, help="Hosts instead of containers (jsonl, csv).")
@click.option(
    "--sort",
    type=click.Choice(["host", "name", "cpu", "memory", "net", "block", "pids"]),
    default="host",
    show_default=True,
    help="Figures sort from the largest.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N containers.")
@click.option(
    "-a", "--all", "stopped", is_flag=True, help="Also containers that do not run (table)."
)
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
    stopped: bool,
    publish: bool,
    **flags: Any,
) -> int:
    """Visit hosts and print their figures; publish nothing unless told to."""
    if of_hosts and form not in ("jsonl", "csv"):
        raise click.UsageError("--hosts goes with --format jsonl or csv")
    if stopped and form != "table":
        raise click.UsageError("--all goes with --format table; json has every state anyway")
    from fleet.interruption import survive_hangup
    from fleet.rounds import snapshot
    from fleet.show import View, progress, show
    from fleet.tables import schema_of

    if publish:
        survive_hangup()
    settings, selection = prepare(flags, questdb=publish)
    targets, labels = selection.hosts, selection.labels
    with progress(len(targets), settings.quiet) as watch:
        if publish:
            from fleet import collect

            outcome = collect.collect(targets, settings, watch, labels, shown=True)
        else:
            outcome = snapshot(targets, settings, watch)
    view = View(form, of_hosts, sort, top, stopped)
    show(outcome.sweep, schema_of(settings.tables, labels), view)
    return _finish(outcome, settings, shown=form == "table" and printed.complaint is None)


for _command in (
    check,
    hosts,
    trust,
    authorize,
    page,
    schema,
    spool,
    units,
    dashboards,
    completion,
):
    _fleet.add_command(_command.command)


def _finish(outcome: "Outcome", settings: "Settings", shown: bool = False) -> int:
    """Say what needs eyes, unless a table has `shown` it → the exit status."""
    from fleet import report

    sweep, told = outcome.sweep, outcome.report
    for statement in (*outcome.changes, *(told.changes if told else ())):
        # Of a new table the name is enough; `fleet schema` prints its columns.
        say(f"fleet: changed the schema: {statement.partition(' (')[0]}")
    status = _exit_status(outcome, settings)
    if not settings.quiet and not shown and (status or settings.verbose):
        for line in report.summary(sweep):
            say(line)
    for line in told.lines if told else ():
        say(f"fleet: {line}")
    if told and settings.verbose:
        say(f"fleet: {report.delivered(told.sent, told.drained, told.elsewhere)}")
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
    status = 0 if outcome.report is None else delivery_status(outcome.report)
    if not settings.max_failed.allows(failed, len(counted)):
        status = max(status, hosts_status(failed, len(dead), len(counted)))
    return status
