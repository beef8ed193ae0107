"""How long before anything happens: medians, against a Python that does nothing."""

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measured import measured
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab


def start_up(lab: Lab, rounds: int) -> dict[str, float]:
    """Median seconds of each."""
    hosts = {
        f"h{number:04d}": {"ansible_host": f"10.1.{number // 250}.{number % 250 + 1}"}
        for number in range(1000)
    }
    thousand = str(write_inventory(lab.folder / "thousand.yaml", hosts))
    fleet = [sys.executable, "-m", "fleet"]
    found = {
        "python -c pass": _median([sys.executable, "-c", "pass"], rounds),
        "fleet --version": _median([*fleet, "--version"], rounds),
        "fleet hosts all, 1,000 hosts": _median([*fleet, "hosts", "-i", thousand, "all"], rounds),
        "fleet collect, to its first connection": _first_connection(lab.folder, rounds),
    }
    for name, seconds in found.items():
        print(f"  {name:40}{seconds:7.3f} s")
    return found


def _median(argv: list[str], rounds: int) -> float:
    return statistics.median(measured(argv)[0].wall_s for _ in range(rounds))


def _first_connection(folder: Path, rounds: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as door:
        host = {"ansible_host": "127.0.0.1", "ansible_port": door.getsockname()[1]}
        inventory = str(write_inventory(folder / "first.yaml", {"first": host}))
        argv = [sys.executable, "-m", "fleet", "collect", "-i", inventory, "--ssh-config", "none"]
        argv += ["--questdb", "http::addr=127.0.0.1:9;", "--state-dir", str(folder / "first")]
        argv += ["--timeout", "5", "--publish-timeout", "0"]
        return statistics.median(_until_it_connects(door, argv) for _ in range(rounds))


def _until_it_connects(door: socket.socket, argv: list[str]) -> float:
    started = time.monotonic()
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    connection, _address = door.accept()
    seconds = time.monotonic() - started
    connection.close()
    while process.poll() is None:  # it tries once more
        door.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            door.accept()[0].close()
    door.settimeout(None)
    return seconds
