"""Rows on their way into a real QuestDB, and every answer that is none."""

import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

import pytest
import questdb as client_library
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import fleet
from fleet import publish as publish_module
from fleet.errors import QuestDBError, QuestDBUnreachable
from fleet.publish import Publisher, Writer, ilp_text
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.schema import create_statement, ensure
from fleet.status import Status
from fleet.tables import Cell, Column, Rows, Table, TableNames, rows_of, schema_of
from tests.doubles import Answer, answer, answering, make_certificate, tls_before
from tests.lab.questdb import QuestDB
from tests.test_schema import client_of, count_of, fresh, publish
from tests.test_tables import NOW, small_sweep

# A run makes one sender; these tests make many.
pytestmark = pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst")

KINDS = ("SYMBOL", "VARCHAR", "DOUBLE", "LONG", "BOOLEAN", "TIMESTAMP")
ACCEPTED = b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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


@contextmanager
def publishing(conf: str) -> Iterator[Publisher]:
    """A publisher by its configuration string."""
    with Publisher(parse_conf(conf, "test")) as publisher:
        yield publisher


# --- what arrives


@pytest.mark.e2e
def test_a_sweep_arrives_as_it_is(questdb: QuestDB) -> None:
    """Every cell of the three tables is read back as it was sent; unknown is null."""
    schema = fresh("sweep")
    ensure(client_of(questdb), schema)
    batches = rows_of(small_sweep(), schema)
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
    """The publisher's rows and the printed ILP, posted by hand, are the same rows, to the bit."""
    ours, by_hand = (f"any_{road}_{uuid4().hex[:12]}" for road in ("flush", "post"))
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
    published, printed = fresh("flushed"), fresh("posted")
    for schema in (published, printed):
        ensure(client_of(questdb), schema)
    publish(questdb, *rows_of(small_sweep(), published))
    for rows in rows_of(small_sweep(), printed):
        post(questdb, ilp_text(rows))
    for one, other, count in zip(published.tables, printed.tables, (2, 3, 1), strict=True):
        order = "ORDER BY 1, 2, 3"
        first = questdb.wait_rows(f'SELECT * FROM "{one.name}" {order}', count)
        assert questdb.wait_rows(f'SELECT * FROM "{other.name}" {order}', count) == first


def test_printed_ilp_is_text() -> None:
    """Version 1: a line per row, symbols first, figures as decimals, times in nanoseconds."""
    sweeps = rows_of(small_sweep(), schema_of(TableNames(sweeps="my sweeps")))[2]
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
    with pytest.raises(QuestDBError) as caught:
        publish(questdb, rows)
    assert str(caught.value) == f"2 of 4 rows of {name} not sent: v0 holds NUL: 'b\\x00d'"
    assert stored(questdb, name, 2) == [("good", "1"), ("fine", "4")]
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
    with publishing("http::addr=localhost:1;") as publisher:
        with pytest.raises(error, match=re.escape(message)):
            publisher.write(rows_at(make_table("bugs", kind), (cell,)))
        with pytest.raises(TypeError, match="expected an aware datetime, not None"):
            publisher.write(Rows(make_table("bugs", "SYMBOL"), (("x", None),)))


# --- batches


@pytest.mark.e2e
def test_many_rows_go_in_batches(questdb: QuestDB) -> None:
    """Ten thousand rows at most go in one request, which is one transaction of the server's."""
    name = f"many_{uuid4().hex[:12]}"
    rows = rows_at(make_table(name, "SYMBOL", "DOUBLE"), *((f"h{n}", 1.0) for n in range(25_000)))
    publish(questdb, rows)
    count_of(questdb, name, 25_000)
    query = f"SELECT sequencerTxn t FROM wal_tables() WHERE name = '{name}'"
    assert questdb.sql(query) == [{"t": 3}]


def test_big_rows_go_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request stays near the bound of bytes, whatever rows hold; every row goes once."""
    monkeypatch.setattr(publish_module, "BATCH_MAX_BYTES", 100_000)
    rows = rows_at(make_table("big", "VARCHAR"), *((str(n) * 4000,) for n in range(100)))
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        publisher.write(rows)
    assert max(len(request) for request in door.requests) < 110_000
    bodies = b"".join(request.partition(b"\r\n\r\n")[2] for request in door.requests)
    assert bodies.count(b"\n") == 100


def test_no_rows_are_no_request() -> None:
    """A sweep without containers asks nothing of the server."""
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        publisher.write(plain(0))
    assert door.requests == []


# --- answers that are none


def _json(status: int, code: str, message: str, line: int | None = None) -> bytes:
    rest = f',"line":{line}' if line else ""
    body = f'{{"code":"{code}","message":"{message}"{rest},"errorId":"abc-1"}}'
    return answer(status, body, "application/json; charset=utf-8")


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            _json(
                400,
                "invalid",
                "failed to parse line protocol:errors encountered on line(s):\\n"
                "error in line 3: table: t, column: c; cast error from protocol type: STRING to "
                "column type: DOUBLE",
                3,
            ),
            QuestDBError,
            "refused the rows: error in line 3: table: t, column: c; cast error from protocol "
            "type: STRING to column type: DOUBLE",
        ),
        (
            _json(413, "request too large", "line is too long"),
            QuestDBError,
            "refused the rows: line is too long",
        ),
        (
            _json(500, "internal error", "could not write: No space left"),
            QuestDBUnreachable,
            "did not take the rows: could not write: No space left",
        ),
        (answer(400, "<h1>no</h1>"), QuestDBUnreachable, "did not take the rows: <h1>no</h1>"),
        (
            answer(401, "Unauthorized"),
            QuestDBError,
            "asks for a login (401): username and password, or a token, are not set",
        ),
        (answer(403, "no INSERT"), QuestDBError, "forbids it to this login (403): no INSERT"),
        (answer(404, "no"), QuestDBError, "nothing there takes ILP (404): is it QuestDB?"),
        (answer(429, "slow"), QuestDBUnreachable, "did not take the rows: slow"),
        (answer(500, "oh\x1b[31m"), QuestDBUnreachable, "did not take the rows: oh?[31m"),
        (answer(502), QuestDBUnreachable, "did not take the rows: (no reason given)"),
        (answer(503, "busy"), QuestDBUnreachable, "did not take the rows: busy"),
        (answer(504, "late"), QuestDBUnreachable, "did not take the rows: late"),
        (answer(307, location="/x"), QuestDBUnreachable, "redirect failed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", QuestDBUnreachable, "protocol: http parse fail"),
        (b"", QuestDBUnreachable, "Peer disconnected"),
    ],
)
def test_answers_are_sorted(said: bytes, kind: type[Exception], message: str) -> None:
    """Refused for good, or worth another try: by QuestDB's own words, which the text quotes."""
    with (
        answering(said) as door,
        publishing(door.conf) as publisher,
        pytest.raises(QuestDBError) as caught,
    ):
        publisher.write(plain(3))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"QuestDB at 127.0.0.1:{door.port}: {message}")


def test_nobody_answers() -> None:
    """A closed port, a name that does not resolve, a server that is silent: unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cases = {
            "localhost:1": "Connection refused",
            "no-such-host.invalid:9000": "failed to lookup address information",
            f"127.0.0.1:{silent.getsockname()[1]}": "no answer within 0.3",
        }
        for address, message in cases.items():
            conf = f"http::addr={address};request_timeout=300;retry_timeout=0;"
            with publishing(conf) as publisher, pytest.raises(QuestDBUnreachable) as caught:
                publisher.write(plain(1))
            assert str(caught.value).startswith(f"QuestDB at {address}: {message}")


def test_unreachable_once_is_not_tried_again() -> None:
    """The other tables of a run do not wait out a time-out each."""
    with answering(answer(503, "busy")) as door, publishing(door.conf) as publisher:
        for _table in range(3):
            with pytest.raises(QuestDBUnreachable, match="did not take the rows: busy"):
                publisher.write(plain(3))
        assert len(door.requests) == 1


def test_a_later_write_may_succeed() -> None:
    """A publisher whose rows were refused is as good as new; nothing of them is sent later."""
    answers: list[Answer] = [_json(400, "invalid", "no such thing"), ACCEPTED]
    with answering(lambda _request: answers.pop(0)) as door, publishing(door.conf) as publisher:
        with pytest.raises(QuestDBError, match="refused the rows"):
            publisher.write(plain(3))
        publisher.write(plain(1))
    assert door.requests[1].partition(b"\r\n\r\n")[2].count(b"\n") == 1


def test_a_login_is_sent_and_never_shown() -> None:
    """Basic or bearer, on every request; in no text, even if the server repeats it."""
    for login, header, secret in (
        ("username=joe;password=hunter2;;x;", b"Basic am9lOmh1bnRlcjI7eA==", "hunter2"),
        ("token=hunter2;", b"Bearer hunter2", "hunter2"),
    ):
        said = answer(401, f"{header.decode()} of {secret};x is not known")
        with (
            answering(said) as door,
            publishing(door.conf + login) as publisher,
            pytest.raises(QuestDBError) as caught,
        ):
            publisher.write(plain(1))
        assert b"authorization: " + header + b"\r\n" in door.requests[0]
        text = str(caught.value)
        assert "refused the login" in text
        assert "hunter2" not in text
        assert "am9l" not in text


def test_a_redirect_does_not_hold_the_run() -> None:
    """Client 6.0.0 spins for ever on a redirected POST; the run goes on without it, and ends."""
    script = dedent(
        """
        import time
        from fleet.errors import QuestDBUnreachable
        from tests.doubles import answer, answering
        from tests.test_publish import plain, publishing

        with answering(answer(301, location="/elsewhere")) as door:
            conf = f"http::addr=127.0.0.1:{door.port};request_timeout=300;retry_timeout=0;"
            started = time.monotonic()
            with publishing(conf) as publisher:
                for _ in range(2):
                    try:
                        publisher.write(plain(1))
                    except QuestDBUnreachable as error:
                        print(str(error).partition(": ")[2])
            print(time.monotonic() - started < 5)
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.splitlines() == [
        "no end of a request within 1 s (does it redirect?)",
        "no end of a request within 1 s (does it redirect?)",
        "True",
    ]
    assert (ended.stderr, ended.returncode) == ("", 0)


@pytest.mark.e2e
def test_a_refused_batch_leaves_nothing(questdb: QuestDB) -> None:
    """QuestDB takes all rows of a request or none, and says which one and why."""
    name = f"atomic_{uuid4().hex[:12]}"
    questdb.sql(
        f"CREATE TABLE {name} (v0 INT, timestamp TIMESTAMP) TIMESTAMP(timestamp) "
        "PARTITION BY DAY WAL"
    )
    rows = rows_at(make_table(name, "LONG"), (1,), (2**40,), (3,))
    with pytest.raises(QuestDBError) as caught:
        publish(questdb, rows)
    assert str(caught.value) == (
        f"QuestDB at {questdb.host}:{questdb.port}: refused the rows: error in line 2: "
        f"table: {name}, column: v0; line protocol value: 1099511627776 "
        "is out bounds of column type: INT"
    )
    publish(questdb, rows_at(make_table(name, "LONG"), (7,)))
    assert stored(questdb, name, 1) == [(7,)]


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would send rows and login to it; the environment is left as it was."""
    names = ("http_proxy", "HTTPS_PROXY", "ALL_PROXY")
    for name in names:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        publisher.write(plain(1))
    assert len(door.requests) == 1
    assert {os.environ[name] for name in names} == {"http://127.0.0.1:1"}


def test_nothing_is_asked_before_the_first_row() -> None:
    """A publisher is made, and ended, with the server down; ILP is of version 2."""
    started = time.monotonic()
    with publishing("http::addr=no-such-host.invalid:1;"):
        pass
    assert time.monotonic() - started < 1
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        assert door.requests == []
        publisher.write(rows_at(make_table("v2", "DOUBLE"), (1.5,)))
    (request,) = door.requests
    assert request.startswith(b"POST /write?precision=n HTTP/1.1\r\n")
    assert b"\nv2 v0==\x10\x00\x00\x00\x00\x00\x00\xf8? 1795402800123456t\n" in request


# --- TLS


@pytest.mark.e2e
def test_both_roads_go_through_tls(questdb: QuestDB, tmp_path: Path) -> None:
    """With the certificate named in tls_roots, statements and rows reach a server behind TLS."""
    certificate = make_certificate(tmp_path, "server")
    schema = fresh("tls")
    with tls_before(questdb.port, certificate) as port:
        conf = f"https::addr=127.0.0.1:{port};tls_roots={certificate};"
        assert len(ensure(Client(parse_conf(conf, "x")), schema)) == 3
        with publishing(conf) as publisher:
            for rows in rows_of(small_sweep(), schema):
                publisher.write(rows)
    for table, count in zip(schema.tables, (2, 3, 1), strict=True):
        count_of(questdb, table.name, count)


Ask = Callable[[str], object]


def _by_statement(conf: str) -> None:
    Client(parse_conf(conf, "x")).settings()


def _by_rows(conf: str) -> None:
    with publishing(conf) as publisher:
        publisher.write(plain(1))


@pytest.mark.parametrize("ask", [_by_statement, _by_rows])
def test_a_certificate_that_is_not_trusted(ask: Ask, tmp_path: Path) -> None:
    """An unknown, an expired, another's certificate: said as what it is, and nothing is sent."""
    trusted, unknown = (make_certificate(tmp_path, name) for name in ("trusted", "unknown"))
    expired = make_certificate(tmp_path, "expired", days=-1)
    with answering(ACCEPTED) as door:
        for served, roots, address in (
            (unknown, trusted, "127.0.0.1"),
            (trusted, None, "127.0.0.1"),
            (expired, expired, "127.0.0.1"),
            (trusted, trusted, "localhost"),
        ):
            with tls_before(door.port, served) as port:
                conf = f"https::addr={address}:{port};request_timeout=3000;retry_timeout=0;"
                conf += f"tls_roots={roots};" if roots else ""
                with pytest.raises(QuestDBError) as caught:
                    ask(conf)
            text = f"QuestDB at {address}:{port}: its certificate is not trusted: "
            assert str(caught.value).startswith(text)
            assert type(caught.value) is QuestDBError
        assert door.requests == []


def test_a_ca_as_a_server_is_explained(tmp_path: Path) -> None:
    """What `openssl req -x509` makes by default is good for /exec, and not for the client."""
    certificate = make_certificate(tmp_path, "ca", of_a_ca=True)
    with answering(ACCEPTED) as door, tls_before(door.port, certificate) as port:
        conf = f"https::addr=127.0.0.1:{port};tls_roots={certificate};retry_timeout=0;"
        with pytest.raises(QuestDBError) as caught:
            _by_rows(conf)
    assert str(caught.value) == (
        f"QuestDB at 127.0.0.1:{port}: its certificate is a CA's own (openssl req -x509 makes "
        "such): the client wants a server's certificate, made with basicConstraints=CA:FALSE or "
        "signed by that CA"
    )


@pytest.mark.parametrize("ask", [_by_statement, _by_rows])
def test_https_where_there_is_none(ask: Ask) -> None:
    """A plain server does not do TLS."""
    with answering(ACCEPTED) as door, pytest.raises(QuestDBError) as caught:
        ask(f"https::addr=127.0.0.1:{door.port};request_timeout=1000;retry_timeout=0;")
    assert str(caught.value).startswith(f"QuestDB at 127.0.0.1:{door.port}: ")


# --- the seams


def test_the_publisher_is_a_writer() -> None:
    """What stands in for it in other tests has the same shape."""
    writer: type[Writer] = Publisher
    assert callable(writer.write)


def test_only_publish_imports_the_client() -> None:
    """A change of the client touches one module."""
    package = Path(fleet.__file__).parent
    users = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"^\s*(import|from) questdb\b", file.read_text(), re.MULTILINE)
    ]
    assert users == ["publish.py"]


def test_the_client_has_the_errors_that_we_sorted() -> None:
    """When the client grows an error, somebody looks at it here."""
    assert sorted(code.name for code in client_library.QuestDBErrorCode) == sorted(
        [
            "ArrayError",
            "ArrowExport",
            "ArrowIngest",
            "ArrowUnsupportedColumnKind",
            "AuthError",
            "BadDataFrame",
            "BatchTooLarge",
            "Cancelled",
            "ConfigError",
            "ConnectTimeout",
            "CouldNotResolveAddr",
            "DecimalError",
            "FailoverRetry",
            "FailoverWouldDuplicate",
            "HandshakeError",
            "HttpNotSupported",
            "InvalidApiCall",
            "InvalidBind",
            "InvalidName",
            "InvalidTimestamp",
            "InvalidUtf8",
            "LimitExceeded",
            "NoSchema",
            "ProtocolError",
            "ProtocolVersionError",
            "QueryTimeout",
            "RoleMismatch",
            "SchemaDrift",
            "ServerFlushError",
            "ServerInternalError",
            "ServerLimitExceeded",
            "ServerParseError",
            "ServerRejection",
            "ServerSchemaMismatch",
            "ServerSecurityError",
            "SocketError",
            "StoreResendRequired",
            "SymbolDictFull",
            "TlsError",
            "UnsupportedServer",
        ]
    )


def test_an_answer_of_a_thousand_brackets_is_not_questdb() -> None:
    """JSON too deep to be read is what somebody else says, not a bug of ours."""
    with answering(answer(200, "[" * 200_000)) as door:
        client = Client(parse_conf(door.conf, "test"))
        with pytest.raises(QuestDBError, match="answered 200 with what is not QuestDB's"):
            client.query("SELECT 1")
