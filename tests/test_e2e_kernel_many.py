"""Many containers, and containers that come and go while they are read."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import fleet
from tests.lab.engine import Engine
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.pids import Pid, kill_all
from tests.lab.waiting import LabError, poll

pytestmark = pytest.mark.e2e

COUNT = 300
IDS = [f"{number:04x}{'f1ee7' * 12}" for number in range(COUNT)]
CGROUPS = Path("/sys/fs/cgroup")
RATES = ("net_in_rate", "net_out_rate", "block_in_rate", "block_out_rate", "cpu")

SLEEPERS = "for number in $(seq COUNT); do sleep 1000000 & done; wait"

DOCKER = """#!/bin/sh
echo "$1" >>/run/home/asked
case $1 in
ps) cat /run/home/listed;;
inspect) cat /run/home/inspected;;
version) echo '"28.2.2"';;
*) exit 1;;
esac
"""


def _folders() -> list[Path]:
    """A cgroup for each id, in every hierarchy that Docker uses; parents first."""
    trees = [CGROUPS / name for name in ("memory", "cpuacct", "cpu", "pids", "blkio")]
    trees = [tree for tree in trees if tree.is_dir()] or [CGROUPS]
    # Some hierarchies may be one, under two names.
    trees = list({tree.resolve(): tree for tree in trees}.values())
    parents = [tree / "docker" for tree in trees]
    return [*parents, *(parent / id for parent in parents for id in IDS)]


@pytest.fixture
def cgroups(lab: Lab) -> Iterator[dict[str, Pid]]:
    """300 cgroups as Docker makes them, a process in each: the process by id."""
    folders = _folders()
    lab.ledger.command(["rmdir", *reversed(folders)])
    sleepers = lab.start("sleepers", ["sh", "-c", SLEEPERS.replace("COUNT", str(COUNT))])
    number = sleepers.pid.number
    children = Path(f"/proc/{number}/task/{number}/children")

    def all_sleep() -> list[Pid]:
        found = [pid for word in children.read_text().split() if (pid := Pid.of(int(word)))]
        ready = len(found) == COUNT and all(pid.command.startswith("sleep") for pid in found)
        return found if ready else []

    try:
        pids = dict(zip(IDS, poll(all_sleep, 20, "300 processes"), strict=True))
        for folder in folders:
            folder.mkdir(exist_ok=True)
            if folder.name in pids:
                (folder / "cgroup.procs").write_text(f"{pids[folder.name].number}\n")
        yield pids
    finally:
        kill_all(lambda: [one for one in pids.values() if one.alive])
        sleepers.kill9()
        poll(lambda: _removed(folders), 10, "the end of cgroups")


def _removed(folders: list[Path]) -> bool:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):  # a parent may be another engine's, too
            folder.rmdir()
    return not any(folder.exists() for folder in folders if folder.name in IDS)


def _told(number: int, id: str, pid: Pid) -> tuple[str, str]:
    """A container's line of `docker ps`, and of `docker inspect`."""
    listed = [id, f"box-{number}", "shop/box:1", "running", "bridge", "", "", "", ""]
    at = "2026-01-01T00:00:00Z"
    state: list[Any] = [
        id,
        "running",
        pid.number,
        None,
        0,
        0,
        False,
        at,
        at,
        "0001-01-01T00:00:00Z",
    ]
    state += [f"sha256:{id}", None]
    return tuple(json.dumps(cells, separators=(",", ":")) for cells in (listed, state))


def _words(folder: Path, node: Any, **variables: Any) -> list[str]:
    inventory = write_inventory(folder / "inventory.yaml", {"n": {**node.variables, **variables}})
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(node.known_hosts_line)
    return ["-i", str(inventory), "--known-hosts", str(known_hosts), "--format", "json"]


def test_three_hundred_cgroups_are_read_in_one_visit(cgroups, make_node, tmp_path):
    """Real cgroups with a process in each: 300 rows of the kernel's, and the visit ends."""
    node = make_node(replaced={"docker": DOCKER})
    home = node.run_folder / "home"
    told = [_told(number, id, pid) for number, (id, pid) in enumerate(cgroups.items())]
    (home / "listed").write_text("".join(f"{line}\n" for line, _ in told))
    (home / "inspected").write_text("".join(f"{line}\n" for _, line in told))
    (home / "asked").touch()
    (home / "asked").chmod(0o666)
    logins = node.log.count("Accepted publickey")
    started = time.monotonic()
    run = fleet("snapshot", "--source", "kernel", *_words(tmp_path, node))
    took_s = time.monotonic() - started
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    (host,) = document["hostStatus"]
    rows = document["containerStats"]
    assert (host["status"], host["source"], host["detail"]) == ("ok", "kernel", None)
    assert (host["containers"], host["dropped"]) == (COUNT, 0)
    assert {row["id"] for row in rows} == set(IDS)
    assert len(rows) == len(document["containerState"]) == COUNT
    assert {(row["source"], row["pids"], row["net_io_in"]) for row in rows} == {("kernel", 1, None)}
    for row in rows:
        assert row["cpu"] >= 0
        assert row["cpu_seconds"] >= 0
        assert 0 <= row["memory_use"] <= row["memory_peak"]
    assert node.log.count("Accepted publickey") == logins + 1
    assert (home / "asked").read_text().split() == ["ps", "inspect", "version"]
    assert took_s < 20
    poll(lambda: node.processes() == [], 10, "the probe stayed behind")


@pytest.fixture
def restless(lab: Lab) -> Iterator[Engine]:
    """An engine of whose containers two stay, and others begin and end all the time."""
    with Engine(lab, "engine-restless") as engine:
        engine.run("stays", command=["sh", "-c", "while :; do sleep 0.2; done"])
        engine.run("burns", "--cpus", "0.1", command=["sh", "-c", "while :; do :; done"])
        engine.run("loops", "--restart", "always", command=["sleep", "0.3"])
        yield engine


def _come_and_go(engine: Engine, over: threading.Event, turn: int) -> None:
    number = 0
    while not over.is_set():
        number += 1
        with contextlib.suppress(LabError, subprocess.TimeoutExpired):
            seconds = ("0.1", "0.7", "1.5")[number % 3]
            engine.run(f"short-{turn}-{number}", "--rm", command=["sleep", seconds])


def _judge(document: Mapping[str, Any], ids: set[str], stays: set[str]) -> None:
    (host,) = document["hostStatus"]
    assert host["status"] in ("ok", "partial"), host
    rows = document["containerStats"]
    found = [row["id"] for row in rows]
    assert len(set(found)) == len(found)
    assert stays <= set(found) <= ids
    for row in rows:
        for name in RATES:
            assert row[name] is None or row[name] >= 0, row
        if row["id"] in stays:
            assert row["memory_use"] > 0
            assert row["net_io_in"] is not None
            assert row["source"] in ("kernel", "docker+kernel")


def test_containers_that_come_and_go_make_no_false_row(restless, make_node, tmp_path):
    """While they do, every visit is well, with rows of listed containers only."""
    node = make_node(engine=restless)
    form = "{{.Names}} {{.ID}}"
    listed = restless.docker("ps", "--no-trunc", "--format", form).splitlines()
    stays = {line.split()[1] for line in listed if line.split()[0] in ("stays", "burns")}
    assert len(stays) == 2
    watching = ["events", "--since", "0", "--filter", "event=create", "--format", "{{.ID}}"]
    watcher = restless.lab.start("events", [*restless.prefix, *watching])
    over = threading.Event()
    # A docker stats that waits for one that has gone is ended by the clock.
    brief = [*_words(tmp_path, node), "--timeout", "13"]
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(_come_and_go, restless, over, turn) for turn in range(2)]
        try:
            sources = ["docker", "kernel", "kernel"] * 2
            runs = list(pool.map(lambda one: fleet("snapshot", "--source", one, *brief), sources))
        finally:
            over.set()
        for loop in loops:
            loop.result(60)
    took_s = time.monotonic() - started
    poll(lambda: len(watcher.log.read_text().split()) > 5, 10, "events")
    ids = set(watcher.log.read_text().split())
    for run in runs:
        assert run.returncode in (0, 3), run.stderr
        _judge(json.loads(run.stdout), ids, stays)
    assert len(ids) >= 8, "hardly any container came"
    assert took_s < 60
