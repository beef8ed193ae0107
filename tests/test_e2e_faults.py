"""What dies, and what becomes of the rows: every row of the table in `docs/reliability.md`, through
the command line, against real nodes and a real QuestDB, with a relay in between that misbehaves.

Each fault is looked at twice: what a run does in it (its exit status, what it prints, what is in
QuestDB and what is on disk), and that the next run, the fault gone, brings in everything once.
"""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event

import pytest

from fleet.spool import Spool
from fleet.state import State
from tests.lab import relay as faults
from tests.lab.authority import Authority
from tests.lab.questdb import QuestDB
from tests.lab.relay import Exchange, Relay, canned, complaining
from tests.lab.waiting import poll
from tests.stage import (
    ALL,
    HASTY,
    HOSTS,
    PATIENT,
    ROWS,
    SWEEP,
    VISIT,
    Stage,
    Street,
    fill,
    finished,
    interrupt,
    privately,
    small_disk,
    told,
)

pytestmark = pytest.mark.e2e

TESTED: list[str] = []
"""Rows of the table that have a test here."""

SOON_S = 10
"""For what is done within two seconds on a machine that has nothing else to do."""

NONE = (0, 0, 0)
BEFORE_THE_SWEEP = ((HOSTS - 1) * ROWS, HOSTS - 1, 0)
"""Rows of all hosts but one."""
REST = VISIT + 1
"""Rows of that one, and the sweep's own."""
RETRIED = "refused rows that wait again: 1\nrows sent: 1\n"
SMALL_PAGES = {
    f"QDB_CAIRO_{kind}_APPEND_PAGE_SIZE": "64K"
    for kind in (
        "WRITER_DATA",
        "WAL_WRITER_DATA",
        "SYSTEM_WRITER_DATA",
        "WRITER_DATA_INDEX_KEY",
        "WRITER_DATA_INDEX_VALUE",
        "WRITER_MISC",
    )
}


def fault(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """This test is about these rows of the table; of several, one at a time as `row`."""
    TESTED.extend(names)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        return pytest.mark.parametrize("row", names)(test)

    return decorate


@pytest.fixture(scope="module")
def database(lab) -> Iterator[QuestDB]:
    """A QuestDB that may be killed; in dev mode it lets tables be suspended."""
    with QuestDB(lab, "questdb-of-faults", QDB_DEV_MODE_ENABLED="true", **SMALL_PAGES) as server:
        yield server


@pytest.fixture(scope="module")
def street(lab) -> Iterator[Street]:
    """Three nodes with four containers each."""
    with Street(lab) as street:
        yield street


@pytest.fixture
def stage(street, database, tmp_path, numbers) -> Iterator[Stage]:
    """Tables and a state directory of this test's own, and a relay that passes everything on."""
    with Relay(database.port) as relay:
        stage = Stage(street, database, relay, tmp_path, next(numbers))
        try:
            yield stage
        finally:
            stage.close()


@pytest.fixture
def restarts(database) -> Iterator[QuestDB]:
    """The QuestDB, for tests that end it or freeze it."""
    try:
        yield database
    finally:
        database.resume()
        if not database.process.alive:
            database.start()


def test_table_and_tests_are_about_the_same_faults():
    """Every row of the table in docs/reliability.md has its test, and every test its row."""
    assert sorted(told()) == sorted(TESTED)
    assert len(TESTED) >= 40


# --- QuestDB itself


@fault("it is stopped")
def test_stopped(stage, restarts, row):
    """Nobody listens: the sweep is made, and its rows wait."""
    stage.conf = restarts.conf + PATIENT
    restarts.stop()
    run = stage.run()
    assert stage.files.rows == ALL
    restarts.start()
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    stage.heals(2)


@fault("it is frozen (SIGSTOP)")
def test_frozen(stage, restarts, row):
    """It accepts connections and never answers: a run takes its time-outs longer, and no more."""
    stage.conf = restarts.conf + HASTY
    restarts.pause()
    run = stage.run()
    assert stage.files.rows == ALL
    restarts.resume()
    stage.said(row, run, n=ALL)
    stage.heals(2, conf=restarts.conf + PATIENT)


@fault("it is killed (-9) while a run is under way")
def test_killed_under_way(stage, street, restarts, row):
    """What it had accepted before is there when it is back; the rest waits."""
    stage.conf = restarts.conf + PATIENT
    street.hold(street.names[0])
    process = stage.start()
    stage.wait_rows(BEFORE_THE_SWEEP)
    restarts.kill9()
    street.release()
    run = finished(process)
    restarts.start()
    stage.said(row, run, n=kept_of_a_held_run(stage))
    assert stage.counts() == BEFORE_THE_SWEEP
    stage.heals(2)


@fault("it is restarted in mid-request")
def test_restarted_in_mid_request(stage, restarts, row):
    """Its end comes over a request half sent; the run tries again until it is back."""
    stage.run()

    def restart(exchange: Exchange) -> None:
        head = f"POST {exchange.path} HTTP/1.1\r\nHost: q\r\nContent-Length: {len(exchange.body)}"
        with socket.create_connection((restarts.host, restarts.port)) as connection:
            connection.sendall(
                f"{head}\r\n\r\n".encode() + exchange.body[: len(exchange.body) // 2]
            )
            restarts.stop()
        restarts.start()
        exchange.reset()

    stage.relay.does(restart, times=1)
    run = stage.run("--publish-timeout", "60")
    stage.said(row, run)
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))


@fault("it is down for three sweeps, and back at the fourth")
def test_down_for_three_sweeps(stage, restarts, row):
    """The fourth sweep's rows can be queried while the backlog has not been sent yet."""
    restarts.stop()
    runs = [stage.run() for _sweep in range(3)]
    assert len(stage.files.waiting) >= 3
    restarts.start()
    drain = Event()
    earlier = [name.split("-")[0].lstrip("0").encode() for name in stage.files.waiting]
    stage.relay.does(faults.holding(earlier, faults.after(lambda: drain.wait(60))))
    process = stage.start()
    stage.wait_rows(SWEEP)
    assert stage.files.rows >= 3 * ALL, "the backlog is still there"
    drain.set()
    stage.said(row, *runs, finished(process))
    stage.holds((4 * SWEEP[0], 4 * SWEEP[1], 4))


@fault("its disk is full", "its disk is full where it applies rows")
def test_disk_of_questdb_is_full(lab, stage, street, numbers, row):
    """It refuses rows (500), or accepts them, cannot apply them, and suspends the table."""
    name = f"questdb-full-{next(numbers)}"
    with (
        small_disk(lab, lab.folder / name, "200m") as disk,
        QuestDB(lab, name, **SMALL_PAGES) as server,
    ):
        full = Stage(street, server, stage.relay, stage.folder, next(numbers))
        full.conf = server.conf + PATIENT
        assert full.run().returncode == 0
        ballast = fill(disk)
        if "applies" in row:
            (other,) = full.keep(full.batch(20, age_s=86_400))
            first = full.run()  # the look at wal_tables() may come before QuestDB's own trouble
            assert first.returncode in (0, 4), first.stderr
            left, sweeps = full.files.rows, 4
            server.wait_for(
                f"SELECT name FROM wal_tables() WHERE suspended AND name = '{full.tables[0]}'",
                lambda rows: len(rows) == 1,
            )
            full.said(row, full.run())
            assert full.files.rows == left + ALL
        else:
            other, sweeps = full.keep(full.batch(20_000, age_s=3600))[0], 3
            full.said(row, full.run(), n=other.rows)
            assert full.files.waiting == [other.path.name]
        ballast.unlink()
        for table in full.tables:
            server.sql(f"ALTER TABLE {table} RESUME WAL")
        assert full.run().returncode == 0
        full.holds((sweeps * SWEEP[0] + other.rows, sweeps * SWEEP[1], sweeps))


@fault("it is older than 9.0")
def test_server_that_is_too_old(stage, row):
    """Its /settings know no newer ILP than the first: said, and the rows wait for its upgrade."""
    old = faults.rewriting(b'"line.proto.support.versions":[1,2,3]', b'"other":[]')
    stage.relay.does(old, path="/settings")
    run = stage.run()
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    stage.relay.heals()
    stage.heals(2)


# --- what answers instead of it

LIMIT = 1500
"""Of bytes in a request: two rows of `containerStats` or three."""
PAGE_OF_A_PROXY = "<html><head><title>503 Service Unavailable</title></head></html>"
ANSWERS = {
    "401": canned(401, "Unauthorized"),
    "403": canned(403, "not for you"),
    "404": canned(404, "no such page"),
    "429": canned(429, "slow down"),
    "500": complaining(500, "internal error", "could not write"),
    "502": canned(502, "bad gateway"),
    "503": canned(503, "try later"),
    "504": canned(504, "gateway timeout"),
    "a proxy's page of HTML": canned(500, PAGE_OF_A_PROXY),
    "200, of a captive portal": canned(200, "<html>Please log in to the network</html>"),
    "a redirect": canned(307, Location="https://example.com/write"),
}


@fault(*ANSWERS)
def test_answer_that_accepts_nothing(stage, row):
    """Every row waits, whoever it was that said no."""
    stage.relay.does(ANSWERS[row])
    run = stage.run()
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    stage.relay.heals()
    stage.heals(2)


@fault("413 for more than so many bytes")
def test_request_too_large(stage, row):
    """It is halved until it fits."""
    stage.relay.does(faults.larger_than(LIMIT, canned(413, "Request Entity Too Large")))
    run = stage.run()
    stage.said(row, run)
    stage.holds(SWEEP)
    assert stage.relay.writes > 6
    stage.relay.heals()
    stage.heals(2)


@fault("413 for a single row")
def test_row_too_large(stage, street, row):
    """A row that does not fit alone is refused; the others go on."""
    street.edit(street.names[0], f'1s/"Name":"app/"Name":"{"x" * 100}app/')
    stage.relay.does(faults.holding([b"x" * 100], canned(413, "Request Entity Too Large")))
    run = stage.run()
    stage.said(row, run)
    stage.holds((SWEEP[0] - 1, *SWEEP[1:]), refused=1)
    stage.relay.heals()
    street.as_it_was()
    again = stage.run("--retry-refused", command="spool")
    assert (again.returncode, again.stdout) == (
        0,
        "refused rows that wait again: 1\nrows sent: 1\n",
    )
    stage.heals(2)


@fault("400 for a row of a batch")
def test_row_refused(stage, street, row):
    """QuestDB's own reason stands beside the row in refused/; the other rows are in."""
    stage.sql(
        "CREATE TABLE {C} (host SYMBOL, container SYMBOL, pids INT, timestamp TIMESTAMP) "
        "TIMESTAMP(timestamp) PARTITION BY DAY WAL"
    )
    street.edit(street.names[1], '2s/"PIDs":"[0-9]*"/"PIDs":"3000000000"/')
    run = stage.run()
    stage.said(row, run)
    stage.holds((SWEEP[0] - 1, *SWEEP[1:]), refused=1)
    (refused,) = stage.refused()
    assert "pids=3000000000i" in refused["ilp"]
    assert refused["reason"].endswith("3000000000 is out bounds of column type: INT")
    shown = stage.run(command="spool")
    assert refused["reason"][:60] in shown.stdout
    stage.sql("ALTER TABLE {C} ALTER COLUMN pids TYPE LONG")
    again = stage.run("--retry-refused", command="spool")
    assert (again.returncode, again.stdout) == (
        0,
        "refused rows that wait again: 1\nrows sent: 1\n",
    )
    street.as_it_was()
    stage.heals(2)
    assert [r["pids"] for r in stage.sql("SELECT pids FROM {C} WHERE pids > 100000")] == [3 * 10**9]


@fault("400 for more than 100 rows of a batch")
def test_more_than_a_hundred_rows_refused(stage, row):
    """That is no matter of single rows: nothing is moved, and nobody is held up by it."""
    stage.sql(
        "CREATE TABLE {C} (host SYMBOL, container SYMBOL, pids INT, timestamp TIMESTAMP) "
        "TIMESTAMP(timestamp) PARTITION BY DAY WAL"
    )
    stage.keep(stage.batch(150, age_s=600, cells="pids=3000000000i"))
    run = stage.run()
    stage.said(row, run)
    stage.holds(SWEEP, waiting=150)
    stage.sql("ALTER TABLE {C} ALTER COLUMN pids TYPE LONG")
    assert stage.run().returncode == 0
    stage.holds((2 * SWEEP[0] + 150, 2 * SWEEP[1], 2))


@fault("it is too busy for a statement")
def test_too_busy_for_a_statement(stage, row):
    """QuestDB says so as it says mistakes, with 400: it is asked again, then by the next run."""
    said = json.dumps({"error": "Metadata read timeout [src=reader, timeout=1000ms]"})
    stage.relay.does(canned(400, said, Content_Type="application/json"), path="/exec")
    run = stage.run()
    stage.said(row, run, n=ALL)
    assert stage.files.rows == ALL
    stage.relay.heals()
    stage.heals(2)


# --- the way there


@fault("a reset after the request was sent")
def test_reset_after_the_request(stage, row):
    """The rows are in, and nobody knows: they wait, and dedup makes the second time none."""
    stage.relay.does(faults.reset_after)
    run = stage.run()
    stage.said(row, run, n=ALL)
    assert stage.files.rows == ALL
    assert stage.counts() == (SWEEP[0], 0, 0), "the first request's rows, sent more than once"
    stage.relay.heals()
    stage.heals(2)


@fault("a reset before it was answered, once")
def test_reset_once(stage, row):
    """The same run tries again."""
    stage.relay.does(faults.reset_before, times=1)
    run = stage.run("--publish-timeout", "20")
    stage.said(row, run)
    stage.holds(SWEEP)


@fault("half an answer")
def test_half_an_answer(stage, row):
    """An answer that breaks off is none."""
    stage.relay.does(faults.half)
    run = stage.run()
    stage.said(row, run, n=ALL)
    assert (stage.files.rows, stage.counts()) == (ALL, (SWEEP[0], 0, 0))
    stage.relay.heals()
    stage.heals(2)


SLOW = {
    "an answer after the time-out": faults.late(2.5),
    "an answer that trickles": faults.trickling(0.3),
}


@fault(*SLOW)
def test_slow_answer(stage, row):
    """The time of a request is for the whole of it, however lively the connection is."""
    stage.conf = stage.relay.conf + HASTY
    assert stage.run(conf=stage.relay.conf + PATIENT).returncode == 0
    stage.relay.does(SLOW[row])
    run = stage.run()
    stage.said(row, run, n=ALL)
    assert stage.files.rows == ALL
    stage.relay.heals()
    stage.heals(3, conf=stage.relay.conf + PATIENT)


@fault("no answer at all")
def test_no_answer(stage, row):
    """A request that hangs ends with its time; its rows wait."""
    assert stage.run().returncode == 0
    stage.relay.does(faults.hanging)
    run = stage.run(conf=stage.relay.conf + HASTY)
    stage.said(row, run, n=ALL)
    stage.holds(SWEEP, waiting=ALL)
    stage.relay.heals()
    stage.heals(3)


@fault("its name does not resolve")
def test_name_that_does_not_resolve(stage, tmp_path, row):
    """A name is no address: the rows wait for that name, and go there once it resolves."""
    name = "questdb-of-faults.invalid"
    stage.conf = f"http::addr={name}:{stage.relay.port};{PATIENT}"
    run = stage.run()
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {name}\n")
    stage.heals(2, before=privately('mount --bind "$1" /etc/hosts', hosts))


@pytest.fixture
def authority(tmp_path) -> Authority:
    """A private CA."""
    return Authority(tmp_path, "authority")


CERTIFICATES = {
    "its certificate is of another CA": {},
    "its certificate has expired": {"days": -1},
    "its certificate is of another host": {"address": "127.0.0.9"},
}


@fault(*CERTIFICATES)
def test_certificate_that_is_not_trusted(stage, database, authority, tmp_path, row):
    """Not one row is sent before there is a certificate that is trusted."""
    certificate = authority.certificate("server", **CERTIFICATES[row])
    trusted = Authority(tmp_path, "other").roots if "CA" in row else authority.roots
    with Relay(database.port, certificate=certificate) as relay:
        stage.conf = f"{relay.conf}tls_roots={trusted};{PATIENT}"
        run = stage.run()
        assert relay.requests == []
        port = relay.port
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    with Relay(database.port, certificate=authority.certificate("new"), port=port) as relay:
        stage.heals(2, conf=f"{relay.conf}tls_roots={authority.roots};{PATIENT}")


@fault("it speaks HTTP where https is configured")
def test_no_tls_there(stage, authority, row):
    """Said as what it is."""
    plain = stage.relay.conf
    stage.conf = plain.replace("http::", "https::") + f"tls_roots={authority.roots};{PATIENT}"
    run = stage.run()
    stage.said(row, run, n=ALL)
    stage.holds(NONE, waiting=ALL)


LOGINS = {
    "its password was changed": (
        "username=fleet;password=old-secret;",
        "username=fleet;password=new-secret;",
        "Basic " + base64.b64encode(b"fleet:new-secret").decode(),
    ),
    "its token was changed": ("token=old-token;", "token=new-token;", "Bearer new-token"),
}


@fault(*LOGINS)
@pytest.mark.parametrize("where", ["environment", "file"])
def test_secret_rotated(stage, database, authority, tmp_path, row, where):
    """Behind TLS of a private CA and a login: a secret that no longer holds keeps the rows, the
    new one, from the environment or from a file, sends them; the spool knows of neither.
    """
    old, new, authorization = LOGINS[row]
    certificate = authority.certificate("server")
    file = tmp_path / "questdb.conf"
    with Relay(database.port, certificate=certificate, logins=[authorization]) as relay:
        stage.conf = relay.conf

        def run_with(login: str) -> subprocess.CompletedProcess[str]:
            text = f"{relay.conf}{login}tls_roots={authority.roots};{PATIENT}"
            if where == "environment":
                return stage.run(conf="", env={"QDB_CLIENT_CONF": text})
            file.write_text(text)
            return stage.run("--questdb-file", file, conf="")

        run = run_with(old)
        stage.said(row, run, n=ALL)
        stage.holds(NONE, waiting=ALL)
        (name,) = stage.files.waiting
        kept = (stage.state / "spool" / name).read_bytes()
        assert not re.search(rb"secret|token|fleet:|username", kept.partition(b"}\n")[0])
        again = run_with(new)
        assert (again.returncode, "old-" in again.stderr, "new-" in again.stderr) == (
            0,
            False,
            False,
        )
        stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))


# --- its tables


@fault("a column is of another type")
def test_conflict_ends_a_run_before_any_ssh(stage, street, row):
    """Nobody is visited for rows that have no place."""
    stage.sql(
        "CREATE TABLE {C} (host SYMBOL, container SYMBOL, cpu BOOLEAN, timestamp TIMESTAMP) "
        "TIMESTAMP(timestamp) PARTITION BY DAY WAL"
    )
    logins = street.node.log.count("Accepted publickey")
    run = stage.run()
    assert street.node.log.count("Accepted publickey") == logins
    stage.said(row, run)
    stage.holds(NONE)
    stage.sql("ALTER TABLE {C} RENAME COLUMN cpu TO cpu_old")
    stage.heals(1)


def held_run(stage: Stage) -> "subprocess.Popen[str]":
    """A run of which one visit is held; the others' rows are in."""
    stage.street.hold(stage.street.names[0])
    process = stage.start()
    stage.wait_rows(BEFORE_THE_SWEEP)
    return process


def kept_of_a_held_run(stage: Stage) -> int:
    """Rows that a run keeps whose last visit met a fault: those of the others, or of some of them,
    stay on disk as well until QuestDB has been asked whether it applies them, once a second at
    the most.
    """
    assert REST <= stage.files.rows <= ALL
    return stage.files.rows


@fault("a column is altered to another type, meanwhile")
def test_column_altered_meanwhile(stage, street, row):
    """The schema is looked at before any row is blamed: the rest waits until it is mended."""
    process = held_run(stage)
    stage.sql("ALTER TABLE {C} ALTER COLUMN cpu TYPE BOOLEAN")
    stage.settled()
    street.release()
    run = finished(process)
    logins = street.node.log.count("Accepted publickey")
    second = stage.run()
    assert street.node.log.count("Accepted publickey") == logins
    stage.said(row, run, second, n=kept_of_a_held_run(stage))
    assert stage.counts() == BEFORE_THE_SWEEP
    stage.sql("ALTER TABLE {C} RENAME COLUMN cpu TO cpu_old")
    stage.heals(2)


@fault("a table is dropped, meanwhile")
def test_table_dropped_meanwhile(stage, street, row):
    """Rows make QuestDB create it anew, and fleet gives it its columns and dedup keys."""
    process = held_run(stage)
    stage.sql("DROP TABLE {C}")
    street.release()
    run = finished(process)
    made = run.stderr.count(f'CREATE TABLE IF NOT EXISTS "{stage.tables[0]}"')
    if made < 2:  # else the run looked at the schema, as it does now and then, before it sent rows
        stage.said(row, run)
    assert run.returncode == 0
    stage.holds((ROWS, *SWEEP[1:]))
    columns = stage.sql("SHOW COLUMNS FROM {C}")
    assert {c["column"] for c in columns if c["upsertKey"]} == {"timestamp", "host", "container"}
    again = stage.run()
    assert (again.returncode, again.stderr) == (0, "")
    stage.holds((ROWS + SWEEP[0], 2 * SWEEP[1], 2))


@fault("a column is dropped, meanwhile")
def test_column_dropped_meanwhile(stage, street, row):
    """It is there again, with the values of the rows from then on."""
    process = held_run(stage)
    stage.sql("ALTER TABLE {C} DROP COLUMN image")
    stage.settled()
    street.release()
    stage.said(row, finished(process))
    stage.holds(SWEEP)
    (image,) = [c for c in stage.sql("SHOW COLUMNS FROM {C}") if c["column"] == "image"]
    assert image["type"] == "SYMBOL"
    stage.heals(2)


@fault("dedup is disabled, meanwhile")
def test_dedup_disabled_meanwhile(stage, street, row):
    """Its keys are enabled again in the same run."""
    process = held_run(stage)
    stage.sql("ALTER TABLE {C} DEDUP DISABLE")
    stage.settled()
    street.release()
    stage.said(row, finished(process))
    columns = stage.sql("SHOW COLUMNS FROM {C}")
    assert {c["column"] for c in columns if c["upsertKey"]} == {"timestamp", "host", "container"}
    stage.holds(SWEEP)
    stage.heals(2)


@fault("a table is suspended")
def test_table_suspended(stage, row):
    """204 and nothing applied: said, kept on disk, and sent again once it applies rows."""
    assert stage.run().returncode == 0
    stage.settled()
    stage.sql("ALTER TABLE {C} SUSPEND WAL")
    runs = [stage.run(), stage.run()]
    stage.said(row, *runs, n=ALL)
    assert stage.files.rows == 2 * ALL
    assert stage.counts()[0] == SWEEP[0]
    stage.sql("ALTER TABLE {C} RESUME WAL")
    stage.heals(4)


WITHOUT_WAL = (
    "CREATE TABLE {C} (host SYMBOL, container SYMBOL, timestamp TIMESTAMP) "
    "TIMESTAMP(timestamp) PARTITION BY DAY BYPASS WAL"
)


@fault("a table has no WAL")
def test_table_without_wal(stage, street, row):
    """It takes no rows over HTTP: the run ends before any SSH, and says what to do."""
    stage.sql(WITHOUT_WAL)
    logins = street.node.log.count("Accepted publickey")
    run = stage.run()
    assert street.node.log.count("Accepted publickey") == logins
    stage.said(row, run)
    stage.holds(NONE)
    stage.sql("DROP TABLE {C}")
    stage.heals(1)


@fault("a table is made anew without WAL, meanwhile")
def test_table_without_wal_meanwhile(stage, street, row):
    """The rest waits; the next run says what to do before any SSH."""
    process = held_run(stage)
    process.send_signal(signal.SIGSTOP)  # else it may make the table anew between the two
    stage.sql("DROP TABLE {C}")
    stage.sql(WITHOUT_WAL)
    process.send_signal(signal.SIGCONT)
    street.release()
    run = finished(process)
    kept = kept_of_a_held_run(stage)
    stage.said(row, run, stage.run(), n=kept)
    assert stage.counts() == (0, *BEFORE_THE_SWEEP[1:])
    stage.sql("DROP TABLE {C}")
    assert stage.run().returncode == 0
    stage.holds(((ROWS if kept == REST else SWEEP[0]) + SWEEP[0], 2 * SWEEP[1], 2))


# --- the state directory


@fault("it is read-only")
def test_state_directory_is_read_only(stage, row):
    """Neither lock nor spool: said, and the rows go to QuestDB all the same."""
    stage.state.mkdir()
    read_only = privately('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', stage.state)
    run = stage.run(before=read_only)
    stage.said(row, run)
    stage.holds(SWEEP)
    assert list(stage.state.iterdir()) == []
    stage.heals(2)


@fault("its disk is full, QuestDB is well")
def test_disk_of_the_spool_is_full(lab, stage, row):
    """Said, and the rows go to QuestDB from memory."""
    with small_disk(lab, stage.state, "64k"):
        ballast = fill(stage.state)
        run = stage.run()
        stage.said(row, run)
        stage.holds(SWEEP)
        ballast.unlink()
        stage.heals(2)


@fault("its disk is full, and QuestDB is down")
def test_disk_of_the_spool_is_full_and_questdb_is_down(lab, stage, row):
    """Nobody keeps the rows: that is said, and is a status of its own."""
    with small_disk(lab, stage.state, "64k"):
        ballast = fill(stage.state)
        stage.relay.does(canned(503), path="")
        run = stage.run()
        stage.said(row, run, n=ALL)
        stage.holds(NONE)
        ballast.unlink()
        stage.relay.heals()
        stage.heals(1)


# --- its files


@fault("a file is cut")
def test_file_that_was_cut(stage, row):
    """A batch cut at every hundredth byte is seen as such, and holds up nobody."""
    _damaged(stage, row, lambda data, at: data[:at])


@fault("a file is changed")
def test_file_that_was_changed(stage, row):
    """A batch with one bit flipped in every hundredth byte is seen as such, and holds up nobody."""
    _damaged(stage, row, lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def _damaged(stage: Stage, row: str, damage: Callable[[bytes, int], bytes]) -> None:
    """One run meets copies of a batch, each damaged in another place, between good ones."""
    (entry,) = stage.keep(stage.batch(10, age_s=600))
    data = entry.path.read_bytes()
    places = range(0, len(data), 100)
    assert len(places) >= 8
    for number, place in enumerate(places, 2):
        copy = entry.path.name.replace("-00001-", f"-{number:05d}-", 1)
        entry.path.with_name(copy).write_bytes(damage(data, place))
    newer = stage.batch(10, age_s=300, first=100)
    Spool(stage.state / "spool", 2**30).write(newer, 1)
    run = stage.run()
    stage.said(row, run)
    stage.holds((SWEEP[0] + 20, *SWEEP[1:]), bad=len(places))
    moved = [line for line in run.stderr.splitlines() if f" moved to {stage.state}" in line]
    assert len(moved) == len(places)
    again = stage.run()
    assert (again.returncode, again.stderr) == (0, "")


@fault("a file that is not ours")
def test_foreign_file(stage, row):
    """It is moved away and said; what a dead run was writing is removed."""
    spool = stage.state / "spool"
    spool.mkdir(parents=True)
    (spool / "notes.txt").write_text("buy milk")
    (entry,) = stage.keep(stage.batch(10, age_s=600))
    half = spool / f".{entry.path.name.replace('-00001-', '-00009-')}.tmp"
    half.write_bytes(entry.path.read_bytes()[:100])
    run = stage.run()
    stage.said(row, run)
    stage.holds((SWEEP[0] + 10, *SWEEP[1:]), bad=1)
    assert (spool / "bad/notes.txt").read_text() == "buy milk"
    assert not half.exists()
    again = stage.run()
    assert (again.returncode, again.stderr) == (0, "")


@fault("it would grow over --spool-max-bytes")
def test_spool_too_large(stage, row):
    """The oldest goes, and is counted; the rest is sent when it can be."""
    wide = f'pids=1i,id="{"x" * 400}"'
    old, young = stage.batch(1200, age_s=600, cells=wide), stage.batch(1200, age_s=300, cells=wide)
    entries = stage.keep(old, young)
    assert sum(entry.size for entry in entries) > 2**20 > entries[1].size + 20_000
    stage.relay.does(canned(503), path="")
    run = stage.run("--spool-max-bytes", "1MiB")
    stage.said(row, run)
    stage.holds(NONE, waiting=1200 + ALL)
    stage.relay.heals()
    assert stage.run().returncode == 0
    stage.holds((2 * SWEEP[0] + 1200, 2 * SWEEP[1], 2))


@fault("rows older than --spool-max-age, QuestDB is down")
def test_spool_too_old(stage, row):
    """They go, and are counted."""
    stage.keep(stage.batch(100, age_s=600))
    stage.relay.does(canned(503), path="")
    run = stage.run("--spool-max-age", "1min")
    stage.said(row, run)
    stage.holds(NONE, waiting=ALL)
    stage.relay.heals()
    stage.heals(2)


@fault("rows older than --spool-max-age, QuestDB is well")
def test_spool_too_old_and_sendable(stage, row):
    """What can be sent is sent first."""
    stage.keep(stage.batch(100, age_s=600))
    run = stage.run("--spool-max-age", "1min")
    stage.said(row, run)
    stage.holds((SWEEP[0] + 100, *SWEEP[1:]))


# --- runs beside each other


@fault("another run of the same name is under way")
def test_lock_held(stage, street, row):
    """Exit 6 at once, with the holder's pid and age, and nobody visited."""
    street.hold()
    first = stage.start()
    street.wait_visits(HOSTS)
    second = stage.run()
    stage.said(row, second)
    assert f"pid {first.pid}," in second.stderr
    street.release()
    assert finished(first).returncode == 0
    stage.holds(SWEEP)


@fault("the same, with --wait-lock")
def test_lock_awaited(stage, street, row):
    """It runs when the other has ended."""
    street.hold()
    first = stage.start()
    street.wait_visits(HOSTS)
    second = stage.start("--wait-lock", "60")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(2)
    street.release()
    stage.said(row, finished(second))
    assert finished(first).returncode == 0
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))


@fault("two runs start at the same moment")
def test_two_runs_at_once(stage, street, row):
    """One delivers, the other ends with 6: which, nobody knows before."""
    street.hold()
    both = [stage.start(), stage.start()]
    poll(lambda: any(one.poll() is not None for one in both), 60, "the end of one")
    street.release()
    runs = sorted((finished(one) for one in both), key=lambda run: run.returncode)
    stage.said(row, *runs)
    stage.holds(SWEEP)


@fault("jobs of two names at once")
def test_two_names_at_once(stage, street, row):
    """Each has its lock and its rows; both deliver."""
    street.hold()
    both = [stage.start("--name", name) for name in ("eu", "us")]
    street.wait_visits(2 * HOSTS)
    street.release()
    stage.said(row, *(finished(one) for one in both))
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))
    assert {r["name"] for r in stage.sql("SELECT name FROM {S}")} == {"eu", "us"}


@fault("a job runs while another drains")
def test_job_beside_one_that_drains(stage, row):
    """It neither waits for the other's backlog nor sends it a second time."""
    stage.keep(*(stage.batch(100, age_s=600 - n, first=100 * n) for n in range(3)))
    gate = Event()
    waits = faults.after(lambda: gate.wait(60))
    stage.relay.does(faults.holding([b"host=old"], waits))
    first = stage.start()
    stage.wait_rows(SWEEP)
    second = stage.run("--name", "other")
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2), waiting=300)
    gate.set()
    stage.said(row, finished(first), second)
    stage.holds((2 * SWEEP[0] + 300, 2 * SWEEP[1], 2))


@fault("the same spool, another QuestDB")
def test_targets_never_mix(stage, database, numbers, row):
    """Rows for one wait for that one, whatever the other accepts."""
    stage.relay.does(canned(503), path="")
    kept = stage.run()
    with Relay(database.port) as relay:
        other = Stage(stage.street, database, relay, stage.folder, next(numbers))
        try:
            run = other.run()
            assert other.counts() == SWEEP
        finally:
            other.close()
    stage.said(row, kept, run, n=ALL)
    stage.holds(NONE, waiting=ALL)
    stage.relay.heals()
    stage.heals(2)


# --- fleet itself


@fault("a lock is left by a process that was killed (-9)")
def test_lock_of_a_dead_process(stage, street, row):
    """Locks are the kernel's: the file stays, and holds nobody up."""
    street.hold()
    process = stage.start()
    street.wait_visits(HOSTS)
    process.kill()
    process.wait(20)
    assert (
        str(process.pid) in (stage.state / f"locks/run-fleet-{stage.job.target}.lock").read_text()
    )
    street.release()
    stage.said(row, stage.run())
    stage.holds(SWEEP)


@fault("it is killed (-9) in mid-sweep, QuestDB is down")
def test_fleet_is_killed(stage, street, row):
    """Visits that had ended a second before are on disk, and the lock is nobody's."""
    stage.relay.does(canned(503), path="")
    street.hold(street.names[0])
    process = stage.start("--publish-timeout", "60")
    poll(lambda: stage.files.rows == (HOSTS - 1) * VISIT, 60, "two visits on disk")
    process.kill()
    run = finished(process)
    assert run.returncode == -signal.SIGKILL
    stage.relay.heals()
    street.release()
    stage.said(row, stage.run())
    stage.holds((SWEEP[0] + (HOSTS - 1) * ROWS, SWEEP[1] + HOSTS - 1, 1))


def ended(process: "subprocess.Popen[str]", *numbers: signal.Signals) -> float:
    """Send signals → seconds until the process has ended."""
    started = time.monotonic()
    interrupt(process, *numbers)
    process.wait(60)
    return time.monotonic() - started


@fault("SIGINT in mid-sweep", "SIGTERM in mid-sweep")
def test_signal_in_mid_sweep(stage, row):
    """Visits that had ended count, the others are `skipped`; all of it is published."""
    process = held_run(stage)
    took_s = ended(process, signal.Signals[row.split()[0]])
    assert took_s < SOON_S
    stage.said(row, finished(process))
    stage.holds(((HOSTS - 1) * ROWS, *SWEEP[1:]))
    assert stage.statuses() == {"ok": HOSTS - 1, "skipped": 1}
    stage.street.release()
    assert stage.run().returncode == 0
    stage.holds(((HOSTS - 1) * ROWS + SWEEP[0], 2 * HOSTS, 2))


@fault("SIGTERM in mid-sweep, QuestDB is frozen")
def test_signal_while_questdb_is_frozen(stage, street, restarts, row):
    """What cannot be published in that time waits."""
    assert stage.run().returncode == 0
    street.hold(street.names[0])
    restarts.pause()
    process = stage.start()
    poll(lambda: stage.files.rows == (HOSTS - 1) * VISIT, 60, "two visits on disk")
    assert ended(process, signal.SIGTERM) < SOON_S
    restarts.resume()
    street.release()
    waiting = (HOSTS - 1) * VISIT + 2
    stage.said(row, finished(process), n=waiting)
    stage.holds(SWEEP, waiting=waiting)
    assert stage.run().returncode == 0
    stage.holds((2 * SWEEP[0] + (HOSTS - 1) * ROWS, 3 * HOSTS, 3))
    assert stage.statuses() == {"ok": 3 * HOSTS - 1, "skipped": 1}


@fault("a second signal")
def test_second_signal(stage, street, restarts, row):
    """It ends the run at once, and what was on disk stays there."""
    assert stage.run().returncode == 0
    street.hold(street.names[0])
    restarts.pause()
    process = stage.start()
    poll(lambda: stage.files.rows == (HOSTS - 1) * VISIT, 60, "two visits on disk")
    assert ended(process, signal.SIGINT, signal.SIGTERM) < SOON_S
    restarts.resume()
    street.release()
    stage.said(row, finished(process))
    assert stage.files.rows >= (HOSTS - 1) * VISIT
    assert stage.run().returncode == 0
    assert stage.files.waiting == []
    assert stage.counts()[0] == 2 * SWEEP[0] + (HOSTS - 1) * ROWS


@fault("SIGHUP in mid-sweep")
def test_hangup(stage, street, row):
    """A terminal that goes away ends no run."""
    process = held_run(stage)
    interrupt(process, signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    street.release()
    stage.said(row, finished(process))
    stage.holds(SWEEP)


@fault("standard output is closed", "standard error is closed")
def test_closed_stream(stage, row):
    """What would have been printed is not; the rows are delivered, the status is right."""
    number = 1 if "output" in row else 2
    closed = ["sh", "-c", f'exec "$@" {number}>&-', "sh"]
    run = stage.run(before=closed)
    stage.said(row, run)
    stage.holds(SWEEP)
    stage.relay.does(canned(503))
    assert stage.run(before=closed).returncode == 4
    assert stage.files.rows == ALL
    stage.relay.heals()
    stage.heals(3)


@fault("standard error is a full pipe that nobody reads")
def test_full_pipe(stage, row):
    """A run ends, and delivers, all the same."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, bytes(4096)):
                pass
        os.set_blocking(writer, True)
        process = stage.start(stderr=writer)
        status = process.wait(60)
    finally:
        os.close(reader)
        os.close(writer)
    stage.said(row, subprocess.CompletedProcess([], status, "", ""))
    stage.holds(SWEEP)
    stage.heals(2)


# --- the clock


def by_clock(spec: str) -> list[str]:
    """What a command is started by, to see another time of day."""
    return [
        "env",
        "DONT_FAKE_MONOTONIC=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "faketime",
        "-f",
        spec,
    ]


@fault("it is set back by an hour")
def test_clock_set_back(stage, row):
    """Rows keep their times, and no two sweeps share one."""
    assert stage.run().returncode == 0
    run = stage.run(before=by_clock("-1h"))
    stage.said(row, run)
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))
    times = [r["timestamp"] for r in stage.sql("SELECT timestamp FROM {S}")]
    earlier, later = (datetime.fromisoformat(time) for time in sorted(times))
    assert 3300 < (later - earlier).total_seconds() < 3900
    stage.heals(3)


@fault("it stands still")
def test_clock_that_stands_still(stage, row):
    """Two sweeps in the same microsecond are two sweeps."""
    still = f"{datetime.now():%Y-%m-%d %H:%M:%S}"  # noqa: DTZ005 - faketime's words are local time
    runs = [stage.run(before=by_clock(still)) for _sweep in range(2)]
    stage.said(row, *runs)
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))
    first, second = stage.sql("SELECT timestamp FROM {S} ORDER BY timestamp")
    assert first["timestamp"][:-8] == second["timestamp"][:-8]
    stage.heals(3)


# --- fleet spool, and snapshot


def keeps(stage: Stage, sweeps: int) -> None:
    """So many sweeps wait; the tables are there."""
    stage.relay.does(canned(503))
    for _sweep in range(sweeps):
        assert stage.run().returncode == 4
    assert stage.files.rows == sweeps * ALL


def test_spool_is_shown_and_sent(stage):
    """`fleet spool` says what waits for whom; --flush sends it, or says why not."""
    empty = stage.run(command="spool")
    assert (empty.returncode, empty.stdout) == (0, f"Nothing waits in {stage.state}/spool\n")
    keeps(stage, 2)
    shown = stage.run(command="spool")
    size = sum((stage.state / "spool" / name).stat().st_size for name in stage.files.waiting)
    head, line = shown.stdout.splitlines()
    assert head.split() == ["WAITING", "SINCE", "JOB", "BATCHES", "ROWS", "SIZE", "FOR"]
    assert line.split()[2:5] == ["fleet", str(len(stage.files.waiting)), str(2 * ALL)]
    assert line.endswith(f" {stage.target}")
    (said,) = json.loads(stage.run("--format", "json", command="spool").stdout)["waiting"]
    assert (said["job"], said["rows"], said["bytes"]) == ("fleet", 2 * ALL, size)
    assert said["target"] == str(stage.target)

    failed = stage.run("--flush", command="spool")
    assert (failed.returncode, failed.stdout) == (4, "rows sent: 0\n")
    assert re.fullmatch(
        rf"fleet: {2 * ALL} rows kept in the spool: QuestDB at \S+: did not take .*\n",
        failed.stderr,
    )
    stage.holds(NONE, waiting=2 * ALL)
    stage.relay.heals()
    sent = stage.run("--flush", command="spool")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, f"rows sent: {2 * ALL}\n", "")
    stage.holds((2 * SWEEP[0], 2 * SWEEP[1], 2))


def test_spool_is_exported_and_posted_by_hand(stage, tmp_path):
    """What --export writes is what /write takes, and the same rows as the spool then sends."""
    keeps(stage, 1)
    file = tmp_path / "rows.ilp"
    export = stage.run("--export", file, command="spool")
    assert (export.returncode, export.stderr) == (0, f"fleet: rows exported: {ALL}\n")
    assert stage.run("--export", "-", command="spool").stdout == file.read_text()
    batches = [(stage.state / "spool" / name).read_text() for name in stage.files.waiting]
    assert "".join(batch.split("\n", 2)[2] for batch in batches) == file.read_text(), "sed 1,2d"
    stage.holds(NONE, waiting=ALL)
    address = f"{stage.database.url}/write?precision=n"
    with urllib.request.urlopen(address, file.read_bytes(), timeout=30) as answer:
        assert answer.status == 204
    stage.holds(SWEEP, waiting=ALL)
    stage.relay.heals()
    stage.heals(2)


def test_refused_rows_are_dropped(stage, street):
    """`fleet spool --drop-refused` forgets them, and says how many."""
    street.edit(street.names[0], f'1s/"Name":"app/"Name":"{"x" * 100}app/')
    stage.relay.does(faults.holding([b"x" * 100], canned(413)))
    assert stage.run().returncode == 7
    assert "413" in stage.run(command="spool").stdout
    dropped = stage.run("--drop-refused", command="spool")
    assert (dropped.returncode, dropped.stdout) == (0, "refused rows dropped: 1\n")
    stage.holds((SWEEP[0] - 1, *SWEEP[1:]))


def test_spool_beside_a_running_collect(stage, street):
    """What a run has kept is shown and exported, and left to that run to send."""
    stage.relay.does(canned(503), path="")
    street.hold(street.names[0])
    process = stage.start("--publish-timeout", "60")
    rows = (HOSTS - 1) * VISIT
    poll(lambda: stage.files.rows == rows, 60, "two visits on disk")
    assert f" {rows} " in stage.run(command="spool").stdout
    export = stage.run("--export", "-", command="spool")
    assert (export.returncode, len(export.stdout.splitlines())) == (0, rows)
    flush = stage.run("--flush", command="spool")
    assert (flush.returncode, flush.stdout) == (0, "rows sent: 0\n")
    stage.relay.heals()
    street.release()
    assert finished(process).returncode == 0
    stage.holds(SWEEP)


def test_published_snapshot_goes_the_same_road(stage):
    """`snapshot --publish` keeps what QuestDB does not take; collect sends it."""
    stage.relay.does(canned(503))
    words = ("--publish", "--format", "jsonl")
    run = stage.run(*words, command="snapshot")
    assert run.returncode == 4
    assert len(run.stdout.splitlines()) == SWEEP[0]
    assert f"{ALL} rows kept in the spool: " in run.stderr
    with State(stage.state).run_lock(stage.job):
        assert stage.run(*words, command="snapshot").returncode == 6
    stage.relay.heals()
    stage.heals(2)


def test_plain_snapshot_has_nothing_to_do_with_it(stage):
    """It makes no state directory, asks no QuestDB, and heeds no lock."""
    run = stage.run(command="snapshot")
    assert run.returncode == 0, run.stderr
    assert not stage.state.exists()
    assert stage.relay.requests == []
    with State(stage.state).run_lock(stage.job):
        assert stage.run().returncode == 6
        assert stage.run(command="snapshot").returncode == 0
