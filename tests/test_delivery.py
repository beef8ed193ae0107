"""A run's rows by way of the spool to QuestDB, and what becomes of them where that is not to be."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import keeper as keeper_module
from fleet.batch import Batch
from fleet.delivery import Delivery, Report, target_of
from fleet.errors import QuestDBUnreachable
from fleet.ilp_text import Part
from fleet.interruption import Interruption
from fleet.inventory import Host
from fleet.outbox import Outbox
from fleet.publish import Publisher
from fleet.questdb_conf import parse_conf
from fleet.schema import ensure, suspended
from fleet.settings import Settings
from fleet.sources import Sample
from fleet.spool import Entry, Refusal, Spool
from fleet.state import Job, State, make_folder
from fleet.status import Status
from fleet.tables import Sweep, TableNames, schema_of
from fleet.visit import Visit
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll
from tests.questdb_double import Double, nobody, questdb_double
from tests.test_schema import client_of, count_of, fresh, names_of
from tests.test_tables import NOW, full_sweep, small_sweep

# A run makes one encoder; these tests make many.
pytestmark = pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst")

HOSTS, CONTAINERS, SWEEPS = "hostStatus", "containerStats", "fleetSweep"
YEARS_S = 3650 * 86_400.0


class Run:
    """One run's delivery of `small_sweep()`: 2 containers, 3 hosts, 1 sweep."""

    def __init__(self, conf: str, folder: Path, trouble: str | None = None, **more: Any) -> None:
        self.state = State(folder)
        options = {
            "publish_timeout_s": 2.0,
            "spool_max_age_s": YEARS_S,
            "questdb": parse_conf(conf, "test"),
            "state_dir": str(folder),
            **more,
        }
        self.settings = Settings(**options)
        self.started_at: datetime = NOW
        self.noted = Interruption()
        self.trouble = trouble

    def begin(self) -> Delivery:
        """A delivery that has started."""
        tables = schema_of(self.settings.tables)
        delivery = Delivery(self.settings, tables, self.state, self.started_at, self.trouble)
        delivery.start()
        return delivery

    def sweep(self, *visits: Visit) -> Sweep:
        """The whole sweep."""
        visits = visits or small_sweep().visits
        return replace(small_sweep(), started_at=self.started_at, visits=visits)

    def whole(self, *visits: Visit) -> Report:
        """From the first visit to the report."""
        delivery, sweep = self.begin(), self.sweep(*visits)
        for visit in sweep.visits:
            delivery.add(visit)
        return delivery.finish(sweep, self.noted)

    def leave(self, minutes: int, job: str = "fleet", rows: int = 2, **target: Any) -> Entry:
        """A batch of an earlier sweep."""
        body = "".join(f"{HOSTS},host=old{minutes}-{n} v=1i {n}000\n" for n in range(rows))
        where = replace(target_of(self.settings), **target)
        sweep = NOW - timedelta(minutes=minutes)
        batch = Batch(where, job, sweep, (Part(HOSTS, (), body.encode(), rows),))
        return self.spool.write(batch, 1)[0]

    @property
    def spool(self) -> Spool:
        """What is on disk."""
        return Spool(self.state.spool, 2**30)

    def rows_on_disk(self) -> int:
        """Of all batches, as their names and their contents say."""
        batches = [entry.read() for entry in self.spool.waiting()]
        assert [batch.rows for batch in batches if batch] == [
            entry.rows for entry in self.spool.waiting()
        ]
        return sum(batch.rows for batch in batches if batch)


def counts(double: Double) -> tuple[int, int, int]:
    """Different rows of the three tables."""
    return double.count(CONTAINERS), double.count(HOSTS), double.count(SWEEPS)


@pytest.fixture
def double() -> Iterator[Double]:
    """A QuestDB that does as the test says."""
    with questdb_double() as double:
        yield double


def down(name: str, detail: str | None = "refused") -> Visit:
    """A host that was not reached."""
    return Visit(Host(name, name), Status.UNREACHABLE, None, detail, 0.1)


# --- all is well


def test_a_run_leaves_nothing_behind(double: Double, tmp_path: Path) -> None:
    """Every row is accepted, no file is left, and there is nothing to say."""
    run = Run(double.conf, tmp_path)
    assert run.whole() == Report(sent=6)
    assert counts(double) == (2, 3, 1)
    assert run.spool.waiting() == []


def test_rows_of_every_table_are_delivered(double: Double, tmp_path: Path) -> None:
    """States that are due, the node and its disks go the way of the other rows, and are counted."""
    run = Run(double.conf, tmp_path)
    assert run.whole(*full_sweep().visits) == Report(sent=10)
    assert counts(double) == (2, 3, 1)
    assert [double.count(name) for name in ("containerState", "nodeStats", "diskStats")] == [
        *(1, 1, 2),
    ]


def test_rows_of_every_table_are_kept(tmp_path: Path) -> None:
    """Where nobody takes them, they all wait on disk."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0)
        assert run.whole(*full_sweep().visits).kept == 10
    assert run.rows_on_disk() == 10


def test_usual_names_of_later_tables_are_no_part_of_the_target(tmp_path: Path) -> None:
    """What waits from before those tables came is of the same target, and is sent."""
    run = Run("http::addr=db:9000;", tmp_path)
    assert target_of(run.settings).tables == (CONTAINERS, HOSTS, SWEEPS)
    renamed = replace(run.settings, tables=TableNames("a", "b", "c"))
    assert target_of(renamed).tables == ("a", "b", "c")


@pytest.mark.parametrize("later", ["states", "nodes", "disks"])
def test_other_names_of_later_tables_are_another_target(tmp_path: Path, later: str) -> None:
    """Rows for a table of another name never go to the usual one."""
    run = Run("http::addr=db:9000;", tmp_path)
    other = replace(run.settings, tables=TableNames(**{later: "mine"}))
    assert target_of(other).tables == (CONTAINERS, HOSTS, SWEEPS, "mine")
    assert target_of(other).mark != target_of(run.settings).mark


def test_rows_of_a_sweep_bear_its_time(double: Double, tmp_path: Path) -> None:
    """Whatever their visit's own, and whichever batch they went in."""
    Run(double.conf, tmp_path).whole()
    assert {line.rpartition(" ")[2] for line in double.order} == {"1795402800123456000"}


def test_visits_are_on_disk_within_a_second(tmp_path: Path) -> None:
    """While the sweep goes on, and although nobody takes them."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0)
        delivery, sweep = run.begin(), run.sweep()
        for number, visit in enumerate(sweep.visits, 1):
            added = time.monotonic()
            delivery.add(visit)
            poll(lambda n=number: len(run.spool.waiting()) == n, 20, "a batch", every_s=0.01)
            assert time.monotonic() - added < 3  # one, where cores are free
        assert run.rows_on_disk() == 5
        report = delivery.finish(sweep, run.noted)
    assert (report.kept, report.sent, report.lost) == (6, 0, 0)
    assert run.rows_on_disk() == 6


def test_visits_are_sent_while_the_sweep_goes_on(double: Double, tmp_path: Path) -> None:
    """Nobody waits for the last host to see the first one's figures."""
    run = Run(double.conf, tmp_path)
    delivery, sweep = run.begin(), run.sweep()
    delivery.add(sweep.visits[0])
    poll(lambda: counts(double) == (2, 1, 0), 20, "the first rows")
    assert delivery.finish(sweep, run.noted).sent == 4


def test_many_rows_make_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is of bounded size; visits stay whole."""
    monkeypatch.setattr(keeper_module, "BATCH_MAX_ROWS", 10)
    monkeypatch.setattr(keeper_module, "HOLD_S", 3600.0)
    samples = tuple(Sample(f"{n:064x}", f"c{n}") for n in range(4))
    visits = [replace(down(f"h{n}"), samples=samples) for n in range(20)]
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0)
        assert run.whole(*visits).kept == 101
    batches = [entry.read() for entry in run.spool.waiting()]
    assert [batch.rows for batch in batches if batch] == [10] * 10 + [1]
    for batch in batches[:-1]:
        assert batch
        containers, hosts = (part.body.decode().splitlines() for part in batch.parts)
        assert {line.split(",")[1] for line in containers} == {line.split(",")[1] for line in hosts}


def test_a_sweep_without_hosts_has_its_row(double: Double, tmp_path: Path) -> None:
    """That cron lives is told all the same."""
    run = Run(double.conf, tmp_path)
    delivery = run.begin()
    assert delivery.finish(replace(small_sweep(), visits=()), run.noted) == Report(sent=1)
    assert counts(double) == (0, 0, 1)


def test_a_table_that_is_missing_is_made(double: Double, tmp_path: Path) -> None:
    """A server that came up after the run began; the report says so."""
    del double.tables[HOSTS]
    report = Run(double.conf, tmp_path).whole()
    assert (report.sent, len(report.changes)) == (6, 1)
    assert report.changes[0].startswith('CREATE TABLE IF NOT EXISTS "hostStatus"')


# --- what waited


def test_own_rows_go_first_then_the_oldest(double: Double, tmp_path: Path) -> None:
    """After an outage the fresh figures are there before the backlog has drained."""
    run = Run(double.conf, tmp_path)
    for minutes in (5, 15, 10):
        run.leave(minutes)
    assert run.whole() == Report(sent=6, drained=6)
    assert run.spool.waiting() == []
    hosts = [line.partition(" ")[0].rpartition("=")[2] for line in double.order]
    assert [host for host in hosts[6:] if host.startswith("old")] == [
        f"old{minutes}-{n}" for minutes in (15, 10, 5) for n in range(2)
    ]
    assert not any(host.startswith("old") for host in hosts[:6])


def test_the_sweeps_row_says_how_much_waited(double: Double, tmp_path: Path) -> None:
    """Of this target, before any of it was drained."""
    run = Run(double.conf, tmp_path)
    run.leave(5, rows=7)
    run.leave(10, job="other", rows=2)
    run.leave(10, rows=9, host="elsewhere")
    run.whole()
    (line,) = double.rows[SWEEPS]
    assert ",spooled=9i," in line


def test_an_outage_is_made_good_by_the_next_run(double: Double, tmp_path: Path) -> None:
    """Three sweeps find nobody well, the fourth sends itself and them; each row is there once."""
    runs = [Run(double.conf, tmp_path, publish_timeout_s=0.0) for _ in range(4)]
    double.says = lambda _body: (502, "<html>Bad Gateway</html>")
    for number, run in enumerate(runs):
        run.started_at = NOW + timedelta(minutes=number)
        if number == 3:
            break
        report = run.whole()
        assert (report.kept, report.waiting, report.sent) == (6, 6 * number, 0)
        assert report.lines[0] == (
            f"6 rows kept in the spool: QuestDB at 127.0.0.1:{double.port}: "
            "did not take the rows (502): <html>Bad Gateway</html>"
        )
    double.says = lambda _body: None
    assert runs[3].whole() == Report(sent=6, drained=18)
    assert counts(double) == (8, 12, 4)
    assert len(double.order) == 24
    assert run.spool.waiting() == []


def test_no_time_for_draining_leaves_it(double: Double, tmp_path: Path) -> None:
    """`--drain-seconds 0` sends the run's own rows, and says what waits."""
    run = Run(double.conf, tmp_path, drain_s=0.0)
    run.leave(10)
    run.leave(5)
    assert run.whole() == Report(
        sent=6,
        waiting=4,
        lines=("4 rows of earlier sweeps still in the spool, since 2026-11-23 02:50:00Z",),
    )
    assert len(run.spool.waiting()) == 2


def test_other_targets_and_other_runs_are_left_alone(double: Double, tmp_path: Path) -> None:
    """What waits for another QuestDB, or belongs to a run under way, is no matter of ours."""
    run = Run(double.conf, tmp_path)
    left = [
        run.leave(5, host="elsewhere"),
        run.leave(6, port=1),
        run.leave(7, tables=("a", "b", "c")),
        run.leave(8, job="busy"),
    ]
    run.leave(9, job="idle")
    with State(tmp_path).run_lock(Job("busy", target_of(run.settings).mark)):
        report = run.whole()
    assert (report.sent, report.drained, report.waiting, report.lines) == (6, 2, 0, ())
    assert report.elsewhere == 6
    assert {entry.name for entry in run.spool.waiting()} == {entry.name for entry in left}


def test_one_drains_at_a_time(double: Double, tmp_path: Path) -> None:
    """Another run sends what waits: ours are sent, and the rest is not counted as ours."""
    run = Run(double.conf, tmp_path)
    run.leave(5)
    with State(tmp_path).drain_lock(target_of(run.settings).mark):
        assert run.whole() == Report(sent=6)
    assert len(run.spool.waiting()) == 1


# --- nobody takes them


def test_what_is_not_taken_in_time_is_kept(double: Double, tmp_path: Path) -> None:
    """The run ends soon after its time, and says why, and how many rows wait."""
    double.says = lambda _body: (503, "busy")
    run = Run(double.conf, tmp_path, publish_timeout_s=0.5)
    run.leave(5)
    started = time.monotonic()
    report = run.whole()
    assert time.monotonic() - started < 10
    assert (report.kept, report.waiting, report.sent, report.drained) == (6, 2, 0, 0)
    assert report.lines == (
        f"6 rows kept in the spool: QuestDB at 127.0.0.1:{double.port}: "
        "did not take the rows (503): busy",
        "2 rows of earlier sweeps still in the spool, since 2026-11-23 02:55:00Z",
    )
    assert run.rows_on_disk() == 8


def test_a_server_that_is_silent_does_not_hold_the_run(tmp_path: Path) -> None:
    """It costs the time for publishing, and that of one request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conf = f"http::addr=127.0.0.1:{silent.getsockname()[1]};request_timeout=500;"
        run = Run(conf, tmp_path, publish_timeout_s=0.5)
        started = time.monotonic()
        report = run.whole()
        assert time.monotonic() - started < 10
    assert report.kept == 6
    assert "no answer within 0.5 s" in report.lines[0]


def test_a_suspended_table_keeps_its_rows(double: Double, tmp_path: Path) -> None:
    """It is said with the way out; a backlog is not drained into it."""
    double.suspended = [HOSTS]
    run = Run(double.conf, tmp_path)
    run.leave(5)
    report = run.whole()
    assert (report.suspended, report.kept, report.waiting, report.lost) == (True, 6, 2, 0)
    assert (
        "hostStatus is suspended: it applies no rows until QuestDB is told "
        'ALTER TABLE "hostStatus" RESUME WAL (wal_tables() says why)'
    ) in report.lines
    assert run.rows_on_disk() == 8


# --- rows that are refused


def test_a_refused_row_is_put_aside(double: Double, tmp_path: Path) -> None:
    """With the server's reason; all others are sent, and the batch is gone."""
    double.refuses = lambda line: "out of bounds" if "host=db1" in line else None
    run = Run(double.conf, tmp_path)
    report = run.whole()
    (refused,) = run.spool.refused()
    assert (report.sent, report.refused, report.kept, report.lost) == (5, 1, 0, 0)
    (line,) = report.lines
    assert line.startswith(f"1 row of hostStatus refused, kept in {refused.path}: error in line ")
    assert line.endswith("table: hostStatus; out of bounds")
    assert run.spool.waiting() == []
    assert counts(double) == (2, 2, 1)


def test_a_row_without_ilp_is_refused_by_us(double: Double, tmp_path: Path) -> None:
    """A NUL never reaches the server; the row is put aside, and costs no other."""
    run = Run(double.conf, tmp_path)
    report = run.whole(down("a"), down("b", "x\0y"), down("c"))
    (refused,) = run.spool.refused()
    assert report == Report(
        sent=3,
        refused=1,
        lines=(
            f"1 row of hostStatus refused, kept in {refused.path}: "
            r"detail holds NUL: 'x\x00y'",
        ),
    )
    (refusal,) = refused.refusals
    assert refusal.ilp is None
    assert refusal.cells is not None
    assert (refusal.cells["host"], refusal.cells["detail"]) == ("b", "x\0y")
    assert counts(double) == (0, 2, 1)


# --- the disk


def test_a_spool_that_cannot_be_written_is_gone_without(double: Double, tmp_path: Path) -> None:
    """That is said, once, and the rows are published from memory."""
    (tmp_path / "spool").write_text("somebody's file")
    report = Run(double.conf, tmp_path).whole()
    assert report == Report(
        sent=6,
        lines=(
            f"the spool {tmp_path / 'spool'} cannot be written: Not a directory; "
            "rows are published directly",
        ),
    )
    assert counts(double) == (2, 3, 1)


def test_without_a_state_directory_there_is_no_spool(double: Double, tmp_path: Path) -> None:
    """The reason is said; nothing is written anywhere."""
    run = Run(double.conf, tmp_path / "state", trouble="no home")
    assert run.whole() == Report(
        sent=6, lines=("no home: no lock and no spool, rows are published directly",)
    )
    assert counts(double) == (2, 3, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trouble", [None, "no home"])
def test_what_is_neither_kept_nor_taken_is_lost(tmp_path: Path, trouble: str | None) -> None:
    """Every row of it is counted, and why is said."""
    (tmp_path / "spool").write_text("somebody's file")
    with nobody() as conf:
        run = Run(conf, tmp_path, trouble, publish_timeout_s=0.0)
        report = run.whole()
        address = run.settings.questdb.address
    assert (report.lost, report.sent, report.kept) == (6, 0, 0)
    assert report.lines[1] == f"6 rows lost: QuestDB at {address}: Connection refused"
    assert len(report.lines) == 2


def test_refused_rows_of_a_disk_that_is_full_are_told(double: Double, tmp_path: Path) -> None:
    """They are in nobody's hands: counted as refused, and said to be lost."""
    (tmp_path / "spool").write_text("somebody's file")
    double.refuses = lambda line: "no" if "host=db1" in line else None
    report = Run(double.conf, tmp_path).whole()
    assert (report.sent, report.refused) == (5, 1)
    assert any("1 row of hostStatus refused, and lost, for they " in line for line in report.lines)


def test_foreign_and_bad_files_block_nobody(double: Double, tmp_path: Path) -> None:
    """They are put away, said, and what rows they had is counted as lost."""
    run = Run(double.conf, tmp_path)
    run.leave(5)
    bad = run.leave(10, rows=9)
    bad.path.write_bytes(bad.path.read_bytes()[:-1])
    (run.state.spool / "notes.txt").write_text("mine")
    report = run.whole()
    assert (report.sent, report.drained, report.lost) == (6, 2, 9)
    folder = run.state.spool / "bad"
    assert set(report.lines) == {
        f"{bad.path.name} moved to {folder}: its checksum differs: it was cut or changed",
        f"notes.txt moved to {folder}: it is no file of the spool's",
    }
    assert sorted(path.name for path in folder.iterdir()) == [bad.path.name, "notes.txt"]


def test_what_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    """What could be sent was sent before; the rest is said, with the option."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0)
        run.leave(5)
        run.leave(200_000)
        age_s = (datetime.now(NOW.tzinfo) - NOW).total_seconds() + 86_400
        run.settings = replace(run.settings, spool_max_age_s=max(age_s, 86_400))
        report = run.whole()
    assert (report.kept, report.waiting, report.lost) == (6, 2, 2)
    assert report.lines[-1] == "2 rows dropped with 1 file of the spool: --spool-max-age"


def test_an_old_backlog_that_can_be_sent_is_sent(double: Double, tmp_path: Path) -> None:
    """Age drops nothing that a server takes."""
    run = Run(double.conf, tmp_path, spool_max_age_s=60.0)
    run.leave(200_000)
    report = run.whole()
    assert (report.drained, report.lost) == (2, 0)


def test_an_old_backlog_that_nobody_tried_to_send_stays(double: Double, tmp_path: Path) -> None:
    """Told to leave it, another being at it, interrupted, for another target: it is not dropped."""
    old = {"spool_max_age_s": 60.0}
    run = Run(double.conf, tmp_path, drain_s=0.0, **old)
    run.leave(200_000)
    run.leave(200_001, host="elsewhere")
    report = run.whole()
    assert (report.waiting, report.lost) == (2, 0)
    run = Run(double.conf, tmp_path, **old)
    with run.state.drain_lock(target_of(run.settings).mark):
        assert run.whole().lost == 0
    run.noted.handle(signal.SIGTERM, None)
    assert run.whole().lost == 0
    with nobody() as conf:
        assert Run(conf, tmp_path, publish_timeout_s=0.0, **old).whole().lost == 0
    names = {entry.rows for entry in run.spool.waiting() if entry.sweep != NOW}
    assert (names, len(run.spool.waiting())) == ({2}, 3)


def test_old_refused_rows_are_dropped_and_counted(double: Double, tmp_path: Path) -> None:
    """They do not lie there for ever, and do not go unsaid."""
    run = Run(double.conf, tmp_path, spool_max_age_s=86_400.0)
    entry = run.leave(5)
    refused = run.spool.refuse(entry.read(), 1, [Refusal(HOSTS, "no", "x")] * 3)
    run.spool.remove([entry])
    os.utime(refused, (0, 0))
    report = run.whole()
    assert (report.sent, report.lost) == (6, 3)
    assert report.lines == ("3 rows dropped with 1 file of the spool: --spool-max-age",)


def test_rows_of_this_run_make_no_room_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep larger than --spool-max-bytes is kept whole."""
    monkeypatch.setattr(keeper_module, "BATCH_MAX_ROWS", 10)
    monkeypatch.setattr(keeper_module, "HOLD_S", 3600.0)
    samples = tuple(Sample(f"{n:064x}", f"c{n}" * 4000) for n in range(9))
    visits = [replace(down(f"h{n}"), samples=samples) for n in range(20)]
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0, spool_max_bytes=2**20)
        report = run.whole(*visits)
    assert (report.kept, report.lost) == (201, 0)
    assert sum(entry.size for entry in run.spool.waiting()) > 2**20


def test_own_files_that_vanish_are_lost(tmp_path: Path) -> None:
    """Nobody else sends them, so whoever removed them removed rows: counted, and said."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.2)
        delivery = run.begin()
        sweep = run.sweep()
        delivery.add(sweep.visits[1])
        poll(lambda: len(run.spool.waiting()) == 1, 20, "a batch")
        run.spool.remove(run.spool.waiting())
        report = delivery.finish(sweep, run.noted)
    assert (report.kept, report.lost) == (1, 1)
    assert report.lines[1].startswith("1 row lost: QuestDB at ")


def test_what_makes_it_too_large_is_dropped_and_counted(tmp_path: Path) -> None:
    """The oldest goes first, and the run's own rows are kept."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.0, spool_max_bytes=2**20)
        run.leave(10, rows=17_000)
        run.leave(5, rows=17_000)
        run.leave(1)
        report = run.whole()
    assert report.kept == 6
    assert report.lost in (17_000, 34_000)
    files = "1 file" if report.lost == 17_000 else "2 files"
    assert report.lines[-1] == (
        f"{report.lost} rows dropped with {files} of the spool: --spool-max-bytes"
    )
    assert run.rows_on_disk() == 34_002 - report.lost + 6


# --- signals and bugs


@pytest.mark.parametrize("silent", [True, False])
def test_a_signal_ends_it_within_two_seconds(tmp_path: Path, silent: bool) -> None:
    """Whether QuestDB is silent or not there; every row is on disk."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if silent:
            server.listen()
        conf = f"http::addr=127.0.0.1:{server.getsockname()[1]};request_timeout=60000;"
        run = Run(conf, tmp_path, publish_timeout_s=600.0)
        delivery, sweep = run.begin(), run.sweep()
        for visit in sweep.visits:
            delivery.add(visit)
        run.noted.handle(signal.SIGTERM, None)
        started = time.monotonic()
        report = delivery.finish(sweep, run.noted)
        assert time.monotonic() - started < 5  # two, where cores are free
    assert (report.kept, report.lost) == (6, 0)
    assert report.lines[0].startswith("6 rows kept in the spool: ")
    assert run.rows_on_disk() == 6


@pytest.mark.parametrize("signalled", [True, False])
def test_hanging_up_is_not_blamed_on_questdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    """The reason is the run's own, though its sender sees the connection cut before the report."""
    told = []

    def close(publisher: Publisher) -> None:
        hang_up(publisher)
        if threading.current_thread() is threading.main_thread():
            poll(lambda: delivery._outbox.tally.stopped is not None, 20, "the cut was seen")
            told.append(str(delivery._outbox.tally.stopped))

    hang_up = Publisher.close
    monkeypatch.setattr(Publisher, "close", close)
    monkeypatch.setattr("fleet.delivery._GRACE_S", -59.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conf = f"http::addr=127.0.0.1:{silent.getsockname()[1]};request_timeout=60000;"
        run = Run(conf, tmp_path, publish_timeout_s=600.0 if signalled else 1.0)
        delivery, sweep = run.begin(), run.sweep()
        for visit in sweep.visits:
            delivery.add(visit)
        poll(lambda: run.spool.waiting() != [], 20, "rows on disk")
        if signalled:
            run.noted.handle(signal.SIGTERM, None)
        report = delivery.finish(sweep, run.noted)
    assert len(told) == 1
    why = "the run was interrupted" if signalled else "QuestDB took longer than --publish-timeout"
    assert report.lines[0] == f"6 rows kept in the spool: {why}"


def test_a_signal_leaves_the_backlog_where_it_is(double: Double, tmp_path: Path) -> None:
    """Own rows are sent where that is quick."""
    run = Run(double.conf, tmp_path)
    run.leave(5)
    run.noted.handle(signal.SIGINT, None)
    report = run.whole()
    assert (report.sent + report.kept, report.lost) == (6, 0)
    assert report.drained == 0
    assert [entry.rows for entry in run.spool.waiting() if entry.sweep != NOW] == [2]


def test_a_bug_of_the_keepers_is_not_hidden(double: Double, tmp_path: Path) -> None:
    """The run ends, and has the exception; what was kept before is sent."""
    good, bad = down("good"), replace(down("bad"), elapsed_s="soon")  # type: ignore[arg-type]
    run = Run(double.conf, tmp_path)
    delivery = run.begin()
    delivery.add(good)
    poll(lambda: counts(double) == (0, 1, 0), 20, "the good one")
    delivery.add(bad)
    report = delivery.finish(run.sweep(good), run.noted)
    assert [type(bug) for bug in report.bugs] == [TypeError]
    assert "elapsed: expected float, not 'soon'" in str(report.bugs[0])
    assert report.sent == 1


def test_a_bug_of_the_senders_is_not_hidden(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends at once, has the exception, and every row is on disk."""

    def settle(_outbox: Outbox) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Outbox, "settle", settle)
    run = Run(double.conf, tmp_path, publish_timeout_s=600.0)
    started = time.monotonic()
    report = run.whole()
    assert time.monotonic() - started < 20
    assert [type(bug) for bug in report.bugs] == [ZeroDivisionError]
    assert run.rows_on_disk() == 6


def test_unreachable_once_is_not_waited_for_again(tmp_path: Path) -> None:
    """The time for publishing is the run's, not each batch's."""
    with nobody() as conf:
        run = Run(conf, tmp_path, publish_timeout_s=0.5)
        delivery = run.begin()
        visits = [down(f"h{n}") for n in range(3)]
        for number, visit in enumerate(visits, 1):
            delivery.add(visit)
            poll(lambda n=number: len(run.spool.waiting()) == n, 20, "a batch")
        started = time.monotonic()
        report = delivery.finish(run.sweep(*visits), run.noted)
        assert time.monotonic() - started < 5
    assert report.kept == 4
    assert "Connection refused" in report.lines[0]
    assert type(delivery._outbox.tally.stopped) is QuestDBUnreachable


# --- a real server


@pytest.mark.e2e
def test_a_real_server_has_every_row_once(questdb: QuestDB, tmp_path: Path) -> None:
    """Own rows and a backlog, all of it sent twice: the dedup keys make it once."""
    schema = fresh("delivery")
    names = names_of(schema)
    with nobody() as elsewhere:
        away = Run(elsewhere, tmp_path / "away", tables=names, publish_timeout_s=0.0)
        assert away.whole().kept == 6
    for _ in range(2):
        run = Run(questdb.conf, tmp_path / "here", tables=names, publish_timeout_s=20.0)
        run.started_at = NOW + timedelta(minutes=1)
        for entry in away.spool.waiting():
            batch = entry.read()
            assert batch
            run.spool.write(replace(batch, target=target_of(run.settings)), entry.number)
        report = run.whole()
        assert (report.sent, report.drained, report.lost, report.lines) == (6, 6, 0, ())
        assert run.spool.waiting() == []
    for table, count in zip(schema.tables, (4, 6, 2, 0, 0, 0), strict=True):
        count_of(questdb, table.name, count)


@pytest.mark.e2e
def test_a_real_table_that_is_suspended(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows stay on disk until it is resumed; then they are all there."""
    monkeypatch.setenv("QDB_DEV_MODE_ENABLED", "true")  # only then SUSPEND WAL is understood
    schema, other = fresh("suspended"), fresh("other")
    names = names_of(schema)
    with QuestDB(lab, "questdb-suspended") as questdb:
        client = client_of(questdb)
        ensure(client, schema)
        ensure(client, other)
        for table in (schema.hosts, other.hosts):
            questdb.sql(f'ALTER TABLE "{table.name}" SUSPEND WAL')
        assert suspended(client, schema) == [schema.hosts.name]
        run = Run(questdb.conf, tmp_path, tables=names, publish_timeout_s=20.0)
        report = run.whole()
        assert (report.suspended, report.kept, report.lost) == (True, 6, 0)
        questdb.sql(f'ALTER TABLE "{schema.hosts.name}" RESUME WAL')
        assert suspended(client, schema) == []
        again = Run(questdb.conf, tmp_path, tables=names, publish_timeout_s=20.0)
        again.started_at = NOW + timedelta(minutes=1)
        report = again.whole()
        assert (report.sent, report.drained, report.lines) == (6, 6, ())
        for table, count in zip(schema.tables, (4, 6, 2, 0, 0, 0), strict=True):
            count_of(questdb, table.name, count)


# --- a large spool


def test_a_retry_drops_nothing_to_make_room(tmp_path: Path) -> None:
    """Refused rows take the room that they had, whatever --spool-max-bytes says."""
    spool = Spool(tmp_path / "spool", 1)
    with nobody() as conf:
        run = Run(conf, tmp_path)
        entry = run.leave(5)
    spool.refuse(entry.read(), 1, [Refusal(HOSTS, "no", "x 1")])
    assert spool.retry(spool.refused()[0]) == (1, 0)
    assert sorted(entry.rows for entry in spool.waiting()) == [1, 2]


def test_what_was_moved_to_bad_stays_for_its_time(double: Double, tmp_path: Path) -> None:
    """However old the file was, somebody may still want to look at it."""
    run = Run(double.conf, tmp_path, spool_max_age_s=86_400.0)
    make_folder(run.spool.folder)
    note = run.spool.folder / "notes.txt"
    note.touch()
    os.utime(note, (0, 0))
    assert run.whole().lost == 0
    assert [path.name for path in run.spool.bad()] == ["notes.txt"]


def test_a_batch_that_was_passed_over_ages(double: Double, tmp_path: Path) -> None:
    """More than a hundred of its rows are refused: it stays until it is too old, and no longer."""
    run = Run(double.conf, tmp_path, spool_max_age_s=86_400.0)
    run.leave(200_000, rows=150)
    run.leave(200_001)
    double.refuses = lambda line: "no" if "host=old200000-" in line else None
    report = run.whole()
    assert (report.drained, report.lost) == (2, 150)
    assert run.spool.waiting() == []
