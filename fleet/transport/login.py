"""One door: negotiate, check the host key, authenticate. Errors of paramiko and of the socket get
our words here, in `_told`.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import paramiko
from fabric import Connection
from paramiko.auth_strategy import AuthResult, AuthSource, AuthStrategy
from paramiko.ssh_exception import AuthenticationException, IncompatiblePeer, SSHException

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.status import Phase, Status
from fleet.transport import Told
from fleet.transport.host_keys import Match, Trust, algorithms_of
from fleet.transport.keys import Agent, KeyRing
from fleet.transport.route import Door
from fleet.transport.session import Session
from fleet.transport.socket_watch import Watched

RETRY_AFTER_S = (0.3, 1.5)
"""Bounds of the pause before the retry after a reset, doubled each time."""

SHED_RETRIES = 3
"""How often a door is tried again that says it sheds load; who only hangs up is tried once more."""

KEY_ALGORITHMS: tuple[str, ...] = tuple(
    paramiko.Transport._preferred_keys  # type: ignore[attr-defined]  # not public
)
_SHED = b"Exceeded MaxStartups"
_TURNED_AWAY = (_SHED, b"Not allowed at this time")

Dial = Callable[[], Watched]
"""Makes a connection to a door, that nothing has been said on."""


class Reset(Exception):
    """The connection ended before the login, as it does when sshd sheds load; `shed` where it said
    so (`MaxStartups`: who comes then is turned away at random).
    """

    def __init__(self, text: str, shed: bool = False) -> None:
        super().__init__(text)
        self.shed = shed


class _WrongKey(Exception):
    """The node showed a key that is not among its known ones; another type may be."""

    def __init__(self, kind: str, error: HostError) -> None:
        super().__init__(kind)
        self.kind, self.error = kind, error


class _Shown(Exception):
    """A key that was only to be looked at."""

    def __init__(self, kind: str, blob: bytes, fingerprint: str) -> None:
        super().__init__(kind)
        self.key = ShownKey(kind, blob, fingerprint)


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A host key as a node showed it: its type, its bytes, and its fingerprint (`SHA256:…`)."""

    kind: str
    blob: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands before a door, with what: a connection of Fabric's, and how to reach the door."""

    connection: Connection
    door: Door
    dial: Dial
    trust: Trust
    ring: KeyRing
    allowance: Allowance
    timeout_s: float
    told: Told = field(default=lambda _phase, _text: None)

    def log_in(self) -> Watched:
        """Try until the door opens or is known to be shut: after a reset again, after a wrong key
        with that key's type left out. Raises `HostError`.
        """
        allowed = self.trust.algorithms or frozenset(KEY_ALGORITHMS)
        wrong: HostError | None = None
        resets = 0
        while True:
            sock: Watched | None = None
            try:
                sock = self.dial()
                self.told(Phase.CONNECT, _way(self.door))
                self._open(sock, allowed)
                opened, sock = sock, None
                return opened
            except _WrongKey as shown:
                wrong = wrong or shown.error
                allowed -= set(algorithms_of(shown.kind))
                if not allowed:
                    raise wrong from None
            except (Reset, ConnectionResetError) as reset:
                self._wait_after(reset, resets)
                resets += 1
            except IncompatiblePeer as error:
                if "host key" in str(error) and (wrong or self.trust.algorithms):
                    raise wrong or _no_known_type(self.trust) from None
                raise HostError(Status.SSH_ERROR, Phase.CONNECT, str(error)) from None
            finally:
                if sock is not None:
                    close(self.connection, sock)

    def shown(self, algorithms: tuple[str, ...]) -> ShownKey | None:
        """The key that the node shows when these are all that we take; None where it has none.

        Nothing is sent after the key exchange. Raises `HostError`.
        """
        resets = 0
        while True:
            sock: Watched | None = None
            try:
                sock = self.dial()
                self._open(sock, frozenset(algorithms), look_only=True)
            except _Shown as shown:
                return shown.key
            except IncompatiblePeer as error:
                if "host key" in str(error):
                    return None
                raise HostError(Status.SSH_ERROR, Phase.CONNECT, str(error)) from None
            except (Reset, ConnectionResetError) as reset:
                self._wait_after(reset, resets)
                resets += 1
            finally:
                if sock is not None:
                    close(self.connection, sock)

    def _wait_after(self, reset: Reset | ConnectionResetError, before: int) -> None:
        """The pause before one more attempt after a reset, and so many before it; raises
        `HostError` after the last.
        """
        most = SHED_RETRIES if isinstance(reset, Reset) and reset.shed else 1
        pause_s = random.uniform(*RETRY_AFTER_S) * 2**before  # noqa: S311 - no secret
        if before >= most or self.allowance.remaining_s() <= pause_s:
            raise HostError(Status.UNREACHABLE, Phase.CONNECT, str(reset)) from None
        time.sleep(pause_s)

    def _open(self, sock: Watched, allowed: frozenset[str], look_only: bool = False) -> None:
        """One attempt: negotiate, check the host key, authenticate."""
        policy = _Check(self.door.known_as, self.trust, self.told, look_only)
        login = _Login(self)
        self.connection.client.set_missing_host_key_policy(policy)
        timeout_s = self.allowance.remaining_s(self.timeout_s)
        self.connection.connect_timeout = max(0.001, timeout_s)
        self.connection.connect_kwargs.update(
            sock=sock,
            auth_strategy=login,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
            channel_timeout=timeout_s,
            disabled_algorithms={"keys": [name for name in KEY_ALGORITHMS if name not in allowed]},
        )
        started = time.monotonic()
        try:
            self.connection.open()
        except (HostError, _WrongKey, _Shown, IncompatiblePeer):
            raise
        except Exception as error:  # noqa: BLE001 - paramiko raises here what its reader met in
            # the node's bytes: UnicodeDecodeError, IndexError, struct.error, whatever they call for
            waited_s = time.monotonic() - started
            attempt = _Attempt(sock, policy.checked, login, waited_s, self.allowance)
            raise _told(error, attempt) from None
        finally:
            login.agent.close()
        self.told(Phase.LOGIN, f"as {self.door.user} by {login.accepted}")


class _Login(AuthStrategy):
    """Offers one key after the other. Nothing but keys: a password would have to lie somewhere."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._visitor = visitor
        self.agent = Agent()
        self.offered = 0
        self.accepted = ""
        self.turned_out = False

    @property
    def door(self) -> Door:
        """The door that it stands before."""
        return self._visitor.door

    def get_sources(self) -> Iterator[AuthSource]:
        """None of paramiko's: see `authenticate`."""
        return iter(())

    def authenticate(self, transport: paramiko.Transport) -> AuthResult:
        """Log in, or raise what the last key came to."""
        door = self._visitor.door
        last: SSHException | None = None
        for key in self._visitor.ring.offers(door, self.agent):
            self.offered += 1
            try:
                further = transport.auth_publickey(door.user, key)
            except (paramiko.BadAuthenticationType, AuthenticationException) as error:
                last = error
                if not transport.is_active():
                    self.turned_out = True
                    break
                continue
            except SSHException as error:
                if "key cannot be used for signing" not in str(error):
                    raise
                last = AuthenticationException("the agent does not sign with its key")
                if not transport.is_active():  # it was to sign in the middle of the protocol
                    break
                continue
            if further:  # a second factor, which nobody is there to give
                raise AuthenticationException(f"the server asks for more: {', '.join(further)}")
            self.accepted = f"{key.get_name()} {key.fingerprint}"
            return AuthResult(strategy=self)
        raise last or AuthenticationException("no key was offered")


class _Check(paramiko.MissingHostKeyPolicy):
    """Asked by paramiko for every host, because no known hosts are loaded there."""

    def __init__(self, name: str, trust: Trust, told: Told, look_only: bool) -> None:
        self._name = name
        self._trust = trust
        self._told = told
        self._look_only = look_only
        self.checked = False

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko asks with it
        hostname: str,  # noqa: ARG002 - as above; an alias may stand for it
        key: paramiko.PKey,
    ) -> None:
        """Refuse any key that is not known; nothing of ours has been sent to the host yet."""
        kind, blob, fingerprint = key.get_name(), key.asbytes(), key.fingerprint
        if self._look_only:
            raise _Shown(kind, blob, fingerprint)
        shown = f"{kind} {fingerprint}"
        match self._trust.match(kind, blob, fingerprint):
            case Match.TRUSTED:
                self.checked = True
                self._told(Phase.HOST_KEY, f"{shown}, by {self._trust.source(blob, fingerprint)}")
            case Match.UNKNOWN:
                detail = f"{self._name} shows {shown}, and no key is known for it"
                if self._trust.authorities:
                    detail += (
                        "; its @cert-authority line cannot be used, for fleet does not read host "
                        "certificates: record the key itself (fleet trust)"
                    )
                raise HostError(Status.HOST_KEY_UNKNOWN, Phase.HOST_KEY, detail)
            case Match.REVOKED:
                detail = f"{self._name} shows {shown}, which is marked @revoked"
                raise HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail)
            case Match.CHANGED:
                detail = f"{self._name} shows {shown}, which is not the key known for it"
                raise _WrongKey(kind, HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail))


def _way(door: Door) -> str:
    if door.proxy_command is not None:
        return f"by the ProxyCommand {door.proxy_command}"
    return f"{door.address} port {door.port}"


def close(connection: Connection, sock: Watched) -> None:
    """End a connection, however far it came, and all that paramiko started for it."""
    transport = connection.client.get_transport()
    sock.flush()
    sock.hang_up()
    connection.client.close()
    sock.close()
    if transport is not None:
        transport.packetizer.complete_handshake()  # its timer would hold up the process's end
    if isinstance(transport, Session):
        transport.let_go()


def _no_known_type(trust: Trust) -> HostError:
    kinds = ", ".join(sorted({kind for kind, _blob in trust.keys}))
    detail = f"the node shows no key of a known type ({kinds})"
    return HostError(Status.HOST_KEY_CHANGED, Phase.HOST_KEY, detail)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known of a login that failed: whether the host key was accepted, so that it was
    the login itself, and what was offered then.
    """

    sock: Watched
    checked: bool
    login: "_Login"
    waited_s: float
    allowance: Allowance


def _told(error: Exception, attempt: _Attempt) -> HostError | Reset:
    """The one place where errors of paramiko and of the socket get our words."""
    sock, checked, waited_s = attempt.sock, attempt.checked, attempt.waited_s
    phase = Phase.LOGIN if checked else Phase.CONNECT
    text = str(error) or type(error).__name__
    greeting = sock.greeting[:80]
    if sock.flooded:
        what = "more data than a login takes" if sock.speaks_ssh else "a greeting without end"
        return HostError(Status.SSH_ERROR, phase, f"{what}: {greeting!r}")
    if greeting.startswith(_TURNED_AWAY):
        return Reset(f"turned away before the login: {greeting!r}", greeting.startswith(_SHED))
    ended = sock.ended or attempt.login.turned_out or isinstance(error, EOFError | ConnectionError)
    if not sock.speaks_ssh and (b"\n" in sock.greeting or (greeting and ended)):
        return HostError(Status.SSH_ERROR, phase, f"no SSH server: it says {greeting!r}")
    if ended and not attempt.allowance.expired:
        if checked and attempt.login.offered > 1:
            detail = (
                "the server ended the login (too many of our keys were tried before the right one)"
            )
            return HostError(Status.AUTH_FAILED, phase, detail)
        said = sock.last_words()
        if said:
            return HostError(Status.UNREACHABLE, phase, f"the ProxyCommand ended: {said!r}")
        return Reset("the connection was ended before the login")
    cut_off = attempt.allowance.expired and ended  # by us: the server has refused nothing
    refused = isinstance(error, AuthenticationException) and "timeout" not in text.lower()
    if refused and not cut_off:
        return HostError(Status.AUTH_FAILED, phase, f"no key of ours was accepted ({text})")
    if not sock.speaks_ssh:
        said = f"only {greeting!r}" if greeting else "nothing"
        whose = "the port took the connection and said"
        if attempt.login.door.proxy_command is not None:
            whose = "the ProxyCommand said"
        detail = f"{whose} {said} for {waited_s:.0f} s"
        return HostError(Status.TIMEOUT, phase, detail)
    if "No existing session" in text or "timeout" in text.lower() or attempt.allowance.expired:
        step = "the login" if checked else "the key exchange"
        return HostError(Status.TIMEOUT, phase, f"{step} was not through after {waited_s:.0f} s")
    return HostError(Status.SSH_ERROR, phase, text)
