"""What the spool costs: a backlog drained beside a bare HTTP client, and its share of a usual run.

The bare client posts the bytes of the same batches over one connection and does nothing else; both
go to a QuestDB on this machine, into new tables, in turn.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

from fleet.batch import Batch, Target
from fleet.ilp import Encoder
from fleet.inventory import Host
from fleet.keeper import BATCH_MAX_ROWS
from fleet.sources import Sample
from fleet.spool import Spool
from fleet.status import Status
from fleet.tables import Schema, Sweep, TableNames, rows_of, schema_of
from fleet.visit import Visit
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.standin import crowd

CONTAINERS = 30
HOSTS = 160
"""Of a sweep of the backlog: with their own rows, one batch."""

STARTED = datetime(2026, 11, 1, tzinfo=UTC)


def backlog(lab: Lab, rows: int, rounds: int) -> None:
    """Drain so many rows by `fleet spool --flush` and by a bare client; print rows a second."""
    with tempfile.TemporaryDirectory() as name, QuestDB(lab, "bench-questdb") as questdb:
        folder = Path(name)
        schema = schema_of(TableNames())
        names = (schema.containers.name, schema.hosts.name, schema.sweeps.name)
        target = Target("http", questdb.host, questdb.port, names)
        count = _write_backlog(folder / "made", target, schema, rows)
        ours: list[float] = []
        bare: list[float] = []
        peak_mb = 0.0
        for _ in range(rounds):
            _new_tables(questdb)
            bare.append(_posted_bare(questdb, folder / "made/spool"))
            _new_tables(questdb)
            shutil.rmtree(folder / "state", ignore_errors=True)
            shutil.copytree(folder / "made", folder / "state", copy_function=os.link)
            seconds, mb = _flushed(questdb, folder / "state")
            ours.append(seconds)
            peak_mb = max(peak_mb, mb)
            tables = [table.name for table in schema.tables]
            union = " UNION ALL ".join(f"SELECT count() c FROM {name}" for name in tables)
            questdb.wait_for(union, lambda found: sum(row["c"] for row in found) == count, 120)
    print(f"backlog of {count} rows, medians of {rounds} rounds")
    print(f"{'':24}{'s':>8}{'rows/s':>10}")
    for title, took in (("bare HTTP client", bare), ("fleet spool --flush", ours)):
        median = statistics.median(took)
        print(f"{title:24}{median:8.1f}{count / median:10.0f}")
    ratio = statistics.median(one / other for one, other in zip(bare, ours, strict=True))
    print(f"fleet at {ratio:.2f} of the bare client's speed, peak {peak_mb:.0f} MB")


def share_of_the_spool(lab: Lab, hosts: int, rounds: int) -> None:
    """The same `fleet collect` with a spool and with none; print the wall time of both."""
    with (
        tempfile.TemporaryDirectory() as name,
        QuestDB(lab, "bench-questdb-2") as questdb,
        crowd(lab, "bench-spool", hosts) as nodes,
    ):
        folder = Path(name)
        inventory = write_inventory(folder / "inventory.yaml", nodes.hosts)
        (folder / "known_hosts").write_text(nodes.known_hosts)
        words = ["-i", inventory, "--known-hosts", folder / "known_hosts", "-q"]
        words += ["--questdb", questdb.conf, "--state-dir"]
        (folder / "file").touch()
        states = {"with the spool": folder / "state", "without": folder / "file/no-folder"}
        walls: dict[str, list[float]] = {title: [] for title in states}
        _run("collect", *words, states["with the spool"])  # makes the tables
        for _ in range(rounds):
            for title, state in states.items():
                started = time.monotonic()
                _run("collect", *words, state)
                walls[title].append(time.monotonic() - started)
    print(f"fleet collect of {hosts} hosts, medians of {rounds} rounds")
    for title, took in walls.items():
        print(f"{title:24}{statistics.median(took):8.2f} s")
    one, other = (statistics.median(took) for took in walls.values())
    print(f"the spool adds {100 * (one / other - 1):.1f} %")


def _write_backlog(state: Path, target: Target, schema: Schema, rows: int) -> int:
    """Sweeps of five minutes each, batch by batch as a run writes them."""
    spool = Spool(state / "spool", 2**40)
    count = number = 0
    with Encoder() as encoder:
        while count < rows:
            started_at = STARTED + timedelta(minutes=5) * number
            number += 1
            sweep = Sweep(started_at, "bench", "0", tuple(_visits(started_at)), 2.0)
            parts = [encoder.encode(rows)[0] for rows in rows_of(sweep, schema)]
            batch = Batch(target, "bench", started_at, tuple(parts))
            assert batch.rows <= BATCH_MAX_ROWS
            spool.write(batch, 1)
            count += batch.rows
    return count


def _visits(started_at: datetime) -> Iterator[Visit]:
    for number in range(HOSTS):
        samples = tuple(
            Sample(
                f"{number:06x}{one:06x}{number * one:052x}",
                f"shop-web-{one}",
                image="shop/web:2.4",
                service=f"web{one}",
                cpu_percent=number / 7 + one,
                memory_bytes=1048576.5 * number,
                memory_limit_bytes=2.0**31,
                memory_percent=25.25,
                pids=one,
                net_in_bytes=1234.0 * number,
                net_out_bytes=12.5 * number,
                block_in_bytes=1e6 * number,
                block_out_bytes=2e6 * number,
            )
            for one in range(CONTAINERS)
        )
        host = Host(f"web{number:04d}", "127.0.0.1")
        sampled_at = started_at + timedelta(seconds=2)
        yield Visit(host, Status.OK, None, None, 2.0, sampled_at, samples, source="docker")


def _new_tables(questdb: QuestDB) -> None:
    questdb.drop_tables()
    _run("schema", "--apply", "--questdb", questdb.conf)


def _posted_bare(questdb: QuestDB, spool: Path) -> float:
    """Seconds for posting every part of every batch, read from disk like ours."""
    connection = HTTPConnection(questdb.host, questdb.port, timeout=60)
    started = time.monotonic()
    for file in sorted(spool.glob("*.batch")):
        for part in Batch.decoded(file.read_bytes()).parts:
            connection.request("POST", "/write?precision=n", part.body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 204
    seconds = time.monotonic() - started
    connection.close()
    return seconds


def _flushed(questdb: QuestDB, state: Path) -> tuple[float, float]:
    """Seconds for all of it, start and end of the process included, and its peak memory in MB."""
    started = time.monotonic()
    command = [sys.executable, "-m", "fleet", "spool", "--flush"]
    command += ["--state-dir", str(state), "--questdb", questdb.conf]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.monotonic() - started, _mb(usage)


def _mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


def _run(*words: object) -> None:
    command = [sys.executable, "-m", "fleet", *(str(word) for word in words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-5000:], file=sys.stderr)
