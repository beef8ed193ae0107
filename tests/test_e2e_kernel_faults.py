"""Daemons that hang or die, and processes that are hidden: what the kernel counts stands in."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.jobs import Row, jobs
from tests.lab.engine import Engine
from tests.lab.lab import Lab
from tests.lab.pids import Pid, contained, running
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

DROWSE = ["sh", "-c", "while :; do sleep 0.3; done"]
BURN = ["sh", "-c", "while :; do :; done"]
RATES = ("net_in_rate", "net_out_rate", "block_in_rate", "block_out_rate", "cpu")
STANDS_IN = "what the kernel counts stands in"


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Iterator[Engine]:
    """The engine that is broken and mended."""
    with Engine(lab, "engine-broken") as engine:
        yield engine


@pytest.fixture(scope="module")
def other(lab: Lab) -> Iterator[str]:
    """A container of a second engine on the same machine: its full id."""
    with Engine(lab, "engine-other") as engine:
        yield engine.run("of-another-engine", command=DROWSE)


@pytest.fixture
def make_job(questdb, tmp_path, numbers):
    """`make_job(node, …)`: see `tests.jobs`."""
    with jobs(questdb, tmp_path, numbers) as make:
        yield make


@pytest.fixture
def three(engine) -> Iterator[dict[str, str]]:
    """Full ids of three containers by name: `busy`, `calm`, and `doomed`, whose end is near."""
    ids = {
        "busy": engine.run("busy", "--cpus", "0.1", command=BURN),
        "calm": engine.run("calm", command=DROWSE),
        "doomed": engine.run("doomed", command=["sleep", "1000000"]),
    }
    yield ids
    engine.remove_containers()


def _ids(rows: Sequence[Row]) -> set[str]:
    return {row["id"] for row in rows}


def _negative(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any((row[name] or 0) < 0 for name in RATES)]


def _pid_of(engine: Engine, name: str) -> Pid:
    pid = Pid.of(int(engine.docker("inspect", "--format", "{{.State.Pid}}", name)))
    assert pid is not None
    return pid


def _send(engine: Engine, name: str, count: int = 30) -> None:
    """So many datagrams of 1,000 bytes to a container, from the machine."""
    address = engine.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _number in range(count):
            sender.sendto(bytes(1000), (address, 9000))


@contextmanager
def _frozen(engine: Engine, three: dict[str, str]) -> Iterator[None]:
    """dockerd takes connections and answers none."""
    engine.pause()
    try:
        yield
    finally:
        engine.resume()
        poll(engine.answers, 30, "dockerd")


@contextmanager
def _killed(engine: Engine, three: dict[str, str]) -> Iterator[None]:
    """dockerd and containerd are gone; containers run on."""
    engine.kill9()
    try:
        yield
    finally:
        for pid in contained(list(three.values())):
            pid.signal(signal.SIGKILL)
        engine.start()


@contextmanager
def _stopped(pids: Sequence[Pid]) -> Iterator[None]:
    assert pids
    for pid in pids:
        pid.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            pid.signal(signal.SIGCONT)


def _containerd(engine: Engine, three: dict[str, str]):
    """containerd is frozen, and dockerd is not."""
    return _stopped([p for p in engine.room.pids() if p.command.startswith("containerd ")])


def _shim(engine: Engine, three: dict[str, str]):
    """The shim of one container is frozen."""
    return _stopped([p for p in running() if "shim" in p.command and three["calm"] in p.command])


@pytest.mark.parametrize(("broken", "source"), [(_frozen, "docker"), (_killed, "kernel")])
def test_silent_daemon_leaves_the_kernels_rows_of_what_was_counted(
    engine, other, three, make_node, make_job, broken, source
):
    """`partial` in phase daemon: the containers of the last sweep that still run, no others."""
    job = make_job(make_node(engine=engine))
    rows, (host,) = job.collect("--source", source)
    assert host["status"] == "ok", host
    assert _ids(rows) == set(three.values())
    doomed = _pid_of(engine, "doomed")
    time.sleep(1)  # a shorter window has no rates
    with broken(engine, three):
        doomed.signal(signal.SIGKILL)
        rows, (host,) = job.collect("--source", source, "--timeout", "7")
    assert (host["status"], host["phase"]) == ("partial", "daemon"), host
    assert STANDS_IN in host["detail"]
    assert (host["source"], host["containers"]) == ("kernel", 2)
    assert _ids(rows) == {three["busy"], three["calm"]}
    assert {row["source"] for row in rows} == {"kernel"}
    assert _negative(rows) == []
    for row in rows:
        assert row["window_seconds"] >= 0.95
        assert row["cpu"] is not None
        assert row["memory_use"] > 0
        assert row["net_io_in"] is not None
        assert row["image"] == "fleet-lab:1"
    busy = next(row for row in rows if row["name"] == "busy")
    assert 5 < busy["cpu"] < 20


@pytest.mark.parametrize("broken", [_containerd, _shim])
def test_daemon_that_lists_and_cannot_measure(engine, other, three, make_node, make_job, broken):
    """With `docker`, `partial` with the kernel's rows; with `kernel`, which asks less, `ok`."""
    job = make_job(make_node(engine=engine))
    job.collect("--source", "kernel")
    with broken(engine, three):
        exact, (well,) = job.collect("--source", "kernel")
        rows, (host,) = job.collect("--source", "docker", "--timeout", "12")
    assert (well["status"], well["source"]) == ("ok", "kernel"), well
    assert host["status"] == "partial", host
    assert _ids(exact) == _ids(rows) == set(three.values())
    assert _negative(exact) == _negative(rows) == []
    assert {row["source"] for row in exact} == {"kernel"}
    assert all(row["memory_use"] > 0 and row["pids"] >= 1 for row in (*exact, *rows))
    assert all(row["source"] in ("kernel", "docker+kernel") for row in rows)
    assert next(row["source"] for row in rows if row["name"] == "calm") == "kernel"


def test_hidden_processes_leave_the_network_to_docker(engine, other, three, make_node, make_job):
    """With hidepid=2 an ordinary user sees no container's network: null, or Docker's digits."""
    _send(engine, "busy")
    node = make_node(engine=engine)
    mount = node.room.inside("mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc")
    subprocess.run(mount, check=True)
    job = make_job(node)
    rows, (host,) = job.collect("--source", "kernel")
    assert (host["status"], host["source"]) == ("ok", "kernel"), host
    assert _ids(rows) == set(three.values())
    assert {(row["net_io_in"], row["net_in_rate"], row["net_packets_in"]) for row in rows} == {
        (None, None, None)
    }
    assert all(row["memory_use"] > 0 and row["cpu_seconds"] is not None for row in rows)
    rows, (host,) = job.collect("--source", "docker")
    assert (host["status"], host["source"]) == ("ok", "docker+kernel"), host
    assert {row["source"] for row in rows} == {"docker+kernel:memory,pids"}
    (busy,) = (row for row in rows if row["name"] == "busy")
    counted = int(
        re.findall(
            r"eth0: *(\d+)", Path(f"/proc/{_pid_of(engine, 'busy').number}/net/dev").read_text()
        )[0]
    )
    assert busy["net_io_in"] == pytest.approx(counted, rel=0.02)
    assert (busy["net_in_rate"], busy["net_packets_in"]) == (None, None)


@pytest.mark.parametrize("source", ["docker", "kernel"])
def test_network_counts_for_whose_it_is(engine, other, make_node, make_job, source):
    """Host's, none and another container's are null; the owner has it; others' are not there."""
    try:
        ids = {
            "owner": engine.run("owner", command=DROWSE),
            "joined": engine.run("joined", "--network", "container:owner", command=DROWSE),
            "hosted": engine.run("hosted", "--network", "host", command=DROWSE),
            "alone": engine.run("alone", "--network", "none", command=DROWSE),
        }
        _send(engine, "owner")
        rows, (host,) = make_job(make_node(engine=engine)).collect("--source", source)
    finally:
        engine.remove_containers()
    assert host["status"] == "ok", host
    assert {row["name"]: row["id"] for row in rows} == ids
    assert other not in _ids(rows)
    for row in rows:
        network = [row[f"net_{name}"] for name in ("io_in", "io_out", "packets_in", "drops")]
        if row["name"] == "owner":
            assert network[0] >= 30 * 1028
            assert network[2] >= 30
        else:
            assert network == [None] * 4
        assert row["source"] == ("kernel" if source == "kernel" else "docker+kernel")
