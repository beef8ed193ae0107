"""Between `fleet` and QuestDB: it knows the moments of a delivery, and loses answers when told to.

```
request    rows have come whole, and QuestDB has none of them
answer     QuestDB has answered, and fleet does not know it
answered   fleet has its answer, and the batch is still on disk
```
"""

import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from select import select
from threading import Lock, Thread

from tests.lab.lab import free_port

Act = Callable[[], bool]
"""What is done at a moment → whether what is under way is passed on."""

MOMENTS = ("request", "answer", "answered")
LONGEST_S = 60
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class Relay:
    """Listens on `port`. `losing` answers are lost; `resent` rows were sent after they had been
    accepted.
    """

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.losing = 0
        self.lost = 0
        self.resent = 0
        self._server_port = server_port
        self._acts: dict[str, Act] = {}
        self._accepted: set[bytes] = set()
        self._lock = Lock()

    def __enter__(self) -> "Relay":
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def once(self, moment: str, act: Act) -> None:
        """Do this the next time that the moment comes."""
        self._acts[moment] = act

    def clean(self) -> None:
        """From now on pass everything on."""
        self._acts.clear()
        self.losing = 0

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                address = ("127.0.0.1", self._server_port)
                with socket.create_connection(address, LONGEST_S) as server:
                    client.settimeout(LONGEST_S)
                    while (request := _request(client)) and self._passed(client, server, request):
                        pass
            except OSError:
                _reset(client)

    def _passed(self, client: socket.socket, server: socket.socket, request: bytes) -> bool:
        """Whether request and answer were passed on, and another may follow."""
        rows = _rows(request)
        if rows and not self._goes_on("request"):
            return False
        with self._lock:
            self.resent += len(rows & self._accepted)
        server.sendall(request)
        answered = False
        while True:
            readable, _, _ = select([client, server], [], [], LONGEST_S)
            if server not in readable:  # the next request, or the end
                return client in readable
            answer = server.recv(65536)
            if not answer:
                return False
            if rows and not answered and not self._may_answer(rows, answer):
                _reset(client)
                return False
            client.sendall(answer)
            if rows and not answered:
                self._goes_on("answered")
            answered = True

    def _may_answer(self, rows: set[bytes], answer: bytes) -> bool:
        if b" 204 " in answer[:20]:
            with self._lock:
                self._accepted |= rows
        if not self._goes_on("answer"):
            return False
        with self._lock:
            lose = self.losing > 0
            self.losing -= lose
            self.lost += lose
        return not lose

    def _goes_on(self, moment: str) -> bool:
        with self._lock:
            act = self._acts.pop(moment, None)
        return act() if act else True


def _rows(request: bytes) -> set[bytes]:
    """The lines of ILP in a request; none in any other request."""
    head, _, body = request.partition(b"\r\n\r\n")
    return set(body.splitlines()) if head.startswith(b"POST /write") else set()


def _request(client: socket.socket) -> bytes:
    """A request whole; empty when the client has gone."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (data := client.recv(65536)):
            return b""
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
    found = _LENGTH.search(head)
    missing = (int(found[1]) if found else 0) - len(body)
    while missing > 0:
        if not (data := client.recv(missing)):
            return b""
        request += data
        missing -= len(data)
    return request


def _reset(client: socket.socket) -> None:
    """End a connection with RST."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
