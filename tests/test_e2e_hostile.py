"""Nodes that flood, stall and lie, beside healthy ones, whose rows all arrive."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.command import FLEET
from tests.lab.doors import Door
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab, free_port
from tests.lab.node import Node
from tests.lab.standin import Crowd, crowd, expected

pytestmark = pytest.mark.e2e

GOOD, BAD = 20, 20
LIMIT_MB = 150

MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
open(sys.argv[1], "w").write(str(peak))
sys.exit(status)
"""

ON_STATS = "#!/bin/sh\ncase $1 in stats) {action} ;; *) : ;; esac\n"
HOSTILE = {
    "tiny lines": ON_STATS.format(action="exec yes ab"),
    "empty lines": ON_STATS.format(action="exec yes ''"),
    "long lines": ON_STATS.format(action="exec yes 0123456789012345678901234567890123456789"),
    "one endless line": ON_STATS.format(action="exec tr '\\000' x </dev/zero"),
    "random bytes": ON_STATS.format(action="exec cat /dev/urandom"),
    "escapes": ON_STATS.format(
        action=r"""exec awk 'BEGIN { while (1) { printf "{"; """
        r"""for (i = 0; i < 21000; i++) printf "}\033["; printf "\001\n" } }'"""
    ),
    "brackets": ON_STATS.format(action="exec tr '\\000' '[' </dev/zero"),
    "stderr": ON_STATS.format(action="exec yes sudo: sudo >&2"),
    "big and then silent": ON_STATS.format(action="yes 0123456789 | head -c 4000000; sleep 1000"),
}


def _snapshot(words: list[str], folder: Path) -> tuple[dict[str, Any], float, str]:
    """One measured run → its JSON, its peak memory in MB, all that it printed."""
    report = folder / "peak"
    argv = [sys.executable, "-c", MEASURE, str(report), *FLEET, "snapshot", "--format", "json"]
    run = subprocess.run([*argv, *words], check=False, capture_output=True, text=True, timeout=200)
    return json.loads(run.stdout), float(report.read_text()), run.stdout + run.stderr


def _check_good(document: dict[str, Any], good: Crowd) -> None:
    """Every row of every healthy node, and no other."""
    hosts = {row["host"]: row for row in document["hostStatus"]}
    for name, address in good.addresses.items():
        assert hosts[name]["status"] == "ok", hosts[name]
        ids = {row["id"] for row in document["containerStats"] if row["host"] == name}
        assert ids == {one.id for one in expected(address)}


@pytest.fixture(scope="module")
def good(lab) -> Iterator[Crowd]:
    """Twenty healthy nodes."""
    with crowd(lab, "hostile-good", GOOD, delay_s=1) as nodes:
        yield nodes


def _bad(lab: Lab, stack: ExitStack, text: str) -> Crowd:
    """Twenty nodes with this docker."""
    node = Node(
        lab,
        f"hostile-{free_port()}",
        address="0.0.0.0",
        port=free_port("0.0.0.0"),
        replaced={"docker": text},
        sshd=["MaxStartups 5000", "LogLevel INFO"],
    )
    crowd = Crowd(lab, stack.enter_context(node), BAD)
    crowd.addresses = {f"bad-{name}": address for name, address in crowd.addresses.items()}
    return crowd


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_twenty_hostile_nodes_cost_only_themselves(lab, good, text, tmp_path):
    """Twenty floods at once: all good rows, bounded time and memory, nothing unprintable."""
    with ExitStack() as stack:
        bad = _bad(lab, stack, text)
        inventory = write_inventory(tmp_path / "inventory.yaml", {**good.hosts, **bad.hosts})
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(good.known_hosts + bad.known_hosts)
        words = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--timeout", "20"]
        document, peak_mb, printed = _snapshot(words, tmp_path)
    _check_good(document, good)
    assert document["sweep"]["elapsed"] < 30
    assert peak_mb < LIMIT_MB
    assert printed.replace("\n", "").isprintable()
    assert not any(row["host"].startswith("bad-") for row in document["containerStats"])


def test_doors_that_flood_before_the_login_cost_only_themselves(lab, good, tmp_path):
    """A packet of two gigabytes, announced before any key was shown, is not waited for."""

    def giant(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(b"SSH-2.0-giant\r\n\x7f\xff\xff\xf4")
        while not closing.is_set():
            connection.sendall(b"x" * 65536)

    with ExitStack() as stack:
        hosts = dict(good.hosts)
        for number in range(5):
            door = stack.enter_context(Door(lab, giant))
            hosts[f"giant{number}"] = {"ansible_host": door.address, "ansible_port": door.port}
        inventory = write_inventory(tmp_path / "inventory.yaml", hosts)
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(good.known_hosts)
        words = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--timeout", "15"]
        document, peak_mb, _printed = _snapshot(words, tmp_path)
    _check_good(document, good)
    giants = [row for row in document["hostStatus"] if row["host"].startswith("giant")]
    assert {row["status"] for row in giants} == {"ssh_error"}
    assert peak_mb < LIMIT_MB
