"""What the Engine API says before and after, and what fleet reads between: does it fit? Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.sources.kernel import Counters, Interface, Reading

Figures = dict[str, int | None]
"""By name. Of a network or a device the name has it in it; None is what could not be read."""

REST = "rest of the devices"
"""What those have that the kernel names without a figure, or not at all; Docker says 0 of them."""


@dataclass(frozen=True, slots=True)
class Said:
    """One container by Docker: `totals` only grow, `gauges` move unless it is `paused`."""

    run: tuple[str, str]
    paused: bool
    name: str
    totals: Figures
    gauges: Figures


@dataclass(slots=True)
class Tally:
    """How often what was compared, and all that was wrong."""

    compared: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        self.compared.update(other.compared)
        self.moved.update(other.moved)
        self.errors.extend(other.errors)


def by_engine(answer: Mapping[str, Any]) -> dict[str, Said]:
    """An answer of `inside.py ask`, by full id."""
    return {id: said(one["state"], one["stats"]) for id, one in answer.items()}


def said(state: Any, stats: Any) -> Said:
    """Answers of the Engine API, of either cgroup version → what they say of one container."""
    cpu = stats["cpu_stats"]
    totals: Figures = {
        "cpu": cpu["cpu_usage"]["total_usage"],
        "throttled": cpu["throttling_data"]["throttled_time"],
    }
    for name, face in (stats.get("networks") or {}).items():
        for way in ("rx", "tx"):
            for what in ("bytes", "packets", "errors", "dropped"):
                totals[f"{way}_{what} {name}"] = face[f"{way}_{what}"]
    for one in stats["blkio_stats"].get("io_service_bytes_recursive") or ():
        if one["op"].lower() in ("read", "write"):
            totals[f"{one['op'].lower()} {one['major']}:{one['minor']}"] = one["value"]
    memory = stats["memory_stats"]
    usage, pages = memory["usage"], memory["stats"]
    inactive = pages.get("total_inactive_file", pages.get("inactive_file"))
    gauges: Figures = {
        "usage": usage,
        "inactive": inactive,
        "used": usage - inactive if inactive < usage else usage,
        "limit": memory["limit"],
        "pids": stats["pids_stats"]["current"],
    }
    run = state["State"]["StartedAt"], str(state["State"]["Pid"])
    return Said(run, state["State"]["Paused"], state["Name"].lstrip("/"), totals, gauges)


def by_kernel(reading: Reading, memory_bytes: int | None) -> dict[str, tuple[Figures, Figures]]:
    """fleet's reading, by full id: totals and gauges. `memory_bytes` is the node's."""
    return {
        id: (_totals(one, reading), _gauges(one, memory_bytes))
        for id, one in reading.counters.items()
    }


def _totals(one: Counters, reading: Reading) -> Figures:
    totals: Figures = {"cpu": one.cpu_ns, "throttled": one.throttled_ns}
    for face in _faces(one, reading):
        name = face.name
        totals |= {
            f"rx_bytes {name}": face.bytes_in,
            f"rx_packets {name}": face.packets_in,
            f"rx_errors {name}": face.errors_in,
            f"rx_dropped {name}": face.drops_in,
            f"tx_bytes {name}": face.bytes_out,
            f"tx_packets {name}": face.packets_out,
            f"tx_errors {name}": face.errors_out,
            f"tx_dropped {name}": face.drops_out,
        }
    for device, (read, written) in (one.block or {}).items():
        totals |= {f"read {device}": read, f"write {device}": written}
    if one.block is not None:
        totals[REST] = 0
    return totals


def _faces(one: Counters, reading: Reading) -> Iterator[Interface]:
    """What Docker counts: its own interfaces in a network that is not the node's."""
    if one.net_inode is None or one.net_inode == reading.own_net_inode:
        return
    for face in reading.networks.get(one.net_inode, ()):
        if face.name.startswith("eth"):
            yield face


def _gauges(one: Counters, memory_bytes: int | None) -> Figures:
    limits = [limit for limit in (one.limit_bytes, memory_bytes) if limit is not None]
    return {
        "usage": one.usage_bytes,
        "inactive": one.inactive_file_bytes,
        "used": one.memory_bytes,
        "limit": min(limits, default=None),
        "pids": one.pids,
    }


def between(
    before: Mapping[str, Said],
    ours: Mapping[str, tuple[Figures, Figures]],
    after: Mapping[str, Said],
) -> Tally:
    """Every total of every container that ran on, the same run of it, from before to after.

    A gauge is compared where the container was paused and both answers of the engine agree: of one
    that runs, two equal answers tell nothing of the time between them. A limit always is.
    """
    tally = Tally()
    for id, early in before.items():
        late = after.get(id)
        if late is None or late.run != early.run:
            continue
        if id not in ours:
            tally.errors.append(f"{early.name}: not read, and ran from before to after")
            continue
        totals, gauges = ours[id]
        # What appears only after is a device or an interface that was new.
        for name in (totals.keys() | early.totals.keys()) - {REST}:
            _compare(tally, early.name, name, early.totals, totals, late.totals)
        for name, value in early.gauges.items():
            still = name == "limit" or (early.paused and late.paused)
            if still and late.gauges[name] == value:
                _compare(tally, early.name, name, early.gauges, gauges, late.gauges)
    return tally


def _compare(
    tally: Tally, who: str, name: str, early: Figures, ours: Figures, late: Figures
) -> None:
    kind = name.partition(" ")[0]
    missing = ours.get(REST) if kind in ("read", "write") else None
    low, value, high = early.get(name, 0), ours.get(name, missing), late.get(name)
    tally.compared[kind] += 1
    if low is None or value is None or high is None or not low <= value <= high:
        tally.errors.append(f"{who}: {name}: {low} <= {value} <= {high} does not hold")
    elif low != high:
        tally.moved[kind] += 1
