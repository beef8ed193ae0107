"""One visit of a node with a real engine, with `docker stats` and without, in turn.

Prints, from the login to the end of the answer, wall seconds; what it cost the node in CPU seconds,
the session's and the daemons' apart; and the bytes of the answer. Medians.
"""

import os
import statistics
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fleet import probe
from fleet.allowance import Allowance, Budget
from fleet.inventory import Host, load
from fleet.settings import settings_from
from fleet.sources import kernel
from fleet.transport.open import open_ssh
from fleet.transport.ssh import Ssh
from tests.lab.engine import Engine
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.node import Node

TICK = os.sysconf("SC_CLK_TCK")
WINDOWS_S = {"docker": 1, "kernel": 0}
"""As `collect` asks for from the second sweep on."""


class Cost(NamedTuple):
    """One visit: wall seconds, CPU seconds of the session and of the daemons, bytes, containers."""

    wall_s: float
    session_s: float
    daemons_s: float
    size: int
    containers: int


def compare(lab: Lab, containers: int, rounds: int) -> None:
    """Start so many containers that idle, visit their node in turn, and print the medians."""
    with Engine(lab, "engine-bench") as engine:
        for number in range(containers):
            engine.run(f"idle-{number}")
        with Node(lab, "node-bench", engine=engine) as node:
            host, ssh = _reached(lab, node)
            with ssh:
                costs: dict[str, list[Cost]] = {source: [] for source in WINDOWS_S}
                for _ in range(rounds):
                    for source, window_s in WINDOWS_S.items():
                        costs[source].append(_visited(ssh, host, source, window_s, node, engine))
    print(f"a visit of {containers} containers, medians of {rounds} rounds")
    print(f"{'':24}{'wall s':>9}{'session':>9}{'daemons':>9}{'KB':>7}{'counted':>9}")
    for source, runs in costs.items():
        wall, session, daemons, size, counted = (
            statistics.median(column) for column in zip(*runs, strict=True)
        )
        name = f"fleet_source: {source}"
        print(f"{name:24}{wall:9.3f}{session:9.3f}{daemons:9.3f}{size / 1000:7.0f}{counted:9.0f}")


def _reached(lab: Lab, node: Node) -> tuple[Host, Ssh]:
    inventory = write_inventory(lab.folder / "bench.yaml", {"node": node.variables})
    known_hosts = lab.folder / "bench-known-hosts"
    known_hosts.write_text(node.known_hosts_line)
    (host,) = load(str(inventory)).hosts
    flags = {"known_hosts": str(known_hosts), "ssh_config": "none"}
    return host, open_ssh([host], settings_from(flags, {}, questdb=False))


def _visited(ssh: Ssh, host: Host, source: str, window_s: int, node: Node, engine: Engine) -> Cost:
    session, daemons = _cpu_s(node.process.pid.number, children=True), _daemons_s(engine)
    asked = replace(host, source=source)
    reply = ssh.run(
        asked, lambda seconds: probe.request(asked, seconds, window_s), Allowance(30, Budget())
    )
    answer = probe.cut(reply.stdout)
    counted = kernel.parse(answer.lines("kernel1")).counters
    while node.processes():
        pass  # a session's CPU is its parent's to tell once it is over
    return Cost(
        reply.run_s,
        _cpu_s(node.process.pid.number, children=True) - session,
        _daemons_s(engine) - daemons,
        len(reply.stdout),
        len(counted),
    )


def _daemons_s(engine: Engine) -> float:
    return sum(
        _cpu_s(pid.number)
        for pid in engine.room.pids()
        if Path(pid.command.partition(" ")[0]).name
        in ("dockerd", "containerd", "containerd-shim-runc-v2")
    )


def _cpu_s(pid: int, children: bool = False) -> float:
    """CPU seconds of a process, with those of its children that have ended (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) / TICK
