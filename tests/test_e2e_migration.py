"""A table that per-node publishers filled, taken over as the manual says: nothing old is lost."""

import re
from typing import Any

import pytest
import questdb as client_library

from tests.command import fleet
from tests.lab.lab import PROJECT
from tests.lab.questdb import QuestDB
from tests.lab.tables import table_words
from tests.test_schema import client_of, count_of, fresh, names_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst"),
]

PAGE = (PROJECT / "docs/migration.md").read_text()
(NORMALISED,) = re.findall(r"\n```sql\n(SELECT timestamp, host, name,.*?)\n```", PAGE, re.DOTALL)
(STILL_WRITE,) = re.findall(r"\n```sql\n(SELECT host, max\(.*?)\n```", PAGE, re.DOTALL)

MEMORY = (
    *((512.0, "B", 512), (1.5, "KiB", 1536), (100.25, "MiB", 105_119_744)),
    *((2.0, "GiB", 2_147_483_648), (0.5, "TiB", 549_755_813_888), (7.0, "pages", None)),
)
NETWORK = (
    *((656.0, "B", 656), (1.23, "kB", 1230), (4.5, "KB", 4500), (7.89, "MB", 7_890_000)),
    *((1.24, "GB", 1_240_000_000), (2.5, "TB", 2_500_000_000_000)),
)


@pytest.fixture
def old(questdb: QuestDB):
    """The table, with a row for each unit, written minutes ago by the official client."""
    schema = fresh("migrate")
    name = schema.containers.name
    now_us = questdb.sql("SELECT now()::LONG now")[0]["now"]
    conf = f"{questdb.conf}protocol_version=2;auto_flush=off;"
    with client_library.Sender.from_conf(conf) as sender:
        for number, (memory, net) in enumerate(zip(MEMORY, NETWORK, strict=True)):
            sender.row(
                name,
                symbols={"host": "n1", "container": f"c{number}", "name": f"web-{number}"},
                columns=_cells(memory, net),
                at=client_library.TimestampMicros(now_us - (10 - number) * 60_000_000),
            )
        sender.flush()
    count_of(questdb, name, len(MEMORY))
    return schema


def _cells(memory: tuple[float, str, Any], net: tuple[float, str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {"id": "f" * 12, "cpu": 1.5, "memory_percentage": 2.5, "pids": 3}
    for name in ("memory_use", "total_memory"):
        cells |= {name: memory[0], f"{name}_unit": memory[1]}
    for name in ("block_io_in", "block_io_out", "net_io_in", "net_io_out"):
        cells |= {name: net[0], f"{name}_unit": net[1]}
    return cells


def words(questdb: QuestDB, schema: Any) -> list[str]:
    """The options that name the server and the tables."""
    names = names_of(schema)
    tables = {kind: getattr(names, kind) for kind in names.__slots__}
    return ["--questdb", questdb.conf, *table_words(tables)]


def test_taken_over_by_apply(questdb, old):
    """The statements are those that the page shows; every old row is as it was, and no other."""
    name = old.containers.name
    before = questdb.sql(f'SELECT * FROM "{name}" ORDER BY timestamp')
    planned = fleet("schema", *words(questdb, old))
    assert planned.returncode == 0, planned.stderr
    block = (
        PAGE.partition("$ fleet schema\n")[2].partition("```")[0].replace("containerStats", name)
    )
    shown = [line for line in block.splitlines() if line != "..."]
    assert [line for line in planned.stdout.splitlines() if line in shown] == shown
    applied = fleet("schema", "--apply", *words(questdb, old))
    assert (applied.returncode, applied.stdout) == (0, planned.stdout)
    assert fleet("schema", *words(questdb, old)).stdout == ""
    after = questdb.sql(f'SELECT * FROM "{name}" ORDER BY timestamp')
    assert [{key: row[key] for key in before[0]} for row in after] == before
    assert {row[key] for row in after for key in row.keys() - before[0].keys()} == {None}


def test_old_and_new_rows_in_bytes(questdb, old):
    """The page's query reads every unit right, beside a row of ours; a strange unit is null."""
    name = old.containers.name
    assert fleet("schema", "--apply", *words(questdb, old)).returncode == 0
    now_us = questdb.sql("SELECT now()::LONG now")[0]["now"]
    line = f"{name},host=n1,container=new,name=web-new memory_use=1048576.5,net_io_in=4096.0"
    line += ',memory_use_unit="bytes",net_io_in_unit="bytes",sampled='
    client_of(questdb).write(f"{line}{now_us}t {now_us}000\n".encode())
    count_of(questdb, name, len(MEMORY) + 1)
    rows = questdb.sql(NORMALISED.replace("containerStats", f'"{name}"'))
    expected = [(m[2], n[2]) for m, n in zip(MEMORY, NETWORK, strict=True)]
    expected.append((1_048_576.5, 4096))
    assert [row["memory_bytes"] for row in rows] == [
        None if memory is None else pytest.approx(memory, rel=1e-12) for memory, _net in expected
    ]
    assert [row["net_in_bytes"] for row in rows] == [
        pytest.approx(net, rel=1e-12) for _memory, net in expected
    ]
    assert [row["host"] for row in questdb.sql(STILL_WRITE.replace("containerStats", f'"{name}"'))]


def test_publishers_may_go_on_writing(questdb, old):
    """After the take-over a publisher's rows are taken as before, and told from ours."""
    name = old.containers.name
    assert fleet("schema", "--apply", *words(questdb, old)).returncode == 0
    now_us = questdb.sql("SELECT now()::LONG now")[0]["now"]
    conf = f"{questdb.conf}protocol_version=2;auto_flush=off;"
    with client_library.Sender.from_conf(conf) as sender:
        sender.row(
            name,
            symbols={"host": "n2", "container": "c", "name": "late"},
            columns=_cells(MEMORY[0], NETWORK[0]),
            at=client_library.TimestampMicros(now_us),
        )
        sender.flush()
    count_of(questdb, name, len(MEMORY) + 1)
    found = questdb.sql(STILL_WRITE.replace("containerStats", f'"{name}"'))
    assert [row["host"] for row in found] == ["n1", "n2"]
