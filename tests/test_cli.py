"""The command line without any network: usage, errors, exit statuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from fleet.batch import Target
from fleet.cli import _exit_status, _fleet
from fleet.delivery import Report
from fleet.inventory import Host
from fleet.report import SORTS
from fleet.rounds import Outcome
from fleet.settings import MaxFailed, Settings
from fleet.spool import Spool
from fleet.state import Job, State
from fleet.status import Status
from fleet.tables import Sweep
from fleet.visit import Visit
from tests.command import fleet
from tests.lab.waiting import poll
from tests.test_report import AT

SECRET = "correct-horse-battery"


def _outcome(
    *statuses: Status,
    maintenance: int = 0,
    report: Report | None = None,
    interrupted: int | None = None,
) -> Outcome:
    visits = tuple(
        Visit(Host(f"h{n}", "h", maintenance=n < maintenance), status, None, None, 0.0)
        for n, status in enumerate(statuses)
    )
    return Outcome(Sweep(AT, "fleet", "1", visits, 1.0), report, interrupted=interrupted)


OK, BAD, HALF = Status.OK, Status.TIMEOUT, Status.PARTIAL
SENT, KEPT, WAITING = Report(sent=5, drained=9), Report(kept=1), Report(sent=5, waiting=1)
SUSPENDED, REFUSED, LOST = Report(sent=5, suspended=True), Report(refused=1), Report(lost=1)


@pytest.mark.parametrize(
    ("outcome", "max_failed", "status"),
    [
        (_outcome(), "0", 0),
        (_outcome(OK, OK), "0", 0),
        (_outcome(OK, BAD), "0", 3),
        (_outcome(OK, HALF), "0", 3),
        (_outcome(HALF, HALF), "0", 3),
        (_outcome(HALF, BAD), "0", 3),
        (_outcome(BAD, BAD), "0", 5),
        (_outcome(BAD, OK, maintenance=1), "0", 0),
        (_outcome(BAD, BAD, maintenance=1), "0", 5),
        (_outcome(BAD, maintenance=1), "0", 0),
        (_outcome(OK, BAD), "1", 0),
        (_outcome(OK, BAD, BAD), "1", 3),
        (_outcome(OK, BAD), "50%", 0),
        (_outcome(OK, BAD), "49%", 3),
        (_outcome(BAD, BAD), "2", 0),
        (_outcome(OK, report=SENT), "0", 0),
        (_outcome(OK, report=KEPT), "0", 4),
        (_outcome(OK, report=WAITING), "0", 4),
        (_outcome(OK, report=SUSPENDED), "0", 4),
        (_outcome(OK, BAD, report=SENT), "0", 3),
        (_outcome(OK, BAD, report=KEPT), "0", 4),
        (_outcome(BAD, report=KEPT), "0", 5),
        (_outcome(OK, report=REFUSED), "0", 7),
        (_outcome(OK, report=LOST), "0", 7),
        (_outcome(BAD, report=REFUSED), "0", 7),
        (_outcome(BAD, report=LOST), "1", 7),
        (_outcome(OK, report=Report(kept=1, refused=1)), "0", 7),
        (_outcome(OK, interrupted=130), "0", 130),
        (_outcome(OK, report=SENT, interrupted=143), "0", 143),
        (_outcome(BAD, report=LOST, interrupted=143), "0", 143),
    ],
)
def test_exit_status_is_the_highest_that_applies(outcome, max_failed, status):
    """Failed hosts, rows that wait or are lost, what is still allowed, and signals."""
    assert _exit_status(outcome, Settings(max_failed=MaxFailed.parse(max_failed))) == status


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-option"],
        ["collekt"],
        ["snapshot", "--format", "xml"],
        ["snapshot", "--top", "0"],
        ["snapshot", "--hosts"],
        ["snapshot", "--all", "--format", "json"],
        ["snapshot", "-a", "--format", "csv"],
        ["snapshot", "--source", "podman"],
        ["collect", "--source", ""],
        ["collect", "--forks", "many"],
        ["collect", "-i", "INVENTORY", "--forks", "0"],
        ["collect", "-i", "INVENTORY", "--timeout", "0"],
        ["collect", "-i", "INVENTORY", "--max-failed", "x"],
        ["collect", "-i", "INVENTORY", "--name", "a b"],
        ["collect", "-i", "INVENTORY", "--table", "a/b"],
        ["collect", "-i", "INVENTORY", "--state-table", "a/b"],
        ["collect", "-i", "INVENTORY", "--node-table", "hostStatus"],
        ["schema", "--disk-table", ""],
        ["collect", "-i", "INVENTORY", "--questdb", "tcp::addr=localhost:9009;"],
        ["collect", "-i", "INVENTORY", "--wait-lock", "-1"],
        ["collect", "-i", "INVENTORY", "--state-dir", ""],
        ["collect", "-i", "INVENTORY", "--publish-timeout", "soon"],
        ["collect", "-i", "INVENTORY", "--drain-seconds", "-1"],
        ["collect", "-i", "INVENTORY", "--spool-max-age", "7"],
        ["collect", "-i", "INVENTORY", "--spool-max-bytes", "1KiB"],
        ["collect", "-i", "INVENTORY", "--private-key", "/no/such/file"],
        ["snapshot", "-i", "INVENTORY", "--known-hosts", "/no/such/file"],
        ["hosts", "-i", "/no/such/file"],
        ["hosts", "-i", "INVENTORY", "nobody"],
        ["hosts", "-i", "-", "-i", "-"],
        ["snapshot", "-i", "INVENTORY", "--ssh-config", "/no/such/file"],
        ["hosts", "-i", ""],
        ["schema", "--questdb-file", ""],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_and_exit_2(words, tmp_path):
    """Never a traceback, nothing on standard output."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {a: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    run = fleet(*(str(inventory) if word == "INVENTORY" else word for word in words))
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.strip()


@pytest.mark.parametrize(
    ("words", "conf"),
    [
        (["--questdb", f"http::addr=localhost;username=u;password={SECRET};"], None),
        (["--questdb", f"http::addr=localhost;token={SECRET};"], None),
        ([], f"http::addr=localhost;username=u;pasword={SECRET};"),
        ([], f"http::addr=127.0.0.1:1;username=u;password={SECRET};"),
        ([], f"http::addr=127.0.0.1:1;token={SECRET};"),
        ([], f"http::addr=local host;token={SECRET};"),
        ([], f"{SECRET}"),
    ],
)
def test_no_secret_is_ever_printed(words, conf, tmp_path):
    """Whether it is refused, misspelt or used: no output holds it."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {a: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    if conf is not None:
        env["QDB_CLIENT_CONF"] = conf
    run = fleet("collect", "-v", "-i", inventory, *words, env=env)
    assert run.returncode in (2, 4, 5)
    assert SECRET not in run.stdout + run.stderr


def test_a_second_run_is_told_of_the_first(tmp_path):
    """Exit 6, at once, with who holds the lock; another name's run, and a snapshot, go on."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {a: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    state = tmp_path / "state"
    words = ["-i", inventory, "--state-dir", state]
    words += ["--questdb", "http::addr=127.0.0.1:1;retry_timeout=0;"]
    target = Target("http", "127.0.0.1", 1, ("containerStats", "hostStatus", "fleetSweep"))
    with State(state).run_lock(Job("fleet", target.mark)):
        run = fleet("collect", *words)
        assert (run.returncode, run.stdout) == (6, "")
        assert re.fullmatch(
            rf"fleet: another run of the job 'fleet' is under way: pid {os.getpid()}, for \d+ s "
            r"\(--wait-lock SECONDS waits for its end\)\n",
            run.stderr,
        )
        run = fleet("snapshot", "--publish", "--wait-lock", "0.2", *words)
        assert (run.returncode, run.stdout) == (6, "")
        assert re.search(r"under way: pid \d+, for \d+ s\n$", run.stderr)
        assert not (state / "spool").exists()
        assert fleet("snapshot", "-i", inventory).returncode == 5
        assert fleet("collect", "--name", "other", *words).returncode == 5
        assert fleet("collect", "--table", "other", *words).returncode == 5, "another target"
    assert len(list((state / "spool").glob("*-other.batch"))) >= 1


INTERRUPTIBLE = """
import signal, sys
from fleet.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order(tmp_path, number):
    """What came in is on disk, the rest is skipped, and the exit status is the signal's."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(
            "all: {hosts: {closed: {ansible_host: 127.0.0.1, ansible_port: 1},\n"
            f"  silent: {{ansible_host: 127.0.0.1, ansible_port: {port}}}}}}}\n"
        )
        words = ["collect", "-i", inventory, "--state-dir", tmp_path / "state"]
        words += ["--questdb", "http::addr=127.0.0.1:1;"]
        run = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *words], stderr=subprocess.PIPE, text=True
        )
        spool = State(tmp_path / "state").spool
        poll(lambda: spool.exists() and list(spool.glob("*.batch")), 60, "the first batch")
        run.send_signal(number)
        started = time.monotonic()
        _, stderr = run.communicate(timeout=60)
        assert time.monotonic() - started < 10
    assert run.returncode == 128 + number
    assert "skipped 1: silent" in stderr
    batches = [entry.read() for entry in Spool(spool, 2**30).waiting()]
    assert sum(batch.rows for batch in batches) == 3
    assert "fleet: 3 rows kept in the spool: " in stderr


def test_reader_that_goes_away_is_no_error(tmp_path):
    """`fleet hosts | head -1` ends quietly."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {'a[00000:20000]': }}\n")
    command = f"{sys.executable} -m fleet hosts -i {inventory} | head -n 1"
    run = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("a00000\n", "")


def test_secrets_file_is_read(tmp_path):
    """--questdb-file may hold what a flag must not."""
    conf = tmp_path / "questdb.conf"
    conf.write_text(f"http::addr=127.0.0.1:1;username=u;password={SECRET};\n")
    run = fleet("schema", "--questdb-file", conf)
    assert run.returncode == 4
    assert "127.0.0.1:1" in run.stderr
    assert SECRET not in run.stderr


def test_several_inventories_are_merged(tmp_path):
    """Hosts of both are there, each once."""
    (tmp_path / "one.yaml").write_text("all: {hosts: {a: , b: }}\n")
    (tmp_path / "two.yaml").write_text("all: {hosts: {b: , c: }}\n")
    run = fleet("hosts", "-i", tmp_path / "one.yaml", "-i", tmp_path / "two.yaml")
    assert (run.returncode, run.stdout) == (0, "a\nb\nc\n")


def test_sorts_offered_are_the_sorts_there_are():
    """The option lists what the report can do, without loading the report."""
    (sort,) = (option for option in _fleet.commands["snapshot"].params if option.name == "sort")
    assert tuple(sort.type.choices) == SORTS
