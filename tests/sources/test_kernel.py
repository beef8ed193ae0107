"""The kernel's counters: what a section's lines say, and that nothing in them is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sources.kernel import Counters, Interface, Reading, parse

ID, OTHER = "a" * 64, "b" * 64
V1, V2 = f"/docker/{ID}", f"/system.slice/docker-{ID}.scope"
V2_FOLDER, V1_FOLDER = f"/sys/fs/cgroup{V2}", f"/sys/fs/cgroup/memory{V1}"
BLKIO = f"/sys/fs/cgroup/blkio{V1}/blkio"
ROW_1 = f"c {V1} 9.50 71 2000 9223372036854771712 3000 4 + 123456789 "
ROW_2 = f"c {V2} 9.50 71 2000 5000 3000 4 + usage_usec 123456"
STAT_2 = f"{V2_FOLDER}/memory.stat:inactive_file 500"
NET = "/proc/71/net/dev"


def _two(*lines: str) -> Counters:
    """The one container of a section of version 2."""
    return parse(["cgroup 2", ROW_2, *lines]).counters[ID]


def _one(*lines: str) -> Counters:
    """The one container of a section of version 1."""
    return parse(["cgroup 1", ROW_1, *lines]).counters[ID]


def test_version_2_is_read_whole():
    """Microseconds become nanoseconds, and every line finds its container."""
    lines = [
        *("cgroup 2", ROW_2, "t 9.75", f"   801 {V2_FOLDER}", f"4026 {NET}"),
        *("4000 /proc/self/net/dev", STAT_2, f"{V2_FOLDER}/cpu.stat:throttled_usec 7"),
        *(f"{V2_FOLDER}/memory.events:oom_kill 2", f"{V2_FOLDER}/io.stat:8:0 rbytes=5 wbytes=6"),
        f"{NET}:  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0",
    ]
    face = Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8)
    counters = Counters(
        9.5, 801, 71, 123456000, 2000, 500, 5000, 3000, 4, 7000, 2, {"8:0": (5, 6)}, 4026, (face,)
    )
    assert counters.memory_bytes == 1500
    assert parse(lines) == Reading(
        2, 9.75, {ID: counters}, {ID: 801}, {71: 4026}, {4026: (face,)}, 4000
    )


@pytest.mark.parametrize(
    ("first", "last", "inode"), [("801", "801", 801), ("801", "802", None), (None, "801", None)]
)
def test_container_that_was_made_anew_in_mid_reading_has_no_inode(first, last, inode):
    """Its cgroup stands before all figures and after them: another one, or none, is no life."""
    other = "7 /docker/" + OTHER
    before = [other, *([f"{first} {V2_FOLDER}"] if first else [])]
    lines = ["cgroup 2", *before, ROW_2, "t 9.75", STAT_2, other, f"{last} {V2_FOLDER}"]
    assert parse(lines).counters[ID].inode == inode
    assert parse(lines).inodes.get(ID) == inode


def test_version_1_is_read_whole():
    """Nanoseconds stay; no limit is none; the totals of the whole subtree count."""
    counters = _one(
        f"{V1_FOLDER}/memory.stat:inactive_file 1",
        f"{V1_FOLDER}/memory.stat:total_inactive_file 500",
        f"/sys/fs/cgroup/cpu{V1}/cpu.stat:throttled_time 7",
        f"{V1_FOLDER}/memory.oom_control:oom_kill 3",
        f"{BLKIO}.throttle.io_service_bytes:8:0 Read 5",
        f"{BLKIO}.throttle.io_service_bytes:8:0 Write 6",
        f"{BLKIO}.throttle.io_service_bytes:8:0 Total 11",
    )
    assert counters == Counters(
        9.5, None, 71, 123456789, 2000, 500, None, 3000, 4, 7, 3, {"8:0": (5, 6)}
    )


@pytest.mark.parametrize("version", [1, 2])
def test_what_could_not_be_read_is_none(version):
    """A row of dashes holds a name and a time, and not one 0."""
    reading = parse([f"cgroup {version}", f"c {V1} 9.50 - - - - - - - "])
    assert reading.counters == {ID: Counters(9.5)}
    assert reading.counters[ID].memory_bytes is None


def test_container_that_is_named_twice_is_not_known():
    """Two cgroups of one id: neither is believed, and others are."""
    other = ROW_2.replace(ID, OTHER)
    assert set(parse(["cgroup 2", ROW_2, other, f"{ROW_2}9"]).counters) == {OTHER}


def test_without_a_version_nothing_is_read():
    """Which formula holds would be a guess; a seal has inodes only."""
    reading = parse([ROW_2, STAT_2, "t 3.00", f"5 {V2_FOLDER}"])
    assert reading == Reading(None, 3.0, {}, {ID: 5})


def test_process_that_cannot_be_seen_is_none():
    """The kernel says 0 of a process of a foreign namespace."""
    assert parse(["cgroup 2", ROW_2.replace(" 71 ", " 0 ")]).counters[ID].pid is None


@pytest.mark.parametrize(
    ("inactive", "memory"), [(0, 2000), (1999, 1), (2000, 2000), (2**64 - 1, 2000), ("-1", None)]
)
def test_memory_is_by_dockers_formula(inactive, memory):
    """Inactive file pages are taken off where there are fewer of them than is used."""
    assert _two(STAT_2.replace("500", str(inactive))).memory_bytes == memory


@pytest.mark.parametrize(
    ("limit", "bytes"), [("max", None), ("-", None), ("9223372036854771712", None), ("512", 512)]
)
def test_no_limit_is_none(limit, bytes):
    """`max`, and the largest page-rounded number of version 1."""
    row = ROW_2.replace(" 5000 ", f" {limit} ")
    assert parse(["cgroup 2", row]).counters[ID].limit_bytes == bytes


@pytest.mark.parametrize(
    ("lines", "block"),
    [
        (["8:0 rbytes=5 wbytes=6 rios=1 wios=2 dbytes=3 dios=4"], {"8:0": (5, 6)}),
        (["8:0 cost.usage=9 rbytes=5 wbytes=6 use_delay=0"], {"8:0": (5, 6)}),
        (["7:0 7:1 8:0 rbytes=5 wbytes=6"], {"8:0": (5, 6)}),
        (["8:0 wbytes=6 rbytes=5", "8:16 rbytes=1 wbytes=2"], {"8:0": (5, 6), "8:16": (1, 2)}),
        (["8:0 rbytes=5"], {}),
        (["8:0 rbytes=-5 wbytes=6"], {}),
        (["rbytes=5 wbytes=6"], {}),
        ([f"8:0 rbytes={2**64 - 1} wbytes=0"], {"8:0": (2**64 - 1, 0)}),
        ([], {}),
    ],
)
def test_block_of_version_2(lines, block):
    """Whatever else a line of io.stat holds; an empty file is no bytes."""
    assert _two(STAT_2, *(f"{V2_FOLDER}/io.stat:{line}" for line in lines)).block == block


def test_block_without_its_file_is_none():
    """No io controller, or a cgroup that was gone before its files were read: null, not 0."""
    assert parse(["cgroup 2", ROW_2.replace(" + ", " - "), STAT_2]).counters[ID].block is None
    assert _two().block is None


def test_scheduler_of_old_kernels_goes_first():
    """CFQ's own file counts if it has a device."""
    throttle = [
        f"{V1_FOLDER}/memory.stat:total_inactive_file 500",
        f"{BLKIO}.throttle.io_service_bytes:8:0 Read 1",
    ]
    cfq = f"{BLKIO}.io_service_bytes_recursive:8:0 Write 9"
    assert _one(*throttle).block == {"8:0": (1, 0)}
    assert _one(*throttle, cfq).block == {"8:0": (0, 9)}


@pytest.mark.parametrize(
    "line",
    [
        "eth0 1 2 3 4 5 6 7 8 9 10 11 12",
        " eth0: 1 2 3 4 5 6 7 8 9 10 11",
        " eth0: 1 2 3 4 5 6 7 8 9 10 11 x",
        " eth0: -1 2 3 4 5 6 7 8 9 10 11 12",
        "",
    ],
)
def test_malformed_line_of_a_network_is_passed_over(line):
    """The others of the same file count."""
    good = f"{NET}: eth1:1 2 3 4 0 0 0 0 5 6 7 8"
    assert _two(f"{NET}:{line}", good).interfaces == (Interface("eth1", 1, 2, 3, 4, 5, 6, 7, 8),)


@pytest.mark.parametrize(
    "path",
    [f"/docker/{'a' * 63}", f"/docker/{'A' * 64}", f"/cri-containerd-{ID}.scope", f"{V1}/init"],
)
def test_what_is_no_container_of_docker_is_passed_over(path):
    """Half an id, another engine, a cgroup inside."""
    assert parse(["cgroup 2", ROW_2.replace(V2, path)]).counters == {}


_words = st.sampled_from(
    [
        *("c", "t", V1, V2, "9.5", "-", "+", "max", "usage_usec", "1", str(2**64), "9" * 25, "٣"),
        *(f"{V2_FOLDER}/io.stat:8:0", f"{V2_FOLDER}/memory.stat:inactive_file", "rbytes=1", ""),
        *(f"{NET}:", "eth0:", NET, "/proc/self/net/dev", V2_FOLDER, f"{BLKIO}.x:8:0", "Read"),
    ]
)
_lines = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["cgroup 1", "cgroup 2", ROW_1, ROW_2, STAT_2]),
    st.lists(_words, max_size=14).map(" ".join),
)


@given(st.lists(_lines, max_size=30))
def test_anything_is_accepted(lines):
    """Nothing raises; what is known is of a container that a row names once."""
    reading = parse(lines)
    for id, counters in reading.counters.items():
        assert sum(line.startswith("c ") and id in line for line in lines) >= 1
        assert counters.memory_bytes is None or counters.memory_bytes >= 0
        assert counters.pid != 0
    assert set(reading.networks) <= set(reading.net_inodes.values())


_counts = st.integers(0, 2**64 - 1)


@given(_counts, _counts, _counts, _counts)
def test_counters_come_back_to_the_digit(cpu, usage, read, sent):
    """However large they are."""
    lines = [
        f"c {V2} 1.00 71 {usage} max 1 1 + usage_usec {cpu}",
        *(f"{V2_FOLDER}/io.stat:8:0 rbytes={read} wbytes=0", STAT_2),
        f"{NET}: eth0: 0 0 0 0 0 0 0 0 {sent} 0 0 0",
    ]
    counters = parse(["cgroup 2", *lines]).counters[ID]
    assert (counters.cpu_ns, counters.usage_bytes) == (cpu * 1000, usage)
    assert counters.block == {"8:0": (read, 0)}
    assert counters.interfaces == (Interface("eth0", 0, 0, 0, 0, sent, 0, 0, 0),)
