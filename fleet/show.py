"""What a run shows while it goes on, and what a snapshot shows in the end."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import click

from fleet import report
from fleet.sources import Sample
from fleet.tables import Rows, Schema, Sweep, host_rows, rows_beside, sweep_row
from fleet.visit import Visit

PIECE_BYTES = 64 * 1024


@contextlib.contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[Visit], None]]:
    """A bar on a terminal while hosts are outstanding; nothing anywhere else."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _visit: None
        return
    from rich import progress as bars  # noqa: PLC0415 - only a terminal needs it
    from rich.console import Console  # noqa: PLC0415 - as above

    columns = (
        bars.TextColumn("visiting"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[bad]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("visiting", total=total, bad="")
        failed = 0

        def watch(visit: Visit) -> None:
            nonlocal failed
            failed += visit.status not in ("ok", "partial")
            bar.update(task, advance=1, bad=f"{failed} failed" if failed else "")

        yield watch


@dataclass(frozen=True, slots=True)
class View:
    """How a snapshot is shown."""

    form: str
    of_hosts: bool
    sort: str
    top: int | None
    stopped: bool = False


def show(sweep: Sweep, schema: Schema, view: View) -> None:
    """A snapshot to standard output."""
    pairs = report.found(sweep, view.sort, view.top, view.stopped)
    if view.form == "table":
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        sys.stdout.write(report.as_table(sweep, pairs, width))
        sys.stdout.flush()
        return
    if view.form in ("jsonl", "csv"):
        rows = host_rows(sweep, schema) if view.of_hosts else _containers(sweep, schema, pairs)
        _print(report.as_jsonl(rows) if view.form == "jsonl" else report.as_csv(rows))
        return
    containers, sweeps = _containers(sweep, schema, pairs), sweep_row(sweep, schema)
    hosts, states, nodes, disks = rows_beside(sweep, schema, every_state=True)
    if view.form == "json":
        tables = {
            "hostStatus": hosts,
            "containerStats": containers,
            "containerState": states,
            "nodeStats": nodes,
            "diskStats": disks,
        }
        _print(report.as_json(sweeps, tables))
        return
    from fleet.ilp import ilp_text  # noqa: PLC0415 - loads QuestDB's client

    every = (containers, hosts, states, nodes, disks, sweeps)
    _print(ilp_text(rows) for rows in every)


def _containers(sweep: Sweep, schema: Schema, pairs: Iterable[tuple[Visit, Sample]]) -> Rows:
    table = schema.containers
    return Rows(table, tuple(table.row((sweep, *pair)) for pair in pairs))


def _print(pieces: Iterable[str]) -> None:
    """To standard output as UTF-8, for programs, whatever the terminal has; never all at once."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece.encode()
        if len(waiting) >= PIECE_BYTES:
            click.echo(bytes(waiting), nl=False)
            waiting.clear()
    click.echo(bytes(waiting), nl=False)
