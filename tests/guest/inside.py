"""Runs in the guest, alone, and with nothing but the standard library: asks Docker, reads files.

    inside.py ask           two rounds of the Engine API about what runs; the second one's answers
    inside.py files         texts of /proc and /sys/fs/cgroup that counters are read from
    inside.py noise         frames that no container understands: each one drops them

Prints one JSON document.

The first round of `ask` is for engines whose answers come from a collector of their own: what it
tells may have been read before it was asked. What the next round tells was read after that.
"""

import contextlib
import http.client
import json
import re
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ENGINE = "/run/docker.sock"
CGROUPS = Path("/sys/fs/cgroup")
OF_THE_NODE = (
    *("mounts", "self/mountinfo", "uptime", "stat", "meminfo", "loadavg", "diskstats"),
    *("pressure/cpu", "pressure/memory", "pressure/io"),
    *("sys/kernel/random/boot_id", "sys/kernel/osrelease", "self/net/dev"),
)
OF_A_CGROUP = (
    *("cgroup.procs", "cpu.stat", "io.stat", "pids.current", "memory.current", "memory.max"),
    *("memory.peak", "memory.stat", "memory.events", "cgroup.controllers", "cgroup.freeze"),
)
NOISE_TYPE = b"\x88\xb5"  # kept by IEEE 802 for experiments


class Engine(http.client.HTTPConnection):
    """A connection to the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(ENGINE)


def get(path: str) -> Any:
    """An answer of the Engine API; None where there is none (a container that has gone)."""
    engine = Engine("docker", timeout=60)
    try:
        engine.request("GET", f"/v1.41{path}")
        answer = engine.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status == 200 and text.strip() else None
    except OSError:
        return None
    finally:
        engine.close()


def ask() -> dict[str, Any]:
    """By full id: `state` (inspect, before and after), and `stats`."""
    ids = [one["Id"] for one in get("/containers/json") or ()]
    query = "stats?stream=false&one-shot=true"
    with ThreadPoolExecutor(len(ids) or 1) as pool:

        def each(path: str) -> dict[str, Any]:
            answers = pool.map(lambda id: get(f"/containers/{id}/{path}"), ids)
            return dict(zip(ids, answers, strict=True))

        before = each("json")
        each(query)
        stats = each(query)
        after = each("json")
    return {
        id: {"state": after[id], "stats": stats[id]}
        for id in ids
        if before[id] and after[id] and stats[id] and _run(before[id]) == _run(after[id])
    }


def _run(state: Any) -> Any:
    return state["State"]["StartedAt"], state["State"]["Pid"], state["State"]["Status"]


def files() -> dict[str, dict[str, Any]]:
    """Texts by path, of the node and of what runs; inodes by path, of networks and cgroups."""
    texts, inodes = {}, {}
    for path in _paths():
        with contextlib.suppress(OSError):
            texts[str(path)] = path.read_text()
            if path.match("net/dev"):
                inodes[str(path)] = path.stat().st_ino
            if path.name == "cgroup.procs":
                inodes[str(path.parent)] = path.parent.stat().st_ino
    return {"texts": texts, "inodes": inodes}


def _paths() -> Iterator[Path]:
    yield from (Path("/proc") / name for name in OF_THE_NODE)
    yield CGROUPS / "cgroup.controllers"
    for one in get("/containers/json") or ():
        state = get(f"/containers/{one['Id']}/json")
        pid = state["State"]["Pid"]
        yield Path(f"/proc/{pid}/net/dev")
        yield Path(f"/proc/{pid}/cgroup")
        line = Path(f"/proc/{pid}/cgroup").read_text()
        whole = re.search(rf"^0::(.*{one['Id']}(?:\.scope)?)", line, re.MULTILINE)
        if whole is None:
            continue
        group = CGROUPS / whole[1].lstrip("/")
        yield from (group / name for name in OF_A_CGROUP)
        yield from group.glob("*/cgroup.procs")
        yield from group.glob("*/*/cgroup.procs")


def noise() -> int:
    """Twenty frames to everybody on Docker's bridge."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("docker0", 0))
        frame = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + NOISE_TYPE + bytes(46)
        return sum(wire.send(frame) > 0 for _number in range(20))


if __name__ == "__main__":
    print(json.dumps({"ask": ask, "files": files, "noise": noise}[sys.argv[1]]()))
