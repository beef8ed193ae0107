"""The manual's examples of inventories: each is read, and each output is what is printed.

Of the quickstart only what needs no network is run here.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.cli import main
from fleet.inventory import load
from fleet.inventory.variables import FLEET
from tests.lab.lab import PROJECT

PAGE = (PROJECT / "docs/inventory.md").read_text()
QUICKSTART = (PROJECT / "docs/quickstart.md").read_text()
CHAPTER = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
CHAPTERS = dict(CHAPTER.findall(PAGE))
CHAPTERS |= {
    name: text for name, text in CHAPTER.findall(QUICKSTART) if "\n# inventory.yaml\n" in text
}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(chapter, command, printed, id=f"{number}-{command[:40]}")
    for number, chapter in enumerate(CHAPTERS)
    for _kind, block in FENCED.findall(CHAPTERS[chapter])
    for command, printed in re.findall(r"^\$ ([^\n]+)\n((?:(?!\$ )[^\n]*\n)*)", block, re.MULTILINE)
]


def write_files(chapter: str, folder: Path) -> list[Path]:
    """The files that a chapter shows: blocks whose first line is `# NAME`, and whole."""
    files = []
    for _kind, block in FENCED.findall(CHAPTERS[chapter]):
        if found := re.match(r"# (\S+\.\w+)\n", block):
            path = folder / found[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block)
            files.append(path)
    return files


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of a person called ops, who is in it."""
    for name in [name for name in os.environ if name.startswith(("FLEET_", "SSH_"))]:
        monkeypatch.delenv(name)
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "ops")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("chapter", "command", "printed"), EXAMPLES)
def test_examples_print_what_they_show(person, capfd, chapter, command, printed):
    """In a folder with the chapter's files exactly that is printed."""
    write_files(chapter, person)
    if "|" in command:
        status = subprocess.run(["sh", "-c", command], check=False, timeout=60).returncode
    else:
        program, *words = shlex.split(command)
        assert program == "fleet"
        status = main(words)
    told = capfd.readouterr()
    assert told.err + told.out == printed
    refused = re.match("fleet: (no host matches|typo.yaml:)", printed)
    assert status == (2 if refused else 0)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_inventory_is_read(tmp_path, chapter):
    """No host of an example is one that would not be visited."""
    files = [path for path in write_files(chapter, tmp_path) if path.parent == tmp_path]
    read = [path for path in files if path.suffix == ".yaml" and path.stem != "typo"]
    assert read, files
    for path in read:
        assert [host.name for host in load(str(path)).hosts if host.bad_config] == []


def test_every_variable_of_ours_is_in_an_example():
    """The page knows them all."""
    yaml = "".join(block for kind, block in FENCED.findall(PAGE) if kind == "yaml")
    assert {*re.findall(r"\bfleet_\w+", yaml)} - {"fleet_sate"} == FLEET - {"fleet_runtime"}
