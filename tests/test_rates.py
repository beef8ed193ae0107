"""A container with terabytes behind it: its rate is true, which three digits cannot tell."""

import json
import os
import subprocess
from itertools import count

import pytest

from fleet.allowance import Allowance
from fleet.inventory import Host
from fleet.reading import Before
from fleet.seen import Seen
from fleet.sources.docker import parse_stats_line
from fleet.sources.kernel import Interface
from fleet.status import Status
from fleet.transport import Reply
from fleet.visit import Visit, visit
from tests.trees import Box, Tree, net_text, toolbox

SHELLS = ("busybox", "dash")
BOX = Box(1)
AT = 1_800_000_000.0
PAUSE_S = 300
RATE = 10_000_000
STARTS = {"the-same-digits": 5 * 10**12, "the-next-digit": 5_003_500_000_000}


@pytest.fixture(scope="module")
def toolboxes(tmp_path_factory):
    """The tools of each kind of node."""
    folder = tmp_path_factory.mktemp("toolboxes")
    return {shell: toolbox(folder / shell, shell) for shell in SHELLS}


@pytest.fixture
def make_tree(toolboxes, tmp_path):
    """Make a node that runs one container: `make_tree("dash", 2)`, of cgroup v2."""
    numbers = count()

    def make(shell, version):
        tree = Tree(tmp_path / f"root{next(numbers)}", toolboxes[shell])
        (tree.v1 if version == 1 else tree.v2)([BOX])
        tree.docker([BOX])
        tree.write("/proc/sys/kernel/random/boot_id", "6e1f5f10-0000-4000-8000-000000000001\n")
        return tree

    return make


def _moved(tree: Tree, total: int, uptime_s: float) -> float:
    """The node's files at an uptime, with this much received; what docker stats then says."""
    face = Interface("eth0", total, 7, 0, 0, 2 * total, 8, 0, 0)
    tree.write(f"/proc/{BOX.pid}/net/dev", net_text(face))
    tree.write("/proc/uptime", f"{uptime_s:.2f} 9000.00\n")
    row = {
        "BlockIO": "4.61kB / 8.19kB",
        "CPUPerc": "1.50%",
        "Container": BOX.id,
        "ID": BOX.id,
        "MemPerc": "6.10%",
        "MemUsage": "952.7MiB / 15.26GiB",
        "Name": "box-1",
        "NetIO": f"{total / 1e12:.3g}TB / {2 * total / 1e12:.3g}TB",
        "PIDs": "2",
    }
    line = json.dumps(row)
    tree.write("/answers/stats", f"{line}\n")
    said = parse_stats_line(line).net_in_bytes
    assert said is not None
    return said


def _visited(tree: Tree, source: str, at: float, seen: Seen | None) -> Visit:
    """A visit as a sweep makes it, of the node's own shell."""

    def run(_host, request, _allowance):
        command = ["chroot", str(tree.root), "/bin/sh", "-c", request(20.0)]
        path = {"PATH": os.environ["PATH"]}
        ran = subprocess.run(command, capture_output=True, timeout=60, check=True, env=path)
        return Reply(0.1, 1.0, ran.returncode, ran.stdout, ran.stderr)

    return visit(Host("h", "h", source=source), run, Allowance(30), Before(seen, at))


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("source", ["docker", "kernel"])
@pytest.mark.parametrize("shell", SHELLS)
def test_ten_megabytes_a_second_at_five_terabytes(shell, source, version, start, make_tree):
    """Within one percent by the kernel's counters; by what docker stats says, nothing or thrice."""
    tree = make_tree(shell, version)
    said_then = _moved(tree, start, 5000.25)
    first = _visited(tree, source, AT, None)
    total = start + RATE * PAUSE_S
    said_now = _moved(tree, total, 5000.25 + PAUSE_S)
    second = _visited(tree, source, AT + PAUSE_S, first.seen)

    for one in (first, second):
        assert (one.status, one.detail) == (Status.OK, None)
        assert [sample.id for sample in one.samples] == [BOX.id]
    (then,), (now,) = first.samples, second.samples
    assert now.source == ("kernel" if source == "kernel" else "docker+kernel")
    assert (then.net_in_bytes, now.net_in_bytes) == (start, total)
    assert (then.net_in_rate, then.net_out_rate) == (None, None)
    assert now.window_s == PAUSE_S
    assert now.net_in_rate == pytest.approx(RATE, rel=0.01)
    assert now.net_out_rate == pytest.approx(2 * RATE, rel=0.01)

    rounded = (said_now - said_then) / PAUSE_S
    assert rounded == 0 or rounded > 3 * RATE


@pytest.mark.parametrize("source", ["docker", "kernel"])
def test_another_start_of_the_node_has_no_rate(source, make_tree):
    """The same totals after a reboot are no counters of one life."""
    tree = make_tree("dash", 2)
    _moved(tree, 5 * 10**12, 5000.25)
    first = _visited(tree, source, AT, None)
    _moved(tree, 6 * 10**12, 5300.25)
    tree.write("/proc/sys/kernel/random/boot_id", "6e1f5f10-0000-4000-8000-000000000002\n")
    (now,) = _visited(tree, source, AT + PAUSE_S, first.seen).samples
    assert (now.net_in_bytes, now.net_in_rate, now.window_s) == (6e12, None, None)


@pytest.mark.parametrize("source", ["docker", "kernel"])
def test_container_made_anew_has_no_rate(source, make_tree):
    """Its cgroup is another one, though it may have counted more by now."""
    tree = make_tree("dash", 2)
    _moved(tree, 5 * 10**12, 5000.25)
    first = _visited(tree, source, AT, None)
    _moved(tree, 6 * 10**12, 5300.25)
    folder = next(tree.root.glob(f"sys/fs/cgroup/**/docker-{BOX.id}.scope"))
    old = folder.rename(tree.root / "old")
    folder.mkdir()
    for file in old.iterdir():
        file.rename(folder / file.name)
    (now,) = _visited(tree, source, AT + PAUSE_S, first.seen).samples
    assert (now.net_in_bytes, now.net_in_rate, now.window_s) == (6e12, None, None)


def test_daemon_that_hangs_costs_no_rate(make_tree):
    """With docker ps stuck, the second visit still has all that the kernel counts."""
    tree = make_tree("dash", 2)
    _moved(tree, 5 * 10**12, 5000.25)
    first = _visited(tree, "docker", AT, None)
    _moved(tree, 5 * 10**12 + RATE * PAUSE_S, 5000.25 + PAUSE_S)
    tree.docker([BOX], ps1="exit 124")
    second = _visited(tree, "docker", AT + PAUSE_S, first.seen)
    (now,) = second.samples
    assert (second.status, now.source) == (Status.PARTIAL, "kernel")
    assert now.net_in_rate == pytest.approx(RATE, rel=0.01)
