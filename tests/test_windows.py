"""Two counts of one container: what is a rate, and what is unknown."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.seen import Count
from fleet.windows import MIN_WINDOW_S, Window, between

OLD = Count(
    inode=77,
    uptime_s=1000.5,
    started="2026-11-01T10:00:00+00:00",
    cpu_ns=5_000_000_000,
    net={"eth0": (1000, 2000), "eth1": (10, 20)},
    block={"8:0": (4096, 8192)},
    net_inode=4001,
)
NEW = replace(
    OLD,
    uptime_s=1300.5,
    cpu_ns=455_000_000_000,
    net={"eth0": (4000, 2600), "eth1": (310, 20)},
    block={"8:0": (7096, 8192)},
)


def test_rates_are_by_the_nodes_uptime():
    """What was counted, through the seconds between; CPU in percent of one core."""
    assert between(OLD, NEW) == Window(300.0, 150.0, (11.0, 2.0), (10.0, 0.0))


def test_nothing_moved_is_nought():
    """A container that was idle has rates of 0, which is known."""
    idle = replace(OLD, uptime_s=1300.5)
    assert between(OLD, idle) == Window(300.0, 0.0, (0.0, 0.0), (0.0, 0.0))


def test_totals_far_apart_lose_no_byte():
    """The difference is taken of whole numbers, however large they are."""
    old = replace(OLD, net={"eth0": (10**19, 10**19)})
    new = replace(NEW, net={"eth0": (10**19 + 300, 10**19 + 3)})
    window = between(old, new)
    assert window is not None
    assert window.net == (1.0, 0.01)


@pytest.mark.parametrize(
    "old",
    [
        None,
        replace(OLD, inode=78),
        replace(OLD, started="2026-11-01T10:00:01+00:00"),
        replace(OLD, uptime_s=NEW.uptime_s),
        replace(OLD, uptime_s=NEW.uptime_s - MIN_WINDOW_S + 0.01),
        replace(OLD, uptime_s=NEW.uptime_s + 5000),
    ],
    ids=["no-count", "another-cgroup", "started-anew", "no-time", "too-near", "after"],
)
def test_no_window(old):
    """Counts that are not of one run of one container, or too near, have no window."""
    assert between(old, NEW) is None


@pytest.mark.parametrize("known", ["old", "new", "none"])
def test_unknown_start_is_no_other_start(known):
    """Where a start is not known on one side, the cgroup alone tells."""
    old = OLD if known == "old" else replace(OLD, started=None)
    new = NEW if known == "new" else replace(NEW, started=None)
    window = between(old, new)
    assert window is not None
    assert window.seconds == 300.0


def test_shortest_window_counts():
    """A second of sleep is enough, though the clock's steps may have made it a little shorter."""
    old = replace(OLD, uptime_s=1000.0, cpu_ns=0)
    window = between(old, replace(NEW, uptime_s=1000.96, cpu_ns=480_000_000))
    assert window is not None
    assert window.cpu_percent == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("changed", "unknown"),
    [
        ({"cpu_ns": OLD.cpu_ns - 1}, {"cpu_percent"}),
        ({"cpu_ns": None}, {"cpu_percent"}),
        ({"net": None}, {"net"}),
        ({"net": {"eth0": (999, 9000), "eth1": (310, 20)}}, {"net"}),
        ({"net": {"eth0": (99_000, 9000), "eth1": (9, 20)}}, {"net"}),
        ({"net": {"eth0": (99_000, 9000), "eth1": (10, 19)}}, {"net"}),
        ({"net": {"eth0": (4000, 2600)}}, {"net"}),
        ({"net": {**NEW.net, "eth2": (5, 5)}}, {"net"}),
        ({"net": {"eth0": (4000, 2600), "eth2": (310, 20)}}, {"net"}),
        ({"block": None}, {"block"}),
        ({"block": {}}, {"block"}),
        ({"block": {"8:16": (9000, 9000)}}, {"block"}),
        ({"block": {"8:0": (4095, 9000)}}, {"block"}),
        ({"block": {"8:0": (9000, 8191), "8:16": (9000, 9000)}}, {"block"}),
    ],
    ids=[
        "cpu-went-back",
        "no-cpu-now",
        "no-network-now",
        "one-way-went-back",
        "went-back-hidden-in-the-sum",
        "one-way-of-one-hidden-in-the-sum",
        "interface-went",
        "interface-came",
        "interface-renamed",
        "no-block-now",
        "device-vanished",
        "device-replaced",
        "device-went-back",
        "went-back-hidden-by-a-new-device",
    ],
)
def test_what_cannot_be_known_is_null(changed, unknown):
    """One counter that went back, or one that came or went, costs its own rate and no other."""
    window = between(OLD, replace(NEW, **changed))
    whole = between(OLD, NEW)
    assert window == replace(whole, **dict.fromkeys(unknown))


@pytest.mark.parametrize("field", ["cpu_ns", "net", "block"])
def test_what_was_not_known_before_is_null(field):
    """A first figure has no rate yet."""
    window = between(replace(OLD, **{field: None}), NEW)
    name = "cpu_percent" if field == "cpu_ns" else field
    assert window == replace(between(OLD, NEW), **{name: None})


def test_device_that_is_new_brings_no_totals():
    """The cgroup had moved nothing there before, so all of it is of this window."""
    new = replace(NEW, block={"8:0": (4096, 8192), "259:1": (600, 3000)})
    window = between(OLD, new)
    assert window is not None
    assert window.block == (2.0, 10.0)


NUMBERS = st.integers(0, 10**20 - 1)
PAIRS = st.none() | st.dictionaries(
    st.sampled_from(("eth0", "eth1", "8:0")), st.tuples(NUMBERS, NUMBERS), max_size=3
)
COUNTS = st.builds(
    Count,
    inode=st.integers(1, 2),
    uptime_s=st.floats(0, 1e12),
    started=st.sampled_from((None, "a", "b")),
    cpu_ns=st.none() | NUMBERS,
    net=PAIRS,
    block=PAIRS,
)


@given(COUNTS, COUNTS)
def test_never_negative_nor_endless(old, new):
    """Whatever two counts say, each rate is unknown, or a finite number from 0 on."""
    window = between(old, new)
    if window is None:
        return
    assert window.seconds >= MIN_WINDOW_S
    for figure in (window.cpu_percent, *(window.net or ()), *(window.block or ())):
        assert figure is None or (math.isfinite(figure) and figure >= 0)
