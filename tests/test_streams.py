"""Standard streams as users have them: pipes that break, full disks, closed ones, terminals."""

import os
import pty
import signal
import socket
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command import FLEET
from tests.lab.waiting import poll

NO_QUESTDB = "http::addr=127.0.0.1:1;retry_timeout=0;"


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """An inventory of one host at a closed port, whose name is not ASCII."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {büro: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    return inventory


def _environ(**env: str) -> dict[str, str]:
    return {**{key: os.environ[key] for key in os.environ if key != "COLUMNS"}, **env}


def _run(*words: str | Path, stdout: int | None = None, **env: str):
    """`fleet WORDS` with a standard output of the test's own."""
    return subprocess.run(
        [*FLEET, *map(str, words)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        env=_environ(**env),
    )


class Broken:
    """A pipe that nobody reads any more."""

    def __enter__(self) -> int:
        read, self.number = os.pipe()
        os.close(read)
        return self.number

    def __exit__(self, *_error: object) -> None:
        os.close(self.number)


@pytest.mark.parametrize("words", [["hosts", "-i", "INVENTORY"], ["--version"], ["--help"]])
def test_reader_that_goes_away_is_no_error(dead, words):
    """`fleet hosts | true` ends with 0 and says nothing."""
    with Broken() as pipe:
        run = _run(*(dead if word == "INVENTORY" else word for word in words), stdout=pipe)
    assert (run.returncode, run.stderr) == (0, b"")


def test_reader_that_has_enough_is_no_error(tmp_path):
    """`fleet hosts | head -1` on a big inventory ends with 0 and says nothing."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {'a[00000:20000]': }}\n")
    words = " ".join([*FLEET, "hosts", "-i", str(inventory)])
    command = f"{words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "a00000\n", "")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "ilp"])
def test_what_was_not_sent_is_said_though_nobody_reads(dead, form):
    """A broken pipe hides neither the rows that are kept nor their exit status."""
    words = ["snapshot", "--publish", "--max-failed", "1", "--format", form, "-i", dead]
    with Broken() as pipe:
        run = _run(*words, stdout=pipe, QDB_CLIENT_CONF=NO_QUESTDB)
    assert run.returncode == 4
    kept = "fleet: 2 rows kept in the spool: QuestDB at 127.0.0.1:1: Connection refused"
    assert kept in run.stderr.decode().splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["hosts", "-i", "INVENTORY"],
        ["snapshot", "-i", "INVENTORY", "--max-failed", "1"],
        ["snapshot", "-i", "INVENTORY", "--max-failed", "1", "--format", "json"],
    ],
    ids=" ".join,
)
def test_full_disk_is_one_line_and_exit_4(dead, words):
    """Data that could not be printed is not taken for printed."""
    with open("/dev/full", "w") as full:
        run = _run(*(dead if word == "INVENTORY" else word for word in words), stdout=full.fileno())
    assert run.returncode == 4
    assert run.stderr == b"fleet: standard output: No space left on device\n"


def test_full_disk_hides_nothing_else(dead):
    """The summary stands on standard error when the table could not be printed."""
    with open("/dev/full", "w") as full:
        run = _run("snapshot", "-i", dead, stdout=full.fileno())
    first, cause, last = run.stderr.decode().splitlines()
    assert run.returncode == 5
    assert first.startswith("fleet: 1 host, 1 failed; 0 containers; ")
    assert cause.startswith("unreachable 1: büro: ")
    assert last == "fleet: standard output: No space left on device"


@pytest.mark.parametrize(
    "closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"]
)
@pytest.mark.parametrize(
    ("words", "status"), [("hosts", 0), ("snapshot", 5), ("collect", 5), ("--no-such-option", 2)]
)
def test_closed_streams_change_no_exit_status(dead, closed, words, status):
    """Whatever is closed or full, a run does what it would do, and prints no traceback."""
    inventory = "" if words.startswith("-") else f"-i {dead}"
    command = f"{' '.join(FLEET)} {words} {inventory} {closed}"
    run = subprocess.run(
        ["bash", "-c", command],
        check=False,
        capture_output=True,
        timeout=60,
        env=_environ(QDB_CLIENT_CONF=NO_QUESTDB),
    )
    assert run.returncode == status
    assert b"Traceback" not in run.stderr
    heard = ">&-" not in closed.replace("2>&-", "")
    assert bool(run.stdout) == (heard and words in ("hosts", "snapshot"))


def test_ascii_terminal_gets_escapes_and_programs_get_utf_8(dead):
    """A name that standard output's encoding cannot say breaks nothing."""
    table = _run("snapshot", "-i", dead, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert table.returncode == 5
    assert b"b\\xfcro" in table.stdout
    for words in (["--format", "csv", "--hosts"], ["--format", "ilp"]):
        run = _run("snapshot", "-i", dead, *words, PYTHONIOENCODING="latin-1")
        assert "büro".encode() in run.stdout
    assert _run("hosts", "-i", dead, PYTHONIOENCODING="latin-1").stdout == b"b\xfcro\n"


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_no_escapes_where_there_is_no_terminal(dead, variable):
    """What colours a build's log colours nothing here."""
    run = _run("snapshot", "-i", dead, **{variable: "1"})
    assert b"\x1b" not in run.stdout + run.stderr


def _on_terminal(columns: int, *words: str | Path):
    """Start `fleet WORDS` on a terminal so wide → (the process, the terminal's other side)."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    process = subprocess.Popen(
        [*FLEET, *map(str, words)],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        env=_environ(TERM="xterm"),
    )
    os.close(its)
    return process, ours


def _shown(terminal: int) -> bytes:
    """All that comes on a terminal until its process is gone."""
    said = b""
    with suppress(OSError):  # EIO: nobody has it open any more
        while part := os.read(terminal, 65_536):
            said += part
    os.close(terminal)
    return said


CLI = """#!/bin/sh
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
row='"BlockIO":"123MB / 456MB","CPUPerc":"101.25%","MemPerc":"12.50%"'
row=$row',"MemUsage":"1000MiB / 8000MiB","Name":"shop-web-1","NetIO":"1MB / 456MB","PIDs":"12345"'
case $1 in
ps) echo '["'$id'","shop-web-1","shop/web:2.4","running","bridge","","","",""]' ;;
inspect) echo '["'$id'","running",71,null,0,0,false,"2026-01-01T00:00:00Z","","","",null]' ;;
version) echo '"28.2.2"' ;;
stats) echo '{'$row',"ID":"'$id'"}' ;;
esac
"""
"""A docker with one busy container."""


@pytest.mark.parametrize(("columns", "shown"), [(240, 18), (180, 17), (80, 7), (60, 5), (40, 4)])
def test_terminal_gets_whole_cells(tmp_path, columns, shown):
    """Through a real terminal: no figure and no name is cut, and what is left out is named."""
    cli = tmp_path / "docker"
    cli.write_text(CLI)
    cli.chmod(0o755)
    good, bad = "web01.prod.example.com", "web02.prod.example.com"
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(
        "all:\n  hosts:\n"
        f"    {good}: {{fleet_connection: local, fleet_runtime_path: {cli}}}\n"
        f"    {bad}: {{ansible_host: 127.0.0.1, ansible_port: 1}}\n"
    )
    process, terminal = _on_terminal(columns, "snapshot", "-q", "-i", inventory)
    lines = _shown(terminal).decode().splitlines()
    assert process.wait(10) == 3, lines
    state = ["running"] if columns >= 80 else []
    start = [good, "shop-web-1", *state, "101.2%", "1000.0MiB"]
    assert lines[1].split()[: len(start)] == start
    assert len(lines[1].split()) == shown
    assert ("left out" in lines[2]) == (shown < 18)
    assert "…" not in "".join(lines)
    at = lines.index(next(line for line in lines if line.split()[1:] == ["STATUS", "WHY"]))
    assert lines[at + 1].split()[:2] == [bad, "unreachable"]
    assert "refused" in "".join(lines)
    if columns >= 60:
        assert max(len(line) for line in lines if "left out" not in line) <= columns


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_run_leaves_the_terminal_as_it_was(tmp_path, number, status):
    """The bar hides the cursor; a run that is ended shows it again, at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(
            f"all: {{hosts: {{slow: {{ansible_host: 127.0.0.1, ansible_port: {port}}}}}}}\n"
        )
        process, terminal = _on_terminal(80, "snapshot", "-i", inventory)
        said = b""
        while b"\x1b[?25l" not in said:
            said += os.read(terminal, 65_536)
        time.sleep(0.5)  # into the sweep
        process.send_signal(number)
        said += _shown(terminal)
        poll(lambda: process.poll() is not None, 5, "the run went on")
    assert process.returncode == status
    assert said.rfind(b"\x1b[?25h") > said.rfind(b"\x1b[?25l")
    assert b"Traceback" not in said
