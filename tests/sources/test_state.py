"""`docker inspect` and `docker version`: a line is understood whole, or counted as bad."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sources.state import INSPECT_FORMAT, State, parse_states, parse_version

ID = "a" * 64
IMAGE = "sha256:" + "b" * 64
ZERO = "0001-01-01T00:00:00Z"
NAMES = (
    *("id", "state", "pid", "health", "restarts", "exit_code", "oom", "created", "started"),
    *("finished", "image", "project"),
)
RUNNING = dict(
    zip(
        NAMES,
        [
            *(ID, "running", 71, "healthy", 2, 0, False, "2026-11-28T10:00:00.123456789Z"),
            *("2026-11-28T10:00:01Z", ZERO, IMAGE, "shop"),
        ],
        strict=True,
    )
)


def _line(**changed) -> str:
    return json.dumps([*(RUNNING | changed).values()])


def _state(**changed) -> State:
    states, bad = parse_states([_line(**changed)])
    assert bad == 0
    return states[ID]


def test_running_container_is_read_whole():
    """Times are cut to the microsecond; year 1 is none; no exit code while it runs."""
    assert _state() == State(
        ID,
        "running",
        71,
        "healthy",
        2,
        None,
        False,
        datetime(2026, 11, 28, 10, 0, 0, 123456, UTC),
        datetime(2026, 11, 28, 10, 0, 1, 0, UTC),
        None,
        IMAGE,
        "shop",
    )


def test_format_has_as_many_fields_as_are_read():
    """One cell each, and neither the health check's output nor the environment."""
    assert INSPECT_FORMAT.count("json ") == len(NAMES)
    assert "{{json .State}}" not in INSPECT_FORMAT
    assert "Env" not in INSPECT_FORMAT


@pytest.mark.parametrize(
    ("state", "code"),
    [
        *(("created", None), ("running", None), ("paused", None), ("restarting", 137)),
        *(("removing", 137), ("exited", 137), ("dead", 137)),
    ],
)
def test_exit_code_is_of_what_has_ended(state, code):
    """Docker says 0 of a container that runs, which is no exit code."""
    assert _state(state=state, exit_code=137).exit_code == code


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28T10:00:00.5+02:00", datetime(2026, 11, 28, 8, 0, 0, 500000, UTC)),
        ("2026-11-28T10:00:00.999999999Z", datetime(2026, 11, 28, 10, 0, 0, 999999, UTC)),
        ("2026-12-31T23:00:00-05:30", datetime(2027, 1, 1, 4, 30, tzinfo=UTC)),
        (ZERO, None),
        ("0001-01-01T00:00:00+09:00", None),
        ("9999-12-31T23:59:59-09:00", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-11-28T10:00:00+99:99", None),
        ("2026-11-28 10:00:00Z", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_times_of_docker(text, moment):
    """RFC 3339 with up to nine digits and any offset; what is no time is none."""
    assert _state(started=text).started_at == moment


@pytest.mark.parametrize(
    ("field", "cell", "attribute"),
    [
        *(("pid", 0, "pid"), ("pid", -1, "pid"), ("pid", True, "pid"), ("pid", 2**63, "pid")),
        *(("restarts", -1, "restarts"), ("restarts", 1.5, "restarts")),
        *(("restarts", "3", "restarts"), ("health", "none", "health"), ("health", [], "health")),
        *(("oom", 0, "oom_killed"), ("image", "shop/web", "image_id"), ("image", 5, "image_id")),
        *(("project", "", "project"), ("project", "a\x1b[2Jb", "project")),
        *(("project", "a\nb", "project"), ("project", "x" * 300, "project")),
        *(("project", "\ud800", "project"), ("project", None, "project")),
    ],
)
def test_cell_that_says_nothing_is_none(field, cell, attribute):
    """A zero, a wrong type, an unknown word, a label that is unfit: null, and the rest stands."""
    state = _state(**{field: cell})
    assert getattr(state, attribute) is None
    assert state.state == "running"


def test_label_with_quotes_is_kept():
    """JSON's escapes come back as what they stand for."""
    assert _state(project='a "b" \\ ü').project == 'a "b" \\ ü'


@pytest.mark.parametrize(
    "line",
    [
        *("", "{}", "null", "[]", "[" * 5000, '["x"]', '"' + ID + '"', _line()[:-1]),
        *(_line(id="a" * 12), _line(id=5), _line(id=[]), _line(state="vanished")),
        *(_line(state="Running"), _line(state=None), _line(state=[]), _line(state={})),
        *(_line() + "x", f"[{_line()}]", _line(project="x" * 70_000), "9" * 5000),
    ],
)
def test_line_that_is_no_container_is_counted(line):
    """Another shape, half an id, a word that Docker does not know."""
    assert parse_states([line]) == ({}, 1)


def test_first_of_two_lines_counts():
    """The same id twice is one container, and one bad line."""
    states, bad = parse_states([_line(), _line(restarts=9)])
    assert (states[ID].restarts, bad) == (2, 1)


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (['"28.2.2"'], "28.2.2"),
        (["WARNING: x", '"20.10.24+dfsg1"'], "20.10.24+dfsg1"),
        (['"27.0.0-rc.1~ubuntu"'], "27.0.0-rc.1~ubuntu"),
        (['""', "28.2.2", "null", '"a b"', '"' + "9" * 65 + '"'], None),
        ([], None),
    ],
)
def test_version_of_the_server(lines, version):
    """The first line that is one; anything else is none."""
    assert parse_version(lines) == version


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.lists(st.text(max_size=40) | st.dictionaries(st.sampled_from(NAMES), _json), max_size=5))
def test_anything_is_accepted(cells):
    """Nothing raises: a line is a container, or it is counted."""
    lines = [cell if isinstance(cell, str) else _line(**cell) for cell in cells]
    states, bad = parse_states(lines)
    assert len(states) + bad == len(lines)
    parse_version(lines)
