"""SSH by Fabric: log in, run the request on a raw channel, bring back the `Reply`.

Fabric's ways that cost or harm a fleet are set aside (host keys unchecked, a configuration read
per host, reader threads that poll, waits without end, a bastion's session for each host behind it);
what stays is its `Connection`.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import paramiko
from fabric import Config, Connection

from fleet.allowance import Allowance
from fleet.errors import HostError, UsageError
from fleet.inventory import Host
from fleet.key_text import KINDS
from fleet.status import Phase, Status
from fleet.transport import Ended, Reply, Request, Told
from fleet.transport.bastions import Bastion, OrderedTransport
from fleet.transport.channel import execute, open_session
from fleet.transport.host_keys import HostKeys, algorithms_of
from fleet.transport.keys import KeyRing
from fleet.transport.login import ShownKey, Visitor, close
from fleet.transport.route import Door, Route, Routes
from fleet.transport.session import Session
from fleet.transport.socket_watch import Watched, WatchedCommand, WatchedSocket, connect, resolve


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What all visits of a run share. Times are seconds.

    `connect_timeout_s` counts where the OpenSSH configuration names none, or, with `insist`,
    everywhere.
    """

    connect_timeout_s: float
    host_keys: HostKeys = field(default_factory=HostKeys)
    routes: Routes = field(default_factory=Routes)
    keys: KeyRing = field(default_factory=KeyRing)
    insist: bool = False


class Ssh:
    """Visits hosts over SSH. Everything that can be shared or done once is done here, once.

    To be closed, as by `with`: sessions to bastions stay open until then.
    """

    def __init__(self, hosts: Iterable[Host], options: SshOptions) -> None:
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # failures are values here
        self._options = options
        # One configuration for all; connections are built before any is opened, because a
        # configuration that is merged while another thread reads it loses its keys.
        self._config = Config(lazy=True, ssh_config=_NoSshConfig(), overrides={"user": ""})
        self._bastions: dict[tuple[Door, ...], Bastion] = {}
        self._passed: dict[tuple[Door, ...], dict[Phase, str]] = {}
        self._routes: dict[str, Route | HostError] = {}
        self._connections: dict[str, Connection] = {}
        for host in hosts:
            if host.connection != "ssh" or host.bad_config is not None:
                continue
            try:
                route = self._found(host)
            except HostError as error:
                self._routes[host.name] = error
                continue
            self._routes[host.name] = route
            self._connections[host.name] = self._connection(route.door, Session)
            for count in range(1, len(route.doors)):
                way = route.doors[:count]
                if way not in self._bastions:
                    self._bastions[way] = self._bastion(way)

    def _found(self, host: Host) -> Route:
        """The way to a host, its known_hosts files read: no visit has to, and none finds one that
        cannot be.
        """
        route = self._options.routes.to(host)
        try:
            for door in route.doors:
                self._options.host_keys.read(door.known_hosts)
        except UsageError as error:
            raise HostError(Status.BAD_CONFIG, Phase.HOST_KEY, str(error)) from None
        return route

    def __enter__(self) -> "Ssh":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sessions to bastions, the farthest first."""
        for _doors, bastion in sorted(self._bastions.items(), key=lambda one: -len(one[0])):
            bastion.close()

    def run(
        self,
        host: Host,
        request: Request,
        allowance: Allowance,
        told: Told = lambda _phase, _text: None,
    ) -> Reply:
        """Log in to the host and run the request; raises `HostError` where that is not possible.

        `told` hears of each step that succeeded.
        """
        started = time.monotonic()
        route = self._route(host)
        bastion = self._bastions.get(route.bastions)
        connection = self._connections[host.name]
        sock: Watched | None = None
        try:
            visitor = self._visitor(connection, route, allowance, told)
            with _turn(bastion, allowance):
                sock = visitor.log_in()
                connect_s = time.monotonic() - started
                sock.let_in()
                # sshd counts a login as under way for a moment after it was through; when it
                # opens a session, that is over.
                channel = open_session(connection, allowance)
            stdout, stderr, ended, exit_status = execute(channel, sock, request, allowance)
            run_s = time.monotonic() - started - connect_s
        except HostError as error:
            raise _blamed(error, bastion, route.via) from None
        finally:
            if sock is not None:
                close(connection, sock)
            _forget(connection)
        if ended is Ended.LOST and bastion is not None and (lost := bastion.lost) is not None:
            raise lost
        user = route.door.user or None
        return Reply(connect_s, run_s, exit_status, stdout, stderr, ended, route.via, user)

    def passed(self, host: Host) -> dict[str, dict[Phase, str]]:
        """The bastions on the way to a host, by name, with the steps to each that succeeded."""
        route = self._routes.get(host.name)
        doors = route.bastions if isinstance(route, Route) else ()
        return {door.name: dict(self._passed[doors[:n]]) for n, door in enumerate(doors, 1)}

    def shown_keys(self, host: Host, allowance: Allowance) -> tuple[ShownKey, ...]:
        """The host keys that a node has, one of each type; no login is needed.

        Raises `HostError` where the node cannot be reached.
        """
        route = self._route(host)
        bastion = self._bastions.get(route.bastions)
        try:
            visitor = self._visitor(self._connections[host.name], route, allowance)
            found = []
            for kind in KINDS:
                with _turn(bastion, allowance):
                    found.append(visitor.shown(algorithms_of(kind)))
        except HostError as error:
            raise _blamed(error, bastion, route.via) from None
        keys = tuple(key for key in found if key is not None)
        if not keys:
            detail = "the node shows no host key of a type that fleet knows"
            raise HostError(Status.SSH_ERROR, Phase.CONNECT, detail, route.via)
        return keys

    def _route(self, host: Host) -> Route:
        route = self._routes[host.name]
        if isinstance(route, HostError):
            raise route.anew()
        return route

    def _visitor(
        self,
        connection: Connection,
        route: Route,
        allowance: Allowance,
        told: Told = lambda _phase, _text: None,
    ) -> Visitor:
        """Who stands before the last door of a route."""
        door = route.door
        return Visitor(
            connection,
            door,
            self._dial(route, allowance, told),
            self._options.host_keys.of(door.known_as, door.host_keys, door.known_hosts),
            self._options.keys,
            allowance,
            self._timeout_s(door),
            told,
        )

    def _dial(self, route: Route, allowance: Allowance, told: Told) -> Callable[[], Watched]:
        """How the last door of a route is reached; its name is resolved here, once."""
        door, bastion = route.door, self._bastions.get(route.bastions)
        timeout_s = self._timeout_s(door)
        if bastion is not None:
            return lambda: bastion.dial(door.address, door.port, allowance, timeout_s)
        if door.proxy_command is not None:
            return lambda: _commanded(door, allowance)
        addresses = resolve(door.address, door.port, allowance.remaining_s(timeout_s))
        told(Phase.RESOLVE, ", ".join(dict.fromkeys(str(place[0]) for _family, place in addresses)))
        return lambda: connect(addresses, timeout_s, allowance)

    def _timeout_s(self, door: Door) -> float:
        if self._options.insist or door.connect_timeout_s is None:
            return self._options.connect_timeout_s
        return door.connect_timeout_s

    def _connection(self, door: Door, transport: type[paramiko.Transport]) -> Connection:
        return _Connection(
            door.address,
            user=door.user,
            port=door.port,
            config=self._config,
            gateway=False,
            forward_agent=False,
            connect_timeout=0,  # told when it is opened: what is left
            inline_ssh_env=True,
            # Not empty, or it would be a view of the shared configuration: to fill that in
            # merges all of it anew, under the other threads.
            connect_kwargs={"compress": False, "transport_factory": transport},
        )

    def _bastion(self, way: tuple[Door, ...]) -> Bastion:
        """The last of these doors, which is reached by way of the others."""
        door = way[-1]
        connection = self._connection(door, OrderedTransport)
        told = self._passed.setdefault(way, {}).__setitem__

        def open_(allowance: Allowance) -> tuple[Connection, Watched]:
            visitor = self._visitor(connection, Route(way), allowance, told)
            with _turn(self._bastions.get(way[:-1]), allowance):
                return connection, visitor.log_in()

        return Bastion(door, self._bastions.get(way[:-1]), open_, self._timeout_s(door))


class _Connection(Connection):  # type: ignore[misc]  # Fabric has no types
    """Fabric's. An attribute that its class does not name is taken for a setting: the shared
    configuration would be changed and merged anew for each connection.
    """

    inline_ssh_env = True


class _NoSshConfig(paramiko.SSHConfig):
    """Says nothing of any host: routes have been found before, and Fabric would ask per host."""

    def lookup(self, hostname: str) -> paramiko.SSHConfigDict:  # noqa: ARG002 - paramiko's name
        """Nothing."""
        return paramiko.SSHConfigDict()


def _forget(connection: Connection) -> None:
    """A run has a connection for each host, to its end: nothing of the visit stays with it."""
    connection.transport = None
    for name in ("sock", "auth_strategy"):
        connection.connect_kwargs.pop(name, None)


def _turn(bastion: Bastion | None, allowance: Allowance) -> AbstractContextManager[None]:
    """A turn at logging in by way of a bastion; where there is none, nobody has to wait."""
    return nullcontext() if bastion is None else bastion.turn(allowance)


def _blamed(error: HostError, bastion: Bastion | None, via: str | None) -> HostError:
    """Whose failure it is: that of a bastion which is gone, or the host's own, behind it."""
    lost = bastion.lost if bastion is not None else None
    return lost or error.anew(via)


def _commanded(door: Door, allowance: Allowance) -> WatchedSocket:
    """The connection that a ProxyCommand makes."""
    try:
        sock = WatchedCommand(door.proxy_command or "")
    except OSError as error:
        detail = f"the ProxyCommand cannot be run: {error.strerror or error}"
        raise HostError(Status.UNREACHABLE, Phase.CONNECT, detail) from None
    allowance.on_expire(sock.hang_up)
    return sock
