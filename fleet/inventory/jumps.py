"""Bastions: what names them → the hosts that are passed on the way to another."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fleet.inventory.host import Host
from fleet.inventory.nodes import place, quote, text
from fleet.inventory.settings import WAY, Found, Settings

MAX_HOPS = 16  # a longer way is a mistake, and each hop costs a session inside a session
NONE = "none"

_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^\s@:%-][^\s:%]*)@)?"
    r"(?:\[(?P<bracketed>[^\]\s%]+)\]|(?P<host>[^\s@:/%\[\]-][^\s@:/%\[\]]*))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_COMMAND = re.compile(r"[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*")
_SSHPASS = (
    "holds a command with sshpass, which hands on a password that all can read who read the "
    "inventory: remove it, and let the bastion take a key"
)
EXPECTED = "a bastion: a name of the inventory or user@host:port, several as a list"

Jumps = tuple[Host, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """What one host's variables say about the way to it: hops by name, or a command."""

    origin: Found
    hops: tuple[str, ...] = ()
    command: str | None = None
    by_inventory: bool = False  # whether names are those of the inventory: not in SSH options


def way(settings: Settings) -> Way | None:
    """`fleet_jump` before the SSH options; complaints are the settings'."""
    found = settings.find(("fleet_jump",))
    if found is not None:
        return _named(settings, found)
    found = settings.find((), WAY)
    if found is None:
        return None
    value: str = found.node.value
    if value.lower() == NONE:
        return Way(found)
    if found.word == "proxycommand":
        if "sshpass" in value:
            settings.refuse(found.name, _SSHPASS)
            return None
        if not _COMMAND.fullmatch(value):
            settings.complain(found, "a command in one line")
        return Way(found, command=value)
    hops = tuple(hop.strip() for hop in value.split(","))
    if any(hop_host(hop) is None for hop in hops):
        settings.complain(found, "bastions, user@host:port, with commas between")
        return None
    return Way(found, hops)


def _named(settings: Settings, found: Found) -> Way | None:
    hops = []
    members = list(settings.each(found))
    for member in members:
        hop = text(member.node)
        if hop is None or (hop != NONE and not _nameable(hop)) or (hop == NONE and members[1:]):
            settings.complain(member, EXPECTED)
            return None
        hops.append(hop)
    return Way(found, () if hops == [NONE] else tuple(hops), by_inventory=True)


def _nameable(hop: str) -> bool:
    return hop_host(hop) is not None or (hop.isprintable() and hop != "" and " " not in hop)


def hop_host(hop: str) -> Host | None:
    """`[user@]host[:port]`, with IPv6 in brackets, or the same as `ssh://`; None for all else."""
    try:
        return Host(name=str(ipaddress.IPv6Address(hop)), address=hop)
    except ValueError:
        found = _HOP.fullmatch(hop)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or not hop.isprintable() or port == 0 or (port or 0) > 65535:
        return None
    address = found["bracketed"] or found["host"]
    if found["bracketed"]:
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            return None
    return Host(name=address, address=address, port=port, user=found["user"])


class Draft(NamedTuple):
    """A host but for its bastions: its fields by name, and the way that its variables say."""

    fields: dict[str, Any]
    way: Way | None


class Ways:
    """Finds the bastions of every host."""

    def __init__(self, drafts: Mapping[str, Draft], private_key: str | None) -> None:
        self._drafts = drafts
        self._private_key = private_key
        self._by_way: dict[int, tuple[Jumps, str | None]] = {}
        self._open: list[str] = []

    def to(self, name: str) -> tuple[Jumps, str | None]:
        """The bastions before a host, and why they cannot be passed."""
        found = self._drafts[name].way
        if found is None:
            return None, None
        if name in found.hops and found.by_inventory:
            return self._follow(name, found, found.hops[: found.hops.index(name)])
        if id(found) not in self._by_way:
            self._by_way[id(found)] = self._follow(name, found, found.hops)
        return self._by_way[id(found)]

    def _follow(self, name: str, way: Way, hops: tuple[str, ...]) -> tuple[Jumps, str | None]:
        self._open.append(name)
        try:
            passed: list[Host] = []
            for hop in hops:
                if way.by_inventory and hop in self._drafts:
                    passed += self._through(hop, first=not passed)
                else:
                    passed.append(
                        self._outside(hop, self._drafts[name].fields.get("ssh_config"), passed)
                    )
            if len(passed) > MAX_HOPS:
                raise ValueError(f"leads through more than {MAX_HOPS} bastions")
            return tuple(passed), None
        except ValueError as exc:
            return None, f"{place(way.origin.node)}: {way.origin.name} {exc}"
        finally:
            self._open.pop()

    def _through(self, hop: str, first: bool) -> tuple[Host, ...]:
        """A host of the inventory, and before it, where it is the first, its own bastions."""
        if hop in self._open:
            circle = [*self._open[self._open.index(hop) :], hop]
            raise ValueError(f"leads in a circle: {' > '.join(circle)}")
        if len(self._open) > MAX_HOPS:
            raise ValueError(f"leads through more than {MAX_HOPS} bastions")
        fields = self._drafts[hop].fields
        bad = fields["bad_config"]
        before: Jumps = ()
        if first and not bad:
            before, bad = self.to(hop)
        if bad:
            raise ValueError(f"names {quote(hop)}, which cannot be used: {bad}")
        if fields["connection"] != "ssh":
            raise ValueError(f"names {quote(hop)}, which is not reached over ssh")
        host = Host(hop, **fields)
        if not first:
            host = replace(host, proxy_command=None)
        return (*(before or ()), replace(host, jumps=None if before is None else ()))

    def _outside(self, hop: str, ssh_config: str | None, passed: list[Host]) -> Host:
        host = hop_host(hop)
        if host is None:
            raise ValueError(f"names {quote(hop)}, expected {EXPECTED}")
        return replace(
            host,
            key_file=self._private_key,
            ssh_config=ssh_config,
            jumps=() if passed else None,
        )
