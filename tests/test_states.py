"""When what a container is gets published: at each change, hourly, and once when it vanished."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from fleet.seen import Seen, SeenContainer, Told
from fleet.sources.docker_lines import Listed
from fleet.sources.state import VANISHED, State
from fleet.states import REPEATED_S, container_states, told_of

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
NOW = 1_800_000_000.0
WEB = Listed(A, "web", "shop/web:1", True, "bridge", "web")
JOB = Listed(B, "job", None, False, "none", None)
RUNS = State(
    A,
    "running",
    pid=900,
    health="healthy",
    restarts=0,
    oom_killed=False,
    created_at=datetime(2026, 11, 1, tzinfo=UTC),
    started_at=datetime(2026, 11, 2, tzinfo=UTC),
    image_id="sha256:" + "0" * 64,
    project="shop",
)
ENDED = State(B, "exited", exit_code=1, finished_at=datetime(2026, 11, 3, tzinfo=UTC))
LISTED = {A: WEB, B: JOB}
STATES = {A: RUNS, B: ENDED}


def _sweep(seen: Seen | None, at: float, listed=LISTED, states=STATES):
    """One sweep: what is due, and what the next one is to know."""
    found = container_states(listed, states, seen, at)
    before = seen.containers if seen is not None else {}
    containers = {}
    for one in found:
        if one.state.state != VANISHED:
            told = told_of(one, before.get(one.id), at)
            containers[one.id] = SeenContainer(one.name, one.image, one.service, None, told)
    return [one.id for one in found if one.due], Seen(at, "boot-1", containers), found


def test_first_sweep_publishes_all():
    """In the order in which they are listed, with the names of the listing."""
    due, _seen, found = _sweep(None, NOW)
    assert due == [A, B]
    assert [(one.name, one.image, one.service, one.state) for one in found] == [
        ("web", "shop/web:1", "web", RUNS),
        ("job", None, None, ENDED),
    ]


def test_nothing_new_is_not_published():
    """A minute later there is a state for each container, and none is due."""
    _due, seen, _found = _sweep(None, NOW)
    due, _seen, found = _sweep(seen, NOW + 60)
    assert due == []
    assert [one.state for one in found] == [RUNS, ENDED]


CHANGES = {
    "state": "paused",
    "pid": 901,
    "health": "unhealthy",
    "restarts": 1,
    "exit_code": 137,
    "oom_killed": True,
    "created_at": None,
    "started_at": datetime(2026, 11, 2, 1, tzinfo=UTC),
    "finished_at": datetime(2026, 11, 2, tzinfo=UTC),
    "image_id": None,
    "project": None,
}


def test_every_field_has_its_change():
    """No field of a state is left out of the tests below."""
    assert {field.name for field in fields(State)} == {"id", *CHANGES}


@pytest.mark.parametrize("field", CHANGES)
def test_due_when_a_state_changed(field):
    """Whatever of it changed, it is published at once; and the other container is not."""
    _due, seen, _found = _sweep(None, NOW)
    changed = replace(RUNS, **{field: CHANGES[field]})
    due, seen, found = _sweep(seen, NOW + 60, states={A: changed, B: ENDED})
    assert due == [A]
    assert found[0].state == changed
    assert _sweep(seen, NOW + 120, states={A: changed, B: ENDED})[0] == []
    assert _sweep(seen, NOW + 120)[0] == [A]  # and back again


@pytest.mark.parametrize("changed", [{"name": "web-2"}, {"image": None}, {"service": "api"}])
def test_due_when_its_listing_changed(changed):
    """A new name, image or service is a change of the row, too."""
    _due, seen, _found = _sweep(None, NOW)
    assert _sweep(seen, NOW + 60, {A: replace(WEB, **changed), B: JOB})[0] == [A]


@pytest.mark.parametrize("changed", [{"running": False}, {"network": "host"}])
def test_what_is_in_no_column_is_no_change(changed):
    """What the listing says beside the columns of a state's row makes none due."""
    _due, seen, _found = _sweep(None, NOW)
    assert _sweep(seen, NOW + 60, {A: replace(WEB, **changed), B: JOB})[0] == []


@pytest.mark.parametrize("every_s", [10, 60, 300, 400, 1000, 1799, 1800, 1801, 3599, 3600])
def test_at_least_hourly(every_s):
    """With sweeps this far apart, no hour passes without a row, nor are there many more."""
    seen, published = None, []
    for number in range(20_000 // every_s + 3):
        at = NOW + number * every_s
        due, seen, _found = _sweep(seen, at)
        published += [at] * due.count(A)
    pauses = [late - early for early, late in pairwise(published)]
    assert max(pauses) <= REPEATED_S
    assert min(pauses) > REPEATED_S - 2 * every_s
    assert min(pauses) >= every_s


def test_sweeps_more_than_an_hour_apart():
    """Each publishes all, for it can do no better."""
    _due, seen, _found = _sweep(None, NOW)
    for number in range(1, 4):
        due, seen, _found = _sweep(seen, NOW + number * 7200)
        assert due == [A, B]


def test_clock_that_was_set_back():
    """What was published in the future is published again, rather than not for long."""
    _due, seen, _found = _sweep(None, NOW)
    assert _sweep(seen, NOW - 86_400)[0] == [A, B]


def test_vanished_once():
    """A container that is listed no more has one last row, with the names that it had."""
    _due, seen, _found = _sweep(None, NOW)
    due, seen, found = _sweep(seen, NOW + 60, {A: WEB})
    assert due == [B]
    last = found[-1]
    assert (last.name, last.image, last.service) == ("job", None, None)
    assert last.state == State(B, VANISHED)
    due, _seen, found = _sweep(seen, NOW + 120, {A: WEB})
    assert (due, [one.id for one in found]) == ([], [A])


def test_vanished_come_last():
    """After all that are listed."""
    _due, seen, _found = _sweep(None, NOW)
    listed = {C: replace(WEB, id=C, name="new")}
    due, _seen, found = _sweep(seen, NOW + 60, listed, {C: replace(RUNS, id=C)})
    assert due == [C, A, B]
    assert [one.state.state for one in found] == ["running", VANISHED, VANISHED]


def test_only_what_was_published_can_vanish():
    """A container that was counted, and of whose state nothing was said, is not announced gone."""
    seen = Seen(NOW - 60, "boot-1", {C: SeenContainer("old")})
    assert _sweep(seen, NOW)[0] == [A, B]


def test_reappearing_is_news():
    """A container that is listed again, under the id that it had, is published again."""
    _due, seen, _found = _sweep(None, NOW)
    _due, seen, _found = _sweep(seen, NOW + 60, {A: WEB})
    due, _seen, found = _sweep(seen, NOW + 120)
    assert due == [B]
    assert found[1].state == ENDED


def test_listed_and_not_inspected():
    """It has no row, has not vanished, and what was told of it is still known."""
    _due, seen, _found = _sweep(None, NOW)
    assert _sweep(seen, NOW + 60, states={A: RUNS})[0] == []
    found = container_states(LISTED, {}, seen, NOW + 60)
    assert found == ()


def test_what_is_remembered():
    """Of a state that was published, its mark and when; else what was remembered before."""
    (one, _other) = container_states(LISTED, STATES, None, NOW)
    told = told_of(one, None, NOW)
    assert told == Told(one.mark, NOW)
    before = SeenContainer("web", told=told)
    assert told_of(replace(one, due=False), before, NOW + 60) == told
    assert told_of(replace(one, due=False), None, NOW + 60) is None
