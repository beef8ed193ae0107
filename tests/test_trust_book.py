"""The state directory's own known_hosts: its lines, its lock, and what is never lost."""

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleet.errors import Locked
from fleet.transport.host_keys import KnownHosts
from fleet.trust.book import Book, Change, changed
from tests.lab.waiting import poll
from tests.trust_texts import MadeKey, made

ED, RSA, OTHER = made("ed25519"), made("rsa"), made("ed25519", "other")
HEADER = changed("", []).rstrip("\n")
SPAWN = multiprocessing.get_context("spawn")


def adding(name: str, *keys: MadeKey, stay: frozenset[bytes] | None = None) -> Change:
    """Keys for a host."""
    return Change(name, tuple((key.kind, key.blob) for key in keys), stay)


def lines(text: str) -> list[str]:
    """All but the header, which must be first."""
    first, *rest = text.splitlines()
    assert first == HEADER
    return rest


def test_lines() -> None:
    """Plain known_hosts lines, sorted, each once, after a comment."""
    text = changed("", [adding("[10.0.0.1]:2222", RSA, ED), adding("10.0.0.2", ED)])
    assert HEADER.startswith("# ")
    assert lines(text) == [
        f"10.0.0.2 {ED.text}",
        f"[10.0.0.1]:2222 {ED.text}",
        f"[10.0.0.1]:2222 {RSA.text}",
    ]
    assert changed(text, [adding("10.0.0.2", ED)]) == text


def test_openssh_finds_the_lines(tmp_path: Path) -> None:
    """OpenSSH reads them under the names that it writes itself."""
    assert shutil.which("ssh-keygen")
    file = tmp_path / "known_hosts"
    changes = [adding("[10.0.0.1]:2222", ED), adding("2001:db8::1", ED), adding("alias", ED)]
    file.write_text(changed("", changes))
    for name in ("[10.0.0.1]:2222", "2001:db8::1", "alias"):
        found = subprocess.run(
            ["ssh-keygen", "-l", "-F", name, "-f", file], check=True, capture_output=True, text=True
        )
        assert ED.fingerprint in found.stdout


def test_what_is_somebodys_own_stays() -> None:
    """Comments, markers, patterns and lines that cannot be read stay as they stood."""
    own = ["# mine", f"@revoked * {OTHER.text}", "10.0.0.9 torn"]
    pattern = f"*.example.com {RSA.text} a comment"
    text = changed("\n".join([*own, pattern, ""]), [adding("10.0.0.2", ED, stay=frozenset())])
    assert lines(text) == [*own, pattern, f"10.0.0.2 {ED.text}"]


def test_forgetting() -> None:
    """A host loses the keys that do not stay, under any spelling; others keep theirs."""
    before = changed(
        f"web1,10.0.0.1 {ED.text}\nWEB1 {RSA.text}\n10.0.0.1 {RSA.text}\n", [adding("web2", ED)]
    )
    after = changed(before, [adding("web1", OTHER, stay=frozenset())])
    assert lines(after) == [
        f"10.0.0.1 {ED.text}",
        f"10.0.0.1 {RSA.text}",
        f"web1 {OTHER.text}",
        f"web2 {ED.text}",
    ]
    kept = changed(before, [adding("web1", stay=frozenset({RSA.blob}))])
    assert lines(kept)[-2:] == [f"WEB1 {RSA.text}", f"web2 {ED.text}"][:2]


def test_forgetting_hashed_names(tmp_path: Path) -> None:
    """A file whose names somebody has hashed loses the right line."""
    file = tmp_path / "known_hosts"
    file.write_text(changed("", [adding("[10.0.0.1]:2222", ED), adding("10.0.0.2", ED)]))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    hashed = file.read_text()
    assert "10.0.0" not in hashed
    after = changed(hashed, [adding("[10.0.0.1]:2222", OTHER, stay=frozenset())])
    found = KnownHosts(after.splitlines())
    assert found.trust_by("[10.0.0.1]:2222").keys == {(OTHER.kind, OTHER.blob)}
    assert found.trust_by("10.0.0.2").keys == {(ED.kind, ED.blob)}


@given(some.text(max_size=200))
def test_any_file_is_kept(text: str) -> None:
    """Whatever stands in the file, a change keeps its lines, and the next one changes nothing."""
    once = changed(text, [adding("10.0.0.2", ED)])
    assert changed(once, [adding("10.0.0.2", ED)]) == once
    kept = set(once.split("\n"))
    for line in text.split("\n"):
        assert not line.split() or line in kept or " ".join(line.split()) in kept


def test_the_file(tmp_path: Path) -> None:
    """It is for its owner alone, and not written where nothing changes."""
    book = Book(tmp_path / "state" / "known_hosts")
    with book.held():
        assert book.change([adding("web1", ED)])
        before = book.path.stat()
        assert not book.change([adding("web1", ED)])
    assert stat.S_IMODE(before.st_mode) == 0o600
    assert stat.S_IMODE(book.path.parent.stat().st_mode) == 0o700
    assert book.path.stat().st_ino == before.st_ino


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A comment in another encoding survives."""
    book = Book(tmp_path / "known_hosts")
    book.path.write_bytes(b"# M\xfcller\n")
    with book.held():
        book.change([adding("web1", ED)])
    assert b"# M\xfcller\n" in book.path.read_bytes()


def test_another_run_that_does_not_end(tmp_path: Path) -> None:
    """It is waited for, then named; nothing is written."""
    book = Book(tmp_path / "known_hosts")
    with (
        book.held(),
        pytest.raises(Locked, match="another run has been changing it"),
        Book(book.path).held(0.1),
    ):
        pass
    assert not book.path.exists()


def _add_many(path: Path, number: int, count: int) -> None:
    for one in range(count):
        book = Book(path)
        with book.held():
            book.change([adding(f"host-{number}-{one}", made(seed=f"{number} {one}"))])


def test_runs_at_once(tmp_path: Path) -> None:
    """Eight processes that record different hosts at once lose nothing, and tear nothing."""
    path = tmp_path / "state" / "known_hosts"
    runs = [SPAWN.Process(target=_add_many, args=(path, number, 10)) for number in range(8)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0] * 8
    found = KnownHosts(path.read_text().splitlines())
    for number in range(8):
        for one in range(10):
            key = made(seed=f"{number} {one}")
            assert found.trust_by(f"host-{number}-{one}").keys == {(key.kind, key.blob)}
    assert len(lines(path.read_text())) == 80


def _add_for_ever(path: Path) -> None:
    number = 0
    while True:
        _add_many(path, number, 1)
        number += 1


def test_a_killed_run(tmp_path: Path) -> None:
    """Killed in the middle, again and again, a run leaves a whole file, and its lock to others."""
    path = tmp_path / "known_hosts"
    for _round in range(5):
        run = SPAWN.Process(target=_add_for_ever, args=(path,))
        run.start()
        poll(path.exists, 30, "a first line")
        time.sleep(int.from_bytes(os.urandom(1)) / 5000)
        assert run.pid is not None
        os.kill(run.pid, signal.SIGKILL)
        run.join(20)
        text = path.read_text()
        assert text.endswith("\n")
        assert all(len(line.split()) == 3 for line in lines(text))
        with Book(path).held(5):
            pass
        path.unlink()
