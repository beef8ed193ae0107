"""The kernel's counters beside `docker stats`: one sample a container, exact wherever it can be.

```
kernel1, kernel2 ─▶ counts of each container, of which it is certain whose they are ─┐
what the last sweep counted (fleet.seen) ──▶ windows: rates, and CPU without Docker ─┼─▶ samples
samples of docker stats, what docker ps lists ───────────────────────────────────────┘
```

Rules, all of them so that a number is true or null:

- A container counts by the id that the daemon lists; cgroups of other engines are passed over.
- Counters are compared only within one cgroup (its inode, the container's start and the kernel's
  boot id unchanged), by the node's uptime, and never where one went back.
- Network is the sum of the `eth` interfaces of a network of the container's own, which is what
  Docker counts. A network that is shared counts for the container whose it is; the node's for none.
- Where `docker stats` ran between the two readings, what it says of network and block must lie
  between them, as far as its three digits tell; else what it says stands.
- Block bytes of cgroup v1 are believed only where some container of the node has any: there are
  kernels that count none, and say 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fleet.seen import Count, Seen
from fleet.sources import Sample
from fleet.sources.kernel import Counters, Interface, Reading
from fleet.windows import Pair, Window, between

_ROUNDED = 0.006  # what three digits may be off, and a hair
_LONG_END = 2**63


class Known(NamedTuple):
    """A container that is to have a sample: by what the daemon lists, or by the last sweep.

    `networks` names its networks, as `docker ps` does; None where the daemon was silent.
    """

    id: str
    name: str
    image: str | None
    service: str | None
    networks: str | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What the counters of a node stand on. `second` is None where the answer ended before it.

    `memory_bytes` is the node's; `started` says by full id when a container was started, where
    `docker inspect` told that between the two readings.
    """

    first: Reading
    second: Reading | None
    memory_bytes: int | None = None
    boot_id: str | None = None
    started: Mapping[str, str] | None = None
    seen: Seen | None = None

    @property
    def whole(self) -> bool:
        """Whether counters were read a second time, too."""
        return self.second is not None and self.second.version is not None

    @property
    def last(self) -> Reading:
        """The reading whose figures count."""
        return self.second if self.second is not None and self.whole else self.first

    @property
    def tells_gone(self) -> bool:
        """Whether inodes were read at all: else a container without one need not be gone."""
        return bool(self.last.inodes) or self.last.own_net_inode is not None

    @property
    def counts_block(self) -> bool:
        """Whether this kernel can be believed to count block bytes."""
        return self.last.version != 1 or any(
            any(pair) for one in self.last.counters.values() for pair in (one.block or {}).values()
        )


@dataclass(frozen=True, slots=True)
class Exact:
    """Samples in their order; by full id what is to be remembered of each that was counted; ids of
    containers that were gone, or begun anew, between the two readings.
    """

    samples: tuple[Sample, ...]
    counts: Mapping[str, Count]
    gone: frozenset[str]


def exact(known: Iterable[Known], rounded: Iterable[Sample], ground: Ground) -> Exact:
    """Samples of `docker stats` → the same, exact where the kernel's counters are certain; then one
    for each other `known` container that has counters.
    """
    everybody = {one.id: one for one in known}
    by_docker = {sample.id: sample for sample in rounded}
    counts: dict[str, Count] = {}
    samples: list[Sample] = []
    gone: set[str] = set()
    for id in dict.fromkeys((*by_docker, *everybody)):
        docker, one, counters = by_docker.get(id), everybody.get(id), ground.last.counters.get(id)
        if one is not None and counters is not None and not _is_certain(id, counters, ground):
            if ground.tells_gone:
                gone.add(id)
            counters = None
        if one is not None and counters is not None:
            base = docker or Sample(id, one.name, one.image, one.service)
            sample, counts[id] = _sample(one, _believed(base, ground), counters, ground)
            samples.append(sample)
        elif docker is not None:
            samples.append(_believed(docker, ground))
    return Exact(tuple(samples), counts, frozenset(gone))


def _is_certain(id: str, counters: Counters, ground: Ground) -> bool:
    """Whether they are of a cgroup that was still there, and the same, at the second reading."""
    if counters.inode is None:
        return False
    if counters.cpu_ns is None and counters.usage_bytes is None and counters.pids is None:
        return False  # gone while it was read
    if counters.pids == 0:
        return False  # it has ended, and its daemon, which would remove the cgroup, is silent
    second = ground.second
    if second is None or (not second.inodes and second.own_net_inode is None):
        return True  # the answer ended before it, or ls(1) did
    return second.inodes.get(id) == counters.inode


def _believed(sample: Sample, ground: Ground) -> Sample:
    """What `docker stats` says, without a block figure of 0 from a kernel that counts none."""
    if ground.last.version is None or ground.counts_block:
        return sample
    if sample.block_in_bytes or sample.block_out_bytes:
        return sample
    return replace(sample, block_in_bytes=None, block_out_bytes=None)


def _sample(one: Known, base: Sample, counters: Counters, ground: Ground) -> tuple[Sample, Count]:
    """A container's sample, and what is to be remembered of it."""
    old = _earlier(one.id, counters, ground)
    early = ground.first.counters.get(one.id) if ground.whole else None
    if early is not None and early.inode != counters.inode:
        early = None
    started = ground.started.get(one.id) if ground.started and _same(one.id, ground) else None
    started = started or (old.started if old else None)
    faces = _own_interfaces(one, counters, ground.last, ground, old)
    block = counters.block if ground.counts_block else None
    new = _count(counters, faces, block, started)
    mid = None
    if early is not None:
        early_faces = _own_interfaces(one, early, ground.first, ground, old)
        mid = _count(early, early_faces, early.block if ground.counts_block else None, started)
    window = between(old, new) or between(mid, new)
    figures: dict[str, Any] = _memory(counters, ground.memory_bytes)
    figures["pids"] = _long(counters.pids)
    if base.cpu_percent is None and window is not None:
        figures["cpu_percent"] = window.cpu_percent
    net_is_ours = new.net is not None and _agree(
        (base.net_in_bytes, base.net_out_bytes), mid.net if mid else None, new.net
    )
    if net_is_ours and faces is not None:
        figures |= _network(faces)
    block_is_ours = new.block is not None and _agree(
        (base.block_in_bytes, base.block_out_bytes), mid.block if mid else None, new.block
    )
    if block_is_ours and new.block is not None:
        figures["block_in_bytes"], figures["block_out_bytes"] = map(float, _sum(new.block))
    figures = {name: value for name, value in figures.items() if value is not None}
    more: dict[str, Any] = {
        "source": source_of(base, figures),
        "cpu_seconds": _over(counters.cpu_ns, 1e9),
        "throttled_seconds": _over(counters.throttled_ns, 1e9),
        "oom_kills": _long(counters.oom_kills),
        "memory_peak_bytes": _over(counters.peak_bytes, 1),
    }
    if window is not None:
        more |= _rates(window, net_is_ours, block_is_ours)
    return replace(base, **figures, **more), new


def _earlier(id: str, counters: Counters, ground: Ground) -> Count | None:
    """The last sweep's count, if it is of the same cgroup in the same life of the kernel."""
    seen = ground.seen
    if seen is None or ground.boot_id is None or seen.boot_id != ground.boot_id:
        return None
    container = seen.containers.get(id)
    count = container.count if container is not None else None
    return count if count is not None and count.inode == counters.inode else None


def _same(id: str, ground: Ground) -> bool:
    """Whether one cgroup was there before and after `docker inspect` told of it."""
    early = ground.first.counters.get(id)
    return (
        early is not None
        and ground.second is not None
        and ground.second.inodes.get(id) == early.inode
    )


def _own_interfaces(
    one: Known, counters: Counters, reading: Reading, ground: Ground, old: Count | None
) -> tuple[Interface, ...] | None:
    """The interfaces that count for a container; None where it has none of its own, or where they
    cannot be seen.
    """
    inode, pid = counters.net_inode, counters.pid
    if inode is None or pid is None or inode == reading.own_net_inode:
        return None
    for other in (ground.first, ground.second):  # a pid may be another process's by now
        if other is not None and other.net_inodes.get(pid, inode) != inode:
            return None
    if one.networks is None:
        if old is None or old.net is None:
            return None
        wanted = len(old.net)
    elif one.networks in ("", "host", "none"):
        return None
    else:
        wanted = one.networks.count(",") + 1
    faces = reading.networks.get(inode, ())
    own = tuple(face for face in faces if face.name.startswith("eth"))
    return own if len(own) >= wanted else None


def _count(
    counters: Counters,
    faces: tuple[Interface, ...] | None,
    block: Mapping[str, tuple[int, int]] | None,
    started: str | None,
) -> Count:
    return Count(
        inode=counters.inode or 0,
        uptime_s=counters.uptime_s,
        started=started,
        cpu_ns=counters.cpu_ns,
        net=None if faces is None else {f.name: (f.bytes_in, f.bytes_out) for f in faces},
        block=block,
        net_inode=None if faces is None else counters.net_inode,
    )


def _agree(
    said: tuple[float | None, float | None],
    early: Mapping[str, tuple[int, int]] | None,
    late: Mapping[str, tuple[int, int]],
) -> bool:
    """Whether what `docker stats` said between two readings can be what the kernel counted."""
    if early is None:
        return True
    for figure, low, high in zip(said, _sum(early), _sum(late), strict=True):
        if figure is not None and not (
            low * (1 - _ROUNDED) - 1 <= figure <= high * (1 + _ROUNDED) + 1
        ):
            return False
    return True


def _memory(counters: Counters, node_bytes: int | None) -> dict[str, float | None]:
    """Used, limit and percent by Docker's rules: the node's own memory is a limit, too."""
    used = counters.memory_bytes
    limits = [one for one in (counters.limit_bytes, node_bytes) if one]
    if used is None or not limits:
        return {}
    return {
        "memory_bytes": float(used),
        "memory_limit_bytes": float(min(limits)),
        "memory_percent": used / min(limits) * 100,
    }


def _network(faces: tuple[Interface, ...]) -> dict[str, Any]:
    return {
        "net_in_bytes": float(sum(face.bytes_in for face in faces)),
        "net_out_bytes": float(sum(face.bytes_out for face in faces)),
        "net_packets_in": _long(sum(face.packets_in for face in faces)),
        "net_packets_out": _long(sum(face.packets_out for face in faces)),
        "net_errors": _long(sum(face.errors_in + face.errors_out for face in faces)),
        "net_drops": _long(sum(face.drops_in + face.drops_out for face in faces)),
    }


def _rates(window: Window, net_is_ours: bool, block_is_ours: bool) -> dict[str, float | None]:
    unknown: tuple[None, None] = (None, None)
    net: Pair | tuple[None, None] = (window.net if net_is_ours else None) or unknown
    block: Pair | tuple[None, None] = (window.block if block_is_ours else None) or unknown
    return {
        "window_s": window.seconds,
        "net_in_rate": net[0],
        "net_out_rate": net[1],
        "block_in_rate": block[0],
        "block_out_rate": block[1],
    }


_GROUPS = {
    "cpu": "cpu_percent",
    "memory": "memory_bytes",
    "pids": "pids",
    "net": "net_in_bytes",
    "block": "block_in_bytes",
}


def source_of(base: Sample, figures: Mapping[str, Any]) -> str:
    """Where the figures of a row come from: `docker`; `kernel`; `docker+kernel`, all but CPU being
    the kernel's; or, where more than CPU is Docker's, `docker+kernel:` and what is the kernel's.
    """
    ours = [name for name, field in _GROUPS.items() if field in figures]
    theirs = [
        name
        for name, field in _GROUPS.items()
        if name not in ours and getattr(base, field) is not None
    ]
    if theirs and not ours:
        return "docker"
    if not theirs:
        return "kernel"
    return "docker+kernel" if theirs == ["cpu"] else f"docker+kernel:{','.join(ours)}"


def _sum(pairs: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(one for one, _ in pairs.values()), sum(other for _, other in pairs.values())


def _over(value: int | None, divisor: float) -> float | None:
    return None if value is None else value / divisor


def _long(value: int | None) -> int | None:
    """A count that a LONG holds."""
    return value if value is not None and value < _LONG_END else None
