"""`fleet snapshot` of the guest while all is paused: its rows are what the Engine API says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tests.guest.compare import Figures, Said, Tally, by_engine
from tests.guest.image import USER
from tests.guest.machine import ADDRESS, Guest
from tests.guest.rounds import ask
from tests.lab.lab import PROJECT
from tests.lab.waiting import LabError

WITHOUT_NETWORK = ("joined", "hosted", "alone")
"""Their network is another's, the node's, or none: null."""


def rows(guest: Guest) -> Tally:
    """Both sources, column by column; a figure that Docker itself tells differently is passed."""
    tally = Tally()
    for source in ("docker", "kernel"):
        early = by_engine(ask(guest))
        found = {row["id"]: row for row in _snapshot(guest, source)}
        late = by_engine(ask(guest))
        for id, one in early.items():
            _compare(tally, source, one, late.get(id), found.get(id))
    return tally


def _snapshot(guest: Guest, source: str) -> list[dict[str, Any]]:
    folder = guest.lab.folder
    inventory = folder / "inventory.yaml"
    host = {
        "ansible_host": ADDRESS,
        "ansible_port": guest.port,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(guest.image.key),
        "fleet_source": source,
        "fleet_host_key": guest.image.host_key,
    }
    inventory.write_text(json.dumps({"all": {"hosts": {"guest": host}}}))
    argv = [sys.executable, "-m", "fleet", "snapshot", "-i", str(inventory), "--format", "json"]
    argv += ["--timeout", "120", "--connect-timeout", "60", "--ssh-config", "none"]
    argv += ["--state-dir", str(folder / "state")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        argv, check=False, capture_output=True, env=environment, cwd=PROJECT, timeout=200
    )
    if done.returncode:
        raise LabError(f"fleet snapshot: {done.stderr.decode()} {done.stdout.decode()[-2000:]}")
    document: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return document["containerStats"]


def _compare(
    tally: Tally, source: str, early: Said, late: Said | None, row: Mapping[str, Any] | None
) -> None:
    if row is None or late is None:
        tally.errors.append(f"{early.name}: no row with source {source}")
        return
    after = dict(_expected(late))
    for column, value in _expected(early):
        if after[column] != value:
            continue
        tally.compared[f"row {column}"] += 1
        said = row[column] * 1e9 if column == "cpu_seconds" else row[column]
        if said != value and not (column == "cpu_seconds" and abs(said - (value or 0)) < 1000):
            tally.errors.append(f"{early.name}: {column}, source {source}: {said}, not {value}")


def _expected(one: Said) -> Iterator[tuple[str, int | None]]:
    yield "memory_use", one.gauges["used"]
    yield "total_memory", one.gauges["limit"]
    yield "pids", one.gauges["pids"]
    yield "cpu_seconds", one.totals["cpu"]
    yield "block_io_in", _sum(one.totals, "read ")
    yield "block_io_out", _sum(one.totals, "write ")
    own = one.name not in WITHOUT_NETWORK
    yield "net_io_in", _sum(one.totals, "rx_bytes ") if own else None
    yield "net_io_out", _sum(one.totals, "tx_bytes ") if own else None
    yield "net_drops", _sum(one.totals, "rx_dropped ", "tx_dropped ") if own else None


def _sum(totals: Figures, *beginnings: str) -> int:
    return sum(value or 0 for name, value in totals.items() if name.startswith(beginnings))
