"""What containers are, and what their node is, on real parts: states, memory, disks, types."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.tables import TableNames, schema_of
from tests.command import fleet
from tests.jobs import Row, jobs
from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
SLACK_BYTES = 4 * 2**30
"""What others may write to a disk of this machine while it is looked at."""


@pytest.fixture(scope="module")
def engine(lab) -> Iterator[Engine]:
    """Containers in every state that lasts."""
    with Engine(lab, "engine-of-states") as engine:
        labels = ("--label", f"{PROJECT_LABEL}=shop", "--label", f"{SERVICE_LABEL}=web")
        engine.run("runs", *labels)
        engine.run("failed", command=["sh", "-c", "exit 3"])
        engine.docker("create", "--name", "new", "fleet-lab:1", "sleep", "1")
        engine.run("frozen", command=filled(12))
        engine.docker("pause", "frozen")
        engine.run("well", "--health-cmd", ":", "--health-interval", "1s")
        form = "{{.State.Health.Status}}"
        poll(lambda: engine.docker("inspect", "--format", form, "well") == "healthy", 30, "health")
        yield engine


@pytest.fixture
def make_job(questdb, tmp_path, numbers):
    """`make_job(node, …)`: see `tests.jobs`."""
    with jobs(questdb, tmp_path, numbers) as make:
        yield make


def _inspected(engine: Engine, name: str, field: str) -> str:
    return engine.docker("inspect", "--format", f"{{{{{field}}}}}", name)


def _moment(text: str) -> datetime:
    """A time of QuestDB's or Docker's, to the microsecond."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1Z", text)).astimezone(UTC)


def test_states_are_told_once_and_then_what_changes(engine, make_node, make_job):
    """The first sweep tells all, the next nothing, then one row for each change."""
    job = make_job(make_node(engine=engine))
    gone = engine.run("gone", command=["sleep", "1000000"])
    job.collect("--source", "kernel")
    told = {row["name"]: row for row in job.rows("states", count=6)}
    assert {
        name: (row["state"], row["exit_code"], row["health"]) for name, row in told.items()
    } == {
        "runs": ("running", None, None),
        "failed": ("exited", 3, None),
        "new": ("created", None, None),
        "frozen": ("paused", None, None),
        "well": ("running", None, "healthy"),
        "gone": ("running", None, None),
    }
    for name, row in told.items():
        assert row["id"] == _inspected(engine, name, ".Id")
        assert row["container"] == row["id"][:12]
        assert row["image_id"] == _inspected(engine, name, ".Image")
        assert row["image"] == "fleet-lab:1"
        assert (row["restarts"], row["oom_killed"]) == (0, False)
        assert _moment(row["created"]) == _moment(_inspected(engine, name, ".Created"))
        shop = ("shop", "web") if name == "runs" else (None, None)
        assert (row["project"], row["service"]) == shop
        if name == "new":
            assert row["started"] is row["finished"] is None
        else:
            assert _moment(row["started"]) == _moment(_inspected(engine, name, ".State.StartedAt"))
    finished = _moment(_inspected(engine, "failed", ".State.FinishedAt"))
    assert _moment(told["failed"]["finished"]) == finished

    def news() -> list[Row]:
        """The rows of states of one more sweep."""
        before = len(job.rows("states"))
        job.collect("--source", "kernel")
        return job.rows("states")[before:]

    assert news() == []
    engine.docker("stop", "--time", "0", "gone")
    (row,) = job_rows = news()
    assert (row["name"], row["state"], row["exit_code"]) == ("gone", "exited", 137), job_rows
    engine.docker("rm", "gone")
    (row,) = news()
    assert (row["name"], row["state"], row["id"]) == ("gone", "vanished", gone)
    assert news() == []
    assert len(job.rows("states")) == 8


def test_node_is_what_its_files_say(engine, make_node, make_job):
    """Memory, load, CPUs, boot, kernel, and the version of its engine."""
    job = make_job(make_node(engine=engine))
    began = float(Path("/proc/uptime").read_text().split()[0])
    job.collect("--source", "kernel")
    ended = float(Path("/proc/uptime").read_text().split()[0])
    (row,) = job.rows("nodes", count=1)
    memory = dict(re.findall(r"^(\w+): +(\d+) kB$", Path("/proc/meminfo").read_text(), re.M))
    assert row["memory_total"] == int(memory["MemTotal"]) * 1024
    assert row["memory_available"] == pytest.approx(int(memory["MemAvailable"]) * 1024, rel=0.3)
    assert row["cpus"] == len(re.findall(r"^cpu\d", Path("/proc/stat").read_text(), re.M))
    assert row["kernel"] == os.uname().release
    boot = re.findall(r"^btime (\d+)", Path("/proc/stat").read_text(), re.M)[0]
    assert abs(_moment(row["boot"]) - datetime.fromtimestamp(int(boot), UTC)) <= timedelta(
        seconds=1
    )
    assert began <= row["uptime"] <= ended
    assert all(row[f"load{minutes}"] >= 0 for minutes in (1, 5, 15))
    loads = Path("/proc/loadavg").read_text().split()[:3]
    assert row["load15"] == pytest.approx(float(loads[2]), abs=0.5)
    version = engine.docker("version", "--format", "{{.Server.Version}}")
    assert row["docker_version"] == version
    assert abs(row["clock_skew"]) <= row["clock_skew_doubt"] <= 10
    pressure = Path("/proc/pressure/cpu").exists()
    assert (row["cpu_pressure"] is not None) == pressure


def test_disks_are_what_statvfs_says(engine, make_node, make_job):
    """Sizes and inodes to the byte; what is free, to what others write there meanwhile."""
    node = make_node(engine=engine)
    job = make_job(node)
    root = Path(f"/proc/{node.room.keeper.pid.number}/root")

    def said(disk: Row) -> os.statvfs_result:
        return os.statvfs(root / disk["mount"].lstrip("/"))

    first = job.snapshot("--source", "kernel")["diskStats"]
    before = {disk["mount"]: said(disk) for disk in first}
    job.collect("--source", "kernel")
    disks = job.rows("disks", count=len(first))
    assert {disk["mount"] for disk in disks} == before.keys() >= {"/"}
    assert len(disks) == len(before)
    for disk in disks:
        early, late = before[disk["mount"]], said(disk)
        assert disk["size"] == late.f_blocks * late.f_frsize
        free = sorted(one.f_bavail * one.f_frsize for one in (early, late))
        assert free[0] - SLACK_BYTES <= disk["available"] <= free[1] + SLACK_BYTES
        used = (late.f_blocks - late.f_bfree) / late.f_blocks * 100
        assert disk["used_percentage"] == pytest.approx(used, abs=2)
        assert disk["inodes"] == (late.f_files or None)
        if disk["inodes"]:
            assert disk["inodes_free"] == pytest.approx(late.f_ffree, rel=0.05)


def test_columns_of_all_tables_have_their_types(engine, make_node, make_job):
    """SHOW COLUMNS says of each of the six what fleet says of it."""
    job = make_job(make_node(engine=engine))
    job.collect("--source", "kernel")
    for table in schema_of(TableNames(**job.tables)).tables:
        kind = next(kind for kind, name in job.tables.items() if name == table.name)
        assert job.types(kind) == {column.name: column.type for column in table.columns}


def test_snapshot_shows_stopped_containers_only_when_asked(engine, make_node, make_job):
    """With --all, those that do not run have a line, their state, and no figures."""
    words = make_job(make_node(engine=engine)).words
    plain = fleet("snapshot", "--source", "kernel", *words)
    every = fleet("snapshot", "--source", "kernel", "--all", *words)
    assert (plain.returncode, every.returncode) == (0, 0), every.stderr
    shown = [
        {line.split()[1]: line.split()[2:] for line in run.stdout.splitlines() if line[:3] == "n1 "}
        for run in (plain, every)
    ]
    assert set(shown[0]) == {"runs", "frozen", "well"}
    assert set(shown[1]) == {"runs", "frozen", "well", "failed", "new"}
    assert shown[0]["well"][:2] == ["running", "(healthy)"]
    assert shown[1]["failed"][0] == "exited"
    assert set(shown[1]["failed"][1:-1]) == {"-"}
    assert shown[1]["new"][0] == "created"


def test_engine_under_two_names_is_said(engine, make_node, make_job):
    """Both are read, and the detail of one says that sums count its containers twice."""
    node = make_node(engine=engine)
    rows = make_job(node, node).snapshot("--source", "kernel")["hostStatus"]
    details = sorted(row["detail"] or "" for row in rows)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert details[0] == ""
    assert re.fullmatch("one Docker engine with n[12]: sums count its containers twice", details[1])
