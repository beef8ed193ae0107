"""Hosts and their settings → what `fleet hosts` prints: a table, JSON, a tree. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, fields
from typing import Any

from fleet.hop import Hop
from fleet.inventory import Host, Inventory, Setting
from fleet.table import Column, fitting, lines
from fleet.visit import printable

UNKNOWN = "-"
SSH_PORT = 22
DEFAULT = "default"
"""The origin of a setting that the inventory does not say."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A host, and the way to it: the last hop is its own sshd. Without one it is not reached by
    SSH, or `problem` says why no way can be told. `command` makes the connection, where one does.
    """

    host: Host
    way: tuple[Hop, ...] = ()
    command: str | None = None
    problem: str | None = None

    @property
    def jump(self) -> str:
        """The bastions on the way, or that a command leads there."""
        if self.command is not None:
            return "ProxyCommand"
        return " > ".join(hop.name for hop in self.way[:-1])


# --- a table


def as_table(entries: Sequence[Entry], labels: Sequence[str], width: int | None = None) -> str:
    """A line a host; columns that `width` cannot carry are left out and named."""
    cells: tuple[tuple[str, Callable[[Entry], str], int | None], ...] = (
        ("HOST", lambda entry: entry.host.name, None),
        ("ADDRESS", _address, None),
        ("PORT", _port, None),
        ("USER", _user, None),
        ("JUMP", lambda entry: entry.jump, 3),
        ("GROUPS", lambda entry: ",".join(entry.host.groups), 2),
        ("LABELS", lambda entry: _labels(entry.host, labels), 1),
    )
    columns = [
        Column(heading, [_shown(cell(entry)) for entry in entries], heading == "PORT", spare)
        for heading, cell, spare in cells
    ]
    if any(entry.problem for entry in entries):
        columns.append(Column("BAD CONFIG", [_shown(entry.problem or "") for entry in entries]))
    kept, left_out = fitting(columns, width)
    found = lines(kept)
    if left_out:
        found.append(f"({', '.join(left_out)} left out: the terminal is {width} columns wide)")
    return "".join(f"{line}\n" for line in found)


def _address(entry: Entry) -> str:
    if entry.host.connection == "local":
        return "local"
    return entry.way[-1].address if entry.way else entry.host.address


def _port(entry: Entry) -> str:
    if entry.way:
        return str(entry.way[-1].port)
    return "" if entry.host.port is None else str(entry.host.port)


def _user(entry: Entry) -> str:
    return entry.way[-1].user if entry.way else entry.host.user or ""


def _labels(host: Host, labels: Sequence[str]) -> str:
    pairs = zip(labels, host.labels, strict=False)
    return ",".join(f"{label}={value}" for label, value in pairs if value is not None)


def _shown(text: str) -> str:
    return printable(text) or UNKNOWN


# --- JSON


def as_json(entries: Iterable[Entry], labels: Sequence[str]) -> str:
    """A list of objects: each host's settings as they count in the end, null where nothing does.

    `address`, `port`, `user` and `jumps` are those of the way, the user's OpenSSH configuration
    included; `key_file` is what the inventory says, `key_files` are those that are tried.
    """
    return _dumped([_object(entry, labels) for entry in entries])


def _object(entry: Entry, labels: Sequence[str]) -> dict[str, Any]:
    host = entry.host
    found: dict[str, Any] = {field.name: getattr(host, field.name) for field in fields(Host)}
    found["jumps"] = None if host.jumps is None else [_hop(_plain(hop)) for hop in host.jumps]
    found["labels"] = dict(zip(labels, host.labels, strict=False))
    found["key_files"] = []
    found["bad_config"] = entry.problem
    if entry.way:
        found |= _hop(entry.way[-1]) | {"name": host.name, "proxy_command": entry.command}
        found["jumps"] = [_hop(hop) for hop in entry.way[:-1]]
    return found


def _hop(hop: Hop) -> dict[str, Any]:
    return {**hop._asdict(), "key_files": list(hop.key_files)}


def _plain(host: Host) -> Hop:
    """A bastion by what the inventory says of it, where no way could be told."""
    key_files = () if host.key_file is None else (host.key_file,)
    return Hop(host.name, host.address, host.port or SSH_PORT, host.user or "", key_files)


def _dumped(document: object) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


# --- one host's settings


def settings_table(settings: Sequence[Setting]) -> str:
    """`setting  value  origin`, aligned."""
    columns = [
        Column("SETTING", [printable(setting.name) for setting in settings]),
        Column("VALUE", [_shown(setting.value) for setting in settings]),
        Column("ORIGIN", [printable(setting.origin) for setting in settings]),
    ]
    return "".join(f"{line}\n" for line in lines(columns))


def settings_json(name: str, settings: Iterable[Setting]) -> str:
    """`{"host": NAME, "settings": [{"name": …, "value": …, "origin": …}, …]}`."""
    return _dumped({"host": name, "settings": [setting._asdict() for setting in settings]})


def settings_of(entry: Entry, said: Iterable[Setting], added: Iterable[Setting]) -> list[Setting]:
    """What the inventory says, each setting followed, or replaced where it is a default, by what
    the user's OpenSSH configuration adds to it; and why it cannot be used.
    """
    usual = {"port": str(entry.way[-1].port), "user": entry.way[-1].user} if entry.way else {}
    instead: dict[str, list[Setting]] = {}
    for setting in added:
        instead.setdefault(setting.name, []).append(setting)
    found: list[Setting] = []
    for setting in said:
        by_client = instead.pop(setting.name, [])
        if setting.origin != DEFAULT:
            found.append(setting)
        elif not by_client:
            found.append(setting._replace(value=usual.get(setting.name, setting.value)))
        found += by_client
    found += [setting for rest in instead.values() for setting in rest]
    if entry.problem is not None:
        found.append(Setting("bad_config", entry.problem, ""))
    return found


# --- a tree


def graph(inventory: Inventory, only: Set[str] | None = None) -> Iterator[str]:
    """The lines of the tree of groups, as `ansible-inventory --graph` draws it.

    `only` names the hosts that are shown; groups without one of them are left out.
    """
    alive = {
        group
        for group, members in inventory.groups.items()
        if only is None or not only.isdisjoint(members)
    }
    waiting = [("all", 0, False)]  # a stack: groups may lie deeper in each other than calls may
    while waiting:
        group, depth, only_hosts = waiting.pop()
        branch = inventory.branches[group]
        if only_hosts:
            for name in branch.hosts:
                if only is None or name in only:
                    yield _leaf(name, depth)
            continue
        yield _leaf(f"@{group}:", depth)
        if group != "all":  # its own hosts stand in `ungrouped`
            waiting.append((group, depth + 1, True))
        waiting += [
            (child, depth + 1, False) for child in reversed(branch.children) if child in alive
        ]


def _leaf(text: str, depth: int) -> str:
    return ("  |" * depth + "--" if depth else "") + printable(text)
