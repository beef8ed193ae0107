"""The kernel's counters as fleet reads them, against the Engine API: to the last nanosecond."""

import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.engine_api import Api, memory_bytes, readings
from tests.guest.compare import Figures, Said, Tally, between, by_kernel
from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.waiting import LabError, poll

pytestmark = pytest.mark.e2e

SECONDS = 20
READINGS_A_GAP = 3
MUST_MOVE = ("cpu", "throttled", "rx_bytes", "rx_packets", "rx_dropped", "tx_bytes", "tx_packets")
NOISE = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + b"\x88\xb5" + bytes(46)
"""A frame to everybody, of a type kept for experiments: whoever gets it drops it."""

BURN = ["sh", "-c", "while :; do :; done"]
SERVE = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/bin"]
WRITE = ["sh", "-c", "while :; do busybox dd if=/dev/zero of=/f bs=64k count=16; sleep 0.5; done"]
DROWSE = ["sh", "-c", "while :; do sleep 0.3; done"]
PAUSED = 4
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
"""Where this kernel lets us say which number the next process gets."""


def _commands() -> dict[str, tuple[list[str], list[str]]]:
    """25 containers by name: options and command."""
    made: dict[str, tuple[list[str], list[str]]] = {}
    made |= {f"burn-{number}": ([], BURN) for number in range(6)}
    made |= {f"serve-{number}": ([], SERVE) for number in range(6)}
    made |= {f"write-{number}": (["--memory", "64m"], WRITE) for number in range(3)}
    made |= {f"drowse-{number}": ([], DROWSE) for number in range(3)}
    made |= {f"again-{number}": (["--restart", "always"], ["sleep", "3"]) for number in range(2)}
    made |= {f"paused-{number}": (["--memory", "48m"], filled(14 + number)) for number in range(2)}
    made["paused-2"] = [], filled(18)
    made["paused-3"] = [], WRITE
    made["restarted"] = [], DROWSE
    return made


@pytest.fixture(scope="module")
def engine(lab) -> Iterator[Engine]:
    """An engine with 25 containers at work, four of them paused."""
    with Engine(lab, "engine-counted") as engine:

        def start(item: tuple[str, tuple[list[str], list[str]]]) -> None:
            name, (options, command) = item
            engine.run(name, "--cpus", "0.05", *options, command=command)

        engine.run("first", command=["sh", "-c", ":"])  # one alone, for the parents' cgroups
        engine.docker("rm", "first")
        commands = _commands()
        assert len(commands) == 25
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(start, commands.items()))
        time.sleep(2)  # what is to be paused holds its memory by then, and has written
        engine.docker("pause", *(f"paused-{number}" for number in range(PAUSED)))
        if LAST_PID.exists():  # children have smaller numbers than their parents from now on
            LAST_PID.write_text("300")
        yield engine


def _addresses(engine: Engine, prefix: str) -> list[str]:
    form = "{{.NetworkSettings.IPAddress}}"
    names = [name for name in _commands() if name.startswith(prefix)]
    return engine.docker("inspect", "--format", form, *names).split()


@contextmanager
def _repeated(*acts: Callable[[], object]) -> Iterator[None]:
    """Each act again and again in a thread of its own, until the block ends."""
    over = threading.Event()

    def repeat(act: Callable[[], object]) -> None:
        while not over.is_set():
            with suppress(OSError, LabError):
                act()

    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def _disturbances(engine: Engine) -> list[Callable[[], object]]:
    """What happens meanwhile: traffic of every kind, restarts, containers that come and die."""
    addresses = _addresses(engine, "serve") + _addresses(engine, "drowse")
    servers = _addresses(engine, "serve")
    turns, short = count(), count()

    def datagrams() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for address in addresses:
                sender.sendto(bytes(700), (address, 9000))
        time.sleep(0.02)

    def pages() -> None:
        server = servers[next(turns) % len(servers)]
        with urllib.request.urlopen(f"http://{server}:8000/sleep", timeout=10) as answer:
            answer.read()
        time.sleep(0.1)

    def noise() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((engine.bridge, 0))
            wire.send(NOISE)
        time.sleep(0.05)

    def restart() -> None:
        engine.docker("restart", "--time", "0", "restarted")
        time.sleep(1)

    def die() -> None:
        engine.run(f"short-{next(short)}", "--rm", command=["sleep", "1"])
        time.sleep(1)

    return [datagrams, pages, noise, restart, die]


def test_every_counter_lies_between_what_the_engine_says_before_and_after(engine):
    """Whatever containers do or become, ours lies between two answers of the API, always."""
    tally, moved = Tally(), Counter[tuple[str, str]]()
    node_bytes = memory_bytes()
    with ExitStack() as stack:
        api = stack.enter_context(Api(engine.socket))
        stack.enter_context(_repeated(*_disturbances(engine)))
        end = time.monotonic() + SECONDS
        before, runs = api.ask(), set()
        while time.monotonic() < end:
            ours = [
                by_kernel(reading, node_bytes)
                for _number in range(READINGS_A_GAP)
                for reading in readings()
            ]
            after = api.ask()
            for reading in ours:
                tally.add(between(before, reading, after))
            for id, early in before.items():
                runs.add((id, early.run))
                if (late := after.get(id)) is not None and late.run == early.run:
                    moved.update(
                        (early.name, name)
                        for name, value in early.totals.items()
                        if late.totals.get(name) != value
                    )
            before = after
    compared = sum(tally.compared.values())
    print(f"{compared} comparisons, {len(moved)} counters moved, {len(runs)} runs of containers")
    print(dict(tally.compared), dict(tally.moved))
    assert tally.errors == []
    assert compared >= 10_000
    assert len(moved) >= 8
    assert [kind for kind in MUST_MOVE if not tally.moved[kind]] == []
    assert len(runs) > 25 + 4, "hardly any container began anew"


def test_parent_is_found_while_the_numbers_of_processes_pass_its_own(engine):
    """The first of a cgroup's sorted processes may be a child that ends soon: it is not taken."""
    assert LAST_PID.exists(), "a kernel with CONFIG_CHECKPOINT_RESTORE is needed"
    nap = "while :; do sleep 0.5; done"
    id = engine.run("passed", command=["sh", "-c", nap]).strip()
    try:
        main = int(engine.docker("inspect", "--format", "{{.State.Pid}}", id))
        below = 0
        for _time in range(12):
            poll(lambda: _child_below(main), 20, "a child with a smaller number")
            while int(LAST_PID.read_text()) < main:
                subprocess.run(["true"], check=True)
            first = min(_pids(main))
            reading = next(readings())
            assert reading.counters[id].pid == main
            below += first < main
        assert below >= 6, "the child was gone before it was asked for"
    finally:
        LAST_PID.write_text("300")
        engine.docker("rm", "--force", id)


def _child_below(main: int) -> bool:
    """The next processes get numbers below that one; does its container have one of those?"""
    LAST_PID.write_text(str(main - 30))
    time.sleep(0.05)
    return min(_pids(main)) < main


def _pids(main: int) -> list[int]:
    """The processes of a container's cgroup, by that of one of them."""
    where = Path(f"/proc/{main}/cgroup").read_text().split(":memory:")[1].splitlines()[0]
    return [
        int(pid) for pid in Path(f"/sys/fs/cgroup/memory{where}/cgroup.procs").read_text().split()
    ]


def test_memory_of_paused_containers_is_the_engines_to_the_byte(engine):
    """Usage without inactive file pages, the limit and the processes, by Docker's formula."""
    node_bytes = memory_bytes()
    with Api(engine.socket) as api:

        def still() -> tuple[dict[str, Said], list[Mapping[str, tuple[Figures, Figures]]]]:
            """Two readings between two answers that agree: pages may be given back late."""
            before = {id: one for id, one in api.ask().items() if one.paused}
            ours = [by_kernel(reading, node_bytes) for reading in readings()]
            after = api.ask()
            assert len(before) == PAUSED
            same = all(after[id].gauges == one.gauges for id, one in before.items())
            return (before, ours) if same else ({}, [])

        paused, ours = poll(lambda: found if (found := still())[0] else None, 20, "stillness")
    assert len(ours) == 2
    for reading in ours:
        for id, one in paused.items():
            assert reading[id][1] == one.gauges, one.name
    assert any(one.gauges["inactive"] for one in paused.values())
    limits = {one.name: one.gauges["limit"] for one in paused.values()}
    assert limits["paused-0"] == 48 * 1024**2
    assert limits["paused-2"] == node_bytes
