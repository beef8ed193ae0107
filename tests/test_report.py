"""What a sweep looks like to a person and to a program."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.inventory import Host
from fleet.report import (
    as_csv,
    as_json,
    as_jsonl,
    as_table,
    bytes_text,
    causes,
    folded,
    found,
    summary,
)
from fleet.sources import Sample
from fleet.sources.state import State
from fleet.states import ContainerState
from fleet.status import Phase, Status
from fleet.tables import Rows, Schema, Sweep, TableNames, rows_of, schema_of, sweep_row
from fleet.visit import Visit, failure

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def _host(name: str, **fields) -> Host:
    return Host(name, name, **fields)


def _sample(letter: str, **fields) -> Sample:
    return Sample(letter * 64, f"c-{letter}", **fields)


def _state(letter: str, state: str, health: str | None = None, **fields) -> ContainerState:
    told = State(letter * 64, state, health=health)
    named = {"name": f"c-{letter}", "image": None, "service": None, **fields}
    return ContainerState(**named, state=told, due=True, mark="")


def _ok(name: str, *samples: Sample) -> Visit:
    return Visit(
        _host(name),
        Status.OK,
        None,
        None,
        1.5,
        sampled_at=AT,
        samples=samples,
        node_uptime_s=77.5,
        source="docker",
    )


def _down(name: str, detail: str = "refused", status: Status = Status.UNREACHABLE) -> Visit:
    return failure(_host(name), status, Phase.CONNECT, detail, 0.1)


def _sweep(*visits: Visit) -> Sweep:
    return Sweep(AT, "fleet", "1.0", visits, 2.25)


FULL = _sample(
    "a",
    image="busy:1",
    service="web",
    cpu_percent=150.0,
    memory_bytes=3.5 * 1024**2,
    memory_limit_bytes=2.0 * 1024**3,
    memory_percent=0.17,
    pids=12,
    net_in_bytes=1_230_000.0,
    net_out_bytes=0.0,
    block_in_bytes=999_999.0,
    block_out_bytes=5e13,
    source="kernel",
    net_in_rate=1_500.0,
    net_out_rate=0.0,
    block_out_rate=2_000_000.0,
)
SWEEP = _sweep(
    replace(_ok("web2", _sample("b"), FULL), states=(_state("a", "running", "healthy"),)),
    _ok("web1"),
    _down("db[1]"),
)


def test_table_is_what_people_read():
    """Sorted by host, human units, failed hosts and why below, totals at the end."""
    assert as_table(SWEEP, found(SWEEP)) == (
        "HOST  CONTAINER  STATE                 CPU  MEMORY   LIMIT  MEM%  NET IN  NET OUT"
        "  NET IN/s  NET OUT/s  BLOCK IN  BLOCK OUT  BLOCK IN/s  BLOCK OUT/s  PIDS"
        "  SOURCE  IMAGE\n"
        "web2  c-a        running (healthy)  150.0%  3.5MiB  2.0GiB  0.2%   1.2MB       0B"
        "     1.5kB         0B     1.0MB     50.0TB           -        2.0MB    12"
        "  kernel  busy:1\n"
        "web2  c-b        -                       -       -       -     -       -        -"
        "         -          -         -          -           -            -     -"
        "  docker  -\n"
        "\n"
        "HOST   STATUS       WHY\n"
        "db[1]  unreachable  refused\n"
        "\n"
        "3 hosts, 1 failed; 2 containers; 2.2 s\n"
    )


def test_table_of_nothing_is_its_totals():
    """No containers and no failure: one line."""
    assert as_table(_sweep(_ok("web1")), []) == "1 host, 0 failed; 0 containers; 2.2 s\n"


def test_containers_that_do_not_run_stand_in_the_table_when_asked_for():
    """`--all` adds a row for each of them, with its state, its image and no figures."""
    visit = replace(
        _ok("web1", FULL),
        states=(
            _state("a", "running"),
            _state("d", "exited", image="shop/job:1", service="job"),
            _state("c", "paused", "unhealthy"),
        ),
    )
    sweep = _sweep(visit, _down("db1"))
    assert [sample.id for _, sample in found(sweep)] == ["a" * 64]
    pairs = found(sweep, stopped=True)
    assert [sample.name for _, sample in pairs] == ["c-a", "c-c", "c-d"]
    assert pairs[2][1] == Sample("d" * 64, "c-d", "shop/job:1", "job", source="-")
    head, first, second, third, *_ = as_table(sweep, pairs).splitlines()
    at = [head.index(heading) for heading in ("STATE", "CPU", "SOURCE", "IMAGE")]
    assert [line[at[0] :].split()[0] for line in (first, second, third)] == [
        *("running", "paused", "exited"),
    ]
    assert "paused (unhealthy)" in second
    assert third.split() == ["web1", "c-d", "exited", *["-"] * 14, "shop/job:1"]
    assert first[at[2] :].split() == ["kernel", "busy:1"]


def test_a_container_that_was_gone_is_told_with_all():
    """`vanished` is a state like any other; nothing stands there twice."""
    visit = replace(_ok("web1", FULL), states=(_state("a", "running"), _state("e", "vanished")))
    pairs = found(_sweep(visit), stopped=True)
    assert [sample.id[0] for _, sample in pairs] == ["a", "e"]
    assert "vanished" in as_table(_sweep(visit), pairs)


@pytest.mark.parametrize("sort", ["host", "name", "cpu", "memory", "net", "block", "pids"])
def test_containers_that_do_not_run_sort_with_the_others(sort):
    """They have no figures, and stand last by any figure; `--top` counts them."""
    visit = replace(_ok("web1", FULL), states=(_state("a", "running"), _state("f", "exited")))
    pairs = found(_sweep(visit), sort, stopped=True)
    assert [sample.id[0] for _, sample in pairs] == ["a", "f"]
    assert len(found(_sweep(visit), sort, top=1, stopped=True)) == 1


def test_state_is_that_of_the_host_it_stands_on():
    """One id on two hosts, of copied machines, has two states."""
    one = replace(_ok("h1", FULL), states=(_state("a", "running", "healthy"),))
    two = replace(_ok("h2", FULL), states=(_state("a", "paused"),))
    _, first, second, *_ = as_table(_sweep(one, two), found(_sweep(one, two))).splitlines()
    assert first.split()[:4] == ["h1", "c-a", "running", "(healthy)"]
    assert second.split()[:3] == ["h2", "c-a", "paused"]


def test_rates_stand_beside_totals():
    """Bytes a second, of either source; unknown ones are a dash, and none is 0."""
    head, row, *_ = as_table(SWEEP, found(SWEEP)).splitlines()
    ends = {}
    for heading in ("NET IN/s", "NET OUT/s", "BLOCK IN/s", "BLOCK OUT/s"):
        end = head.index(heading) + len(heading)
        ends[heading] = row[:end].split()[-1]
    assert ends == {
        "NET IN/s": "1.5kB",
        "NET OUT/s": "0B",
        "BLOCK IN/s": "-",
        "BLOCK OUT/s": "2.0MB",
    }


def test_notes_of_good_hosts_stand_below():
    """What is worth a word is said of an ok host, too, and does not make it a failed one."""
    noted = replace(_ok("web1", FULL), detail="the forced command there is older")
    sweep = _sweep(noted, _ok("web2"))
    lines = as_table(sweep, found(sweep)).splitlines()
    at = next(n for n, line in enumerate(lines) if line.split() == ["HOST", "STATUS", "WHY"])
    assert lines[at + 1].split(maxsplit=2) == ["web1", "ok", "the forced command there is older"]
    assert lines[at + 2 :] == ["", "2 hosts, 0 failed; 1 container; 2.2 s"]
    assert causes(sweep.failed) == []


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("host", "cab"),
        ("name", "abc"),
        ("cpu", "abc"),
        ("memory", "bac"),
        ("net", "cba"),
        ("block", "cba"),
        ("pids", "bac"),
    ],
)
def test_figures_sort_from_the_largest_and_unknown_last(sort, order):
    """`--sort` orders containers over all hosts."""
    a = _sample("a", cpu_percent=2.0, memory_bytes=1.0, pids=1)
    b = _sample("b", cpu_percent=0.0, memory_bytes=2.0, pids=9, net_in_bytes=0.0, net_out_bytes=0.0)
    c = _sample("c", net_in_bytes=1.0, net_out_bytes=1.0, block_in_bytes=0.0, block_out_bytes=9.0)
    b = _sample(
        "b",
        cpu_percent=0.0,
        memory_bytes=2.0,
        pids=9,
        net_in_bytes=0.0,
        net_out_bytes=0.0,
        block_in_bytes=0.0,
        block_out_bytes=0.0,
    )
    sweep = _sweep(_ok("h2", a, b), _ok("h1", c))
    assert "".join(sample.id[0] for _, sample in found(sweep, sort)) == order
    assert len(found(sweep, sort, top=2)) == 2


def _tables(sweep: Sweep, schema: Schema) -> dict[str, Rows]:
    """The rows of a sweep as a snapshot names them."""
    containers, hosts, states, nodes, disks = rows_of(sweep, schema)
    return {
        "hostStatus": hosts,
        "containerStats": containers,
        "containerState": states,
        "nodeStats": nodes,
        "diskStats": disks,
    }


def test_json_is_one_object_with_the_tables_columns():
    """Column names are the tables', times are ISO 8601 UTC, unknown is null."""
    schema = schema_of(TableNames())
    tables = _tables(SWEEP, schema)
    document = json.loads("".join(as_json(sweep_row(SWEEP, schema), tables)))
    assert list(document) == ["sweep", *tables]
    assert len(document["containerState"]) == 1
    assert document["nodeStats"] == document["diskStats"] == []
    assert document["sweep"] == {
        "name": "fleet",
        "version": "1.0",
        "hosts": 3,
        "failed": 1,
        "containers": 2,
        "dropped": 0,
        "spooled": 0,
        "elapsed": 2.25,
        "timestamp": "2026-03-01T12:00:00.000005Z",
    }
    down = document["hostStatus"][2]
    assert (down["status"], down["sampled"], down["node_uptime"]) == ("unreachable", None, None)
    empty = document["containerStats"][0]
    assert empty["container"] == "b" * 12
    assert empty["cpu"] is None
    assert empty["memory_use_unit"] == "bytes"
    assert (empty["source"], empty["net_in_rate"]) == ("docker", None)
    assert list(empty) == [column.name for column in schema.containers.columns]
    (state,) = document["containerState"]
    assert (state["state"], state["health"], state["exit_code"]) == ("running", "healthy", None)
    assert list(state) == [column.name for column in schema.states.columns]


def test_json_is_laid_out_as_the_library_does():
    """It comes in pieces, and is to the letter what one call would have made."""
    schema = schema_of(TableNames())
    for sweep in (SWEEP, _sweep(_ok("web1")), _sweep(_down('"quoted"\\\n{', "a\nb"))):
        tables = _tables(sweep, schema)
        pieces = list(as_json(sweep_row(sweep, schema), tables))
        text = "".join(pieces)
        assert text == json.dumps(json.loads(text), indent=2) + "\n"
        assert len(pieces) > sum(len(rows.rows) for rows in tables.values())


def test_json_lines_and_csv_hold_the_same_rows():
    """A row a line, unknown null or empty, and what needs quotes is quoted."""
    visit = _ok("web1", _sample("a", service='x,"y"\nz', pids=3))
    rows = rows_of(_sweep(visit), schema_of(TableNames()))[0]
    (line,) = as_jsonl(rows)
    (row,) = csv.DictReader(io.StringIO("".join(as_csv(rows))))
    assert json.loads(line)["service"] == row["service"] == 'x,"y"\nz'
    assert (json.loads(line)["pids"], row["pids"]) == (3, "3")
    assert (json.loads(line)["cpu"], row["cpu"]) == (None, "")
    assert row["timestamp"] == "2026-03-01T12:00:00.000005Z"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["web03", "web04", "web05", "db2"], "db2,web[03-05]"),
        (["a"], "a"),
        (["a[1]", "b&c", "@all", "x!y", "é1"], "@all,a[1],b&c,x!y,é1"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
    ],
)
def test_host_names_fold(names, text):
    """Runs of numbers fold; a name with a sign of the set grammar stands as it is."""
    assert folded(names) == text


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=20))
def test_any_host_names_fold(names):
    """No name that an inventory could hold breaks the summary."""
    folded(names)


def test_summary_counts_and_folds():
    """The sweep in one line, then one for each cause, the most frequent first."""
    maintenance = failure(_host("m1", maintenance=True), Status.DNS, Phase.RESOLVE, "?", 0)
    sweep = _sweep(
        _down("db1", "bad key", Status.AUTH_FAILED),
        _down("web03"),
        _down("web04"),
        _ok("ok1", FULL),
        maintenance,
    )
    assert summary(sweep) == [
        "fleet: 5 hosts, 3 failed, 1 down for maintenance; 1 container; 2.2 s",
        "unreachable 2: web[03-04]: refused",
        "auth_failed 1: db1: bad key",
    ]


def test_cause_with_many_details_gives_one_as_an_example():
    """Details differ by host: one stands for all, and is named."""
    assert causes([_down("w1", "10.0.0.1: refused"), _down("w2", "10.0.0.2: refused")]) == [
        "unreachable 2: w[1-2]: for one, w1: 10.0.0.1: refused"
    ]


def test_every_bastion_has_a_line_of_its_own():
    """Which bastion is gone is read from the line; hosts behind another are not mixed in."""
    visits = [
        failure(_host(f"web{n:02}"), Status.JUMP_FAILED, Phase.CONNECT, "refused", 0, "bastion1")
        for n in range(1, 13)
    ]
    visits += [
        failure(_host(f"db{n}"), Status.JUMP_FAILED, Phase.CONNECT, "no key", 0, "ops@b2:2222")
        for n in (1, 2)
    ]
    visits.append(_down("alone"))
    assert causes(visits) == [
        "jump_failed 12: web[01-12] (via bastion1): refused",
        "jump_failed 2: db[1-2] (via ops@b2:2222): no key",
        "unreachable 1: alone: refused",
    ]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=1", "a;'=1"),
        ("web", "web"),
        ("a=b+c-d@e", "a=b+c-d@e"),
        ("it's", "it's"),
    ],
)
def test_no_formula_stands_in_csv(text, cell):
    """A spreadsheet shows it as text; JSON has it exactly."""
    visit = _ok("web1", _sample("a", service=text, image=text))
    rows = rows_of(_sweep(visit), schema_of(TableNames()))[0]
    (row,) = csv.DictReader(io.StringIO("".join(as_csv(rows))))
    assert (row["service"], row["image"]) == (cell, cell)
    assert json.loads("".join(as_jsonl(rows)))["service"] == text


def test_figures_are_no_formulas():
    """A number stays a number, a time a time, whatever their first sign."""
    rows = rows_of(_sweep(_ok("web1", _sample("a", cpu_percent=-1.5))), schema_of(TableNames()))[0]
    (row,) = csv.DictReader(io.StringIO("".join(as_csv(rows))))
    assert (row["cpu"], row["host"]) == ("-1.5", "web1")


def test_labels_stand_in_what_programs_read():
    """A label is a key and a column, null or empty where a host has none; people's table is as
    it was.
    """
    schema = schema_of(TableNames(), ("env", "role"))
    good = replace(_ok("web1", FULL), host=_host("web1", labels=("prod", None)))
    down = replace(_down("db1"), host=_host("db1", labels=("prod", "=db")))
    sweep = _sweep(good, down)
    tables = _tables(sweep, schema)
    containers, hosts = tables["containerStats"], tables["hostStatus"]
    document = json.loads("".join(as_json(sweep_row(sweep, schema), tables)))
    assert (document["sweep"]["env"], document["sweep"]["role"]) == ("prod", None)
    assert [row["role"] for row in document["hostStatus"]] == [None, "=db"]
    assert json.loads("".join(as_jsonl(containers)))["env"] == "prod"
    (row,) = csv.DictReader(io.StringIO("".join(as_csv(containers))))
    assert (row["env"], row["role"]) == ("prod", "")
    assert [row["role"] for row in csv.DictReader(io.StringIO("".join(as_csv(hosts))))] == [
        "",
        "'=db",
    ]
    assert "prod" not in as_table(sweep, found(sweep))


def test_summary_is_25_lines_at_most():
    """cron mails it: what is left out is counted."""
    pairs = [(status, phase) for status in Status if status is not Status.OK for phase in Phase]
    visits = [
        failure(_host(f"h{n}"), status, phase, "?", 0)
        for n, (status, phase) in enumerate(pairs[:40])
    ]
    lines = summary(_sweep(*visits))
    assert len(lines) == 25
    assert lines[-1] == "… and 17 more causes"


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (None, 1000, "-"),
        (0.0, 1000, "0B"),
        (999.0, 1000, "999B"),
        (999_949.0, 1000, "999.9kB"),
        (999_999.0, 1000, "1.0MB"),
        (1023.0, 1024, "1023B"),
        (1024.0, 1024, "1.0KiB"),
        (1.5 * 1024**4, 1024, "1.5TiB"),
        (1.8e19, 1000, "18000.0PB"),
    ],
)
def test_sizes_for_people(value, base, text):
    """One digit behind the point, and the unit changes before the figure reads 1000.0."""
    assert bytes_text(value, base) == text


WIDE = Visit(
    _host("web01.prod.example.com"),
    Status.OK,
    None,
    None,
    1.0,
    samples=(
        Sample(
            "a" * 64,
            "shop-web-1",
            image="registry.example.com/shop/web:2.4",
            cpu_percent=1234.5,
            memory_bytes=1000.0 * 1024**2,
            memory_limit_bytes=23.5 * 1024**3,
            memory_percent=99.9,
            pids=12345,
            net_in_bytes=123.4e6,
            net_out_bytes=123.4e6,
            block_in_bytes=123.4e6,
            block_out_bytes=123.4e6,
            source="docker+kernel",
            net_in_rate=123.4e6,
            net_out_rate=123.4e6,
            block_in_rate=123.4e6,
            block_out_rate=123.4e6,
        ),
    ),
    states=(_state("a", "running"),),
)
ALL = "HOST CONTAINER STATE CPU MEMORY LIMIT MEM% NET NET/s BLOCK BLOCK/s PIDS SOURCE IMAGE"


@pytest.mark.parametrize(
    ("width", "headings", "left_out"),
    [
        (None, ALL, ""),
        (240, ALL, ""),
        (200, ALL.removesuffix(" IMAGE"), "IMAGE"),
        (180, ALL.removesuffix(" SOURCE IMAGE"), "SOURCE IMAGE"),
        (
            160,
            "HOST CONTAINER STATE CPU MEMORY LIMIT MEM% NET NET/s BLOCK/s PIDS",
            "SOURCE IMAGE BLOCK",
        ),
        (
            120,
            "HOST CONTAINER STATE CPU MEMORY LIMIT MEM% NET/s PIDS",
            "SOURCE IMAGE BLOCK NET BLOCK/s",
        ),
        (
            80,
            "HOST CONTAINER STATE CPU MEMORY MEM% PIDS",
            "SOURCE IMAGE BLOCK NET LIMIT BLOCK/s NET/s",
        ),
        (
            60,
            "HOST CONTAINER CPU MEMORY",
            "SOURCE IMAGE BLOCK NET LIMIT BLOCK/s MEM% STATE NET/s PIDS",
        ),
        (
            40,
            "HOST CONTAINER CPU MEMORY",
            "SOURCE IMAGE BLOCK NET LIMIT BLOCK/s MEM% STATE NET/s PIDS",
        ),
    ],
)
def test_narrow_terminal_loses_columns_and_never_a_sign(width, headings, left_out):
    """What there is room for stays, by its worth; what goes is named; no cell is cut."""
    sweep = _sweep(WIDE)
    head, row, *rest = as_table(sweep, found(sweep), width).splitlines()

    def both_ways(text: str) -> list[str]:
        return re.sub(r"(NET|BLOCK)(\S*)", r"\1 IN\2 \1 OUT\2", text).split()

    assert head.split() == both_ways(headings)
    state = ["running"] if "STATE" in headings else []
    start = ["web01.prod.example.com", "shop-web-1", *state, "1234.5%", "1000.0MiB"]
    assert row.split()[: len(start)] == start
    if width not in (None, 40):
        assert len(row) <= width
    if left_out:
        assert rest[0].startswith("(")
        assert rest[0].endswith(f" left out: the terminal is {width} columns wide)")
        assert rest[0][1:].partition(" left")[0].replace(",", "").split() == both_ways(left_out)
    assert rest[bool(left_out)] == ""


def test_why_wraps_beside_its_host():
    """On a terminal a long reason stays in its column; without one it is one line."""
    detail = "permission denied while trying to connect to the Docker daemon socket at unix:///var"
    sweep = _sweep(_down("web04", detail))
    head, first, second, *_ = as_table(sweep, [], 80).splitlines()
    at = head.index("WHY")
    assert (first[:5], second[:at]) == ("web04", " " * at)
    assert f"{first[at:]} {second[at:]}" == detail
    assert max(len(first), len(second)) <= 80
    assert detail in as_table(sweep, [])
    assert detail in as_table(sweep, [], 30)


def test_columns_stand_under_each_other_in_any_script():
    """A Chinese sign takes two places on a terminal."""
    sweep = _sweep(_ok("数据库", FULL), _ok("web1", FULL))
    rows = as_table(sweep, found(sweep)).splitlines()[1:3]
    assert sorted(row.partition("c-a")[0] for row in rows) == ["web1    ", "数据库  "]
