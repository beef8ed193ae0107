"""Counters and lives of containers: gone, begun anew, cut off, counted in earlier sweeps."""

from dataclasses import replace

import pytest

from fleet.exact import Ground, Known, exact, source_of
from fleet.seen import Count, Seen, SeenContainer
from fleet.sources import Sample
from fleet.sources.kernel import Counters, Interface, Reading
from fleet.windows import between

A, B = ("a" * 64, "b" * 64)
OWN = 4000
FACE = Interface("eth0", 9000, 10, 0, 0, 6000, 20, 0, 0)
COUNTERS = Counters(
    uptime_s=1000.0,
    inode=70,
    pid=900,
    cpu_ns=90_000_000_000,
    usage_bytes=3000,
    inactive_file_bytes=1000,
    limit_bytes=8000,
    pids=6,
    block={"8:0": (4096, 8192)},
    net_inode=4001,
    interfaces=(FACE,),
)
LATER = replace(COUNTERS, uptime_s=1002.0, cpu_ns=91_000_000_000)
KNOWN = Known(A, "web", "shop/web:1", "web", "bridge")
DOCKER = Sample(A, "web", None, None, 12.5, 1990.0, 8000.0, 24.88, 6, 9e3, 6e3, 4100.0, 8190.0)
OLD = Count(70, 700.0, None, 60_000_000_000, {"eth0": (3000, 6000)}, {"8:0": (4096, 5192)}, 4001)
WHOLE = Reading(
    2, 1000.0, {A: COUNTERS}, {A: 70}, {900: 4001}, {4001: (FACE,)}, OWN
)  # of one container
SEAL = Reading(None, 1000.5, {}, {A: 70}, {900: 4001}, {}, OWN)
SECOND = replace(WHOLE, uptime_s=1002.0, counters={A: LATER})


def _seen(count: Count | None = OLD, boot_id: str | None = "boot-1") -> Seen:
    return Seen(1e9, boot_id, {A: SeenContainer("web", count=count)})


def _ground(first=WHOLE, second=SEAL, *, boot_id="boot-1", started=None, seen=None) -> Ground:
    return Ground(first, second, 16_000, boot_id, started, seen)


def _rates(sample: Sample) -> tuple[float | None, ...]:
    return (
        sample.window_s,
        sample.cpu_percent,
        sample.net_in_rate,
        sample.net_out_rate,
        sample.block_in_rate,
        sample.block_out_rate,
    )


NO_RATES = (None,) * 6


@pytest.mark.parametrize("inodes", [{}, {A: 71}, {B: 70}], ids=["gone", "anew", "other"])
def test_seal_that_lacks_a_container(inodes):
    """It was gone, or begun anew, while it was read: no row of half a life."""
    other = replace(COUNTERS, inode=70, pid=901, net_inode=4002)
    first = replace(WHOLE, counters={A: COUNTERS, B: other}, inodes={A: 70, B: 70})
    found = exact([KNOWN], [], _ground(first, replace(SEAL, inodes=inodes)))
    assert (found.samples, found.counts, found.gone) == ((), {}, {A})
    assert exact([KNOWN], [DOCKER], _ground(first, replace(SEAL, inodes=inodes))).samples == (
        DOCKER,
    )


def test_seal_of_a_node_whose_only_container_went():
    """Nothing but the node's own network is left in it, which is enough to tell."""
    found = exact([KNOWN], [], _ground(second=Reading(None, 1000.5, own_net_inode=OWN)))
    assert (found.samples, found.gone) == ((), {A})


def test_seal_that_tells_nothing():
    """Where ls(1) did not answer, not even for the node's own network, the counters stand."""
    found = exact([KNOWN], [], _ground(second=Reading(None, 1000.5)))
    assert [sample.source for sample in found.samples] == ["kernel"]


@pytest.mark.parametrize("docker", [(), (DOCKER,)])
def test_answer_that_ended_before_the_second_reading(docker):
    """What was counted first stands; there is no window, and no start to remember."""
    started = {A: "2026-11-01T10:00:00+00:00"}
    found = exact([KNOWN], docker, _ground(second=None, started=started))
    (sample,) = found.samples
    assert (sample.memory_bytes, sample.net_in_bytes, sample.window_s) == (2000.0, 9000.0, None)
    assert found.counts[A].started is None
    assert found.gone == frozenset()


def test_gone_between_two_whole_readings():
    """A cgroup that cannot be read a second time has no row of the kernel's."""
    nothing = Counters(uptime_s=1002.0)
    second = replace(SECOND, counters={A: nothing}, inodes={}, net_inodes={}, networks={})
    found = exact([KNOWN], [], _ground(second=second))
    assert (found.samples, found.counts, found.gone) == ((), {}, {A})
    assert exact([KNOWN], [DOCKER], _ground(second=second)).samples == (DOCKER,)


def test_gone_while_it_was_read():
    """An inode that was seen before the files were gone is no figure."""
    nothing = Counters(uptime_s=1000.0, inode=70)
    first = replace(WHOLE, counters={A: nothing}, networks={})
    assert exact([KNOWN], [], _ground(first)).gone == {A}
    assert exact([KNOWN], [], _ground(first, None)).gone == {A}


@pytest.mark.parametrize("second", [SEAL, None])
def test_cgroup_without_a_process(second):
    """It has ended, though its cgroup is still there: its last figures are none of now."""
    ended = replace(WHOLE, counters={A: replace(COUNTERS, pids=0)})
    found = exact([KNOWN], [], _ground(ended, second, seen=_seen()))
    assert (found.samples, found.counts, found.gone) == ((), {}, {A})
    unknown = replace(WHOLE, counters={A: replace(COUNTERS, pids=None)})
    (sample,) = exact([KNOWN], [], _ground(unknown, second)).samples
    assert (sample.pids, sample.memory_bytes) == (None, 2000.0)


def test_gone_before_its_inode_was_read():
    """Figures of a cgroup that nobody can tell from the next one are none."""
    unknown = replace(COUNTERS, inode=None)
    for second in (None, SEAL, replace(SEAL, inodes={B: 71})):
        found = exact([KNOWN], [], _ground(replace(WHOLE, counters={A: unknown}), second))
        assert (found.samples, found.counts, found.gone) == ((), {}, {A})


def test_no_inode_could_be_read():
    """Without ls(1) there are no figures; yet nobody says that the container is gone."""
    blind = Reading(2, 1000.0, {A: replace(COUNTERS, inode=None)})
    found = exact([KNOWN], [], _ground(blind, Reading(None, 1000.5)))
    assert (found.samples, found.counts, found.gone) == ((), {}, frozenset())
    assert exact([KNOWN], [DOCKER], _ground(blind)).samples == (DOCKER,)
    other = replace(blind, inodes={B: 71})
    assert exact([KNOWN], [], _ground(other, None)).gone == {A}


def test_begun_anew_beside_docker_stats():
    """What docker stats says is not measured by the cgroup that was there before."""
    few = (replace(FACE, bytes_in=90),)
    anew = replace(LATER, inode=71, net_inode=4002, pid=901, interfaces=few)
    second = replace(SECOND, counters={A: anew}, inodes={A: 71}, networks={4002: few})
    second = replace(second, net_inodes={901: 4002})
    docker = replace(DOCKER, net_in_bytes=90.0)
    (sample,) = exact([KNOWN], [docker], _ground(second=second)).samples
    assert (sample.source, sample.net_in_bytes) == ("docker+kernel", 90.0)


def test_begun_anew_between_two_whole_readings():
    """Its new life counts from its own beginning, and has no window over the old one."""
    anew = replace(LATER, inode=71, cpu_ns=99_000_000_000)
    second = replace(SECOND, counters={A: anew}, inodes={A: 71})
    started = {A: "2026-11-01T10:00:00+00:00"}
    found = exact([KNOWN], [], _ground(second=second, started=started, seen=_seen()))
    (sample,) = found.samples
    assert (sample.cpu_seconds, *_rates(sample)) == (99.0, *NO_RATES)
    assert (found.counts[A].inode, found.counts[A].started) == (71, None)


def test_begun_after_the_first_reading():
    """A container that only the second reading has is counted by it."""
    first = Reading(2, 1000.0, own_net_inode=OWN)
    (sample,) = exact([KNOWN], [], _ground(first, SECOND)).samples
    assert (sample.source, sample.cpu_seconds, sample.window_s) == ("kernel", 91.0, None)


def test_rates_since_the_last_sweep():
    """By the node's own seconds between; CPU of them where Docker says none."""
    found = exact([KNOWN], [], _ground(seen=_seen()))
    assert _rates(found.samples[0]) == (300.0, 10.0, 20.0, 0.0, 0.0, 10.0)
    assert found.samples[0].source == "kernel"


def test_last_sweep_goes_before_the_visits_own_window():
    """The longer window, with all that happened since; the shorter one where there is no other."""
    (sample,) = exact([KNOWN], [], _ground(second=SECOND, seen=_seen())).samples
    assert (sample.window_s, sample.cpu_percent) == (302.0, pytest.approx(31 / 302 * 100))
    (sample,) = exact([KNOWN], [], _ground(second=SECOND)).samples
    assert _rates(sample) == (2.0, 50.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("seen", "boot_id"),
    [
        (_seen(boot_id="boot-0"), "boot-1"),
        (_seen(boot_id=None), "boot-1"),
        (_seen(), None),
        (_seen(boot_id=None), None),
        (_seen(None), "boot-1"),
        (_seen(replace(OLD, inode=71)), "boot-1"),
        (_seen(replace(OLD, uptime_s=1000.0)), "boot-1"),
        (Seen(1e9, "boot-1", {B: SeenContainer("web", count=OLD)}), "boot-1"),
    ],
    ids=["boot", "unknown-then", "unknown-now", "unknown", "none", "anew", "near", "another"],
)
def test_no_rate_over_another_life(seen, boot_id):
    """What was counted of another kernel, cgroup or container says nothing of this one."""
    (sample,) = exact([KNOWN], [], _ground(seen=seen, boot_id=boot_id)).samples
    assert _rates(sample) == NO_RATES
    assert sample.net_in_bytes == 9000.0


def test_restart_that_kept_the_inode():
    """The number of a cgroup may be given again: the container's start tells."""
    was, now = "2026-11-01T10:00:00+00:00", "2026-11-02T10:00:00+00:00"
    seen = _seen(replace(OLD, started=was))
    found = exact([KNOWN], [], _ground(started={A: now}, seen=seen))
    assert _rates(found.samples[0]) == NO_RATES
    assert found.counts[A].started == now
    found = exact([KNOWN], [], _ground(started={A: was}, seen=seen))
    assert found.samples[0].window_s == 300.0


def test_start_is_remembered_while_nobody_tells_it():
    """With a silent daemon the start that an earlier sweep knew is still that of this cgroup."""
    seen = _seen(replace(OLD, started="2026-11-01T10:00:00+00:00"))
    found = exact([KNOWN], [], _ground(seen=seen))
    assert found.counts[A].started == "2026-11-01T10:00:00+00:00"
    other = _seen(replace(OLD, inode=71, started="2026-11-01T10:00:00+00:00"))
    assert exact([KNOWN], [], _ground(seen=other)).counts[A].started is None


@pytest.mark.parametrize(
    ("net", "expected"),
    [({"eth0": (3000, 6000)}, 9000.0), ({"eth0": (0, 0), "eth1": (0, 0)}, None), (None, None)],
)
def test_networks_that_no_daemon_names(net, expected):
    """As many interfaces as the last sweep counted are its own; where that counted none, none."""
    seen = _seen(replace(OLD, net=net))
    (sample,) = exact([KNOWN._replace(networks=None)], [], _ground(seen=seen)).samples
    assert sample.net_in_bytes == expected
    assert exact([KNOWN._replace(networks=None)], [], _ground()).samples[0].net_in_bytes is None


def test_figures_that_cannot_be():
    """Counts that no LONG holds are null."""
    huge = (replace(FACE, packets_in=2**63, errors_in=2**62, errors_out=2**62),)
    odd = replace(COUNTERS, pids=2**63, oom_kills=2**63, interfaces=huge)
    first = replace(WHOLE, counters={A: odd}, networks={4001: huge})
    (sample,) = exact([KNOWN], [], _ground(first)).samples
    assert (sample.pids, sample.oom_kills, sample.net_packets_in) == (None, None, None)
    assert (sample.net_errors, sample.net_packets_out) == (None, 20)


def test_network_rate_stands_with_the_network():
    """Where Docker's totals stand because they disagree, no rate of the kernel's is beside them."""
    docker = replace(DOCKER, net_in_bytes=5e9)
    (sample,) = exact([KNOWN], [docker], _ground(second=SECOND, seen=_seen())).samples
    assert (sample.net_in_bytes, sample.net_in_rate, sample.net_out_rate) == (5e9, None, None)
    assert sample.block_out_rate == pytest.approx(3000 / 302)


def test_counts_of_one_sweep_serve_the_next():
    """What is remembered is what the next sweep takes its window from."""
    first = exact([KNOWN], [], _ground()).counts[A]
    later = replace(WHOLE, counters={A: replace(COUNTERS, uptime_s=1060.0, cpu_ns=93 * 10**9)})
    (sample,) = exact([KNOWN], [], _ground(later, seen=_seen(first))).samples
    assert _rates(sample) == (60.0, 5.0, 0.0, 0.0, 0.0, 0.0)
    window = between(first, replace(first, uptime_s=1060.0))
    assert window is not None
    assert window.cpu_percent == 0.0


KERNEL = {"memory_bytes": 1.0, "pids": 1, "net_in_bytes": 1.0, "block_in_bytes": 1.0}
NONE = Sample(A, "web")


@pytest.mark.parametrize(
    ("base", "figures", "source"),
    [
        (NONE, KERNEL, "kernel"),
        (NONE, {}, "kernel"),
        (NONE, {"memory_bytes": 1.0}, "kernel"),
        (NONE, {**KERNEL, "cpu_percent": 1.0}, "kernel"),
        (DOCKER, {}, "docker"),
        (DOCKER, {"cpu_seconds": 1.0}, "docker"),
        (DOCKER, KERNEL, "docker+kernel"),
        (replace(NONE, cpu_percent=1.0), {"pids": 1}, "docker+kernel"),
        (replace(NONE, cpu_percent=1.0), {}, "docker"),
        (DOCKER, {"memory_bytes": 1.0, "pids": 1}, "docker+kernel:memory,pids"),
        (DOCKER, {"block_in_bytes": 1.0, "memory_bytes": 1.0}, "docker+kernel:memory,block"),
        (replace(DOCKER, cpu_percent=None), {"pids": 1}, "docker+kernel:pids"),
        (
            replace(DOCKER, net_in_bytes=None),
            {"pids": 1, "cpu_percent": 1.0},
            "docker+kernel:cpu,pids",
        ),
    ],
)
def test_source_says_whose_figures_these_are(base, figures, source):
    """One word where one is all, and by name what is the kernel's where more than CPU is not."""
    assert source_of(base, figures) == source
