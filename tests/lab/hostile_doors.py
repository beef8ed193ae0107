"""Servers of our own that misbehave in the SSH protocol itself, before and after the login."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import paramiko
from paramiko.common import (
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from tests.lab.doors import Door
from tests.lab.hostile import FORGED, TITLE, answer, listed, stats
from tests.lab.lab import Lab, free_port
from tests.lab.sshd import client_key, make_key


@dataclass(slots=True)
class Seen:
    """What doors saw of us: what we offered in a key exchange, which channels we let them open."""

    offers: list[list[str]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


Serve = Callable[[paramiko.Transport, "_Server", threading.Event], None]


class _Server(paramiko.ServerInterface):
    """Lets everybody in, and starts any command, or not."""

    def __init__(
        self,
        *,
        banner: str = "",
        sessions: bool = True,
        commands: bool = True,
        says: bytes = b"",
    ) -> None:
        self.banner, self.sessions, self.commands = banner, sessions, commands
        self.says = says
        self.started = threading.Event()
        self.hangs: threading.Event | None = None
        self.channel: int | None = None
        self.transport: paramiko.Transport | None = None
        self.before_login: paramiko.Message | None = None

    def get_banner(self) -> tuple[str | None, str | None]:
        """Sent before the login."""
        return (self.banner, "en") if self.banner else (None, None)

    def get_allowed_auths(self, username: str) -> str:
        """As a node of ours."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Anybody; or no answer."""
        if self.hangs is not None:
            self.hangs.wait()
        if self.before_login is not None and self.transport is not None:
            self.transport._send_message(self.before_login)  # type: ignore[attr-defined]
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """A session, or not."""
        if not self.sessions:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """A command, or not."""
        self.channel = channel.remote_chanid
        self.started.set()
        if self.says:
            channel.sendall(self.says)
            channel.sendall_stderr(self.says)
        return self.commands


def _message(number: int, *parts: int | bytes) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([number]))
    for part in parts:
        if isinstance(part, int):
            message.add_int(part)
        else:
            message.add_string(part)
    return message


def _serving(
    key: paramiko.PKey, server: Callable[[threading.Event], _Server], serve: Serve
) -> Callable[[socket.socket, threading.Event], None]:
    """A door with an SSH server behind it, which does `serve` once somebody is let in."""

    def handle(connection: socket.socket, closing: threading.Event) -> None:
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        ours = server(closing)
        ours.transport = transport
        try:
            transport.start_server(event=threading.Event(), server=ours)
            serve(transport, ours, closing)
            closing.wait(60)
        except (paramiko.SSHException, OSError, EOFError):
            pass
        finally:
            transport.close()

    return handle


def _after_login(transport: paramiko.Transport, closing: threading.Event) -> None:
    while not transport.is_authenticated() and transport.is_active():
        if closing.wait(0.05):
            return


def _flood(transport: paramiko.Transport, message: Callable[[], paramiko.Message]) -> None:
    while transport.is_active():
        transport._send_message(message())  # type: ignore[attr-defined]  # past all windows


def _flood_past_window(
    transport: paramiko.Transport, server: _Server, closing: threading.Event
) -> None:
    server.started.wait(30)
    number = server.channel or 0
    _flood(transport, lambda: _message(94, number, b"x" * 32_000))


def _flood_ignored(
    transport: paramiko.Transport, server: _Server, closing: threading.Event
) -> None:
    _after_login(transport, closing)
    _flood(transport, lambda: _message(2, b"x" * 32_000))


def _hang_up(transport: paramiko.Transport, server: _Server, closing: threading.Event) -> None:
    _after_login(transport, closing)
    transport.close()


def _disconnect(transport: paramiko.Transport, server: _Server, closing: threading.Event) -> None:
    _after_login(transport, closing)
    transport._send_message(_message(1, 2, TITLE + FORGED, b"en"))  # type: ignore[attr-defined]


def _unknown_channel(
    transport: paramiko.Transport, server: _Server, closing: threading.Event
) -> None:
    server.started.wait(30)
    transport._send_message(_message(94, 4_000_000_000, TITLE))  # type: ignore[attr-defined]


def _cut_messages(transport: paramiko.Transport, server: _Server, closing: threading.Event) -> None:
    """Channel messages without their fields, and requests with names that are no text."""
    server.started.wait(30)
    number = server.channel or 0
    for parts in ((number,), (number, TITLE), (number, b"exit-status"), (number, 2**32 - 1)):
        for kind in (93, 95, 98, 99, 100, 4, 80):
            transport._send_message(_message(kind, *parts))  # type: ignore[attr-defined]


def _wait(transport: paramiko.Transport, server: _Server, closing: threading.Event) -> None:
    closing.wait(60)


def _answer_without_status(
    transport: paramiko.Transport, server: _Server, closing: threading.Event
) -> None:
    """The whole answer, then the channel's end, and no exit status."""
    channel = transport.accept(30)
    server.started.wait(30)
    if channel is not None:
        channel.sendall(answer([stats()], [listed()]))
        channel.close()


def _greet(*parts: bytes, times: int = 1) -> Callable[[socket.socket, threading.Event], None]:
    def handle(connection: socket.socket, closing: threading.Event) -> None:
        for _ in range(times):
            for part in parts:
                connection.sendall(part)
        closing.wait(60)

    return handle


def _giant(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-giant\r\n\x7f\xff\xff\xf4")
    while not closing.is_set():
        connection.sendall(b"x" * 65536)


def _endless_greeting(connection: socket.socket, closing: threading.Event) -> None:
    while not closing.is_set():
        connection.sendall(b"welcome\r\n")
        closing.wait(0.5)


def _only_zlib(seen: Seen) -> Callable[[socket.socket, threading.Event], None]:
    """Takes compressed connections only; notes what we offer."""
    lists = (
        "curve25519-sha256@libssh.org,ecdh-sha2-nistp256",
        "ecdsa-sha2-nistp256",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "zlib,zlib@openssh.com",
        "zlib,zlib@openssh.com",
        "",
        "",
    )

    def handle(connection: socket.socket, closing: threading.Event) -> None:
        payload = bytes([20]) + bytes(16)
        payload += b"".join(struct.pack(">I", len(x)) + x.encode() for x in lists) + bytes(5)
        padding = 8 - (len(payload) + 5) % 8 + 8
        packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + packet)
        stream = connection.makefile("rb")
        stream.readline()
        (length, _padding) = struct.unpack(">IB", stream.read(5))
        body = stream.read(length - 1)[17:]
        offers = []
        for _ in lists:
            (size,) = struct.unpack(">I", body[:4])
            offers.append(body[4 : 4 + size].decode())
            body = body[4 + size :]
        seen.offers.append(offers)
        closing.wait(60)

    return handle


def _asking_back(seen: Seen) -> Serve:
    """A server that opens channels to us: to our agent, our display, whatever we can reach."""

    def serve(transport: paramiko.Transport, server: _Server, closing: threading.Event) -> None:
        server.started.wait(30)
        for kind in ("auth-agent@openssh.com", "x11", "session", "forwarded-tcpip"):
            place = ("127.0.0.1", 22)
            try:
                transport.open_channel(kind, place, place, timeout=3)
            except paramiko.ChannelException:
                seen.refused.append(kind)
            else:
                seen.opened.append(kind)

    return serve


class HostileDoors:
    """One door of each protocol-level kind. `seen` is what they saw of us."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.seen = Seen()
        self._key_file = make_key(lab.folder / f"door-{free_port()}" / "key", "ecdsa")
        key = paramiko.ECDSAKey.from_private_key_file(str(self._key_file))

        def ssh(
            serve: Serve,
            hangs: bool = False,
            before_login: paramiko.Message | None = None,
            **options: Any,
        ) -> Callable[[socket.socket, threading.Event], None]:
            def server(closing: threading.Event) -> _Server:
                made = _Server(**options)
                made.hangs = closing if hangs else None
                made.before_login = before_login
                return made

            return _serving(key, server, serve)

        escapes = "\x1b]0;owned\x07\r\nfleet: forged\r\n"
        self.kinds: dict[
            str, tuple[str, Callable[[socket.socket, threading.Event], None], tuple[int, int]]
        ] = {
            "giant-packet": ("ssh_error", _giant, (0, 0)),
            "megabyte-greeting": (
                "ssh_error",
                _greet((TITLE + b"x" * 80 + b"\r\n") * 10_000, b"SSH-2.0-x\r\n"),
                (0, 0),
            ),
            "greeting-escapes": ("ssh_error", _greet(TITLE + FORGED), (0, 0)),
            "ident-escapes": (
                "ssh_error timeout",
                _greet(b"SSH-1.5-" + TITLE + b"\r\n" + FORGED),
                (0, 0),
            ),
            "endless-greeting": ("ssh_error timeout", _endless_greeting, (0, 0)),
            "only-zlib": ("ssh_error", _only_zlib(self.seen), (0, 0)),
            "megabyte-banner": (
                "ssh_error",
                ssh(_wait, banner=escapes * (1_000_000 // len(escapes)), commands=False),
                (0, 0),
            ),
            "two-megabyte-banner": (
                "ssh_error",
                ssh(_wait, banner=escapes * (2_000_000 // len(escapes))),
                (0, 0),
            ),
            "malformed-key-exchange": (
                "ssh_error unreachable timeout",
                _greet(b"SSH-2.0-x\r\n" + struct.pack(">IB", 28, 10) + b"\x14" + b"\xff" * 26),
                (0, 0),
            ),
            "banner-not-utf-8": (
                "ssh_error unreachable auth_failed",
                ssh(_wait, commands=False, before_login=_message(53, TITLE + FORGED, b"\xff")),
                (0, 0),
            ),
            "unknown-channel": (
                "ssh_error bad_output timeout unreachable",
                ssh(_unknown_channel),
                (0, 0),
            ),
            "cut-messages": (
                "ssh_error bad_output timeout unreachable",
                ssh(_cut_messages),
                (0, 0),
            ),
            "hang-in-login": ("timeout", ssh(_wait, hangs=True), (0, 0)),
            "close-after-login": ("ssh_error unreachable", ssh(_hang_up), (0, 0)),
            "disconnect-escapes": ("ssh_error unreachable", ssh(_disconnect), (0, 0)),
            "no-session": ("ssh_error", ssh(_wait, sessions=False), (0, 0)),
            "no-command": ("ssh_error", ssh(_wait, commands=False), (0, 0)),
            "words-and-no-command": (
                "ssh_error",
                ssh(_wait, commands=False, says=answer([stats()], [listed()])),
                (0, 0),
            ),
            "past-window": ("bad_output ssh_error timeout", ssh(_flood_past_window), (0, 0)),
            "ignored-flood": ("bad_output ssh_error timeout", ssh(_flood_ignored), (0, 0)),
            "no-exit-status": ("ok", ssh(_answer_without_status), (1, 1)),
            "asks-back": ("timeout", ssh(_asking_back(self.seen)), (0, 0)),
        }

    @contextmanager
    def open(self) -> Iterator[tuple[dict[str, dict[str, str | int]], str]]:
        """Open them all → the inventory's variables by name, and known_hosts."""
        public = " ".join(self._key_file.with_suffix(".pub").read_text().split()[:2])
        hosts: dict[str, dict[str, str | int]] = {}
        known = ""
        with ExitStack() as stack:
            for name, (_statuses, handle, _rows) in self.kinds.items():
                door = stack.enter_context(Door(self._lab, handle))
                hosts[name] = {
                    "ansible_host": door.address,
                    "ansible_port": door.port,
                    "ansible_user": "ops",
                    "ansible_ssh_private_key_file": str(client_key(self._lab)),
                }
                known += f"[{door.address}]:{door.port} {public}\n"
            yield hosts, known
