"""What an answer says of the node itself, and how far its clock is off. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from fleet.probe import Answer
from fleet.sources.node import NodeFigures

_CPUS = re.compile(r"cpus ([1-9]\d{0,5})")
_CLOCK = re.compile(r"clock (\d{1,12})")
_UPTIME = re.compile(r"uptime (\d{1,12}(?:\.\d{1,9})?)")


class Skew(NamedTuple):
    """Seconds that a node's clock is ahead of the central one, give or take `doubt_s`."""

    seconds: float
    doubt_s: float


@dataclass(frozen=True, slots=True)
class Node:
    """A node at one time: its figures, its CPUs, seconds since boot, and how far its clock is ahead
    of the central one; None is what it did not say.
    """

    figures: NodeFigures
    cpus: int | None
    uptime_s: float | None
    docker_version: str | None
    skew: Skew | None


def node_of(
    answer: Answer, figures: NodeFigures, docker_version: str | None, skew: Skew | None
) -> Node | None:
    """The node of an answer; None where it says nothing of it."""
    if "node" not in answer.sections:
        return None
    uptime_s, cpus = uptime_and_cpus(answer)
    return Node(figures, cpus, uptime_s, docker_version, skew)


def clock_skew(answer: Answer, run_s: float, complete_at: datetime) -> Skew | None:
    """The skew of a node whose answer took `run_s` and was complete at `complete_at` (central).

    The node read its clock, in whole seconds, when the probe began. That was not before the
    request was sent, and not after the answer was complete less what the probe then took by the
    node's own uptime, which no clock setting moves. The middle of that span is taken. The doubt is
    half of the span (the round trip, the start of the login shell, and the last listing of
    containers) and half a second.
    """
    clock = _last(_CLOCK, answer.lines("host"))
    if clock is None:
        return None
    took_s = 0.0
    before, after = (_last(_UPTIME, answer.lines(name)) for name in ("host", "clock"))
    if before is not None and after is not None:
        took_s = min(max(0.0, after - before), run_s)
    half_s = (run_s - took_s) / 2
    read_at = complete_at.timestamp() - took_s - half_s
    return Skew(clock + 0.5 - read_at, half_s + 0.5)


def uptime_and_cpus(answer: Answer) -> tuple[float | None, int | None]:
    """The node's uptime in seconds, as close to the figures as it was read, and its CPUs."""
    uptime_s = _last(_UPTIME, (*answer.lines("host"), *answer.lines("clock")))
    cpus = _last(_CPUS, answer.lines("host"))
    return uptime_s, None if cpus is None else int(cpus)


def _last(pattern: re.Pattern[str], lines: tuple[str, ...]) -> float | None:
    found = (pattern.fullmatch(line) for line in reversed(lines))
    return next((float(match[1]) for match in found if match), None)
