"""What was served and kept against what is in QuestDB: lost, twice, torn. Pure.

A visit is a host at a sweep's time; it is one row of `hostStatus` and one of each container, all
of which say the number of the sample that the node served.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.batch import Batch
from tests.chaos.nodes import Served

MIB = 2**20
_CONTAINER = re.compile(
    rb"containerStats,host=(?P<host>[^,]+),container=(?P<container>\w+).*,pids=(?P<serial>\d+)i"
    rb".*,memory_use=(?P<memory>[0-9.]+).* (?P<time>\d+)000"
)
_HOST = re.compile(
    rb"hostStatus,host=(?P<host>[^,]+),status=(?P<status>\w+).*[ ,]containers=(?P<containers>\d+)i"
    rb".* (?P<time>\d+)000"
)
_BESIDE = re.compile(rb"(containerState|nodeStats|diskStats),host=.* \d+000")
"""Rows that stand in the batches of those that are counted."""
_SWEEP = re.compile(rb"fleetSweep,name=(?P<name>[^, ]+).* (?P<time>\d+)000")

Visit = tuple[int, str]
"""Microseconds since 1970, and a host."""


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A row of `containerStats`: its visit, and the number that it says as PIDs and in memory."""

    visit: Visit
    container: str
    serial: int
    in_memory: int


@dataclass(frozen=True, slots=True)
class HostRow:
    """A row of `hostStatus`."""

    visit: Visit
    status: str
    containers: int


@dataclass(slots=True)
class Rows:
    """How often each row is there."""

    containers: Counter[ContainerRow] = field(default_factory=Counter)
    hosts: Counter[HostRow] = field(default_factory=Counter)
    sweeps: Counter[Visit] = field(default_factory=Counter)

    @property
    def serials(self) -> set[Served]:
        """The samples that they are made of."""
        return {(row.visit[1], row.serial) for row in self.containers}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Visits by what became of them, each with a sentence of evidence."""

    lost: Mapping[Visit, str]
    twice: Mapping[Visit, str]
    torn: Mapping[Visit, str]

    @property
    def holds(self) -> bool:
        """Whether nothing is amiss."""
        return not (self.lost or self.twice or self.torn)

    def lines(self) -> Iterable[str]:
        """The evidence."""
        for word, found in (("lost", self.lost), ("twice", self.twice), ("torn", self.torn)):
            for (time, host), why in sorted(found.items()):
                yield f"{word}: {host} at {time}: {why}"


def in_batches(batches: Mapping[str, bytes]) -> Rows:
    """The rows of batches, by their files; each batch once."""
    rows = Rows()
    for name, data in batches.items():
        for part in Batch.decoded(data).parts:
            for line in part.lines:
                _add(rows, name, line)
    return rows


def in_answers(
    containers: Sequence[Sequence[object]],
    hosts: Sequence[Sequence[object]],
    sweeps: Sequence[Sequence[object]],
) -> Rows:
    """The rows that QuestDB has: (time, host, container, pids, memory), (time, host, status,
    containers), (time, name).
    """
    rows = Rows()
    for time, host, container, pids, memory in containers:
        assert isinstance(memory, float)
        visit = _visit(time, host)
        rows.containers[ContainerRow(visit, str(container), _int(pids), int(memory / MIB))] += 1
    for time, host, status, count in hosts:
        rows.hosts[HostRow(_visit(time, host), str(status), _int(count))] += 1
    for time, name in sweeps:
        rows.sweeps[_visit(time, name)] += 1
    return rows


def judged(
    kept: Rows, found: Rows, served: Iterable[Served], undisturbed: Iterable[Served]
) -> Verdict:
    """What was kept, and what runs that nobody ended were served, must be there exactly once;
    nothing may be there that was not served, and no visit in part.
    """
    return Verdict(_lost(kept, found, undisturbed), _twice(found), _torn(found, set(served)))


def _lost(kept: Rows, found: Rows, undisturbed: Iterable[Served]) -> dict[Visit, str]:
    lost: dict[Visit, str] = {}
    for sweep in kept.sweeps.keys() - found.sweeps.keys():
        lost[sweep] = "the sweep's row was kept and is not there"
    for host in kept.hosts.keys() - found.hosts.keys():
        lost[host.visit] = f"it was kept as {host.status} and is not there"
    for row in kept.containers.keys() - found.containers.keys():
        lost[row.visit] = f"sample {row.serial} was kept and {row.container} is not there"
    for name, serial in set(undisturbed) - found.serials:
        lost[0, name] = f"sample {serial} was served to a run that nobody ended"
    return lost


def _twice(found: Rows) -> dict[Visit, str]:
    times: dict[tuple[Visit, str], int] = defaultdict(int)
    samples: dict[Served, set[Visit]] = defaultdict(set)
    for row, often in found.containers.items():
        times[row.visit, row.container] += often
        samples[row.visit[1], row.serial].add(row.visit)
    for host, often in found.hosts.items():
        times[host.visit, "hostStatus"] += often
    for sweep, often in found.sweeps.items():
        times[sweep, "fleetSweep"] += often
    twice = {visit: f"{row} {often} times" for (visit, row), often in times.items() if often > 1}
    for (_name, serial), visits in samples.items():
        if len(visits) > 1:
            twice[max(visits)] = f"sample {serial} in {len(visits)} sweeps"
    return twice


def _torn(found: Rows, served: set[Served]) -> dict[Visit, str]:
    torn: dict[Visit, str] = {}
    rows: dict[Visit, set[ContainerRow]] = defaultdict(set)
    for row in found.containers:
        rows[row.visit].add(row)
    said = {host.visit: host.containers for host in found.hosts}
    for visit in {*rows, *said}:
        if len(rows[visit]) != said.get(visit, -1):
            torn[visit] = f"{len(rows[visit])} containers, hostStatus says {said.get(visit)}"
        numbers = {number for row in rows[visit] for number in (row.serial, row.in_memory)}
        if len(numbers) > 1:
            torn[visit] = f"of several samples: {sorted(numbers)}"
        elif strange := {(visit[1], number) for number in numbers} - served:
            torn[visit] = f"nobody served {strange}"
    return torn


def _add(rows: Rows, name: str, line: bytes) -> None:
    line = line.rstrip()
    if match := _CONTAINER.fullmatch(line):
        visit = _visit(match["time"], match["host"].decode())
        in_memory = int(float(match["memory"]) / MIB)
        container = match["container"].decode()
        rows.containers[ContainerRow(visit, container, int(match["serial"]), in_memory)] += 1
    elif match := _HOST.fullmatch(line):
        visit = _visit(match["time"], match["host"].decode())
        rows.hosts[HostRow(visit, match["status"].decode(), int(match["containers"]))] += 1
    elif match := _SWEEP.fullmatch(line):
        rows.sweeps[_visit(match["time"], match["name"].decode())] += 1
    elif not _BESIDE.fullmatch(line):
        raise ValueError(f"{name}: not a row of ours: {line!r}")


def _visit(time: object, host: object) -> Visit:
    return _int(time), str(host)


def _int(said: object) -> int:
    assert isinstance(said, int | bytes)
    return int(said)
