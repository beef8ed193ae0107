"""A page about a range of time: its range, its buckets, what stands on it and how."""

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cli import main
from fleet.commands import page as command
from fleet.errors import UsageError
from fleet.page import charts, html, parts, write
from fleet.page.archive import LIST_MAX_BYTES, Archive, identifier, in_parts, listed, text, time_of
from fleet.page.facts import (
    DETAILED_MAX,
    LINES_MAX,
    METRICS,
    STRIPS_MAX,
    Chart,
    Disk,
    Event,
    Facts,
    Group,
    Heading,
    Host,
    Ranked,
    Series,
    Strip,
    Top,
)
from fleet.page.span import (
    JITTER,
    POINTS_MAX,
    Grid,
    Span,
    Width,
    grid_of,
    span_of,
    usual_interval_s,
    width_of,
    widths_for,
)
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.tables import TableNames, schema_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = (
    "</script><script>pwned=1</script>",
    "<img src=x onerror=pwned=1>",
    "\"'><svg onload=pwned=1>",
    "line\u2028end\x00<!--",
    "%{y} <b>&amp;</b>",
)
SCRIPT = "/* a stand-in for Plotly */ const a = '</script>', b = '<!--';\r\n"


# --- the range


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("24h", None, (NOW - timedelta(days=1), NOW)),
        ("30m", None, (NOW - timedelta(minutes=30), NOW)),
        ("90min", None, (NOW - timedelta(minutes=90), NOW)),
        (
            "7d",
            "2026-02-28",
            (datetime(2026, 2, 21, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)),
        ),
        ("1h", "2026-03-01T12:00+02:00", (NOW - timedelta(hours=3), NOW - timedelta(hours=2))),
        ("1h", "2026-03-01T12:00:00Z", (NOW - timedelta(hours=1), NOW)),
    ],
)
def test_a_range_ends_when_it_is_told_to(since, until, expected):
    """--since reaches back from --until, which is now and UTC unless it says otherwise."""
    assert span_of(since, until, NOW) == Span(*expected)


@pytest.mark.parametrize(
    "since", ["", "h", "24", "1.5h", "-1h", "10s", "2w", "367d", "9999999999h"]
)
def test_a_since_that_is_none_is_named(since):
    """The error has the value and says what was expected."""
    with pytest.raises(UsageError, match=f"--since: .*as 30m, 24h or 7d, not {since!r}"):
        span_of(since, None, NOW)


@pytest.mark.parametrize(
    "until", ["", "yesterday", "12:00", "2026-13-01", "0001-01-01T00:00+14:00", "1970-01-02"]
)
def test_an_until_that_is_none_is_named(until):
    """The error has the value."""
    with pytest.raises(UsageError, match=f"--until: .*{re.escape(until)}"):
        span_of("24h", until, NOW)


def test_the_future_holds_no_rows():
    """An end that has not come yet would only make a page of gaps."""
    with pytest.raises(UsageError, match="has not come yet"):
        span_of("24h", "2026-03-01T12:01", NOW)


# --- buckets


@given(
    minutes=st.integers(1, 366 * 1440),
    seconds=st.integers(0, 86_400),
    interval_s=st.sampled_from([0, 10, 60, 61, 300, 303, 3600, 86_400]),
)
def test_a_line_has_a_bounded_number_of_points(minutes, seconds, interval_s):
    """Whatever the range, the buckets are few, cover it, and the last width has no false gaps."""
    until = NOW - timedelta(seconds=seconds)
    span = Span(until - timedelta(minutes=minutes), until)
    widths = widths_for(span, interval_s)
    assert widths[-1].seconds >= interval_s * JITTER
    assert [width.seconds for width in widths] == sorted({width.seconds for width in widths})
    for width in widths:
        grid = grid_of(span, width)
        assert 1 <= grid.count <= POINTS_MAX + 1
        assert grid.start(0) <= span.since < grid.start(1)
        assert grid.start(grid.count - 1) < span.until <= grid.start(grid.count)
        assert [grid.place(start) for start in grid.starts] == list(range(grid.count))


def test_a_bucket_is_no_narrower_than_sweeps_are_apart():
    """A day of sweeps every five minutes has a bucket for each; every hour, buckets of an hour."""
    day = Span(NOW - timedelta(days=1), NOW)
    assert [width.text for width in widths_for(day, 300)] == ["5m", "10m"]
    assert [width.text for width in widths_for(day, 60)] == ["5m"]
    assert [width.text for width in widths_for(day, 3600)] == ["1h", "2h"]


def test_a_timer_that_drifts_gets_wider_buckets():
    """The first width that leaves no bucket empty between two sweeps is taken, or the last."""
    widths = [Width("5m"), Width("10m")]
    assert width_of(widths, [0, 0]) == Width("5m")
    assert width_of(widths, [3, 0]) == Width("10m")
    assert width_of(widths, [3, 1]) == Width("10m")


def test_the_usual_interval_is_that_of_most_visits():
    """An outage, and a run by hand, do not make it longer or shorter."""
    assert usual_interval_s({300.0: 280, 2100.0: 1, 12.0: 3}) == 300
    assert usual_interval_s({}) == 0


@pytest.mark.parametrize("said", ["2026-03-01T12:00:00.000000Z", "2026-03-01T12:00:00.000000000Z"])
def test_times_are_read_whatever_their_digits(said):
    """Tables whose timestamps have nanoseconds are read as well."""
    assert time_of(said) == NOW


# --- questions


def test_texts_in_sql_are_quoted():
    """A quote in a name is doubled, and ends nothing."""
    assert text("o'brien' OR 1=1 --") == "'o''brien'' OR 1=1 --'"
    assert identifier('my "table"') == '"my ""table"""'


def _archive() -> Archive:
    client = Client(parse_conf("http::addr=127.0.0.1:1;", "test"))
    return Archive(client, schema_of(TableNames()), Span(NOW - timedelta(hours=1), NOW))


def test_hosts_are_named_where_a_question_holds_them():
    """Else by those that are not meant, or, where there are none, by nothing."""
    archive, many = _archive(), [f"web{number:05}" for number in range(4000)]
    assert archive.only(["a", "b"], ["c"]).hosts == "host IN ('a','b')"
    assert archive.only(["a"], []).hosts == "host IN ('a')"
    assert archive.only(many, ["c"]).hosts == "host NOT IN ('c')"
    assert archive.only(many, []).hosts == ""


def test_signs_count_as_an_address_writes_them():
    """Signs that take three places there, or nine, count as so many."""
    many = ["ж" * 20 + str(number) for number in range(200)]
    assert len(listed(many)) < LIST_MAX_BYTES
    assert _archive().only(many, ["c"]).hosts == "host NOT IN ('c')"


def test_more_hosts_than_a_question_holds_are_refused():
    """QuestDB takes an address of 32 KiB; what would be longer ends in a sentence."""
    many = [f"web{number:05}" for number in range(4000)]
    with pytest.raises(UsageError, match="more hosts than one question"):
        _archive().only(many[:2000], many[2000:])


def test_answers_come_in_parts():
    """Hosts are asked about in parts whose answers the client takes, none left out."""
    names = [f"web{number:03}" for number in range(100)]
    parts_ = list(in_parts(names, 900))
    assert [name for part in parts_ for name in part] == names
    assert len(parts_) > 1
    assert list(in_parts(["x" * 5000], 900)) == [["x" * 5000]]
    assert listed(["a", "b'"]) == "'a','b'''"


# --- how figures are written


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (None, "percent", "-"),
        (0.0, "percent", "0.0%"),
        (12.345, "percent", "12.3%"),
        (512 * 2**20, "bytes", "512.0MiB"),
        (1536.0, "rate", "1.5KiB/s"),
        (None, "rate", "-"),
    ],
)
def test_a_figure_that_is_unknown_is_never_0(value, form, expected):
    """Null is a dash, and 0 is 0."""
    assert write.figure(value, form) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "-"),
        (0, 9, "0%"),
        (1, 10**6, "<0.1%"),
        (10**6 - 1, 10**6, ">99.9%"),
        (9, 9, "100.0%"),
    ],
)
def test_shares_do_not_round_something_to_nothing(part, whole, expected):
    """One failure of a million is not 0, and all but one are not all."""
    assert write.share(part, whole) == expected


def test_times_that_last():
    """Two units say it."""
    seconds = (0, 59, 60, 5400, 90_061)
    said = ["0 s", "59 s", "1 min", "1 h 30 min", "1 d 1 h"]
    assert [write.lasting(one) for one in seconds] == said


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x, max_size=3)))
def test_data_in_a_script_ends_nothing(value):
    """What is embedded is the same again when read, and has no sign that HTML reads."""
    said = write.inside_script(value)
    assert json.loads(said) == value
    assert said.isascii()
    assert not set("<>&") & set(said)


@given(st.text())
def test_foreign_text_is_text(value):
    """No sign of HTML's is left, and nothing that a terminal or a parser would obey."""
    said = write.text(value)
    assert not set("<>\"'") & set(said)
    assert said.isprintable()


def test_what_is_not_finite_is_a_gap():
    """JSON has no infinity; a chart has none either."""
    assert [write.short(value) for value in (None, float("inf"), float("nan"), 2.0, 1 / 3)] == [
        *(None, None, None, 2, 0.333333)
    ]


# --- the page


def _facts(names: tuple[str, ...] = ("web1", "web2"), **changes: Any) -> Facts:
    """A page's facts about some names; every name is a host, a container, a status and a detail."""
    span = Span(NOW - timedelta(minutes=20), NOW)
    grid = Grid(Width("5m"), span.since, 4)
    hosts = tuple(Host(name, "timeout", False, 1, NOW, 4, 2) for name in names)
    lines = tuple(Series(name, (1.5, None, 0.0, 3e9)) for name in names)
    facts: dict[str, Any] = {
        "span": span,
        "grid": grid,
        "interval_s": 300.0,
        "hosts": hosts,
        "strips": tuple(
            Strip(host, ("ok", None, "timeout", host.name), host.name, NOW) for host in hosts
        ),
        "sweeps": 4,
        "containers": 2,
        "gap": Span(NOW - timedelta(minutes=10), NOW),
        "tops": (Top(METRICS[0], tuple(Ranked(n, n, n, 1.0, 2.0) for n in names), 30),),
        "disks": tuple(Disk(name, name, 95.5, 91.0, None, 3e9) for name in names),
        "disk_count": 12,
        "events": tuple(Event(NOW, name, name, name, name, True) for name in names),
        "event_count": 200,
        "groups": (Group(names[0], "", (Chart(names[0], "percent", lines, 7, "containers"),)),),
        "hosts_left_out": 90,
        "stateless": 0,
        "chosen": False,
    }
    return Facts(**{**facts, **changes})


def _page(facts: Facts, title: str = "A title", patterns: tuple[str, ...] = ()) -> str:
    return html.page(facts, Heading(title, patterns, NOW, "0.1.0"), SCRIPT).decode()


class Parsed(HTMLParser):
    """The tags, the scripts and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An opening tag."""
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        """What stands between tags."""
        if self.lasttag == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def test_hostile_names_are_text():
    """Whatever a host, a container, a status, a detail or a title is called, no tag comes of it."""
    page = Parsed(_page(_facts(HOSTILE), title=HOSTILE[0], patterns=HOSTILE))
    tame = Parsed(_page(_facts(tuple("abcde")), title="t", patterns=tuple("abcde")))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in tame.tags]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert len(page.scripts) == 3
    assert HOSTILE[1] in page.texts
    lines = json.loads(page.scripts[0])["charts"]["chart-0-0"]["lines"]
    assert [line["name"] for line in lines][1] == HOSTILE[1]
    assert "\u2028" not in _page(_facts(HOSTILE))


def test_the_page_may_run_its_own_scripts_and_connect_nowhere():
    """The policy names the hash of each script as browsers take it, and forbids the rest."""
    page = Parsed(_page(_facts()))
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    for script in page.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not any(set(attributes) & {"src", "href"} - {"href"} for _, attributes in page.tags)
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert links == ["data:,"]


def test_null_is_a_gap_in_the_lines_and_a_dash_in_the_table():
    """It is neither left out nor 0; 0 stays 0."""
    facts = _facts()
    (chart,) = charts.data(facts)["charts"].values()
    assert [line["values"] for line in chart["lines"]] == [[1.5, None, 0, 3000000000]] * 2
    rows = re.findall(r"<tr><th>2026-03-01 11:(\d\d)(?:<td>(\S+?))(?:<td>(\S+))\n", _page(facts))
    assert rows[:3] == [("40", "1.5%", "1.5%"), ("45", "-", "-"), ("50", "0.0%", "0.0%")]
    assert "connectgaps: false" in _page(facts)


def test_what_is_left_out_is_said():
    """Of lines, of top tables, of events, of hosts, each in words."""
    said = " ".join(Parsed(_page(_facts(strips=_facts().strips[:1]))).texts)
    assert "7 more containers are left out" in said
    assert "28 more containers are left out" in said
    assert "10 more disks are left out" in said
    assert "198 older events are left out" in said
    assert "90 more hosts are left out, with containers" in said
    assert "1 more host is left out, 1 of them not ok now" in said


def test_what_did_not_happen_is_known_or_not():
    """Only where states were stored, nothing happened; hosts without any are counted."""
    told = [
        " ".join(Parsed("\n".join(parts.events(_facts(events=(), event_count=0, **more)))).texts)
        for more in ({"stateless": 0}, {"stateless": 1}, {"stateless": 2})
    ]
    assert ["Nothing: no container ended" in one for one in told] == [True, False, False]
    assert "Nothing for the others: no container ended" in told[1]
    assert "Nothing" not in told[2]
    assert ["Not known" in one for one in told] == [False, True, True]
    assert "Not known for 1 of 2 hosts: no state of any container was stored" in told[1]


def test_lines_of_a_sum_have_each_their_own_hosts():
    """One may be the sum of fewer hosts than the other: the table says so beside each."""
    lines = (Series("in", (1.0, None), (2, 0)), Series("out", (3.0, 4.0), (1, 5)))
    group = Group("All", "", (Chart("Network", "rate", lines, 0, "lines"),))
    page = _page(_facts(groups=(group,), grid=Grid(Width("5m"), NOW - timedelta(minutes=10), 2)))
    page = page.partition('id="chart-0-0"')[2]
    rows = [
        re.split("<td>", row)[1:] for row in re.findall("<tr><th>2026-03-01 11:5.([^\n]+)", page)
    ]
    assert rows == [["1B/s", "2", "3B/s", "1"], ["-", "0", "4B/s", "5"]]
    assert page.count("hosts in the sum") == 2


def test_a_page_of_much_is_of_bounded_size():
    """Without Plotly's script it has less than 8 MB and 100,000 elements, however many containers
    there are and however often hosts change: tables of single containers are made when opened.
    """
    grid = Grid(Width("5m"), NOW - timedelta(days=1), 301)
    values = tuple(1.23456e12 + place if place % 3 else place / 7 for place in range(301))
    lines = tuple(Series(f"container-{n}", values) for n in range(LINES_MAX))
    drawn = tuple(Chart(one.title, one.form, lines, 0, "containers") for one in METRICS)
    alone = tuple(
        Group(f"Containers of {n}", "", drawn, detailed=True) for n in range(DETAILED_MAX)
    )
    hosts = tuple(Host(f"web{n}", "timeout", False, 1, NOW, 4, 2) for n in range(STRIPS_MAX))
    cells = tuple("ok" if place % 2 else "timeout" for place in range(301))
    facts = _facts(
        hosts=hosts,
        strips=tuple(Strip(host, cells, "x" * 500, NOW) for host in hosts),
        groups=(Group("Hosts", "", drawn), Group("Machines", "", drawn[:3], detailed=True), *alone),
        grid=grid,
    )
    page = _page(facts)
    assert "The newest 50; 251 older ones are left out." in page
    assert len(page) < 8e6
    assert page.count("<") < 100_000


def test_disks_are_told_or_said_to_be_unknown():
    """Used at most and at last, free and in all; unknown is a dash."""
    said = "\n".join(Parsed(_page(_facts(("web1",)))).texts)
    assert "web1\nweb1\n95.5%\n91.0%\n-\n2.8GiB" in said
    said = _page(_facts(disks=(), disk_count=0))
    assert '<h2>The fullest disks</h2>\n<p class="nothing">No disk is known in this range.' in said


def test_a_strip_has_a_text_beside_its_colours():
    """Who cannot see it reads the shares, and the times of each status stand in a table."""
    page = Parsed(_page(_facts(("web1",))))
    (label,) = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert (
        label == "web1: ok 25.0%, no data 25.0%, timeout 25.0%, web1 25.0%; newest visit: timeout"
    )
    assert [a["class"] for tag, a in page.tags if tag == "path"] == ["ok", "failed"]
    assert "no data" in page.texts


def test_every_status_has_a_colour():
    """A word that is not known counts as a failure."""
    kinds = [parts.kind_of(one) for one in ("ok", "partial", "dns", "new", "maintenance", None)]
    assert kinds == ["ok", "partial", "failed", "failed", "maintenance", "none"]


@given(st.lists(st.lists(st.integers(0, 60).map(str), unique=True, max_size=LINES_MAX), max_size=6))
def test_lines_of_one_chart_look_different(labels):
    """And what has one name keeps its look from chart to chart, where that can be."""
    drawn = tuple(
        Chart("c", "percent", tuple(Series(label, ()) for label in chart), 0, "lines")
        for chart in labels
    )
    looks = charts.looks_of(Group("g", "", drawn))
    for chart, found in zip(labels, looks, strict=True):
        assert len(set(found)) == len(chart)
        assert all(0 <= look < LINES_MAX for look in found)
    if len({label for chart in labels for label in chart}) <= LINES_MAX:
        pairs = {
            pair
            for chart, found in zip(labels, looks, strict=True)
            for pair in zip(chart, found, strict=True)
        }
        assert len({label for label, _ in pairs}) == len(pairs)


# --- the command


def test_without_plotly_the_way_to_it_is_named(monkeypatch, capfd):
    """One sentence, the status of a usage error, and no question to anybody."""
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main(["report"]) == 2
    assert capfd.readouterr().err == (
        "fleet: report needs plotly, which is not installed here: "
        f"{sys.executable} -m pip install plotly\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--since", "soon"],
            "fleet: --since: expected a time from 1m to 366d, as 30m, 24h or 7d, ",
        ),
        (["--until", "then"], "fleet: --until: expected a time in ISO 8601"),
        (["--out", ""], "fleet: --out: expected the name of a file, or -, not ''"),
        (["--out", "/"], "fleet: --out: expected the name of a file, or -, not '/'"),
        (["--out", "/tmp/no-such-folder/"], "fleet: --out: expected the name of a file, or -, not"),
        (["--out", "/no/such/r.html"], "fleet: --out: '/no/such/r.html': there is no folder"),
        (["--table", "a?"], "fleet: --table: 'a?' cannot be the name of a table"),
    ],
)
def test_a_bad_value_is_one_line(words, said, capfd):
    """It is found before QuestDB is asked anything."""
    assert main(["report", "--questdb", "http::addr=127.0.0.1:1;", *words]) == 2
    error = capfd.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1


def test_a_loop_of_links_is_no_file(tmp_path, capfd):
    """It is named before QuestDB is asked anything, and stays what it is."""
    loop = tmp_path / "r.html"
    loop.symlink_to("r.html")
    assert main(["report", "--questdb", "http::addr=127.0.0.1:1;", "--out", str(loop)]) == 2
    said = capfd.readouterr().err
    assert said == f"fleet: --out: {str(loop)!r}: Too many levels of symbolic links\n"
    assert loop.is_symlink()


def test_a_closed_standard_output_is_no_success():
    """It is as a full disk is: said in one line, by the status for what was not printed."""
    words = f"{sys.executable} -m fleet report --questdb http::addr=127.0.0.1:1; --out - >&-"
    argv = ["sh", "-c", words.replace(";", "\\;")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == "fleet: standard output: Bad file descriptor\n"
    assert done.returncode == 4


def test_nobody_may_write_there(nobody):
    """A folder without the right to write is named before anything is asked."""
    with pytest.raises(UsageError, match=r"--out: '/r\.html': no right to write to '/'"):
        command._check("/r.html")


def test_a_page_replaces_another_whole_or_not_at_all(tmp_path, monkeypatch):
    """Where writing fails the old page stays, and nothing is left beside it."""
    out = tmp_path / "r.html"
    command._write(str(out), b"old")
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~_mask()
    out.chmod(0o640)
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(UsageError, match="No space left"):
        command._write(str(out), b"new")
    assert out.read_bytes() == b"old"
    monkeypatch.undo()
    command._write(str(out), b"new")
    assert out.read_bytes() == b"new"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [out]


def test_a_link_stays_a_link(tmp_path):
    """The file that it leads to is replaced; a pipe or a device is written to as it is."""
    target, link = tmp_path / "page.html", tmp_path / "latest.html"
    target.write_bytes(b"old")
    link.symlink_to(target)
    command._write(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    command._write("/dev/null", b"new")
    assert not Path("/dev/null").is_file()


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _full(_file: int) -> None:
    raise OSError(28, "No space left on device")
