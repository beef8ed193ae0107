"""The tables: what existing dashboards rely on, and how a sweep becomes rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleet.inventory import Host
from fleet.sources import Sample
from fleet.status import Phase, Status
from fleet.tables import Sweep, TableNames, reserved_names, rows_of, schema_of
from fleet.visit import Visit

NOW = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)
SAMPLED = NOW + timedelta(seconds=2)
ID = "0123456789ab" + "c" * 52

CONTAINER_STATS = """
host SYMBOL, container SYMBOL, name SYMBOL, id VARCHAR, cpu DOUBLE, memory_percentage DOUBLE,
pids LONG, memory_use DOUBLE, memory_use_unit VARCHAR, total_memory DOUBLE,
total_memory_unit VARCHAR, timestamp TIMESTAMP, block_io_in DOUBLE, block_io_in_unit VARCHAR,
block_io_out DOUBLE, block_io_out_unit VARCHAR, net_io_in DOUBLE, net_io_in_unit VARCHAR,
net_io_out DOUBLE, net_io_out_unit VARCHAR, service SYMBOL, image SYMBOL, sampled TIMESTAMP
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
        schema.tables, (CONTAINER_STATS, HOST_STATUS, FLEET_SWEEP), strict=True
    ):
        columns = [f"{column.name} {column.type}" for column in table.columns]
        assert columns == [column.strip() for column in promised.split(",")]


def test_keys_make_a_row_the_same_row() -> None:
    """A container, a host, a job each have one row per sweep."""
    schema = schema_of(TableNames())
    assert [table.keys for table in schema.tables] == [
        ("timestamp", "host", "container"),
        ("timestamp", "host"),
        ("timestamp", "name"),
    ]


def test_tables_take_the_names_given() -> None:
    """The server's names for the tables are the user's choice."""
    schema = schema_of(TableNames("a", "b", "c"))
    assert [table.name for table in schema.tables] == ["a", "b", "c"]


def test_a_container_is_a_row() -> None:
    """What was measured stands under its column; sizes are bytes; ids are short and whole."""
    containers, _, _ = rows_of(small_sweep(), schema_of(TableNames()))
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
    }


def test_unknown_is_none() -> None:
    """A container without figures has None in every figure, and never 0."""
    containers, _, _ = rows_of(small_sweep(), schema_of(TableNames()))
    row = containers.as_dicts()[1]
    known = {name: value for name, value in row.items() if value is not None}
    assert {name for name in known if not name.endswith("_unit")} == {
        "host",
        "container",
        "name",
        "id",
        "timestamp",
        "sampled",
    }


def test_every_visit_is_a_row() -> None:
    """A host that is down, or resting, has its row like one that answered."""
    _, hosts, _ = rows_of(small_sweep(), schema_of(TableNames()))
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
    _, _, sweeps = rows_of(small_sweep(), schema_of(TableNames()))
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
    for rows in rows_of(small_sweep(), schema):
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
    sweep = labelled(small_sweep(), ("prod", "web"), ("prod", None), ("prod", "db"))
    containers, hosts, sweeps = rows_of(sweep, schema_of(TableNames(), LABELS))
    assert {(row["env"], row["role"]) for row in containers.as_dicts()} == {("prod", "web")}
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
    assert [(r["env"], r["role"]) for r in rows_of(mixed, schema)[2].as_dicts()] == [(None, "web")]
    nobody = replace(mixed, visits=())
    assert [(r["env"], r["role"]) for r in rows_of(nobody, schema)[2].as_dicts()] == [(None, None)]


def test_a_host_of_no_labels_has_none() -> None:
    """Hosts that are made elsewhere, without labels, have nulls and break nothing."""
    sweep = labelled(small_sweep(), ("prod", "web"), (), ("prod", "web"))
    _, hosts, sweeps = rows_of(sweep, schema_of(TableNames(), LABELS))
    assert [row["env"] for row in hosts.as_dicts()] == ["prod", None, "prod"]
    assert [row["env"] for row in sweeps.as_dicts()] == [None]


def test_every_column_of_ours_is_reserved() -> None:
    """No label can have the name of a column in any of the tables, in any case of letters."""
    names = reserved_names()
    for table in schema_of(TableNames()).tables:
        assert {column.name.lower() for column in table.columns} <= names
    assert not names & set(LABELS)
