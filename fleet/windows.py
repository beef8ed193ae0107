"""Two counts of one container → what happened between them: rates, and CPU without Docker. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.seen import Count

MIN_WINDOW_S = 0.95
"""The shortest time that a rate is taken over: the node's clock has steps of a hundredth."""

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted within `seconds` of the node's uptime: CPU in percent of one core, network
    and block in bytes a second, in and out. None where it is not known, or a counter went back.
    """

    seconds: float
    cpu_percent: float | None
    net: Pair | None
    block: Pair | None


def between(old: Count | None, new: Count) -> Window | None:
    """The window from `old` to `new`; None when they are not of one cgroup, or too near."""
    if old is None or old.inode != new.inode:
        return None
    if old.started and new.started and old.started != new.started:
        return None
    seconds = new.uptime_s - old.uptime_s
    if seconds < MIN_WINDOW_S:
        return None
    cpu = None
    if old.cpu_ns is not None and new.cpu_ns is not None and new.cpu_ns >= old.cpu_ns:
        cpu = (new.cpu_ns - old.cpu_ns) / (seconds * 1e7)
    # An interface that came or went took its totals with it; a device that is new brings none.
    net = None
    same = old.net_inode == new.net_inode
    if same and old.net is not None and new.net is not None and old.net.keys() == new.net.keys():
        net = _rate(old.net, new.net, seconds)
    block = None
    if old.block is not None and new.block is not None and old.block.keys() <= new.block.keys():
        block = _rate(old.block, new.block, seconds)
    return Window(seconds, cpu, net, block)


def _rate(
    old: Mapping[str, tuple[int, int]], new: Mapping[str, tuple[int, int]], seconds: float
) -> Pair | None:
    """In and out; None when one of the counters went back, which the sum might hide."""
    came = went = 0
    for name, (in_now, out_now) in new.items():
        in_then, out_then = old.get(name, (0, 0))
        if in_now < in_then or out_now < out_then:
            return None
        came += in_now - in_then
        went += out_now - out_then
    return came / seconds, went / seconds
