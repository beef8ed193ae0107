"""`fleet spool`: what waits on disk."""

import os
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.errors import UsageError
from fleet.exits import EXIT_LOST, EXIT_NOT_PRINTED, delivery_status
from fleet.prepare import say

if TYPE_CHECKING:
    from fleet.backlog import Backlog


@click.command("spool")
@click.option("--flush", is_flag=True, help="Send what waits for the QuestDB named.")
@click.option(
    "--export",
    metavar="FILE",
    help="Write all that waits as ILP (- is standard output); nothing is removed.",
)
@click.option("--retry-refused", is_flag=True, help="Make refused rows wait again, and --flush.")
@click.option("--drop-refused", is_flag=True, help="Forget refused rows.")
@options.form("table", "json")
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
def command(
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
        say(f"fleet: changed the schema: {statement.partition(' (')[0]}")
    for line in told.lines:
        say(f"fleet: {line}")
    return delivery_status(told)


def _exported(backlog: "Backlog", file: str) -> int:
    output = None
    try:
        output = click.open_file(file, "wb")
        with output:
            count, left_out = backlog.export(output)
    except OSError as error:
        if output is None or not file:
            raise UsageError(f"--export: {file!r}: {error.strerror or error}") from None
        say(f"fleet: --export: {file}: {error.strerror or error}")
        return EXIT_NOT_PRINTED
    for line in left_out:
        say(f"fleet: {line}")
    say(f"fleet: rows exported: {count}")
    return EXIT_LOST if left_out else 0
