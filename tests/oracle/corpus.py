"""The cases that are compared: each construct alone, in every pair, and in mixtures."""

import itertools
import random
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.oracle.case import Case, Files, write
from tests.oracle.constructs import CONSTRUCTS, closure, pairs
from tests.oracle.growth import grow
from tests.oracle.view import View, ansibles


def systematic(seed: str) -> Iterator[Case]:
    """Every construct alone and every pair, each with no more than it needs."""
    for wanted in itertools.chain(((name,) for name in CONSTRUCTS), pairs()):
        yield grow(seed, wanted)


def mixed(seed: str, count: int, without: Collection[str] = ()) -> Iterator[Case]:
    """Cases of four to eight constructs, and what they need."""
    usable = [name for name in CONSTRUCTS if name not in without]
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        yield grow(f"{seed} {number}", rng.sample(usable, rng.randint(4, 8)))


def read(case: Case, folder: Path) -> tuple[Files, View]:
    """A case on disk, and what Ansible makes of it."""
    files = write(case, folder)
    assert closure(case.used) == case.used, f"{case.seed}: {sorted(case.used)}"
    return files, ansibles(files.ansibles)
