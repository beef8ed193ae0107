"""The parser of `docker stats` against recorded lines, and each of its rules by itself."""

import json
import re
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

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
from tests.sources.docker_prints import dashes_line, ps_line, stats_line, zero_line

GOLDEN = sorted((Path(__file__).parent / "golden").iterdir())
ID = "74fec0c33e96" + "0" * 52
OTHER = "b8d9332cf6f6" + "1" * 52
NAMES = [field.name for field in fields(Sample)]
MEASUREMENTS = NAMES[4 : NAMES.index("source")]
OF_THE_KERNEL = dict.fromkeys(NAMES[NAMES.index("source") + 1 :])
"""What only the kernel knows: None in every sample of `docker stats`."""


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else None


def read(line):
    try:
        return asdict(parse_stats_line(line))
    except LineError as error:
        return {"error": str(error)}


def listing(*lines):
    listed, bad, _ = parse_ps(lines)
    assert not bad
    return listed


def measured(*lines, before=None, after=None, cpus=4):
    return measure(lines, before, after, cpus)


def only(*lines, **known):
    """The one sample of these lines."""
    (sample,) = measured(*lines, **known).samples
    return sample


def running(**ps):
    """Both readings of ps, the usual container in them."""
    listed = listing(ps_line(ID, **ps))
    return {"before": listed, "after": listed}


def unknown(sample):
    return {name for name in MEASUREMENTS if getattr(sample, name) is None}


# Recorded lines


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_recorded_lines_to_the_letter(folder):
    """Every recorded line says what `literal.json` holds, or fails with that very text."""
    expected = json.loads((folder / "literal.json").read_text())
    assert [read(line) for line in lines_of(folder / "stats.jsonl")] == expected


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_recorded_lines_by_the_null_rules(folder):
    """Every recorded run gives the samples and counts of `rows.json`."""
    node = json.loads((folder / "node.json").read_text())
    ps = [lines_of(folder / f"ps_{when}.jsonl") for when in ("before", "after")]
    before, after = (None if lines is None else listing(*lines) for lines in ps)
    result = asdict(measure(lines_of(folder / "stats.jsonl"), before, after, node["cpus"]))
    expected = json.loads((folder / "rows.json").read_text())
    for sample in expected["samples"]:
        sample |= {"source": "docker", **OF_THE_KERNEL}
    assert json.loads(json.dumps(result)) == expected


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_recorded_lines_in_another_hand(folder):
    """Spaces, another order of the fields and a terminal's traces change nothing."""
    for line in lines_of(folder / "stats.jsonl"):
        if line.startswith("{"):
            turned = dict(reversed(json.loads(line).items()))
            for other in (
                json.dumps(turned),
                f"\ufeff\x1b[?25l\x1b[H{line}\x1b[1;2 q\r",
                f" {line}\r\n",
            ):
                assert parse_stats_line(other) == parse_stats_line(line)


# Formats


def test_formats_survive_every_shell():
    """The formats hold nothing that a quoted sh text cannot carry to any login shell."""
    for text in (docker.PS_FORMAT, docker.STATS_FORMAT):
        assert not set(text) & set("'\\!\n`")
        assert text.isascii()
        assert text.isprintable()


def test_ps_format_asks_what_the_parser_reads():
    """Each field of the format, filled in as Go would, ends in its own place of the value."""
    fill = {
        ".ID": ID,
        ".Names": "web",
        ".Image": "img",
        ".State": "paused",
        ".Networks": "net",
        "com.docker.compose.service": "",
        "com.docker.swarm.service.name": "",
        "com.amazonaws.ecs.container-name": "",
        "io.kubernetes.container.name": "pod",
    }
    asked = []

    def value(match):
        asked.append(match[1] or match[2])
        return json.dumps(fill[asked[-1]])

    line = re.sub(r'{{json (?:(\.\w+)|\(\.Label "([\w.-]+)"\))}}', value, docker.PS_FORMAT)
    assert parse_ps_line(line) == Listed(ID, "web", "img", True, "net", "pod")
    assert asked == list(fill)
    assert docker.STATS_FORMAT == "{{json .}}"


# Sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0B", 0.0),
        ("1.5kB", 1500.0),
        ("1e+03kB", 1e6),
        ("9.99e+02MB", 999e6),
        ("1e+03PB", 1e18),
        ("18.4EB", 18.4e18),
        ("1.2ZB", 1.2e21),
        ("3YB", 3e24),
        ("8.41MB", 8410000.0),
        ("4.35kB", 4350.0),
        ("1KiB", 1024.0),
        ("1024KiB", 1048576.0),
        ("23.54GiB", 23.54 * 2**30),
        ("8EiB", 2.0**63),
        ("1ZiB", 2.0**70),
        ("1YiB", 2.0**80),
        ("1.5TiB", 1.5 * 2**40),
        ("2PiB", 2.0**51),
        ("5TB", 5e12),
        ("7GB", 7e9),
        ("1e+03MiB", 1000 * 2.0**20),
        ("38.21 MiB", 38.21 * 2**20),
        ("17.1 kB", 17100.0),
        ("9" * 30 + "B", 1e30),
    ],
)
def test_size(text, expected):
    """A size is the float nearest to what its text says."""
    assert parse_size(text) == expected
    assert type(parse_size(text)) is float


@pytest.mark.parametrize(
    "text",
    [
        *("", "B", "1", "1.B", ".5B", "1..5B", "-1B", "+1B", "infB", "nanB", "InfB", "1,5kB"),
        *("1KB", "1kiB", "1iB", "1KIB", "1mB", "1b", "1bytes", "1 GiB ", " 1B", "1  B", "1\tB"),
        *(
            "1e03B",
            "1e-03B",
            "1E+03B",
            "1e+B",
            "1e+100B",
            "1B\n",
            "0x1B",
            "1_0B",
            "\u0661B",
            "1.5.2B",
        ),
        *("9" * 31 + "B", "1.kB", "1RB", "1QiB", "--", "²B", "1kB 1kB", "1BkB"),
    ],
)
def test_not_a_size(text):
    """Unknown units, signs, infinities and all that Docker never prints are refused, quoted."""
    with pytest.raises(LineError, match="not a size") as error:
        parse_size(text)
    assert repr(text) in str(error.value)


# Lines of docker stats


@pytest.mark.parametrize(
    ("container", "id", "expected"),
    [
        (ID[:12], ID, ID),
        (ID, ID[:12], ID),
        (ID, ID, ID),
        (ID[:12], "", ID[:12]),
        (ID, "", ID),
        ("", ID[:12], ID[:12]),
        ("web", ID[:12], ID[:12]),
        (OTHER, ID[:12], ID[:12]),
        (ID + "0", ID[:12], ID[:12]),
        (ID[:20], ID[:16], ID[:20]),
    ],
)
def test_id_is_the_longer_of_two_that_agree(container, id, expected):
    """`ID`, or `Container` where that is longer and begins so, or where `ID` is empty."""
    assert parse_stats_line(stats_line(Container=container, ID=id)).id == expected


@pytest.mark.parametrize("id", [ID[:11], ID + "0", ID.upper(), "g" * 12, "--", "web", ID + "\n"])
def test_not_an_id(id):
    """An id is 12 to 64 lower-case hex digits, whatever `Container` says."""
    with pytest.raises(LineError, match="ID cannot be understood"):
        parse_stats_line(stats_line(ID=id))


@pytest.mark.parametrize("container", ["", "web", ID[:11], ID + "0", "é" * 12])
def test_no_id_at_all(container):
    """A row that says nowhere whose it is cannot be used."""
    with pytest.raises(LineError, match="no id in"):
        parse_stats_line(stats_line(ID="", Container=container))


@pytest.mark.parametrize("name", ["web", "a", "Web_1.x-2", "0", "x" * 1000])
def test_name(name):
    """Names are what Docker allows."""
    assert parse_stats_line(stats_line(Name=name)).name == name


@pytest.mark.parametrize(
    "name",
    ["", "-web", "_web", ".web", "/web", "a b", "a/b", "wéb", "web\n", "x" * 1001, 'a"b', "a\\b"],
)
def test_not_a_name(name):
    """What Docker would not take as a name is refused, so that no name needs escaping later."""
    with pytest.raises(LineError, match="Name cannot be understood"):
        parse_stats_line(stats_line(Name=name))


@pytest.mark.parametrize("key", ["CPUPerc", "MemPerc"])
@pytest.mark.parametrize(
    "text",
    ["", "1%", "1.5%", "1.50", "-1.00%", "+Inf%", "NaN%", "1.500%", "1e+03%", "9" * 31 + ".00%"],
)
def test_not_a_percentage(key, text):
    """A percentage has two decimals, no sign and no exponent."""
    with pytest.raises(LineError, match=f"{key} cannot be understood"):
        parse_stats_line(stats_line(**{key: text}))


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1e3", " 1", "9" * 21, "\u0661", "1kB", "- -"])
def test_not_a_count_of_pids(text):
    """PIDs is a plain count."""
    with pytest.raises(LineError, match="PIDs cannot be understood"):
        parse_stats_line(stats_line(PIDs=text))


@pytest.mark.parametrize("key", ["MemUsage", "NetIO", "BlockIO"])
@pytest.mark.parametrize(
    "text",
    ["", "1B/1B", "1B / ", " / 1B", "1B / --", "-- / 1B", "1B / 1B / 1B", "1B  / 1B", "1kb / 1B"],
)
def test_not_a_pair_of_sizes(key, text):
    """Two sizes stand on both sides of ` / `, or neither does."""
    with pytest.raises(LineError, match=f"{key} cannot be understood"):
        parse_stats_line(stats_line(**{key: text}))


@pytest.mark.parametrize("key", ["NetIO", "BlockIO"])
@pytest.mark.parametrize("text", ["1kB", "-- / --"])
def test_only_memory_may_be_one_size(key, text):
    """Windows prints one memory size and no more; only memory has two dashes."""
    with pytest.raises(LineError, match=f"{key} cannot be understood"):
        parse_stats_line(stats_line(**{key: text}))


@pytest.mark.parametrize(
    "key", ["Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"]
)
def test_missing_field(key):
    """A line without one of its fields is refused, and says which."""
    fewer = {name: text for name, text in json.loads(stats_line()).items() if name != key}
    with pytest.raises(LineError, match=f"no {key} in "):
        parse_stats_line(json.dumps(fewer))


@pytest.mark.parametrize("key", ["ID", "Container"])
def test_one_id_is_enough(key):
    """Either of the two ids may be missing: nerdctl prints no Container."""
    fewer = {name: text for name, text in json.loads(stats_line()).items() if name != key}
    assert parse_stats_line(json.dumps(fewer)) == parse_stats_line(stats_line())


def test_further_fields_are_for_later_clients():
    """A field more, of text, is no error."""
    line = stats_line(Health="healthy", **{'x"y': "\ud800"})
    assert parse_stats_line(line) == parse_stats_line(stats_line())


@pytest.mark.parametrize(
    ("field", "unknown"),
    [
        ({"CPUPerc": "--"}, {"cpu_percent"}),
        ({"MemPerc": "--"}, {"memory_percent"}),
        ({"PIDs": "--"}, {"pids"}),
        ({"MemUsage": "--"}, {"memory_bytes", "memory_limit_bytes"}),
        ({"MemUsage": "-- / --"}, {"memory_bytes", "memory_limit_bytes"}),
        ({"MemUsage": "1KiB"}, {"memory_limit_bytes"}),
        ({"NetIO": "--"}, {"net_in_bytes", "net_out_bytes"}),
        ({"BlockIO": "--"}, {"block_in_bytes", "block_out_bytes"}),
        ({"Name": "--"}, {"name"}),
    ],
)
def test_dashes_in_a_good_row(field, unknown):
    """A field of dashes is None, and the others stay."""
    figures, whole = parse_stats_line(stats_line(**field)), parse_stats_line(stats_line())
    assert figures == replace(whole, **dict.fromkeys(unknown))
    assert not figures.is_dashes
    assert not figures.is_zero


BLANK = Figures(ID, "web", *[None] * 9)
ZERO = Figures(ID, "web", 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)


def test_kinds_of_rows_without_figures():
    """All dashes, all zeros, Windows' zeros: each is known for what it is."""
    assert (BLANK.is_dashes, BLANK.is_zero) == (True, False)
    assert (ZERO.is_dashes, ZERO.is_zero) == (False, True)
    windows = replace(ZERO, memory_limit_bytes=None, memory_percent=None, pids=None)
    assert (windows.is_dashes, windows.is_zero) == (False, True)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_one_figure_makes_a_row(name):
    """A row with any one figure is neither dashes nor zeros."""
    assert not replace(BLANK, **{name: 0}).is_dashes
    assert not replace(ZERO, **{name: 1}).is_zero
    assert not replace(BLANK, **{name: 1}).is_zero
    assert replace(BLANK, **{name: 0}).is_zero


@pytest.mark.parametrize(
    "line",
    [
        *("", " ", "{", "}", "{}", "[]", "null", "1", '"json"', "NaN", "Infinity", "{]", "\ufeff"),
        stats_line()[:-1],
        stats_line() + "x",
        "x" + stats_line(),
        stats_line() * 2,
        f"[{stats_line()}]",
        "\x1b" + stats_line(),
        "\x1b[" + stats_line()[1:],
        stats_line().replace("web", "we\x00b"),
        stats_line().replace("web", "we\x1b[0mb"),
        stats_line().replace("web", "we\ufeffb"),
        stats_line().replace('"web"', "NaN"),
        stats_line().replace('"web"', "-Infinity"),
        stats_line().replace('"web"', "null"),
        stats_line().replace('"12"', "12"),
        stats_line().replace('"12"', "9" * 5000),
        stats_line().replace('"web"', '["web"]'),
        stats_line().replace('"web"', '{"web":"web"}'),
        stats_line().replace('"web"', '"\\ud800"'),
        stats_line().replace('"web"', '"\\x"'),
        stats_line().replace("{", '{"Extra":{"a":"b"},'),
        stats_line().replace("{", '{"Extra":[],'),
        stats_line().replace("{", '{"Extra":1,'),
        stats_line().replace("{", '{"Name":"web",'),
        stats_line().replace("{", '{"Extra":"1","Extra":"1",'),
        stats_line().replace('"web"', '"web","Name":"other"'),
        stats_line(Name='web","NetIO":"0B / 0B'),
        "[" * 60000,
        '{"a":' * 12000,
        '{"Name":' + "[" * 30000 + "]" * 30000 + "}",
    ],
)
def test_not_a_line(line):
    """Whatever else is printed is a `LineError`, short and without control characters."""
    for parse in (parse_stats_line, parse_ps_line):
        with pytest.raises(LineError) as error:
            parse(line)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 200


def test_the_word_json_is_explained():
    """A client that knows no `--format json` prints the word, and the error says so."""
    with pytest.raises(LineError, match=r"the word 'json': a client older than 23\.0"):
        parse_stats_line("json\r")


@pytest.mark.parametrize("char", ["x", "\x1b", "\u202e", "é", "\U000e0001", "\ud800", "'"])
def test_quotations_are_short_and_harmless(char):
    """An error quotes at most 120 characters, and no control, mark or surrogate among them."""
    with pytest.raises(LineError) as error:
        parse_size(char * 500)
    quoted = str(error.value).removeprefix("not a size: ")
    assert quoted.isprintable()
    assert 100 < len(quoted) <= 120
    assert quoted.endswith("…")


def test_longest_line():
    """A line of 64 KiB is read, one of a character more is not."""
    room = docker.MAX_LINE_CHARS - len(stats_line(Extra=""))
    assert docker.MAX_LINE_CHARS == 65536
    assert parse_stats_line(stats_line(Extra="x" * room)) == parse_stats_line(stats_line())
    with pytest.raises(LineError, match="a line of 65537 characters"):
        parse_stats_line(stats_line(Extra="x" * (room + 1)))


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[0m" * 16000 + "x",
        "{" + "}\x1b[0m" * 12000 + "x",
        "{" + "\x1b[0m" * 16000 + "}",
        "\x1b[" + "0" * 60000,
        "\x1b[" * 30000,
        "{" * 60000 + "}",
        "{" + "}" * 60000 + "x",
        stats_line(MemUsage="1" * 60000),
        stats_line(CPUPerc="1" * 30000 + "." + "1" * 30000),
    ],
)
def test_no_line_is_slow(line):
    """The longest lines of a malicious node cost little, too."""
    start = time.process_time()
    with pytest.raises(LineError):
        parse_stats_line(line)
    assert time.process_time() - start < 0.2


def test_many_rows_are_cheap():
    """Twenty thousand rows cost far less than their share of a sweep."""
    rows = [stats_line(ID=f"{n:064x}", Container=f"{n:064x}"[:12]) for n in range(20000)]
    ps = listing(*(ps_line(f"{n:064x}") for n in range(20000)))
    costs = []
    for _ in range(3):
        start = time.process_time()
        assert len(measured(*rows, before=ps, after=ps).samples) == len(rows)
        costs.append(time.process_time() - start)
    assert min(costs) < 0.6


# Lines of docker ps


def test_ps_line():
    """A line of ps says what stats does not."""
    line = ps_line(ID, "web", "nginx:1.27", "running", "shop_default", ("shop", "", "", ""))
    assert parse_ps_line(line) == Listed(ID, "web", "nginx:1.27", True, "shop_default", "shop")
    assert parse_ps_line(f"\ufeff\x1b[H{line}\x1b[K\r") == parse_ps_line(line)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        *(("running", True), ("paused", True), ("restarting", False), ("created", False)),
        *(("exited", False), ("removing", False), ("dead", False), ("", False), ("Running", False)),
    ],
)
def test_running(state, expected):
    """Running and paused containers have figures, others have none."""
    assert parse_ps_line(ps_line(ID, state=state)).running is expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        *(("web", "web"), ("web,other/alias", "web"), ("other/alias,web", "web")),
        ("a/b,c/d,web,e/f", "web"),
    ],
)
def test_names_with_legacy_links(names, expected):
    """Of a container's names the one without a slash is its own."""
    assert parse_ps_line(ps_line(ID, names)).name == expected


@pytest.mark.parametrize(
    "names", ["", "a/b", "a/b,c/d", "-web", "web app", "wéb", ",web", "x" * 1001]
)
def test_no_name_in_ps(names):
    """A listed container without a name of Docker's is a bad line."""
    with pytest.raises(LineError, match="not a container's name"):
        parse_ps_line(ps_line(ID, names))


@pytest.mark.parametrize("id", ["", ID[:11], ID + "0", ID.upper(), "web", ID + "\n"])
def test_no_id_in_ps(id):
    """A listed container without an id is a bad line."""
    with pytest.raises(LineError, match="not a container's id"):
        parse_ps_line(ps_line(id))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("a", "b", "c", "d"), "a"),
        (("", "b", "c", "d"), "b"),
        (("", "", "c", "d"), "c"),
        (("", "", "", "d"), "d"),
        (("", "", "", ""), None),
        (("Überweisung, <prüfen> 'jetzt'", "", "", ""), "Überweisung, <prüfen> 'jetzt'"),
        (("x" * 200, "", "", ""), "x" * 200),
        (("x" * 201, "", "", ""), None),
        (("x" * 201, "b", "", ""), None),
        (("a\tb", "", "", ""), None),
        (("a\x00", "", "", ""), None),
        (("a\x7f", "", "", ""), None),
        (("a\x9f", "", "", ""), None),
        (("a\x1f", "", "", ""), None),
        (("a\xa0b", "", "", ""), "a\xa0b"),
        (("a\ud800", "", "", ""), None),
        (("\udfffb", "", "", ""), None),
        (("a\U0001f600", "", "", ""), "a\U0001f600"),
    ],
)
def test_service(labels, expected):
    """The first label that is set names the service, if it can stand in a table."""
    assert parse_ps_line(ps_line(ID, labels=labels)).service == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("images.example:5000/shop/web@sha256:" + "0" * 64, True),
        *(("x" * 512, True), ("x" * 513, False), ("", False), ("a b", False)),
        *(("bïld", False), ("a\x7f", False), ("~!", True), ("<no image>", False), ("a\n", False)),
    ],
)
def test_image(image, expected):
    """An image is printable ASCII without spaces, or unknown."""
    assert parse_ps_line(ps_line(ID, image=image)).image == (image if expected else None)


@pytest.mark.parametrize(
    "line",
    [
        *("[]", "{}", '"x"', "{}".join('""'), json.dumps([ID, "web"])),
        json.dumps([*json.loads(ps_line(ID)), ""]),
        json.dumps(json.loads(ps_line(ID))[:8]),
        *(
            json.dumps(
                [*json.loads(ps_line(ID))[:place], wrong, *json.loads(ps_line(ID))[place + 1 :]]
            )
            for place in range(9)
            for wrong in (None, 1, 1.5, True, [], ["running"], {})
        ),
    ],
)
def test_not_nine_texts(line):
    """Anything but nine texts is refused."""
    with pytest.raises(LineError):
        parse_ps_line(line)


def test_ps_by_id():
    """Good lines are kept by id, blank ones ignored, bad ones counted and told."""
    lines = [ps_line(ID), "", " \r", "oops", ps_line(OTHER, "db"), ps_line(ID, "again")]
    listed, bad, texts = parse_ps(lines)
    assert {id: container.name for id, container in listed.items()} == {ID: "web", OTHER: "db"}
    assert bad == 2
    assert texts == ("not JSON: 'oops'", f"a second line of docker ps for {ID}")


def test_first_errors_are_kept():
    """Of many bad lines all are counted and the first twenty told, by ps and stats alike."""
    lines = [f"oops {n}" for n in range(50)]
    _, bad, texts = parse_ps(iter(lines))
    result = measure(iter(lines), None, None, None)
    assert (bad, len(texts), texts[0], texts[-1]) == (
        *(50, docker.MAX_ERRORS, "not JSON: 'oops 0'", "not JSON: 'oops 19'"),
    )
    assert (result.bad_lines, result.errors) == (bad, texts)
    assert docker.MAX_ERRORS == 20


# The null rules


def test_nothing_at_all():
    """A host without containers has nothing, and that is no sign of a dead daemon."""
    assert measured("", "\r") == docker.Measured((), 0, 0, False, (), (), 0)


def test_whole_sample():
    """A row that knows all, with what ps says of it."""
    sample = only(stats_line(), **running(labels=("shop", "", "", "")))
    assert sample == Sample(
        *(ID, "web", "nginx:1.27", "shop", 0.1, 1024.0, 1048576.0, 0.1, 12),
        *(1000.0, 999000.0, 1500.0, 12300.0),
        source="docker",
        **OF_THE_KERNEL,
    )
    types = {name: type(getattr(sample, name)) for name in MEASUREMENTS}
    assert types == dict.fromkeys(MEASUREMENTS, float) | {"pids": int}


def test_sample_without_ps():
    """Without ps the figures stay, and the image and service are unknown."""
    sample = only(stats_line())
    assert (sample.id, sample.name, sample.image, sample.service) == (ID[:12], "web", None, None)
    assert not unknown(sample)


def test_name_from_elsewhere():
    """A row without a name takes that of ps, or its id's first digits."""
    assert only(stats_line(Name="--"), **running(names="db")).name == "db"
    assert only(stats_line(Name="--", ID=ID)).name == ID[:12]
    assert only(stats_line(Name="new"), **running(names="old")).name == "new"


def test_ps_after_is_believed_first():
    """Where both readings of ps list a container, the later one describes it."""
    before = listing(ps_line(ID, image="a:1", networks="host"))
    after = listing(ps_line(ID, image="a:2", networks="bridge"))
    row = stats_line(NetIO="0B / 0B")
    assert only(row, before=before, after=after).image == "a:2"
    assert only(row, before=before, after=after).net_in_bytes == 0
    assert only(row, before=before).image == "a:1"
    assert only(row, before=before, after={}).net_in_bytes is None
    assert only(row, after=after).image == "a:2"


@pytest.mark.parametrize("stats_id", [ID[:12], ID[:40], ID])
@pytest.mark.parametrize("ps_id", [ID[:12], ID[:40], ID])
def test_ids_match_by_their_beginning(stats_id, ps_id):
    """The longest id known counts, whichever tool printed it."""
    listed = listing(ps_line(ps_id), ps_line(OTHER, "db"))
    result = measured(stats_line(ID=stats_id, Container=""), before=listed, after=listed)
    (sample,) = result.samples
    assert sample.id == max(stats_id, ps_id, key=len)
    assert sample.image == "nginx:1.27"
    assert result.unmeasured == ("db",)


def test_other_id_of_the_same_beginning():
    """A whole id is not taken for another one that shares its first digits."""
    twin = ID[:12] + "1" * 52
    listed = listing(ps_line(ID, "one"))
    result = measured(stats_line(ID=twin), before=listed, after=listed)
    assert [(sample.id, sample.image) for sample in result.samples] == [(twin, None)]
    assert result.unmeasured == ("one",)
    result = measured(zero_line(ID[:12]), before=listed, after=listing(ps_line(twin, "two")))
    assert (result.samples, result.dropped, result.vanished) == ((), 1, 1)


def test_ambiguous_beginning_matches_nothing():
    """Twelve digits that two listed containers share name neither of them."""
    twin = ID[:12] + "1" * 52
    listed = listing(ps_line(ID, "one"), ps_line(twin, "two"))
    result = measured(stats_line(), before=listed, after=listed)
    assert [(sample.id, sample.image) for sample in result.samples] == [(ID[:12], None)]
    assert result.unmeasured == ("one", "two")
    assert only(stats_line(ID=twin), before=listed, after=listed).id == twin


@pytest.mark.parametrize(
    ("text", "cpus", "expected"),
    [
        ("440.00%", 4, 440.0),
        ("440.01%", 4, None),
        ("110.00%", 1, 110.0),
        ("110.01%", 1, None),
        ("901120.00%", None, 901120.0),
        ("901120.01%", None, None),
        ("901120.00%", 0, 901120.0),
        ("0.00%", 4, 0.0),
    ],
)
def test_cpu_that_cannot_be(text, cpus, expected):
    """More than 110 % of each CPU is a counter gone wrong."""
    sample = only(stats_line(CPUPerc=text), cpus=cpus)
    assert sample.cpu_percent == expected
    assert unknown(sample) == (set() if expected is not None else {"cpu_percent"})


MEMORY = {"memory_bytes", "memory_limit_bytes", "memory_percent"}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ("5MiB / 0B", MEMORY),
        ("0B / 0B", MEMORY),
        ("5MiB / 4EiB", {"memory_limit_bytes", "memory_percent"}),
        ("5MiB / 8EiB", {"memory_limit_bytes", "memory_percent"}),
        ("5MiB / 16EiB", {"memory_limit_bytes", "memory_percent"}),
        ("5MiB / 3.999EiB", set()),
        ("0B / 1GiB", set()),
        ("5MiB", {"memory_limit_bytes", "memory_percent"}),
        ("-- / --", MEMORY),
    ],
)
def test_memory_that_is_not_known(usage, expected):
    """A limit of zero means no figures, one beyond 4 EiB no limit, none at all Windows."""
    assert unknown(only(stats_line(MemUsage=usage))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", None), ("1", 1), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("9" * 20, None)],
)
def test_pids_that_cannot_be(text, expected):
    """Something that runs has a process, and a count fits a LONG."""
    sample = only(stats_line(PIDs=text))
    assert sample.pids == expected
    assert unknown(sample) == (set() if expected else {"pids"})


NET = {"net_in_bytes", "net_out_bytes"}


@pytest.mark.parametrize("figures", ["0B / 0B", "1kB / 0B", "0B / 1kB", "1kB / 2kB", "--"])
@pytest.mark.parametrize("networks", ["bridge", "host", "none", "", "host,a", "a,b", "Host"])
def test_network_that_is_not_known(figures, networks):
    """Zeros mean nothing on the host or none network, and nothing does on a shared one."""
    zero = figures == "0B / 0B"
    nothing = networks == "" or figures == "--" or (zero and networks in ("host", "none"))
    sample = only(stats_line(NetIO=figures), **running(networks=networks))
    assert unknown(sample) == (NET if nothing else set())


def test_network_without_ps():
    """Where ps does not list the container, zeros may mean the host network: unknown."""
    assert unknown(only(stats_line(NetIO="0B / 0B"))) == NET
    assert unknown(only(stats_line(NetIO="0B / 1B"))) == set()


MEMORY = {"memory_bytes", "memory_limit_bytes", "memory_percent"}
BLOCK = {"block_in_bytes", "block_out_bytes"}


@pytest.mark.parametrize(
    ("cpu", "block", "lost"),
    [
        ("0.00%", "0B / 0B", {"cpu_percent", *BLOCK}),
        ("5.00%", "0B / 0B", BLOCK),
        ("0.00%", "1B / 0B", {"cpu_percent"}),
        ("5.00%", "1B / 0B", set()),
    ],
)
def test_no_cgroups(cpu, block, lost):
    """Without a limit and without pids no cgroup was read: its zeros are not known, the rest is."""
    fields = {"CPUPerc": cpu, "BlockIO": block, "NetIO": "1kB / 2kB"}
    sample = only(stats_line(MemUsage="0B / 0B", PIDs="0", **fields), **running())
    assert unknown(sample) == {"pids", *MEMORY, *lost}


def test_running_without_figures():
    """Zeros of a container that runs before and after stay as nulls, and it is unmeasured."""
    result = measured(zero_line(ID), **running())
    assert result.samples == (Sample(ID, "web", "nginx:1.27"),)
    assert (result.unmeasured, result.dropped, result.vanished) == (("web",), 0, 0)


@pytest.mark.parametrize("before", ["running", "paused", "exited", "missing", "unread"])
@pytest.mark.parametrize("after", ["running", "paused", "exited", "missing", "unread"])
@pytest.mark.parametrize("row", ["zeros", "dashes", "none"])
def test_container_without_figures(before, after, row):
    """What becomes of a row of zeros, of dashes, or of none, depends on both readings of ps."""

    def ps(state):
        if state == "unread":
            return None
        return {} if state == "missing" else listing(ps_line(ID, state=state))

    lines = {"zeros": [zero_line(ID)], "dashes": [dashes_line(ID[:12])], "none": []}[row]
    result = measured(*lines, before=ps(before), after=ps(after))
    ran_before, ran_after = before in ("running", "paused"), after in ("running", "paused")
    kept = row == "zeros" and ran_before and ran_after
    assert len(result.samples) == kept
    assert result.dropped == len(lines) - kept
    assert result.unmeasured == (("web",) if ran_before and ran_after else ())
    assert result.vanished == (ran_before and not ran_after and after != "unread")
    assert result.dashes == (row == "dashes")
    assert result.bad_lines == 0


def test_measured_containers_neither_vanish_nor_lack():
    """A container with figures is measured, also where it ended right after."""
    listed = listing(ps_line(ID))
    gone = measured(stats_line(), before=listed, after={})
    assert (len(gone.samples), gone.vanished, gone.unmeasured) == (1, 0, ())
    here = measured(stats_line(), before=listed, after=listed)
    assert (len(here.samples), here.vanished, here.unmeasured) == (1, 0, ())


def test_row_that_turns_out_to_say_nothing():
    """A row whose last figures fall to the null rules is kept, but measures nothing."""
    nothing = {"MemUsage": "0B / 0B", "PIDs": "0", "CPUPerc": "0.00%", "BlockIO": "0B / 0B"}
    row = stats_line(**nothing, NetIO="1kB / 2kB")
    result = measured(row, **running(networks=""))
    assert unknown(result.samples[0]) == set(MEASUREMENTS)
    assert result.unmeasured == ("web",)


def test_dashes_beside_a_good_row():
    """One good row proves that the daemon lives."""
    result = measured(stats_line(), dashes_line(OTHER[:12]))
    assert (len(result.samples), result.dropped, result.dashes) == (1, 1, False)
    assert measured(zero_line(ID), dashes_line(OTHER)).dashes is False
    assert measured("oops", dashes_line(OTHER)).dashes is True


@pytest.mark.parametrize("poor", [dashes_line(ID[:12]), zero_line(ID)])
def test_second_row_of_a_container(poor):
    """The first row with figures counts, wherever it stands; the other is a bad line."""
    good, late = stats_line(PIDs="1"), stats_line(PIDs="2")
    for lines in ((good, late), (good, poor), (poor, good), (poor, good, late), (good, late, poor)):
        result = measured(*lines, **running())
        assert [sample.pids for sample in result.samples] == [1]
        assert (result.bad_lines, result.dropped) == (len(lines) - 1, 0)
        assert set(result.errors) == {f"a second row for {ID}"}


def test_second_row_without_figures():
    """Two rows without figures are one dropped row and one bad line."""
    zeros, dashes = zero_line(ID), dashes_line(ID)
    for lines in ((dashes, dashes), (zeros, dashes), (dashes, zeros), (zeros, zeros)):
        result = measured(*lines)
        assert (result.samples, result.dropped, result.bad_lines) == ((), 1, 1)
        assert result.dashes == (zeros not in lines)
        result = measured(*lines, **running())
        assert result.unmeasured == ("web",)
        assert len(result.samples) == (zeros in lines)


def test_samples_keep_the_order_of_the_rows():
    """Samples stand in the order in which Docker printed them."""
    ids = [f"{n:064x}" for n in (5, 1, 9, 3)]
    result = measured(*(stats_line(ID=id, Container="") for id in ids))
    assert [sample.id for sample in result.samples] == ids


LONG = {
    "escapes": "{" + "}\x1b[" * 21_000 + "\x01",
    "openings": "[" * 60_000,
    "closings": "{" + "}" * 60_000,
    "parameters": "\x1b[" + "0;" * 30_000 + "{}",
    "blanks": " " * 60_000 + "x",
    "quotes": '{"' * 30_000,
    "backslashes": '{"a":"' + "\\" * 60_000 + '"}',
}


@pytest.mark.parametrize("line", LONG.values(), ids=LONG)
@pytest.mark.parametrize("parse", [parse_stats_line, parse_ps_line])
def test_long_lines_cost_nothing(line, parse):
    """No line takes more than a moment, whatever it is made of."""
    started = time.monotonic()
    with pytest.raises(LineError):
        parse(line)
    assert time.monotonic() - started < 1
