"""The probe's text on nodes of plain files that lack something, hang, or change under its eyes."""

from itertools import count

import pytest

from fleet import probe
from fleet.sources import kernel
from tests.trees import CGROUPS, Box, Tree, toolbox

SHELLS = ("busybox", "dash", "bash")
BOXES = (Box(1), Box(2), Box(3))
IDS = {box.id for box in BOXES}


@pytest.fixture(scope="module")
def toolboxes(tmp_path_factory):
    """The tools of each kind of node."""
    folder = tmp_path_factory.mktemp("toolboxes")
    return {shell: toolbox(folder / shell, shell) for shell in SHELLS}


@pytest.fixture
def make_tree(toolboxes, tmp_path):
    """Make a node of cgroup v2 with three containers: `make_tree("dash", ps1="exit 1")`."""
    numbers = count()

    def make(shell, **scripts):
        tree = Tree(tmp_path / f"root{next(numbers)}", toolboxes[shell])
        tree.v2(BOXES, "/docker/{id}")
        tree.docker(BOXES, **scripts)
        return tree

    return make


def _folder(box):
    return f"{CGROUPS}/docker/{box.id}"


def _parsed(run, name):
    return kernel.parse(run.answer.lines(name))


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("tool", ["timeout", "find", "grep", "ls", "stat", "date", "cat"])
def test_node_without_one_tool_answers_whole(shell, tool, make_tree):
    """What needs the tool is not known; the answer is whole, and nothing in it is 0 instead."""
    tree = make_tree(shell)
    (tree.root / "bin" / tool).unlink()
    run = tree.run(source="kernel")
    assert run.answer.whole, run.stderr
    reading = _parsed(run, "kernel1")
    assert set(reading.counters) == (set() if tool in ("find", "grep") else IDS)
    for counters in reading.counters.values():
        assert counters.cpu_ns
        assert counters.block
        assert (counters.inode is None) == (counters.net_inode is None) == (tool == "ls")
    # Where no cgroup is seen, docker stats is asked.
    assert ("stats" in run.asked) == (tool in ("find", "grep"))


@pytest.mark.parametrize("shell", SHELLS)
def test_read_only_node_without_tmp(shell, make_tree):
    """Nothing is written anywhere: no here-document, no file in between."""
    tree = make_tree(shell)
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    around = ["unshare", "-m", "sh", "-c", script, str(tree.root)]
    run = tree.run(around=around)
    assert run.answer.whole
    assert not (tree.root / "tmp").exists()
    reading = _parsed(run, "kernel1")
    assert reading.counters[Box(1).id].interfaces == (Box(1).face,)
    assert set(reading.counters) == IDS


@pytest.mark.parametrize("shell", SHELLS)
def test_hidden_processes_cost_only_the_network(shell, make_tree):
    """Under hidepid no /proc/PID is there: networks are null, all else is as ever."""
    tree = make_tree(shell)
    for box in BOXES:
        (tree.root / f"proc/{box.pid}/net/dev").unlink()
    reading = _parsed(tree.run(), "kernel1")
    for box in BOXES:
        counters = reading.counters[box.id]
        assert (counters.net_inode, counters.interfaces) == (None, None)
        assert counters.inode == tree.inode(_folder(box))
        assert counters.memory_bytes == 10**9 - 10**6


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("window_s", [0, 1])
def test_container_that_vanishes_in_between_has_no_second_inode(shell, window_s, make_tree):
    """Its first figures are there; the seal, or the second reading, does not know it."""
    tree = make_tree(shell, ps1=f"rm -rf {_folder(Box(2))}\n")
    run = tree.run(window_s=window_s)
    assert run.answer.whole
    first, second = _parsed(run, "kernel1"), _parsed(run, "kernel2")
    assert set(first.inodes) == IDS
    assert set(second.inodes) == IDS - {Box(2).id}
    if window_s == 0:
        assert second.counters == {}
        return
    assert second.counters[Box(1).id] == first.counters[Box(1).id]
    gone = second.counters[Box(2).id]  # its row stands, and nothing in it is 0
    assert {gone.inode, gone.cpu_ns, gone.memory_bytes, gone.pids, gone.block} == {None}


@pytest.mark.parametrize("shell", SHELLS)
def test_container_that_is_made_anew_has_another_inode(shell, make_tree):
    """A restart between the readings shows in the seal, though the path is the same."""
    folder = _folder(Box(2))
    tree = make_tree(shell, ps1=f"mv {folder} /old; cp -r /old {folder}\n")
    run = tree.run()
    first, second = _parsed(run, "kernel1"), _parsed(run, "kernel2")
    assert second.version is None
    assert set(second.inodes) == IDS
    assert {id for id in IDS if first.inodes[id] != second.inodes[id]} == {Box(2).id}


@pytest.mark.parametrize("shell", SHELLS)
def test_docker_stats_is_asked_where_no_cgroup_is_seen(shell, make_tree):
    """With `source=kernel` only then, and where something runs."""
    tree = make_tree(shell)
    assert tree.run().asked == ("ps", "inspect", "version")
    assert tree.run(source="docker").asked == ("ps", "inspect", "version", "stats", "ps")
    tree.write("/proc/mounts", "proc /proc proc rw 0 0\n")
    run = tree.run()
    assert run.asked == ("ps", "inspect", "version", "stats", "ps")
    assert run.answer.lines("stats") == ('{"ID":"0"}',)
    tree.write("/answers/ps1", Box(1).listed.replace("running", "exited") + "\n")
    assert tree.run().asked == ("ps", "inspect", "version")


@pytest.mark.parametrize("shell", SHELLS)
def test_label_cannot_name_another_container(shell, make_tree):
    """Only what stands first in a line of ps is inspected, whatever its labels spell."""
    tree = make_tree(shell)
    forged = f"x [x{'f' * 64}x, [x{'e' * 64} {'d' * 64}x,* ["
    tree.write("/answers/ps1", Box(1).listed.replace('""', f'"{forged}"', 1) + "\n")
    run = tree.run()
    asked = next(line for line in run.stderr.splitlines() if line.startswith("asked|inspect"))
    assert asked.endswith(f" -- {Box(1).id}")


@pytest.mark.parametrize(
    ("shell", "with_timeout"),  # busybox finds its own timeout before any other
    [("busybox", True), ("dash", True), ("bash", True), ("dash", False), ("bash", False)],
)
def test_frozen_docker_costs_no_counters(shell, with_timeout, make_tree):
    """`ps` is ended by the clock, docker is asked no more, and both readings are there."""
    tree = make_tree(shell, ps1="exec sleep 1000\n")
    if not with_timeout:
        (tree.root / "bin/timeout").unlink()
    run = tree.run(seconds=3)
    assert run.answer.whole
    assert run.answer.rc("ps1") in probe.CLOCK_ENDED
    assert run.asked == ("ps",)
    assert set(_parsed(run, "kernel1").counters) == IDS
    assert set(_parsed(run, "kernel2").inodes) == IDS
    assert run.answer.lines("clock") == ("uptime 5000.25",)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("source", ["docker", "kernel"])
def test_failing_docker_costs_no_counters(shell, source, make_tree):
    """A daemon that is down is said by every tool's own status, and both readings are there."""
    fail = "echo down >&2; exit 1\n"
    tree = make_tree(shell, ps1=fail, ps2=fail, version=fail, stats=fail)
    run = tree.run(source=source)
    assert run.answer.whole
    assert {run.answer.rc(name) for name in ("ps1", "version")} == {1}
    assert run.answer.rc("state") is None, "nothing is listed, so nothing is inspected"
    assert run.answer.rc("stats") == (1 if source == "docker" else None)
    assert set(_parsed(run, "kernel1").counters) == IDS
    assert set(_parsed(run, "kernel2").inodes) == IDS
