"""Host patterns against ansible-core: the same hosts in the same order, the same errors."""

import importlib.util
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

import fleet.pattern
from fleet.errors import UsageError
from fleet.inventory import Host, Inventory, load
from fleet.pattern import select
from fleet.pattern.terms import split
from tests.oracle.patterns import (
    LOCALHOST,
    READINGS,
    SEEDS,
    Answer,
    Case,
    Tree,
    ask_ansible,
    make_cases,
)

MISSED = re.compile(r"(['\"])(.*)\1 matches no host and no group")
CASES = 1600
INVENTORIES = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """Cases, the inventories that they are about, and what Ansible makes of both, 12 times."""

    paths: list[str]
    cases: list[Case]
    trees: list[list[Tree]]
    answers: list[list[Answer]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Generated once, the same ones every time."""
    folder = tmp_path_factory.mktemp("patterns")
    paths, cases = make_cases(Random(20261125), folder, INVENTORIES, CASES)
    found = ask_ansible(folder, paths, cases)
    return Asked(paths, cases, [trees for trees, _ in found], [answers for _, answers in found])


def of_tree(tree: Tree) -> Inventory:
    """An inventory as Ansible has read it, with all that patterns look at."""
    return Inventory(tuple(Host(name, name) for name in tree.hosts), tree.groups)


def ours(inventory: Inventory, case: Case) -> Answer:
    """Our answer; of an error we keep no warnings."""
    try:
        selection = select(case.patterns, case.limit, inventory)
    except UsageError as error:
        nothing_left = str(error).startswith("no host matches ")
        return Answer(() if nothing_left else None, frozenset())
    missed = [found[2] for line in selection.warnings if (found := MISSED.match(line))]
    return Answer(tuple(host.name for host in selection.hosts), frozenset(missed))


def differing(asked: Asked, reading: int = 0) -> list[str]:
    """Where we answer otherwise than Ansible, about its own trees."""
    inventories = [of_tree(tree) for tree in asked.trees[reading]]
    different = []
    for case, theirs in zip(asked.cases, asked.answers[reading], strict=True):
        found = ours(inventories[case.inventory], case)
        same = found.hosts == theirs.hosts
        if found.hosts:  # comments are terms for Ansible, and localhost always means something
            same = same and found.missed - {*LOCALHOST} == theirs.missed - {"# by hand", *LOCALHOST}
        if not same:
            different.append(f"{case}\n  ansible {theirs}\n  fleet   {found}")
    return different


def test_patterns_mean_what_ansible_says(asked: Asked) -> None:
    """About its own lists of hosts and groups: hosts, order, errors and warnings are the same."""
    assert len(asked.answers) == len(SEEDS) * READINGS
    for reading in range(len(asked.answers)):
        assert differing(asked, reading) == []


def test_order_of_loaded_inventories(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """From the file on, hosts are the same; so is their order where Ansible's own is."""
    inventories = [load(path) for path in asked.paths]
    counts: Counter[str] = Counter()
    for case, *answers in zip(asked.cases, *asked.answers, strict=True):
        found = ours(inventories[case.inventory], case).hosts
        theirs = {answer.hosts for answer in answers}
        sets = {hosts and frozenset(hosts) for hosts in theirs}
        if len(theirs) == 1:
            counts["with order" if found else "nothing left" if found == () else "errors"] += 1
            assert {found} == theirs, case
        elif len(sets) == 1:
            counts["without order"] += 1
            assert {found and frozenset(found)} == sets, case
        else:
            counts["left out: Ansible's own hosts hang on the seed"] += 1
    with capsys.disabled():
        print(f"\n{CASES} patterns over {INVENTORIES} inventories: {dict(counts)}")
        constructs = Counter(name for case in asked.cases for name in case.constructs)
        print(f"constructs: {dict(constructs.most_common())}")
    assert counts["with order"] >= 700
    assert counts["without order"] >= 100
    assert counts["errors"] >= 100
    assert sum(counts.values()) - counts["left out: Ansible's own hosts hang on the seed"] >= 1000


def test_patterns_are_split_where_ansible_splits_them() -> None:
    """Commas, colons, addresses with ranges and ports, blanks: twenty thousand odd texts."""
    from ansible.inventory.manager import split_host_pattern

    random = Random(20261125)
    words = "a b web 1 0 0: 22 f ffff 12345 . - _ [ ] [1:3] [a:c] [1:3:2] [0] [-1] [1:] , ! & ~ * ?"
    pieces = [*words.split(), *":::", "::", "::", " ", "é", "%", "2001:db8::1", "1.2.3.4", "[::1]"]
    for _ in range(20_000):
        text = "".join(random.choices(pieces, k=random.randint(1, 12)))
        assert split(text) == split_host_pattern(text), text


MUTANTS = {
    "localhost has one name": ("matcher", "if name in _LOCALHOST][:1]", "if name == expression]"),
    "exclusions before unions": (
        "matcher",
        "(*unions, *both, *without)",
        "(*without, *unions, *both)",
    ),
    "terms in the order they came": ("matcher", "(*unions, *both, *without)", "terms"),
    "a group's name wins over a host's": ("matcher", "if term in self.hosts:", "if not term:"),
    "a regex is searched": ("matcher", "re.compile(regex).match", "re.compile(regex).search"),
    "subscripts count a host once": (
        "matcher",
        "self._picked(names, subscript, atom)",
        "self._picked(list(dict.fromkeys(names)), subscript, atom)",
    ),
    "the last one is not meant": ("matcher", ": self.last + 1]", ": self.last]"),
    "an open end stops before the last": (
        "matcher",
        "names[self.first :] if",
        "names[self.first : -1] if",
    ),
    "a slice to 0 is a slice": ("matcher", "if not self.last:", "if self.last is None:"),
    "a regex has subscripts": ("matcher", 'None if atom[0] == "~" else ', ""),
    "globs are of groups only": (
        "matcher",
        "if not groups or _SPECIAL",
        "if not groups and _SPECIAL",
    ),
    "plain names are of hosts as well": (
        "matcher",
        "if not groups or _SPECIAL.search(expression):",
        "if True:",
    ),
    "nothing without a positive term": ("matcher", ' or ["all"]', ""),
    "out of range is empty": (
        "matcher",
        "except IndexError:",
        "except IndexError:\n            return ()",
    ),
    "hosts before groups": (
        "matcher",
        "found += _matching(fits, expression, self.hosts)",
        "found = _matching(fits, expression, self.hosts) + found",
    ),
    "globs in any case": (
        "matcher",
        "fnmatch.translate(expression)",
        "'(?i)' + fnmatch.translate(expression)",
    ),
    "colons separate beside commas": ("terms", 'if "," in pattern:', "if False:"),
    "an address is split": ("terms", "elif _is_address(pattern):", "elif False:"),
    "lines of a file are split": (
        "terms",
        "found += _lines_of(term, warn)",
        "for line in _lines_of(term, warn):\n                    found += split(line)",
    ),
    "a comment is a term": ("terms", 'if line and line[0] != "#"', "if line"),
}


def mutated(name: str, old: str, new: str) -> ModuleType:
    """A module of `fleet.pattern` with one place changed."""
    spec = importlib.util.find_spec(f"fleet.pattern.{name}")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
    module = ModuleType(f"mutant_{name}")
    sys.modules[module.__name__] = module  # where its classes look for their module
    exec(compile(source.replace(old, new), spec.origin, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_changed_matcher_is_caught(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    """Each of these mistakes answers at least one case otherwise than Ansible."""
    name, old, new = MUTANTS[mutant]
    module = mutated(name, old, new)
    entry = {"matcher": "Matcher", "terms": "gathered"}[name]
    monkeypatch.setattr(fleet.pattern, entry, getattr(module, entry))
    assert differing(asked) != []
