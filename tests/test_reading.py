"""Whole answers, sweep after sweep: what the kernel counts when Docker is not asked, or silent."""

from dataclasses import replace

import pytest

from fleet.sources.state import VANISHED
from fleet.status import Phase, Status
from fleet.transport import Ended
from fleet.verdict import Verdict
from tests.answers import AT, UPTIME_S, Box, Sweep, answer, counted

A, B = Box("a"), Box("b", inode=71)
FIRST = Sweep((A, B))
LATER_A = replace(A, cpu_us=A.cpu_us + 150_000_000, bytes_in=A.bytes_in + 3000, read=A.read + 600)
NEXT = Sweep((LATER_A, B), uptime_s=UPTIME_S + 300, at=AT + 300)
GIVEN_UP = b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n"


def _ids(verdict: Verdict) -> list[str]:
    return [sample.id for sample in verdict.samples]


def _rates(verdict: Verdict, number: int = 0) -> tuple[float | None, ...]:
    one = verdict.samples[number]
    return one.window_s, one.cpu_percent, one.net_in_rate, one.block_in_rate


def test_without_docker_stats_or_a_memory():
    """Every figure but those of a window: CPU is null, not 0."""
    verdict = FIRST.judged()
    assert (verdict.status, verdict.phase, verdict.detail) == (Status.OK, None, None)
    assert (verdict.source, verdict.dropped) == ("kernel", 0)
    one, other = verdict.samples
    assert (one.id, other.id) == (A.id, B.id)
    assert (one.name, one.image, one.source) == ("box-a", "shop/box:1", "kernel")
    assert (one.memory_bytes, one.memory_limit_bytes, one.pids) == (2000.0, 8000.0, 6)
    assert (one.net_in_bytes, one.block_in_bytes, one.cpu_seconds) == (9000.0, 4096.0, 90.0)
    assert _rates(verdict) == (None,) * 4


def test_rates_since_the_last_sweep():
    """The window is that between two sweeps, by the node's own uptime."""
    verdict = NEXT.judged(FIRST.judged().seen)
    assert _rates(verdict) == (300.0, 50.0, 10.0, 2.0)
    assert _rates(verdict, 1) == (300.0, 0.0, 0.0, 0.0)


def test_rates_within_the_visit():
    """Where nothing is remembered, counters are read twice; the second figures count."""
    late = replace(A, cpu_us=A.cpu_us + 500_000, bytes_in=A.bytes_in + 4000)
    verdict = replace(FIRST, late=(late, B)).judged()
    assert _rates(verdict) == (2.0, 25.0, 2000.0, 0.0)
    assert verdict.samples[0].net_in_bytes == 13_000.0
    assert verdict.status is Status.OK


def test_memory_goes_before_the_window_within_the_visit():
    """All that happened since the last sweep, not two seconds of it."""
    verdict = replace(NEXT, late=(LATER_A, B)).judged(FIRST.judged().seen)
    assert _rates(verdict)[0] == 302.0


@pytest.mark.parametrize("rc", [124, 137, 143])
def test_hanging_daemon_with_a_memory(rc):
    """The containers of the last sweep have rows, others have none, and the reason stays."""
    stranger = Box("c", inode=72)
    silent = replace(NEXT, cgroups=(LATER_A, B, stranger), rc=rc)
    verdict = silent.judged(FIRST.judged().seen)
    assert (verdict.status, verdict.phase) == (Status.PARTIAL, Phase.DAEMON)
    assert verdict.detail == (
        "docker ps gave no answer within 5 s; what the kernel counts stands in"
    )
    assert _ids(verdict) == [A.id, B.id]
    assert (verdict.samples[0].name, verdict.samples[0].image) == ("box-a", "shop/box:1")
    assert _rates(verdict) == (300.0, 50.0, 10.0, 2.0)
    assert (verdict.source, verdict.states) == ("kernel", ())


@pytest.mark.parametrize("source", ["kernel", "docker"])
def test_stopped_daemon_with_a_memory(source):
    """A daemon that is down while its containers go on: the same, with what the tool said."""
    stats = () if source == "docker" else None
    silent = replace(NEXT, rc=1, source=source, stats=stats, stats_rc=1, late=(LATER_A, B))
    verdict = silent.judged(FIRST.judged().seen, stderr=GIVEN_UP)
    assert (verdict.status, verdict.phase) == (Status.PARTIAL, Phase.DAEMON)
    assert verdict.detail is not None
    assert verdict.detail.startswith("docker ps failed with exit status 1: Cannot connect")
    assert verdict.detail.endswith("; what the kernel counts stands in")
    assert _ids(verdict) == [A.id, B.id]
    assert (verdict.source, verdict.samples[0].net_in_rate) == ("kernel", 3000 / 302)


def test_silent_daemon_and_one_that_did_not_run_then():
    """Only what the last sweep counted stands in: of the others nobody knows that they run."""
    first = replace(FIRST, boxes=(A, replace(B, state="exited")), cgroups=(A,)).judged()
    assert _ids(replace(NEXT, rc=124).judged(first.seen)) == [A.id]


def test_silent_daemon_whose_containers_went():
    """Only what still has its cgroup has a row; with none left, the daemon is simply down."""
    seen = FIRST.judged().seen
    assert _ids(replace(NEXT, cgroups=(B,), rc=1).judged(seen)) == [B.id]
    none = replace(NEXT, cgroups=(), rc=1).judged(seen)
    assert (none.status, none.samples) == (Status.DOCKER_DOWN, ())


@pytest.mark.parametrize("rc", [1, 124])
def test_silent_daemon_without_a_memory(rc):
    """Nobody can tell whose the cgroups are, so there are no rows."""
    verdict = replace(NEXT, rc=rc).judged()
    assert (verdict.status, verdict.phase) == (Status.DOCKER_DOWN, Phase.DAEMON)
    assert (verdict.samples, verdict.source) == ((), None)
    assert verdict.detail is not None
    assert "stands in" not in verdict.detail


def test_daemon_that_denies_is_not_silent():
    """A login that may no longer ask is told so, without figures beside it."""
    denied = b"permission denied while trying to connect to the Docker daemon socket\n"
    verdict = replace(NEXT, rc=1).judged(FIRST.judged().seen, stderr=denied)
    assert (verdict.status, verdict.samples) == (Status.DOCKER_DENIED, ())


def test_silent_daemon_sweep_after_sweep():
    """What was remembered goes on being remembered, and the window is that of the last sweep."""
    first = FIRST.judged().seen
    silent = replace(NEXT, rc=124).judged(first)
    third = replace(NEXT, uptime_s=UPTIME_S + 360, at=AT + 360, rc=124).judged(silent.seen)
    assert _ids(third) == [A.id, B.id]
    assert _rates(third) == (60.0, 0.0, 0.0, 0.0)
    back = replace(NEXT, uptime_s=UPTIME_S + 420, at=AT + 420).judged(third.seen)
    assert (back.status, _rates(back)[0]) == (Status.OK, 60.0)
    assert not any(one.due for one in back.states)


@pytest.mark.parametrize("source", ["kernel", "docker"])
def test_docker_stats_hung_and_docker_ps_did_not(source):
    """All that is listed is counted; CPU is the kernel's, too."""
    hung = replace(FIRST, source=source, stats=(), stats_rc=124, late=(A, B))
    verdict = hung.judged(run_s=20.0)
    assert (verdict.status, verdict.phase) == (Status.PARTIAL, Phase.DAEMON)
    assert verdict.detail is not None
    assert verdict.detail.startswith("docker stats gave no answer within 20 s, though docker ps")
    assert verdict.detail.endswith("; what the kernel counts stands in")
    assert [sample.source for sample in verdict.samples] == ["kernel", "kernel"]
    assert (_rates(verdict), verdict.source) == ((2.0, 0.0, 0.0, 0.0), "kernel")


def test_container_that_docker_does_not_list_is_not_remembered_instead():
    """A daemon that answered docker ps said what there is: what it did not list has no row."""
    gone = replace(NEXT, boxes=(Box("c"),), cgroups=(LATER_A, B), stats=(), stats_rc=124)
    verdict = gone.judged(FIRST.judged().seen, run_s=20.0)
    assert (verdict.status, verdict.samples) == (Status.DOCKER_DOWN, ())


def test_kernel_that_cannot_be_seen():
    """Then docker stats is run after all, which is worth a word, and its figures are Docker's."""
    hidden = replace(FIRST, cgroups=(), stats=[A.measured(), B.measured()], late=())
    verdict = hidden.judged()
    assert (verdict.status, verdict.phase, verdict.source) == (Status.OK, None, "docker")
    assert verdict.detail == "the kernel's counters cannot be seen there: docker stats stands in"
    assert [sample.source for sample in verdict.samples] == ["docker", "docker"]
    assert replace(hidden, source="docker").judged().detail is None


def test_no_containers_are_no_hidden_ones():
    """A node without a container is well, without a word."""
    verdict = Sweep().judged()
    assert (verdict.status, verdict.detail, verdict.samples) == (Status.OK, None, ())
    assert verdict.source == "kernel"


def test_both_sources():
    """CPU of docker stats, and of everything else every byte."""
    both = replace(FIRST, source="docker", stats=[B.measured(), A.measured()], late=(A, B)).judged()
    assert (both.status, both.source) == (Status.OK, "docker+kernel")
    assert _ids(both) == [B.id, A.id]
    assert (both.samples[1].cpu_percent, both.samples[1].memory_bytes) == (1.5, 2000.0)
    assert both.samples[1].window_s == 2.0


def test_one_that_runs_and_is_not_counted():
    """It is named; nothing stands in for it."""
    verdict = replace(FIRST, cgroups=(A,)).judged()
    assert (verdict.status, verdict.phase) == (Status.PARTIAL, Phase.DAEMON)
    assert verdict.detail == "1 running but not measured: box-b"
    assert _ids(verdict) == [A.id]


def test_one_that_does_not_run_is_not_missed():
    """Of a stopped container there is a state, and no figure."""
    stopped = replace(B, state="exited")
    verdict = replace(FIRST, boxes=(A, stopped), cgroups=(A,)).judged()
    assert (verdict.status, verdict.detail, _ids(verdict)) == (Status.OK, None, [A.id])
    assert [one.state.state for one in verdict.states] == ["running", "exited"]


def test_cgroup_that_outlives_its_container():
    """What docker ps lists as ended has no figures, though its cgroup is still there."""
    verdict = replace(FIRST, boxes=(A, replace(B, state="exited"))).judged()
    assert (verdict.status, _ids(verdict)) == (Status.OK, [A.id])


def test_dashes_of_docker_stats_that_the_kernel_fills():
    """A row that is not lost is not counted as dropped."""
    dash = dict.fromkeys(("BlockIO", "CPUPerc", "MemPerc", "Name", "NetIO", "PIDs"), "--")
    rows = [A.measured(ID="", MemUsage="-- / --", **dash), B.measured()]
    verdict = replace(FIRST, source="docker", stats=rows, late=(A, B)).judged()
    assert (verdict.status, verdict.dropped) == (Status.OK, 0)
    assert _ids(verdict) == [B.id, A.id]
    assert [sample.source for sample in verdict.samples] == ["docker+kernel", "kernel"]


def test_counts_that_could_not_be_read_once():
    """The window then goes back to the last sweep that had them, of the same life."""
    seen = FIRST.judged().seen
    hidden = replace(NEXT, cgroups=(), stats=[A.measured(), B.measured()], late=())
    again = replace(NEXT, uptime_s=UPTIME_S + 600, at=AT + 600)
    assert _rates(again.judged(hidden.judged(seen).seen)) == (600.0, 25.0, 5.0, 1.0)
    anew = replace(hidden, boot_id="boot-2").judged(seen).seen
    assert anew is not None
    assert not anew.counted


def test_older_probe_leaves_the_memory_alone():
    """An answer without counters and states has nothing to remember."""
    stdout = answer(
        ("host", 0, ["uptime 5300.00", "cpus 4"]),
        ("tool", 0, ["/usr/bin/docker"]),
        ("ps1", 0, [A.listed]),
        ("stats", 0, [A.measured()]),
        ("clock", 0, ["uptime 5301.00"]),
        ("ps2", 0, [A.listed]),
    )
    verdict = NEXT.judged(FIRST.judged().seen, stdout=stdout.replace(b"@fleet 2", b"@fleet 1"))
    assert (verdict.status, _ids(verdict), verdict.seen) == (Status.OK, [A.id], None)
    assert verdict.states == ()


def test_node_without_inodes():
    """Whose cgroups cannot be told apart is not measured, and that is said."""
    lines = FIRST.stdout.decode().splitlines(keepends=True)
    stdout = "".join(line for line in lines if not line.startswith("   ")).encode()
    verdict = FIRST.judged(stdout=stdout)
    assert (verdict.status, verdict.samples) == (Status.PARTIAL, ())
    assert verdict.detail == "2 running but not measured: box-a, box-b"


def test_one_that_began_while_the_node_answered():
    """A container started in the second of the probe may have had no cgroup yet."""
    young = replace(B, started="2027-01-15T08:00:00Z")
    verdict = replace(FIRST, boxes=(A, young), cgroups=(A,)).judged()
    assert (verdict.status, _ids(verdict)) == (Status.OK, [A.id])


def test_one_that_ended_while_the_node_answered():
    """It is dropped, and counted as such."""
    text = FIRST.stdout.decode()
    head, mark, tail = text.partition("@fleet 2 B kernel2")
    tail = tail.replace(f"   {B.inode} {B.folder}\n", "")
    verdict = FIRST.judged(stdout=(head + mark + tail).encode())
    assert (verdict.status, _ids(verdict), verdict.dropped) == (Status.OK, [A.id], 1)


def test_reboot_between_sweeps():
    """Counters of another life are no beginning, though the container is the same."""
    verdict = replace(NEXT, boot_id="boot-2").judged(FIRST.judged().seen)
    assert _rates(verdict) == (None,) * 4
    assert verdict.samples[0].net_in_bytes == 12_000.0
    assert verdict.status is Status.OK


@pytest.mark.parametrize(
    "anew",
    [{"inode": 99}, {"started": "2026-11-02T10:00:00Z"}],
    ids=["another-cgroup", "same-inode"],
)
def test_restart_between_sweeps(anew):
    """A container that began anew has no rates, though it may have counted more by now."""
    verdict = replace(NEXT, boxes=(replace(LATER_A, **anew), B)).judged(FIRST.judged().seen)
    assert _rates(verdict) == (None,) * 4
    assert _rates(verdict, 1) == (300.0, 0.0, 0.0, 0.0)


def test_vanished_after_a_complete_listing():
    """Once, with the name that it had."""
    gone = replace(NEXT, boxes=(LATER_A,)).judged(FIRST.judged().seen)
    assert [(one.name, one.state.state) for one in gone.states if one.due] == [("box-b", VANISHED)]
    after = replace(NEXT, boxes=(LATER_A,), at=AT + 360).judged(gone.seen)
    assert [one.due for one in after.states] == [False]


@pytest.mark.parametrize(
    "lacking",
    [{"rc": 1}, {"rc": 124}, {"more_ps": ["[nonsense"]}],
    ids=["down", "hung", "a-bad-line"],
)
def test_nothing_vanishes_from_a_listing_that_may_lack_some(lacking):
    """What it does not name is remembered, and told as soon as that is sure."""
    seen = FIRST.judged().seen
    unsure = replace(NEXT, boxes=(LATER_A,), **lacking).judged(seen)
    assert VANISHED not in [one.state.state for one in unsure.states]
    sure = replace(NEXT, boxes=(LATER_A,), at=AT + 360).judged(unsure.seen)
    assert [one.name for one in sure.states if one.due] == ["box-b"]


def test_reboot_with_a_silent_daemon():
    """Old counts are dropped, so that none is taken for one of this life; names are kept."""
    first = FIRST.judged().seen
    silent = replace(NEXT, boot_id="boot-2", rc=124).judged(first)
    assert (silent.status, silent.samples) == (Status.DOCKER_DOWN, ())
    assert silent.seen is not None
    assert not silent.seen.counted
    assert [one.name for one in silent.seen.containers.values()] == ["box-a", "box-b"]
    back = replace(NEXT, boot_id="boot-2", uptime_s=UPTIME_S + 600).judged(silent.seen)
    assert _rates(back) == (None,) * 4
    assert back.samples[0].cpu_seconds == 240.0


def test_two_unknown_boot_ids_are_not_one_life():
    """Where a node does not say which start of its kernel this is, counters may be of any."""
    nameless = [replace(one, boot_id="") for one in (FIRST, NEXT)]
    first = nameless[0].judged()
    assert (first.status, len(first.samples)) == (Status.OK, 2)
    assert _rates(nameless[1].judged(first.seen)) == (None,) * 4
    silent = replace(nameless[1], rc=124).judged(first.seen)
    assert (silent.status, silent.samples) == (Status.DOCKER_DOWN, ())
    assert silent.seen is not None
    assert not silent.seen.counted


def test_answer_cut_off_in_the_second_reading():
    """What is there of it may lack a line, so the first reading stands, whole."""
    late = (replace(A, bytes_in=99_000), replace(B, bytes_in=99_000))
    whole = replace(FIRST, late=late).stdout
    begin = whole.index(b"@fleet 2 B kernel2")
    end = whole.index(b"@fleet 2 E kernel2")
    for length in range(begin + 20, end, 7):
        cut = replace(FIRST, late=late).judged(stdout=whole[:length], ended=Ended.LOST)
        assert (cut.status, cut.phase) == (Status.PARTIAL, Phase.PROBE)
        assert cut.detail == "the connection broke while the probe ran"
        assert [one.net_in_bytes for one in cut.samples] == [9000.0, 9000.0]
        assert [one.block_in_bytes for one in cut.samples] == [4096.0, 4096.0]


def test_answer_cut_off_in_the_first_reading():
    """Nothing is known of whose the cgroups are, and what was remembered stays."""
    seen = FIRST.judged().seen
    stdout = answer(
        ("host", 0, ["uptime 5300.00"]),
        ("node", 0, ["boot_id boot-1"]),
        ("kernel1", None, counted((A,), UPTIME_S + 300)),
    )
    verdict = NEXT.judged(seen, stdout=stdout, ended=Ended.TIMEOUT)
    assert (verdict.status, verdict.samples) == (Status.TIMEOUT, ())
    assert verdict.seen is not None
    assert verdict.seen.containers == seen.containers
