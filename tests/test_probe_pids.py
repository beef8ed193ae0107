"""Which of a container's processes the probe asks for its network: one that is old, and stays."""

import pytest

from fleet.sources import kernel
from tests.trees import CGROUPS, Box, Tree, toolbox

BOX = Box(1)


@pytest.fixture(scope="module")
def toolboxes(tmp_path_factory):
    """The tools of each kind of node."""
    folder = tmp_path_factory.mktemp("toolboxes")
    return {shell: toolbox(folder / shell, shell) for shell in ("busybox", "dash", "bash")}


@pytest.mark.parametrize("shell", ["busybox", "dash", "bash"])
@pytest.mark.parametrize(
    ("last", "pids", "chosen"),
    [
        ("31000", "300 30001", 300),  # all were given away in their order
        ("500", "300 30001", 30001),  # numbers have begun anew since the second one
        ("500", "300 400 30001 30002", 30001),
        ("500", "300 510 30001", 510),
        ("500", "300 500", 300),
        ("500", "30001", 30001),
        ("500", "0", None),  # none that can be seen from here
        ("500", "", None),
        ("", "300 30001", 300),
        ("x", "300 30001", 300),
    ],
)
def test_network_is_asked_of_the_oldest_process(shell, last, pids, chosen, toolboxes, tmp_path):
    """Cgroup v1 sorts its processes; the oldest is the first above the last number given away."""
    tree = Tree(tmp_path / "root", toolboxes[shell])
    tree.v1([BOX])
    tree.docker([BOX])
    text = "".join(f"{pid}\n" for pid in pids.split())
    tree.write(f"{CGROUPS}/memory/docker/{BOX.id}/cgroup.procs", text)
    if last:
        tree.write("/proc/loadavg", f"0.10 0.20 0.30 1/99 {last}\n")
    answer = tree.run().answer
    assert answer.whole
    counters = kernel.parse(answer.lines("kernel1")).counters[BOX.id]
    assert counters.pid == chosen
    assert (counters.cpu_ns, counters.pids) == (BOX.counters(1).cpu_ns, 2)


@pytest.mark.parametrize("shell", ["busybox", "dash", "bash"])
def test_version_2_lists_the_oldest_process_first(shell, toolboxes, tmp_path):
    """There, numbers above the last one mean nothing."""
    tree = Tree(tmp_path / "root", toolboxes[shell])
    tree.v2([BOX])
    tree.docker([BOX])
    folder = CGROUPS + f"/system.slice/docker-{BOX.id}.scope"
    tree.write(f"{folder}/cgroup.procs", "300\n30001\n")
    tree.write("/proc/loadavg", "0.10 0.20 0.30 1/99 500\n")
    counters = kernel.parse(tree.run().answer.lines("kernel1")).counters[BOX.id]
    assert counters.pid == 300
