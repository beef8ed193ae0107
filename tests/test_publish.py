"""ILP on its way into QuestDB, and every answer that is none."""

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from fleet import publish as publish_module
from fleet.errors import QuestDBError, QuestDBUnreachable, RowRefused, SchemaError, TooLarge
from fleet.publish import MAX_REFUSALS, REQUEST_MAX_BYTES, Clock, Publisher
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.schema import create_statement
from fleet.spool import Refusal
from fleet.tables import Schema, TableNames, rows_of, schema_of, sweep_row
from tests.doubles import Answer, answer, answering, make_certificate, tls_before
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll
from tests.questdb_double import Double, Said, questdb_double
from tests.test_ilp import encoded, make_table, rows_at, stored
from tests.test_schema import count_of, fresh, publish
from tests.test_tables import full_sweep

# A run makes one encoder; these tests make many.
pytestmark = pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst")

ACCEPTED = b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
OURS = schema_of(TableNames())
HOSTS = "hostStatus"


def plain(count: int) -> bytes:
    """So many rows of one symbol, for servers that do not look."""
    rows = rows_at(make_table("plain", "SYMBOL"), *((f"host{n}",) for n in range(count)))
    return encoded(rows).body


def statuses(count: int) -> bytes:
    """So many rows of `hostStatus`, of hosts `h0`, `h1`, …"""
    return b"".join(b"hostStatus,host=h%d maintenance=f %d000\n" % (n, n) for n in range(count))


def hosts_of(double: Double) -> list[int]:
    """The numbers of the hosts whose rows were accepted, as they came."""
    return [int(line.partition(" ")[0].removeprefix("hostStatus,host=h")) for line in double.order]


def body_of(request: bytes) -> bytes:
    """What a request holds."""
    return request.partition(b"\r\n\r\n")[2]


@contextmanager
def writing(conf: str) -> Iterator[Client]:
    """A client by its configuration string."""
    with closing(Client(parse_conf(conf, "test"))) as client:
        yield client


@contextmanager
def publishing(conf: str, seconds: float = 0.0, schema: Schema = OURS) -> Iterator[Publisher]:
    """A publisher that tries again for so long."""
    with closing(Publisher(parse_conf(conf, "test"), schema, Clock(seconds))) as publisher:
        yield publisher


# --- requests


@pytest.mark.e2e
def test_many_rows_are_one_request(questdb: QuestDB) -> None:
    """What fits into one request is one transaction of the server's."""
    name = f"many_{uuid4().hex[:12]}"
    rows = rows_at(make_table(name, "SYMBOL", "DOUBLE"), *((f"h{n}", 1.0) for n in range(25_000)))
    with publishing(questdb.conf) as publisher:
        assert publisher.deliver(name, encoded(rows).body) == []
    count_of(questdb, name, 25_000)
    query = f"SELECT sequencerTxn t FROM wal_tables() WHERE name = '{name}'"
    assert questdb.sql(query) == [{"t": 1}]


def test_big_rows_go_in_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request stays within the bound of bytes, whatever rows hold; every row goes once."""
    monkeypatch.setattr(publish_module, "REQUEST_MAX_BYTES", 100_000)
    rows = rows_at(make_table("big", "VARCHAR"), *((str(n) * 4000,) for n in range(100)))
    body = encoded(rows).body
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        assert publisher.deliver("big", body) == []
    bodies = [body_of(request) for request in door.requests]
    assert max(len(one) for one in bodies) <= 100_000
    assert len(bodies) < 10
    assert b"".join(bodies) == body


def test_the_configurations_bound_counts_as_well() -> None:
    """`max_buf_size` is what the user lets a request be; a row that is larger goes alone."""
    rows = [*((str(n % 10) * 9000,) for n in range(20)), ("x" * 70_000,), ("y",)]
    body = encoded(rows_at(make_table("big", "VARCHAR"), *rows)).body
    for send in ("deliver", "send"):
        with (
            answering(ACCEPTED) as door,
            publishing(f"{door.conf}max_buf_size=65536;") as publisher,
        ):
            if send == "deliver":
                assert publisher.deliver("big", body) == []
            else:
                publisher.send(body)
        bodies = [body_of(request) for request in door.requests]
        assert b"".join(bodies) == body
        assert [one.count(b"\n") for one in bodies if len(one) > 65_536] == [1]


def test_no_rows_are_no_request() -> None:
    """A sweep without containers asks nothing of the server."""
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        assert publisher.deliver("plain", b"") == []
    assert door.requests == []


def test_nothing_is_asked_before_the_first_row() -> None:
    """A publisher is made, and ended, with the server down; ILP is text of version 1."""
    started = time.monotonic()
    with publishing("http::addr=no-such-host.invalid:1;"):
        pass
    assert time.monotonic() - started < 1
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        assert door.requests == []
        rows = rows_at(make_table("v1", "DOUBLE"), (1.5,))
        assert publisher.deliver("v1", encoded(rows).body) == []
    (request,) = door.requests
    assert request.startswith(b"POST /write?precision=n HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nv1 v0=1.5 1795402800123456000\n")


def test_a_connection_is_kept_for_questions() -> None:
    """They go over one connection, as long as the server keeps it; rows over one of their own."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        publisher.ensure()
        assert len(double.asked) > 3
        assert double.connections == 1
        for number in range(3):
            publisher.deliver(HOSTS, statuses(2))
            assert publisher.suspended() == []
            assert double.connections == 2 + number


def test_a_kept_connection_may_have_been_closed() -> None:
    """The server ended it between two requests: the second one goes over a new connection."""
    said = answer(200, '{"config":{}}').replace(b"Connection: close\r\n", b"")
    with answering(said) as door, writing(door.conf) as client:
        for _ in range(3):
            assert client.settings() == {}
    assert len(door.requests) == 3


def test_closing_ends_a_call_of_another_thread() -> None:
    """Who waits for an answer is woken, long before the request's own time is up."""
    came = threading.Event()

    def wait(connection: socket.socket) -> None:
        came.set()
        connection.recv(1)

    failed: list[Exception] = []

    def deliver(publisher: Publisher) -> None:
        try:
            publisher.deliver("plain", plain(1))
        except QuestDBUnreachable as error:
            failed.append(error)

    with answering(lambda _request: wait) as door:
        conf = f"http::addr=127.0.0.1:{door.port};request_timeout=60000;"
        with publishing(conf) as publisher:
            thread = Thread(target=deliver, args=(publisher,))
            thread.start()
            assert came.wait(20)
            started = time.monotonic()
            publisher.close()
            thread.join(20)
            assert time.monotonic() - started < 10
    assert len(failed) == 1


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
            RowRefused,
            "refused the rows: error in line 3: table: t, column: c; cast error from protocol "
            "type: STRING to column type: DOUBLE",
        ),
        (
            _json(400, "invalid", "no such thing"),
            QuestDBError,
            "refused the rows: no such thing",
        ),
        (
            _json(413, "request too large", "line is too long"),
            TooLarge,
            "a request is too large (413): line is too long",
        ),
        (
            answer(413, "<h1>Too Large</h1>"),
            TooLarge,
            "a request is too large (413): <h1>Too Large</h1>",
        ),
        (
            _json(500, "internal error", "could not write: No space left"),
            QuestDBUnreachable,
            "did not take the rows (500): could not write: No space left",
        ),
        (
            answer(400, "<h1>no</h1>"),
            QuestDBUnreachable,
            "did not take the rows (400): <h1>no</h1>",
        ),
        (
            answer(401, "Unauthorized"),
            QuestDBError,
            "asks for a login (401): username and password, or a token, are not set",
        ),
        (answer(403, "no INSERT"), QuestDBError, "forbids it to this login (403): no INSERT"),
        (answer(404, "no"), QuestDBError, "nothing there takes ILP (404): is it QuestDB?"),
        (answer(429, "slow"), QuestDBUnreachable, "did not take the rows (429): slow"),
        (answer(500, "oh\x1b[31m"), QuestDBUnreachable, "did not take the rows (500): oh?[31m"),
        (answer(502), QuestDBUnreachable, "did not take the rows (502): no reason given"),
        (
            answer(502, "<html>Bad Gateway</html>"),
            QuestDBUnreachable,
            "did not take the rows (502): <html>Bad Gateway</html>",
        ),
        (answer(503, "busy"), QuestDBUnreachable, "did not take the rows (503): busy"),
        (answer(504, "late"), QuestDBUnreachable, "did not take the rows (504): late"),
        (
            answer(200, "<h1>Welcome</h1>"),
            QuestDBError,
            "answered 200 with what is not QuestDB's: '<h1>Welcome</h1>'",
        ),
        (answer(202), QuestDBError, "answered 202 with what is not QuestDB's: ''"),
        (
            answer(307, location="/x"),
            QuestDBError,
            "answered 307, moved to '/x': write that into addr",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            QuestDBUnreachable,
            "no answer in HTTP: BadStatusLine('SSH-2.0-OpenSSH_9.2\\r\\n')",
        ),
        (b"", QuestDBUnreachable, "Remote end closed connection without response"),
        (b"HTTP/1.1 20", QuestDBUnreachable, "no answer in HTTP: BadStatusLine('HTTP/1.1 20')"),
        (
            _json(400, "invalid", "cut", 1)[:-5],
            QuestDBUnreachable,
            "no answer in HTTP: IncompleteRead(",
        ),
    ],
)
def test_answers_are_sorted(said: bytes, kind: type[Exception], message: str) -> None:
    """A row, a size, for good, or worth another try: by status and QuestDB's own words, which
    the text quotes.
    """
    with (
        answering(said) as door,
        writing(door.conf) as client,
        pytest.raises(QuestDBError) as caught,
    ):
        client.write(plain(3))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"QuestDB at 127.0.0.1:{door.port}: {message}")


def test_a_refused_row_is_named() -> None:
    """Its line, and the reason as one clean line, for whoever keeps it."""
    message = "failed: errors encountered on line(s):\\nerror in line 2: x\\n  \\u001b[31m hunter2"
    with (
        answering(_json(400, "invalid", message, 2)) as door,
        writing(f"{door.conf}token=hunter2;") as client,
        pytest.raises(RowRefused) as caught,
    ):
        client.write(plain(3))
    assert (caught.value.line, caught.value.reason) == (2, "error in line 2: x ?[31m ***")


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _trickle(connection: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(200):
            connection.sendall(b"H")
            time.sleep(0.1)


def _half_the_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204 OK\r\n")
    connection.recv(1)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (_reset, "Connection reset by peer"),
        (_trickle, "no answer within 0.5"),
        (_half_the_head, "no answer within 0.5"),
        (lambda connection: connection.recv(1), "no answer within 0.5"),
    ],
)
def test_an_answer_that_does_not_come(behaviour: Answer, message: str) -> None:
    """A reset, a trickle, half an answer, silence: unreachable, and soon."""
    with answering(lambda _request: behaviour) as door:
        conf = f"http::addr=127.0.0.1:{door.port};request_timeout=500;"
        started = time.monotonic()
        with writing(conf) as client, pytest.raises(QuestDBUnreachable) as caught:
            client.write(plain(1))
        assert time.monotonic() - started < 5
    assert str(caught.value).startswith(f"QuestDB at 127.0.0.1:{door.port}: {message}")


def test_who_refuses_by_the_head_is_heard() -> None:
    """A proxy that answers 413 and hangs up on the rest of the body has answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer(413, "no more than 1 MiB"))
                connection.shutdown(socket.SHUT_WR)

        Thread(target=serve, daemon=True).start()
        conf = f"http::addr=127.0.0.1:{server.getsockname()[1]};request_timeout=20000;"
        with writing(conf) as client, pytest.raises(TooLarge, match="no more than 1 MiB"):
            client.write(b"x" * REQUEST_MAX_BYTES)


@pytest.mark.parametrize("ask", ["settings", "write"])
def test_tls_that_is_cut_off_is_tried_again(ask: str) -> None:
    """A proxy that hangs up before it has said anything is no matter of certificates."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)

        Thread(target=serve, daemon=True).start()
        conf = f"https::addr=127.0.0.1:{server.getsockname()[1]};request_timeout=20000;"
        with writing(conf) as client, pytest.raises(QuestDBUnreachable):
            client.settings() if ask == "settings" else client.write(plain(1))


def test_nobody_answers() -> None:
    """A closed port, a name that does not resolve, a server that is silent: unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cases = {
            "localhost:1": "Connection refused",
            "no-such-host.invalid:9000": "Name or service not known",
            f"127.0.0.1:{silent.getsockname()[1]}": "no answer within 0.3",
        }
        for address, message in cases.items():
            conf = f"http::addr={address};request_timeout=300;retry_timeout=0;"
            with publishing(conf) as publisher, pytest.raises(QuestDBUnreachable) as caught:
                publisher.deliver("plain", plain(1))
            assert str(caught.value).startswith(f"QuestDB at {address}: {message}")


def test_a_later_write_may_succeed() -> None:
    """A publisher whose rows were refused is as good as new; nothing of them is sent later."""
    answers: list[Answer] = [_json(400, "invalid", "no such thing"), ACCEPTED]
    with answering(lambda _request: answers.pop(0)) as door, publishing(door.conf) as publisher:
        with pytest.raises(QuestDBError, match="refused the rows"):
            publisher.deliver("plain", plain(3))
        assert publisher.deliver("plain", plain(1)) == []
    assert body_of(door.requests[1]).count(b"\n") == 1


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
            publisher.deliver("plain", plain(1))
        assert b"Authorization: " + header + b"\r\n" in door.requests[0]
        text = str(caught.value)
        assert "refused the login" in text
        assert "hunter2" not in text
        assert "am9l" not in text


def test_a_redirect_is_said_at_once() -> None:
    """It is not followed: rows and login go where the configuration says, or nowhere."""
    with (
        answering(answer(301, location="/elsewhere")) as door,
        publishing(door.conf, 60) as publisher,
    ):
        started = time.monotonic()
        with pytest.raises(QuestDBError) as caught:
            publisher.deliver("plain", plain(1))
        assert time.monotonic() - started < 5
    assert type(caught.value) is QuestDBError
    assert str(caught.value) == (
        f"QuestDB at 127.0.0.1:{door.port}: answered 301, moved to '/elsewhere': "
        "write that into addr"
    )
    assert len(door.requests) == 1


@pytest.mark.e2e
def test_a_refused_request_leaves_nothing(questdb: QuestDB) -> None:
    """QuestDB takes all rows of a request or none, and says which one and why."""
    name = f"atomic_{uuid4().hex[:12]}"
    questdb.sql(
        f"CREATE TABLE {name} (v0 INT, timestamp TIMESTAMP) TIMESTAMP(timestamp) "
        "PARTITION BY DAY WAL"
    )
    rows = rows_at(make_table(name, "LONG"), (1,), (2**40,), (3,))
    with pytest.raises(RowRefused) as caught:
        publish(questdb, rows)
    assert str(caught.value) == (
        f"QuestDB at {questdb.host}:{questdb.port}: refused the rows: error in line 2: "
        f"table: {name}, column: v0; line protocol value: 1099511627776 "
        "is out bounds of column type: INT"
    )
    assert caught.value.line == 2
    publish(questdb, rows_at(make_table(name, "LONG"), (7,)))
    assert stored(questdb, name, 1) == [(7,)]


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be sent rows and login; the environment is left as it was."""
    names = ("http_proxy", "HTTPS_PROXY", "ALL_PROXY")
    for name in names:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(ACCEPTED) as door, publishing(door.conf) as publisher:
        assert publisher.deliver("plain", plain(1)) == []
    assert len(door.requests) == 1
    assert {os.environ[name] for name in names} == {"http://127.0.0.1:1"}


# --- tried again


def failing(times: int, said: Said) -> Callable[[bytes], Said | None]:
    """What the double says to rows: so many times the same, then its own."""
    left = [said] * times

    def says(_body: bytes) -> Said | None:
        return left.pop() if left else None

    return says


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 507, 599, 400])
def test_trouble_is_tried_again(status: int) -> None:
    """A server, or a proxy before it, that recovers in time has cost nothing."""
    with questdb_double() as double, publishing(double.conf, 60) as publisher:
        double.says = failing(3, (status, "<html>not now</html>"))
        assert publisher.deliver(HOSTS, statuses(5)) == []
    assert double.writes == [statuses(5)] * 4
    assert hosts_of(double) == list(range(5))


def test_a_lost_answer_is_tried_again() -> None:
    """A connection that ends instead of an answer leaves open what became of the rows."""
    with questdb_double() as double, publishing(double.conf, 60) as publisher:
        double.hangs_up = lambda _body: len(double.writes) < 2
        assert publisher.deliver(HOSTS, statuses(5)) == []
    assert double.writes == [statuses(5)] * 3


def test_a_server_that_comes_up_in_time() -> None:
    """A refused connection is tried again until somebody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        conf = f"http::addr=127.0.0.1:{taken.getsockname()[1]};"
        asked = threading.Event()

        def listen() -> None:
            asked.wait(20)
            taken.listen()
            connection, _ = taken.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(ACCEPTED)

        Thread(target=listen, daemon=True).start()
        with publishing(conf) as publisher:
            with pytest.raises(QuestDBUnreachable, match="Connection refused"):
                publisher.send(plain(1))
            publisher.clock.end_in(60)
            asked.set()
            publisher.send(plain(1))


@pytest.mark.parametrize("status", [401, 403, 404, 301, 308, 200, 202])
def test_what_stays_as_it_is_is_not_tried_again(status: int) -> None:
    """Credentials, addresses and servers that are not QuestDB end it, whatever time is left."""
    with questdb_double() as double, publishing(double.conf, 60) as publisher:
        double.says = lambda _body: (status, "no")
        with pytest.raises(QuestDBError) as caught:
            publisher.deliver(HOSTS, statuses(5))
    assert type(caught.value) is QuestDBError
    assert len(double.writes) == 1


def test_one_try_is_made_although_the_time_is_up() -> None:
    """With no time at all there is one try, and its error."""
    with questdb_double() as double, publishing(double.conf, 0) as publisher:
        double.says = lambda _body: (503, "busy")
        with pytest.raises(QuestDBUnreachable, match=r"did not take the rows \(503\): busy"):
            publisher.deliver(HOSTS, statuses(5))
        assert len(double.writes) == 1


def test_the_time_for_trying_again_is_kept() -> None:
    """It is tried again and again, and then no more."""
    with questdb_double() as double, publishing(double.conf, 1.0) as publisher:
        double.says = lambda _body: (503, "busy")
        started = time.monotonic()
        with pytest.raises(QuestDBUnreachable):
            publisher.deliver(HOSTS, statuses(5))
        assert 0.9 < time.monotonic() - started < 10
        assert len(double.writes) > 2


def test_another_thread_may_end_it() -> None:
    """Whoever waits to try again is woken when the time is cut short."""
    with questdb_double() as double:
        double.says = lambda _body: (503, "busy")
        conf = f"{double.conf}retry_max_backoff_millis=600000;"
        with publishing(conf, float("inf")) as publisher:

            def cut_short() -> None:
                poll(lambda: len(double.writes) > 2, 60, "three tries")
                publisher.clock.end_in(0)

            Thread(target=cut_short, daemon=True).start()
            with pytest.raises(QuestDBUnreachable):
                publisher.deliver(HOSTS, statuses(1))


def test_pauses_double_up_to_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is drawn from nothing to a bound that doubles: many clients do not come back at once."""
    drawn: list[tuple[float, float]] = []

    def draw(least: float, most: float) -> float:
        drawn.append((least, round(most, 3)))
        return 0.0

    monkeypatch.setattr(random, "uniform", draw)
    with questdb_double() as double:
        conf = f"{double.conf}retry_max_backoff_millis=700;"
        with publishing(conf, 60) as publisher:
            double.says = failing(6, (503, "busy"))
            publisher.deliver(HOSTS, statuses(1))
    assert drawn == [(0, 0.1), (0, 0.2), (0, 0.4), (0, 0.7), (0, 0.7), (0, 0.7)]


# --- the clock


def test_a_clock_runs_out() -> None:
    """Seconds left never are negative, and a wait beyond them ends with them."""
    clock = Clock(0.2)
    started = time.monotonic()
    assert clock.wait(0.01)
    assert not clock.wait(60)
    assert 0.15 < time.monotonic() - started < 10
    assert clock.left_s == 0.0


def test_a_clock_can_be_set_from_elsewhere() -> None:
    """More time is waited out, less ends the wait."""
    clock = Clock()
    assert clock.left_s == float("inf")

    def end() -> None:
        time.sleep(0.2)  # by then somebody waits
        clock.end_in(0.1)

    Thread(target=end, daemon=True).start()
    started = time.monotonic()
    assert not clock.wait(60)
    assert time.monotonic() - started < 10
    clock.end_in(60)
    assert clock.wait(0.01)


# --- rows that are refused


def test_a_refused_row_costs_itself() -> None:
    """The schema is looked at once, the rows are kept with the server's reasons, and all others
    are accepted.
    """
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.refuses = lambda line: (
            "out of bounds" if "host=h3 " in line or "h7 " in line else None
        )
        refused = publisher.deliver(HOSTS, statuses(10))
        assert publisher.changes == []
    lines = statuses(10).decode().splitlines()
    assert refused == [
        Refusal(HOSTS, "error in line 4: table: hostStatus; out of bounds", lines[3]),
        Refusal(HOSTS, "error in line 7: table: hostStatus; out of bounds", lines[7]),
    ]
    assert hosts_of(double) == [0, 1, 2, 4, 5, 6, 8, 9]
    looks = [sql for sql in double.asked if sql.startswith("SHOW COLUMNS") and HOSTS in sql]
    assert len(looks) == 1


def test_a_request_of_refused_rows_alone() -> None:
    """Nothing is left of it, and nothing empty is sent."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.refuses = lambda _line: "no"
        refused = publisher.deliver(HOSTS, statuses(3))
    assert [one.ilp for one in refused] == statuses(3).decode().splitlines()
    assert [body.count(b"\n") for body in double.writes] == [3, 2, 1]


def test_a_schema_that_can_be_mended_costs_no_row() -> None:
    """A table that was dropped in between is made again, and the same rows are sent again."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        del double.tables[HOSTS]
        assert publisher.deliver(HOSTS, statuses(5)) == []
        assert publisher.changes == [create_statement(OURS.hosts)]
    assert hosts_of(double) == list(range(5))


def test_a_schema_that_cannot_be_mended_blames_no_row() -> None:
    """A column of another type stops it: the rows are as good as ever."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.types[HOSTS, "elapsed"] = "VARCHAR"
        double.refuses = lambda _line: "cast error"
        with pytest.raises(SchemaError, match=r"hostStatus\.elapsed is VARCHAR"):
            publisher.deliver(HOSTS, statuses(5))
    assert double.order == []


@pytest.mark.e2e
def test_a_real_refusal(questdb: QuestDB) -> None:
    """A line that a real server cannot take is left out, and all others are there."""
    schema = fresh("deliver")
    name = schema.hosts.name
    with publishing(questdb.conf, 20, schema) as publisher:
        publisher.ensure()
        lines = [f"{name},host=h{n} elapsed=1.5 {n + 1}000\n" for n in range(5)]
        lines[2] = f"{name},host=h2 elapsed=1.5,contain-ers=1i 3000\n"
        refused = publisher.deliver(name, "".join(lines).encode())
        assert publisher.changes == [create_statement(table) for table in schema.tables]
        assert [one.ilp for one in refused] == [lines[2].strip()]
        assert "error in line 3" in refused[0].reason
        count_of(questdb, name, 4)


@pytest.mark.e2e
def test_a_table_dropped_between_two_requests_loses_nothing(questdb: QuestDB) -> None:
    """On a connection that has written to it QuestDB would say 204, and forget the rows."""
    schema = fresh("dropped")
    name = schema.hosts.name
    with publishing(questdb.conf, 20, schema) as publisher:
        publisher.ensure()
        for number in range(3):
            line = f"{name},host=h{number} elapsed=1.5 {number + 1}000\n"
            assert publisher.deliver(name, line.encode()) == []
            count_of(questdb, name, 1)
            questdb.sql(f'DROP TABLE "{name}"')


def test_a_hundred_refusals_are_borne_and_no_more() -> None:
    """More of them are no matter of single rows: then the batch stays as it is."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.refuses = lambda line: "no" if int(line.split()[0].rpartition("h")[2]) % 2 else None
        refused = publisher.deliver(HOSTS, statuses(2 * MAX_REFUSALS))
        assert len(refused) == MAX_REFUSALS
        assert hosts_of(double) == list(range(0, 2 * MAX_REFUSALS, 2))
        with pytest.raises(QuestDBError) as caught:
            publisher.deliver(HOSTS, statuses(2 * MAX_REFUSALS + 2))
    assert str(caught.value) == (
        f"QuestDB at 127.0.0.1:{double.port}: refused more than 100 rows of hostStatus in one "
        "batch, the last one for: error in line 102: table: hostStatus; no"
    )


def test_a_line_that_was_not_sent_cannot_be_refused() -> None:
    """A server that counts otherwise stops it; no row is blamed in another's place."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        said = '{"code":"invalid","message":"error in line 9","line":9}'
        double.says = lambda _body: (400, said)
        with pytest.raises(RowRefused):
            publisher.deliver(HOSTS, statuses(3))


def test_a_request_that_is_too_large_is_halved() -> None:
    """Until it fits; the rows stay in their order, and a row that fits nowhere is refused."""
    big = b'hostStatus,host=h50 detail="' + b"x" * 500 + b'" 50000\n'
    lines = statuses(101).splitlines(keepends=True)
    lines[50] = big
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.says = lambda body: (413, "at most 400 bytes") if len(body) > 400 else None
        refused = publisher.deliver(HOSTS, b"".join(lines))
    text = f"QuestDB at 127.0.0.1:{double.port}: a request is too large (413): at most 400 bytes"
    assert refused == [Refusal(HOSTS, text, big.decode().strip())]
    assert hosts_of(double) == [n for n in range(101) if n != 50]


def test_who_finds_everything_too_large_is_left_alone() -> None:
    """A proxy that takes no row at all is not asked about each of thousands."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.says = lambda _body: (413, "no")
        with pytest.raises(QuestDBError, match="refused more than 100 rows of hostStatus"):
            publisher.deliver(HOSTS, statuses(5_000))
    assert len(double.writes) < 300


def test_suspended_tables_are_ours() -> None:
    """Other people's tables are no matter of ours."""
    with questdb_double() as double, publishing(double.conf) as publisher:
        double.suspended = ["theirs", "HOSTSTATUS"]
        assert publisher.suspended() == ["HOSTSTATUS"]


def test_questions_are_tried_again_as_rows_are() -> None:
    """Whether tables are there, and whether they apply rows, is asked until it is answered."""
    with questdb_double() as double, publishing(double.conf, 60) as publisher:
        for ask in (publisher.ensure, publisher.suspended):
            left = [(503, "not now"), (502, "<html>")]
            double.says_to = lambda _sql, left=left: left.pop() if left else None
            ask()
            assert left == []


# --- TLS


@pytest.mark.e2e
def test_both_roads_go_through_tls(questdb: QuestDB, tmp_path: Path) -> None:
    """With the certificate named in tls_roots, statements and rows reach a server behind TLS."""
    certificate = make_certificate(tmp_path, "server")
    schema = fresh("tls")
    with tls_before(questdb.port, certificate) as port:
        conf = f"https::addr=127.0.0.1:{port};tls_roots={certificate};"
        with publishing(conf, 20, schema) as publisher:
            publisher.ensure()
            assert len(publisher.changes) == 6
            for rows in (*rows_of(full_sweep(), schema), sweep_row(full_sweep(), schema)):
                assert publisher.deliver(rows.table.name, encoded(rows).body) == []
    for table, count in zip(schema.tables, (2, 3, 1, 1, 1, 2), strict=True):
        count_of(questdb, table.name, count)


Ask = Callable[[str], object]


def _by_statement(conf: str) -> None:
    with writing(conf) as client:
        client.settings()


def _by_rows(conf: str) -> None:
    with publishing(conf) as publisher:
        publisher.deliver("plain", plain(1))


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


def test_a_certificate_may_be_a_cas(tmp_path: Path) -> None:
    """What `openssl req -x509` makes by default is good for statements and rows alike."""
    certificate = make_certificate(tmp_path, "ca", of_a_ca=True)
    with answering(ACCEPTED) as door, tls_before(door.port, certificate) as port:
        _by_rows(f"https::addr=127.0.0.1:{port};tls_roots={certificate};retry_timeout=0;")
        assert len(door.requests) == 1


@pytest.mark.parametrize("ask", [_by_statement, _by_rows])
def test_https_where_there_is_none(ask: Ask) -> None:
    """A plain server does not do TLS."""
    with answering(ACCEPTED) as door, pytest.raises(QuestDBError) as caught:
        ask(f"https::addr=127.0.0.1:{door.port};request_timeout=1000;retry_timeout=0;")
    assert str(caught.value).startswith(f"QuestDB at 127.0.0.1:{door.port}: ")


def test_an_answer_of_a_thousand_brackets_is_not_questdb() -> None:
    """JSON too deep to be read is what somebody else says, not a bug of ours."""
    with answering(answer(200, "[" * 200_000)) as door:
        client = Client(parse_conf(door.conf, "test"))
        with pytest.raises(QuestDBError, match="answered 200 with what is not QuestDB's"):
            client.query("SELECT 1")
