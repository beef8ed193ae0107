"""Fixtures of real parts: each starts at its first use; those of the session only once.

A part that is missing fails the tests that need it; none is ever skipped.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.lab import PROJECT, Lab
from tests.lab.node import Node
from tests.lab.questdb import QuestDB
from tests.lab.waiting import LabError, poll

settings.register_profile("fleet", deadline=None)  # machines differ, and share their cores
settings.load_profile("fleet")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what runs in the background like that, and what the tests
    # start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

MakeNode = Callable[..., Node]

OF_ONE_TEST = re.compile("[a-z]+_[0-9a-f]{12}_(containers|hosts|sweeps|states|nodes|disks)")
"""What `fresh` of `tests.test_schema` calls them."""

SERVICE = "com.docker.compose.service"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--e2e-report FILE`, which `.ci/run` reads."""
    parser.addoption("--e2e-report", metavar="FILE", help="count the end-to-end tests that ran")


class E2eCounter:
    """Counts the tests marked `e2e` that ran, and names those that were skipped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ran = 0
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each of a test's three phases."""
        if "e2e" not in report.keywords:
            return
        if report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self.ran += 1

    def pytest_sessionfinish(self) -> None:
        """Called once at the end."""
        self.path.write_text(json.dumps({"ran": self.ran, "skipped": self.skipped}))


def pytest_configure(config: pytest.Config) -> None:
    """Count when asked to: in the process that hears of all tests, not in its workers."""
    path = config.getoption("--e2e-report")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(E2eCounter(Path(path)))


def pytest_unconfigure() -> None:
    """What root wrote here for a user through sudo becomes the user's."""
    if os.geteuid() == 0 and (uid := os.environ.get("SUDO_UID")):
        wrote = [PROJECT / name for name in (".lab", ".pytest_cache", ".hypothesis")]
        found = [path for path in wrote if path.exists()]
        subprocess.run(["chown", "-R", f"{uid}:{os.environ['SUDO_GID']}", *found], check=False)


@pytest.fixture(autouse=True)
def state_dir(
    numbers: Iterator[int],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Where this test's runs keep their state, unless it says otherwise: never the user's own."""
    folder = tmp_path_factory.getbasetemp() / f"state-{next(numbers)}"
    monkeypatch.setenv("FLEET_STATE_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The folder and the janitor of this session's parts."""
    with Lab(PROJECT / ".lab") as lab:
        yield lab


@pytest.fixture(scope="session")
def questdb(lab: Lab) -> Iterator[QuestDB]:
    """A real QuestDB: `.url .host .port .conf`, `.sql(query)`, `.wait_rows(query, count)`."""
    with QuestDB(lab) as server:
        yield server


@pytest.fixture(autouse=True)
def few_tables(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tables under names of one test only go after it: each holds dozens of the server's files."""
    yield
    if "questdb" not in request.fixturenames:
        return
    server: QuestDB = request.getfixturevalue("questdb")
    for row in server.sql("SELECT table_name FROM tables()"):
        if OF_ONE_TEST.fullmatch(row["table_name"]):
            with suppress(LabError):  # a view, or one that is gone by now
                server.sql(f'DROP TABLE "{row["table_name"]}"')


@pytest.fixture(scope="session")
def engines(lab: Lab) -> Iterator[dict[str, Engine]]:
    """Three engines, `a`, `b` and `c`, no two containers alike; `cron` on `a` is paused."""
    with ExitStack() as stack:
        engines = {name: stack.enter_context(Engine(lab, f"engine-{name}")) for name in "abc"}
        a, b, c = engines.values()
        a.run("web-1", "--label", f"{SERVICE}=web", command=filled(16), image="shop/web:1.4")
        a.run("web-2", "--label", f"{SERVICE}=web", command=filled(17), image="shop/web:1.5")
        a.run("cron", command=filled(20), image="shop/cron:7")
        poll(lambda: a.memory_bytes("cron") > 2**24, 20, "cron to fill its memory")
        a.docker("pause", "cron")
        b.run("db", "--memory", "256m", command=filled(19), image="shop/db:16")
        b.run("on-host-network", "--network", "host", command=filled(15))
        c.run("queue", "--label", f"{SERVICE}=queue", command=filled(18), image="shop/queue:2")
        c.run("sidecar", "--network", "container:queue", command=filled(14))
        c.run("done", command=["sh", "-c", ":"])
        yield engines


@pytest.fixture(scope="session")
def nodes(lab: Lab, engines: dict[str, Engine]) -> Iterator[dict[str, Node]]:
    """Three nodes, `node-a` to `node-c`, each before its own engine."""
    with ExitStack() as stack:
        yield {
            f"node-{name}": stack.enter_context(Node(lab, f"node-{name}", engine=engine))
            for name, engine in engines.items()
        }


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """Numbers for names that must not repeat in a session."""
    return count(1)


@pytest.fixture
def make_node(lab: Lab, numbers: Iterator[int]) -> Iterator[MakeNode]:
    """Start a node for one test: `make_node(engine=…, shell=…, hidden=[…], …)`; see `Node`."""
    with ExitStack() as stack:

        def make(**options: Any) -> Node:
            return stack.enter_context(Node(lab, f"node-{next(numbers)}", **options))

        yield make


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything, so the test steps down."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)
