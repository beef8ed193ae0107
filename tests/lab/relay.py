"""An HTTP relay before a QuestDB: it passes everything on, and does to chosen requests what
networks, proxies and servers in trouble do. With a certificate it speaks TLS, and asks for a login.

A fault is a function of an `Exchange`, one request on its way. Faults end no wait by themselves:
they last until the client has gone or the relay closes.
"""

import json
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from tests.lab.lab import free_port

WAIT_S = 60
_RESET = struct.pack("ii", 1, 0)
_ONE_HOP = ("connection", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `headers` but for its length."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)

    @property
    def encoded(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"HTTP/1.1 {self.status} Said"]
        lines += [f"{key}: {value}" for key, value in self.headers]
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class Exchange:
    """One request: its method, path, headers and body, and what can become of it."""

    def __init__(self, handler: "_Handler", body: bytes) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = dict(handler.headers.items())
        self.body = body
        self.closing = handler.server.relay.closing
        self._handler = handler

    def forward(self) -> Answer:
        """QuestDB's answer, once it has come."""
        return self._handler.ask(self)

    def answer(self, answer: Answer) -> None:
        """Send this answer to the client."""
        self.send(answer.encoded)

    def pass_on(self) -> None:
        """Do what a relay is for."""
        self.answer(self.forward())

    def send(self, data: bytes) -> None:
        """Send these bytes to the client."""
        self._handler.wfile.write(data)

    def hang_up(self) -> None:
        """End the connection in order once this request is done."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """End the connection with RST."""
        self.hang_up()
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        os.close(connection.detach())


Fault = Callable[[Exchange], None]


class Relay:
    """Listens on `port`; `requests` are (method, path without its query) as they came.

    `logins` are values of the `Authorization` header that are let in; none lets everybody in.
    """

    def __init__(
        self,
        upstream: int,
        *,
        port: int | None = None,
        certificate: Path | None = None,
        logins: Iterable[str] = (),
    ) -> None:
        self.host, self.port = "127.0.0.1", port or free_port()
        self.upstream = upstream
        self.logins = set(logins)
        self.closing = Event()
        self.requests: list[tuple[str, str]] = []
        self._lock = Lock()
        self._fault: Fault | None = None
        self._path = ""
        self._left = 0
        self._scheme = "http" if certificate is None else "https"
        self._server = _Server((self.host, self.port), _Handler)
        self._server.relay = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def __enter__(self) -> "Relay":
        Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def conf(self) -> str:
        """The configuration string that leads here."""
        return f"{self._scheme}::addr={self.host}:{self.port};"

    @property
    def writes(self) -> int:
        """How many requests with rows have come."""
        with self._lock:
            return sum(path == "/write" for _method, path in self.requests)

    def does(self, fault: Fault, *, times: int = 1_000_000, path: str = "/write") -> None:
        """Do this to the next requests for a path (`""`: for any), in place of what was done."""
        with self._lock:
            self._fault, self._left, self._path = fault, times, path

    def heals(self) -> None:
        """Pass everything on again."""
        self.does(Exchange.pass_on, times=0)

    def serve(self, exchange: Exchange) -> None:
        """Let one request go its way."""
        if self.logins and exchange.headers.get("Authorization") not in self.logins:
            exchange.answer(Answer(401, b"Unauthorized", (("WWW-Authenticate", "Basic"),)))
            return
        path = exchange.path.partition("?")[0]
        with self._lock:
            fault = self._fault if self._left and path.startswith(self._path) else None
            self._left -= fault is not None
        (fault or Exchange.pass_on)(exchange)

    def note(self, exchange: Exchange) -> None:
        """A request has come."""
        with self._lock:
            self.requests.append((exchange.method, exchange.path.partition("?")[0]))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    relay: Relay

    def handle_error(self, *_whose: Any) -> None:
        """A client that goes away is what we are here for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(WAIT_S)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()
        self._upstream: HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def serve(self) -> None:
        """Any request."""
        exchange = Exchange(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.server.relay.note(exchange)
        try:
            self.server.relay.serve(exchange)
        except (OSError, HTTPException):
            exchange.hang_up()

    do_GET = do_POST = serve  # noqa: N815 - the library's names

    def ask(self, exchange: Exchange) -> Answer:
        """QuestDB's answer, over the connection that this client's requests share."""
        if self._upstream is None:
            self._upstream = HTTPConnection("127.0.0.1", self.server.relay.upstream, timeout=WAIT_S)
        body = exchange.body if exchange.method == "POST" else None
        try:
            self._upstream.request(exchange.method, exchange.path, body, exchange.headers)
            with self._upstream.getresponse() as said:
                kept = [pair for pair in said.getheaders() if pair[0].lower() not in _ONE_HOP]
                return Answer(said.status, said.read(), tuple(kept))
        except (OSError, HTTPException):
            self._upstream.close()
            raise

    def log_message(self, *_words: Any) -> None:
        """Nobody reads it."""


# --- faults


def canned(status: int, body: str = "", **headers: str) -> Fault:
    """This answer, and nothing reaches QuestDB; `Location="…"` is a header."""
    named = {"Content_Type": "text/html", **headers}
    pairs = tuple((key.replace("_", "-"), value) for key, value in named.items())
    return lambda exchange: exchange.answer(Answer(status, body.encode(), pairs))


def complaining(status: int, code: str, message: str, line: int | None = None) -> Fault:
    """An answer as QuestDB gives it to rows that it does not take."""
    said: dict[str, str | int] = {"code": code, "message": message, "errorId": "1-1"}
    if line is not None:
        said["line"] = line
    return canned(status, json.dumps(said), Content_Type="application/json")


def reset_before(exchange: Exchange) -> None:
    """The connection is reset, and QuestDB has heard nothing."""
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """The connection is reset after QuestDB has answered: its rows are in."""
    exchange.forward()
    exchange.reset()


def half(exchange: Exchange) -> None:
    """Half of QuestDB's answer, then the end of the connection."""
    data = exchange.forward().encoded
    exchange.send(data[: len(data) // 2])
    exchange.hang_up()


def hanging(exchange: Exchange) -> None:
    """No answer ever, and QuestDB has heard nothing."""
    exchange.closing.wait(WAIT_S)
    exchange.hang_up()


def late(seconds: float) -> Fault:
    """QuestDB's answer, after so many seconds."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.closing.wait(seconds)
        exchange.answer(answer)

    return fault


def trickling(every_s: float) -> Fault:
    """QuestDB's answer, byte by byte."""

    def fault(exchange: Exchange) -> None:
        for byte in exchange.forward().encoded:
            exchange.send(bytes([byte]))
            exchange.closing.wait(every_s)

    return fault


def after(act: Callable[[], object]) -> Fault:
    """Something happens while the request is on its way; then it is passed on."""

    def fault(exchange: Exchange) -> None:
        act()
        exchange.pass_on()

    return fault


def larger_than(size: int, fault: Fault) -> Fault:
    """Only what has a body of more than so many bytes has this fault."""
    return lambda exchange: (fault if len(exchange.body) > size else Exchange.pass_on)(exchange)


def holding(words: Sequence[bytes], fault: Fault) -> Fault:
    """Only what has one of these in its body has this fault."""

    def chosen(exchange: Exchange) -> None:
        found = any(word in exchange.body for word in words)
        (fault if found else Exchange.pass_on)(exchange)

    return chosen


def rewriting(old: bytes, new: bytes) -> Fault:
    """QuestDB's answer with some of its words replaced."""

    def fault(exchange: Exchange) -> None:
        said = exchange.forward()
        exchange.answer(Answer(said.status, said.body.replace(old, new), said.headers))

    return fault
