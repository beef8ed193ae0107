"""Batches on their way out: removed once they are applied, counted whatever became of them."""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleet import outbox as outbox_module
from fleet.batch import Batch, Target
from fleet.errors import QuestDBUnreachable, SchemaError, TooManyRefused
from fleet.ilp_text import Part
from fleet.outbox import GROUP_MAX_BYTES, GROUP_MAX_ROWS, Bad, Item, Outbox, Told
from fleet.publish import Clock, Publisher
from fleet.questdb_conf import parse_conf
from fleet.schema import create_statement
from fleet.spool import Entry, Spool
from fleet.tables import TableNames, schema_of
from tests.questdb_double import Double, nobody, questdb_double
from tests.test_tables import NOW

HOSTS, CONTAINERS = "hostStatus", "containerStats"
TARGET = Target("http", "db", 9000, (CONTAINERS, HOSTS, "fleetSweep"))


def batch(sweep: int, rows: int = 2, first: int = 0, containers: int = 0) -> Batch:
    """Rows of `hostStatus` (and of `containerStats`) of hosts `s<sweep>-<n>`."""
    parts = []
    for table, count in ((CONTAINERS, containers), (HOSTS, rows)):
        lines = [f"{table},host=s{sweep}-{first + n} v=1i {sweep}000\n" for n in range(count)]
        if count:
            parts.append(Part(table, (), "".join(lines).encode(), count))
    return Batch(TARGET, "fleet", NOW + timedelta(minutes=sweep), tuple(parts))


def put(spool: Spool, number: int, *, waits: Batch) -> Item:
    """Spool a batch → as a run's own."""
    entry, _ = spool.write(waits, number)
    return Item(number, waits.rows, entry)


def hosts(lines: Iterable[str]) -> list[str]:
    """The hosts of accepted lines, as they came."""
    return [line.partition(" ")[0].partition("=")[2] for line in lines]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool with room."""
    return Spool(tmp_path / "spool", 2**30)


@pytest.fixture
def double() -> Iterator[Double]:
    """A QuestDB that does as the test says."""
    with questdb_double() as double:
        yield double


@contextmanager
def posting(conf: str, spool: Spool | None, seconds: float = 10.0) -> Iterator[Outbox]:
    """An outbox to the server of a configuration string, that tries again for so long."""
    tables = schema_of(TableNames())
    with closing(Publisher(parse_conf(conf, "test"), tables, Clock(seconds))) as publisher:
        yield Outbox(publisher, spool)


# --- sent


def test_what_is_sent_is_removed(double: Double, spool: Spool) -> None:
    """Once it is accepted, and the tables apply it; not before."""
    items = [put(spool, n, waits=batch(0, first=2 * n, containers=1)) for n in range(3)]
    with posting(double.conf, spool) as outbox:
        for item in items:
            outbox.send(item)
        assert len(spool.waiting()) == 3
        assert outbox.tally.sent == 9
        outbox.settle()
        assert spool.waiting() == []
        assert (outbox.tally.stopped, outbox.tally.drained) == (None, 0)
    assert (double.count(HOSTS), double.count(CONTAINERS)) == (6, 3)


def test_files_go_while_others_are_sent(
    double: Double, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long backlog is not kept to its end: every second what was accepted is removed."""
    monkeypatch.setattr(outbox_module, "SETTLE_EVERY_S", -1.0)
    with posting(double.conf, spool) as outbox:
        for number in range(3):
            outbox.send(put(spool, number, waits=batch(number)))
            assert spool.waiting() == []


def test_tables_are_made_before_the_first_row(double: Double, spool: Spool) -> None:
    """A server that was empty, or not there, when the run began has them now."""
    del double.tables[HOSTS]
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 1, waits=batch(0)))
        outbox.settle()
        assert outbox.tally.sent == 2
    created = [sql for sql in double.asked if sql.startswith("CREATE")]
    assert created == [create_statement(schema_of(TableNames()).hosts)]


def test_a_batch_that_another_has_sent_is_no_news(double: Double, spool: Spool) -> None:
    """It is neither sent, nor counted, nor an error."""
    item = put(spool, 1, waits=batch(0))
    assert item.entry
    spool.remove([item.entry])
    with posting(double.conf, spool) as outbox:
        outbox.send(item)
        outbox.settle()
        assert outbox.tally == Outbox(outbox._publisher, spool).tally
    assert double.writes == []


def test_without_a_file_it_goes_from_memory(double: Double, spool: Spool) -> None:
    """A disk that took nothing: the batch is sent all the same, and known by its number."""
    items = [Item(n, 2, None, batch(0, first=2 * n)) for n in range(1, 4)]
    for disk in (spool, None):
        with posting(double.conf, disk) as outbox:
            double.refuses = lambda line: "no" if "s0-4 " in line else None
            for item in items:
                outbox.send(item)
            outbox.settle()
            assert outbox.tally.accepted == {1, 2, 3}
            assert outbox.tally.sent == 5
            (told,) = outbox.tally.refused
            assert (told.rows, told.kept_in is None) == (1, disk is None)
    assert double.count(HOSTS) == 5


@pytest.mark.parametrize(
    "error",
    [
        "Metadata read timeout [src=reader, timeout=1000ms]",
        "Transaction read timeout [src=reader, table=t, timeout=1000ms]",
        "timeout, query aborted [fd=1]",
    ],
)
def test_server_that_is_too_busy_for_a_statement_is_asked_again(
    double: Double, spool: Spool, error: str
) -> None:
    """QuestDB says so with the status of a mistake (400); it stops nothing."""
    times = iter([(400, json.dumps({"error": error}))] * 3)
    double.says_to = lambda _sql: next(times, None)
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 1, waits=batch(0)))
        outbox.settle()
        assert (outbox.tally.sent, outbox.tally.stopped) == (2, None)
    assert next(times, None) is None


# --- drained


def test_what_waited_goes_oldest_first_and_in_few_requests(double: Double, spool: Spool) -> None:
    """Small batches go together, table by table, each row once."""
    for sweep in (4, 1, 3, 0, 2):
        put(spool, 1, waits=batch(sweep, containers=1))
    with posting(double.conf, spool) as outbox:
        outbox.drain(spool.waiting())
        outbox.settle()
        assert (outbox.tally.sent, outbox.tally.drained) == (15, 15)
    assert len(double.writes) == 2
    assert hosts(double.rows[HOSTS]) == [f"s{sweep}-{n}" for sweep in range(5) for n in range(2)]
    assert hosts(double.rows[CONTAINERS]) == [f"s{sweep}-0" for sweep in range(5)]
    assert spool.waiting() == []


def test_a_group_is_bounded(double: Double, spool: Spool) -> None:
    """By rows, and by bytes: a large batch goes alone."""
    sizes = [GROUP_MAX_ROWS - 1, 1, 1, GROUP_MAX_ROWS + 5, 3]
    for sweep, rows in enumerate(sizes):
        put(spool, 1, waits=batch(sweep, rows))
    with posting(double.conf, spool, 60) as outbox:
        outbox.drain(spool.waiting())
        assert outbox.tally.drained == sum(sizes)
    counts = [body.count(b"\n") for body in double.writes]
    assert counts == [GROUP_MAX_ROWS, 1, GROUP_MAX_ROWS + 5, 3]


def test_a_group_is_bounded_by_bytes(double: Double, spool: Spool) -> None:
    """Rows may be large."""
    for sweep in range(5):
        body = f'{HOSTS},host=s{sweep} detail="{"x" * (GROUP_MAX_BYTES // 3)}" {sweep}\n'.encode()
        part = Part(HOSTS, (), body, 1)
        put(spool, 1, waits=replace(batch(sweep), parts=(part,)))
    with posting(double.conf, spool, 60) as outbox:
        outbox.drain(spool.waiting())
    assert [body.count(b"\n") for body in double.writes] == [2, 2, 1]


def test_a_group_with_a_refused_row_goes_one_by_one(double: Double, spool: Spool) -> None:
    """So that the row's own batch keeps it, and every other row is accepted."""
    for sweep in range(3):
        put(spool, 7, waits=batch(sweep))
    double.refuses = lambda line: "out of bounds" if "s1-1 " in line else None
    with posting(double.conf, spool) as outbox:
        outbox.drain(spool.waiting())
        outbox.settle()
        tally = outbox.tally
    (refused,) = spool.refused()
    assert refused.sweep == batch(1).sweep
    assert [one.ilp for one in refused.refusals] == [f"{HOSTS},host=s1-1 v=1i 1000"]
    reason = f"error in line 2: table: {HOSTS}; out of bounds"
    assert tally.refused == [Told(HOSTS, 1, reason, refused.path)]
    assert (tally.sent, tally.drained) == (5, 5)
    assert sorted(set(hosts(double.order))) == ["s0-0", "s0-1", "s1-0", "s2-0", "s2-1"]
    assert spool.waiting() == []


def test_a_group_that_is_too_large_goes_one_by_one(double: Double, spool: Spool) -> None:
    """A proxy's limit is smaller than ours."""
    for sweep in range(3):
        put(spool, 1, waits=batch(sweep))
    double.says = lambda body: (413, "no") if body.count(b"\n") > 2 else None
    with posting(double.conf, spool) as outbox:
        outbox.drain(spool.waiting())
        outbox.settle()
        assert (outbox.tally.drained, outbox.tally.refused) == (6, [])
    assert spool.waiting() == []


def test_draining_ends_with_its_time(double: Double, spool: Spool) -> None:
    """What is left waits for the next run."""
    for sweep in range(3):
        put(spool, 1, waits=batch(sweep, GROUP_MAX_ROWS))
    with posting(double.conf, spool) as outbox:
        publisher = outbox._publisher

        def say(_body: bytes) -> None:
            publisher.clock.end_in(0)

        double.says = say
        outbox.drain(spool.waiting())
        outbox.settle()
        assert (outbox.tally.drained, outbox.tally.stopped) == (GROUP_MAX_ROWS, None)
    assert [entry.sweep for entry in spool.waiting()] == [batch(1).sweep, batch(2).sweep]


# --- stopped


def test_nobody_there_stops_it_at_once(spool: Spool) -> None:
    """Later batches do not wait out a time each; all of them stay."""
    items = [put(spool, n, waits=batch(n)) for n in range(5)]
    with nobody() as conf, posting(conf, spool, 0) as outbox:
        for item in items:
            outbox.send(item)
        outbox.drain(spool.waiting())
        outbox.settle()
        assert type(outbox.tally.stopped) is QuestDBUnreachable
        assert (outbox.tally.sent, outbox.tally.accepted) == (0, set())
    assert len(spool.waiting()) == 5


def test_trouble_in_the_middle_stops_it(double: Double, spool: Spool) -> None:
    """What was accepted before it is counted, and stays for the next run to be sure of."""
    items = [put(spool, n, waits=batch(n)) for n in range(5)]
    double.says = lambda _body: (503, "busy") if len(double.writes) > 2 else None
    with posting(double.conf, spool, 0.3) as outbox:
        for item in items:
            outbox.send(item)
        tries = len(double.writes)
        outbox.settle()
        assert "did not take the rows (503): busy" in str(outbox.tally.stopped)
        assert outbox.tally.sent == 4
    assert len(double.writes) == tries
    assert [entry.number for entry in spool.waiting()] == [2, 3, 4]


@pytest.mark.parametrize(
    ("status", "message"), [(401, "asks for a login"), (403, "forbids it"), (404, "is it QuestDB")]
)
def test_a_refused_login_stops_it(double: Double, spool: Spool, status: int, message: str) -> None:
    """Nothing is dropped for it; the files are for the next run."""
    double.says = lambda _body: (status, "no")
    with posting(double.conf, spool, 60) as outbox:
        for number in range(3):
            outbox.send(put(spool, number, waits=batch(number)))
        assert message in str(outbox.tally.stopped)
    assert (len(double.writes), len(spool.waiting())) == (1, 3)


def test_a_conflict_of_the_schema_stops_it(double: Double, spool: Spool) -> None:
    """No row is blamed for a column of another type."""
    double.types[HOSTS, "elapsed"] = "VARCHAR"
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 1, waits=batch(0)))
        assert type(outbox.tally.stopped) is SchemaError
    assert (double.writes, len(spool.waiting())) == ([], 1)


def test_more_than_a_hundred_refusals_stop_it(double: Double, spool: Spool) -> None:
    """That is no matter of rows: the file stays whole, and nothing is put aside."""
    item = put(spool, 1, waits=batch(0, 150))
    assert item.entry
    whole = item.entry.path.read_bytes()
    double.refuses = lambda _line: "no"
    with posting(double.conf, spool) as outbox:
        outbox.send(item)
        outbox.settle()
        assert type(outbox.tally.stopped) is TooManyRefused
        assert "refused more than 100 rows of hostStatus in one batch" in str(outbox.tally.stopped)
        assert (outbox.tally.refused, outbox.tally.sent) == ([], 0)
    assert item.entry.path.read_bytes() == whole
    assert spool.refused() == []


def test_a_hundred_refusals_in_the_backlog_hold_up_nobody(double: Double, spool: Spool) -> None:
    """Such a batch stays, is said, and those behind it are sent."""
    for number, rows in ((0, 150), (1, 2), (2, 2)):
        spool.write(batch(number, rows), 1)
    double.refuses = lambda line: "no" if "host=s0-" in line else None
    with posting(double.conf, spool) as outbox:
        outbox.drain(spool.waiting())
        outbox.settle()
        assert (outbox.tally.stopped, outbox.tally.drained) == (None, 4)
        (said,) = outbox.tally.trouble
        assert said.startswith("150 rows kept (")
        assert "refused more than 100 rows" in said
    assert [entry.rows for entry in spool.waiting()] == [150]


# --- refused


def test_refused_rows_are_told_by_table(double: Double, spool: Spool) -> None:
    """How many, the first reason, and where they are; the rest of the batch is sent and gone."""
    double.refuses = lambda line: f"no {line[-5:]}" if "-1 " in line or "-2 " in line else None
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 5, waits=batch(0, rows=4, containers=2)))
        outbox.settle()
        tally = outbox.tally
    (refused,) = spool.refused()
    assert [(one.table, one.rows, one.kept_in) for one in tally.refused] == [
        (CONTAINERS, 1, refused.path),
        (HOSTS, 2, refused.path),
    ]
    assert tally.sent == 3
    assert spool.waiting() == []


class ReadOnly(Spool):
    """A spool on a disk that has become read-only."""

    def refuse(self, *_words: object) -> Path:
        """Fails."""
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def remove(self, entries: Iterable[Entry]) -> None:
        """Fails."""
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def put_away(self, entry: Entry) -> None:
        """Fails."""
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_refused_rows_that_cannot_be_kept_keep_their_batch(double: Double, spool: Spool) -> None:
    """The disk does not take them: the file stays, so that they are not lost."""
    item = put(spool, 1, waits=batch(0))
    double.refuses = lambda line: "no" if "-1 " in line else None
    with posting(double.conf, ReadOnly(spool.folder, 2**30)) as outbox:
        outbox.send(item)
        outbox.settle()
        assert [one.kept_in for one in outbox.tally.refused] == [None]
        assert outbox.tally.trouble == [
            "refused rows cannot be kept: [Errno 30] Read-only file system"
        ]
    assert len(spool.waiting()) == 1


def test_what_cannot_be_removed_is_said(double: Double, spool: Spool) -> None:
    """It will be sent again, and be the same rows."""
    item = put(spool, 1, waits=batch(0))
    with posting(double.conf, ReadOnly(spool.folder, 2**30)) as outbox:
        outbox.send(item)
        outbox.settle()
        assert (outbox.tally.sent, outbox.tally.stopped) == (2, None)
        (line,) = outbox.tally.trouble
        assert line.startswith("a batch that was sent cannot be removed: ")


# --- files that are none


def test_a_bad_file_is_put_away_and_counted(double: Double, spool: Spool) -> None:
    """It blocks nobody: the others are sent."""
    for sweep in range(3):
        put(spool, 1, waits=batch(sweep))
    cut = spool.waiting()[1]
    cut.path.write_bytes(cut.path.read_bytes()[:-1])
    with posting(double.conf, spool) as outbox:
        outbox.drain(spool.waiting())
        outbox.settle()
        why = "its checksum differs: it was cut or changed"
        assert outbox.tally.bad == [Bad(cut.path, 2, why)]
        assert (outbox.tally.drained, outbox.tally.stopped) == (4, None)
    assert hosts(double.order) == ["s0-0", "s0-1", "s2-0", "s2-1"]
    assert spool.waiting() == []
    assert [path.name for path in spool.bad()] == [cut.path.name]


def test_a_bad_file_that_cannot_be_moved_is_said(double: Double, spool: Spool) -> None:
    """It stays where it is, and blocks nobody either."""
    item = put(spool, 1, waits=batch(0))
    assert item.entry
    item.entry.path.write_bytes(b"")
    with posting(double.conf, ReadOnly(spool.folder, 2**30)) as outbox:
        outbox.send(item)
        outbox.send(Item(2, 2, None, batch(1)))
        assert outbox.tally.trouble == [f"{item.entry.path} cannot be moved: Read-only file system"]
        assert outbox.tally.sent == 2


def test_a_file_that_cannot_be_read_is_said(double: Double, spool: Spool) -> None:
    """A disk that fails is no reason to call the file bad."""
    item = put(spool, 1, waits=batch(0))
    assert item.entry
    item.entry.path.unlink()
    item.entry.path.mkdir()
    with posting(double.conf, spool) as outbox:
        outbox.send(item)
        assert outbox.tally.trouble == [f"{item.entry.path} cannot be read: Is a directory"]
        assert (outbox.tally.bad, outbox.tally.stopped) == ([], None)


# --- suspended tables


def test_a_suspended_table_keeps_its_files(double: Double, spool: Spool) -> None:
    """It would accept rows, and apply none; other tables' rows are sent, none is drained."""
    double.suspended = [HOSTS]
    own = put(spool, 1, waits=batch(5, containers=3))
    put(spool, 1, waits=batch(1))
    with posting(double.conf, spool) as outbox:
        outbox.send(own)
        outbox.drain(spool.waiting())
        outbox.settle()
        assert outbox.tally.suspended == [HOSTS]
        assert (outbox.tally.sent, outbox.tally.drained, outbox.tally.stopped) == (0, 0, None)
    assert len(spool.waiting()) == 2
    assert (double.count(CONTAINERS), double.count(HOSTS)) == (3, 0)


def test_a_batch_beside_a_suspended_table_is_sent(double: Double, spool: Spool) -> None:
    """It holds no rows of that table; but as long as one of ours is suspended, files stay."""
    double.suspended = ["fleetSweep"]
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 1, waits=batch(0)))
        outbox.settle()
        assert outbox.tally.sent == 2
    assert double.count(HOSTS) == 2
    assert len(spool.waiting()) == 1


def test_a_table_that_is_suspended_meanwhile_keeps_its_files(double: Double, spool: Spool) -> None:
    """204 was the answer, and it means accepted, not applied."""
    item = put(spool, 1, waits=batch(0))
    with posting(double.conf, spool) as outbox:
        outbox.send(item)
        double.suspended = [HOSTS]
        outbox.settle()
        assert (outbox.tally.sent, outbox.tally.suspended) == (2, [HOSTS])
    assert len(spool.waiting()) == 1


def test_a_login_that_may_not_ask_is_no_obstacle(double: Double, spool: Spool) -> None:
    """Where wal_tables() is forbidden, 204 must do."""
    double.says_to = lambda sql: (403, "no") if "wal_tables" in sql else None
    with posting(double.conf, spool) as outbox:
        outbox.send(put(spool, 1, waits=batch(0)))
        outbox.settle()
        assert (outbox.tally.sent, outbox.tally.stopped) == (2, None)
    assert spool.waiting() == []
