"""`fleet report`: one page about a range of time, for the ticket. No SSH."""

import contextlib
import os
import shlex
import stat
import sys
from datetime import UTC, datetime
from typing import Any

import click

from fleet import __version__, options
from fleet.errors import UsageError
from fleet.exits import EXIT_NOT_PRINTED
from fleet.prepare import prepare, say
from fleet.streams import Outlet


@click.command("report")
@options.targeting
@click.option(
    "--since",
    metavar="TIME",
    default="24h",
    show_default=True,
    help="How far the range reaches back: 30m, 24h, 7d.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="The end of the range, ISO 8601, UTC if no zone is said. [default: now]",
)
@click.option(
    "--out",
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="Where the page is written, whole or not at all; - is standard output.",
)
@click.option("--title", metavar="TEXT", default="Fleet report", show_default=True)
@options.database
@click.pass_obj
def command(
    printed: Outlet, /, since: str, until: str | None, out: str, title: str, **flags: Any
) -> int:
    """Make one HTML page of what QuestDB holds about a range of time. No SSH.

    The page needs nothing else to be looked at: no network, no server. Without PATTERN it is about
    all hosts that have rows in the range, and no inventory is read.
    """
    from fleet.page import html
    from fleet.page.archive import Archive
    from fleet.page.ask import ask
    from fleet.page.facts import Heading
    from fleet.page.span import span_of
    from fleet.page.write import counted
    from fleet.questdb_http import Client
    from fleet.settings import settings_from
    from fleet.tables import schema_of

    plotly = _plotly()
    _check(out)
    if out == "-" and printed.refuse_if_closed():
        return EXIT_NOT_PRINTED
    now = datetime.now(UTC)
    span = span_of(since, until, now)
    wanted = None
    if flags.get("patterns") or flags.get("limit") or flags.get("failed"):
        settings, selection = prepare(flags)
        wanted = {host.name: host.maintenance for host in selection.hosts}
    else:
        settings = settings_from(flags, os.environ)
    with contextlib.closing(Client(settings.questdb)) as client:
        facts = ask(Archive(client, schema_of(settings.tables), span), wanted)
    if facts is None:
        whom = "these hosts have" if wanted is not None else "no host has"
        raise UsageError(
            f"nothing to report on: {whom} {'no rows' if wanted is not None else 'a row'} in "
            f"{settings.tables.hosts} from {span.since:%Y-%m-%d %H:%M:%SZ} to "
            f"{span.until:%Y-%m-%d %H:%M:%SZ}; --since and --until choose another range"
        )
    heading = Heading(title, _asked(flags), now, __version__)
    page = html.page(facts, heading, plotly)
    _write(out, page)
    if out != "-":
        hosts, sweeps = counted(len(facts.hosts), "host"), counted(facts.sweeps, "sweep")
        say(f"fleet: {out}: {hosts}, {sweeps}; {len(page) / 1e6:.1f} MB")
    return 0


def _asked(flags: dict[str, Any]) -> tuple[str, ...]:
    """What was asked for, in the words of the command line."""
    said = list(flags.get("patterns") or ())
    if flags.get("limit"):
        said += ["--limit", flags["limit"]]
    if flags.get("failed"):
        said.append("--failed")
    return tuple(said)


def _plotly() -> str:
    """Plotly's script, which draws the charts; it comes with an extra of the package."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError(
            "report needs plotly, which is not installed here: "
            f"{shlex.quote(sys.executable)} -m pip install plotly"
        ) from None
    return str(get_plotlyjs())


def _check(out: str) -> None:
    """Refuse, before anything is asked, a place that cannot be written."""
    if out == "-":
        return
    folder = os.path.dirname(os.path.realpath(out))
    if not os.path.basename(out) or os.path.isdir(out):
        raise UsageError(f"--out: expected the name of a file, or -, not {out!r}")
    if not os.path.isdir(folder):
        raise UsageError(f"--out: {out!r}: there is no folder {folder!r}; make it first")
    if not os.access(folder, os.W_OK, effective_ids=True) and not _is_stream(out):
        raise UsageError(f"--out: {out!r}: no right to write to {folder!r}; name another place")
    try:
        os.stat(out)
    except FileNotFoundError:
        return
    except OSError as error:  # a loop of links, which a rename would replace
        raise UsageError(f"--out: {out!r}: {error.strerror or error}") from None


def _is_stream(out: str) -> bool:
    """Whether it is there and no plain file: a pipe, a terminal, /dev/null."""
    try:
        return not stat.S_ISREG(os.stat(out).st_mode)
    except OSError:
        return False


def _write(out: str, page: bytes) -> None:
    """Write the page: a file is replaced whole, by a rename, or stays as it was."""
    if out == "-":
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
        return
    from fleet.whole_file import write_whole

    target = os.path.realpath(out)
    try:
        if _is_stream(out):
            with open(target, "wb") as file:
                file.write(page)
            return
        write_whole(target, page)
    except OSError as error:
        raise UsageError(f"--out: {out!r}: {error.strerror or error}") from None
