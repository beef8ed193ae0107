"""The columns of every table, and how a sweep becomes rows.

A new column is one line here: its name, its QuestDB type, and where its value comes from.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from fleet.sources import Sample
from fleet.status import Status
from fleet.visit import Visit

Cell = str | int | float | bool | datetime | None
Row = tuple[Cell, ...]
Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Column(Generic[Source]):
    """A column: its name, its QuestDB type, and its value of what a row is made from."""

    name: str
    type: str
    value: Callable[[Source], Cell]


@dataclass(frozen=True, slots=True)
class Table(Generic[Source]):
    """A table: the server's name for it, its columns in order, its dedup keys.

    The designated timestamp is always `timestamp`: the start of the sweep.
    """

    name: str
    columns: tuple[Column[Source], ...]
    keys: tuple[str, ...]

    def row(self, source: Source) -> Row:
        """One row, cell by cell in the order of `columns`."""
        return tuple(column.value(source) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, as they are published and printed."""

    table: Table[Any]
    rows: tuple[Row, ...]

    def each_dict(self) -> Iterator[dict[str, Cell]]:
        """Each row as a mapping from column name to value, in the order of the columns."""
        names = [column.name for column in self.table.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)

    def as_dicts(self) -> list[dict[str, Cell]]:
        """All rows as such mappings."""
        return list(self.each_dict())


@dataclass(frozen=True, slots=True)
class Sweep:
    """One round over the targeted hosts: when it started (UTC, whole microseconds), who ran it,
    every host's visit, how long it took, and how many rows of earlier sweeps waited in the spool
    when it was over (None: that was not counted).
    """

    started_at: datetime
    name: str
    version: str
    visits: tuple[Visit, ...]
    elapsed_s: float
    spooled: int | None = 0

    @property
    def failed(self) -> tuple[Visit, ...]:
        """The visits that need eyes: not `ok`, and their host not in maintenance."""
        return tuple(
            visit
            for visit in self.visits
            if visit.status is not Status.OK and not visit.host.maintenance
        )


@dataclass(frozen=True, slots=True)
class TableNames:
    """What the server calls our three tables."""

    containers: str = "containerStats"
    hosts: str = "hostStatus"
    sweeps: str = "fleetSweep"


@dataclass(frozen=True, slots=True)
class Schema:
    """The three tables under the names of one server."""

    containers: Table[tuple[Sweep, Visit, Sample]]
    hosts: Table[tuple[Sweep, Visit]]
    sweeps: Table[Sweep]

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """All of them, `containerStats` first."""
        return (self.containers, self.hosts, self.sweeps)


def _labels(
    labels: Sequence[str], values: Callable[[Any], tuple[str | None, ...]]
) -> Iterable[Column[Any]]:
    """A column for each of the inventory's labels, by its place."""

    def column(name: str, place: int) -> Column[Any]:
        def value(source: Any) -> str | None:
            found = values(source)
            return found[place] if place < len(found) else None

        return Column(name, "SYMBOL", value)

    for place, name in enumerate(labels):
        yield column(name, place)


def _common(sweep: Sweep) -> tuple[str | None, ...]:
    """The labels that all hosts of a sweep share; null where they differ."""
    values = zip(*(visit.host.labels for visit in sweep.visits), strict=False)
    return tuple(of_all[0] if len(set(of_all)) == 1 else None for of_all in values)


def _container_columns() -> Iterable[Column[tuple[Sweep, Visit, Sample]]]:
    """The 20 columns of existing dashboards in their order, then ours."""

    def sample(name: str, kind: str, field: str) -> Column[tuple[Sweep, Visit, Sample]]:
        return Column(name, kind, lambda source: getattr(source[2], field))

    def size(name: str, field: str) -> Iterable[Column[tuple[Sweep, Visit, Sample]]]:
        yield sample(name, "DOUBLE", field)
        yield Column(f"{name}_unit", "VARCHAR", lambda _source: "bytes")

    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield Column("container", "SYMBOL", lambda source: source[2].id[:12])
    yield sample("name", "SYMBOL", "name")
    yield sample("id", "VARCHAR", "id")
    yield sample("cpu", "DOUBLE", "cpu_percent")
    yield sample("memory_percentage", "DOUBLE", "memory_percent")
    yield sample("pids", "LONG", "pids")
    yield from size("memory_use", "memory_bytes")
    yield from size("total_memory", "memory_limit_bytes")
    yield Column("timestamp", "TIMESTAMP", lambda source: source[0].started_at)
    yield from size("block_io_in", "block_in_bytes")
    yield from size("block_io_out", "block_out_bytes")
    yield from size("net_io_in", "net_in_bytes")
    yield from size("net_io_out", "net_out_bytes")
    yield sample("service", "SYMBOL", "service")
    yield sample("image", "SYMBOL", "image")
    yield Column("sampled", "TIMESTAMP", lambda source: source[1].sampled_at)


def _host_columns() -> Iterable[Column[tuple[Sweep, Visit]]]:
    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield Column("status", "SYMBOL", lambda source: source[1].status.value)
    yield Column("phase", "SYMBOL", lambda source: source[1].phase and source[1].phase.value)
    yield Column("detail", "VARCHAR", lambda source: source[1].detail)
    yield Column("via", "SYMBOL", lambda source: source[1].via)
    yield Column("maintenance", "BOOLEAN", lambda source: source[1].host.maintenance)
    yield Column("containers", "LONG", lambda source: len(source[1].samples))
    yield Column("dropped", "LONG", lambda source: source[1].dropped)
    yield Column("elapsed", "DOUBLE", lambda source: source[1].elapsed_s)
    yield Column("node_uptime", "DOUBLE", lambda source: source[1].node_uptime_s)
    yield Column("source", "SYMBOL", lambda source: source[1].source)
    yield Column("sampled", "TIMESTAMP", lambda source: source[1].sampled_at)
    yield Column("timestamp", "TIMESTAMP", lambda source: source[0].started_at)


def _sweep_columns() -> Iterable[Column[Sweep]]:
    yield Column("name", "SYMBOL", lambda sweep: sweep.name)
    yield Column("version", "SYMBOL", lambda sweep: sweep.version)
    yield Column("hosts", "LONG", lambda sweep: len(sweep.visits))
    yield Column("failed", "LONG", lambda sweep: len(sweep.failed))
    yield Column("containers", "LONG", lambda sweep: sum(len(v.samples) for v in sweep.visits))
    yield Column("dropped", "LONG", lambda sweep: sum(v.dropped for v in sweep.visits))
    yield Column("spooled", "LONG", lambda sweep: sweep.spooled)
    yield Column("elapsed", "DOUBLE", lambda sweep: sweep.elapsed_s)
    yield Column("timestamp", "TIMESTAMP", lambda sweep: sweep.started_at)


def schema_of(names: TableNames, labels: Sequence[str] = ()) -> Schema:
    """Our tables under the server's names for them, with a column for each label of the inventory.

    A sweep has the labels that all its hosts share.
    """

    def of_visit(source: tuple[Any, ...]) -> tuple[str | None, ...]:
        found: tuple[str | None, ...] = source[1].host.labels
        return found

    containers = (*_container_columns(), *_labels(labels, of_visit))
    hosts = (*_host_columns(), *_labels(labels, of_visit))
    sweeps = (*_sweep_columns(), *_labels(labels, _common))
    return Schema(
        Table(names.containers, containers, ("timestamp", "host", "container")),
        Table(names.hosts, hosts, ("timestamp", "host")),
        Table(names.sweeps, sweeps, ("timestamp", "name")),
    )


def reserved_names() -> frozenset[str]:
    """The names of our own columns, in lower case: no label may have one."""
    return frozenset(
        column.name.lower() for table in schema_of(TableNames()).tables for column in table.columns
    )


def rows_of(sweep: Sweep, schema: Schema) -> tuple[Rows, Rows, Rows]:
    """A sweep → rows of `containerStats`, `hostStatus` and `fleetSweep`."""
    return (
        Rows(
            schema.containers,
            tuple(
                schema.containers.row((sweep, visit, sample))
                for visit in sweep.visits
                for sample in visit.samples
            ),
        ),
        Rows(schema.hosts, tuple(schema.hosts.row((sweep, visit)) for visit in sweep.visits)),
        Rows(schema.sweeps, (schema.sweeps.row(sweep),)),
    )
