"""QuestDB over HTTP: statements and questions (`/exec`, `/settings`), and ILP (`/write`).

The standard library's client follows no redirect and asks no proxy of the environment, so what
answers is what the configuration names; every call ends within its time. A connection is kept
from question to question, and is a new one for rows.
"""

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Thread
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from fleet.errors import QuestDBError, QuestDBUnreachable, RowRefused, TooLarge, UsageError
from fleet.questdb_conf import QuestDB

ANSWER_MAX_BYTES = 4 * 1024 * 1024
DETAIL_MAX_CHARS = 400

_PASSING = re.compile(r"(metadata|transaction) read timeout|timeout, query aborted", re.IGNORECASE)
"""What QuestDB says to a statement, with the status of a mistake (400), when it has much to do: a
table's files were being changed for longer than it waits (a second, unless it is told otherwise).
"""

_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What TLS makes of a connection that ends where it should not: no matter of certificates."""

Result = TypeVar("Result")
Record = dict[str, Any]


class _Answer(NamedTuple):
    status: int
    location: str
    body: bytes


class Client:
    """Statements, questions and rows to one QuestDB; for one thread at a time.

    Raises `QuestDBUnreachable` when nobody answers or the server is in trouble, `QuestDBError`
    when it refuses; one line each, naming `host:port`.
    """

    def __init__(self, target: QuestDB) -> None:
        self._target = target
        self._tls = _tls(target) if target.scheme == "https" else None
        self._connection: HTTPConnection | None = None
        self._in_call = False

    def close(self) -> None:
        """End the connection that is kept. A call that another thread is in finds it cut; it
        alone takes it apart.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        if not self._in_call:
            connection.close()

    @property
    def address(self) -> str:
        """`host:port`, for error texts."""
        return self._target.address

    def query(self, sql: str) -> list[Record]:
        """The rows of a question, as mappings from column name to value."""
        answer = self._exec(sql)
        names = [column["name"] for column in answer.get("columns", [])]
        return [dict(zip(names, row, strict=True)) for row in answer.get("dataset", [])]

    def execute(self, statement: str) -> None:
        """Run a statement; returns once the server has accepted it."""
        self._exec(statement)

    def settings(self) -> Record | None:
        """What the server says of itself; None where it does not answer that question."""
        answer = self._get("/settings")
        if answer.status == 404:
            return None
        said = self._object(answer)
        config = said.get("config", said)
        return config if isinstance(config, dict) else {}

    def write(self, body: bytes) -> None:
        """Send ILP lines of one table; returns once QuestDB has accepted all of them (204).

        Raises `RowRefused` for the first row that it cannot take and `TooLarge` for a request
        that is: it has taken none of the rows then. After `QuestDBUnreachable` it may have.
        """
        # A table that was dropped lives on in a connection that has written to it: QuestDB (9.3)
        # says 204 there, and forgets the rows. So rows never go over one that was kept.
        self.close()
        seconds = self._target.request_s(len(body))
        answer = self._asked("POST", "/write?precision=n", body, seconds)
        if answer.status != 204:  # QuestDB's only yes; another 2xx is somebody else's
            raise self._refusal(answer)

    def _refusal(self, answer: _Answer) -> QuestDBError:
        """What an answer to rows means, by its status and QuestDB's own words (questdb.io,
        LineHttpProcessorState: 400 for a line, 413, 500 for its own trouble).
        """
        status, said = answer.status, _start(answer.body)
        if status == 404:
            return self._error("nothing there takes ILP (404): is it QuestDB?")
        kind, reason, line = _reason(answer.body)
        if status == 413:
            text = text_of(self._target, f"a request is too large (413): {reason or said}")
            return TooLarge(text)
        if kind is None and 200 <= status < 300:
            return self._error(f"answered {status} with what is not QuestDB's: {said!r}")
        if kind is None or kind == "internal error":
            detail = reason or said or "no reason given"
            return self._unreachable(f"did not take the rows ({status}): {detail}")
        text = text_of(self._target, f"refused the rows: {reason}")
        if kind == "invalid" and line is not None:
            return RowRefused(text, line, plain(self._target, reason))
        return QuestDBError(text)

    def _exec(self, sql: str) -> Record:
        answer = self._get("/exec?" + urlencode({"query": sql}))
        if answer.status == 404:
            raise self._error("nothing there answers /exec (404): is it QuestDB?")
        return self._object(answer)

    def _object(self, answer: _Answer) -> Record:
        """The JSON object of an answer."""
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):  # the latter: brackets a thousand deep
            said = None
        if isinstance(said, dict) and "error" in said:
            if _PASSING.search(str(said["error"])):
                raise self._unreachable(f"is too busy for a statement: {said['error']}")
            raise self._error(f"refused a statement: {said['error']}")
        if answer.status != 200 or not isinstance(said, dict):
            start = _start(answer.body)
            raise self._error(f"answered {answer.status} with what is not QuestDB's: {start!r}")
        return said

    def _get(self, path: str) -> _Answer:
        return self._asked("GET", path, None, self._target.request_timeout_ms / 1000)

    def _asked(self, method: str, path: str, body: bytes | None, seconds: float) -> _Answer:
        """The answer, once its status is none that says the same whatever was asked."""
        answer = None
        self._in_call = True
        try:
            answer = within(seconds, lambda: self._exchange(method, path, body, seconds))
        except ssl.SSLCertVerificationError as error:
            raise self._error(
                f"its certificate is not trusted: {error.verify_message} "
                "(tls_roots=FILE names the CA to trust)"
            ) from None
        except _CUT:
            raise self._unreachable("the connection was cut") from None
        except ssl.SSLError as error:
            raise self._error(f"TLS failed ({error.reason}): is it https there?") from None
        except TimeoutError:
            raise self._unreachable(f"no answer within {seconds:.3g} s") from None
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from None
        except HTTPException as error:
            raise self._unreachable(f"no answer in HTTP: {error!r}") from None
        finally:
            if answer is None:
                self.close()
            self._in_call = False
        if answer.status in (401, 403):
            raise self._error(denied(self._target, answer.status, _start(answer.body)))
        if 300 <= answer.status < 400:
            raise self._error(
                f"answered {answer.status}, moved to {answer.location!r}: write that into addr"
            )
        if method == "GET" and (answer.status == 429 or answer.status >= 500):
            raise self._unreachable(f"answered {answer.status}: {_start(answer.body)!r}")
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> _Answer:
        """One request and its answer. A connection that was kept may be closed by now: then
        the request, which bears being sent twice, goes over a new one.
        """
        kept = self._connection
        if kept is not None:
            try:
                return self._spoken(kept, method, path, body, seconds)
            except (ConnectionError, HTTPException, *_CUT):
                if self._connection is not kept:  # given up by the caller, who hung up
                    raise
                kept.close()
        self._connection = connection = self._connected(seconds)
        return self._spoken(connection, method, path, body, seconds)

    def _connected(self, seconds: float) -> HTTPConnection:
        host, port = self._target.host, self._target.port
        if self._tls is None:
            return HTTPConnection(host, port, timeout=seconds)
        return HTTPSConnection(host, port, timeout=seconds, context=self._tls)

    def _spoken(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, seconds: float
    ) -> _Answer:
        if connection.sock is None:
            connection.connect()  # not below: a reset in here leaves no answer to be read
        connection.sock.settimeout(seconds)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "text/plain"
        if self._target.authorization is not None:
            headers["Authorization"] = self._target.authorization
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # Who refuses a request by its head may hang up on its body: the answer is there.
            connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            return _Answer(response.status, response.getheader("Location", ""), _body(response))

    def _error(self, detail: str) -> QuestDBError:
        return QuestDBError(text_of(self._target, detail))

    def _unreachable(self, detail: str) -> QuestDBUnreachable:
        return QuestDBUnreachable(text_of(self._target, detail))


def text_of(target: QuestDB, detail: str) -> str:
    """An error's one line: who, what; no secrets, no control characters, of bounded length."""
    return f"QuestDB at {target.address}: {plain(target, detail)}"


def plain(target: QuestDB, foreign: str) -> str:
    """Foreign text as one line: no secrets, no control characters, of bounded length."""
    line = " ".join(target.redact(foreign).split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= DETAIL_MAX_CHARS else line[: DETAIL_MAX_CHARS - 1] + "…"


def denied(target: QuestDB, status: int, reason: str) -> str:
    """What a 401 or 403 means for this target."""
    if status == 403:
        return f"forbids it to this login (403): {reason or 'no reason given'}"
    if target.authorization is None:
        return "asks for a login (401): username and password, or a token, are not set"
    return "refused the login (401)"


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call()` returns or raises; `TimeoutError` if it takes longer.

    It runs in a thread that neither this wait nor the end of the process waits for: name
    resolution, and a client that never returns, have no other bound.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed over, raised where it is awaited
            future.set_exception(error)

    Thread(target=run, name="questdb", daemon=True).start()
    return future.result(timeout=seconds)


def _tls(target: QuestDB) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=target.tls_roots)
    except OSError as error:
        raise UsageError(f"tls_roots={target.tls_roots}: {error.strerror or error}") from None


def _body(response: HTTPResponse) -> bytes:
    body = response.read(ANSWER_MAX_BYTES + 1)
    if len(body) > ANSWER_MAX_BYTES:
        raise HTTPException("an answer without end")
    if response.length:  # read(size) takes a connection that ends early for the end
        raise IncompleteRead(body, response.length)
    return body


def _reason(body: bytes) -> tuple[str | None, str, int | None]:
    """(QuestDB's code, its reason, the number of the line); no code where it is not QuestDB's."""
    try:
        said = json.loads(body, strict=False)
        kind, message, line = str(said["code"]), str(said["message"]), said.get("line")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, "", None
    head, separator, tail = message.partition("encountered on line(s):")
    number = line if isinstance(line, int) and line > 0 else None
    return kind, tail.strip() if separator else head, number


def _start(body: bytes) -> str:
    return body[:200].decode(errors="replace").strip()
