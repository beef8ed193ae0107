"""Generated inventories mean for us what they mean for Ansible: hosts, groups, connections.

`pytest -s` prints which constructs stood alone and beside each other, and how often.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.inventory import load
from tests.oracle.case import Case, Files, write, write_corner
from tests.oracle.compare import differences, key_file, load_case, unequal
from tests.oracle.constructs import Coverage
from tests.oracle.corners import CORNERS
from tests.oracle.corpus import mixed, read, systematic
from tests.oracle.view import ansibles, isolation, ours

SEED = "fleet"
MIXED = 300
BY_COMMAND_LINE = 30
WORKERS = 2


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    """What the generated inventories of this module cover."""
    return Coverage()


def _compared(cases: Iterator[Case], folder: Path, coverage: Coverage) -> int:
    """Compare cases, count them, and fail with the first few that differ."""
    failures = []
    count = 0
    for count, case in enumerate(cases, 1):
        files, expected = read(case, folder / str(count))
        coverage.add(frozenset(case.used))
        if found := differences(files, expected):
            failures.append("\n".join([files.shown(), *found]))
    assert not failures, "\n\n".join([f"{len(failures)} of {count} differ", *failures[:3]])
    return count


def test_each_construct_alone_and_in_pairs(tmp_path: Path, coverage: Coverage) -> None:
    """Each construct alone and every pair of them mean the same; the coverage is complete."""
    count = _compared(systematic(SEED), tmp_path, coverage)
    assert count > 500
    assert coverage.missing() == []


def test_mixtures(tmp_path: Path, coverage: Coverage) -> None:
    """Mixtures of constructs mean the same; all that was covered is printed."""
    assert _compared(mixed(SEED, MIXED), tmp_path, coverage) == MIXED
    print("\nInventories with each construct (=: alone; the diagonal: at all) and each pair\n")
    print(coverage.table())


@pytest.mark.parametrize("name", CORNERS)
def test_corner(name: str, tmp_path: Path) -> None:
    """What no generator finds means the same, too."""
    files = write_corner(CORNERS[name], tmp_path)
    assert differences(files, ansibles(files.ansibles)) == []


def test_command_line(tmp_path: Path) -> None:
    """What `ansible-inventory --list` prints of a case, and the case itself, are one for us."""
    # Ansible itself gives what it prints of a host to the group of the same name, read back.
    grown = mixed(f"{SEED} by command", BY_COMMAND_LINE, without=["same_name"])
    cases = [write(case, tmp_path / str(number)) for number, case in enumerate(grown)]
    with ThreadPoolExecutor(WORKERS) as pool:
        printed = list(pool.map(_listed, cases))
    for files, text in zip(cases, printed, strict=True):
        found = list(_contradictions(files, text, tmp_path / "listing.json"))
        assert not found, "\n".join([files.shown(), text, *found])


def _listed(files: Files) -> str:
    """What the command prints, run with nobody's configuration."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
    for source in files.ansibles:
        command += ["-i", source]
    home = isolation()["ANSIBLE_HOME"]
    environment = {**isolation(), "HOME": home, "ANSIBLE_INVENTORY_ENABLED": "script,yaml"}
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _contradictions(files: Files, text: str, path: Path) -> Iterator[str]:
    """Where fleet's view of a case is not what the command printed."""
    listing = json.loads(text)
    mine = load_case(files)
    for name, (hosts, children) in mine.branches.items():
        said = listing.get(name, {})
        yield from unequal(f"children of {name}", said.get("children", []), list(children))
        if name != "all":  # whose own hosts are not listed
            yield from unequal(f"hosts of {name}", said.get("hosts", []), list(hosts))
    path.write_text(text)
    flat = ours(load(str(path)))
    yield from unequal("hosts", sorted(flat.hosts), sorted(mine.hosts))
    yield from unequal("groups of hosts", flat.memberships, mine.memberships)
    yield from unequal("unusable hosts", flat.unusable, mine.unusable)
    for name, settings in mine.connection.items():
        there = dict(flat.connection.get(name, {}))
        if key := there.get("key_file"):  # a relative one is now relative to the listing
            value = str(key).removeprefix(f"{path.parent}/")
            there["key_file"] = key_file(files, value)
        yield from unequal(f"connection to {name}", there, settings)
