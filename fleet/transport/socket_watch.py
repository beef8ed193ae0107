"""A TCP connection that remembers how its other end behaved, so that a failure can be told.

paramiko says "Error reading SSH protocol banner" or "No existing session" alike for a port that
says nothing, one that hangs up, and one that speaks HTTP. What the socket saw tells them apart.
"""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.status import Phase, Status
from fleet.transport import MAX_STDOUT_BYTES

MAX_GREETING_BYTES = 64 * 1024
AHEAD_BYTES = 32 * 1024
MAX_GATHERED_BYTES = 256 * 1024
"""What may wait to be sent: a visit sends some ten kilobytes, and more only if it is made to."""

LAST_WORDS_S = 0.5
"""How long a command that has closed its connection may take to say why and end."""

MAX_LOGIN_BYTES = 1024 * 1024
"""What a node may send before the login is through: a key exchange takes some kilobytes."""

MAX_SESSION_BYTES = MAX_STDOUT_BYTES + 2 * 1024 * 1024
"""What a node may send after it: its answer, stderr, and SSH's own framing."""

_IDENTIFICATION = re.compile(rb"(?:^|\n)SSH-[^\n]*\n")

Address = tuple[int, tuple[Any, ...]]


class Watched:
    """Keeps what came before SSH's identification line, and whether the connection ended.

    More than anyone needs is taken for the connection's end: a greeting without end (RFC 4253,
    section 4.2, lets a server send lines before it), a packet of two gigabytes.
    """

    def __init__(self) -> None:
        self.greeting = b""
        self.speaks_ssh = False
        self.ended = False
        self.flooded = False
        self._room: float = MAX_LOGIN_BYTES

    def let_in(self, most: float = MAX_SESSION_BYTES) -> None:
        """The login is through: from now on the node may send an answer of so many bytes."""
        self._room = most

    def hang_up(self) -> None:
        """End the connection for whoever waits on it; never an error."""
        raise NotImplementedError

    def close(self) -> None:
        """As `hang_up`, and give back what it holds."""
        raise NotImplementedError

    def wait(self, seconds: float) -> bool:
        """Whether there is something to receive, or the end, within so many seconds."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what was gathered, as far as it goes without a wait; never an error."""

    def holds(self) -> bool:
        """Whether something can be received without a wait, as far as is known without asking."""
        return self.wait(0.0)

    def last_words(self) -> str:
        """What was said beside the connection, by a command that makes it."""
        return ""

    def _saw(self, data: bytes) -> bytes:
        self._room -= len(data)
        if not data:
            self.ended = True
        elif self._room < 0:
            self.flooded = True
            return b""
        elif not self.speaks_ssh:
            self.greeting += data
            self.speaks_ssh = _IDENTIFICATION.search(self.greeting) is not None
            if not self.speaks_ssh and len(self.greeting) > MAX_GREETING_BYTES:
                self.flooded = True
                return b""
        return data


class WatchedSocket(Watched, socket.socket):
    """A socket that is watched. Once it is connected (`calm`), it asks the kernel for what is there
    and waits only where there is nothing; Python's own would ask before each call.
    """

    def __init__(self, family: int, fileno: int | None = None) -> None:
        Watched.__init__(self)
        socket.socket.__init__(self, family, socket.SOCK_STREAM, fileno=fileno)
        self._ahead = b""
        self._at = 0
        self._to_send = bytearray()
        self.gathers = False
        """Whether what is sent may wait until something is to be received: SSH's messages often
        come in twos, and each packet costs both ends more than its bytes. For one thread only.
        """
        self._limit_s: float | None = None
        self._calm = False

    def calm(self) -> None:
        """It is connected: from now on times are kept here."""
        socket.socket.settimeout(self, 0.0)
        self._calm = True

    def settimeout(self, seconds: float | None) -> None:
        """How long a call may wait, in seconds; None for as long as it takes."""
        self._limit_s = seconds
        if not self._calm:
            socket.socket.settimeout(self, seconds)

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Receive, and remember. More than is asked for is taken off the socket at once: SSH asks
        for a packet in two pieces.
        """
        if self._at == len(self._ahead):
            self._ahead, self._at = self._more(), 0
        start, self._at = self._at, min(self._at + size, len(self._ahead))
        return self._ahead[start : self._at]

    def take(self, size: int, each: Callable[[], object]) -> bytes:
        """So many bytes, all of them; `EOFError` where the connection ends before. `each` is called
        before each wait, and may raise or set another time.
        """
        while len(self._ahead) - self._at < size:
            each()
            more = self._more()
            if not more:
                raise EOFError
            self._ahead, self._at = self._ahead[self._at :] + more, 0
        start, self._at = self._at, self._at + size
        return self._ahead[start : self._at]

    def _more(self) -> bytes:
        while True:
            self.flush()
            try:
                return self._saw(socket.socket.recv(self, AHEAD_BYTES))
            except BlockingIOError:
                self._wait_for(select.POLLIN)
            except ConnectionError:
                self.ended = True
                raise

    def send(self, data: Any, _flags: int = 0) -> int:
        """As a socket's; see `gathers`."""
        if self.gathers:
            if len(self._to_send) > MAX_GATHERED_BYTES:
                raise BrokenPipeError("the other end asks and does not listen")
            self._to_send += data
            return len(data)
        while True:
            try:
                return socket.socket.send(self, data)
            except BlockingIOError:
                self._wait_for(select.POLLOUT)

    def flush(self) -> None:
        """Send what was gathered, as far as it goes. That the connection has ended is told by what
        is received: it may have said more before.
        """
        try:
            while self._to_send:
                del self._to_send[: socket.socket.send(self, self._to_send)]
        except BlockingIOError:
            return
        except OSError:
            self._to_send.clear()

    def _wait_for(self, what: int) -> None:
        """Raises `TimeoutError` where it does not come in time."""
        if not self._poll(what, self._limit_s):
            raise TimeoutError("timed out")

    def _poll(self, what: int, seconds: float | None) -> int:
        """What of it is there, or what is gathered could be sent; 0 when the time is up."""
        poll = select.poll()
        poll.register(self, what | select.POLLOUT if self._to_send else what)
        events = poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
        return events[0][1] if events else 0

    def wait(self, seconds: float) -> bool:
        """Whether there is something to receive, or the end, within so many seconds."""
        if self._at < len(self._ahead) or self.fileno() < 0:
            return True
        until = time.monotonic() + seconds
        while True:
            self.flush()
            events = self._poll(select.POLLIN, until - time.monotonic())
            if events != select.POLLOUT:
                return bool(events)

    def holds(self) -> bool:
        """Whether something was received ahead."""
        return self._at < len(self._ahead)

    def close(self) -> None:
        """Give back the socket and what was received ahead."""
        self._ahead, self._at = b"", 0
        socket.socket.close(self)

    def hang_up(self) -> None:
        """End the connection for whoever waits on it; never an error."""
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class WatchedCommand(WatchedSocket):
    """The connection that a ProxyCommand makes: one end of a pair of sockets, whose other end is
    the command's standard input and output.
    """

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:  # ours is taken over below, if it comes to that
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            super().__init__(socket.AF_UNIX, ours.detach())
            self.calm()
        self._said = b""
        self._gone = False
        self._closing = threading.Lock()
        self._reader = threading.Thread(target=self._listen, name="ProxyCommand", daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        """Take what it says on standard error, or it would wait for us; keep the end."""
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - Popen was asked for it
        with stderr:
            while chunk := os.read(stderr.fileno(), MAX_GREETING_BYTES):
                self._said = (self._said + chunk)[-MAX_GREETING_BYTES:]

    def hang_up(self) -> None:
        """End the connection, and the command with all that it started."""
        super().hang_up()
        if self._gone:  # and its number may be another's
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """As `hang_up`; nothing of the command stays behind."""
        with self._closing:
            if self._process.returncode is None:
                if self.ended:  # by itself: it may have to say why
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(LAST_WORDS_S)
                self.hang_up()
                self._process.wait()
                self._gone = True
                self._reader.join(LAST_WORDS_S)
            super().close()

    def last_words(self) -> str:
        """The last line of what the command said on standard error, once it has ended."""
        self.close()
        return self._said.decode("utf-8", "replace").strip().rpartition("\n")[2]


def resolve(address: str, port: int, timeout_s: float) -> list[Address]:
    """A host's addresses, in the resolver's order.

    The resolver cannot be interrupted: it runs in a daemon thread of its own, and is left behind
    when `timeout_s` is over; neither the visit nor the process's end waits for it.
    """
    found: list[Address] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed.append(error)
        else:
            found.extend((family, sockaddr) for family, _, _, _, sockaddr in answers)

    if _is_numeric(address):
        ask()
    else:
        thread = threading.Thread(target=ask, name=f"resolve {address}", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            detail = f"the resolver gave no answer for {address!r} within {timeout_s:.0f} s"
            raise HostError(Status.DNS, Phase.RESOLVE, detail)
    if failed or not found:
        reason = getattr(failed[0], "strerror", None) or failed[0] if failed else "no address"
        raise HostError(Status.DNS, Phase.RESOLVE, f"{address!r} does not resolve: {reason}")
    return found


def connect(addresses: list[Address], timeout_s: float, allowance: Allowance) -> WatchedSocket:
    """Connect to the first address that takes the connection, within `timeout_s` for each.

    Raises `HostError`, and `ConnectionResetError` where a connection was taken and dropped.
    """
    refusals: list[str] = []
    timed_out = False
    for family, sockaddr in addresses:
        place = f"{sockaddr[0]} port {sockaddr[1]}"
        try:
            sock = WatchedSocket(family)
        except OSError as error:  # a machine without IPv6, or out of files
            refusals.append(f"{place}: {error.strerror or error}")
            continue
        allowance.on_expire(sock.hang_up)
        sock.settimeout(max(0.001, allowance.remaining_s(timeout_s)))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(sockaddr)
        except TimeoutError:
            timed_out = True
            refusals.append(f"no answer from {place} within {timeout_s:.0f} s")
        except ConnectionResetError as reset:
            sock.close()
            raise ConnectionResetError(f"{place}: {reset.strerror}") from None
        except OSError as error:
            refusals.append(f"{place}: {error.strerror or error}")
        else:
            sock.calm()
            return sock
        sock.close()
        if allowance.expired:
            break
    status = Status.TIMEOUT if timed_out else Status.UNREACHABLE
    raise HostError(status, Phase.CONNECT, "; ".join(refusals))


def _is_numeric(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except OSError:
            continue
        return True
    return False
