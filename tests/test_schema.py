"""Our tables against those of a real server: what is made, what is mended, what is refused."""

import socket
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import questdb as client_library

from fleet.errors import QuestDBError, QuestDBUnreachable, SchemaError, UsageError
from fleet.ilp import Encoder
from fleet.questdb_conf import QuestDB as Target
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.schema import _WIDENS, ACCEPTS, Plan, create_statement, ensure, inspect
from fleet.tables import Column, Rows, Schema, Table, TableNames, rows_of, schema_of, sweep_row
from tests.doubles import answer, answering
from tests.lab.questdb import QuestDB
from tests.test_tables import CONTAINER_STATS, NOW, full_sweep, small_sweep

# A run makes one encoder; these tests make many.
pytestmark = pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst")

TYPES = (
    *("BOOLEAN", "BYTE", "SHORT", "CHAR", "INT", "LONG", "FLOAT", "DOUBLE", "DATE"),
    *("TIMESTAMP", "TIMESTAMP_NS", "SYMBOL", "STRING", "VARCHAR", "UUID", "IPv4", "LONG256"),
    *("GEOHASH(8c)", "BINARY", "DECIMAL(18,3)", "DOUBLE[]"),
)
DAY = "TIMESTAMP(timestamp) PARTITION BY DAY"


def fresh(prefix: str = "t") -> Schema:
    """Our tables under names that no other test uses."""
    mark = f"{prefix}_{uuid4().hex[:12]}"
    kinds = ("containers", "hosts", "sweeps", "states", "nodes", "disks")
    return schema_of(TableNames(*(f"{mark}_{kind}" for kind in kinds)))


def names_of(schema: Schema) -> TableNames:
    """What the server calls these tables."""
    return TableNames(*(table.name for table in schema.tables))


def client_of(questdb: QuestDB) -> Client:
    """Our client to the test's server."""
    return Client(parse_conf(questdb.conf, "test"))


def columns_of(questdb: QuestDB, table: str) -> dict[str, str]:
    """The server's columns: types by name, in order; `*` marks the dedup keys."""
    return {
        row["column"]: row["type"] + ("*" if row["upsertKey"] else "")
        for row in questdb.sql(f'SHOW COLUMNS FROM "{table}"')
    }


def publish(questdb: QuestDB, *batches: Rows) -> None:
    """Write rows as a run does, all of them; raises what stands against it."""
    client = client_of(questdb)
    with Encoder() as encoder, closing(client):
        for rows in batches:
            part, unsendable = encoder.encode(rows)
            assert unsendable == ()
            if part.rows:
                client.write(part.body)


def count_of(questdb: QuestDB, table: str, count: int) -> None:
    """Wait until everything sent is applied, and the table has exactly so many rows."""
    questdb.wait_for(
        f"SELECT sequencerTxn - writerTxn lag FROM wal_tables() WHERE name = '{table}'",
        lambda rows: rows == [{"lag": 0}],
    )
    assert questdb.sql(f'SELECT count() c FROM "{table}"') == [{"c": count}]


# --- from nothing


@pytest.mark.e2e
def test_an_empty_server_gets_our_tables(questdb: QuestDB) -> None:
    """All six are made with their columns in order and their keys; then nothing is missing."""
    schema, client = fresh(), client_of(questdb)
    expected = tuple(create_statement(table) for table in schema.tables)
    assert inspect(client, schema) == Plan(expected, ())
    assert ensure(client, schema) == expected
    assert inspect(client, schema) == Plan()
    assert ensure(client, schema) == ()
    for table in schema.tables:
        assert columns_of(questdb, table.name) == {
            column.name: column.type + ("*" if column.name in table.keys else "")
            for column in table.columns
        }


def test_the_statement_is_what_the_design_says() -> None:
    """Identifiers quoted; partitions by day; WAL; dedup keys."""
    assert create_statement(schema_of(TableNames(sweeps="my sweeps")).sweeps) == (
        'CREATE TABLE IF NOT EXISTS "my sweeps" ("name" SYMBOL, "version" SYMBOL, '
        '"hosts" LONG, "failed" LONG, "containers" LONG, "dropped" LONG, "spooled" LONG, '
        '"elapsed" DOUBLE, "timestamp" TIMESTAMP) TIMESTAMP("timestamp") PARTITION BY DAY WAL '
        'DEDUP UPSERT KEYS("timestamp", "name")'
    )


@pytest.mark.e2e
def test_labels_are_added_to_tables_that_exist(questdb: QuestDB) -> None:
    """One statement for each new label of each table; what the inventory no longer names stays."""
    schema, client = fresh(), client_of(questdb)
    ensure(client, schema)
    names = names_of(schema)
    labelled = schema_of(names, ("env", "Région 1"))
    assert ensure(client, labelled) == tuple(
        f'ALTER TABLE "{table.name}" ADD COLUMN IF NOT EXISTS "{label}" SYMBOL'
        for table in schema.tables
        for label in ("env", "Région 1")
    )
    assert ensure(client, labelled) == ensure(client, schema) == ()
    for table in schema.tables:
        columns = columns_of(questdb, table.name)
        assert (columns["env"], columns["Région 1"]) == ("SYMBOL", "SYMBOL")
    publish(questdb, *rows_of(full_sweep(), labelled), sweep_row(full_sweep(), labelled))
    for table, count in zip(schema.tables, (2, 3, 1, 1, 1, 2), strict=True):
        count_of(questdb, table.name, count)


def test_labels_come_with_a_new_table() -> None:
    """They stand after our columns, and are no keys."""
    statement = create_statement(schema_of(TableNames(), ("env",)).sweeps)
    assert '"timestamp" TIMESTAMP, "env" SYMBOL) TIMESTAMP("timestamp")' in statement
    assert statement.endswith('DEDUP UPSERT KEYS("timestamp", "name")')


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["select", "a b-c.d", "Ärger", "x=y;z`&"])
def test_any_permitted_name_works(questdb: QuestDB, name: str) -> None:
    """A table may be called by a word of SQL, with spaces, dashes, dots, letters of any kind."""
    mark = uuid4().hex[:8]
    more = (f"{name}{mark}{number}" for number in range(1, 6))
    schema = schema_of(TableNames(f"{name} {mark}", *more))
    assert len(ensure(client_of(questdb), schema)) == 6
    assert ensure(client_of(questdb), schema) == ()
    publish(questdb, *rows_of(full_sweep(), schema), sweep_row(full_sweep(), schema))
    count_of(questdb, f"{name} {mark}", 2)
    for table, count in zip(schema.tables[1:], (3, 1, 1, 1, 2), strict=True):
        count_of(questdb, table.name, count)


@pytest.mark.e2e
def test_several_at_once_do_not_disturb_each_other(questdb: QuestDB) -> None:
    """Eight runs that find the same tables missing, or lacking columns, all succeed."""
    for _ in range(5):
        schema = fresh("race")
        questdb.sql(
            f'CREATE TABLE "{schema.hosts.name}" (host SYMBOL, timestamp TIMESTAMP) {DAY} WAL'
        )
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ensure(client_of(questdb), schema), range(8)))  # noqa: B023
        assert inspect(client_of(questdb), schema) == Plan()


# --- the table as per-node publishers made it

UNITS = ("memory_use", "total_memory", "block_io_in", "block_io_out", "net_io_in", "net_io_out")
SYMBOLS = ("host", "container", "name")


def _old_cells(minute: int, host: str) -> tuple[dict[str, str], dict[str, Any]]:
    symbols = {"host": host, "container": f"{host}-c", "name": "web"}
    columns: dict[str, Any] = {
        "id": "f" * 12,
        "cpu": 1.5 + minute,
        "memory_percentage": 2.5,
        "pids": 3,
    }
    for number, name in enumerate(UNITS):
        columns[name] = 10.25 * number
        columns[f"{name}_unit"] = "MiB" if "memory" in name else "kB"
    return symbols, columns


def _by_client(version: int, at: Callable[[int], Any]) -> Callable[[QuestDB, str], None]:
    def make(questdb: QuestDB, table: str) -> None:
        conf = f"{questdb.conf}protocol_version={version};auto_flush=off;"
        with client_library.Sender.from_conf(conf) as sender:
            for minute in range(4):
                for host in ("n1", "n2", "n2"):  # one of them twice: a publisher that retried
                    symbols, columns = _old_cells(minute, host)
                    sender.row(table, symbols=symbols, columns=columns, at=at(minute))
            sender.flush()

    return make


def _by_hand(questdb: QuestDB, table: str) -> None:
    """As a shell script with curl does: strings, no symbols, integers where figures are round."""
    lines = []
    for minute in range(4):
        for host in ("n1", "n2", "n2"):
            symbols, columns = _old_cells(minute, host)
            fields = [f'{name}="{value}"' for name, value in symbols.items()]
            fields += [
                f"{name}=3i" if name == "pids" else f"{name}={value!r}".replace("'", '"')
                for name, value in columns.items()
            ]
            lines.append(f"{table} {','.join(fields)} {_micros(minute)}000\n")
    request = urllib.request.Request(f"{questdb.url}/write", "".join(lines).encode())
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status == 204


def _micros(minute: int) -> int:
    return 1_750_000_000_000_000 + minute * 60_000_000


MAKERS = {
    "client, microseconds": _by_client(2, lambda m: client_library.TimestampMicros(_micros(m))),
    "client, nanoseconds": _by_client(
        2, lambda m: client_library.TimestampNanos(_micros(m) * 1000)
    ),
    "client, version 1": _by_client(1, lambda m: client_library.TimestampNanos(_micros(m) * 1000)),
    "curl": _by_hand,
}
OLD_QUERIES = (
    "SELECT * FROM {old}",
    "SELECT host, avg(cpu) cpu, max(pids) pids FROM {t} WHERE timestamp IN '2025' ORDER BY host",
    "SELECT timestamp, host, avg(memory_use) m FROM {t} WHERE memory_use_unit = 'MiB' "
    "AND host = 'n2' SAMPLE BY 1m",
    "SELECT host, name, last(net_io_in) n, last(net_io_in_unit) u FROM {t} "
    "WHERE timestamp IN '2025' GROUP BY host, name ORDER BY host",
    "SELECT host, container, cpu FROM {t} WHERE timestamp IN '2025' "
    "LATEST ON timestamp PARTITION BY host, container ORDER BY host",
    "SELECT count_distinct(container) c FROM {t} WHERE timestamp IN '2025'",
    "SELECT DISTINCT memory_use_unit u FROM {t} WHERE timestamp IN '2025' AND id = 'ffffffffffff'",
)


@pytest.mark.e2e
@pytest.mark.parametrize("maker", MAKERS)
def test_the_table_of_per_node_publishers(questdb: QuestDB, maker: str) -> None:
    """Old rows and old queries stay as they are; new rows are deduplicated; unknown is null."""
    schema, client = fresh("old"), client_of(questdb)
    name = schema.containers.name
    MAKERS[maker](questdb, name)
    count_of(questdb, name, 12)
    before = columns_of(questdb, name)
    wanted = [column.strip().split()[0] for column in CONTAINER_STATS.split(",")]
    added = dict(column.split() for column in CONTAINER_STATS.split(",")[20:])
    assert sorted(before) == sorted(wanted[:20])
    assert before["timestamp"] == ("TIMESTAMP_NS" if "nano" in maker else "TIMESTAMP")
    old = f"(SELECT {', '.join(wanted[:20])} FROM \"{name}\" WHERE timestamp IN '2025')"
    queries = [query.format(old=old, t=f'"{name}"') for query in OLD_QUERIES]
    answers = [questdb.sql(query) for query in queries]
    assert all(answers)

    quoted = f'ALTER TABLE "{name}"'
    assert list(added)[:4] == ["service", "image", "sampled", "source"]
    assert [text for text in ensure(client, schema) if name in text] == [
        *(f'{quoted} ADD COLUMN IF NOT EXISTS "{column}" {kind}' for column, kind in added.items()),
        f'{quoted} DEDUP ENABLE UPSERT KEYS("timestamp", "host", "container")',
    ]
    containers = rows_of(small_sweep(), schema)[0]
    publish(questdb, containers)
    publish(questdb, containers)

    count_of(questdb, name, 12 + 2)
    assert [questdb.sql(query) for query in queries] == answers
    assert questdb.sql(
        f"SELECT DISTINCT {', '.join(added)} FROM \"{name}\" WHERE timestamp IN '2025'"
    ) == [dict.fromkeys(added)]
    new = questdb.sql(f"SELECT * FROM \"{name}\" WHERE timestamp IN '2026' ORDER BY name DESC")
    assert [(row["name"], row["cpu"], row["memory_use_unit"], row["service"]) for row in new] == [
        ("web-1", 12.5, "bytes", "web"),
        ("idle", None, "bytes", None),
    ]
    assert new[0]["timestamp"].startswith("2026-11-23T03:00:00.123456")
    after = columns_of(questdb, name)
    assert {column: kind.rstrip("*") for column, kind in after.items()} == before | added
    assert ensure(client, schema) == ()


@pytest.mark.e2e
def test_names_are_equal_in_any_case(questdb: QuestDB) -> None:
    """A table and columns that somebody wrote in other letters are the same to the server."""
    schema = fresh("case")
    name = schema.sweeps.name
    questdb.sql(
        f"CREATE TABLE {name.upper()} (Name SYMBOL, VERSION SYMBOL, Hosts LONG, Failed LONG, "
        f"Containers LONG, Dropped LONG, Spooled LONG, Timestamp TIMESTAMP) {DAY} WAL"
    )
    assert [text for text in ensure(client_of(questdb), schema) if name in text] == [
        f'ALTER TABLE "{name}" ADD COLUMN IF NOT EXISTS "elapsed" DOUBLE',
        f'ALTER TABLE "{name}" DEDUP ENABLE UPSERT KEYS("timestamp", "name")',
    ]
    publish(questdb, sweep_row(small_sweep(), schema))
    rows = questdb.wait_rows(f"SELECT * FROM {name}", 1)
    assert (rows[0]["Name"], rows[0]["Hosts"], rows[0]["elapsed"]) == ("nightly", 3, 9.5)


# --- dedup keys


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ("timestamp, host, container", True),
        ("timestamp, host, container, name", True),
        ("timestamp, host", False),
        ("timestamp, host, name", False),
        ("timestamp", False),
    ],
)
def test_dedup_keys_of_the_user(questdb: QuestDB, keys: str, kept: bool) -> None:
    """Keys that hold ours stay; others become ours. A row sent twice is one row either way, and
    two containers of a host are two.
    """
    schema = fresh("keys")
    name = schema.containers.name
    statement = create_statement(schema.containers)
    questdb.sql(statement.partition("UPSERT KEYS")[0] + f"UPSERT KEYS({keys})")
    changes = [text for text in ensure(client_of(questdb), schema) if name in text]
    assert changes == (
        []
        if kept
        else [f'ALTER TABLE "{name}" DEDUP ENABLE UPSERT KEYS("timestamp", "host", "container")']
    )
    containers = rows_of(small_sweep(), schema)[0]
    publish(questdb, containers)
    publish(questdb, containers)
    count_of(questdb, name, 2)


# --- types

SENT: dict[str, list[Any]] = {
    "SYMBOL": ["web1", "ü x, y=z", "1", "12:30"],
    "VARCHAR": ["bytes", "x" * 500, "a\nb", "1"],
    "DOUBLE": [1.5, 8_589_934_593.0, 0.1, 1e300],
    "LONG": [0, 3, 40_000, 4_194_305, 2_000_000_001],
    "BOOLEAN": [True, False],
    "TIMESTAMP": [NOW],
}


def _arrives(questdb: QuestDB, kind: str, actual: str) -> bool:
    """Whether every value of a kind that we send arrives in a column of a type as it was sent."""
    name = f"types_{uuid4().hex[:12]}"
    questdb.sql(f"CREATE TABLE {name} (v {actual}, timestamp TIMESTAMP) {DAY} WAL")
    columns: tuple[Column[Any], ...] = (
        Column("v", kind, lambda source: source),
        Column("timestamp", "TIMESTAMP", lambda _source: NOW),
    )
    table = Table(name, columns, ())
    moments = [NOW.replace(microsecond=number) for number in range(len(SENT[kind]))]
    try:
        publish(questdb, Rows(table, tuple(zip(SENT[kind], moments, strict=True))))
        rows = questdb.wait_rows(f"SELECT v FROM {name} ORDER BY timestamp", len(SENT[kind]))
    except QuestDBError:
        return False
    finally:
        questdb.sql(f"DROP TABLE {name}")  # each holds dozens of the server's files open
    return all(_same(row["v"], value) for row, value in zip(rows, SENT[kind], strict=True))


def _same(found: Any, sent: Any) -> bool:
    if isinstance(sent, datetime):
        return str(found).startswith(sent.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    if isinstance(sent, bool) or isinstance(found, bool):
        return found is sent
    return isinstance(found, str) == isinstance(sent, str) and found == sent


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ACCEPTS)
def test_types_that_take_what_we_send(questdb: QuestDB, kind: str) -> None:
    """Of all the server's types exactly those are accepted in which every value arrives."""
    assert [actual for actual in TYPES if _arrives(questdb, kind, actual)] == sorted(
        ACCEPTS[kind], key=TYPES.index
    )


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ACCEPTS)
def test_accepted_types_need_no_change(questdb: QuestDB, kind: str) -> None:
    """A column of an accepted type is left alone, in keys as elsewhere."""
    for actual in ACCEPTS[kind]:
        schema = fresh("accepted")
        table = schema.hosts
        columns = ", ".join(
            f"{column.name} {actual if column.type == kind else column.type}"
            for column in table.columns
        )
        questdb.sql(
            f"CREATE TABLE {table.name} ({columns}) {DAY} WAL DEDUP UPSERT KEYS(timestamp, host)"
        )
        assert len(ensure(client_of(questdb), schema)) == 5  # the other tables
        hosts = rows_of(small_sweep(), schema)[1]
        publish(questdb, hosts, hosts)
        count_of(questdb, table.name, 3)


VALUES = {
    "BYTE": ("7::BYTE", 7),
    "SHORT": ("300::SHORT", 300),
    "CHAR": ("'x'::CHAR", "x"),
    "INT": ("70000", 70_000),
    "LONG": ("1099511627776L", 2**40),
    "FLOAT": ("1.5::FLOAT", 1.5),
    "UUID": (
        "'11111111-2222-3333-4444-555555555555'::UUID",
        "11111111-2222-3333-4444-555555555555",
    ),
    "IPv4": ("'10.0.0.1'::IPv4", "10.0.0.1"),
    "DATE": ("'2025-01-01T00:00:00.123Z'::DATE", "2025-01-01T00:00:00.123000Z"),
}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("kind", "actual"), [(kind, actual) for kind, types in _WIDENS.items() for actual in types]
)
def test_the_way_out_keeps_old_values(questdb: QuestDB, kind: str, actual: str) -> None:
    """ALTER COLUMN TYPE is proposed where the server keeps the column's values in it."""
    schema = fresh("widen")
    table = schema.hosts
    column = next(column.name for column in table.columns if column.type == kind)
    literal, value = VALUES[actual]
    questdb.sql(f"CREATE TABLE {table.name} ({column} {actual}, timestamp TIMESTAMP) {DAY} WAL")
    questdb.sql(f"INSERT INTO {table.name} VALUES ({literal}, '2025-01-01')")
    (conflict,) = inspect(client_of(questdb), schema).conflicts
    way_out = f'ALTER TABLE "{table.name}" ALTER COLUMN "{column}" TYPE {kind}'
    assert conflict == f"{table.name}.{column} is {actual}, fleet writes {kind}: {way_out}"
    questdb.sql(way_out)
    questdb.wait_for(f"SHOW COLUMNS FROM {table.name}", lambda rows: rows[0]["type"] == kind)
    ensure(client_of(questdb), schema)
    (row,) = questdb.sql(f"SELECT {column} v FROM {table.name}")
    assert row["v"] == (str(value) if kind in ("SYMBOL", "VARCHAR") else value)


# --- conflicts


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("make", "conflict", "way_out"),
    [
        (
            "CREATE TABLE {t} (host SYMBOL, elapsed VARCHAR, timestamp TIMESTAMP) {day} WAL",
            '{t}.elapsed is VARCHAR, fleet writes DOUBLE: ALTER TABLE "{t}" RENAME COLUMN '
            '"elapsed" TO "elapsed_old"',
            'ALTER TABLE "{t}" RENAME COLUMN "elapsed" TO "elapsed_old"',
        ),
        (
            "CREATE TABLE {t} (host SYMBOL, Elapsed FLOAT, timestamp TIMESTAMP) {day} WAL",
            '{t}.Elapsed is FLOAT, fleet writes DOUBLE: ALTER TABLE "{t}" ALTER COLUMN '
            '"Elapsed" TYPE DOUBLE',
            'ALTER TABLE "{t}" ALTER COLUMN "Elapsed" TYPE DOUBLE',
        ),
        (
            "CREATE TABLE {t} (host SYMBOL, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL",
            "{t} has the designated timestamp 'ts', not 'timestamp': rename it (RENAME TABLE "
            '"{t}" TO "{t}_old") and fleet makes a new one, or give fleet another name for it',
            'RENAME TABLE "{t}" TO "{t}_old"',
        ),
        (
            "CREATE TABLE {t} (host SYMBOL, timestamp TIMESTAMP)",
            '{t} has no designated timestamp: rename it (RENAME TABLE "{t}" TO "{t}_old") and '
            "fleet makes a new one, or give fleet another name for it",
            'RENAME TABLE "{t}" TO "{t}_old"',
        ),
        (
            "CREATE TABLE {t} (host SYMBOL, timestamp TIMESTAMP) TIMESTAMP(timestamp)",
            "{t} is not partitioned, so that it takes no rows over HTTP: rename it (RENAME TABLE "
            '"{t}" TO "{t}_old") and fleet makes a new one, or give fleet another name for it',
            'RENAME TABLE "{t}" TO "{t}_old"',
        ),
        (
            "CREATE VIEW {t} AS (SELECT 1 one)",
            "{t} is a view: give fleet another name for its table",
            "DROP VIEW {t}",
        ),
    ],
)
def test_conflicts_change_nothing(questdb: QuestDB, make: str, conflict: str, way_out: str) -> None:
    """A table that cannot take our rows is said with the way out, which works; until then
    nothing at all is changed, not even what could be.
    """
    schema, client = fresh("conflict"), client_of(questdb)
    name = schema.hosts.name
    questdb.sql(make.format(t=name, day=DAY))
    with pytest.raises(SchemaError) as caught:
        ensure(client, schema)
    assert str(caught.value) == conflict.format(t=name)
    assert questdb.sql(f"SELECT * FROM tables() WHERE table_name = '{schema.sweeps.name}'") == []
    questdb.sql(way_out.format(t=name))
    questdb.wait_for("SELECT 1 one", lambda _rows: not inspect(client, schema).conflicts)
    ensure(client, schema)
    publish(questdb, *rows_of(small_sweep(), schema))
    count_of(questdb, name, 3)


@pytest.mark.e2e
def test_a_table_without_wal(questdb: QuestDB) -> None:
    """Such a table takes no rows over HTTP; the server turns it into one with WAL on a restart."""
    schema = fresh("nowal")
    name = schema.hosts.name
    questdb.sql(f"CREATE TABLE {name} (host SYMBOL, timestamp TIMESTAMP) {DAY} BYPASS WAL")
    with pytest.raises(SchemaError) as caught:
        ensure(client_of(questdb), schema)
    assert str(caught.value) == (
        f"{name} has no WAL, so that it takes no rows over HTTP: "
        f'ALTER TABLE "{name}" SET TYPE WAL, then restart QuestDB'
    )
    with pytest.raises(QuestDBError, match="cannot insert in non-WAL table"):
        publish(questdb, rows_of(small_sweep(), schema)[1])


@pytest.mark.e2e
def test_a_materialized_view_is_no_table(questdb: QuestDB) -> None:
    """Its name cannot be ours."""
    schema = fresh("matview")
    name = schema.hosts.name
    questdb.sql(f"CREATE TABLE {name}_base (cpu DOUBLE, timestamp TIMESTAMP) {DAY} WAL")
    questdb.sql(
        f"CREATE MATERIALIZED VIEW {name} AS (SELECT timestamp, avg(cpu) cpu FROM {name}_base "
        "SAMPLE BY 1m) PARTITION BY DAY"
    )
    plan = inspect(client_of(questdb), schema)
    assert plan.conflicts == (f"{name} is a view: give fleet another name for its table",)


@pytest.mark.e2e
def test_all_conflicts_are_said_at_once(questdb: QuestDB) -> None:
    """Nobody has to run it again to hear of the next one."""
    schema = fresh("several")
    questdb.sql(
        f"CREATE TABLE {schema.hosts.name} (host INT, dropped VARCHAR, sampled DATE, "
        f"timestamp TIMESTAMP) {DAY} WAL"
    )
    questdb.sql(f"CREATE TABLE {schema.sweeps.name} (name SYMBOL)")
    with pytest.raises(SchemaError) as caught:
        ensure(client_of(questdb), schema)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        f"{schema.hosts.name}.host is INT, fleet writes SYMBOL",
        f"{schema.hosts.name}.dropped is VARCHAR, fleet writes LONG",
        f"{schema.hosts.name}.sampled is DATE, fleet writes TIMESTAMP",
        f"{schema.sweeps.name} has no designated timestamp",
    ]


class Meddled(Client):
    """A client whose tables somebody else changes just before a statement that begins like that."""

    def __init__(self, questdb: QuestDB, before: str, *does: str) -> None:
        super().__init__(parse_conf(questdb.conf, "test"))
        self._questdb, self._before, self._does = questdb, before, [*does]

    def _exec(self, sql: str) -> dict[str, Any]:
        if sql.startswith(self._before):
            for statement in self._does:
                self._questdb.sql(statement)
            self._does = []
        return super()._exec(sql)


@pytest.mark.e2e
@pytest.mark.parametrize("before", ["SHOW COLUMNS FROM", "ALTER TABLE"])
def test_a_table_that_is_dropped_while_we_look_is_made(questdb: QuestDB, before: str) -> None:
    """Between two questions, or before a column is added."""
    schema = fresh("gone")
    name = schema.containers.name
    questdb.sql(f"CREATE TABLE {name} (host SYMBOL, timestamp TIMESTAMP) {DAY} WAL")
    client = Meddled(questdb, f'{before} "{name}"', f"DROP TABLE {name}")
    done = ensure(client, schema)
    assert set(done) == {create_statement(table) for table in schema.tables}
    assert inspect(client, schema) == Plan()


@pytest.mark.e2e
def test_a_table_that_is_made_anew_while_we_look_is_looked_at(questdb: QuestDB) -> None:
    """What took its place has the conflict."""
    schema = fresh("swapped")
    ensure(client_of(questdb), schema)
    name = schema.containers.name
    again = f"CREATE TABLE {name} (host SYMBOL, timestamp TIMESTAMP) {DAY} BYPASS WAL"
    client = Meddled(questdb, f'SHOW COLUMNS FROM "{name}"', f"DROP TABLE {name}", again)
    with pytest.raises(SchemaError, match="has no WAL"):
        ensure(client, schema)


# --- what is not QuestDB, or does not want us

UNAUTHORIZED = answer(401, "Unauthorized\r\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            UNAUTHORIZED,
            QuestDBError,
            "asks for a login (401): username and password, or a token, are not set",
        ),
        (answer(403, "no"), QuestDBError, "forbids it to this login (403): no"),
        (
            answer(301, location="https://db.example.com/exec"),
            QuestDBError,
            "answered 301, moved to 'https://db.example.com/exec': write that into addr",
        ),
        (
            answer(200, "<html>\x1b[31mWelcome</html>"),
            QuestDBError,
            r"answered 200 with what is not QuestDB's: '<html>\x1b[31mWelcome</html>'",
        ),
        (answer(200, "[]"), QuestDBError, "answered 200 with what is not QuestDB's: '[]'"),
        (
            answer(502, "<h1>Bad Gateway</h1>"),
            QuestDBUnreachable,
            "answered 502: '<h1>Bad Gateway</h1>'",
        ),
        (answer(429, "slow down"), QuestDBUnreachable, "answered 429: 'slow down'"),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            QuestDBUnreachable,
            "no answer in HTTP: BadStatusLine('SSH-2.0-OpenSSH_9.2\\r\\n')",
        ),
        (b"", QuestDBUnreachable, "Remote end closed connection without response"),
        (
            answer(200, "{}")[:-2],
            QuestDBUnreachable,
            "no answer in HTTP: IncompleteRead(0 bytes read, 2 more expected)",
        ),
    ],
)
def test_what_answers_instead(said: bytes, kind: type[Exception], message: str) -> None:
    """A proxy, a login page, a server in trouble, another service: one line, and which."""
    with answering(said) as door, pytest.raises(QuestDBError) as caught:
        inspect(Client(parse_conf(door.conf, "x")), fresh())
    assert type(caught.value) is kind
    assert str(caught.value) == f"QuestDB at 127.0.0.1:{door.port}: {message}"


def test_a_refused_login_does_not_show_it() -> None:
    """The login is sent as HTTP wants it, and is in no text, even if the server repeats it."""
    conf = "username=joe;password=hunter2;"
    with answering(UNAUTHORIZED) as door, pytest.raises(QuestDBError) as caught:
        inspect(Client(parse_conf(door.conf + conf, "x")), fresh())
    assert str(caught.value) == f"QuestDB at 127.0.0.1:{door.port}: refused the login (401)"
    assert b"Authorization: Basic am9lOmh1bnRlcjI=\r\n" in door.requests[0]
    with answering(answer(500, "am9lOmh1bnRlcjI= is joe:hunter2")) as door:
        with pytest.raises(QuestDBError) as caught:
            inspect(Client(parse_conf(door.conf + conf, "x")), fresh())
        assert str(caught.value).endswith("answered 500: '*** is joe:***'")


def test_nothing_there() -> None:
    """Nobody listens, or the name does not resolve: unreachable, at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address, message in {
        f"127.0.0.1:{port}": "Connection refused",
        "no-such-host.invalid:9000": "Name or service not known",
    }.items():
        with pytest.raises(QuestDBUnreachable) as caught:
            ensure(Client(parse_conf(f"http::addr={address};", "x")), fresh())
        assert str(caught.value) == f"QuestDB at {address}: {message}"


def _trickle(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"H")
        time.sleep(0.1)


@pytest.mark.parametrize("behaviour", [lambda _connection: time.sleep(10), _trickle])
def test_every_wait_is_bounded(behaviour: Callable[[socket.socket], object]) -> None:
    """A server that is silent, or sends a byte now and then, costs the request time-out."""
    with answering(lambda _request: behaviour) as door:
        conf = f"http::addr=127.0.0.1:{door.port};request_timeout=500;"
        started = time.monotonic()
        with pytest.raises(QuestDBUnreachable) as caught:
            inspect(Client(parse_conf(conf, "x")), fresh())
        assert time.monotonic() - started < 3
    assert str(caught.value) == f"QuestDB at 127.0.0.1:{door.port}: no answer within 0.5 s"


def test_an_endless_answer_is_cut() -> None:
    """Memory does not pay for a server that never stops."""

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with answering(lambda _request: flood) as door, pytest.raises(QuestDBUnreachable) as caught:
        inspect(Client(parse_conf(door.conf, "x")), fresh())
    assert "an answer without end" in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        '{"config":{"release.version":"8.3.3","line.proto.support.versions":[1]}}',
        '{"release.version":"8.3.3"}',
    ],
)
def test_an_old_server_is_said(settings: str) -> None:
    """A server that does not read our version of ILP is named before anything is changed."""
    with answering(answer(200, settings)) as door, pytest.raises(QuestDBError) as caught:
        ensure(Client(parse_conf(door.conf, "x")), fresh())
    assert str(caught.value) == (
        f"QuestDB at 127.0.0.1:{door.port} is older than 9.0, the oldest that fleet writes to "
        "(it says '8.3.3')"
    )
    assert [request.split()[1] for request in door.requests] == [b"/settings"]


def test_a_proxy_may_hide_the_settings() -> None:
    """Where /settings is not passed on, the tables are looked at all the same."""

    def choose(request: bytes) -> bytes:
        if request.startswith(b"GET /settings "):
            return answer(404)
        return answer(200, '{"columns":[],"dataset":[]}')

    with answering(choose) as door:
        plan = inspect(Client(parse_conf(door.conf, "x")), schema_of(TableNames()))
    assert len(plan.statements) == 6


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the configuration names is what is asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(answer(403)) as door, pytest.raises(QuestDBError, match="forbids"):
        inspect(Client(parse_conf(door.conf, "x")), fresh())


def test_roots_that_cannot_be_read(tmp_path: Path) -> None:
    """A file of certificates that is missing, or holds none, is an error of usage."""
    for name, reason in {"none.pem": "No such file", "empty.pem": "no certificate"}.items():
        file = tmp_path / name
        if name == "empty.pem":
            file.write_text("nothing")
        with pytest.raises(UsageError, match=reason) as caught:
            Client(Target("https", tls_roots=str(file)))
        assert str(caught.value).startswith(f"tls_roots={file}: ")


@pytest.mark.e2e
def test_a_refused_statement_gives_the_servers_reason(questdb: QuestDB) -> None:
    """Whoever reads it sees what the server said."""
    with pytest.raises(QuestDBError) as caught:
        client_of(questdb).execute("DROP TABLE nothing_of_this_name")
    address = f"{questdb.host}:{questdb.port}"
    assert str(caught.value) == (
        f"QuestDB at {address}: refused a statement: "
        "table does not exist [table=nothing_of_this_name]"
    )
