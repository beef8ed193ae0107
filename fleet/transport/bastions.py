"""Bastions: one session for each, shared by all hosts behind it, and paced.

sshd's default `MaxStartups 10:30:100` turns logins away at random when more than ten are under
way, and hosts behind one bastion may well be one sshd. So at most `TURNS` logins go through a
bastion at a time; one that takes longer than `TURN_S` (a dead host) makes room for the next.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import paramiko
from fabric import Connection
from paramiko.buffered_pipe import PipeTimeout
from paramiko.common import MSG_CHANNEL_CLOSE
from paramiko.ssh_exception import ChannelException, SSHException

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.status import Phase, Status
from fleet.transport.login import close
from fleet.transport.route import Door
from fleet.transport.socket_watch import Watched

TURNS = 8
TURN_S = 3.0
KEEPALIVE_S = 5
LOST_AFTER_MS = 10_000
"""A bastion that acknowledges nothing for so long is taken for dead (tcp(7), TCP_USER_TIMEOUT)."""

ORDER_S = 5.0
"""How long the end of a channel waits for data that is being sent."""

_PROHIBITED, _CONNECT_FAILED = 1, 2  # RFC 4254, section 5.1

Open = Callable[[Allowance], tuple[Connection, Watched]]


def _close_in_order(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """The far end closes a channel, and is answered, but not in the middle of our sending."""
    order: threading.Lock | None = getattr(channel, "fleet_order", None)
    held = order is not None and order.acquire(timeout=ORDER_S)
    try:
        channel._handle_close(message)  # type: ignore[attr-defined]  # not public
    finally:
        if order is not None and held:
            order.release()


class OrderedTransport(paramiko.Transport):
    """A session to a bastion, in which no data follows the end of a channel, and every refusal
    reaches the thread that asked.

    paramiko asks whether a channel is closed, and sends a moment later. With many channels that one
    end opens and the other closes, data for one that is gone comes up soon, and sshd ends the whole
    session for it ("data packet referred to nonexistent channel").
    """

    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # not public
        MSG_CHANNEL_CLOSE: _close_in_order,
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asking = threading.local()
        self._refusals: dict[int, ChannelException] = {}

    def _next_channel(self) -> int:
        self._asking.channel = number = int(super()._next_channel())  # type: ignore[misc]
        self._refusals.pop(number, None)
        return number

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        number, code = message.get_int(), message.get_int()
        self._refusals[number] = ChannelException(code, "refused")
        message.rewind()
        super()._parse_channel_open_failure(message)  # type: ignore[misc]

    def get_exception(self) -> Exception | None:
        """What became of this thread's channel: paramiko has one place for all of them."""
        number = getattr(self._asking, "channel", -1)
        return self._refusals.pop(number, None) or super().get_exception()


class WatchedChannel(Watched):
    """A channel through a bastion to a port behind it, as the socket of another session."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__()
        self._channel = channel
        self._order = threading.Lock()
        channel.fleet_order = self._order  # type: ignore[attr-defined]  # see OrderedTransport

    @property
    def _closed(self) -> bool:
        return bool(self._channel.closed)

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self._channel.settimeout(seconds)

    def send(self, data: bytes) -> int:
        """As a socket's."""
        with self._order:
            return self._channel.send(data)

    def recv(self, size: int) -> bytes:
        """Receive, and remember."""
        return self._saw(self._channel.recv(size))

    def wait(self, seconds: float) -> bool:
        """Whether there is something to receive, or the end, within so many seconds."""
        try:
            self._channel.in_buffer.read(0, seconds)
        except PipeTimeout:
            return False
        return True

    def hang_up(self) -> None:
        """End the connection for whoever waits on it; never an error, and never a wait: the far end
        is told by `close`.
        """
        with self._channel.lock:
            self._channel.eof_sent = True
            self._channel.out_buffer_cv.notify_all()
        self._channel.in_buffer.close()

    def close(self) -> None:
        """End the channel; never an error."""
        held = self._order.acquire(timeout=ORDER_S)
        try:
            self._channel.close()
        except (SSHException, OSError, EOFError):
            return
        finally:
            if held:
                self._order.release()


class Bastion:
    """One bastion. Its session is opened by whoever needs it first, in a thread of its own, so that
    it does not end with that visit; a session that failed or was lost stays so for the run.
    """

    def __init__(self, door: Door, via: "Bastion | None", open_: Open, timeout_s: float) -> None:
        self.door = door
        self._via = via
        self._open = open_
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._started = False
        self._session: tuple[Connection, Watched] | None = None
        self._error: HostError | None = None
        self._pace = Pace()

    @property
    def lost(self) -> HostError | None:
        """Why nothing goes through any more, to be raised: this bastion, or one before it."""
        before = self._via.lost if self._via is not None else None
        if before is not None:
            return before
        if self._error is not None:
            return self._error.anew()
        if self._session is not None and not self._transport().is_active():
            return self._failed(Phase.CONNECT, "the connection to it was lost")
        return None

    @contextmanager
    def turn(self, allowance: Allowance) -> Iterator[None]:
        """Wait for a turn at logging in through this bastion. Raises `HostError`.

        Turns begin when its session is open: those that had run out meanwhile would all go at once.
        """
        self._ensure(allowance)
        with self._pace.turn(allowance) as ours:
            if not ours:
                detail = f"no turn at the bastion {self.door.name} came in time"
                raise HostError(Status.TIMEOUT, Phase.CONNECT, detail, self.door.name)
            yield

    def dial(self, address: str, port: int, allowance: Allowance, timeout_s: float) -> Watched:
        """Connect to a port behind the bastion, in one's turn. Raises `HostError`."""
        try:
            channel = self._transport().open_channel(
                "direct-tcpip",
                (address, port),
                ("127.0.0.1", 0),
                timeout=max(0.001, allowance.remaining_s(timeout_s)),
            )
        except Exception as error:  # noqa: BLE001 - see fleet.transport.login: the bastion chose it
            raise self._refused(error, f"{address} port {port}", timeout_s) from None
        sock = WatchedChannel(channel)
        allowance.on_expire(sock.hang_up)
        return sock

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            close(*self._session)

    def _ensure(self, allowance: Allowance) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(
                    target=self._connect, name=f"bastion {self.door.name}", daemon=True
                ).start()
        if not self._ready.wait(allowance.remaining_s()):
            detail = f"the bastion {self.door.name} was not reached in time"
            raise HostError(Status.TIMEOUT, Phase.CONNECT, detail, self.door.name)
        lost = self.lost
        if lost is not None:
            raise lost

    def _connect(self) -> None:
        try:
            connection, sock = self._open(Allowance(3 * self._timeout_s))
            sock.let_in(float("inf"))
            if isinstance(sock, socket.socket) and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_AFTER_MS)
            self._session = connection, sock
            threading.Thread(
                target=self._watch, name=f"watch {self.door.name}", daemon=True
            ).start()
        except HostError as error:
            inner = error.status is Status.JUMP_FAILED
            said = error.detail if inner else f"{error.status}: {error.detail}"
            self._error = error if inner else self._failed(error.phase, said)
        except Exception as bug:  # noqa: BLE001 - the hosts behind must not wait for ever
            self._error = self._failed(Phase.CONNECT, f"a bug in fleet: {bug!r}")
        finally:
            self._ready.set()

    def _watch(self) -> None:
        """Ask now and then whether the bastion is there: its kernel may be, and its sshd not."""
        transport = self._transport()
        while transport.is_active():
            time.sleep(KEEPALIVE_S)
            ask = threading.Thread(
                target=transport.global_request,
                args=("keepalive@openssh.com",),
                name=f"ask {self.door.name}",
                daemon=True,
            )
            ask.start()
            ask.join(LOST_AFTER_MS / 1000)
            if ask.is_alive() and transport.is_active():
                why = f"it gave no sign of life for {LOST_AFTER_MS // 1000} s"
                self._error = self._failed(Phase.CONNECT, why)
                self.close()

    def _refused(self, error: Exception, place: str, timeout_s: float) -> HostError:
        """Whose failure it is that no channel was opened."""
        lost = self.lost
        if lost is not None:
            return lost
        name = self.door.name
        code = error.code if isinstance(error, ChannelException) else None
        if "Timeout" in str(error):
            detail = f"no answer from {place} within {timeout_s:.0f} s, by way of {name}"
            return HostError(Status.TIMEOUT, Phase.CONNECT, detail, name)
        if code == _PROHIBITED:
            return self._failed(
                Phase.CONNECT, "it forbids forwarding (AllowTcpForwarding, PermitOpen)"
            )
        if code in (_CONNECT_FAILED, None):
            detail = f"{place} cannot be reached from the bastion {name}"
            return HostError(Status.UNREACHABLE, Phase.CONNECT, detail, name)
        return self._failed(Phase.CONNECT, f"it opened no way to a host behind it ({error})")

    def _failed(self, phase: Phase, why: str) -> HostError:
        detail = f"bastion {self.door.name}: {why}"
        return HostError(Status.JUMP_FAILED, phase, detail, self.door.name)

    def _transport(self) -> paramiko.Transport:
        assert self._session is not None  # noqa: S101 - asked for after `_ensure` only
        transport: paramiko.Transport = self._session[0].transport
        return transport


class Pace:
    """Lets at most `TURNS` go at a time; who takes longer than `TURN_S` counts no more."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._changed = threading.Condition()
        self._next = 0

    @contextmanager
    def turn(self, allowance: Allowance) -> Iterator[bool]:
        """Wait for a turn; False when the time was up first."""
        number = self._begin(allowance)
        try:
            yield number is not None
        finally:
            if number is not None:
                with self._changed:
                    self._since.pop(number, None)
                    self._changed.notify()

    def _begin(self, allowance: Allowance) -> int | None:
        with self._changed:
            while True:
                now = time.monotonic()
                under_way = [since for since in self._since.values() if now - since < TURN_S]
                if len(under_way) < TURNS:
                    self._next += 1
                    self._since[self._next] = now
                    return self._next
                left_s = allowance.remaining_s()
                if left_s <= 0:
                    return None
                self._changed.wait(min(left_s, max(0.01, TURN_S - (now - min(under_way)))))
