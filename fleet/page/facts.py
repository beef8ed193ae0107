"""What a page tells, as values: what was asked of QuestDB, and nothing of HTML."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.page.span import Grid, Span
from fleet.views import in_bytes

OK = "ok"
MAINTENANCE = "maintenance"

STRIPS_MAX = 200
TIMES_MAX = 50
LINES_MAX = 20
DETAILED_MAX = 10
TOP_MAX = 10
EVENTS_MAX = 100
LOOK_BACK = timedelta(hours=3)
"""A container's state is told once an hour at the least: before the range, what was."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of `containerStats`: its name and its SQL, its name for people, and how it is
    written (`percent`, `bytes` or `rate`).
    """

    name: str
    title: str
    form: str

    @property
    def sql(self) -> str:
        """Sizes by their units: rows of per-node publishers are not in bytes."""
        return f"({_SQL.get(self.name, self.name)})"


_SQL = {
    "memory_use": in_bytes("memory_use"),
    "net": "net_in_rate + net_out_rate",
    "block": "block_in_rate + block_out_rate",
}


METRICS = (
    Metric("cpu", "CPU", "percent"),
    Metric("memory_use", "Memory", "bytes"),
    Metric("net_in_rate", "Network in", "rate"),
    Metric("net_out_rate", "Network out", "rate"),
    Metric("block_in_rate", "Block in", "rate"),
    Metric("block_out_rate", "Block out", "rate"),
)
TOPS = (
    Metric("cpu", "CPU", "percent"),
    Metric("memory_use", "Memory", "bytes"),
    Metric("memory_percentage", "Memory, of its limit", "percent"),
    Metric("net", "Network, in and out", "rate"),
    Metric("block", "Block, in and out", "rate"),
)


@dataclass(frozen=True, slots=True)
class Host:
    """A host's visits in the range: the status of the newest one (None: there was none), how many
    there were and how many failed, maintenance apart.
    """

    name: str
    now: str | None = None
    maintenance: bool = False
    containers: int = 0
    newest: datetime | None = None
    visits: int = 0
    failed: int = 0

    @property
    def well(self) -> bool:
        """Whether its newest visit was."""
        return self.now == OK

    @property
    def empty(self) -> bool:
        """Whether its newest visit was well and found no container."""
        return self.well and not self.containers

    @property
    def share(self) -> float:
        """Of its visits, those that failed; 0 to 1."""
        return self.failed / self.visits if self.visits else 0.0


@dataclass(frozen=True, slots=True)
class Strip:
    """A host over time: the worst status in each bucket, None where there is no data, and what
    went wrong last.
    """

    host: Host
    cells: tuple[str | None, ...]
    trouble: str | None = None
    trouble_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A container of a top table."""

    host: str
    container: str
    name: str
    mean: float
    most: float


@dataclass(frozen=True, slots=True)
class Top:
    """The containers with the highest mean of a figure, and of how many they are."""

    metric: Metric
    rows: tuple[Ranked, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of a host: how full it was at most, and at last, in percent; bytes that were
    free at last, and in all.
    """

    host: str
    mount: str
    most: float
    used: float | None
    available: float | None
    size: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a container: when that was seen, and what, in words; `grave` or not."""

    at: datetime
    host: str
    container: str
    name: str
    what: str
    grave: bool


@dataclass(frozen=True, slots=True)
class Series:
    """A line: a value for each bucket, None where there is none. `hosts` counts the hosts in a
    sum, bucket by bucket.
    """

    label: str
    values: tuple[float | None, ...]
    hosts: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Some lines of one figure, and how many more there would have been."""

    title: str
    form: str
    series: tuple[Series, ...]
    left_out: int
    of: str


@dataclass(frozen=True, slots=True)
class Group:
    """Charts under one heading; the tables of `detailed` ones, which are many, are made by the page
    itself, from what it draws, when they are opened.
    """

    title: str
    note: str
    charts: tuple[Chart, ...]
    detailed: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that stands on a page. `stateless` hosts have, or may have, containers of which no state
    is known. Where hosts were `chosen`, sweeps are those that visited any of them.
    """

    span: Span
    grid: Grid
    interval_s: float
    hosts: tuple[Host, ...]
    strips: tuple[Strip, ...]
    sweeps: int
    containers: int
    gap: Span
    tops: tuple[Top, ...]
    disks: tuple[Disk, ...]
    disk_count: int
    events: tuple[Event, ...]
    event_count: int
    groups: tuple[Group, ...]
    hosts_left_out: int
    stateless: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a page: its title, what was asked for, and by whom it was made when."""

    title: str
    patterns: tuple[str, ...]
    made_at: datetime
    version: str
