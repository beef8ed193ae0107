"""`docker stats` on a node: the formats that the probe asks for, and what comes of their lines.

```
ps lines ─────▶ parse_ps ──▶ Listed, by id ──┐
                                             ├──▶ measure: the null rules ──▶ Measured
stats lines ──▶ parse_stats_line ──▶ Figures ┘                                (Samples, losses)
```

Unknown is None, never 0: `docker stats` prints zeros, `--` and nonsense with exit status 0, and
`docker ps` before and after it tells which of them to believe. Nothing here does I/O, and nothing
that a node prints raises.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from fleet.sources import Sample
from fleet.sources.docker_lines import (
    MAX_LINE_CHARS,
    Figures,
    LineError,
    Listed,
    parse_ps_line,
    parse_size,
    parse_stats_line,
)

__all__ = [
    "MAX_ERRORS",
    "MAX_LINE_CHARS",
    "PS_FORMAT",
    "STATS_FORMAT",
    "Figures",
    "LineError",
    "Listed",
    "Measured",
    "measure",
    "parse_ps",
    "parse_ps_line",
    "parse_size",
    "parse_stats_line",
]

# For `docker ps --no-trunc --format`: named fields, because `{{json .}}` walks the disk for Size.
# The labels say which service a container belongs to, in the order in which they are believed.
PS_FORMAT = (
    "[{{json .ID}},{{json .Names}},{{json .Image}},{{json .State}},{{json .Networks}},"
    '{{json (.Label "com.docker.compose.service")}},'
    '{{json (.Label "com.docker.swarm.service.name")}},'
    '{{json (.Label "com.amazonaws.ecs.container-name")}},'
    '{{json (.Label "io.kubernetes.container.name")}}]'
)
# For `docker stats --no-stream --no-trunc --format`; the bare word `json` needs a client ≥ 23.0.
STATS_FORMAT = "{{json .}}"

MAX_ERRORS = 20
_CPU_MARGIN_PERCENT = 110.0  # per CPU: a busy thread was measured at up to 101.6 %
_MAX_CPUS = 8192  # the most that Linux is built for, where the node's number is not known
_NO_LIMIT_BYTES = 2.0**62  # cgroup v1's "unlimited" is printed as 8EiB
_LONG_END = 2**63

Parsed = TypeVar("Parsed")
Value = float | None
Values = tuple[Value, Value, Value, Value, int | None, Value, Value, Value, Value]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of `docker stats` gave, by the null rules.

    Every line that is not blank is counted once, in `samples`, `dropped` or `bad_lines`.
    `dropped` counts rows without figures that were left out: `--`, or all zero and not known to
    run. `dashes`: there were rows, and every one was `--`. With both `ps` readings: `vanished`
    counts containers that ran before, run no more, and have no figures; `unmeasured` names those
    that ran before and after and have no figures. `errors` holds the first texts of `bad_lines`.
    """

    samples: tuple[Sample, ...]
    dropped: int
    vanished: int
    dashes: bool
    unmeasured: tuple[str, ...]
    errors: tuple[str, ...]
    bad_lines: int


def parse_ps(
    lines: Iterable[str], known: dict[str, Listed] | None = None
) -> tuple[dict[str, Listed], int, tuple[str, ...]]:
    """Lines of `docker ps` → containers by id, how many lines were bad, the first such texts.

    `known` holds lines that were understood before, and takes those of now.
    """
    listed: dict[str, Listed] = {}
    before = {} if known is None else known
    bad = _BadLines()

    def parse(line: str) -> Listed:
        found = before.get(line)
        if found is None:
            found = before[line] = parse_ps_line(line)
        return found

    for container in _parsed(lines, parse, bad):
        if container.id in listed:
            bad.add(f"a second line of docker ps for {container.id}")
        else:
            listed[container.id] = container
    return listed, bad.count, tuple(bad.texts)


def measure(
    stats_lines: Iterable[str],
    before: Mapping[str, Listed] | None,
    after: Mapping[str, Listed] | None,
    cpus: int | None,
) -> Measured:
    """Lines of `docker stats`, and `ps` by id from before and after it → samples by the null rules.

    `before` or `after` is None where that `ps` could not be read, `cpus` (the node's) where it is
    not known. Of several rows for one container the first with figures counts, else zeros before
    dashes; the others are bad lines. An id of 12 digits becomes that of 64 which `ps` lists.
    """
    earlier, later, bad = before or {}, after or {}, _BadLines()
    parsed = _parsed(stats_lines, parse_stats_line, bad)
    rows = _rows(parsed, _Ids(earlier.keys() | later.keys()), bad)
    cpu_max_percent = _CPU_MARGIN_PERCENT * (cpus or _MAX_CPUS)
    samples, measured = [], set()
    for id, figures in rows.items():
        old, new = earlier.get(id), later.get(id)
        if figures.is_dashes or (figures.is_zero and not _ran(old, new)):
            continue
        listed = new or old
        values = _values(figures, listed, cpu_max_percent)
        longest = figures.id if len(figures.id) > len(id) else id
        name = figures.name or (listed.name if listed else id[:12])
        image, service = (listed.image, listed.service) if listed else (None, None)
        samples.append(Sample(longest, name, image, service, *values))
        if values.count(None) < len(values):
            measured.add(id)
    unread = [c for id, c in earlier.items() if c.running and id not in measured]
    lasting = tuple(c.name for c in unread if _ran(c, later.get(c.id)))
    return Measured(
        samples=tuple(samples),
        dropped=len(rows) - len(samples),
        vanished=len(unread) - len(lasting) if after is not None else 0,
        dashes=bool(rows) and all(figures.is_dashes for figures in rows.values()),
        unmeasured=lasting,
        errors=tuple(bad.texts),
        bad_lines=bad.count,
    )


@dataclass(slots=True)
class _BadLines:
    """Lines that could not be understood: all counted, the first texts kept."""

    count: int = 0
    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if self.count <= MAX_ERRORS:
            self.texts.append(text)


class _Ids:
    """The ids that `ps` listed, searched by ids that may be shorter or longer."""

    def __init__(self, listed: Set[str]) -> None:
        self.listed = listed

    def match(self, id: str) -> str:
        """The listed id that is this one, or the only one that begins so or that this begins with;
        else the id itself.
        """
        if id in self.listed:
            return id
        near = [
            one for one in self._near.get(id[:12], ()) if one.startswith(id) or id.startswith(one)
        ]
        return near[0] if len(near) == 1 else id

    @cached_property
    def _near(self) -> dict[str, list[str]]:
        near: dict[str, list[str]] = {}
        for id in self.listed:
            near.setdefault(id[:12], []).append(id)
        return near


def _parsed(
    lines: Iterable[str], parse: Callable[[str], Parsed], bad: _BadLines
) -> Iterator[Parsed]:
    """What can be understood of the lines that are not blank."""
    for line in lines:
        if line and not line.isspace():
            try:
                yield parse(line)
            except LineError as error:
                bad.add(str(error))


def _rows(parsed: Iterable[Figures], ids: _Ids, bad: _BadLines) -> dict[str, Figures]:
    """One row for each container, by the id that `ps` gives it, or its own."""
    rows: dict[str, Figures] = {}
    for figures in parsed:
        id = ids.match(figures.id)
        if id in rows:
            bad.add(f"a second row for {id}")
            if _worth(figures) <= _worth(rows[id]):
                continue
        rows[id] = figures
    return rows


def _worth(figures: Figures) -> int:
    """Which of two rows for one container to believe: the greater."""
    return 0 if figures.is_dashes else 1 if figures.is_zero else 2


def _ran(old: Listed | None, new: Listed | None) -> bool:
    """Whether a container ran both before and after."""
    return old is not None and old.running and new is not None and new.running


def _values(figures: Figures, listed: Listed | None, cpu_max_percent: float) -> Values:
    """The null rules: the nine measurements of a row that stays, None where it cannot know."""
    if figures.is_zero:
        return (None,) * 9
    cpu, pids = figures.cpu_percent, figures.pids
    used, limit, percent = figures.memory_bytes, figures.memory_limit_bytes, figures.memory_percent
    net = figures.net_in_bytes, figures.net_out_bytes
    block = figures.block_in_bytes, figures.block_out_bytes
    if limit == 0 and pids == 0:  # no cgroup could be read: its zeros are no figures
        cpu, block = cpu or None, (None, None) if block == (0, 0) else block
    if cpu is not None and cpu > cpu_max_percent:
        cpu = None
    if limit == 0:
        used = None
    if not limit or limit >= _NO_LIMIT_BYTES:
        limit = percent = None
    if not pids or pids >= _LONG_END:  # whatever runs has a process
        pids = None
    shared = listed is not None and listed.network == ""  # with a container that counts it itself
    if shared or (net == (0, 0) and (listed is None or listed.network in ("host", "none"))):
        net = None, None
    return cpu, used, limit, percent, pids, *net, *block
