"""An SSH session that the thread of the visit drives by itself.

paramiko gives each session a thread that reads, and one more for a timer; who waits for something
is woken by them, and looks at the clock ten times a second. With hundreds of visits in flight, to
hand the interpreter from thread to thread costs more than the reading. Here whoever waits reads:
each wait takes packets off the socket and acts on them, until what it waits for has come.

Only for sessions that one thread uses; those to bastions are paramiko's own.
"""

import select
import threading
import time
from collections.abc import Callable
from types import MethodType
from typing import Any

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthHandler
from paramiko.packet import Packetizer
from paramiko.ssh_exception import MessageOrderError, SSHException

from fleet.transport.socket_watch import WatchedSocket

FAST_CIPHER = "aes128-gcm@openssh.com"
"""Carries its own checksum: paramiko reckons and compares those of others in Python."""

GCM_TAG_BYTES = 16
MAX_PACKET_BYTES = 256 * 1024  # OpenSSH's bound; we ask for 32 KiB of data in one
MAX_EXTENSIONS = 64
FAST_EXCHANGE = ("curve25519-sha256", "curve25519-sha256@libssh.org")

_KEX_MESSAGES = range(30, 42)  # RFC 4253, section 12: of the key exchange method in use


def _first(preferred: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """The same names with these at the head, where paramiko has them at all."""
    known = tuple(name for name in names if name in preferred)
    return known + tuple(name for name in preferred if name not in known)


class TooLate(SSHException):
    """The time for a login was up."""


_Transport: Any = paramiko.Transport  # its stubs leave out what is not public
_Packetizer: Any = Packetizer


class _Packets(_Packetizer):  # type: ignore[misc]  # as above
    """Gives up at `give_up_at` (monotonic seconds); asked by paramiko before each read."""

    watched: Any = None
    give_up_at: float | None = None
    decrypt: Any = None

    def handshake_timed_out(self) -> bool:
        """Never; it is raised instead, so that it is not taken for a connection's end. What is left
        is the most that the next read takes.
        """
        if self.give_up_at is not None:
            left = self.give_up_at - time.monotonic()
            if left <= 0:
                raise TooLate("timeout")
            self.watched.settimeout(left)
        return False

    def _read_timeout(self, timeout: float) -> bytes:  # noqa: ARG002 - paramiko's
        """As paramiko's, of the greeting; lines and bytes that come slowly do not begin it anew."""
        self.handshake_timed_out()
        data: bytes = super()._read_timeout(0.0)
        return data

    def set_inbound_cipher(self, block_engine: Any, *others: Any, **options: Any) -> None:
        """As paramiko's. From now on `read_payload` reads, where the cipher is such a one."""
        super().set_inbound_cipher(block_engine, *others, **options)
        self.decrypt = None
        if options.get("aead") and isinstance(self.watched, WatchedSocket):
            self.decrypt, iv = block_engine.decrypt, options["iv_in"]
            self._fixed, self._count = iv[:4], int.from_bytes(iv[4:], "big")

    def read_payload(self) -> bytes:
        """A packet's message with its type in front, from under AES-GCM (RFC 5647, section 7).

        Raises `EOFError` at the connection's end, `TooLate`, `SSHException` for a packet that is
        too large, and cryptography's `InvalidTag`. The sequence number is kept up for other
        ciphers, that may follow.
        """
        iv = self._fixed + self._count.to_bytes(8, "big")
        try:
            head = self.watched.take(4, self.handshake_timed_out)
            size = int.from_bytes(head, "big")
            if not 0 < size <= MAX_PACKET_BYTES:
                raise SSHException(f"a packet of {size} bytes")
            sealed = self.watched.take(size + GCM_TAG_BYTES, self.handshake_timed_out)
            packet: bytes = self.decrypt(iv, sealed, head)
        except TimeoutError:
            raise TooLate("timeout") from None
        self._count = (self._count + 1) & (2**64 - 1)
        self._Packetizer__sequence_number_in = (self.sequence_number + 1) & (2**32 - 1)
        return packet[1 : size - packet[0]]

    @property
    def sequence_number(self) -> int:
        """Of the packet that is read next (RFC 4253, section 6.4)."""
        number: int = self._Packetizer__sequence_number_in
        return number


class Session(_Transport):  # type: ignore[misc]  # as above
    """paramiko's transport without its thread. `sock` is a `fleet.transport.socket_watch.Watched`.

    What a node has sent is acted on while somebody waits: in `start_client`, `auth_publickey`, when
    a channel is opened, when a request on it is to be answered, and in `pump`.
    """

    _preferred_ciphers = _first(_Transport._preferred_ciphers, FAST_CIPHER)
    _preferred_kex = _first(_Transport._preferred_kex, *FAST_EXCHANGE)

    def __init__(self, sock: Any, **options: Any) -> None:
        self._lists: dict[str, tuple[str, ...]] = {}
        super().__init__(sock, packetizer_class=_Packets, **options)
        if isinstance(sock, WatchedSocket):
            sock.gathers = True  # whoever reads is who has sent
        self._acting = False
        self._expected_packet: tuple[int, ...] = ()
        self.auth_handler: Any = None
        self._held: list[paramiko.Message] = []

    def start_client(self, event: object = None, timeout: float | None = None) -> None:  # noqa: ARG002 - paramiko's
        """Agree on keys; raises what went wrong, `TooLate` after `timeout` seconds."""
        self.active = True
        self.completion_event = threading.Event()
        self._give_up_in(timeout)
        try:
            self.packetizer.write_all(f"{self.local_version}\r\n".encode())
            self._check_banner()
            self._send_kex_init()
            self._expect_packet(common.MSG_KEXINIT)
        except BaseException as error:
            self._end(error)
            raise
        self._until(self.completion_event.is_set)

    def auth_publickey(self, username: str, key: paramiko.PKey, event: object = None) -> list[str]:  # noqa: ARG002 - paramiko's
        """Log in; errors and what is returned are paramiko's."""
        if not self.active or not self.initial_kex_done:
            raise SSHException("No existing session")
        answered = threading.Event()
        self._give_up_in(self.auth_timeout)
        self.auth_handler = AuthHandler(self)
        self.auth_handler.auth_publickey(username, key, answered)
        try:
            self._until(answered.is_set)
        except TooLate:
            raise
        except (SSHException, EOFError, OSError):
            pass  # told by the next line, as paramiko tells it
        further: list[str] = self.auth_handler.wait_for_response(answered)
        self._give_up_in(None)
        return further

    def start(self, channel: paramiko.Channel, command: str) -> None:
        """Have a command run that gets nothing on its standard input. Whether the node does so, is
        told by what comes: `channel.event_ready` then. Raises what ends the session.
        """
        opened: Any = channel
        request = paramiko.Message()
        request.add_byte(common.cMSG_CHANNEL_REQUEST)
        request.add_int(opened.remote_chanid)
        request.add_string("exec")
        request.add_boolean(True)
        request.add_string(command)
        opened._event_pending()
        self._send_now(request)
        with opened.lock:
            end = opened._send_eof()  # a login script that reads would wait for us
        if end is not None:
            self._send_now(end)

    def pump(self, done: Callable[[], bool], seconds: float, gather_s: float = 0.0) -> bool:
        """Act on what comes until `done`, or for so many seconds → whether it is done.

        With `gather_s` it sleeps so long when something has come, for more will: a node answers in
        bursts of small packets. Raises what ends the session (`SSHException`, `EOFError`,
        `OSError`).
        """
        until = time.monotonic() + seconds
        while not done():
            left = until - time.monotonic()
            if left <= 0 or not self.active or not self.sock.wait(left):
                return done()
            if gather_s:
                # Not by sleep(), which waits for a time of the clock: one that is set back is late.
                select.poll().poll(min(gather_s, left) * 1000)
            self._act()
            while self.active and self.sock.holds():
                self._act()
        return True

    def _give_up_in(self, seconds: float | None) -> None:
        """From now on reading takes so long at the most; None for no bound but the visit's own."""
        packets = self.packetizer
        packets.watched = self.sock
        packets.give_up_at = None if seconds is None else time.monotonic() + seconds
        self.sock.settimeout(None if seconds is None else max(0.001, seconds))

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._act()

    def _act(self) -> None:
        """One message of the node's. Raises what ends the session, which then has ended."""
        self._acting = True
        try:
            self._read()
            while self._held and self.clear_to_send.is_set():
                self._send_message(self._held.pop(0))
        except (SSHException, EOFError, OSError) as error:
            self._end(error)
            raise
        except Exception as error:
            # Whatever the node's bytes call for: InvalidTag, IndexError, UnicodeDecodeError, ...
            self._end(error)
            raise SSHException(f"{type(error).__name__}: {error}") from error
        finally:
            self._acting = False

    def _read(self) -> None:
        packets = self.packetizer
        if packets.decrypt is None or packets._Packetizer__remainder:
            self._take(*packets.read_message())
            return
        number, payload = packets.sequence_number, packets.read_payload()
        if payload[0] == common.MSG_CHANNEL_DATA and not self._expected_packet:
            self._data(payload)  # most of all packets, without paramiko's way to read a field
            return
        message = paramiko.Message(payload[1:])
        message.seqno = number
        self._take(payload[0], message)

    def _data(self, payload: bytes) -> None:
        """What a channel's other end printed (RFC 4254, section 5.2)."""
        size = int.from_bytes(payload[5:9], "big")
        if (channel := self._channel(int.from_bytes(payload[1:5], "big"))) is not None:
            channel._feed(payload[9 : 9 + size])

    def _take(self, kind: int, message: paramiko.Message) -> None:
        """Act on a message, as RFC 4253 and 4254 have it."""
        if kind == common.MSG_DISCONNECT:
            raise EOFError
        if kind in (common.MSG_IGNORE, common.MSG_DEBUG):
            self._enforce_strict_kex(kind)
            return
        if expected := self._expected_packet:
            if kind not in expected:
                wrong = MessageOrderError if self.agreed_on_strict_kex else SSHException
                raise wrong(f"Expecting packet from {expected!r}, got {kind}")
            self._expected_packet = ()
            if kind in _KEX_MESSAGES:
                self.kex_engine.parse_next(kind, message)
                return
        if kind in self._handler_table:
            handler = self._handler_table[kind]
            handler(message) if isinstance(handler, MethodType) else handler(self, message)
        elif kind in self._channel_handler_table:
            self._of_channel(kind, message)
        elif self.auth_handler is not None and kind in self.auth_handler._handler_table:
            self.auth_handler._handler_table[kind](message)
        elif kind != common.MSG_UNIMPLEMENTED:
            reply = paramiko.Message()
            reply.add_byte(common.cMSG_UNIMPLEMENTED)
            reply.add_int(message.seqno)
            self._send_message(reply)

    def _of_channel(self, kind: int, message: paramiko.Message) -> None:
        if (channel := self._channel(message.get_int())) is not None:
            self._channel_handler_table[kind](channel, message)

    def _channel(self, number: int) -> Any:
        """The channel of a number; None for one that has been closed."""
        channel = self._channels.get(number)
        if channel is None and number not in self.channels_seen:
            raise SSHException(f"a message for channel {number}, which there is not")
        return channel

    def _send_user_message(self, message: paramiko.Message) -> None:
        """Send, and where an answer is to come, wait for it, as the caller is about to; not while
        keys are agreed on anew.
        """
        if not self.active:
            return
        if self._acting and not self.clear_to_send.is_set():
            self._held.append(message)
            return
        kind = message.asbytes()[:1]
        try:
            self._send_now(message)
        except (SSHException, EOFError, OSError):
            if kind == common.cMSG_CHANNEL_WINDOW_ADJUST:
                return  # asked for in the middle of reading: what has come is still to be taken
            raise
        if self._acting:
            return
        if kind == common.cMSG_CHANNEL_OPEN:
            self._until(lambda: not self.channel_events)
        elif kind == common.cMSG_CHANNEL_REQUEST:
            self._until(lambda: all(one.event.is_set() for one in self._channels.values()))

    def _send_now(self, message: paramiko.Message) -> None:
        """Send, as soon as keys are agreed on. Raises what ends the session."""
        try:
            if not self._acting:
                self._until(self.clear_to_send.is_set)
            self._send_message(message)
        except (SSHException, EOFError, OSError) as error:
            self._end(error)
            raise

    def _end(self, error: BaseException) -> None:
        """The session is over; whoever asks later is told why."""
        if isinstance(error, Exception):
            self.saved_exception = error
        for channel in self._channels.values():
            channel._unlink()
        if self.active:
            self.active = False
            self.sock.flush()  # the node's log is to say why
            self.packetizer.close()
            if self.auth_handler is not None:
                self.auth_handler.abort()
            for event in self.channel_events.values():
                event.set()

    def let_go(self) -> None:
        """It is of no use any more. Sessions hold themselves, by what they hold: memory would be
        had back only when Python looks for such rings.
        """
        parts: list[Any] = [*self._channels.values(), self.packetizer, self.auth_handler]
        for part in (*parts, getattr(self, "kex_engine", None), self):
            if part is not None:
                part.__dict__.clear()

    def _parse_ext_info(self, message: paramiko.Message) -> None:
        """As paramiko's, which would count to four thousand millions for whoever says so."""
        if message.get_int() > MAX_EXTENSIONS:
            raise SSHException("more extensions than there are")
        message.rewind()
        super()._parse_ext_info(message)

    def _filter_algorithm(self, kind: str) -> tuple[str, ...]:
        """As paramiko's, which asks for each list many times over."""
        if kind not in self._lists:
            self._lists[kind] = tuple(super()._filter_algorithm(kind))
        return self._lists[kind]

    def _log_agreement(self, which: str, local: str, remote: str) -> None:
        """Nothing, as below."""

    def _log(self, level: int, message: object, *args: object) -> None:
        """Nothing: failures are values here."""
