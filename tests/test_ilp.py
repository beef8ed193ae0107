"""Rows as ILP: what arrives in a real QuestDB, and what cannot be sent."""

import math
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import fleet
from fleet.errors import QuestDBError
from fleet.ilp import Encoder, ilp_text
from fleet.ilp_text import Part, Unsendable, lines_of
from fleet.schema import create_statement, ensure
from fleet.settings import TABLE_NAME_MAX_BYTES
from fleet.status import Status
from fleet.tables import Cell, Column, Rows, Table, TableNames, rows_of, schema_of, sweep_row
from tests.lab.questdb import QuestDB
from tests.test_schema import client_of, fresh, publish
from tests.test_tables import NOW, full_sweep, small_sweep

# A run makes one encoder; these tests make many.
pytestmark = pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst")

KINDS = ("SYMBOL", "VARCHAR", "DOUBLE", "LONG", "BOOLEAN", "TIMESTAMP")


def make_table(name: str, *kinds: str) -> Table[Any]:
    """A table of columns `v0`, `v1`, … of these types, and the designated timestamp."""
    columns = tuple(Column(f"v{n}", kind, lambda source: source) for n, kind in enumerate(kinds))
    stamp: Column[Any] = Column("timestamp", "TIMESTAMP", lambda source: source)
    return Table(name, (*columns, stamp), ("timestamp",))


def rows_at(table: Table[Any], *rows: tuple[Cell, ...]) -> Rows:
    """These rows, each with a microsecond of its own."""
    return Rows(table, tuple((*row, NOW + timedelta(microseconds=n)) for n, row in enumerate(rows)))


def plain(count: int) -> Rows:
    """So many rows of one symbol, for servers that do not look."""
    return rows_at(make_table("plain", "SYMBOL"), *((f"host{n}",) for n in range(count)))


def encoded(rows: Rows) -> Part:
    """The rows as ILP, all of them."""
    with Encoder() as encoder:
        part, unsendable = encoder.encode(rows)
    assert unsendable == ()
    return part


def post(questdb: QuestDB, text: str) -> None:
    """As curl does: `POST /write?precision=n`."""
    address = f"{questdb.url}/write?precision=n"
    with urllib.request.urlopen(
        urllib.request.Request(address, text.encode()), timeout=20
    ) as reply:
        assert reply.status == 204


def stored(questdb: QuestDB, table: str, count: int) -> list[tuple[Any, ...]]:
    """The table's rows by time, without it, once there are so many."""
    rows = questdb.wait_rows(f'SELECT * FROM "{table}" ORDER BY timestamp', count)
    assert len(rows) == count
    return [tuple(value for name, value in row.items() if name != "timestamp") for row in rows]


# --- what arrives


@pytest.mark.e2e
def test_a_sweep_arrives_as_it_is(questdb: QuestDB) -> None:
    """Every cell of all tables is read back as it was sent; unknown is null."""
    schema = fresh("sweep")
    ensure(client_of(questdb), schema)
    batches = [*rows_of(full_sweep(), schema), sweep_row(full_sweep(), schema)]
    publish(questdb, *batches)
    for rows in batches:
        name = rows.table.name
        found = questdb.wait_rows(f'SELECT * FROM "{name}"', len(rows.rows))
        expected = [
            {
                column: value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                if isinstance(value, datetime)
                else value
                for column, value in row.items()
            }
            for row in rows.as_dicts()
        ]
        assert sorted(map(str, found)) == sorted(map(str, expected))


TEXTS = [
    "web-1",
    "a b,c=d",
    'quo"te',
    "back\\slash\\",
    "it's",
    "line\nbreak\r\nand\ttab",
    "ünï¢ødé 漢字 🐳",
    "\x01\x1b[31m\x7f\x85",
    "\ufeffbom",
    " leading and trailing ",
    "t",
    "1i",
    "{{json}} ${x} $(y) `z`; DROP TABLE x",
    "x" * 5000,
]


@pytest.mark.e2e
def test_every_text_arrives(questdb: QuestDB) -> None:
    """What ILP, SQL or a shell would take for its own is a character like any other."""
    name = f"texts_{uuid4().hex[:12]}"
    rows = rows_at(make_table(name, "SYMBOL", "VARCHAR"), *((text, text) for text in TEXTS))
    publish(questdb, rows)
    assert stored(questdb, name, len(TEXTS)) == [(text, text) for text in TEXTS]


_texts = st.none() | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50
)
_doubles = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_longs = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)
_moments = st.none() | st.datetimes(
    NOW.replace(tzinfo=None, year=1971), NOW.replace(tzinfo=None, year=2200), timezones=st.just(UTC)
)
_rows = st.lists(
    st.tuples(_texts, _texts, _doubles, _longs, st.booleans(), _moments), min_size=1, max_size=20
)


@pytest.mark.e2e
@given(rows=_rows)
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_row_arrives_by_both_roads(questdb: QuestDB, rows: list[tuple[Cell, ...]]) -> None:
    """The published rows and the printed ILP, posted by hand, are the same rows, to the bit."""
    ours, by_hand = (f"any_{road}_{uuid4().hex[:12]}" for road in ("write", "post"))
    for name in (ours, by_hand):
        questdb.sql(create_statement(make_table(name, *KINDS)))
    publish(questdb, rows_at(make_table(ours, *KINDS), *rows))
    post(questdb, ilp_text(rows_at(make_table(by_hand, *KINDS), *rows)))
    expected = [
        tuple(
            value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
            for value in row
        )
        for row in rows
    ]
    for name in (ours, by_hand):
        assert stored(questdb, name, len(rows)) == expected
        questdb.sql(f"DROP TABLE {name}")  # each holds dozens of the server's files open


@pytest.mark.e2e
def test_printed_ilp_is_the_same_sweep(questdb: QuestDB) -> None:
    """What `snapshot --format ilp` prints can be posted, and gives the rows of `collect`."""
    published, printed = fresh("written"), fresh("posted")
    for schema in (published, printed):
        ensure(client_of(questdb), schema)
    sweep = full_sweep()
    publish(questdb, *rows_of(sweep, published), sweep_row(sweep, published))
    for rows in (*rows_of(sweep, printed), sweep_row(sweep, printed)):
        post(questdb, ilp_text(rows))
    counts = (2, 3, 1, 1, 1, 2)
    for one, other, count in zip(published.tables, printed.tables, counts, strict=True):
        order = "ORDER BY 1, 2, 3"
        first = questdb.wait_rows(f'SELECT * FROM "{one.name}" {order}', count)
        assert questdb.wait_rows(f'SELECT * FROM "{other.name}" {order}', count) == first


def test_printed_ilp_is_text() -> None:
    """Version 1: a line per row, symbols first, figures as decimals, times in nanoseconds."""
    sweeps = sweep_row(small_sweep(), schema_of(TableNames(sweeps="my sweeps")))
    assert ilp_text(sweeps) == (
        "my\\ sweeps,name=nightly,version=0.1.0 hosts=3i,failed=1i,containers=2i,dropped=1i,"
        "spooled=0i,elapsed=9.5 1795402800123456000\n"
    )
    hosts = rows_of(small_sweep(), schema_of(TableNames()))[1]
    assert ilp_text(hosts).splitlines()[1] == (
        'hostStatus,host=db1,status=unreachable,phase=connect detail="refused",maintenance=f,'
        "containers=0i,dropped=0i,elapsed=0.1 1795402800123456000"
    )
    assert ilp_text(Rows(sweeps.table, ())) == ""


@pytest.mark.e2e
def test_what_is_unknown_is_null(questdb: QuestDB) -> None:
    """None, the empty string, NaN and the infinities are all unknown."""
    name = f"nulls_{uuid4().hex[:12]}"
    table = make_table(name, *KINDS)
    questdb.sql(create_statement(table))
    publish(
        questdb,
        rows_at(
            table,
            ("a", None, None, None, None, None),
            ("b", "", math.nan, 1, True, NOW),
            ("", "x", math.inf, None, False, None),
            ("c", None, -math.inf, None, None, None),
            (Status.OK, None, 5, None, None, None),
        ),
    )
    assert stored(questdb, name, 5) == [
        ("a", None, None, None, False, None),  # BOOLEAN knows no null
        ("b", None, None, 1, True, "2026-11-23T03:00:00.123456Z"),
        (None, "x", None, None, False, None),
        ("c", None, None, None, False, None),
        ("ok", None, 5.0, None, False, None),
    ]


@pytest.mark.e2e
def test_what_the_server_would_refuse_costs_its_own_row(questdb: QuestDB) -> None:
    """A NUL, or half a character, would cost the batch: the row stays behind and is said."""
    name = f"refused_{uuid4().hex[:12]}"
    rows = rows_at(
        make_table(name, "SYMBOL", "VARCHAR"),
        ("good", "1"),
        ("b\0d", "2"),
        ("half", "x\ud800"),
        ("fine", "4"),
    )
    with Encoder() as encoder:
        part, unsendable = encoder.encode(rows)
    assert len(unsendable) == 2
    client_of(questdb).write(part.body)
    assert stored(questdb, name, 2) == [("good", "1"), ("fine", "4")]


def test_what_cannot_be_sent_is_said() -> None:
    """Why, and what it held as far as that is text; the other rows are made all the same."""
    name = "odd"
    rows = rows_at(
        make_table(name, "SYMBOL", "VARCHAR"),
        ("good", "1"),
        ("b\0d", "2"),
        ("half", "x\ud800"),
        ("fine", "4"),
        (None, "\0"),
    )
    with Encoder() as encoder:
        part, unsendable = encoder.encode(rows)
    assert (part.rows, len(part.lines)) == (2, 2)
    second, third, last = (str(NOW + timedelta(microseconds=number)) for number in (1, 2, 4))
    assert unsendable == (
        Unsendable(name, "v0 holds NUL: 'b\\x00d'", {"v0": "b\0d", "v1": "2", "timestamp": second}),
        Unsendable(
            name,
            "v1 holds what is not Unicode: 'x\\ud800'",
            {"v0": "half", "v1": "x\\ud800", "timestamp": third},
        ),
        Unsendable(name, "v1 holds NUL: '\\x00'", {"v1": "\0", "timestamp": last}),
    )
    with pytest.raises(QuestDBError) as caught:
        ilp_text(rows)
    assert str(caught.value) == f"a row of {name} has no ILP: v0 holds NUL: 'b\\x00d'"


@pytest.mark.parametrize(
    ("kind", "cell", "error", "message"),
    [
        ("LONG", 2**63, OverflowError, "too large"),
        ("LONG", 1.5, TypeError, "v0: expected int, not 1.5"),
        ("LONG", True, TypeError, "v0: expected int, not True"),
        ("DOUBLE", "1", TypeError, "v0: expected float, not '1'"),
        ("DOUBLE", False, TypeError, "v0: expected float, not False"),
        ("BOOLEAN", 1, TypeError, "v0: expected bool, not 1"),
        ("SYMBOL", 1, TypeError, "v0: expected str, not 1"),
        ("TIMESTAMP", NOW.replace(tzinfo=None), TypeError, "v0: expected an aware datetime"),
        ("SYMBOL", None, ValueError, "a row of bugs holds nothing: the client would drop it"),
    ],
)
def test_bugs_of_ours_are_bugs(kind: str, cell: Cell, error: type[Exception], message: str) -> None:
    """A value of another type than its column's is no error of the user's or the server's."""
    with Encoder() as encoder:
        with pytest.raises(error, match=re.escape(message)):
            encoder.encode(rows_at(make_table("bugs", kind), (cell,)))
        with pytest.raises(TypeError, match="expected an aware datetime, not None"):
            encoder.encode(Rows(make_table("bugs", "SYMBOL"), (("x", None),)))


# --- the text


def test_figures_are_text_to_the_bit() -> None:
    """Version 1: a double is a decimal, and a batch on disk can be read by people."""
    part = encoded(rows_at(make_table("v1", "DOUBLE"), (1.5,), (0.1 + 0.2,), (5e-324,)))
    assert part == Part(
        "v1",
        (("v0", "DOUBLE"), ("timestamp", "TIMESTAMP")),
        b"v1 v0=1.5 1795402800123456000\n"
        b"v1 v0=0.30000000000000004 1795402800123457000\n"
        b"v1 v0=5e-324 1795402800123458000\n",
        3,
    )


def test_no_rows_are_no_text() -> None:
    """A sweep without containers is a part of no bytes."""
    part = encoded(Rows(make_table("none", "SYMBOL"), ()))
    assert (part.body, part.rows, part.lines) == (b"", 0, [])


_odd_texts = st.text(
    st.sampled_from(["\n", "\\", "\r", '"', " ", ",", "=", "0", "9", "é", "x"]), min_size=1
)


@given(rows=st.lists(st.tuples(_odd_texts | _texts, _odd_texts | _texts, _doubles), min_size=1))
def test_ilp_is_cut_between_rows(rows: list[tuple[Cell, ...]]) -> None:
    """Line feeds, quotes and backslashes inside values never look like the end of a row."""
    table = make_table("t", "SYMBOL", "VARCHAR", "DOUBLE")
    full = rows_at(table, *((one or "s", *rest) for one, *rest in rows))
    with Encoder() as encoder:
        whole, _ = encoder.encode(full)
        alone = [encoder.encode(Rows(table, (row,)))[0].body for row in full.rows]
    assert whole.lines == alone
    assert b"".join(whole.lines) == whole.body
    assert len(whole.lines) == whole.rows


def test_what_is_no_row_is_not_cut() -> None:
    """Text without the end of a row has no rows."""
    assert lines_of(b"") == []
    assert lines_of(b"t v=1 17") == []
    assert lines_of(b"t v=1 17\nt v=") == [b"t v=1 17\n"]


def test_the_longest_name_fits_the_client() -> None:
    """What settings take as the name of a table, the client takes as well."""
    for name in ("a" * TABLE_NAME_MAX_BYTES, "é" * (TABLE_NAME_MAX_BYTES // 2)):
        assert encoded(rows_at(make_table(name, "LONG"), (1,))).rows == 1


def test_only_ilp_imports_the_client() -> None:
    """A change of the client touches one module."""
    package = Path(fleet.__file__).parent
    users = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"^\s*(import|from) questdb\b", file.read_text(), re.MULTILINE)
    ]
    assert users == ["ilp.py"]
