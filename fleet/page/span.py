"""The range of a page and the buckets it is cut into. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.errors import UsageError

POINTS_MAX = 300
"""Buckets in a range, but for one more where the range begins inside of one."""
LEAST_S, MOST_S = 60, 366 * 86_400
JITTER = 1.75
"""Two sweeps that are no further apart than this many usual intervals have none between them."""

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTHS = (
    *("1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m", "15m", "30m"),
    *("1h", "2h", "3h", "4h", "6h", "12h", "1d", "2d", "4d", "8d", "16d", "32d"),
)


@dataclass(frozen=True, slots=True)
class Width:
    """How wide a bucket is, as QuestDB writes it and in seconds."""

    text: str

    @property
    def seconds(self) -> int:
        """In seconds."""
        return int(self.text[:-1]) * _UNITS_S[self.text[-1]]


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` up to `until`, which does not belong to it."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True, slots=True)
class Grid:
    """The buckets of a range, in order, by their starts; they begin at multiples of their width
    since 1970, as QuestDB's timestamp_floor has them.
    """

    width: Width
    first: datetime
    count: int

    def start(self, place: int) -> datetime:
        """When a bucket begins."""
        return self.first + timedelta(seconds=place * self.width.seconds)

    def place(self, at: datetime) -> int:
        """The bucket that a time falls into."""
        return int((at - self.first).total_seconds() // self.width.seconds)

    @property
    def starts(self) -> tuple[datetime, ...]:
        """The starts of all buckets."""
        return tuple(self.start(place) for place in range(self.count))


def span_of(since: str, until: str | None, now: datetime) -> Span:
    """`--since` and `--until` → the range that they mean."""
    end = now if until is None else _time(until, now)
    match = re.fullmatch(r"([0-9]{1,9})(s|min|m|h|d)", since.strip())
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not LEAST_S <= seconds <= MOST_S:
        raise UsageError(
            f"--since: expected a time from 1m to 366d, as 30m, 24h or 7d, not {since!r}"
        )
    return Span(end - timedelta(seconds=seconds), end)


def _time(text: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            "--until: expected a time in ISO 8601, UTC unless it says otherwise, "
            f"as 2026-03-01T12:00 or 2026-03-01T12:00+02:00, not {text!r}"
        ) from None
    if at > now:
        raise UsageError(f"--until: {text!r} has not come yet; without --until it is now")
    if at.year < 1972:
        raise UsageError(f"--until: {text!r} is before any row; expected 1972 or later")
    return at


def usual_interval_s(intervals: Mapping[float, int]) -> float:
    """The middle one of the times between two visits of a host, each with how often it was; 0
    where there is none.
    """
    half = sum(intervals.values()) / 2
    seen = 0
    for seconds in sorted(intervals):
        seen += intervals[seconds]
        if seen >= half:
            return seconds
    return 0.0


def widths_for(span: Span, interval_s: float) -> tuple[Width, ...]:
    """The widths that may do, narrowest first: at most `POINTS_MAX` buckets, and none narrower
    than the sweeps are apart, by and large. In the last one there is a sweep for certain.
    """
    least = max(span.seconds / POINTS_MAX, interval_s * 0.95)
    sure = max(span.seconds / POINTS_MAX, interval_s * JITTER)
    widths = [Width(text) for text in _WIDTHS]
    possible = [width for width in widths if width.seconds >= least]
    chosen = [width for width in possible if width.seconds < sure]
    chosen += [width for width in possible if width.seconds >= sure][:1]
    return tuple(chosen) or (widths[-1],)


def width_of(widths: Sequence[Width], holes: Sequence[int]) -> Width:
    """The first width that leaves no bucket empty but where sweeps are missing; `holes` counts,
    for each, those that would be.
    """
    fitting = (width for width, count in zip(widths, holes, strict=True) if not count)
    return next(fitting, widths[-1])


def grid_of(span: Span, width: Width) -> Grid:
    """A range cut into buckets."""
    step = timedelta(seconds=width.seconds)
    first = _EPOCH + (span.since - _EPOCH) // step * step
    count = -((first - span.until) // step)
    return Grid(width, first, count)
