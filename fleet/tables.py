"""The columns of every table, and how a sweep becomes rows.

A new column is one line here: its name, its QuestDB type, and where its value comes from.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from fleet.node_facts import Node
from fleet.sources import Sample
from fleet.sources.node import Disk
from fleet.states import ContainerState
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
        return tuple([column.value(source) for column in self.columns])


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
    """What the server calls our tables."""

    containers: str = "containerStats"
    hosts: str = "hostStatus"
    sweeps: str = "fleetSweep"
    states: str = "containerState"
    nodes: str = "nodeStats"
    disks: str = "diskStats"


@dataclass(frozen=True, slots=True)
class Schema:
    """Our tables under the names of one server."""

    containers: Table[tuple[Sweep, Visit, Sample]]
    hosts: Table[tuple[Sweep, Visit]]
    sweeps: Table[Sweep]
    states: Table[tuple[Sweep, Visit, ContainerState]]
    nodes: Table[tuple[Sweep, Visit, Node]]
    disks: Table[tuple[Sweep, Visit, Disk]]

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """All of them, `containerStats` first."""
        return (self.containers, self.hosts, self.sweeps, self.states, self.nodes, self.disks)


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
    yield sample("source", "SYMBOL", "source")
    yield sample("cpu_seconds", "DOUBLE", "cpu_seconds")
    yield sample("window_seconds", "DOUBLE", "window_s")
    yield sample("net_in_rate", "DOUBLE", "net_in_rate")
    yield sample("net_out_rate", "DOUBLE", "net_out_rate")
    yield sample("block_in_rate", "DOUBLE", "block_in_rate")
    yield sample("block_out_rate", "DOUBLE", "block_out_rate")
    yield sample("net_packets_in", "LONG", "net_packets_in")
    yield sample("net_packets_out", "LONG", "net_packets_out")
    yield sample("net_errors", "LONG", "net_errors")
    yield sample("net_drops", "LONG", "net_drops")
    yield sample("throttled_seconds", "DOUBLE", "throttled_seconds")
    yield sample("oom_kills", "LONG", "oom_kills")
    yield sample("memory_peak", "DOUBLE", "memory_peak_bytes")


def _host_columns() -> Iterable[Column[tuple[Sweep, Visit]]]:
    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield Column("status", "SYMBOL", lambda source: source[1].status.value)
    yield Column("phase", "SYMBOL", lambda source: source[1].phase and source[1].phase.value)
    yield Column("detail", "VARCHAR", lambda source: source[1].detail)
    yield Column("via", "SYMBOL", lambda source: source[1].via)
    yield Column("maintenance", "BOOLEAN", lambda source: source[1].host.maintenance)
    yield Column("containers", "LONG", lambda source: source[1].containers)
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
    yield Column("containers", "LONG", lambda sweep: sum(v.containers for v in sweep.visits))
    yield Column("dropped", "LONG", lambda sweep: sum(v.dropped for v in sweep.visits))
    yield Column("spooled", "LONG", lambda sweep: sweep.spooled)
    yield Column("elapsed", "DOUBLE", lambda sweep: sweep.elapsed_s)
    yield Column("timestamp", "TIMESTAMP", lambda sweep: sweep.started_at)


def _state_columns() -> Iterable[Column[tuple[Sweep, Visit, ContainerState]]]:
    def state(name: str, kind: str, field: str) -> Column[tuple[Sweep, Visit, ContainerState]]:
        return Column(name, kind, lambda source: getattr(source[2].state, field))

    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield Column("container", "SYMBOL", lambda source: source[2].id[:12])
    yield Column("name", "SYMBOL", lambda source: source[2].name)
    yield state("id", "VARCHAR", "id")
    yield state("state", "SYMBOL", "state")
    yield state("health", "SYMBOL", "health")
    yield state("exit_code", "LONG", "exit_code")
    yield state("oom_killed", "BOOLEAN", "oom_killed")
    yield state("restarts", "LONG", "restarts")
    yield Column("image", "SYMBOL", lambda source: source[2].image)
    yield state("image_id", "SYMBOL", "image_id")
    yield state("created", "TIMESTAMP", "created_at")
    yield state("started", "TIMESTAMP", "started_at")
    yield state("finished", "TIMESTAMP", "finished_at")
    yield state("project", "SYMBOL", "project")
    yield Column("service", "SYMBOL", lambda source: source[2].service)
    yield Column("sampled", "TIMESTAMP", lambda source: source[1].sampled_at)
    yield Column("timestamp", "TIMESTAMP", lambda source: source[0].started_at)


def _node_columns() -> Iterable[Column[tuple[Sweep, Visit, Node]]]:
    def figure(name: str, kind: str, field: str) -> Column[tuple[Sweep, Visit, Node]]:
        return Column(name, kind, lambda source: getattr(source[2].figures, field))

    def load(name: str, place: int) -> Column[tuple[Sweep, Visit, Node]]:
        return Column(name, "DOUBLE", lambda source: (source[2].figures.load or _NO_LOAD)[place])

    def pressure(of: str, who: str) -> Column[tuple[Sweep, Visit, Node]]:
        name = f"{of}_pressure" if who == "some" else f"{of}_pressure_full"
        return Column(
            name, "DOUBLE", lambda source: (source[2].figures.pressure or {}).get((of, who))
        )

    def size(name: str, field: str) -> Column[tuple[Sweep, Visit, Node]]:
        return Column(name, "DOUBLE", lambda source: _float(getattr(source[2].figures, field)))

    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield Column("cpus", "LONG", lambda source: source[2].cpus)
    yield size("memory_total", "memory_bytes")
    yield size("memory_available", "memory_available_bytes")
    yield load("load1", 0)
    yield load("load5", 1)
    yield load("load15", 2)
    yield pressure("cpu", "some")
    yield pressure("memory", "some")
    yield pressure("memory", "full")
    yield pressure("io", "some")
    yield pressure("io", "full")
    yield Column("uptime", "DOUBLE", lambda source: source[2].uptime_s)
    yield figure("boot", "TIMESTAMP", "boot_at")
    yield figure("kernel", "SYMBOL", "kernel")
    yield Column("docker_version", "SYMBOL", lambda source: source[2].docker_version)
    yield Column("clock_skew", "DOUBLE", lambda source: source[2].skew and source[2].skew.seconds)
    yield Column(
        "clock_skew_doubt", "DOUBLE", lambda source: source[2].skew and source[2].skew.doubt_s
    )
    yield Column("sampled", "TIMESTAMP", lambda source: source[1].sampled_at)
    yield Column("timestamp", "TIMESTAMP", lambda source: source[0].started_at)


_NO_LOAD = (None, None, None)


def _disk_columns() -> Iterable[Column[tuple[Sweep, Visit, Disk]]]:
    def disk(name: str, kind: str, field: str) -> Column[tuple[Sweep, Visit, Disk]]:
        return Column(name, kind, lambda source: getattr(source[2], field))

    def size(name: str, field: str) -> Column[tuple[Sweep, Visit, Disk]]:
        return Column(name, "DOUBLE", lambda source: _float(getattr(source[2], field)))

    yield Column("host", "SYMBOL", lambda source: source[1].host.name)
    yield disk("mount", "SYMBOL", "mount")
    yield disk("device", "SYMBOL", "device")
    yield disk("file_system", "SYMBOL", "file_system")
    yield size("size", "size_bytes")
    yield size("available", "available_bytes")
    yield disk("used_percentage", "DOUBLE", "used_percent")
    yield disk("inodes", "LONG", "inodes")
    yield disk("inodes_free", "LONG", "inodes_free")
    yield size("read_bytes", "read_bytes")
    yield size("written_bytes", "written_bytes")
    yield Column("sampled", "TIMESTAMP", lambda source: source[1].sampled_at)
    yield Column("timestamp", "TIMESTAMP", lambda source: source[0].started_at)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


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
    states = (*_state_columns(), *_labels(labels, of_visit))
    nodes = (*_node_columns(), *_labels(labels, of_visit))
    disks = (*_disk_columns(), *_labels(labels, of_visit))
    return Schema(
        Table(names.containers, containers, ("timestamp", "host", "container")),
        Table(names.hosts, hosts, ("timestamp", "host")),
        Table(names.sweeps, sweeps, ("timestamp", "name")),
        Table(names.states, states, ("timestamp", "host", "container")),
        Table(names.nodes, nodes, ("timestamp", "host")),
        Table(names.disks, disks, ("timestamp", "host", "mount")),
    )


_OF_QUESTIONS = ("time", "samples", "sweeps", "mean", "most", "peak", "part", "next_time", "of_all")
_OF_VIEWS = ("_sum", "_count", "_max")


def reserved_names() -> frozenset[str]:
    """The names of our own columns, in lower case, those of views and of questions that dashboards
    ask among them: no label may have one.
    """
    columns = {
        column.name.lower() for table in schema_of(TableNames()).tables for column in table.columns
    }
    of_views = {column + end for column in columns for end in _OF_VIEWS}
    return frozenset({*columns, *of_views, *_OF_QUESTIONS})


def rows_of(sweep: Sweep, schema: Schema) -> list[Rows]:
    """A sweep → rows of `containerStats`, and those of `rows_beside`; of containers' states only
    those that are due.
    """
    samples = ((visit, visit.samples) for visit in sweep.visits)
    return [_rows(schema.containers, sweep, samples), *rows_beside(sweep, schema)]


def rows_beside(sweep: Sweep, schema: Schema, every_state: bool = False) -> list[Rows]:
    """A sweep → rows of `hostStatus`, `containerState`, `nodeStats`, `diskStats`.

    Of containers' states only those that are due, or `every_state`.
    """
    visits = sweep.visits
    states = ((v, [one for one in v.states if one.due or every_state]) for v in visits)
    nodes = ((v, [v.node] if v.node is not None else []) for v in visits)
    disks = ((v, v.node.figures.disks if v.node is not None else ()) for v in visits)
    return [
        host_rows(sweep, schema),
        _rows(schema.states, sweep, states),
        _rows(schema.nodes, sweep, nodes),
        _rows(schema.disks, sweep, disks),
    ]


def host_rows(sweep: Sweep, schema: Schema) -> Rows:
    """A sweep → rows of `hostStatus`."""
    return Rows(schema.hosts, tuple(schema.hosts.row((sweep, visit)) for visit in sweep.visits))


def sweep_row(sweep: Sweep, schema: Schema) -> Rows:
    """A sweep → its row of `fleetSweep`."""
    return Rows(schema.sweeps, (schema.sweeps.row(sweep),))


def _rows(
    table: Table[tuple[Sweep, Visit, Any]],
    sweep: Sweep,
    each: Iterable[tuple[Visit, Iterable[Any]]],
) -> Rows:
    values = [column.value for column in table.columns]
    sources = ((sweep, visit, one) for visit, several in each for one in several)
    return Rows(table, tuple(tuple([value(source) for value in values]) for source in sources))
