"""`make demo`: it shows what it promises, and leaves nothing when it is stopped half-way."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import PROJECT, Lab
from tests.lab.pids import marked
from tests.lab.questdb import jar
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(lab: Lab, tmp_path: Path) -> Path:
    """A folder for a demo that has fetched its QuestDB already."""
    (tmp_path / "questdb-jar").mkdir()
    shutil.copy(jar(lab), tmp_path / "questdb-jar")
    return tmp_path


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lab.demo", folder],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_demo(folder: Path) -> None:
    """It runs the commands it prints, shows real rows, ends well, and leaves its files only."""
    demo = start(folder)
    output, _ = demo.communicate(timeout=180)
    assert demo.returncode == 0, output
    commands = re.findall(r"^\$ fleet (\w+) ", output, re.MULTILINE)
    assert commands == ["hosts", "collect", "snapshot"]
    assert len(re.findall(r"^(?:web1|web2|db1) +[0-9a-f]{12} +fleet-demo-", output, re.M)) == 9
    assert re.search(r"^db2 +unreachable +connect ", output, re.MULTILINE)
    left = {path.name for path in folder.iterdir()} - {"questdb-jar"}
    assert left == {"inventory.yaml", "known_hosts", "id_ed25519", "janitor.log"}
    assert str(folder) not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_interrupted(folder: Path, number: signal.Signals) -> None:
    """Interrupted in the middle of a sweep, it stops all that it started."""
    demo = start(folder)
    assert demo.stdout
    for line in demo.stdout:
        if line.startswith("$ fleet collect"):
            break
    (run,) = folder.glob("run-*")
    assert len(marked(str(run))) >= 4
    demo.send_signal(number)
    assert demo.wait(30) == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)
    poll(lambda: not run.exists(), 20, "the end of the demo's parts")
    assert not marked(str(run))
    assert str(folder) not in Path("/proc/mounts").read_text()
