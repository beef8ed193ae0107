"""The kernel's counters beside docker stats: every rule by which a figure is true or null."""

from dataclasses import replace

import pytest

from fleet.exact import Ground, Known, exact
from fleet.seen import Count
from fleet.sources import Sample
from fleet.sources.kernel import Counters, Interface, Reading

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
OWN = 4000
FACE = Interface("eth0", 5_000_000_000_123, 10, 1, 2, 7_000_000_000_456, 20, 3, 4)
COUNTERS = Counters(
    uptime_s=1000.0,
    inode=70,
    pid=900,
    cpu_ns=90_000_000_000,
    usage_bytes=3000,
    inactive_file_bytes=1000,
    limit_bytes=8000,
    peak_bytes=5000,
    pids=6,
    throttled_ns=500_000_000,
    oom_kills=2,
    block={"8:0": (4096, 8192), "8:16": (1, 2)},
    net_inode=4001,
    interfaces=(FACE,),
)
LATER = replace(COUNTERS, uptime_s=1002.0, cpu_ns=92_000_000_000)
KNOWN = Known(A, "web", "shop/web:1", "web", "bridge")
DOCKER = Sample(
    A, "web", "shop/web:1", "web", 12.5, 1990.0, 8000.0, 24.88, 6, 5e12, 7e12, 4100.0, 8190.0
)


def _reading(counters, version=2, **changed) -> Reading:
    """A section, complete, of counters by full id."""
    networks = {one.net_inode: one.interfaces for one in counters.values() if one.interfaces}
    whole = Reading(
        version,
        max((one.uptime_s for one in counters.values()), default=1000.0),
        counters,
        {id: one.inode for id, one in counters.items() if one.inode},
        {one.pid: one.net_inode for one in counters.values() if one.pid and one.net_inode},
        networks,
        OWN,
    )
    return replace(whole, **changed)


def _seal(reading: Reading, **changed) -> Reading:
    """What says of a reading that all its cgroups are still there, and the same."""
    return replace(reading, version=None, counters={}, networks={}, **changed)


def _sealed(counters, version=2, **more) -> Ground:
    first = _reading(counters, version)
    return Ground(first, _seal(first), 16_000, "boot-1", **more)


def _twice(early, late, version=2, **more) -> Ground:
    first, second = (_reading(counters, version) for counters in (early, late))
    return Ground(first, second, 16_000, "boot-1", **more)


def _listed(id: str, networks: str | None = "bridge") -> Known:
    """A container that is listed by this id."""
    return Known(id, id[:3], "shop/web:1", None, networks)


def _one(ground: Ground, known: Known = KNOWN, docker: Sample | None = None) -> Sample:
    (sample,) = exact([known], [docker] if docker else [], ground).samples
    return sample


def test_every_figure_without_docker_stats():
    """A container that is listed and counted has a row of its own, all of it the kernel's."""
    found = exact([KNOWN], [], _sealed({A: COUNTERS}))
    assert found.samples == (
        Sample(
            A,
            "web",
            "shop/web:1",
            "web",
            cpu_percent=None,
            memory_bytes=2000.0,
            memory_limit_bytes=8000.0,
            memory_percent=25.0,
            pids=6,
            net_in_bytes=5_000_000_000_123.0,
            net_out_bytes=7_000_000_000_456.0,
            block_in_bytes=4097.0,
            block_out_bytes=8194.0,
            source="kernel",
            cpu_seconds=90.0,
            throttled_seconds=0.5,
            net_packets_in=10,
            net_packets_out=20,
            net_errors=4,
            net_drops=6,
            oom_kills=2,
            memory_peak_bytes=5000.0,
        ),
    )
    assert found.counts == {
        A: Count(
            70,
            1000.0,
            None,
            90_000_000_000,
            {"eth0": (5_000_000_000_123, 7_000_000_000_456)},
            {"8:0": (4096, 8192), "8:16": (1, 2)},
            4001,
        )
    }
    assert found.gone == frozenset()


def test_exact_beside_docker_stats():
    """Docker's CPU stays; what three digits say of the rest gives way to every byte."""
    sample = _one(_twice({A: COUNTERS}, {A: LATER}), docker=DOCKER)
    assert (sample.source, sample.cpu_percent) == ("docker+kernel", 12.5)
    assert (sample.memory_bytes, sample.memory_percent) == (2000.0, 25.0)
    assert (sample.net_in_bytes, sample.net_out_bytes) == (5_000_000_000_123.0, 7_000_000_000_456.0)
    assert (sample.block_in_bytes, sample.block_out_bytes) == (4097.0, 8194.0)
    assert (sample.window_s, sample.net_in_rate, sample.cpu_seconds) == (2.0, 0.0, 92.0)


def test_cpu_of_the_window_where_docker_has_none():
    """Between two readings CPU is known without Docker; with it, Docker's stands."""
    ground = _twice({A: COUNTERS}, {A: LATER})
    assert _one(ground).cpu_percent == 100.0
    sample = _one(ground, docker=replace(DOCKER, cpu_percent=None))
    assert (sample.cpu_percent, sample.source) == (100.0, "kernel")


def test_foreign_cgroups_are_passed_over():
    """Containers of another engine are counted by the same kernel, and are none of ours."""
    other = replace(COUNTERS, inode=71, pid=901, net_inode=4002)
    found = exact([KNOWN], [DOCKER], _sealed({A: COUNTERS, B: other}))
    assert [sample.id for sample in found.samples] == [A]
    assert set(found.counts) == {A}
    assert exact([], [], _sealed({A: COUNTERS})).samples == ()


def test_row_of_docker_stats_alone_stands_as_it_is():
    """Of a container without counters, and of one that was not listed, Docker's figures count."""
    ground = _sealed({A: COUNTERS})
    docker = replace(DOCKER, id=B)
    assert exact([_listed(B)], [docker], ground).samples == (docker,)
    assert exact([], [DOCKER], ground).samples == (DOCKER,)
    assert exact([KNOWN], [DOCKER], Ground(Reading(), None)).samples == (DOCKER,)


def test_order():
    """Docker's rows in Docker's order, then the others as they are listed."""
    counters = {
        id: replace(COUNTERS, inode=number, pid=number, net_inode=number)
        for number, id in enumerate((A, B, C), 70)
    }
    known = [_listed(id) for id in (C, B, A)]
    found = exact(known, [replace(DOCKER, id=B)], _sealed(counters))
    assert [sample.id for sample in found.samples] == [B, C, A]
    assert [sample.source for sample in found.samples] == ["docker+kernel", "kernel", "kernel"]


@pytest.mark.parametrize(
    ("networks", "ours"),
    [("bridge", True), ("shop_default", True), ("host", False), ("none", False), ("", False)],
)
def test_only_a_network_of_its_own_counts(networks, ours):
    """One that is another container's, the node's or none at all has no figures, not even 0."""
    sample = _one(_sealed({A: COUNTERS}), KNOWN._replace(networks=networks))
    network = (sample.net_in_bytes, sample.net_out_bytes, sample.net_packets_in, sample.net_errors)
    assert network == ((5_000_000_000_123.0, 7_000_000_000_456.0, 10, 4) if ours else (None,) * 4)
    assert sample.memory_bytes == 2000.0


def test_shared_network_counts_once():
    """For the container whose network it is; whichever of the two the node printed it for."""
    guest = replace(COUNTERS, inode=71, pid=901, interfaces=(FACE,))
    owner = replace(COUNTERS, interfaces=None)
    known = [_listed(A), _listed(B, "")]
    for counters in ({A: owner, B: guest}, {B: guest, A: owner}):
        first, second = exact(known, [], _sealed(counters)).samples
        assert first.net_in_bytes == 5_000_000_000_123.0
        assert second.net_in_bytes is None


def test_the_nodes_own_network_is_nobodys():
    """Not even where the daemon names a network."""
    sample = _one(_sealed({A: replace(COUNTERS, net_inode=OWN)}))
    assert (sample.net_in_bytes, sample.net_packets_in) == (None, None)


@pytest.mark.parametrize(
    ("networks", "names", "expected"),
    [
        ("front", ("eth0",), FACE.bytes_in),
        ("front,back", ("eth0", "eth1"), 2 * FACE.bytes_in),
        ("front", ("eth0", "tun0"), FACE.bytes_in),
        ("front", ("eth0", "eth1"), 2 * FACE.bytes_in),
        ("front,back", ("eth0",), None),
        ("front,back", ("eth0", "wg0"), None),
        ("front", ("ens3",), None),
        ("front", (), None),
    ],
)
def test_interfaces_that_docker_counts(networks, names, expected):
    """The sum of all `eth`; where there are fewer than networks, others' names hide some."""
    faces = tuple(replace(FACE, name=name) for name in names)
    first = _reading({A: replace(COUNTERS, interfaces=faces)}, networks={4001: faces})
    known = KNOWN._replace(networks=networks)
    assert _one(Ground(first, _seal(first)), known).net_in_bytes == expected
    sample = _one(Ground(first, _seal(first)), known, DOCKER)
    if expected is None:  # Docker may know more
        assert (sample.net_in_bytes, sample.source) == (5e12, "docker+kernel:memory,pids,block")


def test_pid_that_is_another_processs_by_now():
    """Its network is not that of the container."""
    first = _reading({A: COUNTERS})
    sample = _one(Ground(first, _seal(first, net_inodes={900: 4999})))
    assert sample.net_in_bytes is None
    assert sample.memory_bytes == 2000.0


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({"net_in_bytes": 5.02e12}, "docker+kernel"),
        ({"net_in_bytes": 4.98e12}, "docker+kernel"),
        ({"net_in_bytes": 5.04e12}, "docker+kernel:memory,pids,block"),
        ({"net_in_bytes": 4.96e12}, "docker+kernel:memory,pids,block"),
        ({"net_out_bytes": 0.0}, "docker+kernel:memory,pids,block"),
        ({"block_in_bytes": 9999.0}, "docker+kernel:memory,pids,net"),
        ({"block_out_bytes": 0.0}, "docker+kernel:memory,pids,net"),
        ({"net_in_bytes": 0.0, "block_in_bytes": 0.0}, "docker+kernel:memory,pids"),
    ],
)
def test_docker_stands_outside_the_two_readings(said, source):
    """What was said between two readings, and cannot be what they count, is of something else."""
    docker = replace(DOCKER, **said)
    sample = _one(_twice({A: COUNTERS}, {A: LATER}), docker=docker)
    assert sample.source == source
    for name in ("net", "block"):
        ours = source == "docker+kernel" or name in source
        assert (getattr(sample, f"{name}_in_rate") is not None) == ours
        for field in (f"{name}_in_bytes", f"{name}_out_bytes"):
            assert (getattr(sample, field) == getattr(docker, field)) == (not ours)
    if "net" not in source.partition(":")[2] and source != "docker+kernel":
        assert (sample.net_packets_in, sample.net_errors) == (None, None)


def test_docker_between_two_readings_that_are_far_apart():
    """A figure of any moment between them agrees."""
    late = replace(LATER, interfaces=(replace(FACE, bytes_in=6 * 10**12),))
    for said in (5e12, 5.5e12, 6e12):
        docker = replace(DOCKER, net_in_bytes=said)
        sample = _one(_twice({A: COUNTERS}, {A: late}), docker=docker)
        assert sample.net_in_bytes == 6e12
        assert sample.net_in_rate == (10**12 - 123) / 2


NO_BLOCK = ({}, {"8:0": (0, 0)}, {"8:0": (0, 0), "8:16": (0, 0)})


@pytest.mark.parametrize("block", NO_BLOCK)
def test_version_1_that_counts_no_block(block):
    """Where no container has a byte, 0 is not a figure, neither the kernel's nor Docker's."""
    ground = _twice({A: replace(COUNTERS, block=block)}, {A: replace(LATER, block=block)}, 1)
    for docker in (None, replace(DOCKER, block_in_bytes=0.0, block_out_bytes=0.0)):
        found = exact([KNOWN], [docker] if docker else [], ground)
        (sample,) = found.samples
        assert (sample.block_in_bytes, sample.block_out_bytes) == (None, None)
        assert (sample.block_in_rate, found.counts[A].block) == (None, None)
        assert sample.source == ("docker+kernel" if docker else "kernel")
    unlisted = exact([], [replace(DOCKER, block_in_bytes=0.0, block_out_bytes=0.0)], ground)
    assert unlisted.samples[0].block_in_bytes is None
    said = _one(ground, docker=DOCKER)
    assert (said.block_in_bytes, said.source) == (4100.0, "docker+kernel:memory,pids,net")


@pytest.mark.parametrize("block", NO_BLOCK)
def test_version_1_that_counts_another_containers_block(block):
    """Where one container of the node has a byte, 0 is a figure for the others."""
    idle = replace(COUNTERS, block=block)
    other = replace(COUNTERS, inode=71, pid=901, net_inode=4002, block={"8:0": (0, 1)})
    sample = _one(_sealed({A: idle, B: other}, 1))
    assert (sample.block_in_bytes, sample.block_out_bytes) == (0.0, 0.0)


def test_version_2_without_a_byte():
    """There, a container that moved none has 0; without its file, nothing is known."""
    assert _one(_sealed({A: replace(COUNTERS, block={})})).block_in_bytes == 0.0
    assert _one(_sealed({A: replace(COUNTERS, block=None)})).block_in_bytes is None


@pytest.mark.parametrize(
    ("changed", "node", "expected"),
    [
        ({}, 16_000, (2000.0, 8000.0, 25.0)),
        ({}, 4000, (2000.0, 4000.0, 50.0)),
        ({}, None, (2000.0, 8000.0, 25.0)),
        ({"limit_bytes": None}, 16_000, (2000.0, 16_000.0, 12.5)),
        ({"limit_bytes": None}, None, (None, None, None)),
        ({"inactive_file_bytes": 3000}, 16_000, (3000.0, 8000.0, 37.5)),
        ({"inactive_file_bytes": 0}, 16_000, (3000.0, 8000.0, 37.5)),
        ({"inactive_file_bytes": None}, 16_000, (None, None, None)),
        ({"usage_bytes": None}, 16_000, (None, None, None)),
    ],
)
def test_memory_by_dockers_formula(changed, node, expected):
    """Usage less inactive file pages, of the limit or of all that the node has."""
    first = _reading({A: replace(COUNTERS, **changed)})
    ground = Ground(first, _seal(first), node)
    sample = _one(ground)
    assert (sample.memory_bytes, sample.memory_limit_bytes, sample.memory_percent) == expected
    sample = _one(ground, docker=DOCKER)
    docker = (1990.0, 8000.0, 24.88)
    theirs = docker if expected[0] is None else expected
    assert (sample.memory_bytes, sample.memory_limit_bytes, sample.memory_percent) == theirs
