"""The spool: batches that survive whatever happens between two instructions, and nothing else."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.batch import FORMAT, Batch, Target, _checksum
from fleet.errors import BadBatch
from fleet.ilp_text import Part
from fleet.spool import Dropped, Entry, Refusal, Spool
from fleet.state import Job, make_folder, write_durably
from tests.test_tables import NOW

TARGET = Target("http", "db", 9000, ("containerStats", "hostStatus", "fleetSweep"))
ELSEWHERE = replace(TARGET, host="elsewhere")
COLUMNS = (("host", "SYMBOL"), ("timestamp", "TIMESTAMP"))
LARGE = 2**30


def batch(
    number: int = 0, job: str = "fleet", rows: int = 3, target: Target = TARGET, fill: int = 0
) -> Batch:
    """A batch of `hostStatus`, of a sweep so many minutes after the first; `fill` makes it big."""
    detail = f' detail="{"x" * fill}"' if fill else " maintenance=f"
    body = "".join(f"hostStatus,host=h{row}{detail} {row}000\n" for row in range(rows)).encode()
    sweep = NOW + timedelta(minutes=number)
    return Batch(target, job, sweep, (Part("hostStatus", COLUMNS, body, rows),))


def nobody_runs(_job: Job) -> bool:
    """No job is under way."""
    return False


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file's content by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool with room."""
    return Spool(tmp_path / "state" / "spool", LARGE)


# --- a batch as a file

_names = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
_text = st.text(st.characters(codec="utf-8"), max_size=20)
_parts = st.lists(
    st.builds(
        Part,
        _text,
        st.lists(st.tuples(_text, _text), max_size=3).map(tuple),
        st.binary(max_size=200),
        st.integers(0, 5),
    ),
    max_size=3,
).map(tuple)
_targets = st.builds(
    Target, st.sampled_from(["http", "https"]), _text, st.integers(1, 65_535), st.tuples(_text)
)
_moments = st.datetimes(
    NOW.replace(tzinfo=None, year=1971), NOW.replace(tzinfo=None, year=2200), timezones=st.just(UTC)
)


@given(st.builds(Batch, _targets, _names, _moments, _parts))
def test_a_batch_is_read_as_it_was_written(written: Batch) -> None:
    """Whatever its rows, its tables and its target hold."""
    assert Batch.decoded(written.encoded()) == written


@given(st.builds(Batch, _targets, _names, _moments, _parts), st.integers(0, 99_999))
def test_a_name_says_what_the_header_says(written: Batch, number: int) -> None:
    """Sweep, number, rows, target and job stand in it, to be counted without reading."""
    from fleet.spool import _name

    entry = Entry.of("/spool", _name(written, number), 17)
    assert entry is not None
    assert (entry.sweep, entry.number, entry.rows) == (written.sweep, number, written.rows)
    assert (entry.job, entry.target) == (Job(written.job, entry.target), written.target.mark)
    assert (entry.size, entry.path.parent) == (17, Path("/spool"))


def test_a_file_can_be_read_by_people() -> None:
    """A line of our own, a line of JSON, then the rows as they are sent."""
    first, second, *rows = batch().encoded().decode().splitlines()
    assert first.split(" ")[:2] == ["fleet-batch", "1"]
    assert second == (
        '{"job": "fleet", "sweep": "2026-11-23T03:00:00.123456+00:00", "target": {"scheme": '
        '"http", "host": "db", "port": 9000, "tables": ["containerStats", "hostStatus", '
        '"fleetSweep"]}, "parts": [{"table": "hostStatus", "columns": [["host", "SYMBOL"], '
        '["timestamp", "TIMESTAMP"]], "rows": 3, "bytes": 114}]}'
    )
    assert rows == [f"hostStatus,host=h{row} maintenance=f {row}000" for row in range(3)]


def test_every_change_of_a_byte_is_seen() -> None:
    """One bit, or all of them, anywhere: it is no batch any more, and never another error."""
    data = batch().encoded()
    for place in range(len(data)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(data)
            changed[place] ^= change
            with pytest.raises(BadBatch):
                Batch.decoded(bytes(changed))


def test_every_cut_is_seen() -> None:
    """At any length, and with anything after it."""
    data = batch().encoded()
    for length in range(len(data)):
        with pytest.raises(BadBatch):
            Batch.decoded(data[:length])
    for more in (b"\n", b"\0", data):
        with pytest.raises(BadBatch):
            Batch.decoded(data + more)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_none(data: bytes) -> None:
    """Also behind a first line that is right: there is no other error."""
    for candidate in (data, b"fleet-batch %d %s\n%s" % (FORMAT, _checksum(data), data)):
        with pytest.raises(BadBatch):
            Batch.decoded(candidate)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"junk\n" + data, "it does not begin as a batch does"),
        (lambda _data: b"", "it does not begin as a batch does"),
        (lambda data: data[:-1], "its checksum differs: it was cut or changed"),
        (lambda data: data.replace(b"fleet-batch 1", b"fleet-batch 2"), "its format is 2, not 1"),
    ],
)
def test_what_is_no_batch_is_said(change: Callable[[bytes], bytes], why: str) -> None:
    """How it was seen, for whoever finds the file in `bad/`."""
    with pytest.raises(BadBatch) as caught:
        Batch.decoded(change(batch().encoded()))
    assert str(caught.value) == why


def test_a_header_that_cannot_be_used_is_said() -> None:
    """With a checksum that is right: somebody wrote it so."""
    rest = b'{"parts": 5}\n'
    with pytest.raises(BadBatch, match="its header cannot be used: TypeError"):
        Batch.decoded(b"fleet-batch 1 %s\n%s" % (_checksum(rest), rest))


def test_a_target_is_its_address_and_tables() -> None:
    """Another table, port, scheme or host is another target; a secret is no part of it."""
    others = {
        replace(TARGET, scheme="https").mark,
        replace(TARGET, host="db2").mark,
        replace(TARGET, port=9001).mark,
        replace(TARGET, tables=("a", "b", "c")).mark,
        TARGET.mark,
    }
    assert len(others) == 5
    assert Target.of(TARGET.as_dict()) == TARGET
    assert str(replace(TARGET, host="::1")) == (
        "http://[::1]:9000 containerStats,hostStatus,fleetSweep"
    )


# --- names and order


def test_a_written_batch_waits_and_is_read(spool: Spool) -> None:
    """Under a name that says what it holds, for nobody else to read."""
    entry, dropped = spool.write(batch(), 7)
    assert dropped == Dropped()
    assert spool.waiting() == [entry]
    assert entry.read() == batch()
    assert entry.path.name == f"00001795402800123456-00007-3-{TARGET.mark}-fleet.batch"
    assert entry.size == entry.path.stat().st_size
    assert (entry.path.stat().st_mode & 0o777, spool.folder.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    assert [path.name for path in spool.folder.iterdir()] == [entry.path.name]


def test_no_folder_is_no_batch(spool: Spool) -> None:
    """Nothing has ever been spooled: nothing waits, is refused, is bad, is too old, or foreign."""
    assert spool.waiting() == []
    assert spool.refused() == []
    assert spool.bad() == []
    assert spool.tidy(nobody_runs) == []
    assert spool.expire(NOW, TARGET.mark) == Dropped()
    assert spool.expire_put_aside(NOW) == Dropped()
    assert not spool.folder.exists()


def test_the_oldest_sweep_is_the_first(spool: Spool) -> None:
    """Whatever the order of writing, whoever's job, and whatever the number of digits."""
    written = [(3, 1), (1, 10_000), (1, 2), (2, 1), (0, 99)]
    for sweep, number in written:
        spool.write(batch(sweep, job=f"job{sweep}"), number)
    assert [(entry.job.name, entry.number) for entry in spool.waiting()] == [
        ("job0", 99),
        ("job1", 2),
        ("job1", 10_000),
        ("job2", 1),
        ("job3", 1),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "00001795402800123456-00001-3-1f3a90c2-fleet.batch.tmp",
        "0001795402800123456-00001-3-1f3a90c2-fleet.batch",
        "00001795402800123456-0001-3-1f3a90c2-fleet.batch",
        "00001795402800123456-00001--1f3a90c2-fleet.batch",
        "00001795402800123456-00001-3-1F3A90C2-fleet.batch",
        "00001795402800123456-00001-3-1f3a90c2-.batch",
        "00001795402800123456-00001-3-1f3a90c2-a b.batch",
        "99999999999999999999-00001-3-1f3a90c2-fleet.batch",
    ],
)
def test_other_names_are_no_batches(spool: Spool, name: str) -> None:
    """They are not counted, and not sent."""
    make_folder(spool.folder)
    (spool.folder / name).write_bytes(batch().encoded())
    assert spool.waiting() == []


@pytest.mark.parametrize(
    ("old", "new"), [("-3-", "-4-"), (TARGET.mark, ELSEWHERE.mark), ("-fleet", "-other")]
)
def test_a_file_under_another_ones_name_is_bad(spool: Spool, old: str, new: str) -> None:
    """It would be counted, or sent, as what it is not."""
    entry, _ = spool.write(batch(), 1)
    entry.path.rename(entry.path.with_name(entry.path.name.replace(old, new)))
    with pytest.raises(BadBatch, match="its name says something else than its header"):
        spool.waiting()[0].read()


def test_a_batch_that_is_gone_is_none(spool: Spool) -> None:
    """Another has sent it since it was listed: no error, at reading as at removing."""
    entry, _ = spool.write(batch(), 1)
    spool.remove([entry])
    assert entry.read() is None
    spool.remove([entry])
    spool.put_away(entry)
    assert spool.waiting() == []


# --- bounded


def test_room_is_made_by_the_oldest(tmp_path: Path) -> None:
    """Files and rows that go are counted; the newest stay."""
    size = len(batch(fill=100_000).encoded())
    spool = Spool(tmp_path, 3 * size + 10)
    for sweep in range(3):
        assert spool.write(batch(sweep, fill=100_000), 1)[1] == Dropped()
    assert spool.write(batch(3, fill=100_000), 1)[1] == Dropped(1, 3)
    assert [entry.sweep.minute for entry in spool.waiting()] == [1, 2, 3]
    # Another process looks at the disk first.
    assert Spool(tmp_path, 2 * size).write(batch(4, fill=100_000), 1)[1] == Dropped(2, 6)
    assert [entry.sweep.minute for entry in spool.waiting()] == [3, 4]


def test_what_was_sent_makes_room(tmp_path: Path) -> None:
    """A spool that is emptied as it is filled drops nothing."""
    size = len(batch(fill=100_000).encoded())
    spool = Spool(tmp_path, 2 * size + 10)
    for sweep in range(20):
        entry, dropped = spool.write(batch(sweep, fill=100_000), 1)
        assert dropped == Dropped()
        spool.remove([entry])


def test_refused_and_bad_files_take_room_as_well(spool: Spool, tmp_path: Path) -> None:
    """What nobody looks at does not grow for ever; what goes is counted, row by row."""
    entry, _ = spool.write(batch(0, fill=100_000), 1)
    spool.put_away(entry)
    refusal = Refusal("hostStatus", "no", "x" * 100_000)
    refused = spool.refuse(batch(1), 1, [refusal])
    assert refused.parent != spool.bad()[0].parent
    tight = Spool(spool.folder, 310_000)
    assert tight.write(batch(2, fill=100_000), 1)[1] == Dropped(2, 1)
    assert [entry.sweep.minute for entry in tight.waiting()] == [2]
    assert (tight.bad(), tight.refused()) == ([], [])


def test_a_batch_larger_than_the_spool_is_kept_all_the_same(tmp_path: Path) -> None:
    """What is newest is not given up for a bound that is too small."""
    spool = Spool(tmp_path, 1000)
    spool.write(batch(0), 1)
    entry, dropped = spool.write(batch(1, fill=10_000), 1)
    assert dropped == Dropped(1, 3)
    assert spool.waiting() == [entry]


def test_the_old_expire(spool: Spool) -> None:
    """Batches of a target by their sweep, refused and bad files by the day they came; what is
    younger stays, and what is for another target.
    """
    for sweep in range(4):
        spool.write(batch(sweep), 1)
    spool.put_away(spool.write(batch(10), 1)[0])
    spool.refuse(batch(11), 1, [Refusal("hostStatus", "no", "x")])
    spool.write(batch(0, target=ELSEWHERE), 1)
    late = NOW + timedelta(minutes=2)
    assert spool.expire(late, TARGET.mark) == Dropped(2, 6)
    assert [entry.sweep.minute for entry in spool.waiting()] == [0, 2, 3]
    assert spool.expire_put_aside(NOW) == Dropped()
    for path in spool.folder.rglob("*"):
        if path.parent.name in ("bad", "refused"):
            os.utime(path, (0, 0))
    assert spool.expire_put_aside(NOW) == Dropped(2, 1)
    assert (spool.bad(), spool.refused()) == ([], [])
    assert len(spool.waiting()) == 3


def test_batches_of_a_run_under_way_do_not_expire(spool: Spool) -> None:
    """It sends them itself, and is not robbed of them; other jobs' do."""
    spool.write(batch(0, job="busy"), 1)
    spool.write(batch(0, job="idle"), 1)
    late = NOW + timedelta(days=1)
    spool = Spool(spool.folder, LARGE, lambda entry: entry.job.name == "busy")
    assert spool.expire(late, TARGET.mark) == Dropped(1, 3)
    assert [entry.job.name for entry in spool.waiting()] == ["busy"]


def test_what_is_spared_does_not_make_room(tmp_path: Path) -> None:
    """Somebody is about to send it: rather the spool grows."""
    size = len(batch(fill=100_000).encoded())
    spool = Spool(tmp_path, 2 * size, lambda entry: entry.sweep.minute < 2)
    for sweep in range(4):
        spool.write(batch(sweep, fill=100_000), 1)
    assert [entry.sweep.minute for entry in spool.waiting()] == [0, 1, 3]


def test_a_retry_that_is_begun_twice_is_one(spool: Spool) -> None:
    """Killed after the batch was written, before the refused file went: the same batch again."""
    spool.refuse(batch(1), 1, REFUSALS[:1])
    (refused,) = spool.refused()
    whole = refused.path.read_bytes()
    spool.retry(refused)
    refused.path.write_bytes(whole)
    (again,) = spool.refused()
    spool.retry(again)
    assert [entry.rows for entry in spool.waiting()] == [1]


# --- what is not ours


def test_foreign_files_are_moved_and_batches_stay(spool: Spool) -> None:
    """Whatever somebody left there; folders are left alone."""
    entry, _ = spool.write(batch(), 1)
    (spool.folder / "notes.txt").write_text("mine")
    (spool.folder / ".hidden").write_text("mine")
    (spool.folder / "link").symlink_to("/nonexistent")
    (spool.folder / "folder").mkdir()
    moved = spool.tidy(nobody_runs)
    assert sorted(moved) == [".hidden", "link", "notes.txt"]
    assert sorted(path.name for path in spool.bad()) == [".hidden", "link", "notes.txt"]
    assert spool.waiting() == [entry]
    assert (spool.folder / "folder").is_dir()
    assert spool.tidy(nobody_runs) == []


def test_interrupted_writes_are_removed(spool: Spool) -> None:
    """What a killed run left half written goes; a run under way may be writing its own."""
    entry, _ = spool.write(batch(job="busy"), 1)
    refused = spool.refuse(batch(job="busy"), 1, [Refusal("hostStatus", "no", "x")])
    asides = [path.with_name(f".{path.name}.tmp") for path in (entry.path, refused)]
    idle = [path.with_name(path.name.replace("-busy.", "-idle.")) for path in asides]
    for path in (*asides, *idle):
        path.write_bytes(b"half")
    assert spool.tidy(lambda job: job.name == "busy") == []
    assert all(path.exists() for path in asides)
    assert not any(path.exists() for path in idle)
    assert spool.tidy(nobody_runs) == []
    assert not any(path.exists() for path in asides)
    assert spool.waiting() == [entry]
    assert [one.path for one in spool.refused()] == [refused]


def test_a_bad_file_is_put_away(spool: Spool) -> None:
    """It keeps its name and waits no more; one that had the name before stays as well."""
    for copies in range(1, 3):
        entry, _ = spool.write(batch(), 1)
        entry.path.write_bytes(b"changed")
        spool.put_away(entry)
        assert spool.waiting() == []
        names = [entry.name, f"{entry.name}.1"][:copies]
        assert [path.name for path in spool.bad()] == names
        assert {path.read_bytes() for path in spool.bad()} == {b"changed"}


# --- refused rows

REFUSALS = (
    Refusal("hostStatus", "error in line 2: out of bounds", "hostStatus,host=a é=1 17"),
    Refusal("containerStats", "no", "containerStats,host=a\\ b cpu=1 17"),
    Refusal("hostStatus", "holds NUL: 'b\\x00d'", None, {"host": "b\0d", "status": "ok"}),
)


def test_refused_rows_are_kept_with_their_reasons(spool: Spool) -> None:
    """As they were, and where they belong; a batch that is refused again has one file."""
    path = spool.refuse(batch(1), 3, REFUSALS)
    assert spool.refuse(batch(1), 3, REFUSALS) == path
    assert path.parent == spool.folder / "refused"
    (found,) = spool.refused()
    assert found.refusals == REFUSALS
    assert (found.sweep, found.job, found.target) == (batch(1).sweep, "fleet", TARGET)
    assert (found.path, found.number) == (path, 3)
    spool.drop_refused(found)
    spool.drop_refused(found)
    assert spool.refused() == []


def test_refused_rows_are_listed_from_the_oldest(spool: Spool) -> None:
    """What cannot be read is bad, and said to be; a write that was interrupted is no file."""
    for sweep in (3, 1, 2):
        spool.refuse(batch(sweep), 1, REFUSALS[:1])
    folder = spool.folder / "refused"
    whole = spool.refused()[0].path
    (folder / f".{whole.name}.tmp").write_bytes(whole.read_bytes())
    torn = whole.name.replace("-00001-", "-00002-")
    (folder / torn).write_bytes(whole.read_bytes()[:-20])
    (folder / "other.json").write_text("[1]")
    assert [one.sweep.minute for one in spool.refused()] == [1, 2, 3]
    assert sorted(path.name for path in spool.bad()) == [torn, "other.json"]
    assert sorted(spool.tidy(nobody_runs)) == [torn, "other.json"]
    assert {path.parent.name for path in spool.bad()} == {"bad"}
    assert [one.sweep.minute for one in spool.refused()] == [1, 2, 3]


def test_refused_rows_can_wait_again(spool: Spool) -> None:
    """Those that have ILP become a batch of their sweep; those that have none stay."""
    spool.write(batch(1), 1)
    spool.refuse(batch(1), 1, REFUSALS)
    (refused,) = spool.refused()
    assert spool.retry(refused) == (2, 1)
    first, again = spool.waiting()
    assert (first.number, again.sweep, again.rows) == (1, refused.sweep, 2)
    made = again.read()
    assert made is not None
    assert (made.target, made.job) == (TARGET, "fleet")
    assert {part.table: part.body.decode() for part in made.parts} == {
        "hostStatus": "hostStatus,host=a é=1 17\n",
        "containerStats": "containerStats,host=a\\ b cpu=1 17\n",
    }
    (rest,) = spool.refused()
    assert rest.refusals == REFUSALS[2:]


def test_refused_rows_that_wait_again_are_refused_no_more(spool: Spool) -> None:
    """Their file goes once they are on disk; two files of a sweep become two batches."""
    spool.refuse(batch(1), 1, REFUSALS[:1])
    spool.refuse(batch(1), 2, REFUSALS[1:2])
    for refused in spool.refused():
        assert spool.retry(refused) == (1, 0)
    assert spool.refused() == []
    assert [entry.rows for entry in spool.waiting()] == [1, 1]


def test_rows_without_ilp_stay_refused(spool: Spool) -> None:
    """There is nothing to send; only dropping them ends it."""
    spool.refuse(batch(1), 1, REFUSALS[2:])
    (refused,) = spool.refused()
    assert spool.retry(refused) == (0, 1)
    assert (spool.waiting(), len(spool.refused())) == ([], 1)


# --- the disk


def test_a_batch_is_durable_before_it_counts(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written, the file fsynced, renamed, the folder fsynced: in this order, on any disk."""
    calls: list[str] = []
    spool.write(batch(), 2)
    watch_syscalls(monkeypatch, calls)
    spool.write(batch(), 1)
    name = f"00001795402800123456-00001-3-{TARGET.mark}-fleet.batch"
    assert calls == [
        f"open .{name}.tmp",
        f"write .{name}.tmp",
        f"fsync .{name}.tmp",
        f"replace .{name}.tmp {name}",
        "open spool",
        "fsync spool",
    ]


def watch_syscalls(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    """Note what is done to files, by their names, and do it."""
    names: dict[int, str] = {}
    really: dict[str, Any] = {
        name: getattr(os, name) for name in ("open", "write", "fsync", "replace")
    }

    def opened(path: Path, *rest: int) -> int:
        fd: int = really["open"](path, *rest)
        names[fd] = Path(path).name
        calls.append(f"open {names[fd]}")
        return fd

    def written(fd: int, data: bytes) -> int:
        calls.append(f"write {names[fd]}")
        count: int = really["write"](fd, data)
        return count

    def synced(fd: int) -> None:
        calls.append(f"fsync {names[fd]}")
        really["fsync"](fd)

    def replaced(old: Path, new: Path) -> None:
        calls.append(f"replace {Path(old).name} {Path(new).name}")
        really["replace"](old, new)

    for name, watched in {
        "open": opened,
        "write": written,
        "fsync": synced,
        "replace": replaced,
    }.items():
        monkeypatch.setattr(os, name, watched)


def test_a_write_may_take_several_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given; the file is whole all the same."""
    really = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: really(fd, bytes(data[:7])))
    write_durably(tmp_path / "file", b"0123456789" * 10)
    assert (tmp_path / "file").read_bytes() == b"0123456789" * 10


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whichever step finds it full, no file is there, and what was there is as it was."""
    spool.write(batch(0), 1)
    before = files_below(spool.folder)
    really, left = getattr(os, call), [1 if call == "write" else 0]

    def full(*words: Any) -> Any:
        if left[0] > 0:  # some of it is written before
            left[0] -= 1
            return really(words[0], words[1][:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    for what in (
        lambda: spool.write(batch(1), 1),
        lambda: spool.refuse(batch(1), 1, REFUSALS),
    ):
        with pytest.raises(OSError, match="No space left"):
            what()
    monkeypatch.undo()
    assert files_below(spool.folder) == before
    spool.write(batch(1), 1)
    assert len(spool.waiting()) == 2


def test_a_full_disk_makes_no_room_for_what_it_did_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes that failed are not counted against the bound for ever."""
    size = len(batch(fill=100_000).encoded())
    spool = Spool(tmp_path, 3 * size)
    spool.write(batch(0, fill=100_000), 1)

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for sweep in range(1, 10):
            with pytest.raises(OSError, match="No space"):
                spool.write(batch(sweep, fill=100_000), 1)
    assert spool.write(batch(10, fill=100_000), 1)[1] == Dropped()
    assert [entry.sweep.minute for entry in spool.waiting()] == [0, 10]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """Somebody's file stands where the state directory should be."""
    (tmp_path / "state").write_text("a file")
    spool = Spool(tmp_path / "state" / "spool", LARGE)
    with pytest.raises(OSError, match="Not a directory"):
        spool.write(batch(), 1)
