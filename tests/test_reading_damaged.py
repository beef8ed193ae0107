"""Answers with damage anywhere: nothing is raised, and every figure is one that can be."""

import math
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.seen import Memory
from fleet.sources import Sample
from fleet.verdict import Verdict
from tests.answers import AT, UPTIME_S, Box, Sweep

A, B = Box("a"), Box("b", inode=71)
SEEN = Sweep((A, B)).judged().seen
LATER = Sweep((A, B), uptime_s=UPTIME_S + 300, at=AT + 300)
SWEEPS = {
    "kernel": LATER,
    "window": replace(LATER, late=(A, B)),
    "docker": replace(LATER, late=(A, B), source="docker", stats=[A.measured(), B.measured()]),
    "silent": replace(LATER, rc=124),
}
NUMBERS = ("0", "-1", "7", "", "-", "nan", "1e9", str(2**63), str(2**64 - 1), "9" * 20, "9" * 40)
PLACES = st.integers(0, 1000)
DAMAGE = st.one_of(
    st.tuples(st.just("without"), PLACES, st.none()),
    st.tuples(st.just("twice"), PLACES, PLACES),
    st.tuples(st.just("cut"), PLACES, st.integers(0, 200)),
    st.tuples(st.just("byte"), PLACES, st.tuples(st.integers(0, 200), st.characters())),
    st.tuples(st.just("number"), PLACES, st.tuples(st.integers(0, 20), st.sampled_from(NUMBERS))),
)


def _damaged(lines: list[str], kind: str, place: int, more) -> list[str]:
    """The lines with one damage, at a place that counts round and round."""
    at = place % len(lines)
    line = lines[at]
    if kind == "without":
        return lines[:at] + lines[at + 1 :] or [""]
    if kind == "twice":
        return [*lines[:at], lines[more % len(lines)], *lines[at:]]
    if kind == "cut":
        line = line[:more]
    elif kind == "byte" and line:
        where = more[0] % len(line)
        line = line[:where] + more[1] + line[where + 1 :]
    elif kind == "number" and (found := list(re.finditer(r"\d+", line))):
        number = found[more[0] % len(found)]
        line = line[: number.start()] + more[1] + line[number.end() :]
    return [*lines[:at], line, *lines[at + 1 :]]


def _check(verdict: Verdict) -> None:
    """Every figure is null, or a number from 0 on that its column holds."""
    for sample in verdict.samples:
        for field in fields(Sample):
            value = getattr(sample, field.name)
            if isinstance(value, int | float):
                assert math.isfinite(value), field.name
                assert value >= 0, field.name
                assert isinstance(value, float) or value < 2**63, field.name


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=4), remembers=st.booleans())
def test_damaged_answer(sweep, damages, remembers):
    """Whatever of it is missing, twice, cut or another number; and so the sweep after it."""
    lines = sweep.stdout.decode().split("\n")
    for damage in damages:
        lines = _damaged(lines, *damage)
    stdout = "\n".join(lines).encode("utf-8", "replace")
    verdict = sweep.judged(SEEN if remembers else None, stdout=stdout)
    _check(verdict)
    if verdict.seen is None:
        return
    memory = Memory()
    memory.note("web1", verdict.seen)
    assert memory.of("web1") == verdict.seen
    _check(replace(sweep, uptime_s=UPTIME_S + 360, at=AT + 360).judged(verdict.seen))
