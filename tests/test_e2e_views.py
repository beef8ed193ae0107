"""`fleet schema --views`, `--ttl`, `--views-ttl` on a real QuestDB, and the compose file."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from fleet.tables import Schema
from tests.command import fleet
from tests.grafana import ALL, Range, expanded, questions
from tests.lab.lab import PROJECT
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll
from tests.test_schema import fresh

pytestmark = pytest.mark.e2e

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
COMPOSE = PROJECT / "deploy/compose.yaml"


class Server:
    """Tables of one test on the server, and `fleet schema` for them."""

    def __init__(self, questdb: QuestDB, schema: Schema, folder: Path) -> None:
        self.questdb = questdb
        self.schema = schema
        self.containers = schema.containers.name
        self.inventory = folder / "inventory.yaml"
        names = [table.name for table in schema.tables]
        options = (
            "table",
            "status-table",
            "sweep-table",
            "state-table",
            "node-table",
            "disk-table",
        )
        self.words = ["--questdb", questdb.conf]
        for option, name in zip(options, names, strict=True):
            self.words += [f"--{option}", name]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`fleet schema` with options."""
        return fleet("schema", *self.words, *words)

    def with_labels(self, *labels: str) -> list[str]:
        """The option that names an inventory with these labels."""
        names = ", ".join(labels)
        self.inventory.write_text(f"all: {{hosts: {{a: }}, vars: {{fleet_labels: [{names}]}}}}")
        return ["-i", str(self.inventory)]

    def ttl(self, name: str) -> tuple[int, str]:
        """How long the server keeps a table's or a view's rows."""
        (row,) = self.questdb.sql(
            f"SELECT ttlValue, ttlUnit FROM tables() WHERE table_name = '{name}'"
        )
        return row["ttlValue"], row["ttlUnit"]

    def views(self) -> dict[str, str]:
        """The status of each of our views."""
        rows = self.questdb.sql("SELECT view_name, view_status FROM materialized_views()")
        return {
            row["view_name"]: row["view_status"]
            for row in rows
            if row["view_name"].startswith(self.containers)
        }


@pytest.fixture
def server(questdb: QuestDB, tmp_path: Path) -> Iterator[Server]:
    """The server, with tables of this test and no views yet."""
    found = Server(questdb, fresh(), tmp_path)
    assert found.run("--apply").returncode == 0
    yield found
    for name in found.views():
        questdb.sql(f'DROP MATERIALIZED VIEW IF EXISTS "{name}"')


def test_views_are_shown_then_made_once(server):
    """Without --apply nothing changes; with it the views are there; a second run has nothing."""
    shown = server.run("--views")
    assert shown.stdout.count("CREATE MATERIALIZED VIEW") == 2
    assert server.views() == {}
    assert server.run("--views", "--apply").stdout == shown.stdout
    assert set(server.views()) == {f"{server.containers}_10m", f"{server.containers}_1h"}
    again = server.run("--views", "--apply")
    assert (again.stdout, again.stderr, again.returncode) == ("", "", 0)


def test_views_need_no_tables_before(questdb, tmp_path):
    """On an empty server, one command makes tables and views."""
    server = Server(questdb, fresh(), tmp_path)
    done = server.run("--views", "--apply")
    assert done.returncode == 0
    assert len(server.views()) == 2
    for name in server.views():
        questdb.sql(f'DROP MATERIALIZED VIEW "{name}"')


def test_a_view_without_a_label_is_a_conflict(server):
    """Labels that the inventory has got since: the error names the view and the way out."""
    server.run("--views", "--apply", *server.with_labels("env"))
    fine = server.run("--views", *server.with_labels("env"))
    assert (fine.stdout, fine.returncode) == ("", 0)
    done = server.run("--views", "--apply", *server.with_labels("env", "role"))
    assert done.returncode == 2
    assert f"{server.containers}_10m has no column role" in done.stderr
    assert f'DROP MATERIALIZED VIEW "{server.containers}_1h"' in done.stderr
    for name in server.views():
        server.questdb.sql(f'DROP MATERIALIZED VIEW "{name}"')
    again = server.run("--views", "--apply", *server.with_labels("env", "role"))
    assert again.returncode == 0
    assert len(server.views()) == 2


def test_views_have_the_labels_that_the_table_has(server):
    """Without an inventory they are taken from the server, so that every dashboard finds them."""
    server.run("--apply", *server.with_labels("env", "role"))
    assert server.run("--views", "--apply").returncode == 0
    for name in server.views():
        columns = {row["column"] for row in server.questdb.sql(f'SHOW COLUMNS FROM "{name}"')}
        assert {"env", "role"} <= columns


@pytest.mark.parametrize("labels", [("env", "role"), (), ("order", "limit")])
def test_every_question_is_one_after_the_manuals_commands(server, tmp_path, labels):
    """schema --apply, schema --views --apply, dashboards: no question names what is not there, also
    where labels are words of SQL's, or there are none.
    """
    words = server.with_labels(*labels)
    assert server.run("--apply", *words).returncode == 0
    assert server.run("--views", "--apply").returncode == 0
    names = server.words[2:]
    written = fleet("dashboards", "--out", tmp_path / "grafana", *names, *words)
    assert (written.returncode, written.stderr) == (0, "")
    chosen = dict.fromkeys((*labels, "service", "container"), ALL)
    for question in questions(tmp_path / "grafana"):
        is_of_one = question.page == "host" and question.kind != "variable"
        of = {**chosen, "host": ["a", "b"] if is_of_one else ALL}
        for hours in (1, 30, 200):
            span = Range(NOON - timedelta(hours=hours), NOON)
            server.questdb.sql(expanded(question.sql, span, of))


def test_a_table_in_the_place_of_a_view_is_a_conflict(server):
    """A table that somebody keeps under that name is left alone, and the way out is named."""
    name = f"{server.containers}_10m"
    server.questdb.sql(f'CREATE TABLE "{name}" (a INT)')
    done = server.run("--views", "--apply")
    server.questdb.sql(f'DROP TABLE "{name}"')
    assert done.returncode == 2
    assert f'RENAME TABLE "{name}"' in done.stderr


def test_what_is_shown_for_an_empty_server_has_the_ttl(questdb, tmp_path):
    """Who runs the printed statements by hand gets what --apply would have made."""
    server = Server(questdb, fresh(), tmp_path)
    shown = server.run("--views", "--ttl", "30d", "--views-ttl", "52w").stdout
    for statement in shown.splitlines():
        questdb.sql(statement.rstrip(";"))
    poll(lambda: len(server.views()) == 2, 20, "both views")
    again = server.run("--views", "--ttl", "30d", "--views-ttl", "52w")
    for name in server.views():
        questdb.sql(f'DROP MATERIALIZED VIEW "{name}"')
    assert again.stdout == ""
    assert shown.count("SET TTL") == 8


@pytest.mark.parametrize("label", ["time", "cpu_sum", "samples", "Peak"])
def test_labels_that_questions_need_are_refused(server, label):
    """A label's column would stand beside one of our own in a question of a dashboard."""
    done = server.run(*server.with_labels(label))
    assert done.returncode == 2
    assert label in done.stderr


def test_a_new_label_of_the_table_leaves_views_alone(server):
    """`collect` adds a column to the table: the views go on, and stay up to date."""
    server.run("--views", "--apply")
    server.run("--apply", *server.with_labels("zone"))
    server.questdb.sql(
        f'INSERT INTO "{server.containers}" (timestamp, host, container, cpu, zone) '
        "VALUES ('2026-11-01T12:00:00Z', 'a', 'b', 3.0, 'z')"
    )
    view = f'SELECT cpu_sum FROM "{server.containers}_1h"'
    assert server.questdb.wait_rows(view, 1) == [{"cpu_sum": 3.0}]
    assert set(server.views().values()) == {"valid"}


def test_a_view_that_was_given_up_is_refreshed(server):
    """After a TRUNCATE of the table QuestDB follows no more; --views says what mends it."""
    server.run("--views", "--apply")
    server.questdb.sql(f'TRUNCATE TABLE "{server.containers}"')
    poll(lambda: set(server.views().values()) == {"invalid"}, 20, "views that are given up")
    done = server.run("--views", "--apply")
    assert done.stdout.count("REFRESH MATERIALIZED VIEW") == 2
    poll(lambda: set(server.views().values()) == {"valid"}, 20, "views that hold again")


def test_a_view_of_another_table_is_a_conflict(server):
    """A name that is taken by somebody's own view is not touched."""
    mine = server.schema.hosts.name
    server.questdb.sql(
        f'CREATE MATERIALIZED VIEW "{server.containers}_1h" WITH BASE "{mine}" AS '
        f'(SELECT timestamp, host, count() AS n FROM "{mine}" SAMPLE BY 1h) PARTITION BY DAY'
    )
    done = server.run("--views")
    assert done.returncode == 2
    assert f"is a view of {mine}" in done.stderr


def test_ttl_of_tables_and_views(server):
    """Each is told once, by the unit that was asked for, and can be changed."""
    views = [f"{server.containers}_10m", f"{server.containers}_1h"]
    done = server.run("--views", "--ttl", "30d", "--views-ttl", "52w", "--apply")
    assert done.returncode == 0
    assert done.stdout.count("SET TTL 30 DAYS") == 6
    assert done.stdout.count("SET TTL 364 DAYS") == 2
    assert all(server.ttl(table.name)[0] for table in server.schema.tables)
    assert {server.ttl(name) for name in views} == {(52, "WEEK")}
    same = server.run("--views", "--ttl", "30d", "--views-ttl", "364d", "--apply")
    assert same.stdout == ""
    assert server.run("--ttl", "14d").stdout.count("SET TTL 14 DAYS") == 6
    assert server.run("--apply").stdout == "", "no option, no change"


def test_ttl_that_the_table_cannot_have(server):
    """A table of months keeps months: the error names the statement, and what went before holds."""
    name = server.schema.disks.name
    server.questdb.sql(f'DROP TABLE "{name}"')
    server.questdb.sql(
        f'CREATE TABLE "{name}" (timestamp TIMESTAMP, host SYMBOL, mount SYMBOL) '
        "TIMESTAMP(timestamp) PARTITION BY MONTH WAL"
    )
    done = server.run("--ttl", "10d", "--apply")
    assert done.returncode == 2
    assert f'ALTER TABLE "{name}" SET TTL 10 DAYS' in done.stderr
    assert done.stdout.count("SET TTL") == 5


@pytest.mark.parametrize("text", ["30", "0d", "12h", "1.5d", "-1d", "forever", "", "99999d"])
def test_bad_ttl_is_named(server, text):
    """What is no number of days or weeks is an error that shows two that are."""
    done = server.run("--ttl", text)
    assert done.returncode == 2
    assert f"--ttl: expected a number of whole days or weeks, as 30d or 8w, not {text!r}" in (
        done.stderr
    )


def test_views_ttl_goes_with_views(server):
    """Alone it would change nothing, and says so."""
    done = server.run("--views-ttl", "30d")
    assert done.returncode == 2
    assert "--views-ttl goes with --views" in done.stderr


def test_compose_file_is_one():
    """docker compose takes it, asks for both passwords, and opens ports on this machine alone."""
    passwords = {"FLEET_QUESTDB_PASSWORD": "a", "GRAFANA_PASSWORD": "b"}
    done = _compose(passwords)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"questdb", "grafana"}
    for service in services.values():
        assert service["ports"]
        assert all("127.0.0.1" in str(port) for port in service["ports"])
    for missing in passwords:
        some = {name: value for name, value in passwords.items() if name != missing}
        assert _compose(some).returncode != 0


def test_compose_file_mounts_what_is_there():
    """The folders it shows to Grafana are those that are checked in, where provisioning looks."""
    grafana = yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"] if volume.startswith("./"))
    assert all((COMPOSE.parent / source).is_dir() for source in mounts)
    text = (COMPOSE.parent / "grafana/provisioning/dashboards/fleet.yaml").read_text()
    (provider,) = yaml.safe_load(text)["providers"]
    assert provider["options"]["path"] == mounts["./grafana/dashboards"]
    source = (COMPOSE.parent / "grafana/provisioning/datasources/questdb.yaml").read_text()
    for name in ("FLEET_QUESTDB_HOST", "FLEET_QUESTDB_USER", "FLEET_QUESTDB_PASSWORD"):
        assert f"${name}" in source
        assert name in grafana["environment"]


def _compose(passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    is_plugin = not subprocess.run(
        ["docker", "compose", "version"], check=False, capture_output=True
    ).returncode
    program = ["docker", "compose"] if is_plugin else ["docker-compose"]
    return subprocess.run(
        [*program, "-f", str(COMPOSE), "config"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **passwords},
    )
