"""What a job remembers of its last sweep: written, read again, and never a reason to fail."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.seen import FORMAT, KEPT_S, Count, Memory, Seen, SeenContainer, Told

A, B = ("a" * 64, "b" * 64)
NOW = 1_800_000_000.0
SEEN = Seen(
    NOW,
    "6e1f5f10-boot",
    {
        A: SeenContainer(
            "web",
            "shop/web:1",
            "web",
            Count(70, 1000.25, "2026-11-01T10:00:00+00:00", 9, {"eth0": (1, 2)}, {"8:0": (3, 4)}),
            Told("0123456789ab", NOW - 60),
        ),
        B: SeenContainer("job", None, None, Count(71, 1000.5), None),
    },
)

TEXTS = st.text(max_size=20)
NUMBERS = st.integers(0, 2**64)
SECONDS = st.floats(0, 1e12)
PAIRS = st.none() | st.dictionaries(TEXTS, st.tuples(NUMBERS, NUMBERS), max_size=3)
COUNTS = st.builds(
    Count, NUMBERS, SECONDS, st.none() | TEXTS, st.none() | NUMBERS, net=PAIRS, block=PAIRS
)
CONTAINERS = st.builds(
    SeenContainer,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | COUNTS,
    st.none() | st.builds(Told, TEXTS, SECONDS),
)
SEENS = st.builds(Seen, SECONDS, st.none() | TEXTS, st.dictionaries(TEXTS, CONTAINERS, max_size=3))


def _line(seen: Seen = SEEN) -> str:
    """A host's line, without its name."""
    memory = Memory()
    memory.note("web1", seen)
    return memory._lines["web1"]


@given(seen=SEENS)
def test_what_is_noted_is_seen_again(seen):
    """Whatever names and figures it has, on one line of its own."""
    line = _line(seen)
    assert "\n" not in line
    assert "\t" not in line
    assert Memory({"web1": line}).of("web1") == seen


@given(st.dictionaries(st.from_regex("[a-z0-9.-]{1,12}", fullmatch=True), SEENS, max_size=4))
def test_file_brings_every_host_back(tmp_path_factory, seens):
    """Written and read, each host is as it was noted."""
    path = tmp_path_factory.mktemp("seen") / "job.seen"
    memory = Memory()
    for name, seen in seens.items():
        memory.note(name, seen)
    memory.write(path, 0.0)
    again = Memory.read(path)
    assert {name: again.of(name) for name in seens} == seens
    assert again.of("no-such-host") is None


def test_file_is_one_line_for_each_host(tmp_path):
    """With a header that names its format; its folder is made; what stood there is replaced."""
    path = tmp_path / "new" / "job.seen"
    memory = Memory()
    memory.note("web1", SEEN)
    memory.write(path, NOW)
    memory.note("web2", SEEN)
    memory.note("web1", Seen(NOW + 60))
    memory.write(path, NOW)
    header, first, second, end = path.read_text().split("\n")
    assert (header, end) == (FORMAT, "")
    assert first == f"web1\t[{NOW + 60},null,{{}}]"
    assert second == f"web2\t{_line()}"
    assert [one.name for one in path.parent.iterdir()] == ["job.seen"]


def test_hosts_that_are_not_visited_stay_as_they_are(tmp_path):
    """A sweep of some hosts carries the lines of the others over, unread."""
    path = tmp_path / "job.seen"
    path.write_text(f"{FORMAT}\nweb1\t[{NOW}, whatever this is\nweb2\t{_line()}\n")
    memory = Memory.read(path)
    memory.note("web3", SEEN)
    memory.write(path, NOW)
    lines = path.read_text().splitlines()
    assert lines[1:] == [
        f"web1\t[{NOW}, whatever this is",
        f"web2\t{_line()}",
        f"web3\t{_line()}",
    ]


def test_old_hosts_are_dropped(tmp_path):
    """Whom no sweep has seen for thirty days is forgotten, and lines without a time."""
    path = tmp_path / "job.seen"
    memory = Memory({"odd": "{}", "none": "", "nan": "[NaN,null,{}]", "endless": "[1e999,null,{}]"})
    memory.note("old", replace(SEEN, at=NOW - KEPT_S - 1))
    memory.note("young", replace(SEEN, at=NOW - KEPT_S + 1))
    memory.note("ahead", replace(SEEN, at=NOW + 3600))
    memory.write(path, NOW)
    names = [line.partition("\t")[0] for line in path.read_text().splitlines()[1:]]
    assert names == ["young", "ahead"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_file_cut_at_every_length(tmp_path, end):
    """A file that lacks its end brings what stands whole in it, and never fails."""
    path = tmp_path / "job.seen"
    text = f"{FORMAT}\nweb1\t{_line()}\nweb2\t{_line()}{end}"
    for length in range(len(text) + 1):
        path.write_text(text[:length])
        memory = Memory.read(path)
        whole = [length >= len(f"{FORMAT}\nweb1\t{_line()}"), length >= len(text.rstrip("\n"))]
        assert [memory.of(name) for name in ("web1", "web2")] == [
            SEEN if one else None for one in whole
        ]


def test_line_cut_at_every_length():
    """None of its beginnings is taken for less than it was."""
    line = _line()
    for length in range(len(line)):
        assert Memory({"web1": line[:length]}).of("web1") is None


def _paths(value, here=()):
    """The place of every value within a value."""
    yield here
    inner = (
        enumerate(value)
        if isinstance(value, list)
        else value.items()
        if isinstance(value, dict)
        else ()
    )
    for key, one in inner:
        yield from _paths(one, (*here, key))


def _changed(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _changed(value[path[0]], path[1:], new)
    return copy


WRONG = (True, -1, 0.5, float("nan"), float("inf"), 10**30, 1e300, "x", [], [1, 2, 3], {"a": 1})


@pytest.mark.parametrize("new", WRONG, ids=repr)
def test_wrong_value_at_every_place(new):
    """Of another type, negative, endless or huge: nothing is raised, and nothing is made of it."""
    plain = json.loads(_line())
    for path in _paths(plain):
        seen = Memory({"web1": json.dumps(_changed(plain, path, new))}).of("web1")
        if seen is not None:  # it was fit for this place, and stands there as it is
            again = json.loads(_line(seen))
            assert again == _changed(plain, path, new)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "{}",
        '"abc"',
        "[1]",
        "[1,null]",
        "[1,null,{},0]",
        "[1,null,[]]",
        "[1,null,null]",
        "[true,null,{}]",
        "[-1,null,{}]",
        "[NaN,null,{}]",
        "[Infinity,null,{}]",
        "[1e13,null,{}]",
        "[1,7,{}]",
        '[1,null,{"a":["n",null,null,null]}]',
        '[1,null,{"a":[null,null,null,null,null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,3,null],null]}]',
        '[1,null,{"a":["n",null,null,[true,2,null,3,null,null],null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,true,null,null],null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,3.5,null,null],null]}]',
        '[1,null,{"a":["n",null,null,[1,NaN,null,3,null,null],null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,3,{"eth0":[1]},null],null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,3,{"eth0":[1,-2]},null],null]}]',
        '[1,null,{"a":["n",null,null,[1,2,null,3,[["eth0",1,2]],null],null]}]',
        '[1,null,{"a":["n",null,null,null,["mark"]]}]',
        '[1,null,{"a":["n",null,null,null,["mark",NaN]]}]',
        f"[{'9' * 400},null,{{}}]",
        f"[{'9' * 5000},null,{{}}]",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=lambda line: line[:60],
)
def test_line_that_is_none_of_ours(line):
    """A host with such a line was not seen."""
    assert Memory({"web1": line}).of("web1") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "fleet-seen",
        "fleet-seen 2\nweb1\t" + _line(),
        "web1\t" + _line(),
        f" {FORMAT}\nweb1\t{_line()}",
        "\x00" * 4096,
    ],
)
def test_file_of_another_format(tmp_path, text):
    """A later version's, an empty one, a disk's zeros: nothing was seen."""
    path = tmp_path / "job.seen"
    path.write_text(text)
    assert Memory.read(path).of("web1") is None


def test_file_that_cannot_be_read(tmp_path):
    """None, a folder, and bytes that are no text are no reason to fail."""
    assert Memory.read(tmp_path / "none").of("web1") is None
    assert Memory.read(tmp_path).of("web1") is None
    path = tmp_path / "job.seen"
    path.write_bytes(f"{FORMAT}\nweb1\t".encode() + b"\xff\xfe\x80\nweb2\t" + _line().encode())
    memory = Memory.read(path)
    assert (memory.of("web1"), memory.of("web2")) == (None, SEEN)


def test_counted():
    """Only a count tells that there will be rates; a state does not."""
    assert SEEN.counted
    assert not Seen(NOW).counted
    assert not Seen(NOW, None, {A: SeenContainer("web", told=Told("x", NOW))}).counted
