"""One command on a raw channel, without a terminal: what it says, within time and bounds."""

from contextlib import suppress

import paramiko
from fabric import Connection
from paramiko.ssh_exception import SSHException

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.status import Phase, Status
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, Ended, Request
from fleet.transport.session import Session
from fleet.transport.socket_watch import Watched

WINDOW_BYTES = 128 * 1024
"""How much a node may send ahead of our reading; paramiko's own 2 MiB would be held per host."""

_CHUNK_BYTES = 32 * 1024

GATHER_S = 0.03
"""How long a burst of a node's small packets is waited for."""


def open_session(connection: Connection, allowance: Allowance) -> paramiko.Channel:
    """A channel for a command. Raises `HostError`."""
    try:
        channel: paramiko.Channel = connection.transport.open_session(
            window_size=WINDOW_BYTES, timeout=max(0.001, allowance.remaining_s())
        )
    except Exception as error:  # noqa: BLE001 - see fleet.transport.login: the node chose it
        raise _no_session(error, allowance) from None
    channel.settimeout(0.0)
    return channel


def _session(channel: paramiko.Channel) -> Session:
    session = channel.get_transport()
    assert isinstance(session, Session)  # noqa: S101 - as all connections to hosts are
    return session


def _no_session(error: Exception, allowance: Allowance) -> HostError:
    if allowance.expired:
        return HostError(Status.TIMEOUT, Phase.PROBE, "no session was opened in time")
    text = str(error) or type(error).__name__
    detail = f"the server opened no session for a command ({text})"
    return HostError(Status.SSH_ERROR, Phase.PROBE, detail)


def execute(
    channel: paramiko.Channel, sock: Watched, request: Request, allowance: Allowance
) -> tuple[bytearray, bytearray, Ended, int | None]:
    """Run the request on a channel of its own, without a terminal, and read until it ends."""
    command = request(allowance.remaining_s())
    stdout, stderr = bytearray(), bytearray()
    broken: Exception = SSHException("it was refused")
    try:
        _session(channel).start(channel, command)
        ended = read(channel, stdout, stderr, allowance)
    except Exception as error:  # noqa: BLE001 - see fleet.transport.login: the node chose it
        ended, broken = Ended.TIMEOUT if allowance.expired else Ended.LOST, error
    if not (sock.flooded or _began(channel)):  # whatever was said beside that
        raise _no_session(broken, allowance)
    if sock.flooded:
        return stdout, stderr, Ended.FLOOD, None
    if ended is not Ended.EXIT:
        return stdout, stderr, ended, None
    with suppress(SSHException, OSError, EOFError):  # it ended; the status may have come before
        _session(channel).pump(channel.status_event.is_set, allowance.remaining_s(1.0))
    # Without a status the command was killed there, or the connection is gone; with one, there may
    # have been more to come.
    gone = sock.ended or not channel.get_transport().is_active()
    if channel.exit_status >= 0 and (channel.eof_received or not gone):
        return stdout, stderr, Ended.EXIT, channel.exit_status
    return stdout, stderr, Ended.LOST if gone else Ended.EXIT, None


def _began(channel: paramiko.Channel) -> bool:
    """Whether the node has said that it runs the command."""
    began: bool = channel.event_ready
    return began


def read(
    channel: paramiko.Channel, stdout: bytearray, stderr: bytearray, allowance: Allowance
) -> Ended:
    """Both streams until the channel ends, the time is up, or there is too much.

    Raises what ended the session before that.
    """
    session = _session(channel)

    def has_news() -> bool:
        ended = channel.eof_received or channel.closed
        return channel.recv_ready() or channel.recv_stderr_ready() or bool(ended)

    broken: Exception | None = None
    while True:
        # Asked before we read: data may come in between.
        done = channel.exit_status_ready()
        if not (has_news() or channel.closed):
            try:
                session.pump(has_news, min(1.0, allowance.remaining_s()), GATHER_S)
            except (SSHException, OSError, EOFError, ValueError) as error:
                broken = error  # after what came before it
        try:
            chunk = channel.recv(_CHUNK_BYTES)
        except TimeoutError:
            chunk = None
        while channel.recv_stderr_ready() and not allowance.expired:
            stderr += channel.recv_stderr(_CHUNK_BYTES)[: MAX_STDERR_BYTES - len(stderr)]
        if chunk:
            if not allowance.take(len(chunk)):
                return Ended.TIMEOUT
            stdout += chunk[: MAX_STDOUT_BYTES - len(stdout)]
            if len(stdout) >= MAX_STDOUT_BYTES:
                return Ended.FLOOD
        if allowance.expired:
            return Ended.TIMEOUT
        # No more comes: the stream's end, or, where something that the login started holds the
        # stream open, a silent second after the command's end.
        if chunk == b"" and broken is not None and not channel.eof_received:
            raise broken
        if chunk == b"" or (chunk is None and done):
            return Ended.EXIT
