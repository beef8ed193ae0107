"""The way to a host: which doors stand on it, and which key opens each.

The inventory speaks first, then the options of the command line, then the user's OpenSSH
configuration, as `ssh ADDRESS` would read it; then OpenSSH's defaults.
"""

import os
import re
import shlex
from dataclasses import dataclass, replace

from fleet.errors import HostError, UsageError
from fleet.hop import Hop
from fleet.inventory import Host, Setting
from fleet.inventory.jumps import hop_host
from fleet.status import Phase, Status
from fleet.transport.client_config import (
    ClientConfig,
    Said,
    expanded,
    for_shell,
    tokens_of,
    user_name,
)
from fleet.transport.host_keys import lookup_name

MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Door:
    """One sshd to log in to: a bastion, or the host itself.

    `key_files` are tried in their order; `or_agent` says whether the agent's keys, and the user's
    usual ones, come after them. `known_as` is the name in known_hosts; `known_hosts` are the files
    that replace the user's, None where they do not. `proxy_command` is expanded; it makes the
    connection. `needs_all_keys` says that a key file which cannot be used is an error.
    """

    name: str
    address: str
    port: int
    user: str
    key_files: tuple[str, ...] = ()
    or_agent: bool = True
    needs_all_keys: bool = False
    host_keys: tuple[str, ...] = ()
    known_as: str = ""
    known_hosts: tuple[str, ...] | None = None
    proxy_command: str | None = None
    connect_timeout_s: float | None = None

    @property
    def hop(self) -> Hop:
        """What a person would call it."""
        return Hop(self.name, self.address, self.port, self.user, self.key_files)


@dataclass(frozen=True, slots=True)
class Route:
    """The doors on the way to a host, in order; the last one is its own."""

    doors: tuple[Door, ...]

    @property
    def bastions(self) -> tuple[Door, ...]:
        """Those before the host's own."""
        return self.doors[:-1]

    @property
    def door(self) -> Door:
        """The host's own."""
        return self.doors[-1]

    @property
    def via(self) -> str | None:
        """The name of the bastion nearest to the host."""
        return self.doors[-2].name if len(self.doors) > 1 else None


class Routes:
    """Finds routes. `ssh_config` is `--ssh-config`: a file, `none`, or None for the usual ones."""

    def __init__(self, ssh_config: str | None = None) -> None:
        self._configs: dict[str | None, ClientConfig] = {None: ClientConfig.named(ssh_config)}
        self._user = user_name()

    def to(self, host: Host) -> Route:
        """The way to a host; raises `HostError` (`bad_config`) where it cannot be told."""
        try:
            return Route(self._doors(host, 0))
        except (ValueError, UsageError) as error:
            raise HostError(Status.BAD_CONFIG, Phase.CONNECT, str(error)) from None

    def not_carried(self, host: Host) -> tuple[str, ...]:
        """What the OpenSSH configuration says of a host and we do not follow."""
        return self._config(host).not_carried(host.address, host.user)

    def explain(self, host: Host) -> tuple[Setting, ...]:
        """What the OpenSSH configuration adds to what the inventory says."""
        config = self._config(host)
        said = config.of(host.address, host.user)
        origin = ", ".join(config.files)
        door = self.to(host).door
        found = []
        for name, keyword, silent, value in (
            ("address", "hostname", True, door.address),
            ("port", "port", host.port is None, str(door.port)),
            ("user", "user", host.user is None, door.user),
            ("key_file", "identityfile", host.key_file is None, ", ".join(door.key_files)),
            ("host_key_alias", "hostkeyalias", host.host_key_alias is None, door.known_as),
            ("jumps", "proxyjump", host.jumps is None, said.text("proxyjump")),
            ("proxy_command", "proxycommand", host.proxy_command is None, door.proxy_command),
            ("known_hosts", "userknownhostsfile", True, ", ".join(door.known_hosts or ())),
            ("connect_timeout", "connecttimeout", True, said.text("connecttimeout")),
        ):
            if silent and keyword in said.values and value:
                found.append(Setting(name, value, f"{origin} {keyword}"))
        return tuple(found)

    def _config(self, host: Host) -> ClientConfig:
        if host.ssh_config not in self._configs:
            self._configs[host.ssh_config] = ClientConfig.named(host.ssh_config)
        return self._configs[host.ssh_config]

    def _doors(self, host: Host, depth: int) -> tuple[Door, ...]:
        if depth > MAX_HOPS:
            raise ValueError(
                f"more than {MAX_HOPS} bastions on the way to {host.name!r}: a circle?"
            )
        said = self._config(host).of(host.address, host.user)
        hops, command = self._detour(host, said)
        door = self._door(host, said, command)
        before: tuple[Door, ...] = ()
        for number, hop in enumerate(hops):
            inner = replace(hop, ssh_config=hop.ssh_config or host.ssh_config)
            shallow = self._door(inner, self._config(inner).of(inner.address, inner.user), None)
            if _place(shallow) == _place(door):  # a bastion is not reached through itself
                break
            before += self._doors(inner if number == 0 else replace(inner, jumps=()), depth + 1)
        return (*before, door)

    def _detour(self, host: Host, said: Said) -> tuple[tuple[Host, ...], str | None]:
        """The bastions of a host, or the command that makes its connection."""
        if host.proxy_command is not None:
            return (), None if host.proxy_command.lower() == "none" else host.proxy_command
        if host.jumps is not None:
            return host.jumps, None
        jump = said.text("proxyjump")
        if jump is not None and jump.lower() != "none":
            tokens = tokens_of(
                host.address,
                host.address,
                host.port or said.text("port") or 22,
                host.user or said.text("user") or self._user,
            )
            hops = expanded(jump, tokens).split(",")
            return tuple(hop_of(word.strip()) for word in hops), None
        if jump is not None:
            return (), None
        command = said.text("proxycommand")
        return (), None if command is None or command.lower() == "none" else command

    def _door(self, host: Host, said: Said, command: str | None) -> Door:
        user = host.user or said.text("user") or self._user
        port = host.port or _number(said, "port", 65_535) or 22
        named = said.text("hostname")
        address = expanded(named, {"%": "%", "h": host.address}) if named else host.address
        tokens = tokens_of(address, host.address, port, user)

        def files(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(os.path.expanduser(expanded(_variables(one), tokens)) for one in texts)

        known_hosts = said.text("userknownhostsfile")
        alias = host.host_key_alias or said.text("hostkeyalias")
        if alias:
            alias = expanded(alias, tokens)
        given = (host.key_file,) if host.key_file else None
        return Door(
            name=host.name,
            address=address,
            port=port,
            user=user,
            key_files=given or files(_no_none(said.texts("identityfile"))),
            or_agent=given is None and (said.text("identitiesonly") or "no").lower() != "yes",
            needs_all_keys=given is not None,
            host_keys=host.host_keys,
            known_as=alias.lower() if alias else lookup_name(address, port),
            known_hosts=files(_no_none(tuple(shlex.split(known_hosts)))) if known_hosts else None,
            proxy_command=for_shell(command, tokens, "ProxyCommand") if command else None,
            connect_timeout_s=_seconds(said, "connecttimeout"),
        )


def hop_of(text: str) -> Host:
    """A bastion as ssh(1) takes it, `[user@]host[:port]` or `ssh://[user@]host[:port]`, under that
    name.
    """
    host = hop_host(text)
    if host is None:
        raise ValueError(f"ProxyJump {text!r}: expected [user@]host[:port]")
    return replace(host, name=text.removeprefix("ssh://"))


def _no_none(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word.lower() != "none")


def _variables(text: str) -> str:
    """`${NAME}` of the environment, as OpenSSH replaces it in names of files."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"{text!r}: the environment has no {found[1]}")
        return os.environ[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _seconds(said: Said, keyword: str) -> float | None:
    """A time of sshd_config(5), TIME FORMATS; None where none is said, or 0, which means none."""
    text = (said.text(keyword) or "none").lower()
    if text == "none":
        return None
    if not re.fullmatch(r"(?:[0-9]{1,6}[smhdw]?)+", text):
        raise ValueError(f"{keyword} {text!r} in the OpenSSH configuration: expected seconds")
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    parts = re.findall(r"([0-9]+)([smhdw]?)", text)
    return float(sum(int(number) * units[unit] for number, unit in parts)) or None


def _number(said: Said, keyword: str, most: int) -> int | None:
    text = said.text(keyword)
    if text is None or text.lower() == "none":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{keyword} {text!r} in the OpenSSH configuration: expected 1 to {most}")
    return int(text)


def _place(door: Door) -> tuple[str, int, str]:
    return door.address.lower(), door.port, door.user
