"""SSH by Fabric: log in, run the request on a raw channel, bring back the `Reply`.

Fabric's ways that cost or harm a fleet are set aside (host keys unchecked, a configuration read
per host, reader threads that poll, waits without end); what stays is its `Connection`. Errors of
paramiko and of the socket are mapped in one place, `_told`.
"""

import getpass
import logging
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import paramiko
from fabric import Config, Connection
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import AuthenticationException, IncompatiblePeer, SSHException

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.status import Phase, Status
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, Ended, Reply, Request
from fleet.transport.host_keys import KnownHosts, Match, Trust, algorithms_of, pinned
from fleet.transport.socket_watch import Address, WatchedSocket, connect, resolve

WINDOW_BYTES = 128 * 1024
"""How much a node may send ahead of our reading; paramiko's own 2 MiB would be held per host."""

RETRY_AFTER_S = (0.3, 1.5)
"""Bounds of the pause before the one retry after a reset (sshd's MaxStartups drops look so)."""

_CHUNK_BYTES = 32 * 1024
_KEY_ALGORITHMS = paramiko.Transport._preferred_keys  # type: ignore[attr-defined]  # not public
_TURNED_AWAY = (b"Exceeded MaxStartups", b"Not allowed at this time")


class _Reset(Exception):
    """The connection ended before the login, as it does when sshd sheds load."""


class _WrongKey(Exception):
    """The node showed a key that is not among its known ones; another type may be."""

    def __init__(self, kind: str, error: HostError) -> None:
        super().__init__(kind)
        self.kind, self.error = kind, error


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What all visits of a run share. Times are seconds."""

    connect_timeout_s: float
    known_hosts: KnownHosts


class Ssh:
    """Visits hosts over SSH. Everything that can be shared or done once is done here, once."""

    def __init__(self, hosts: Iterable[Host], options: SshOptions) -> None:
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # failures are values here
        self._options = options
        hosts = [host for host in hosts if host.connection == "ssh" and host.bad_config is None]
        self._keys = _load_keys({host.key_file for host in hosts if host.key_file})
        # One configuration for all; connections are built before any is opened, because a
        # configuration that is merged while another thread reads it loses its keys.
        config = Config(lazy=True, ssh_config=_NoSshConfig(), overrides={"user": _user()})
        self._connections: Mapping[str, Connection] = {
            host.name: Connection(
                host.address,
                user=host.user,
                port=host.port,
                config=config,
                gateway=False,
                forward_agent=False,
                # Not empty, or it would be a view of the shared configuration: to fill that in
                # merges all of it anew, under the other threads.
                connect_kwargs={"allow_agent": True},
            )
            for host in hosts
        }

    def run(self, host: Host, request: Request, allowance: Allowance) -> Reply:
        """Log in to the host and run the request; raises `HostError` where that is not possible."""
        started = time.monotonic()
        key = self._keys.get(host.key_file or "")
        if isinstance(key, HostError):
            raise key
        timeout_s = self._options.connect_timeout_s
        addresses = resolve(host.address, host.port, allowance.remaining_s(timeout_s))
        if host.host_keys:
            trust = pinned(host.host_keys)
        else:
            trust = self._options.known_hosts.trust(host.address, host.port)
        connection = self._connections[host.name]
        sock: WatchedSocket | None = None
        try:
            sock = self._login(connection, addresses, key, trust, allowance)
            connect_s = time.monotonic() - started
            sock.let_in()
            stdout, stderr, ended, exit_status = _execute(connection, sock, request, allowance)
            run_s = time.monotonic() - started - connect_s
        finally:
            if sock is not None:
                _close(connection, sock)
        return Reply(connect_s, run_s, exit_status, stdout, stderr, ended)

    def _login(
        self,
        connection: Connection,
        addresses: list[Address],
        key: paramiko.PKey | None,
        trust: Trust,
        allowance: Allowance,
    ) -> WatchedSocket:
        """Try until the door opens or is known to be shut: a reset once more, a wrong key again
        with that key's type left out.
        """
        allowed = trust.algorithms or frozenset(_KEY_ALGORITHMS)
        wrong: HostError | None = None
        retried = False
        while True:
            sock: WatchedSocket | None = None
            try:
                sock = connect(addresses, self._options.connect_timeout_s, allowance)
                self._open(connection, sock, key, trust, allowed, allowance)
                opened, sock = sock, None
                return opened
            except _WrongKey as shown:
                wrong = wrong or shown.error
                allowed -= set(algorithms_of(shown.kind))
                if not allowed:
                    raise wrong from None
            except (_Reset, ConnectionResetError) as reset:
                pause_s = random.uniform(*RETRY_AFTER_S)  # noqa: S311 - spreads retries, no secret
                if retried or allowance.remaining_s() <= pause_s:
                    raise HostError(Status.UNREACHABLE, Phase.CONNECT, str(reset)) from None
                retried = True
                time.sleep(pause_s)
            except IncompatiblePeer as error:
                if "host key" in str(error) and (wrong or trust.algorithms):
                    raise wrong or _no_known_type(trust) from None
                raise HostError(Status.SSH_ERROR, Phase.CONNECT, str(error)) from None
            finally:
                if sock is not None:
                    _close(connection, sock)

    def _open(
        self,
        connection: Connection,
        sock: WatchedSocket,
        key: paramiko.PKey | None,
        trust: Trust,
        allowed: frozenset[str],
        allowance: Allowance,
    ) -> None:
        """One attempt: negotiate, check the host key, authenticate."""
        policy = _Check(trust)
        connection.client.set_missing_host_key_policy(policy)
        timeout_s = allowance.remaining_s(self._options.connect_timeout_s)
        connection.connect_kwargs.update(
            sock=sock,
            pkey=key,
            allow_agent=key is None,
            look_for_keys=key is None,
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
            channel_timeout=timeout_s,
            disabled_algorithms={"keys": [name for name in _KEY_ALGORITHMS if name not in allowed]},
        )
        started = time.monotonic()
        try:
            connection.open()
        except (HostError, _WrongKey, IncompatiblePeer):
            raise
        except (SSHException, OSError, EOFError) as error:
            waited_s = time.monotonic() - started
            attempt = _Attempt(sock, policy.checked, key is None, waited_s, allowance)
            raise _told(error, attempt) from None


class _NoSshConfig(paramiko.SSHConfig):
    """Says nothing of any host: OpenSSH's configuration is not read, and not asked per host."""

    def lookup(self, hostname: str) -> paramiko.SSHConfigDict:  # noqa: ARG002 - paramiko's name
        """Nothing."""
        return paramiko.SSHConfigDict()


def _user() -> str:
    """Who logs in where the inventory names nobody: whoever runs us. Empty for a user id without
    a name, which no login takes.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _close(connection: Connection, sock: WatchedSocket) -> None:
    """End a connection, however far it came, and all that paramiko started for it."""
    transport = connection.client.get_transport()
    sock.hang_up()
    connection.client.close()
    if transport is not None:
        transport.packetizer.complete_handshake()  # its timer would hold up the process's end


class _Check(paramiko.MissingHostKeyPolicy):
    """Asked by paramiko for every host, because no known hosts are loaded there."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.checked = False

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko asks with it
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        """Refuse any key that is not known; nothing of ours has been sent to the host yet."""
        kind, shown = key.get_name(), f"{key.get_name()} {key.fingerprint}"
        match self._trust.match(kind, key.asbytes(), key.fingerprint):
            case Match.TRUSTED:
                self.checked = True
            case Match.UNKNOWN:
                detail = f"{hostname} shows {shown}, and no key is known for it"
                if self._trust.authorities:
                    detail += " (@cert-authority lines are not read)"
                raise HostError(Status.HOST_KEY_UNKNOWN, Phase.HOST_KEY, detail)
            case Match.REVOKED:
                detail = f"{hostname} shows {shown}, which is marked @revoked"
                raise HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail)
            case Match.CHANGED:
                detail = f"{hostname} shows {shown}, which is not the key known for it"
                raise _WrongKey(kind, HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail))


def _no_known_type(trust: Trust) -> HostError:
    kinds = ", ".join(sorted({kind for kind, _blob in trust.keys}))
    detail = f"the node shows no key of a known type ({kinds})"
    return HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known of a login that failed: whether the host key was accepted, so that it was
    the login itself, and whether any key of ours at hand was offered, not just a named one.
    """

    sock: WatchedSocket
    checked: bool
    many_keys: bool
    waited_s: float
    allowance: Allowance


def _told(error: Exception, attempt: _Attempt) -> HostError | _Reset:
    """The one place where errors of paramiko and of the socket get our words."""
    sock, checked, waited_s = attempt.sock, attempt.checked, attempt.waited_s
    phase = Phase.LOGIN if checked else Phase.CONNECT
    text = str(error) or type(error).__name__
    greeting = sock.greeting[:80]
    if sock.flooded:
        what = "more data than a login takes" if sock.speaks_ssh else "a greeting without end"
        return HostError(Status.SSH_ERROR, phase, f"{what}: {greeting!r}")
    if greeting.startswith(_TURNED_AWAY):
        return _Reset(f"turned away before the login: {greeting!r}")
    ended = sock.ended or isinstance(error, EOFError | ConnectionError)
    if not sock.speaks_ssh and (b"\n" in greeting or (greeting and ended)):
        return HostError(Status.SSH_ERROR, phase, f"no SSH server: it says {greeting!r}")
    if ended and not attempt.allowance.expired:
        if checked and attempt.many_keys:
            detail = (
                "the server ended the login (too many of our keys were tried before the right one)"
            )
            return HostError(Status.AUTH_FAILED, phase, detail)
        return _Reset("the connection was ended before the login")
    if isinstance(error, paramiko.PasswordRequiredException):
        return HostError(Status.AUTH_FAILED, phase, "a private key of ours is encrypted")
    if isinstance(error, AuthenticationException) and "timeout" not in text.lower():
        return HostError(Status.AUTH_FAILED, phase, f"no key of ours was accepted ({text})")
    if "No authentication methods" in text:
        return HostError(Status.AUTH_FAILED, phase, "there is no private key to log in with")
    if not sock.speaks_ssh:
        said = f"only {greeting!r}" if greeting else "nothing"
        detail = f"the port took the connection and said {said} for {waited_s:.0f} s"
        return HostError(Status.TIMEOUT, phase, detail)
    if "No existing session" in text or "timeout" in text.lower() or attempt.allowance.expired:
        step = "the login" if checked else "the key exchange"
        return HostError(Status.TIMEOUT, phase, f"{step} was not through after {waited_s:.0f} s")
    return HostError(Status.SSH_ERROR, phase, text)


def _execute(
    connection: Connection, sock: WatchedSocket, request: Request, allowance: Allowance
) -> tuple[bytearray, bytearray, Ended, int | None]:
    """Run the request on a channel of its own, without a terminal, and read until it ends."""
    try:
        channel = connection.transport.open_session(
            window_size=WINDOW_BYTES, timeout=max(0.001, allowance.remaining_s())
        )
        channel.settimeout(1.0)
        channel.exec_command(request(allowance.remaining_s()))
        channel.shutdown_write()  # a login script that reads would wait for us
    except (SSHException, OSError, EOFError) as error:
        if allowance.expired:
            detail = "no session was opened in time"
            raise HostError(Status.TIMEOUT, Phase.PROBE, detail) from None
        text = str(error) or type(error).__name__
        detail = f"the server opened no session for a command ({text})"
        raise HostError(Status.SSH_ERROR, Phase.PROBE, detail) from None
    stdout, stderr = bytearray(), bytearray()
    try:
        ended = _read(channel, stdout, stderr, allowance)
    except (SSHException, OSError, EOFError):
        ended = Ended.TIMEOUT if allowance.expired else Ended.LOST
    if sock.flooded:
        return stdout, stderr, Ended.FLOOD, None
    if ended is not Ended.EXIT:
        return stdout, stderr, ended, None
    channel.status_event.wait(allowance.remaining_s(1.0))
    if channel.exit_status >= 0:
        return stdout, stderr, Ended.EXIT, channel.exit_status
    # Without a status the command was killed there, or the connection is gone.
    return stdout, stderr, Ended.LOST if sock.ended else Ended.EXIT, None


def _read(
    channel: paramiko.Channel, stdout: bytearray, stderr: bytearray, allowance: Allowance
) -> Ended:
    """Both streams until the channel ends, the time is up, or there is too much."""
    while True:
        # Asked before we read: data may come in between.
        done = channel.exit_status_ready()
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
        if chunk == b"" or (chunk is None and done):
            return Ended.EXIT


def _load_keys(paths: Iterable[str]) -> dict[str, paramiko.PKey | HostError]:
    """Parse each private key once; what cannot be used fails the hosts that name it."""
    keys: dict[str, paramiko.PKey | HostError] = {}
    for path in paths:
        try:
            keys[path] = paramiko.PKey.from_path(path)
        except (OSError, ValueError, TypeError, SSHException, UnknownKeyType) as error:
            reason = getattr(error, "strerror", None) or "not a private key that can be read"
            if isinstance(error, paramiko.PasswordRequiredException | TypeError):
                reason = "it is encrypted"
            detail = f"private key {path}: {reason}"
            keys[path] = HostError(Status.AUTH_FAILED, Phase.LOGIN, detail)
    return keys
