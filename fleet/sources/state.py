"""`docker inspect` on a node: what a container is, running or not. The format, and the parser."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.sources.docker_lines import MAX_LINE_CHARS, is_symbol

__all__ = [
    "INSPECT_FORMAT",
    "VANISHED",
    "VERSION_FORMAT",
    "State",
    "parse_states",
    "parse_version",
]

# For `docker inspect --type container --format`. Fields are named: `{{json .State}}` would bring
# the output of health checks, `.Config` the environment. `.ID`, for with `.Id` the CLI falls back
# to raw JSON, in which a container without a health check is an error.
INSPECT_FORMAT = (
    "[{{json .ID}},{{json .State.Status}},{{json .State.Pid}},"
    "{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}},"
    "{{json .RestartCount}},{{json .State.ExitCode}},{{json .State.OOMKilled}},"
    "{{json .Created}},{{json .State.StartedAt}},{{json .State.FinishedAt}},"
    "{{json .Image}},"
    '{{json (index .Config.Labels "com.docker.compose.project")}}]'
)
# For `docker version --format`.
VERSION_FORMAT = "{{json .Server.Version}}"

VANISHED = "vanished"
"""The state of a container that was there in an earlier sweep, and is listed no more."""

STATES = frozenset(
    ("created", "running", "paused", "restarting", "removing", "exited", "dead", VANISHED)
)
_ENDED = ("restarting", "removing", "exited", "dead")
HEALTHS = ("starting", "healthy", "unhealthy")
_ID = re.compile("[0-9a-f]{64}")
_IMAGE_ID = re.compile(r"[a-z0-9]{1,20}:[0-9a-f]{32,128}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_LONG_END = 2**63


@dataclass(frozen=True, slots=True)
class State:
    """A container as `docker inspect` knows it. Times are UTC; None where there is none yet.

    `state` is Docker's word (created, running, paused, restarting, removing, exited, dead), or
    `vanished`. `health` is None without a health check. `pid` is its first process, None where it
    has none. `exit_code` is None unless it has ended and does not run; `oom_killed` is of the run
    that goes on, or of the last one; `finished_at` of the last run that ended.
    """

    id: str
    state: str
    pid: int | None = None
    health: str | None = None
    restarts: int | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    image_id: str | None = None
    project: str | None = None


def parse_states(lines: Iterable[str]) -> tuple[dict[str, State], int]:
    """Lines in `INSPECT_FORMAT` → states by full id, and how many lines could not be understood."""
    states: dict[str, State] = {}
    bad = 0
    for line in lines:
        state = _state(line) if len(line) <= MAX_LINE_CHARS else None
        if state is None or state.id in states:
            bad += 1
        else:
            states[state.id] = state
    return states, bad


def _state(line: str) -> State | None:
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(cells, list) or len(cells) != 12:
        return None
    id, state, pid, health, restarts, exit_code, oom, created, started, finished, *more = cells
    image_id, project = more
    if not isinstance(id, str) or not _ID.fullmatch(id):
        return None
    if not isinstance(state, str) or state not in STATES - {VANISHED}:
        return None
    return State(
        id,
        state,
        pid=_count(pid, 1),
        health=health if health in HEALTHS else None,
        restarts=_count(restarts, 0),
        exit_code=_count(exit_code, -_LONG_END + 1) if state in _ENDED else None,
        oom_killed=oom if isinstance(oom, bool) else None,
        created_at=_time(created),
        started_at=_time(started),
        finished_at=_time(finished),
        image_id=image_id if isinstance(image_id, str) and _IMAGE_ID.fullmatch(image_id) else None,
        project=project if isinstance(project, str) and is_symbol(project) else None,
    )


def _count(cell: object, least: int) -> int | None:
    """A whole number from `least` on that a LONG holds; true and false are none."""
    return cell if type(cell) is int and least <= cell < _LONG_END else None


def _time(cell: object) -> datetime | None:
    """Docker's time (RFC 3339, nanoseconds), cut to the microsecond; None for its year 1."""
    match = _TIME.fullmatch(cell) if isinstance(cell, str) else None
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3]).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if whole.year <= 1970:
        return None
    return whole + timedelta(microseconds=int((match[2] or "0").ljust(9, "0")[:6]))


def parse_version(lines: Iterable[str]) -> str | None:
    """The server's version, of the first line in `VERSION_FORMAT` that is one."""
    for line in lines:
        if match := re.fullmatch(r'"([0-9A-Za-z][0-9A-Za-z.+~:_-]{0,63})"', line):
            return match[1]
    return None
