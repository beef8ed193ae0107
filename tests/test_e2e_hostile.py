"""Nodes that flood, stall, lie and inject, beside healthy ones, whose rows all arrive."""

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import FLEET
from tests.lab.hostile import FORMULAS, KINDS, HostileNodes, Kind, stolen_ids
from tests.lab.hostile_doors import HostileDoors
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.standin import Crowd, crowd, expected
from tests.lab.tables import table_words, tables_named

pytestmark = pytest.mark.e2e

GOOD, BAD = 20, 20
LIMIT_MB = 150
TIMEOUT_S = 15
DEADLINE_S = 60

MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
open(sys.argv[1], "w").write(str(peak))
sys.exit(status)
"""

FLOODS = {
    "tiny lines": "exec yes ab",
    "escapes": r"""exec awk 'BEGIN { while (1) { printf "{"; """
    r"""for (i = 0; i < 21000; i++) printf "}\033["; printf "\001\n" } }'""",
    "a million containers": KINDS["a-million"].then,
}
"""The kinds of flood that cost most, each to be met twenty times at once."""


@dataclass(frozen=True, slots=True)
class Targets:
    """An inventory and a known_hosts file."""

    inventory: Path
    known_hosts: Path

    @property
    def words(self) -> list[str]:
        """The options that name them, and how long a visit may take."""
        return [
            *("-i", str(self.inventory), "--known-hosts", str(self.known_hosts)),
            *("--timeout", str(TIMEOUT_S), "--deadline", str(DEADLINE_S)),
        ]


def _targets(folder: Path, hosts: Mapping[str, Any], known_hosts: str) -> Targets:
    (folder / "known_hosts").write_text(known_hosts)
    inventory = write_inventory(folder / "inventory.yaml", hosts)
    return Targets(inventory, folder / "known_hosts")


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run: what it printed, its peak memory, how long it took."""

    stdout: str
    stderr: str
    peak_mb: float
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


def _run(folder: Path, *words: str) -> Run:
    """`fleet WORDS` in an empty folder, which stays empty."""
    peak, cwd = folder / "peak", folder / "cwd"
    cwd.mkdir(exist_ok=True)
    argv = [sys.executable, "-c", MEASURE, str(peak), *FLEET, *words]
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    started = time.monotonic()
    run = subprocess.run(
        argv,
        check=False,
        capture_output=True,
        timeout=200,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
    )
    seconds = time.monotonic() - started
    assert not list(cwd.iterdir()), "a node left a file with us"
    return Run(run.stdout.decode(), run.stderr.decode(), float(peak.read_text()), seconds)


def _check_harmless(text: str) -> None:
    """Nothing but printable signs and our own line ends, and no line that a node made."""
    assert text.replace("\n", "").isprintable()
    assert not re.search(r"^fleet: (?:4040 hosts|forged)", text, re.MULTILINE)


def _check_good(document: dict[str, Any], good: Crowd) -> None:
    """Every row of every healthy node, to the figure, and no other."""
    hosts = {row["host"]: row for row in document["hostStatus"]}
    assert len(hosts) == len(document["hostStatus"])
    for name, address in good.addresses.items():
        assert hosts[name]["status"] == "ok", hosts[name]
        rows = [row for row in document["containerStats"] if row["host"] == name]
        told = {(row["id"], row["name"], row["pids"], row["memory_use"]) for row in rows}
        wanted = {(one.id, one.name, one.pids, one.memory_bytes) for one in expected(address)}
        assert len(rows) == len(wanted)
        assert told == wanted


@pytest.fixture(scope="module")
def good(lab) -> Iterator[Crowd]:
    """Twenty healthy nodes."""
    with crowd(lab, "hostile-good", GOOD, delay_s=1) as nodes:
        yield nodes


@dataclass(frozen=True, slots=True)
class Zoo:
    """All kinds of hostile nodes at once; `expected` is what a host's visit may come to."""

    nodes: HostileNodes
    doors: HostileDoors
    hosts: Mapping[str, Any]
    known_hosts: str

    @property
    def expected(self) -> dict[str, tuple[frozenset[str], tuple[int, int]]]:
        """Statuses and bounds of rows, by host."""
        found = {name: (kind.statuses, kind.rows) for name, kind in self.nodes.kinds.items()}
        for name, (statuses, _handle, rows) in self.doors.kinds.items():
            found[name] = (frozenset(statuses.split()), rows)
        return found


@contextmanager
def _zoo(lab: Lab, good: Crowd) -> Iterator[Zoo]:
    address = next(iter(good.addresses.values()))
    kinds = {**KINDS, "stolen-ids": stolen_ids([one.id for one in expected(address)])}
    doors = HostileDoors(lab)
    with HostileNodes(lab, kinds) as nodes, doors.open() as (hosts, known_hosts):
        yield Zoo(nodes, doors, {**nodes.hosts, **hosts}, nodes.known_hosts + known_hosts)


@pytest.fixture(scope="module")
def zoo(lab, good) -> Iterator[Zoo]:
    """One hostile node of every kind."""
    with _zoo(lab, good) as zoo:
        yield zoo


@pytest.fixture(scope="module")
def swept(zoo, good, tmp_path_factory) -> Run:
    """One sweep over all of them and the healthy ones, as JSON."""
    folder = tmp_path_factory.mktemp("zoo")
    targets = _targets(folder, {**good.hosts, **zoo.hosts}, good.known_hosts + zoo.known_hosts)
    return _run(folder, "snapshot", "--format", "json", *targets.words)


def test_healthy_rows_all_arrive(swept, zoo, good):
    """Beside more than twenty hostile nodes every healthy one has its rows, in bounded time and
    memory.
    """
    assert len(zoo.expected) >= BAD
    _check_good(swept.document, good)
    assert swept.peak_mb < LIMIT_MB
    assert swept.document["sweep"]["elapsed"] < DEADLINE_S


def test_every_hostile_node_has_its_one_row(swept, zoo, good):
    """Its status says how it misbehaved, and rows it made up are its own."""
    document = swept.document
    rows: dict[str, int] = {}
    for row in document["containerStats"]:
        rows[row["host"]] = rows.get(row["host"], 0) + 1
    statuses = {row["host"]: row for row in document["hostStatus"]}
    assert set(statuses) == {*zoo.expected, *good.addresses}
    assert len(document["hostStatus"]) == len(statuses)
    wrong = []
    for name, (allowed, (least, most)) in zoo.expected.items():
        row, count = statuses[name], rows.get(name, 0)
        if row["status"] not in allowed or not least <= count <= most:
            wrong.append((name, row["status"], row["phase"], row["detail"], count))
        if row["status"] not in ("ok",):
            assert row["detail"], row
            assert len(row["detail"]) <= 500
    assert not wrong, "\n".join(map(str, wrong))


def test_no_text_of_theirs_does_anything(swept, zoo):
    """Not one control character, nor a line of theirs, in what was printed: the summary has a
    line for the sweep and at most 24 for causes.
    """
    _check_harmless(swept.stdout)
    _check_harmless(swept.stderr)
    lines = swept.stderr.splitlines()
    assert lines[0].startswith(f"fleet: {GOOD + len(zoo.expected)} hosts, ")
    assert len(lines) <= 25
    assert "a bug in fleet" not in swept.stdout + swept.stderr
    for line in lines[1:]:
        assert re.match(r"[a-z_]+ [0-9]+: |… and ", line), line
    for row in swept.document["hostStatus"]:
        assert (row["detail"] or "").isprintable()


def test_compression_is_never_offered(swept, zoo):
    """A server that insists on it is refused, so no answer can unfold into more than it was."""
    (row,) = [row for row in swept.document["hostStatus"] if row["host"] == "only-zlib"]
    assert row["status"] == "ssh_error"
    assert "compression" in row["detail"]
    assert zoo.doors.seen.offers
    for offers in zoo.doors.seen.offers:
        assert offers[6:8] == ["none", "none"]


def test_no_node_reaches_back(swept, zoo):
    """It can open nothing here: not our agent, not a display, not a port."""
    assert swept.document
    assert zoo.doors.seen.opened == []
    assert {"auth-agent@openssh.com", "x11", "forwarded-tcpip"} <= {*zoo.doors.seen.refused}


def _quick(zoo: Zoo) -> dict[str, Any]:
    """Those that answer at once, and a few lines only."""
    slow = {"timeout", "partial"}
    return {
        name: variables
        for name, variables in zoo.hosts.items()
        if not zoo.expected[name][0] & slow
        and not name.startswith(("flood", "random", "endless", "blank"))
        and not name.endswith(("flood", "window"))
    }


@pytest.fixture(scope="module")
def quick(zoo, tmp_path_factory) -> Targets:
    """Those that answer at once."""
    return _targets(tmp_path_factory.mktemp("quick"), _quick(zoo), zoo.known_hosts)


@pytest.mark.parametrize("form", ["table", "csv", "csv --hosts", "jsonl", "ilp"])
def test_no_form_lets_their_text_through(quick, form, tmp_path):
    """Whatever is printed holds no control character of theirs, and no line."""
    run = _run(tmp_path, "snapshot", "--format", *form.split(), *quick.words)
    assert run.stdout
    _check_harmless(run.stdout)
    _check_harmless(run.stderr)


@pytest.mark.parametrize(
    "words", [["check"], ["check", "--format", "json"], ["trust"]], ids=" ".join
)
def test_other_commands_are_as_careful(quick, words, tmp_path):
    """What `check` and `trust` show of a node is text, and they end with no traceback."""
    run = _run(tmp_path, *words, *quick.words[:4])
    assert run.stdout
    _check_harmless(run.stdout)
    _check_harmless(run.stderr)
    assert "Traceback" not in run.stderr
    assert run.seconds < DEADLINE_S


def test_formulas_are_text_in_csv_and_exact_elsewhere(zoo, tmp_path):
    """A spreadsheet is given no formula; programs get what the node said."""
    targets = _targets(tmp_path, {"formulas": zoo.hosts["formulas"]}, zoo.known_hosts)
    rows = list(
        csv.DictReader(
            io.StringIO(_run(tmp_path, "snapshot", "--format", "csv", *targets.words).stdout)
        )
    )
    assert len(rows) == len(FORMULAS)
    for row in rows:
        for cell in row.values():
            assert not re.match(r"\s*[=+\-@]", cell), row
    exact = _run(tmp_path, "snapshot", "--format", "json", *targets.words).document
    assert {row["image"] for row in exact["containerStats"]} == set(FORMULAS.values())


def test_questdb_has_their_text_as_it_was(zoo, good, questdb: QuestDB, tmp_path):
    """Metacharacters of ILP change no column and no other row; healthy rows are whole."""
    hosts = {"formulas": zoo.hosts["formulas"], "stolen-ids": zoo.hosts["stolen-ids"]}
    targets = _targets(tmp_path, {**good.hosts, **hosts}, good.known_hosts + zoo.known_hosts)
    prefix = f"hostile{os.getpid()}"
    tables = tables_named(f"{prefix}_{{}}")
    flags = table_words(tables)
    run = _run(tmp_path, "collect", "--questdb", questdb.conf, *flags, *targets.words)
    _check_harmless(run.stderr)
    containers = tables["containers"]
    count = 10 * GOOD + 10 + len(FORMULAS)
    questdb.wait_rows(f'SELECT host FROM "{containers}"', count)
    found = questdb.sql(f"SELECT image FROM \"{containers}\" WHERE host = 'formulas'")
    assert {row["image"] for row in found} == set(FORMULAS.values())
    counts = questdb.sql(f'SELECT host, count() c FROM "{containers}" GROUP BY host')
    assert {row["host"]: row["c"] for row in counts} == {
        **dict.fromkeys(good.addresses, 10),
        "stolen-ids": 10,
        "formulas": len(FORMULAS),
    }


def _on_a_terminal(argv: list[str], within_s: float = 60) -> bytes:
    """All that a program writes to a terminal of its own."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(argv[0], argv)
    shown, until = b"", time.monotonic() + within_s
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            shown += part
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown


def test_a_terminal_is_left_as_it_was(quick):
    """On a terminal there are the escapes of our own bar, and not one of a node's."""
    shown = _on_a_terminal([*FLEET, "snapshot", *quick.words]).decode()
    assert "escapes" in shown
    ours = re.compile(r"\x1b\[\??[0-9;]*[mhlKAG]")
    left = ours.sub("", shown).replace("\r", "").replace("\n", "")
    assert left.isprintable()
    assert "\x1b[2J" not in shown
    assert "\x1b[31m\x9b" not in shown


@pytest.mark.parametrize("then", FLOODS.values(), ids=FLOODS)
def test_twenty_floods_at_once_cost_only_themselves(lab, good, then, tmp_path):
    """Twenty of the same: all good rows, bounded time and memory, nothing unprintable."""
    kind = Kind(frozenset(), out=KINDS["a-million"].out, then=then)
    with ExitStack() as stack:
        bad = stack.enter_context(
            HostileNodes(lab, {f"bad-{number}": kind for number in range(BAD)})
        )
        targets = _targets(
            tmp_path, {**good.hosts, **bad.hosts}, good.known_hosts + bad.known_hosts
        )
        run = _run(tmp_path, "snapshot", "--format", "json", *targets.words)
    _check_good(run.document, good)
    assert run.document["sweep"]["elapsed"] < DEADLINE_S
    assert run.peak_mb < LIMIT_MB
    _check_harmless(run.stdout + run.stderr)
