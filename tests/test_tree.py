"""What the project's own files must not hold."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PARTS = ("fleet", "tests", "docs", "benchmarks", "deploy", ".ci")
FILES = [
    *(path for path in PROJECT.iterdir() if path.is_file() and path.suffix != ".lock"),
    *(path for part in PARTS for path in (PROJECT / part).rglob("*") if path.is_file()),
]
TEXTS = {
    str(path.relative_to(PROJECT)): path.read_bytes().decode("utf-8", "replace")
    for path in FILES
    if "__pycache__" not in path.parts
}

# Put together here, so that this file does not hold them.
REGISTRIES = ("pypi", "pythonhosted", "npmjs", "crates", "deb.debian", "repo1", "repo.maven")


@pytest.mark.parametrize("place", [str(PROJECT), str(Path.home())])
def test_no_path_of_this_machine(place):
    """A file that names the folder it was written in works nowhere else."""
    pattern = re.compile(rf"(?<![A-Za-z0-9_.-]){re.escape(place)}/")
    assert place != "/"
    assert [name for name, text in TEXTS.items() if pattern.search(text)] == []


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_address_of_a_registry(host):
    """Packages are named; where they come from is the machine's own business."""
    pattern = re.compile(rf"https?://[^\s\"']*{re.escape(host)}", re.IGNORECASE)
    assert [name for name, text in TEXTS.items() if pattern.search(text)] == []


def test_no_private_key():
    """Keys are made on the spot."""
    pattern = re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY-----")
    assert [name for name, text in TEXTS.items() if pattern.search(text)] == []


def test_every_test_has_its_sentence():
    """A test says in one sentence what holds when it passes."""
    bare = []
    for name, text in TEXTS.items():
        if re.fullmatch(r"tests/(.*/)?test_\w+\.py", name):
            bare += re.findall(r'^def (test_\w+)\([^\n]*\):\n(?!    """)', text, re.MULTILINE)
    assert bare == []
