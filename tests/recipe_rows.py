"""Two days of a small fleet, as rows: what happened is known, so what a query must say is known.

A sweep every five minutes by the job `fleet`, and one an hour of web1 alone by the job `hand`, as
somebody's `snapshot --publish`: no sum may count web1 twice for it. `now` is the end of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet.tables import Rows, Schema

MIB = 2**20
GB = 10.0**9
STEP = timedelta(minutes=5)
SWEEPS = 588
"""49 hours."""

KILLED_AT = timedelta(hours=3)
DOWN_AT = timedelta(hours=3)
GONE_AT = timedelta(hours=2)
DEPLOYED_AT = timedelta(hours=5)
BEGUN_ANEW_AT = timedelta(minutes=30)
"""db1's database: its main process was killed, and the policy started it again."""
SHELVED_AT = timedelta(hours=30)
"""old1 had failed for long, and was put into maintenance."""
UNTOLD_FROM, UNTOLD_TO = timedelta(hours=28), timedelta(hours=23)
"""Ages between which the web hosts had an older forced command, which tells no states."""
STARTED_AGO = {"import": timedelta(hours=7), "old-import": timedelta(days=21)}
IMPORT_KILLED_AT = timedelta(hours=6)
QUIET_FROM, QUIET_TO = timedelta(hours=10, minutes=40), timedelta(hours=10)
"""Ages between which cron did not run."""

Labels = dict[str, str | None]
HOSTS: dict[str, Labels] = {
    "web1": {"env": "prod", "role": "web"},
    "web2": {"env": "prod", "role": "web"},
    "db1": {"env": "prod", "role": "db"},
    "db2": {"env": "prod", "role": "db"},
    "old1": {"env": "prod", "role": "db"},
    "stage1": {"env": "test", "role": None},
}
OLD_IMAGE, NEW_IMAGE = "sha256:aaa", "sha256:bbb"

Row = dict[str, Any]


@dataclass(slots=True)
class History:
    """Rows of each table, by its usual name."""

    now: datetime
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, table: str, at: datetime, host: str | None = None, **cells: Any) -> None:
        """One row."""
        beside = {"host": host, **HOSTS[host]} if host is not None else {}
        self.tables.setdefault(table, []).append({"timestamp": at, **beside, **cells})

    def rows(self, schema: Schema) -> Iterator[Rows]:
        """What is published, under the schema's names; a cell that is not said is null."""
        usual = ("containerStats", "hostStatus", "fleetSweep", "containerState", "nodeStats")
        for table, name in zip(schema.tables, (*usual, "diskStats"), strict=True):
            names = [column.name for column in table.columns]
            unknown = {key for row in self.tables[name] for key in row} - set(names)
            assert not unknown, unknown
            cells = tuple(tuple(row.get(key) for key in names) for row in self.tables[name])
            yield Rows(table, cells)


def history(now: datetime) -> History:
    """The whole of it, up to a minute before `now`."""
    made = History(now)
    last = now - timedelta(minutes=1)
    for number in reversed(range(SWEEPS)):
        at = last - number * STEP
        if QUIET_TO < now - at < QUIET_FROM:
            continue
        _sweep(made, at)
        if number % 12 == 6:
            by_hand = at + timedelta(minutes=1)
            _visit(made, by_hand, "web1")
            made.add("fleetSweep", by_hand, name="hand", hosts=1, failed=0, spooled=0)
    _states(made)
    _published(made, last)
    return made


def _sweep(made: History, at: datetime) -> None:
    failed = 0
    for host in HOSTS:
        failed += not _visit(made, at, host)
    made.add("fleetSweep", at, name="fleet", hosts=len(HOSTS), failed=failed, spooled=0)


def _visit(made: History, at: datetime, host: str) -> bool:
    """One host's rows → whether it was ok."""
    age = made.now - at
    if host == "old1":
        shelved = age <= SHELVED_AT
        made.add("hostStatus", at, host, status="timeout", maintenance=shelved)
        return shelved
    if host == "db2" and age <= DOWN_AT:
        detail = "10.0.0.4 port 22: No route to host"
        made.add("hostStatus", at, host, status="unreachable", detail=detail, maintenance=False)
        return False
    made.add("hostStatus", at, host, status="ok", maintenance=False)
    skew = {"web2": 12.0, "db1": None}.get(host, 0.4)
    made.add("nodeStats", at, host, cpus=4, load5=1.5, clock_skew=skew, clock_skew_doubt=0.5)
    made.tables["nodeStats"][-1] |= {"memory_total": 16 * GB, "memory_available": 4 * GB}
    _disks(made, at, host)
    _containers(made, at, host)
    return True


def _disks(made: History, at: datetime, host: str) -> None:
    """web1's disk loses a gigabyte an hour and has 10 left; stage1's gets emptier."""
    hours = (made.now - at) / timedelta(hours=1)
    left = {"web1": 10 * GB + hours * GB, "stage1": 60 * GB - hours * GB}.get(host, 50 * GB)
    used = 100 - left / GB
    made.add("diskStats", at, host, mount="/", size=100 * GB, available=left, used_percentage=used)


def _containers(made: History, at: datetime, host: str) -> None:
    def stats(name: str, container: str, **cells: Any) -> None:
        units = dict.fromkeys(("memory_use_unit", "total_memory_unit"), "bytes")
        known = {"name": name, "container": container, "sampled": at + timedelta(seconds=2)}
        made.add("containerStats", at, host, **known, **units, **cells)

    age = made.now - at
    today = age < timedelta(days=1)
    memory = {"memory_use": 100.0 * MIB, "total_memory": 512.0 * MIB, "memory_percentage": 19.5}
    web = {"service": "web", "window_seconds": 300.0, **memory}
    if host == "web1":
        web |= {"memory_use": 480.0 * MIB, "memory_percentage": 93.75}
        container = "web1-new" if age <= DEPLOYED_AT else "web1-old"
        rates = {"net_in_rate": 1000.0, "net_out_rate": 2000.0}
        stats("shop-web-1", container, cpu=50.0 if today else 25.0, **rates, **web)
        stats("sidecar", "sidecar", service="web", cpu=None)  # shares the network; cpu not known
    elif host == "web2":
        rates = {"net_in_rate": 3000.0, "net_out_rate": 4000.0}
        stats("shop-web-1", "web2-web", cpu=150.0 if today else 75.0, **rates, **web)
        if age > GONE_AT:
            stats("batch", "batch", cpu=1.0)
    elif host == "stage1":
        rates = {"net_in_rate": 10.0, "net_out_rate": 20.0}
        stats("shop-web-1", "stage1-web", cpu=10.0, **rates, **web)
    elif host == "db1":
        held = max(0.0, 3600.0 - age.total_seconds()) / 10
        kills = 2 if age <= KILLED_AT else 0
        if age <= BEGUN_ANEW_AT:
            held, kills = 100 + (BEGUN_ANEW_AT - age).total_seconds() / 10, 1
        stats("shop-db-1", "db1-db", cpu=80.0, service="db", oom_kills=kills, **memory)
        made.tables["containerStats"][-1] |= {"throttled_seconds": held}


def _states(made: History) -> None:
    """Told once an hour, and when something changes."""
    for number in reversed(range(49)):
        age = timedelta(hours=number, minutes=1)
        at = made.now - age

        def state(host: str, name: str, container: str, at: datetime = at, **cells: Any) -> None:
            cells = {"state": "running", "restarts": 0, "oom_killed": False, **cells}
            made.add("containerState", at, host, name=name, container=container, **cells)

        _jobs(made, at, age)
        restarts = 6 if number < 2 else 4 if number < 20 else 2 if number < 25 else 0
        if number == 24:  # news of something else, before the step between 24 and 25 hours ago
            before = at - timedelta(minutes=30)
            state("db1", "flappy", "flappy", before, image="shop/flappy:1", restarts=0)
        state("db1", "flappy", "flappy", image="shop/flappy:1", restarts=restarts)
        state("db1", "cron", "cron", image="shop/cron:1", state="exited", exit_code=1)
        state("db1", "shop-db-1", "db1-db", restarts=int(age <= BEGUN_ANEW_AT))
        if UNTOLD_TO < age < UNTOLD_FROM:
            continue
        web = {"service": "web", "image": "shop/web:1"}
        new = {**web, "image_id": NEW_IMAGE}
        if age > DEPLOYED_AT:
            state("web1", "shop-web-1", "web1-old", **web, image_id=OLD_IMAGE)
        elif number == 4:  # the first after it: the old one is gone in the same sweep
            state("web1", "shop-web-1", "web1-new", **new)
            state("web1", "shop-web-1", "web1-old", **web, state="vanished", restarts=None)
        else:
            state("web1", "shop-web-1", "web1-new", **new)
        state("web2", "shop-web-1", "web2-web", **web, image_id=OLD_IMAGE)
        gone = {"image": "shop/batch:1"}
        if age > GONE_AT:
            state("web2", "batch", "batch", **gone)
        elif number == 1:
            state("web2", "batch", "batch", **gone, state="vanished", restarts=None)


def _jobs(made: History, at: datetime, age: timedelta) -> None:
    """Two that ended when they had no memory left: one within the day, one weeks ago."""
    for name, started_ago in STARTED_AGO.items():
        if age > started_ago:
            continue
        cells: Row = {"started": made.now - started_ago, "state": "running"}
        if name == "old-import" or age <= IMPORT_KILLED_AT:
            cells |= {"state": "exited", "exit_code": 137, "oom_killed": True}
        made.add("containerState", at, "db1", name=name, container=name, **cells)


def _published(made: History, last: datetime) -> None:
    """web1 has its publisher for the last hour: sizes as Docker prints them, 0 for unknown."""
    printed: Row = {"name": "shop-web-1", "container": "web1-new", "cpu": 0.0}
    printed |= {"memory_use": 480.0, "memory_use_unit": "MiB", "memory_percentage": 93.75}
    printed |= {"total_memory": 0.5, "total_memory_unit": "GiB"}
    printed |= {"net_io_in": 1.5, "net_io_in_unit": "kB"}
    for number in range(12):
        made.add("containerStats", last - number * STEP + timedelta(seconds=30), "web1", **printed)
