"""Rounds in the guest: Docker is asked, fleet's probe reads, Docker is asked again."""

import json
from pathlib import Path
from typing import Any

from fleet import probe
from fleet.inventory import Host
from fleet.sources.kernel import parse
from fleet.sources.node import parse_node
from tests.guest import inside
from tests.guest.compare import Tally, between, by_engine, by_kernel
from tests.guest.containers import containers, flash, pause, start, use_driver
from tests.guest.machine import ADDRESS, Guest
from tests.lab.waiting import LabError

INSIDE = Path(inside.__file__)
PROBE_S = 60
PAUSED_ROUNDS = 3
MUST_MOVE = ("cpu", "throttled", "rx_bytes", "rx_packets", "rx_dropped")
MUST_MOVE_TOO = ("tx_bytes", "tx_packets", "read", "write")


def ask(guest: Guest) -> dict[str, Any]:
    """What the Engine API says now of what runs."""
    answer: dict[str, Any] = json.loads(guest.python(INSIDE, "ask"))
    return answer


def read(guest: Guest, source: str) -> tuple[bytes, probe.Answer]:
    """What the probe prints there, as a login without rights; whole and cut."""
    host = Host("guest", ADDRESS, source=source)
    done = guest.ssh(probe.request(host, PROBE_S), timeout_s=PROBE_S + 30)
    answer = probe.cut(done.stdout)
    if not answer.whole:
        raise LabError(f"the probe did not come to its end: {done.stdout[-500:]!r}")
    return done.stdout, answer


def moving(guest: Guest, driver: str, rounds: int) -> Tally:
    """All containers at work; the first ones end and begin meanwhile."""
    tally = Tally()
    use_driver(guest, driver)
    start(guest, driver)
    before = ask(guest)
    for number in range(rounds):
        guest.python(INSIDE, "noise")
        if number % 3 == 1:
            flash(guest)
        before = _round(guest, tally, before, "kernel" if number % 2 else "docker")
    for kind in (*MUST_MOVE, *MUST_MOVE_TOO):
        if rounds and not tally.moved[kind]:
            tally.errors.append(f"nothing was shown: {kind} never moved")
    return tally


def paused(guest: Guest, driver: str) -> Tally:
    """The same containers, frozen: every figure is equal."""
    tally = Tally()
    pause(guest)
    before = ask(guest)
    for number in range(PAUSED_ROUNDS):
        before = _round(guest, tally, before, "kernel" if number % 2 else "docker")
    wanted = {one.name for one in containers(driver)}
    there = by_engine(before).values()
    if missing := wanted - {one.name for one in there}:
        tally.errors.append(f"nothing was shown: {sorted(missing)} not there in the end")
    if not any(one.gauges["inactive"] for one in there):
        tally.errors.append("nothing was shown: no inactive file pages")
    for kind in ("usage", "inactive", "used", "limit", "pids"):
        if tally.compared[kind] < len(wanted):
            tally.errors.append(f"nothing was shown: {kind} moved though all is paused")
    return tally


def _round(guest: Guest, tally: Tally, before: dict[str, Any], source: str) -> dict[str, Any]:
    """One reading of the probe, which holds two of the counters; what Docker says after it."""
    _text, answer = read(guest, source)
    after = ask(guest)
    memory_bytes = parse_node(answer.lines("node")).memory_bytes
    for section in ("kernel1", "kernel2"):
        ours = by_kernel(parse(answer.lines(section)), memory_bytes)
        tally.add(between(by_engine(before), ours, by_engine(after)))
    return after
