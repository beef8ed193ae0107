"""QuestDB's `/exec` and `/settings` over HTTP: statements and questions, never rows.

The standard library's client follows no redirect and asks no proxy of the environment, so what
answers is what the configuration names; every call ends within the request time-out.
"""

import json
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlencode

from fleet.errors import QuestDBError, QuestDBUnreachable, UsageError
from fleet.questdb_conf import QuestDB

ANSWER_MAX_BYTES = 4 * 1024 * 1024
DETAIL_MAX_CHARS = 400

Result = TypeVar("Result")
Record = dict[str, Any]


class Client:
    """Statements and questions to one QuestDB.

    Raises `QuestDBUnreachable` when nobody answers or the server is in trouble, `QuestDBError`
    when it refuses; one line each, naming `host:port`.
    """

    def __init__(self, target: QuestDB) -> None:
        self._target = target
        self._tls = _tls(target) if target.scheme == "https" else None

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
        status, body = self._get("/settings")
        if status == 404:
            return None
        answer = self._object(status, body)
        config = answer.get("config", answer)
        return config if isinstance(config, dict) else {}

    def _exec(self, sql: str) -> Record:
        status, body = self._get("/exec?" + urlencode({"query": sql}))
        if status == 404:
            raise self._error("nothing there answers /exec (404): is it QuestDB?")
        return self._object(status, body)

    def _object(self, status: int, body: bytes) -> Record:
        """The JSON object of an answer."""
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):  # the latter: brackets a thousand deep
            answer = None
        if isinstance(answer, dict) and "error" in answer:
            raise self._error(f"refused a statement: {answer['error']}")
        if status != 200 or not isinstance(answer, dict):
            raise self._error(f"answered {status} with what is not QuestDB's: {_start(body)!r}")
        return answer

    def _get(self, path: str) -> tuple[int, bytes]:
        """Status and body, once the status is none that says the same whatever was asked."""
        seconds = self._target.request_timeout_ms / 1000
        try:
            status, location, body = within(seconds, lambda: self._exchange(path, seconds))
        except ssl.SSLCertVerificationError as error:
            raise self._error(
                f"its certificate is not trusted: {error.verify_message} "
                "(tls_roots=FILE names the CA to trust)"
            ) from None
        except ssl.SSLError as error:
            raise self._error(f"TLS failed ({error.reason}): is it https there?") from None
        except TimeoutError:
            raise self._unreachable(f"no answer within {seconds:g} s") from None
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from None
        except HTTPException as error:
            raise self._unreachable(f"no answer in HTTP: {error!r}") from None
        if status in (401, 403):
            raise self._error(denied(self._target, status, _start(body)))
        if 300 <= status < 400:
            raise self._error(f"answered {status}, moved to {location!r}: write that into addr")
        if status == 429 or status >= 500:
            raise self._unreachable(f"answered {status}: {_start(body)!r}")
        return status, body

    def _exchange(self, path: str, seconds: float) -> tuple[int, str, bytes]:
        connection = (
            HTTPConnection(self._target.host, self._target.port, timeout=seconds)
            if self._tls is None
            else HTTPSConnection(
                self._target.host, self._target.port, timeout=seconds, context=self._tls
            )
        )
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._target.authorization is not None:
            headers["Authorization"] = self._target.authorization
        try:
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                return response.status, response.getheader("Location", ""), _body(response)
        finally:
            connection.close()

    def _error(self, detail: str) -> QuestDBError:
        return QuestDBError(text_of(self._target, detail))

    def _unreachable(self, detail: str) -> QuestDBUnreachable:
        return QuestDBUnreachable(text_of(self._target, detail))


def text_of(target: QuestDB, detail: str) -> str:
    """An error's one line: who, what; no secrets, no control characters, of bounded length."""
    plain = " ".join(target.redact(detail).split())
    plain = "".join(char if char.isprintable() else "?" for char in plain)
    if len(plain) > DETAIL_MAX_CHARS:
        plain = plain[: DETAIL_MAX_CHARS - 1] + "…"
    return f"QuestDB at {target.address}: {plain}"


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


def _start(body: bytes) -> str:
    return body[:200].decode(errors="replace").strip()
