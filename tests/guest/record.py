"""Folders of a real cgroup v2 machine: the files that counters are read from, and what Docker said.

```
v2-DRIVER/proc/...            as they stood there, containers paused
v2-DRIVER/sys/fs/cgroup/...
v2-DRIVER/api.json            what the Engine API said at that moment, by full id
v2-DRIVER/inodes.json         of networks (/proc/PID/net/dev) and of cgroups, by path
v2-DRIVER/answer.txt          what the probe printed
```
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.guest.machine import Guest
from tests.guest.rounds import INSIDE, ask, read
from tests.lab.waiting import LabError

TRIES = 5


def record(guest: Guest, folder: Path) -> None:
    """Make the folder anew; what Docker says is the same before and after all that is in it."""
    for _number in range(TRIES):
        before = _picked(ask(guest))
        found = json.loads(guest.python(INSIDE, "files"))
        answer, _cut = read(guest, "kernel")
        if _picked(ask(guest)) == before:
            break
    else:
        raise LabError("paused containers do not stand still")
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in found["texts"].items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    _write(folder / "api.json", before)
    _write(folder / "inodes.json", found["inodes"])
    (folder / "answer.txt").write_bytes(answer)


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _picked(answer: dict[str, Any]) -> dict[str, Any]:
    """Of each container what counters can be held against."""
    return {id: _one(one["state"], one["stats"]) for id, one in answer.items()}


def _one(state: Any, stats: Any) -> dict[str, Any]:
    cpu, memory = stats["cpu_stats"], stats["memory_stats"]
    return {
        "Name": state["Name"],
        "Pid": state["State"]["Pid"],
        "Status": state["State"]["Status"],
        "StartedAt": state["State"]["StartedAt"],
        "NetworkMode": state["HostConfig"]["NetworkMode"],
        "CgroupParent": state["HostConfig"]["CgroupParent"],
        "Networks": sorted(state["NetworkSettings"]["Networks"]),
        "cpu_total_usage": cpu["cpu_usage"]["total_usage"],
        "throttled_time": cpu["throttling_data"]["throttled_time"],
        "memory_usage": memory["usage"],
        "memory_limit": memory["limit"],
        "memory_inactive_file": memory["stats"]["inactive_file"],
        "pids_current": stats["pids_stats"]["current"],
        "networks": stats.get("networks"),
        "io_service_bytes_recursive": stats["blkio_stats"]["io_service_bytes_recursive"],
    }
