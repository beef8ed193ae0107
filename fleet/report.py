"""A sweep → what a person or a program reads: the summary, a table, JSON, JSON lines, CSV."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from fleet.sources import Sample
from fleet.status import Phase, Status
from fleet.table import Column, fitting, lines, wrapped
from fleet.tables import Cell, Rows, Sweep
from fleet.visit import Visit

MAX_SUMMARY_LINES = 25
UNKNOWN = "-"

_SORT_KEYS: dict[str, Callable[[Sample], float | None]] = {
    "cpu": lambda sample: sample.cpu_percent,
    "memory": lambda sample: sample.memory_bytes,
    "net": lambda sample: _sum(sample.net_in_bytes, sample.net_out_bytes),
    "block": lambda sample: _sum(sample.block_in_bytes, sample.block_out_bytes),
    "pids": lambda sample: sample.pids,
}
SORTS = ("host", "name", *_SORT_KEYS)
"""What `--sort` takes; figures sort from the largest, unknown ones last."""

Found = tuple[Visit, Sample]


def found(
    sweep: Sweep, sort: str = "host", top: int | None = None, stopped: bool = False
) -> list[Found]:
    """Every container of a sweep in the order asked for, the first `top` of them; with those that
    do not run, and have no figures, if they are asked for.
    """
    pairs = [(visit, sample) for visit in sweep.visits for sample in visit.samples]
    if stopped:
        pairs += [
            (visit, Sample(one.id, one.name, one.image, one.service, source=UNKNOWN))
            for visit in sweep.visits
            for sampled in [{sample.id for sample in visit.samples}]
            for one in visit.states
            if one.id not in sampled
        ]
    if sort in _SORT_KEYS:
        value = _SORT_KEYS[sort]
        pairs.sort(key=lambda pair: -(v if (v := value(pair[1])) is not None else -1.0))
    elif sort == "name":
        pairs.sort(key=lambda pair: (pair[1].name, pair[0].host.name))
    else:
        pairs.sort(key=lambda pair: (pair[0].host.name, pair[1].name))
    return pairs[:top]


def folded(names: Iterable[str]) -> str:
    """Host names in one string, runs of numbers folded: `web[01-12],db2`."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet  # noqa: PLC0415 - rarely needed

    plain: list[str] = []
    other: list[str] = []
    for name in names:
        simple = name.isascii() and name.replace(".", "a").replace("-", "a").isidentifier()
        (plain if simple or name.replace(".", "").isdigit() else other).append(name)
    sets = [str(NodeSet.fromlist(plain, resolver=RESOLVER_NOGROUP))] if plain else []
    return ",".join([*sets, *sorted(other)])


def summary(sweep: Sweep) -> list[str]:
    """One line for the sweep, then one for each cause of failure, 25 at most."""
    failed = sweep.failed
    containers = sum(visit.containers for visit in sweep.visits)
    dropped = sum(visit.dropped for visit in sweep.visits)
    maintenance = sum(
        visit.host.maintenance and visit.status is not Status.OK for visit in sweep.visits
    )
    first = f"fleet: {count(len(sweep.visits), 'host')}, {len(failed)} failed"
    if maintenance:
        first += f", {maintenance} down for maintenance"
    first += f"; {count(containers, 'container')}"
    if dropped:
        first += f", {dropped} dropped"
    lines = [f"{first}; {sweep.elapsed_s:.1f} s", *causes(failed)]
    if len(lines) > MAX_SUMMARY_LINES:
        left_out = len(lines) - MAX_SUMMARY_LINES + 1
        lines[MAX_SUMMARY_LINES - 1 :] = [f"… and {left_out} more causes"]
    return lines


def delivered(sent: int, drained: int, elsewhere: int) -> str:
    """Rows that QuestDB accepted, of this sweep and of earlier ones; those for other targets."""
    line = f"{count(sent, 'row')} sent"
    if drained:
        line += f", and {drained} that had waited"
    if elsewhere:
        line += f"; {elsewhere} wait for other targets"
    return line


def causes(failed: Iterable[Visit]) -> list[str]:
    """A line for each way in which hosts failed, the most frequent first, its hosts folded; one
    for each bastion on the way to them.
    """
    groups: dict[tuple[Status, Phase | None, str | None], list[Visit]] = defaultdict(list)
    for visit in failed:
        groups[visit.status, visit.phase, visit.via].append(visit)
    lines = []
    for (status, _phase, via), visits in sorted(groups.items(), key=lambda group: -len(group[1])):
        line = f"{status} {len(visits)}: {folded(visit.host.name for visit in visits)}"
        if via is not None:
            line += f" (via {via})"
        details = {visit.detail for visit in visits}
        if len(details) == 1:
            line += f": {visits[0].detail}"
        else:
            line += f": for one, {visits[0].host.name}: {visits[0].detail}"
        lines.append(line)
    return lines


def as_json(sweep: Rows, tables: Mapping[str, Rows]) -> Iterator[str]:
    """One object: `{"sweep": {…}, "hostStatus": […], "containerStats": […], …}`, piece by piece: a
    node that says a million containers shall not fill our memory with their text.
    """
    yield '{\n  "sweep": ' + _indented(next(sweep.each_dict()), 2)
    for name, rows in tables.items():
        yield f',\n  "{name}": ['
        between = "\n    "
        for row in rows.each_dict():
            yield between + _indented(row, 4)
            between = ",\n    "
        yield "\n  ]" if rows.rows else "]"
    yield "\n}\n"


def _indented(row: dict[str, Cell], places: int) -> str:
    text = json.dumps(row, default=_iso, indent=2, allow_nan=False)
    return text.replace("\n", "\n" + " " * places)


def as_jsonl(rows: Rows) -> Iterator[str]:
    """One object a line."""
    for row in rows.each_dict():
        yield json.dumps(row, default=_iso, allow_nan=False) + "\n"


def as_csv(rows: Rows) -> Iterator[str]:
    """A header and a line a row (RFC 4180 quoting, newline endings); unknown is empty.

    People open it with a spreadsheet, so what that would take for a formula has a `'` before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in rows.table.columns)
    for row in rows.rows:
        writer.writerow(_csv_cell(cell) for cell in row)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def as_table(sweep: Sweep, pairs: Sequence[Found], width: int | None = None) -> str:
    """The table people read, and below it which hosts failed and why.

    `width` is the terminal's: columns that it cannot carry are left out and named.
    """
    parts: list[list[str]] = []
    if pairs:
        states = _states(pairs)
        cells_of = (_cells(visit, sample, states) for visit, sample in pairs)
        rows = list(zip(*cells_of, strict=True))
        columns = [
            Column(heading, cells, right, spare)
            for (heading, right, spare), cells in zip(_HEADINGS, rows, strict=True)
        ]
        kept, left_out = fitting(columns, width)
        parts.append(lines(kept))
        if left_out:
            names = ", ".join(left_out)
            parts[-1].append(f"({names} left out: the terminal is {width} columns wide)")
    bad = [visit for visit in sweep.visits if visit.status is not Status.OK or visit.detail]
    if bad:
        bad.sort(key=lambda visit: visit.host.name)
        columns = [
            Column("HOST", [visit.host.name for visit in bad]),
            Column("STATUS", [_status(visit) for visit in bad]),
            Column("WHY", [visit.detail or "" for visit in bad]),
        ]
        parts.append(wrapped(columns, width))
    parts.append([summary(sweep)[0].removeprefix("fleet: ")])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def bytes_text(value: float | None, base: int) -> str:
    """A size for people: `512.0MiB` (base 1024) or `1.5GB` (base 1000)."""
    if value is None:
        return UNKNOWN
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB") if base == 1024 else _DECIMAL_UNITS
    for unit in units:
        if value < base - 0.05 or unit == units[-1]:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= base
    raise AssertionError("the last unit takes everything")


_DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_HEADINGS: tuple[tuple[str, bool, int | None], ...] = (
    ("HOST", False, None),
    ("CONTAINER", False, None),
    ("STATE", False, 8),
    ("CPU", True, None),
    ("MEMORY", True, None),
    ("LIMIT", True, 5),
    ("MEM%", True, 7),
    ("NET IN", True, 4),
    ("NET OUT", True, 4),
    ("NET IN/s", True, 9),
    ("NET OUT/s", True, 9),
    ("BLOCK IN", True, 3),
    ("BLOCK OUT", True, 3),
    ("BLOCK IN/s", True, 6),
    ("BLOCK OUT/s", True, 6),
    ("PIDS", True, 10),
    ("SOURCE", False, 1),
    ("IMAGE", False, 2),
)
"""Heading, whether it stands right, and its turn when columns have to be left out."""


States = Mapping[tuple[str, str], str]


def _states(pairs: Sequence[Found]) -> States:
    """A word for each container's state and health, by host and id."""
    visits = {visit.host.name: visit for visit, _sample in pairs}
    return {
        (name, one.id): one.state.state + (f" ({one.state.health})" if one.state.health else "")
        for name, visit in visits.items()
        for one in visit.states
    }


def _cells(visit: Visit, sample: Sample, states: States) -> tuple[str, ...]:
    return (
        visit.host.name,
        sample.name,
        states.get((visit.host.name, sample.id), UNKNOWN),
        _percent(sample.cpu_percent),
        bytes_text(sample.memory_bytes, 1024),
        bytes_text(sample.memory_limit_bytes, 1024),
        _percent(sample.memory_percent),
        bytes_text(sample.net_in_bytes, 1000),
        bytes_text(sample.net_out_bytes, 1000),
        bytes_text(sample.net_in_rate, 1000),
        bytes_text(sample.net_out_rate, 1000),
        bytes_text(sample.block_in_bytes, 1000),
        bytes_text(sample.block_out_bytes, 1000),
        bytes_text(sample.block_in_rate, 1000),
        bytes_text(sample.block_out_rate, 1000),
        UNKNOWN if sample.pids is None else str(sample.pids),
        sample.source,
        sample.image or UNKNOWN,
    )


def _status(visit: Visit) -> str:
    return f"{visit.status} (maintenance)" if visit.host.maintenance else str(visit.status)


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}%"


def count(number: int, what: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _iso(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"no JSON for {cell!r}")


_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n])")
"""Where a spreadsheet, by comma or by semicolon, begins a cell that it would compute."""


def _csv_cell(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return _iso(cell)
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        return _FORMULA.sub(r"\1'", cell)
    return cell
