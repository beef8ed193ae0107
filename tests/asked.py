"""A question of a dashboard as it was asked, and the rows of `tests.history` that it is about."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from tests.grafana import ALL, Chosen, Range
from tests.history import INTERVAL, LABELS, Cells, History

Answer = list[tuple[Any, ...]]
LOOK_BACK = timedelta(hours=2)
LATELY_S = max(3600, 4 * INTERVAL.total_seconds())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor(moment: datetime, step: timedelta) -> datetime:
    """The start of the step of time that a moment lies in."""
    return EPOCH + (moment - EPOCH) // step * step


def newest(rows: Iterable[Cells], *keys: str) -> list[Cells]:
    """The newest row of each."""
    found: dict[tuple[Any, ...], Cells] = {}
    for row in sorted(rows, key=lambda row: row["timestamp"]):
        found[tuple(row[key] for key in keys)] = row
    return list(found.values())


def grouped(rows: Iterable[Cells], key: Callable[[Cells], Any]) -> dict[Any, list[Cells]]:
    """Rows by a key, each group in the order of time."""
    found: dict[Any, list[Cells]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["timestamp"]):
        found[key(row)].append(row)
    return found


def mean(values: Iterable[float | None]) -> float | None:
    """Of what is known; None of nothing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def total(values: Iterable[float | None]) -> float | None:
    """As above, the sum."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def failed(row: Cells) -> bool:
    """Whether a visit counts as failed."""
    return row["status"] != "ok" and not row["maintenance"]


@dataclass(frozen=True)
class Asked:
    """A question's range and variables, over a history."""

    history: History
    span: Range
    chosen: Mapping[str, Chosen]
    kept: dict[str, list[Cells]] = field(default_factory=dict)
    """Rows of the range by table, once they were asked for."""

    def is_chosen(self, variable: str, value: str | None) -> bool:
        """Whether a variable lets a value pass."""
        wanted = self.chosen[variable]
        if wanted in (ALL, [ALL]):
            return True
        return value in ([wanted] if isinstance(wanted, str) else wanted)

    def host_fits(self, row: Cells) -> bool:
        """By labels and host."""
        labels = all(self.is_chosen(label, row[label]) for label in LABELS)
        return labels and self.is_chosen("host", row["host"])

    def container_fits(self, row: Cells) -> bool:
        """By service and name as well."""
        return (
            self.host_fits(row)
            and self.is_chosen("service", row["service"])
            and self.is_chosen("container", row["name"])
        )

    def rows(self, table: str) -> list[Cells]:
        """All rows of the range."""
        if table not in self.kept:
            start, end = self.span.start, self.span.end
            rows = self.history.rows[table]
            self.kept[table] = [row for row in rows if start <= row["timestamp"] <= end]
        return self.kept[table]

    def of_hosts(self, table: str) -> list[Cells]:
        """Those of the chosen hosts."""
        return [row for row in self.rows(table) if self.host_fits(row)]

    @property
    def newest_visits(self) -> list[Cells]:
        """The newest visit of each of the chosen hosts; an old one says nothing of now."""
        old = self.span.end - 3 * INTERVAL
        return [
            row if row["timestamp"] >= old else {**row, "status": "not visited", "containers": 0}
            for row in newest(self.rows("hosts"), "host")
            if self.host_fits(row)
        ]

    @property
    def newest_visit(self) -> list[Cells]:
        """That of the one host that a page is about, whatever its labels are."""
        everywhere = {**self.chosen, **dict.fromkeys(LABELS, ALL)}
        return Asked(self.history, self.span, everywhere).newest_visits

    def age(self, moment: datetime) -> int:
        """Whole seconds from then to the end of the range."""
        return int((self.span.end - moment).total_seconds())

    @property
    def hours(self) -> int:
        """How many whole hours the range lasts."""
        return (self.span.end - self.span.start) // timedelta(hours=1)

    @property
    def step(self) -> timedelta:
        """How long a bucket of containers lasts: the panel's step, or that of a view."""
        if self.hours <= 24:
            return self.span.step
        return timedelta(minutes=10) if self.hours <= 168 else timedelta(hours=1)

    def in_buckets(self, table: str) -> list[Cells]:
        """The rows of the range; of a view's range the first and the last bucket are whole."""
        if self.hours <= 24:
            return self.rows(table)
        first, last = floor(self.span.start, self.step), floor(self.span.end, self.step)
        return [
            row for row in self.history.rows[table] if first <= row["timestamp"] < last + self.step
        ]

    @cached_property
    def buckets(self) -> list[Cells]:
        """Each container's rows in each step of time: `rows`, and what is last of the texts."""
        step = self.step
        groups = grouped(
            self.in_buckets("containers"),
            lambda row: (floor(row["timestamp"], step), row["host"], row["container"]),
        )
        texts = ("name", "service", "total_memory", *LABELS)
        return [
            {
                "time": time,
                "host": host,
                "container": container,
                "rows": rows,
                **{text: rows[-1][text] for text in texts},
            }
            for (time, host, container), rows in groups.items()
        ]

    @cached_property
    def sweeps(self) -> dict[tuple[datetime, str], int]:
        """How often each host's containers were read in each bucket: by its visits, or where they
        tell of fewer, as often as there are rows of one container.
        """
        rows = [row for row in self.in_buckets("hosts") if row["containers"] > 0]
        groups = grouped(rows, lambda row: (floor(row["timestamp"], self.step), row["host"]))
        counted = {key: len(found) for key, found in groups.items()}
        for bucket in self.buckets:
            key = bucket["time"], bucket["host"]
            counted[key] = max(counted.get(key, 0), len(bucket["rows"]))
        return counted


Truth = Callable[[Asked], Answer]
