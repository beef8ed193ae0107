"""The tables: what existing dashboards rely on, and how a sweep becomes rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleet.inventory import Host
from fleet.node_facts import Node, Skew
from fleet.sources import Sample
from fleet.sources.node import Disk, NodeFigures
from fleet.sources.state import State
from fleet.states import ContainerState
from fleet.status import Phase, Status
from fleet.tables import (
    Sweep,
    TableNames,
    reserved_names,
    rows_beside,
    rows_of,
    schema_of,
    sweep_row,
)
from fleet.visit import Visit

NOW = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)
SAMPLED = NOW + timedelta(seconds=2)
ID = "0123456789ab" + "c" * 52

CONTAINER_STATS = """
host SYMBOL, container SYMBOL, name SYMBOL, id VARCHAR, cpu DOUBLE, memory_percentage DOUBLE,
pids LONG, memory_use DOUBLE, memory_use_unit VARCHAR, total_memory DOUBLE,
total_memory_unit VARCHAR, timestamp TIMESTAMP, block_io_in DOUBLE, block_io_in_unit VARCHAR,
block_io_out DOUBLE, block_io_out_unit VARCHAR, net_io_in DOUBLE, net_io_in_unit VARCHAR,
net_io_out DOUBLE, net_io_out_unit VARCHAR, service SYMBOL, image SYMBOL, sampled TIMESTAMP,
source SYMBOL, cpu_seconds DOUBLE, window_seconds DOUBLE, net_in_rate DOUBLE, net_out_rate DOUBLE,
block_in_rate DOUBLE, block_out_rate DOUBLE, net_packets_in LONG, net_packets_out LONG,
net_errors LONG, net_drops LONG, throttled_seconds DOUBLE, oom_kills LONG, memory_peak DOUBLE
"""
HOST_STATUS = """
host SYMBOL, status SYMBOL, phase SYMBOL, detail VARCHAR, via SYMBOL, maintenance BOOLEAN,
containers LONG, dropped LONG, elapsed DOUBLE, node_uptime DOUBLE, source SYMBOL,
sampled TIMESTAMP, timestamp TIMESTAMP
"""
FLEET_SWEEP = """
name SYMBOL, version SYMBOL, hosts LONG, failed LONG, containers LONG, dropped LONG,
spooled LONG, elapsed DOUBLE, timestamp TIMESTAMP
"""
CONTAINER_STATE = """
host SYMBOL, container SYMBOL, name SYMBOL, id VARCHAR, state SYMBOL, health SYMBOL,
exit_code LONG, oom_killed BOOLEAN, restarts LONG, image SYMBOL, image_id SYMBOL,
created TIMESTAMP, started TIMESTAMP, finished TIMESTAMP, project SYMBOL, service SYMBOL,
sampled TIMESTAMP, timestamp TIMESTAMP
"""
NODE_STATS = """
host SYMBOL, cpus LONG, memory_total DOUBLE, memory_available DOUBLE, load1 DOUBLE, load5 DOUBLE,
load15 DOUBLE, cpu_pressure DOUBLE, memory_pressure DOUBLE, memory_pressure_full DOUBLE,
io_pressure DOUBLE, io_pressure_full DOUBLE, uptime DOUBLE, boot TIMESTAMP, kernel SYMBOL,
docker_version SYMBOL, clock_skew DOUBLE, clock_skew_doubt DOUBLE, sampled TIMESTAMP,
timestamp TIMESTAMP
"""
DISK_STATS = """
host SYMBOL, mount SYMBOL, device SYMBOL, file_system SYMBOL, size DOUBLE, available DOUBLE,
used_percentage DOUBLE, inodes LONG, inodes_free LONG, read_bytes DOUBLE, written_bytes DOUBLE,
sampled TIMESTAMP, timestamp TIMESTAMP
"""


def small_sweep() -> Sweep:
    """One host with a measured and an unmeasured container, one that is down, one resting."""
    measured = Sample(
        ID,
        "web-1",
        image="shop/web:1.4",
        service="web",
        cpu_percent=12.5,
        memory_bytes=1_048_576.0,
        memory_limit_bytes=4_194_304.0,
        memory_percent=25.0,
        pids=3,
        net_in_bytes=1_000.0,
        net_out_bytes=2_000.0,
        block_in_bytes=3_000.0,
        block_out_bytes=4_000.0,
    )
    good = Visit(
        Host("web1", "10.0.0.1"),
        Status.OK,
        None,
        None,
        2.0,
        sampled_at=SAMPLED,
        samples=(measured, Sample("fedcba987654", "idle")),
        dropped=1,
        node_uptime_s=86_400.5,
        source="docker",
        via="bastion",
    )
    down = Visit(Host("db1", "10.0.0.2"), Status.UNREACHABLE, Phase.CONNECT, "refused", 0.1)
    resting = Visit(
        Host("old1", "10.0.0.3", maintenance=True), Status.TIMEOUT, Phase.LOGIN, "slow", 9.0
    )
    return Sweep(NOW, "nightly", "0.1.0", (good, down, resting), 9.5)


def test_columns_are_the_promised_ones() -> None:
    """Every table has the columns of the design, with their types, in their order."""
    schema = schema_of(TableNames())
    for table, promised in zip(
        schema.tables,
        (CONTAINER_STATS, HOST_STATUS, FLEET_SWEEP, CONTAINER_STATE, NODE_STATS, DISK_STATS),
        strict=True,
    ):
        columns = [f"{column.name} {column.type}" for column in table.columns]
        assert columns == [column.strip() for column in promised.split(",")]


def test_keys_make_a_row_the_same_row() -> None:
    """A container, a host, a job, a mounted file system each have one row per sweep."""
    schema = schema_of(TableNames())
    assert [table.keys for table in schema.tables] == [
        ("timestamp", "host", "container"),
        ("timestamp", "host"),
        ("timestamp", "name"),
        ("timestamp", "host", "container"),
        ("timestamp", "host"),
        ("timestamp", "host", "mount"),
    ]


def test_tables_take_the_names_given() -> None:
    """The server's names for the tables are the user's choice."""
    schema = schema_of(TableNames("a", "b", "c", "d", "e", "f"))
    assert [table.name for table in schema.tables] == ["a", "b", "c", "d", "e", "f"]


def test_a_container_is_a_row() -> None:
    """What was measured stands under its column; sizes are bytes; ids are short and whole."""
    containers = rows_of(small_sweep(), schema_of(TableNames()))[0]
    assert containers.as_dicts()[0] == {
        "host": "web1",
        "container": "0123456789ab",
        "name": "web-1",
        "id": ID,
        "cpu": 12.5,
        "memory_percentage": 25.0,
        "pids": 3,
        "memory_use": 1_048_576.0,
        "memory_use_unit": "bytes",
        "total_memory": 4_194_304.0,
        "total_memory_unit": "bytes",
        "timestamp": NOW,
        "block_io_in": 3_000.0,
        "block_io_in_unit": "bytes",
        "block_io_out": 4_000.0,
        "block_io_out_unit": "bytes",
        "net_io_in": 1_000.0,
        "net_io_in_unit": "bytes",
        "net_io_out": 2_000.0,
        "net_io_out_unit": "bytes",
        "service": "web",
        "image": "shop/web:1.4",
        "sampled": SAMPLED,
        "source": "docker",
        "cpu_seconds": None,
        "window_seconds": None,
        "net_in_rate": None,
        "net_out_rate": None,
        "block_in_rate": None,
        "block_out_rate": None,
        "net_packets_in": None,
        "net_packets_out": None,
        "net_errors": None,
        "net_drops": None,
        "throttled_seconds": None,
        "oom_kills": None,
        "memory_peak": None,
    }


def test_what_the_kernel_counts_has_its_columns() -> None:
    """Each figure that only the kernel knows stands under its own column."""
    exact = Sample(
        ID,
        "web-1",
        source="docker+kernel",
        cpu_seconds=1.5,
        throttled_seconds=2.5,
        net_packets_in=3,
        net_packets_out=4,
        net_errors=5,
        net_drops=6,
        oom_kills=7,
        memory_peak_bytes=8.0,
        window_s=9.5,
        net_in_rate=10.5,
        net_out_rate=11.5,
        block_in_rate=12.5,
        block_out_rate=13.5,
    )
    good = replace(small_sweep().visits[0], samples=(exact,))
    (row,) = rows_of(replace(small_sweep(), visits=(good,)), schema_of(TableNames()))[0].as_dicts()
    names = [column.split()[0] for column in CONTAINER_STATS.split(",")]
    assert {name: row[name] for name in names[names.index("source") :]} == {
        "source": "docker+kernel",
        "cpu_seconds": 1.5,
        "window_seconds": 9.5,
        "net_in_rate": 10.5,
        "net_out_rate": 11.5,
        "block_in_rate": 12.5,
        "block_out_rate": 13.5,
        "net_packets_in": 3,
        "net_packets_out": 4,
        "net_errors": 5,
        "net_drops": 6,
        "throttled_seconds": 2.5,
        "oom_kills": 7,
        "memory_peak": 8.0,
    }


def full_sweep() -> Sweep:
    """The same sweep; the host that answered tells of two states and of itself, with two disks."""
    told = State(
        ID,
        "running",
        pid=4711,
        health="healthy",
        restarts=2,
        oom_killed=False,
        created_at=NOW - timedelta(days=3),
        started_at=NOW - timedelta(days=2),
        finished_at=NOW - timedelta(days=2, seconds=5),
        image_id="sha256:" + "e" * 64,
        project="shop",
    )
    ended = State("d" * 64, "exited", exit_code=137, oom_killed=True)
    figures = NodeFigures(
        boot_id="b0",
        kernel="6.1.0-18-amd64",
        memory_bytes=8_000_000_000,
        memory_available_bytes=6_000_000_000,
        load=(0.25, 0.5, 0.75),
        pressure={
            ("cpu", "some"): 1.0,
            ("memory", "some"): 2.0,
            ("memory", "full"): 3.0,
            ("io", "some"): 4.0,
            ("io", "full"): 5.0,
        },
        boot_at=NOW - timedelta(days=9),
        disks=(
            Disk("/", "/dev/sda1", "ext4", 1_000, 400, 55.5, 100, 90, 7_168, 8_192),
            Disk("/srv/a b", "tank/srv", "zfs", 2_000, 2_000, 0.0),
        ),
    )
    good, *others = small_sweep().visits
    good = replace(
        good,
        states=(
            ContainerState("web-1", "shop/web:1.4", "web", told, True, "m1"),
            ContainerState("old", None, None, ended, False, "m2"),
        ),
        node=Node(figures, 4, 86_400.5, "28.2.2", Skew(-1.5, 0.25)),
    )
    return replace(small_sweep(), visits=(good, *others))


def test_a_state_that_is_due_is_a_row() -> None:
    """What a container is stands under its columns; what is no news comes only if asked for."""
    schema = schema_of(TableNames())
    (row,) = rows_of(full_sweep(), schema)[2].as_dicts()
    assert row == {
        "host": "web1",
        "container": "0123456789ab",
        "name": "web-1",
        "id": ID,
        "state": "running",
        "health": "healthy",
        "exit_code": None,
        "oom_killed": False,
        "restarts": 2,
        "image": "shop/web:1.4",
        "image_id": "sha256:" + "e" * 64,
        "created": NOW - timedelta(days=3),
        "started": NOW - timedelta(days=2),
        "finished": NOW - timedelta(days=2, seconds=5),
        "project": "shop",
        "service": "web",
        "sampled": SAMPLED,
        "timestamp": NOW,
    }
    first, second = rows_beside(full_sweep(), schema, every_state=True)[1].as_dicts()
    assert first == row
    assert {name: value for name, value in second.items() if value is not None} == {
        "host": "web1",
        "container": "d" * 12,
        "name": "old",
        "id": "d" * 64,
        "state": "exited",
        "exit_code": 137,
        "oom_killed": True,
        "sampled": SAMPLED,
        "timestamp": NOW,
    }


def test_a_node_is_a_row() -> None:
    """What a node says of itself stands under its columns; a host that said nothing has no row."""
    nodes = rows_of(full_sweep(), schema_of(TableNames()))[3]
    assert nodes.as_dicts() == [
        {
            "host": "web1",
            "cpus": 4,
            "memory_total": 8_000_000_000.0,
            "memory_available": 6_000_000_000.0,
            "load1": 0.25,
            "load5": 0.5,
            "load15": 0.75,
            "cpu_pressure": 1.0,
            "memory_pressure": 2.0,
            "memory_pressure_full": 3.0,
            "io_pressure": 4.0,
            "io_pressure_full": 5.0,
            "uptime": 86_400.5,
            "boot": NOW - timedelta(days=9),
            "kernel": "6.1.0-18-amd64",
            "docker_version": "28.2.2",
            "clock_skew": -1.5,
            "clock_skew_doubt": 0.25,
            "sampled": SAMPLED,
            "timestamp": NOW,
        }
    ]
    assert {type(nodes.as_dicts()[0][name]) for name in ("memory_total", "load1")} == {float}


def test_a_node_that_knows_nothing_of_itself_is_nulls() -> None:
    """Without load, pressure, memory or a clock its row has None there, and never 0."""
    good = replace(small_sweep().visits[0], node=Node(NodeFigures(), None, None, None, None))
    of = rows_of(replace(small_sweep(), visits=(good,)), schema_of(TableNames()))
    (row,) = of[3].as_dicts()
    known = {name for name, value in row.items() if value is not None}
    assert known == {"host", "sampled", "timestamp"}
    assert of[4].rows == ()


def test_a_disk_is_a_row() -> None:
    """Every mounted file system has its row; what it does not count is None."""
    disks = rows_of(full_sweep(), schema_of(TableNames()))[4].as_dicts()
    common = {"host": "web1", "sampled": SAMPLED, "timestamp": NOW}
    assert disks == [
        {
            **common,
            "mount": "/",
            "device": "/dev/sda1",
            "file_system": "ext4",
            "size": 1_000.0,
            "available": 400.0,
            "used_percentage": 55.5,
            "inodes": 100,
            "inodes_free": 90,
            "read_bytes": 7_168.0,
            "written_bytes": 8_192.0,
        },
        {
            **common,
            "mount": "/srv/a b",
            "device": "tank/srv",
            "file_system": "zfs",
            "size": 2_000.0,
            "available": 2_000.0,
            "used_percentage": 0.0,
            "inodes": None,
            "inodes_free": None,
            "read_bytes": None,
            "written_bytes": None,
        },
    ]
    assert {type(disk["size"]) for disk in disks} == {float}


def test_unknown_is_none() -> None:
    """A container without figures has None in every figure, and never 0."""
    containers = rows_of(small_sweep(), schema_of(TableNames()))[0]
    row = containers.as_dicts()[1]
    known = {name: value for name, value in row.items() if value is not None}
    assert {name for name in known if not name.endswith("_unit")} == {
        "host",
        "container",
        "name",
        "id",
        "timestamp",
        "sampled",
        "source",
    }


def test_every_visit_is_a_row() -> None:
    """A host that is down, or resting, has its row like one that answered."""
    hosts = rows_of(small_sweep(), schema_of(TableNames()))[1]
    names = [column.name for column in hosts.table.columns]
    good, down, resting = (dict(zip(names, row, strict=True)) for row in hosts.rows)
    assert good == {
        "host": "web1",
        "status": "ok",
        "phase": None,
        "detail": None,
        "via": "bastion",
        "maintenance": False,
        "containers": 2,
        "dropped": 1,
        "elapsed": 2.0,
        "node_uptime": 86_400.5,
        "source": "docker",
        "sampled": SAMPLED,
        "timestamp": NOW,
    }
    assert (down["status"], down["phase"], down["detail"]) == ("unreachable", "connect", "refused")
    assert (down["sampled"], down["containers"], down["maintenance"]) == (None, 0, False)
    assert (resting["status"], resting["maintenance"]) == ("timeout", True)


def test_a_run_is_a_row() -> None:
    """One row sums the sweep up; a host in maintenance is not counted as failed."""
    sweeps = sweep_row(small_sweep(), schema_of(TableNames()))
    assert sweeps.as_dicts() == [
        {
            "name": "nightly",
            "version": "0.1.0",
            "hosts": 3,
            "failed": 1,
            "containers": 2,
            "dropped": 1,
            "spooled": 0,
            "elapsed": 9.5,
            "timestamp": NOW,
        }
    ]


def test_rows_of_a_sweep_share_its_time() -> None:
    """Sums over hosts and joins between tables need no tricks."""
    schema = schema_of(TableNames())
    for rows in (*rows_of(full_sweep(), schema), sweep_row(full_sweep(), schema)):
        assert {row["timestamp"] for row in rows.as_dicts()} == {NOW}


LABELS = ("env", "role")


def labelled(sweep: Sweep, *labels: tuple[str | None, ...]) -> Sweep:
    """The same sweep, its hosts with these labels."""
    visits = (
        replace(visit, host=replace(visit.host, labels=own))
        for visit, own in zip(sweep.visits, labels, strict=True)
    )
    return replace(sweep, visits=tuple(visits))


def test_labels_are_columns_of_all_tables() -> None:
    """They are symbols, come last, in their order, and no key."""
    plain, schema = schema_of(TableNames()), schema_of(TableNames(), LABELS)
    for before, table in zip(plain.tables, schema.tables, strict=True):
        names = [f"{column.name} {column.type}" for column in table.columns]
        assert names[: len(before.columns)] == [f"{c.name} {c.type}" for c in before.columns]
        assert names[len(before.columns) :] == ["env SYMBOL", "role SYMBOL"]
        assert table.keys == before.keys


def test_rows_have_their_hosts_labels() -> None:
    """A host's value stands in its containers' rows and its own; none is null."""
    sweep = labelled(full_sweep(), ("prod", "web"), ("prod", None), ("prod", "db"))
    schema = schema_of(TableNames(), LABELS)
    containers, hosts, *others = rows_of(sweep, schema)
    sweeps = sweep_row(sweep, schema)
    for rows in (containers, *others):
        assert {(row["env"], row["role"]) for row in rows.as_dicts()} == {("prod", "web")}
    assert [(row["env"], row["role"]) for row in hosts.as_dicts()] == [
        ("prod", "web"),
        ("prod", None),
        ("prod", "db"),
    ]
    assert [(row["env"], row["role"]) for row in sweeps.as_dicts()] == [("prod", None)]


def test_a_sweep_has_the_labels_that_all_its_hosts_share() -> None:
    """One host without a value is enough for none; so is a sweep of no hosts."""
    schema = schema_of(TableNames(), LABELS)
    mixed = labelled(small_sweep(), ("prod", "web"), (None, "web"), ("prod", "web"))
    assert [(r["env"], r["role"]) for r in sweep_row(mixed, schema).as_dicts()] == [(None, "web")]
    nobody = replace(mixed, visits=())
    assert [(r["env"], r["role"]) for r in sweep_row(nobody, schema).as_dicts()] == [(None, None)]


def test_a_host_of_no_labels_has_none() -> None:
    """Hosts that are made elsewhere, without labels, have nulls and break nothing."""
    sweep = labelled(small_sweep(), ("prod", "web"), (), ("prod", "web"))
    schema = schema_of(TableNames(), LABELS)
    hosts, sweeps = rows_of(sweep, schema)[1], sweep_row(sweep, schema)
    assert [row["env"] for row in hosts.as_dicts()] == ["prod", None, "prod"]
    assert [row["env"] for row in sweeps.as_dicts()] == [None]


def test_every_column_of_ours_is_reserved() -> None:
    """No label can have the name of a column in any of the tables, in any case of letters."""
    names = reserved_names()
    for table in schema_of(TableNames()).tables:
        assert {column.name.lower() for column in table.columns} <= names
    assert not names & set(LABELS)
