"""Fixtures of real parts: each starts at its first use, once for the whole session."""

from collections.abc import Iterator

import pytest

from tests.lab.lab import PROJECT, Lab
from tests.lab.questdb import QuestDB


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The folder and the janitor of this session's parts."""
    with Lab(PROJECT / ".lab") as lab:
        yield lab


@pytest.fixture(scope="session")
def questdb(lab: Lab) -> Iterator[QuestDB]:
    """A real QuestDB: `.url .host .port .conf`, `.sql(query)`, `.wait_rows(query, count)`."""
    with QuestDB(lab) as server:
        yield server
