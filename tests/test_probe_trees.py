"""The probe's text on nodes of plain files: every layout of cgroups, read to the integer."""

from dataclasses import replace
from itertools import count

import pytest

from fleet.sources import kernel
from fleet.sources.kernel import Counters, Interface, Reading
from tests.trees import CGROUPS, UPTIME, Box, Tree, net_text, toolbox

SHELLS = ("busybox", "dash", "bash")
BOXES = (Box(1), Box(2), Box(3))
SCOPE = "/system.slice/docker-{id}.scope"
ROOTLESS = "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{id}.scope"


@pytest.fixture(scope="module")
def toolboxes(tmp_path_factory):
    """The tools of each kind of node."""
    folder = tmp_path_factory.mktemp("toolboxes")
    return {shell: toolbox(folder / shell, shell) for shell in SHELLS}


@pytest.fixture
def make_tree(toolboxes, tmp_path):
    """Make a node: `make_tree("dash")`."""
    numbers = count()
    return lambda shell: Tree(tmp_path / f"root{next(numbers)}", toolboxes[shell])


def _read(tree, name="kernel1", **options) -> Reading:
    run = tree.run(**options)
    assert run.answer.whole, run.stderr
    return kernel.parse(run.answer.lines(name))


def _expected(tree: Tree, box: Box, version: int, folder: str, **changed) -> Counters:
    return replace(
        box.counters(version),
        inode=tree.inode(folder.format(id=box.id)),
        net_inode=tree.inode(f"/proc/{box.pid}/net/dev"),
        **changed,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_separate_mounts_of_version_1(shell, make_tree):
    """Cgroup v1 as the cgroupfs driver lays it out: every figure, to the integer."""
    tree = make_tree(shell)
    tree.v1(BOXES)
    tree.docker(BOXES)
    reading = _read(tree)
    folder = f"{CGROUPS}/memory/docker/{{id}}"
    expected = {box.id: _expected(tree, box, 1, folder) for box in BOXES}
    assert reading.counters == expected
    assert reading == Reading(
        1,
        float(UPTIME),
        expected,
        {box.id: expected[box.id].inode for box in BOXES},
        {box.pid: expected[box.id].net_inode for box in BOXES},
        {expected[box.id].net_inode: (box.face,) for box in BOXES},
        tree.inode("/proc/self/net/dev"),
    )


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "place", [SCOPE, "/docker/{id}", "/web.slice/web-prod.slice/docker-{id}.scope", "/a/b/c/{id}"]
)
def test_the_one_tree_of_version_2(shell, place, make_tree):
    """Cgroup v2 with the systemd and the cgroupfs driver, and under a parent of one's own."""
    tree = make_tree(shell)
    tree.v2(BOXES, place)
    tree.docker(BOXES)
    for reading in (_read(tree), _read(tree, "kernel2", source="docker")):
        assert reading.version == 2
        assert reading.counters == {
            box.id: _expected(tree, box, 2, CGROUPS + place) for box in BOXES
        }


@pytest.mark.parametrize("shell", SHELLS)
def test_rootless_has_what_was_delegated(shell, make_tree):
    """Only memory and pids: CPU time is there, throttling and block are null, not 0."""
    tree = make_tree(shell)
    tree.v2(BOXES, ROOTLESS, controllers=("memory", "pids"))
    tree.docker(BOXES)
    assert _read(tree).counters == {
        box.id: _expected(tree, box, 2, CGROUPS + ROOTLESS, throttled_ns=None, block=None)
        for box in BOXES
    }


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("inside", ["/init", "/init/scope"])
def test_processes_of_a_nested_cgroup_are_found(shell, inside, make_tree):
    """A container that moved its processes to a child has its network all the same."""
    tree = make_tree(shell)
    tree.v2(BOXES, inside=inside)
    tree.docker(BOXES)
    assert _read(tree).counters == {
        box.id: _expected(tree, box, 2, CGROUPS + SCOPE) for box in BOXES
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_hybrid_is_version_1(shell, make_tree):
    """A cgroup2 mount beside the controllers of version 1 counts nothing."""
    tree = make_tree(shell)
    unified = f"cgroup2 {CGROUPS}/unified cgroup2 rw,nosuid 0 0\n"
    tree.v1(BOXES, more_mounts=unified)
    tree.docker(BOXES)
    for box in BOXES:
        tree.write(f"{CGROUPS}/unified/docker/{box.id}/cgroup.procs", "1\n")
    assert _read(tree).counters == {
        box.id: _expected(tree, box, 1, f"{CGROUPS}/memory/docker/{{id}}") for box in BOXES
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_containers_of_a_container_are_its_own(shell, make_tree):
    """What a Docker inside a container has made is not looked into."""
    tree = make_tree(shell)
    tree.v2([Box(1)], "/docker/{id}")
    tree.v2([Box(2)], f"/docker/{Box(1).id}/docker/{{id}}")
    tree.docker(BOXES)
    assert set(_read(tree).counters) == {Box(1).id}


@pytest.mark.parametrize("shell", SHELLS)
def test_version_1_without_memory_controller(shell, make_tree):
    """Where it is switched off, cgroups are found by CPU, and memory is null."""
    tree = make_tree(shell)
    tree.v1(BOXES)
    tree.docker(BOXES)
    lines = (tree.root / "proc/mounts").read_text().splitlines(keepends=True)
    tree.write("/proc/mounts", "".join(line for line in lines if "memory" not in line))
    for box in BOXES:
        tree.write(f"{CGROUPS}/cpu,cpuacct/docker/{box.id}/cgroup.procs", f"{box.pid}\n")
    nothing = dict.fromkeys(
        ("usage_bytes", "inactive_file_bytes", "limit_bytes", "peak_bytes", "oom_kills")
    )
    assert _read(tree).counters == {
        box.id: _expected(tree, box, 1, f"{CGROUPS}/cpu,cpuacct/docker/{{id}}", **nothing)
        for box in BOXES
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_scheduler_of_old_kernels_goes_first(shell, make_tree):
    """With CFQ its own file counts, as Docker has it; an empty one counts nothing."""
    tree = make_tree(shell)
    tree.v1(BOXES)
    tree.docker(BOXES)
    folder = f"{CGROUPS}/blkio/docker"
    recursive = "blkio.io_service_bytes_recursive"
    tree.write(f"{folder}/{Box(1).id}/{recursive}", "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\n")
    tree.write(f"{folder}/{Box(2).id}/{recursive}", "Total 0\n")
    counters = _read(tree).counters
    assert counters[Box(1).id].block == {"8:0": (5, 6)}
    assert counters[Box(2).id].block == Box(2).counters(1).block


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("version", [1, 2])
def test_networks_are_printed_once_and_the_nodes_own_never(shell, version, make_tree):
    """Shared networks have one owner in the answer; inodes tell who shares."""
    tree = make_tree(shell)
    (tree.v1 if version == 1 else tree.v2)(BOXES)
    tree.docker(BOXES)
    tree.same_network(Box(2), str(Box(1).pid))
    tree.same_network(Box(3), "self")
    reading = _read(tree)
    one, two, three = (reading.counters[box.id] for box in BOXES)
    assert one.net_inode == two.net_inode
    assert [one.interfaces, two.interfaces].count(None) == 1
    assert reading.networks == {one.net_inode: (Box(1).face,)}
    assert (three.net_inode, three.interfaces) == (reading.own_net_inode, None)


@pytest.mark.parametrize("shell", SHELLS)
def test_only_the_loopback_is_left_out(shell, make_tree):
    """Names that begin like it, or that touch their number, are interfaces like any other."""
    tree = make_tree(shell)
    tree.v2([Box(1)])
    tree.docker([Box(1)])
    faces = [
        Interface(name, 2**64 - 1, 1, 2, 3, 4, 5, 6, 7)
        for name in ("eth0", "lo0", "wg-x", "lowpan1")
    ]
    tree.write(f"/proc/{Box(1).pid}/net/dev", net_text(*faces).replace(": 1844", ":1844"))
    assert _read(tree).counters[Box(1).id].interfaces == tuple(faces)


@pytest.mark.parametrize("shell", SHELLS)
def test_three_hundred_containers_come_out_whole(shell, make_tree):
    """Twice all figures of each stay below a mebibyte."""
    boxes = [Box(number) for number in range(300)]
    tree = make_tree(shell)
    tree.v2(boxes)
    tree.docker(boxes)
    run = tree.run(source="docker")
    assert run.answer.whole
    assert run.size < 2**20
    for name in ("kernel1", "kernel2"):
        assert kernel.parse(run.answer.lines(name)).counters == {
            box.id: _expected(tree, box, 2, CGROUPS + SCOPE) for box in boxes
        }
    assert run.answer.lines("ps1") == tuple(box.listed for box in boxes)
