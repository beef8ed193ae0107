"""The short form of `make chaos`, and that it fails when `fleet` is not careful."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.count import ContainerRow, HostRow, Rows, judged
from tests.lab.lab import PROJECT

SEED = 3
SHORT, SHORTEST = 20, 10
"""The shortest holds every card without which a mutation could pass."""


class Change(NamedTuple):
    """A text of the package's, which stands there once, and what stands there instead."""

    file: str
    old: str
    new: str


REMOVED_BEFORE = [
    Change(
        "outbox.py",
        "            return entry.read()\n",
        "            batch = entry.read()\n            self._spool.remove([entry])\n"
        "            return batch\n",
    )
]
CONTENT_NOT_SYNCED = [
    Change(
        "state.py",
        "            os.fsync(fd)\n        finally:\n",
        "        finally:\n",
    )
]
FOLDER_NOT_SYNCED = [
    Change(
        "state.py",
        "    sync_folder(path.parent)\n",
        "",
    )
]
NO_DEDUP = [
    Change("schema.py", " WAL DEDUP {_upsert_keys(table)}", " WAL"),
    Change("schema.py", "    if not keys.issuperset(", "    if False and not keys.issuperset("),
]


def _chaos(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seed", str(SEED), *(str(word) for word in words)],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        timeout=280,
    )


def _counted(run: "subprocess.CompletedProcess[str]") -> dict[str, int]:
    """The three figures of the summary."""
    found = re.search(r"; lost (\d+), twice (\d+), torn (\d+)$", run.stdout, re.MULTILINE)
    assert found, run.stdout + run.stderr
    return dict(zip(("lost", "twice", "torn"), map(int, found.groups()), strict=True))


def _mutated(folder: Path, changes: list[Change]) -> Path:
    """A copy of the package with these changes."""
    shutil.copytree(PROJECT / "fleet", folder / "fleet")
    for change in changes:
        file = folder / "fleet" / change.file
        text = file.read_text()
        assert text.count(change.old) == 1, f"{change.file} no longer holds {change.old!r} once"
        file.write_text(text.replace(change.old, change.new))
    return folder


@pytest.mark.e2e
def test_nothing_is_lost_twice_or_torn():
    """Through kills, freezes, power cuts and lost answers every kept visit arrives once."""
    run = _chaos("--runs", SHORT)
    assert run.returncode == 0, run.stdout + run.stderr
    assert _counted(run) == {"lost": 0, "twice": 0, "torn": 0}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param(REMOVED_BEFORE, "lost", id="removed-before-the-answer"),
        pytest.param(CONTENT_NOT_SYNCED, "lost", id="content-not-synced"),
        pytest.param(FOLDER_NOT_SYNCED, "lost", id="folder-not-synced"),
        pytest.param(NO_DEDUP, "twice", id="no-dedup"),
    ],
)
def test_a_careless_fleet_is_caught(changes, word, tmp_path):
    """Take one precaution out of the code, and the count says what it was for."""
    run = _chaos("--runs", SHORTEST, "--fleet", _mutated(tmp_path, changes))
    assert run.returncode == 1, run.stdout + run.stderr
    assert _counted(run)[word] > 0, run.stdout + run.stderr
    assert f"{word}: " in run.stderr


def _rows(*containers: tuple[str, int], says: int, often: int = 1) -> Rows:
    """A visit of one host: its containers with their numbers, and how many hostStatus says."""
    rows, visit = Rows(), (1, "a")
    for container, serial in containers:
        rows.containers[ContainerRow(visit, container, serial, serial)] = often
    rows.hosts[HostRow(visit, "ok", says)] = often
    return rows


WHOLE = _rows(("x", 7), ("y", 7), says=2)


@pytest.mark.parametrize(
    ("found", "lost", "twice", "torn"),
    [
        pytest.param(WHOLE, 0, 0, 0, id="whole"),
        pytest.param(Rows(), 1, 0, 0, id="nothing"),
        pytest.param(_rows(("x", 7), says=2), 1, 0, 1, id="in-part"),
        pytest.param(_rows(("x", 7), ("y", 6), says=2), 1, 0, 1, id="of-two-samples"),
        pytest.param(_rows(("x", 9), ("y", 9), says=2), 1, 0, 1, id="never-served"),
        pytest.param(_rows(("x", 7), ("y", 7), says=2, often=2), 0, 1, 0, id="twice"),
    ],
)
def test_what_is_amiss_is_counted(found, lost, twice, torn):
    """One visit that was kept, and what QuestDB might have of it."""
    verdict = judged(WHOLE, found, [("a", 6), ("a", 7)], [])
    counted = (len(verdict.lost), len(verdict.twice), len(verdict.torn))
    assert counted == (lost, twice, torn)


def test_a_visit_that_nobody_ended_must_be_kept():
    """A sample that a run in peace was served is lost if no batch and no row has it."""
    verdict = judged(Rows(), Rows(), [("a", 7)], [("a", 7)])
    assert [*verdict.lines()] == ["lost: a at 0: sample 7 was served to a run that nobody ended"]


def test_one_sample_in_two_sweeps_is_twice():
    """The same figures under another timestamp are no new visit."""
    found = _rows(("x", 7), says=1)
    found.containers[ContainerRow((2, "a"), "x", 7, 7)] = 1
    found.hosts[HostRow((2, "a"), "ok", 1)] = 1
    assert len(judged(Rows(), found, [("a", 7)], []).twice) == 1
