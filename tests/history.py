"""Thirty days of a small fleet, made up: every row of every table, and what happened in them.

Nothing is random. Figures are small fractions that a double holds exactly, so that sums and means
can be compared without doubt. `EVENTS` is the story; `rows` tells it, table by table, as
dictionaries by column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from fleet.ilp import ilp_text
from fleet.questdb_http import Client
from fleet.tables import Rows, Schema, TableNames

Cells = dict[str, Any]

INTERVAL = timedelta(minutes=15)
DAYS = 30
END = datetime(2026, 11, 1, 12, 5, tzinfo=UTC)
"""When somebody looks: five minutes after the last sweep."""
LAST = END - timedelta(minutes=5)
START = LAST - timedelta(days=DAYS)
LABELS = ("env", "role")
HOURLY = timedelta(hours=1)


def day(number: int, hour: int = 0, minute: int = 0) -> datetime:
    """A time within the history: `day(0)` is its first midnight after START."""
    midnight = datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=1)
    return midnight + timedelta(days=number, hours=hour, minutes=minute)


@dataclass(frozen=True)
class Box:
    """A host: its labels, and how many CPUs it has."""

    name: str
    env: str | None
    role: str | None
    cpus: int = 4


@dataclass(frozen=True)
class Life:
    """One container from its start to its end (None: it runs still), and its names by time."""

    host: str
    id: str
    names: tuple[tuple[datetime, str], ...]
    service: str | None
    started: datetime = START - timedelta(days=3)
    ended: datetime | None = None
    restarts: tuple[datetime, ...] = ()
    limit: float = 4.0e9
    has_network: bool = True
    exited: datetime | None = None
    """From when on it is there, and does not run."""

    def name_at(self, moment: datetime) -> str:
        """What it was called then."""
        return [name for since, name in self.names if since <= moment][-1]

    @property
    def container(self) -> str:
        """The short id."""
        return self.id[:12]


BOXES = (
    Box("web1", "prod", "web"),
    Box("web2", "prod", "web"),
    Box("db1", "prod", "db", cpus=8),
    Box("stage1", "stage", "web"),
    Box("o'hara", "it's", "web"),
    Box("lone1", None, None),
)

# What happens.
WEB2_DIED = day(20, 12)
STAGE1_IN_MAINTENANCE = day(25)
DB1_BOOTED = day(10, 5)
API_REDEPLOYED = day(12, 9)
CRON_RENAMED = day(15, 7)
SPIKE = day(28, 6)
CPU_UNKNOWN = (day(5), day(6))
CRON_DIED = (day(22, 3), day(22, 6))
LATE = (day(18, 10), day(18, 12))
SECOND_SWEEP = LAST - timedelta(hours=2) + timedelta(minutes=3)
LAST_REDEPLOY = LAST - timedelta(hours=3)
GONE = LAST - timedelta(minutes=30)
FLAPS = tuple(LAST - timedelta(minutes=15 * n) for n in (3, 2, 1, 0))
DEAD_JOB = LAST - timedelta(days=2)
PUBLISHED_BY_NODES = (day(1), day(2))
"""Then db1's own publisher filled the table: sizes as Docker prints them, and no visits."""
KEY_CHANGED = LAST - timedelta(minutes=15)

LIVES = (
    Life("web1", "a1" * 32, ((START, "api"), (API_REDEPLOYED, "api_old")), "api"),
    Life("web1", "a2" * 32, ((START, "api"),), "api", API_REDEPLOYED, LAST_REDEPLOY),
    Life("web1", "a3" * 32, ((START, "api"),), "api", LAST_REDEPLOY),
    Life("web1", "b1" * 32, ((START, "cron"), (CRON_RENAMED, "cron2")), None),
    Life("web1", "b2" * 32, ((START, "gone"),), "batch", ended=GONE),
    Life("web2", "c1" * 32, ((START, "api"),), "api"),
    Life("web2", "c2" * 32, ((START, "cache"),), "cache", has_network=False),
    Life("db1", "d1" * 32, ((START, "pg"),), "pg", restarts=(DB1_BOOTED,), limit=8.0e9),
    Life("db1", "d2" * 32, ((START, "flap"),), None, restarts=FLAPS),
    Life("stage1", "e1" * 32, ((START, "api"),), "api"),
    Life("o'hara", "f1" * 32, ((START, "it's"),), "it's"),
    Life("lone1", "aa" * 32, ((START, "full"),), None, limit=1.0e9),
    # Ordinary work shortly before the end, of which nobody should be told.
    Life("db1", "d3" * 32, ((START, "pool-1"),), "pool", ended=LAST - 3 * INTERVAL),
    Life("db1", "d4" * 32, ((START, "pool-2"),), "pool"),
    Life("db1", "d5" * 32, ((START, "migrate"),), None, LAST - 5 * INTERVAL, LAST - 3 * INTERVAL),
    Life("stage1", "e2" * 32, ((START, "done"),), None, exited=day(2), ended=LAST - 2 * INTERVAL),
    Life("stage1", "e3" * 32, ((START, "blue"),), "shop", ended=LAST - 2 * INTERVAL),
    Life("stage1", "e4" * 32, ((START, "green"),), "shop", LAST - 3 * INTERVAL),
    Life("stage1", "e5" * 32, ((START, "burst"),), "burst", limit=1.0e9, ended=LAST),
)


@dataclass
class History:
    """All rows by table, and those of them that reach QuestDB hours after the others."""

    rows: dict[str, list[Cells]] = field(default_factory=dict)

    def add(self, table: str, **cells: Any) -> None:
        """One more row."""
        self.rows.setdefault(table, []).append(cells)

    def late(self, table: str) -> list[Cells]:
        """What is delivered late: an outage of QuestDB, of which a spool tells afterwards."""
        return [row for row in self.rows[table] if LATE[0] <= row["timestamp"] < LATE[1]]

    def in_time(self, table: str) -> list[Cells]:
        """All others."""
        return [row for row in self.rows[table] if not LATE[0] <= row["timestamp"] < LATE[1]]


def sweeps() -> Iterator[tuple[int, datetime, str]]:
    """Each sweep: a number, its start, its job. One sweep comes three minutes after another."""
    number, at = 0, START
    while at <= LAST:
        if not CRON_DIED[0] <= at < CRON_DIED[1]:
            yield number, at, "fleet"
            number += 1
        if at < SECOND_SWEEP < at + INTERVAL:
            yield number, SECOND_SWEEP, "by-hand"
            number += 1
        at += INTERVAL


@cache
def history() -> History:
    """The whole of it."""
    made = History()
    told: dict[str, tuple[Any, datetime]] = {}
    before: dict[str, tuple[datetime, Cells]] = {}
    for number, at, job in sweeps():
        failed, count = 0, 0
        for place, box in enumerate(BOXES):
            status, maintenance = _status(box, at)
            answered = status in ("ok", "partial")
            alive = [life for life in LIVES if life.host == box.name and _runs(life, at)]
            labels = {"env": box.env, "role": box.role}
            common = {"timestamp": at, "host": box.name, **labels}
            own = box.name == "db1" and PUBLISHED_BY_NODES[0] <= at < PUBLISHED_BY_NODES[1]
            if not own:
                made.add(
                    "hosts",
                    **common,
                    status=status,
                    phase=None if answered else "connect",
                    detail=None if status == "ok" else f"what {status} means",
                    maintenance=maintenance,
                    containers=len(alive) if answered else 0,
                    dropped=0,
                    elapsed=1.5 + place,
                )
            failed += status != "ok" and not maintenance
            if not answered:
                continue
            count += len(alive)
            made.add("nodes", **common, **_node(box, number, at))
            for mount in ("/", "/data"):
                made.add("disks", **common, mount=mount, **_disk(box, mount, number, at))
            for life in alive:
                row = {**common, **_sample(life, number, at)}
                _add_rates(row, life, at, before)
                if own:
                    row.update(printed=_printed(row))
                made.add("containers", **row)
            _tell_states(made, common, at, told)
        if job == "fleet" or at == SECOND_SWEEP:
            made.add(
                "sweeps",
                timestamp=at,
                name=job,
                version="0.1.0",
                hosts=len(BOXES),
                failed=failed,
                containers=count,
                dropped=0,
                spooled=_spooled(at),
                elapsed=20.0 + number % 7,
                env=None,
                role=None,
            )
        if job == "fleet" and at <= DEAD_JOB:
            made.add(
                "sweeps",
                timestamp=at,
                name="dead",
                version="0.1.0",
                hosts=1,
                failed=0,
                containers=1,
                dropped=0,
                spooled=0,
                elapsed=2.0,
                env=None,
                role=None,
            )
    return made


def _runs(life: Life, at: datetime) -> bool:
    """Whether it runs, and so has figures."""
    ends = [end for end in (life.exited, life.ended) if end is not None]
    return life.started <= at and all(at < end for end in ends)


def _status(box: Box, at: datetime) -> tuple[str, bool]:
    if box.name == "web2" and at >= WEB2_DIED:
        return "unreachable", False
    if box.name == "stage1" and at >= STAGE1_IN_MAINTENANCE:
        return "partial", True
    if box.name == "o'hara" and at >= KEY_CHANGED:
        return "host_key_changed", False
    if box.name == "lone1" and at == LAST:
        return "timeout", False
    return "ok", False


def _spooled(at: datetime) -> int:
    steps = {LAST: 30, LAST - INTERVAL: 10}
    return steps.get(at, 0)


def _seed(life: Life) -> int:
    return LIVES.index(life) + 1


def _sample(life: Life, number: int, at: datetime) -> Cells:
    seed = _seed(life)
    cpu: float | None = ((number * 7 + seed * 13) % 64) / 4 + seed
    if life.names[0][1] == "api" and at == SPIKE:
        cpu = 390.0
    if life.names[0][1] == "cron" and CPU_UNKNOWN[0] <= at < CPU_UNKNOWN[1]:
        cpu = None
    share = 0.94 if life.names[0][1] in ("full", "burst") else ((number * 3 + seed) % 32) / 64
    use = life.limit * share
    return {
        "container": life.container,
        "name": life.name_at(at),
        "id": life.id,
        "service": life.service,
        "image": f"image-{seed}:1",
        "cpu": cpu,
        "memory_percentage": 100 * share,
        "memory_use": use,
        "total_memory": life.limit,
        "memory_use_unit": "bytes",
        "total_memory_unit": "bytes",
        "pids": 1 + (number + seed) % 5,
        "source": "docker+kernel",
    }


def _printed(row: Cells) -> Cells:
    """The sizes of a row as a per-node publisher stores them."""
    return {
        "memory_use": row["memory_use"] / 2**20,
        "memory_use_unit": "MiB",
        "total_memory": row["total_memory"] / 2**30,
        "total_memory_unit": "GiB",
    }


def _counters(life: Life, at: datetime) -> Cells:
    """What the counters stand at: they begin anew at each start."""
    begins = [life.started, *(moment for moment in life.restarts if moment <= at)]
    seconds = (at - begins[-1]).total_seconds()
    seed = _seed(life)
    net = life.has_network
    return {
        "net_io_in": 128.0 * seed * seconds if net else None,
        "net_io_out": 64.0 * seed * seconds if net else None,
        "block_io_in": 8.0 * seed * seconds,
        "block_io_out": 16.0 * seed * seconds,
    }


def _add_rates(row: Cells, life: Life, at: datetime, before: dict[str, Any]) -> None:
    """As `fleet` does: over the time since the sweep before, null when a counter went back."""
    now = _counters(life, at)
    row.update(now)
    earlier = before.get(life.id)
    before[life.id] = (at, now)
    for counter, rate in RATES.items():
        row[rate] = None
        if earlier is None or now[counter] is None:
            continue
        window = (at - earlier[0]).total_seconds()
        row["window_seconds"] = window
        if now[counter] >= earlier[1][counter]:
            row[rate] = (now[counter] - earlier[1][counter]) / window


RATES = {
    "net_io_in": "net_in_rate",
    "net_io_out": "net_out_rate",
    "block_io_in": "block_in_rate",
    "block_io_out": "block_out_rate",
}


def _node(box: Box, number: int, at: datetime) -> Cells:
    booted = DB1_BOOTED if box.name == "db1" and at >= DB1_BOOTED else START - timedelta(days=40)
    return {
        "cpus": box.cpus,
        "memory_total": 1.6e10,
        "memory_available": 1.6e10 * ((number % 16) + 16) / 64,
        "load1": (number % 8) / 4,
        "load5": (number % 4) / 4,
        "load15": 0.5,
        "cpu_pressure": number % 20 / 4,
        "memory_pressure": None,
        "io_pressure": number % 10 / 2,
        "uptime": (at - booted).total_seconds(),
        "clock_skew": 0.25,
    }


def _disk(box: Box, mount: str, number: int, at: datetime) -> Cells:
    booted = DB1_BOOTED if box.name == "db1" and at >= DB1_BOOTED else START - timedelta(days=40)
    seconds = (at - booted).total_seconds()
    wide = 1 if mount == "/" else 2
    return {
        "device": f"/dev/sd{wide}",
        "file_system": "ext4",
        "size": 1.0e11 * wide,
        "available": 5.0e10,
        "used_percentage": 40.0 * wide + (number % 16) / 4,
        "inodes": 1000,
        "inodes_free": 400,
        "read_bytes": 512.0 * wide * seconds,
        "written_bytes": 1024.0 * wide * seconds,
    }


def _tell_states(
    made: History, common: Cells, at: datetime, told: dict[str, tuple[Any, datetime]]
) -> None:
    """A row for each container of a host where something is news, and once an hour."""
    for life in LIVES:
        if life.host != common["host"] or at < life.started:
            continue
        state = _state(life, at)
        key, last = told.get(life.id, (None, START))
        is_gone = state["state"] == "vanished"
        if key == state and (is_gone or at - last < HOURLY):
            continue
        told[life.id] = (state, at)
        made.add("states", **common, **state)


def _state(life: Life, at: datetime) -> Cells:
    gone = life.ended is not None and at >= life.ended
    state = "running" if _runs(life, at) else "exited"
    starts = [life.started, *(moment for moment in life.restarts if moment <= at)]
    return {
        "container": life.container,
        "name": life.name_at(at),
        "id": life.id,
        "service": life.service,
        "image": f"image-{_seed(life)}:1",
        "state": "vanished" if gone else state,
        "health": None,
        "exit_code": 0 if state == "exited" and not gone else None,
        "oom_killed": False,
        "restarts": None if gone else len(starts) - 1,
        "started": None if gone else starts[-1],
    }


TABLES = ("containers", "hosts", "sweeps", "states", "nodes", "disks")


def deliver(client: Client, schema: Schema, rows: dict[str, list[Cells]]) -> None:
    """Send rows as `fleet` sends them, a request for each few thousand of one table."""
    for name, table in zip(TABLES, schema.tables, strict=True):
        columns = [column.name for column in table.columns]
        stored = ({**row, **row.get("printed", {})} for row in rows.get(name, ()))
        cells = [tuple(row.get(column) for column in columns) for row in stored]
        for first in range(0, len(cells), 20_000):
            batch = Rows(table, tuple(cells[first : first + 20_000]))
            client.write(ilp_text(batch).encode())


def names_of(prefix: str) -> TableNames:
    """Table names that no other test uses."""
    return TableNames(*(f"{prefix}_{name}" for name in TABLES))
