"""The comparison with Ansible is worth something: it catches every mutant of our resolver."""

from pathlib import Path

import pytest

from tests.oracle.case import Files
from tests.oracle.compare import differences
from tests.oracle.corpus import mixed, read
from tests.oracle.mutants import MUTANTS, Mutant
from tests.oracle.view import View

CASES = 240

Corpus = list[tuple[Files, View]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A fixed, small set of cases, and what Ansible makes of them."""
    folder: Path = tmp_path_factory.mktemp("corpus")
    return [read(case, folder / str(number)) for number, case in enumerate(mixed("mutants", CASES))]


def test_there_are_twenty_mutants() -> None:
    """There are at least twenty mutants, and each has a name of its own."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


def test_the_resolver_as_it_is_passes(corpus: Corpus) -> None:
    """The corpus that catches the mutants finds nothing in the resolver itself."""
    for files, expected in corpus:
        found = differences(files, expected)
        assert not found, "\n".join([files.shown(), *found])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant: Mutant, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this change of our resolver, some case of the corpus differs from Ansible."""
    mutant.install(monkeypatch)
    assert any(differences(files, expected) for files, expected in corpus), mutant.where
