"""What the last sweep of a job saw on each host: what this one's rates and changes are taken from.

One file for a job, a line for each host, `NAME<TAB>JSON`; a line stays text until its host is
visited. It is a memory and nothing more: without it, or with a line of it that cannot be
understood, counters have no earlier reading, and every container's state is told once more.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.state import make_folder, write_durably

FORMAT = "fleet-seen 1"
KEPT_S = 30 * 86_400.0
"""Of hosts that are not visited any more."""
_MOST_S = 1e12


@dataclass(frozen=True, slots=True)
class Count:
    """One container's counters as they stood at an uptime of its node.

    `inode` is that of its cgroup. `started` is when it was started, in Docker's words (ISO 8601),
    None where that is not known. `net` is bytes in and out by interface, None where its network
    was not counted, and `net_inode` tells that network from others; `block` is bytes read and
    written by device.
    """

    inode: int
    uptime_s: float
    started: str | None = None
    cpu_ns: int | None = None
    net: Mapping[str, tuple[int, int]] | None = None
    block: Mapping[str, tuple[int, int]] | None = None
    net_inode: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What was last published of a container's state: its mark, and when (seconds since 1970)."""

    mark: str
    at: float


@dataclass(frozen=True, slots=True)
class SeenContainer:
    """One container, as it was last listed; `count` and `told` are None where there was none."""

    name: str
    image: str | None = None
    service: str | None = None
    count: Count | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One host as it was last seen, at `at` (seconds since 1970, the sweep's time); containers by
    full id. `boot_id` is that of its kernel then: counters of another one are of another life.
    """

    at: float
    boot_id: str | None = None
    containers: Mapping[str, SeenContainer] = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether any container's counters were read."""
        return any(one.count is not None for one in self.containers.values())


class Memory:
    """What was seen of all hosts of a job. `of` may be asked by many threads at a time."""

    def __init__(self, lines: Mapping[str, str] | None = None) -> None:
        self._lines = dict(lines or {})

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """The file's; nothing where there is none, or none that can be read."""
        try:
            header, *lines = path.read_text("utf-8", "replace").split("\n")
        except OSError:
            return cls()
        if header != FORMAT:
            return cls()
        pairs = (line.partition("\t") for line in lines)
        return cls({name: text for name, tab, text in pairs if tab})

    def of(self, host: str) -> Seen | None:
        """What was seen of a host; None for nothing."""
        line = self._lines.get(host)
        try:
            return None if line is None else _seen(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            return None

    def note(self, host: str, seen: Seen) -> None:
        """Put down what was seen of a host now."""
        self._lines[host] = json.dumps(_plain(seen), separators=(",", ":"))

    def write(self, path: Path, now: float) -> None:
        """Put the file in its place, without hosts of long ago. Raises `OSError`."""
        kept = (
            f"{name}\t{line}"
            for name, line in self._lines.items()
            if _is_recent(line, now - KEPT_S)
        )
        make_folder(path.parent)
        write_durably(path, "\n".join((FORMAT, *kept, "")).encode())


def _is_recent(line: str, since: float) -> bool:
    """Whether a line, which begins with its time, is not older than that."""
    try:
        return since <= float(line.partition("[")[2].partition(",")[0]) <= _MOST_S
    except ValueError:
        return False


def _plain(seen: Seen) -> list[Any]:
    containers = {
        id: [
            one.name,
            one.image,
            one.service,
            one.count and _plain_count(one.count),
            one.told and [one.told.mark, one.told.at],
        ]
        for id, one in seen.containers.items()
    }
    return [seen.at, seen.boot_id, containers]


def _plain_count(count: Count) -> list[Any]:
    figures = [count.cpu_ns, count.net, count.block, count.net_inode]
    return [count.inode, count.uptime_s, count.started, *figures]


def _seen(plain: Any) -> Seen:
    """What `_plain` made of it. Raises `ValueError` or `TypeError` where it did not make this."""
    at, boot_id, containers = plain
    return Seen(
        _number(at),
        _text(boot_id),
        {
            id: SeenContainer(
                _named(name),
                _text(image),
                _text(service),
                None if count is None else _count(*count),
                None if told is None else _told(*told),
            )
            for id, (name, image, service, count, told) in _object(containers).items()
        },
    )


def _count(
    inode: Any, uptime_s: Any, started: Any, cpu_ns: Any, net: Any, block: Any, net_inode: Any
) -> Count:
    return Count(
        _whole(inode),
        _number(uptime_s),
        _text(started),
        None if cpu_ns is None else _whole(cpu_ns),
        _pairs(net),
        _pairs(block),
        None if net_inode is None else _whole(net_inode),
    )


def _told(mark: Any, at: Any) -> Told:
    return Told(_named(mark), _number(at))


def _pairs(value: Any) -> dict[str, tuple[int, int]] | None:
    if value is None:
        return None
    return {name: (_whole(one), _whole(other)) for name, (one, other) in _object(value).items()}


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise TypeError(value)


def _named(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(value)


def _text(value: Any) -> str | None:
    return None if value is None else _named(value)


def _whole(value: Any) -> int:
    if type(value) is int and value >= 0:
        return value
    raise TypeError(value)


def _number(value: Any) -> float:
    """Seconds; what is not finite, which Python's JSON may hold, is none."""
    if type(value) in (int, float) and 0 <= value <= _MOST_S:
        return float(value)
    raise TypeError(value)
