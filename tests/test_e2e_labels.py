"""Labels of the inventory as columns of a real server's tables, from a first sweep without any."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.command import fleet
from tests.lab.inventory import write_inventory
from tests.lab.questdb import QuestDB
from tests.lab.standin import Crowd, crowd
from tests.lab.tables import table_words, tables_named

pytestmark = pytest.mark.e2e

ROWS = 2
VALUES = ({"env": "prod", "role": "web, front=1"}, {"env": "prod"}, {"env": "test", "role": "db"})


@pytest.fixture(scope="module")
def nodes(lab) -> Iterator[Crowd]:
    """Three healthy nodes of two containers."""
    with crowd(lab, "labels", len(VALUES), rows=ROWS, delay_s=0) as crowd_of:
        yield crowd_of


class Job:
    """A fleet of the nodes, its tables, and what is asked of them."""

    def __init__(self, nodes: Crowd, questdb: QuestDB, folder: Path) -> None:
        self._nodes, self._questdb, self._folder = nodes, questdb, folder
        mark = f"labels_{uuid4().hex[:10]}"
        self.named = tables_named(f"{mark}_{{}}")
        self.tables = tuple(self.named.values())
        (folder / "known_hosts").write_text(nodes.known_hosts)

    def words(self, labels: list[str], only: slice = slice(None)) -> list[str]:
        """The options that name an inventory with these labels, of these hosts."""
        hosts = {
            name: {**variables, **values}
            for (name, variables), values in zip(self._nodes.hosts.items(), VALUES, strict=True)
        }
        kept = dict(list(hosts.items())[only])
        common = {"fleet_labels": labels} if labels else {}
        inventory = write_inventory(self._folder / "inventory.yaml", kept, **common)
        return ["-i", str(inventory), "--known-hosts", str(self._folder / "known_hosts")]

    def collect(self, labels: list[str], only: slice = slice(None)) -> str:
        """One sweep → what it said."""
        tables = table_words(self.named)
        run = fleet("collect", *self.words(labels, only), "--questdb", self._questdb.conf, *tables)
        assert run.returncode == 0, run.stderr
        return run.stderr

    def columns(self, table: str) -> dict[str, str]:
        """Types by name."""
        found = self._questdb.sql(f'SHOW COLUMNS FROM "{table}"')
        return {row["column"]: row["type"] for row in found}

    def rows(self, query: str, count: int) -> list[tuple[str | None, ...]]:
        """The rows of a query, once there are so many; never more."""
        found = self._questdb.wait_rows(query, count)
        assert len(found) == count
        return [tuple(row.values()) for row in found]


@pytest.fixture
def job(nodes, questdb, tmp_path) -> Job:
    """A job with tables of its own."""
    return Job(nodes, questdb, tmp_path)


def test_labels_come_to_tables_that_exist(job):
    """Symbols are added to every table; old rows have null, new ones what their host has, and a
    sweep what all its hosts share.
    """
    containers, hosts, sweeps = job.tables[:3]
    job.collect([])
    for table in job.tables:
        assert "env" not in job.columns(table)
    said = job.collect(["env", "role"])
    for table in job.tables:
        columns = job.columns(table)
        assert (columns["env"], columns["role"]) == ("SYMBOL", "SYMBOL")
        assert f'ALTER TABLE "{table}" ADD' in said
    found = job.rows(f'SELECT host, env, role FROM "{hosts}" ORDER BY timestamp, host', 6)
    assert found[:3] == [(f"crowd000{n}", None, None) for n in (1, 2, 3)]
    assert found[3:] == [
        ("crowd0001", "prod", "web, front=1"),
        ("crowd0002", "prod", None),
        ("crowd0003", "test", "db"),
    ]
    query = f"SELECT host, role FROM \"{containers}\" WHERE env = 'prod' ORDER BY host"
    assert job.rows(query, 2 * ROWS) == [
        *[("crowd0001", "web, front=1")] * ROWS,
        *[("crowd0002", None)] * ROWS,
    ]
    latest = f"{query.partition(' ORDER')[0]} LATEST ON timestamp PARTITION BY host, container"
    assert len(job.rows(latest, 2 * ROWS)) == 2 * ROWS
    assert job.rows(f'SELECT env, role FROM "{sweeps}"', 2) == [(None, None)] * 2
    assert job.collect(["env", "role"], slice(0, 2)) == ""
    assert job.rows(f'SELECT env, role FROM "{sweeps}" ORDER BY timestamp', 3)[2] == ("prod", None)


def test_labels_may_go_and_change_places(job):
    """The order in the inventory means nothing to a table, and a label that is gone is null."""
    hosts = job.named["hosts"]
    job.collect(["env", "role"])
    assert job.collect(["role", "env"]) == ""
    assert job.collect(["role"]) == ""
    query = f"SELECT env, role FROM \"{hosts}\" WHERE host = 'crowd0003' ORDER BY timestamp"
    assert job.rows(query, 3) == [("test", "db"), ("test", "db"), (None, "db")]


def test_a_label_that_is_a_column_of_another_type_is_refused_before_ssh(job, questdb):
    """A table that has a number of that name keeps it; the way out is said."""
    hosts = job.named["hosts"]
    job.collect([])
    questdb.sql(f'ALTER TABLE "{hosts}" ADD COLUMN env DOUBLE')
    with pytest.raises(AssertionError, match="env") as caught:
        job.collect(["env"])
    assert hosts in str(caught.value)
    assert "DOUBLE" in str(caught.value)


def test_no_label_has_the_name_of_a_column(job):
    """`host`, in any case of letters, means something else already."""
    run = fleet("snapshot", *job.words(["Host"]))
    assert run.returncode == 2
    assert "Host" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_programs_read_labels_people_need_not(job):
    """JSON, JSON lines, CSV and ILP have them; the table is as it was."""
    words = job.words(["env", "role"])
    document = json.loads(fleet("snapshot", "--format", "json", *words).stdout)
    assert document["sweep"]["env"] is None
    assert [row["role"] for row in document["hostStatus"]] == ["web, front=1", None, "db"]
    assert {row["env"] for row in document["containerStats"]} == {"prod", "test"}
    lines = fleet("snapshot", "--format", "jsonl", "--hosts", *words).stdout.splitlines()
    assert [json.loads(line)["env"] for line in lines] == ["prod", "prod", "test"]
    text = fleet("snapshot", "--format", "csv", "--hosts", *words).stdout
    assert [row["role"] for row in csv.DictReader(io.StringIO(text))] == ["web, front=1", "", "db"]
    ilp = fleet("snapshot", "--format", "ilp", *words).stdout
    assert r"role=web\,\ front\=1" in ilp
    assert "ENV" not in fleet("snapshot", *words).stdout.upper().replace("ENVIRONMENT", "")
