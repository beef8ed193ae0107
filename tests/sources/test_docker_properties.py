"""What holds of every line: Docker's own rendering is read back, and nothing else ever raises."""

import json
import math
from dataclasses import asdict, astuple, fields
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sources import Sample, docker
from fleet.sources.docker import (
    Figures,
    LineError,
    Listed,
    measure,
    parse_ps,
    parse_ps_line,
    parse_size,
    parse_stats_line,
)
from tests.sources.docker_prints import (
    BINARY,
    DECIMAL,
    bytes_size,
    dashes_line,
    exact,
    half_digit,
    human_size,
    percent,
    ps_line,
    stats_line,
    zero_line,
)

unhurried = settings(deadline=None)  # other work on the machine is no failure of the parser
NAMES = [field.name for field in fields(Sample)]
MEASUREMENTS = NAMES[4 : NAMES.index("source")]
OF_THE_KERNEL = NAMES[NAMES.index("source") + 1 :]

# Counters are sums of unsigned 64-bit ones, turned into floats before they are printed.
counters = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**20),
    st.builds(
        lambda power, factor, off: max(0, int(factor * power) + off),
        st.sampled_from([1000**n for n in range(7)] + [1024**n for n in range(7)]),
        st.floats(0.99, 1000.5),
        st.integers(-3, 3),
    ),
)
percents = st.one_of(st.floats(0, 25600), st.floats(0, 1e15))
full_ids = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,40}", fullmatch=True)


@st.composite
def busy_rows(draw):
    """A line as Docker prints it, and the counters behind it."""
    cpu, share = draw(percents), draw(percents)
    used, limit, got, sent, read, written = (draw(counters) for _ in range(6))
    id, name, pids = draw(full_ids), draw(names), draw(st.integers(0, 2**64 - 1))
    line = stats_line(
        BlockIO=f"{human_size(read)} / {human_size(written)}",
        CPUPerc=percent(cpu),
        Container=id[: draw(st.sampled_from([12, 64]))],
        ID=id[: draw(st.sampled_from([12, 64]))],
        MemPerc=percent(share),
        MemUsage=f"{bytes_size(used)} / {bytes_size(limit)}",
        Name=name,
        NetIO=f"{human_size(got)} / {human_size(sent)}",
        PIDs=str(pids),
    )
    return line, Figures(id, name, cpu, used, limit, share, pids, got, sent, read, written)


@unhurried
@given(counters)
def test_decimal_sizes_come_back(count):
    """A network or block counter comes back within half of its last printed digit."""
    text = human_size(count)
    assert abs(Fraction(parse_size(text)) - count) <= half_digit(text) * Fraction(1000001, 1000000)


@unhurried
@given(counters)
def test_binary_sizes_come_back(count):
    """A memory size comes back within half of its last printed digit."""
    text = bytes_size(count)
    assert abs(Fraction(parse_size(text)) - count) <= half_digit(text) * Fraction(1000001, 1000000)


@unhurried
@given(
    st.from_regex(r"[0-9]{1,30}(\.[0-9]{1,30})?(e\+[0-9]{1,2})? ?", fullmatch=True),
    st.sampled_from(DECIMAL + BINARY),
)
def test_sizes_are_rounded_once(digits, unit):
    """Whatever the grammar allows is read as the float nearest to the exact number."""
    assert parse_size(digits + unit) == float(exact(digits + unit))


@unhurried
@given(busy_rows())
def test_rows_come_back(row):
    """Every field of a printed row comes back: percentages to a hundredth, sizes to the digit."""
    line, true = row
    read = parse_stats_line(line)
    assert (read.name, read.pids) == (true.name, true.pids)
    assert true.id.startswith(read.id)
    for name in ("cpu_percent", "memory_percent"):
        assert abs(getattr(read, name) - getattr(true, name)) <= 0.005 + 1e-9 * getattr(true, name)
    for name in MEASUREMENTS:
        if name.endswith("_bytes"):
            render = bytes_size if name.startswith("memory") else human_size
            assert getattr(read, name) == float(exact(render(getattr(true, name))))


@unhurried
@given(busy_rows(), st.randoms(use_true_random=False), st.sampled_from(["", "\r", "\x1b[K", " "]))
def test_another_hand_changes_nothing(row, random, noise):
    """Order, spaces, escapes and a terminal's noise do not change what a row says."""
    line, _ = row
    pairs = list(json.loads(line).items())
    random.shuffle(pairs)
    escaped = "".join(f"\\u{ord(char):04x}" for char in dict(pairs)["Name"])
    other = json.dumps(dict(pairs)).replace(f'"{dict(pairs)["Name"]}"', f'"{escaped}"')
    assert parse_stats_line(noise + other + noise) == parse_stats_line(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=9),
    max_leaves=12,
)
field_texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["--", "-- / --", "0B", "0B / 0B", "0.00%", "0", "", "1e+03kB / 5MiB", "NaN%"]),
)


@st.composite
def odd_rows(draw):
    """A row in which some field is anything."""
    keys = list(json.loads(stats_line()))
    odd = draw(st.dictionaries(st.sampled_from(keys), field_texts | json_values, max_size=4))
    return json.dumps(json.loads(stats_line()) | odd, ensure_ascii=draw(st.booleans()))


@st.composite
def damaged_rows(draw):
    """A printed row from which a piece was cut, and into which another was put."""
    line = draw(st.sampled_from([stats_line(), zero_line("a" * 64), dashes_line("a" * 12)]))
    start = draw(st.integers(0, len(line)))
    end = draw(st.integers(start, min(len(line), start + 5)))
    return line[:start] + draw(st.text(max_size=4)) + line[end:]


anything = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Nd"])),
    st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.binary().map(lambda data: data.decode("latin-1")),
    json_values.map(json.dumps),
    odd_rows(),
    damaged_rows(),
)


@pytest.mark.parametrize("parse", [parse_stats_line, parse_ps_line])
@unhurried
@given(anything)
def test_nothing_but_line_errors(parse, line):
    """Whatever a line holds, it is understood or a `LineError` whose text can be printed."""
    text = ""
    try:
        parsed = parse(line)
    except LineError as error:
        text = str(error)
    else:
        assert parsed.name is None or parsed.name.isascii()
        assert len(parsed.id) in range(12, 65)
    assert not text or text.isprintable()
    assert len(text) < 200


@unhurried
@given(anything)
def test_nothing_but_line_errors_of_sizes(text):
    """Whatever stands for a size is a finite number of bytes or a `LineError`."""
    try:
        size = parse_size(text)
    except LineError:
        return
    assert math.isfinite(size)
    assert size >= 0


# Few ids, so that they meet: two that share twelve digits, one that shares nothing.
short_ids = ["a" * 12, "a" * 12 + "b" * 52, "a" * 12 + "c" * 52, "d" * 12, "d" * 64, "e" * 64]
ids = st.sampled_from(short_ids)
rows = st.one_of(
    st.builds(lambda id: stats_line(ID=id, Container=""), ids),
    st.builds(lambda id, cpu: stats_line(ID=id, CPUPerc=percent(cpu)), ids, percents),
    st.builds(lambda id, **row: stats_line(ID=id, **row), ids, NetIO=st.just("0B / 0B")),
    st.builds(lambda id: stats_line(ID=id, MemUsage="0B / 0B", PIDs="0"), ids),
    st.builds(zero_line, ids),
    st.builds(dashes_line, ids),
)
ps_lines = st.builds(
    ps_line,
    ids,
    names=st.sampled_from(["web", "db", "web,other/alias"]),
    state=st.sampled_from(["running", "paused", "exited"]),
    networks=st.sampled_from(["bridge", "host", "none", ""]),
)
readings = st.none() | st.lists(ps_lines, max_size=5).map(lambda lines: parse_ps(lines)[0])
cpu_counts = st.none() | st.integers(0, 256)


@unhurried
@given(st.lists(rows | anything | st.just(" \r")), readings, readings, cpu_counts)
def test_rows_are_conserved(lines, before, after, cpus):
    """Every line is a sample, dropped, or bad; samples are unique and hold numbers that can be."""
    result = measure(lines, before, after, cpus)
    count = sum(bool(line.strip()) for line in lines)
    assert len(result.samples) + result.dropped + result.bad_lines == count
    assert len({sample.id for sample in result.samples}) == len(result.samples)
    assert len(result.errors) == min(result.bad_lines, docker.MAX_ERRORS)
    for sample in result.samples:
        assert all(
            value is None or (math.isfinite(value) and value >= 0)
            for value in (getattr(sample, name) for name in MEASUREMENTS)
        )
        assert sample.source == "docker"
        assert {getattr(sample, name) for name in OF_THE_KERNEL} == {None}
        assert sample.pids is None or 0 < sample.pids < 2**63
        assert sample.cpu_percent is None or sample.cpu_percent <= 110 * (cpus or 8192)


@unhurried
@given(st.lists(rows), readings, readings, st.randoms(use_true_random=False))
def test_what_is_missing_is_missed(lines, before, after, random):
    """Containers that ran throughout have a figure or are named; order decides nothing of that."""
    result = measure(lines, before, after, 4)
    both = before is not None and after is not None
    ran = {c.name for c in (before or {}).values() if c.running and both}
    assert set(result.unmeasured) <= ran
    assert result.vanished + len(result.unmeasured) <= len(before or {})
    assert both or (result.unmeasured, result.vanished) == ((), 0)
    assert not (result.dashes and result.samples)
    random.shuffle(lines)
    again = measure(lines, before, after, 4)
    assert (again.dropped, again.bad_lines, again.dashes) == (
        *(result.dropped, result.bad_lines, result.dashes),
    )
    if not result.bad_lines:  # of several rows with figures the first counts
        assert (again.unmeasured, again.vanished) == (result.unmeasured, result.vanished)
        assert {*again.samples} == {*result.samples}


@unhurried
@given(busy_rows(), st.integers(1, 256))
def test_null_rules_only_take_away(row, cpus):
    """A measurement of a sample is the very figure of its row, or unknown."""
    line, _ = row
    figures = asdict(parse_stats_line(line))
    for sample in measure([line], None, None, cpus).samples:
        for name in MEASUREMENTS:
            assert getattr(sample, name) in (None, figures[name])


@unhurried
@given(full_ids, names, st.text(), st.text(), st.tuples(*[st.text()] * 4))
def test_ps_comes_back(id, name, image, networks, labels):
    """What Docker lists comes back, and what is not fit for a table is unknown."""
    listed = parse_ps_line(ps_line(id, name, image, "running", networks, labels))
    assert astuple(listed)[:2] + astuple(listed)[3:5] == (id, name, True, networks)
    assert listed.image in (None, image)
    assert listed.service in (None, next(filter(None, labels), None))
    assert listed == Listed(id, name, listed.image, True, networks, listed.service)
