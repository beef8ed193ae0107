"""The page for contributors: its rooms are there, and its patches do what it says they do."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import PROJECT

PAGE = (PROJECT / "docs/design.md").read_text()
PATCHES = dict(
    re.findall(r"^## To add a (\w+)\n.*?^```diff\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
KINDS = "status or page or detail or cause or text or notes"
SHOWN = {
    "column": """
from fleet.node_facts import Node
from fleet.sources.node import parse_node
from fleet.tables import TableNames, schema_of
from tests.test_tables import full_sweep

some = "/proc/pressure/cpu:some avg10=0.00 avg60=2.50 avg300=0.00 total=1"
full = "/proc/pressure/cpu:full avg10=0.00 avg60=1.25 avg300=0.00 total=1"
table, sweep = schema_of(TableNames()).nodes, full_sweep()
node = Node(parse_node([some, full]), 2, 3.0, None, None)
names = [column.name for column in table.columns]
row = dict(zip(names, table.row((sweep, sweep.visits[0], node))))
assert (row["cpu_pressure"], row["cpu_pressure_full"]) == (2.5, 1.25), row
""",
    "status": """
from fleet.advice import Words, advise, likely
from fleet.tables import Sweep, TableNames, host_rows, schema_of
from tests.test_tables import NOW
from tests.test_visit import _three, _visit

words = "docker: write /tmp/x: No space left on device"
found = _visit(_three([], [], [], ps1=1), words)
(row,) = host_rows(Sweep(NOW, "fleet", "1", (found,), 1.0), schema_of(TableNames())).as_dicts()
assert (row["status"], row["phase"], row["detail"]) == ("disk_full", "daemon", words), row
causes = likely(found.status, found.phase, found.detail)
advice = advise(found.status, causes, Words("web1"))
assert "df -h" in repr(advice), advice
""",
    "source": """
import subprocess
from datetime import UTC, datetime

from fleet import probe
from fleet.inventory import Host
from fleet.tables import Sweep, TableNames, rows_of, schema_of
from fleet.transport import Reply
from fleet.verdict import judge
from fleet.visit import Visit

host = Host("here", "here", source="kernel")
command = probe.request(host, 10, 0)
said = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
answer = probe.cut(said.stdout)
assert (answer.version, answer.rc("sockets")) == (3, 0), said
verdict = judge(host, Reply(0.1, 1.0, 0, said.stdout, said.stderr), datetime.now(UTC))
found = Visit(host, verdict.status, verdict.phase, None, 1.0, node=verdict.node)
sweep = Sweep(datetime.now(UTC), "fleet", "1", (found,), 1.0)
(row,) = rows_of(sweep, schema_of(TableNames()))[3].as_dicts()
assert row["sockets"] > 0, row

older = said.stdout.replace(b"@fleet 3 ", b"@fleet 2 ").replace(b"sockets: used", b"?")
old = judge(host, Reply(0.1, 1.0, 0, older, b""), datetime.now(UTC))
assert old.status.value != "probe_outdated" and old.node.sockets is None
""",
}
QUICK = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not e2e")
TESTS = {
    "column": ["tests/test_tables.py", "tests/test_docs.py", "-k", "column or row"],
    "status": ["tests/test_advice.py", "tests/test_docs.py", "tests/test_visit.py", "-k", KINDS],
    "source": [
        *("tests/test_tables.py", "tests/test_docs.py", "tests/sources/test_sockets.py"),
        *("-k", "column or row or sockets"),
    ],
}


FOLDERS = ("fleet", "tests", "docs")
FILES = ("README.md", "CHANGELOG.md", "pyproject.toml", "inventory.yaml")


def patched(name: str, folder: Path) -> Path:
    """A copy of the source to which a patch of the page has been applied, whole."""
    for part in (*FOLDERS, *FILES):
        source, ignored = PROJECT / part, shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy(source, folder)
    argv = ["patch", "-p1", "--batch", "--no-backup-if-mismatch"]
    done = subprocess.run(
        argv, check=False, cwd=folder, input=PATCHES[name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert not list(folder.rglob("*.rej"))
    return folder


def run(folder: Path, *words: str) -> None:
    """Run a Python in a copy, on the copy's own modules."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        cwd=folder,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_there():
    """The rooms that the page names exist, and no other word looks like one."""
    named = set(re.findall(r"`(fleet/[\w/.]+)`", PAGE))
    assert len(named) > 30
    assert [room for room in sorted(named) if not (PROJECT / room).exists()] == []


@pytest.mark.parametrize("name", PATCHES)
def test_patch_of_the_page_works(tmp_path, name):
    """It applies to the source as it stands, passes lint and the tests that watch over such a
    change, and does what it was made for.
    """
    folder = patched(name, tmp_path)
    run(folder, "-m", "ruff", "check", "--quiet", "--no-cache", ".")
    run(folder, "-m", "ruff", "format", "--quiet", "--check", "--no-cache", ".")
    run(folder, "-c", SHOWN[name])
    if name == "source":
        (code,) = re.findall(r"python -c '(.*)' >tests/probes/v3.txt", PAGE)
        run(folder, "-c", f"import sys; sys.stdout = open('tests/probes/v3.txt', 'w'); {code}")
        run(folder, *QUICK, "tests/test_probe.py", "-k", "last_two or holds_nothing or just_its")
    run(folder, *QUICK, *TESTS[name])


def test_there_is_a_patch_for_each():
    """A column, a status, a source."""
    assert set(PATCHES) == set(SHOWN) == set(TESTS)
