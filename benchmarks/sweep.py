"""One sweep over stand-in nodes (10 rows, `docker stats` of 2 s), by us and by others, in turn.

Prints wall and CPU seconds (children included; medians) and how many rows came. The nodes are one
sshd on this machine, whose own work is part of every wall time. `fleet` checks host keys, lists
containers before and after, and parses; the others only print.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.standin import Crowd, crowd

ROWS = 10
Run = Callable[[], int]


class Cost(NamedTuple):
    """One run: seconds on the wall, seconds of CPU, rows that came."""

    wall_s: float
    cpu_s: float
    rows: int


def compare(lab: Lab, hosts: int, rounds: int) -> None:
    """Measure in turn, so that a machine's mood strikes all alike, and print the medians."""
    with (
        tempfile.TemporaryDirectory() as folder,
        crowd(lab, "bench", hosts, rows=ROWS) as nodes,
    ):
        contenders = _contenders(nodes, Path(folder))
        costs: dict[str, list[Cost]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                costs[name].append(_measured(run))
    print(f"{hosts} hosts, {ROWS} rows each, medians of {rounds} rounds")
    print(f"{'':24}{'wall s':>8}{'CPU s':>8}{'rows':>8}")
    for name, runs in costs.items():
        wall_s, cpu_s, rows = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:24}{wall_s:8.1f}{cpu_s:8.1f}{rows:8.0f}")


def _contenders(nodes: Crowd, folder: Path) -> dict[str, Run]:
    """The ways to do the same work, each as a run that counts its rows."""
    inventory = write_inventory(folder / "inventory.yaml", nodes.hosts)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(nodes.known_hosts)
    words = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--format", "jsonl"]
    node = nodes.node
    login = [str(node.key_file), str(node.port), node.user]
    addresses = list(nodes.addresses.values())
    ssh = f"ssh -F none -T -i {login[0]} -p {login[1]} -l {login[2]}"
    ssh += f" -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}"
    stats = "docker stats --no-stream --no-trunc --format '{{json .}}'"
    each = f'xargs -P 100 -I ADDRESS {ssh} ADDRESS "{stats}"'
    listed = "\n".join(addresses)
    return {
        "fleet snapshot": lambda: _lines([sys.executable, "-m", "fleet", "snapshot", *words]),
        "Fabric ThreadingGroup": lambda: _lines(
            [sys.executable, "-m", "benchmarks.group", *login, *addresses]
        ),
        "ssh under xargs -P 100": lambda: _lines(["sh", "-c", each], listed),
    }


def _lines(argv: list[str], stdin: str = "") -> int:
    run = subprocess.run(argv, check=False, capture_output=True, text=True, input=stdin)
    if run.returncode:
        print(run.stderr[-500:], file=sys.stderr)
    return len(run.stdout.splitlines())


def _measured(run: Run) -> Cost:
    os.sync()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    rows = run()
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, rows)
