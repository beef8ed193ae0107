"""Machines with cgroup v2, recorded by `make test-cgroup2`: what is read is what Docker said."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fleet import probe
from fleet.sources import kernel
from fleet.sources.kernel import Reading
from fleet.sources.node import parse_node
from tests.guest.compare import REST, Figures, Said, by_kernel
from tests.guest.containers import PARENTS, containers
from tests.trees import Tree, toolbox

RECORDED = Path(__file__).with_name("recorded")
MACHINES = ("v2-systemd", "v2-cgroupfs")


@pytest.fixture(params=MACHINES)
def machine(request) -> Path:
    """The folder of one; its files are described in `tests.guest.record`."""
    return RECORDED / request.param


def _said(machine: Path) -> dict[str, Said]:
    """What the Engine API said of each container while all were paused, by full id."""
    document: dict[str, Any] = json.loads((machine / "api.json").read_text())
    return {id: _one(said) for id, said in document.items()}


def _one(said: Any) -> Said:
    totals: Figures = {"cpu": said["cpu_total_usage"], "throttled": said["throttled_time"]}
    for name, face in (said["networks"] or {}).items():
        totals |= {f"{kind} {name}": value for kind, value in face.items()}
    for one in said["io_service_bytes_recursive"] or ():
        totals[f"{one['op']} {one['major']}:{one['minor']}"] = one["value"]
    usage, inactive = said["memory_usage"], said["memory_inactive_file"]
    gauges: Figures = {
        "usage": usage,
        "inactive": inactive,
        "used": usage - inactive if inactive < usage else usage,
        "limit": said["memory_limit"],
        "pids": said["pids_current"],
    }
    run = said["StartedAt"], str(said["Pid"])
    return Said(run, True, said["Name"].lstrip("/"), totals, gauges)


def _check(reading: Reading, said: dict[str, Said], memory_bytes: int | None) -> None:
    assert reading.version == 2
    found = by_kernel(reading, memory_bytes)
    assert found.keys() == said.keys()
    for id, one in said.items():
        totals, gauges = found[id]
        rest = totals.pop(REST)
        assert rest == 0
        assert gauges == one.gauges, one.name
        assert totals.keys() <= one.totals.keys(), one.name
        for name, value in one.totals.items():
            missing = rest if name.startswith(("read ", "write ")) else None
            assert totals.get(name, missing) == value, f"{one.name}: {name}"


def test_answers_are_what_docker_said(machine):
    """Every figure of all containers, of an answer that the probe gave there."""
    answer = probe.cut((machine / "answer.txt").read_bytes())
    assert answer.whole
    memory_bytes = parse_node(answer.lines("node")).memory_bytes
    _check(kernel.parse(answer.lines("kernel1")), _said(machine), memory_bytes)


@pytest.mark.parametrize("shell", ["busybox", "dash"])
def test_files_are_read_by_the_probe_of_today(machine, shell, tmp_path):
    """The probe's text on the files as they stood there: the same figures."""
    tree = Tree(tmp_path / "root", toolbox(tmp_path / "tools", shell))
    tree.docker()
    for file in machine.rglob("*"):
        path = file.relative_to(machine)
        if file.is_file() and len(path.parts) > 1:
            tree.write(f"/{path}", file.read_text())
    _share_networks(tree, json.loads((machine / "inodes.json").read_text()))
    run = tree.run()
    assert run.answer.whole, run.stderr
    memory_bytes = parse_node(run.answer.lines("node")).memory_bytes
    _check(kernel.parse(run.answer.lines("kernel1")), _said(machine), memory_bytes)


def _share_networks(tree: Tree, inodes: dict[str, int]) -> None:
    """One file for each network, by whatever process it is seen."""
    first: dict[int, Path] = {}
    for path, inode in inodes.items():
        file = tree.root / path.lstrip("/")
        if not path.endswith("/net/dev"):
            continue
        if (other := first.setdefault(inode, file)) is not file:
            file.unlink()
            os.link(other, file)


def test_all_kinds_of_containers_were_recorded(machine):
    """Both drivers with each kind; what is to be proven on v2 is not all zero."""
    driver = machine.name.removeprefix("v2-")
    said = {one.name: one for one in _said(machine).values()}
    assert said.keys() == {one.name for one in containers(driver)}
    assert said["burn"].totals["throttled"]
    assert any(value for name, value in said["write"].totals.items() if name.startswith("read "))
    assert any(value for name, value in said["write"].totals.items() if name.startswith("write "))
    assert said["talk"].totals["tx_bytes eth0"]
    assert any(one.gauges["inactive"] for one in said.values())
    api = json.loads((machine / "api.json").read_text())
    parents = {one["Name"].lstrip("/"): one["CgroupParent"] for one in api.values()}
    assert parents["parent"] == PARENTS[driver]
