"""Doors that are not what a client hopes for: silent, full, closed, slamming, or not SSH at all."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from tests.lab.lab import Lab, free_port

Handle = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection; the event says that the door closes."""

RESET = struct.pack("ii", 1, 0)


class Door:
    """A listener on an address of its own; `connections` counts who came."""

    def __init__(self, lab: Lab, handle: Handle, *, backlog: int = 200) -> None:
        self.address = lab.address()
        self.port = free_port(self.address)
        self.connections = 0
        self._handle = handle
        self._backlog = backlog
        self._closing = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> "Door":
        self._listener = socket.create_server((self.address, self.port), backlog=self._backlog)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client went away
            self._handle(connection, self._closing)


def silent(lab: Lab) -> Door:
    """Accepts and never says a word."""
    return Door(lab, lambda _connection, _closing: None)


def resetting(lab: Lab) -> Door:
    """Resets every connection at once."""
    return Door(lab, lambda connection, _closing: _reset(connection))


def closing(lab: Lab, text: bytes = b"") -> Door:
    """Says something that is not SSH, perhaps nothing, and closes."""

    def handle(connection: socket.socket, _closing: threading.Event) -> None:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_RDWR)

    return Door(lab, handle)


def greeting(lab: Lab, text: bytes = b"220 mail.example.com ESMTP\r\n") -> Door:
    """Greets in another protocol's words and waits."""
    return Door(lab, lambda connection, _closing: connection.sendall(text))


def trickling(lab: Lab, text: bytes = b"SSH-2.0-OpenSSH_9.2\r\n", every_s: float = 1) -> Door:
    """Sends its banner one byte at a time, for ever."""

    def handle(connection: socket.socket, closing: threading.Event) -> None:
        for byte in text * 1000:
            connection.sendall(bytes([byte]))
            if closing.wait(every_s):
                return

    return Door(lab, handle)


def dropping(lab: Lab, address: str, port: int, drops: int = 1) -> Door:
    """Slams the door on the first `drops` visitors, as MaxStartups does; then leads to a node."""
    came = iter(range(drops))

    def handle(connection: socket.socket, _closing: threading.Event) -> None:
        if next(came, None) is not None:
            connection.sendall(b"Exceeded MaxStartups\r\n")
            connection.shutdown(socket.SHUT_RDWR)
            return
        onward = socket.create_connection((address, port))
        back = threading.Thread(target=_copy, args=[onward, connection], daemon=True)
        back.start()
        _copy(connection, onward)
        back.join()
        onward.close()

    return Door(lab, handle)


class Closed:
    """A port where nobody listens: refused at once."""

    def __init__(self, lab: Lab) -> None:
        self.address = lab.address()
        self.port = free_port(self.address)


class Full:
    """A listener whose queue is full: the connection hangs until it times out."""

    def __init__(self, lab: Lab) -> None:
        self.address = lab.address()
        self.port = free_port(self.address)

    def __enter__(self) -> "Full":
        self._listener = socket.create_server((self.address, self.port), backlog=0)
        self._queue = [socket.socket() for _ in range(4)]
        for waiting in self._queue:
            waiting.setblocking(False)
            waiting.connect_ex((self.address, self.port))
        return self

    def __exit__(self, *_error: object) -> None:
        for waiting in (*self._queue, self._listener):
            waiting.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
