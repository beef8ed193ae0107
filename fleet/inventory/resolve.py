"""What counts for one host → a `Host`; what of it cannot be used → its `bad_config`."""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from yaml.nodes import Node, ScalarNode

from fleet.inventory.host import Host
from fleet.inventory.host_key import host_key
from fleet.inventory.jumps import Draft, Way, Ways, way
from fleet.inventory.labels import Labels
from fleet.inventory.nodes import STR, Entries, place, quote, text
from fleet.inventory.settings import Settings
from fleet.inventory.templates import Lookup
from fleet.inventory.tree import Effective
from fleet.inventory.variables import (
    BECOME_PASSWORDS,
    BECOME_USER,
    HOST,
    INLINE_KEYS,
    KEY_FILE,
    LATER,
    PASSPHRASES,
    PASSWORDS,
    PORT,
    USER,
)

_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_PREFIXES = ("", "ansible.builtin.", "ansible.legacy.")
_CONNECTIONS = {
    **{prefix + name: "ssh" for name in _SSH for prefix in _PREFIXES},
    **{prefix + "local": "local" for prefix in _PREFIXES},
}
_SUDO = ("sudo", "ansible.builtin.sudo")
_ADDRESS = re.compile(r"(?![^:]*:[^:]*$)[^\s@/-][^\s@/]*")  # one colon: a port, ansible_port's
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_USER = re.compile(r"[^\s-]\S*")
_FILE = re.compile(r"[^%\x00-\x1f]+")
_ALIAS = re.compile(r"[^\s%,!*?@-][^\s%,!*?]*")
_RUNTIME_PATH = re.compile(r"/[A-Za-z0-9_./-]*")
_SSH_PROGRAM = re.compile(r"(.*/)?ssh")
_CLEAR = (
    "is a password that all can read who read the inventory, and fleet logs in with keys only: "
    "remove it, and name a key in ansible_ssh_private_key_file"
)
_CLEAR_SUDO = (
    "is a password that all can read who read the inventory, and fleet uses sudo -n, which asks "
    "for none: remove it, and let sudoers allow docker"
)
_CLEAR_KEY = (
    "is a private key that all can read who read the inventory: remove it, put the key into a "
    "file, and name that in ansible_ssh_private_key_file"
)
_CLEAR_PHRASE = (
    "is a passphrase that all can read who read the inventory: remove it, and let an SSH agent "
    "hold the key"
)
_SECRETS = (
    (PASSWORDS, _CLEAR),
    (INLINE_KEYS, _CLEAR_KEY),
    (PASSPHRASES, _CLEAR_PHRASE),
    (BECOME_PASSWORDS, _CLEAR_SUDO),
)
_HOST_KEY = "a public key, 'TYPE BASE64', or its fingerprint, 'SHA256:…'"


class Resolver:
    """Makes `Host` values; `bases` says beside which inventory each file counts."""

    def __init__(self, bases: Mapping[str, str], private_key: str | None) -> None:
        self._bases = bases
        self._private_key = os.path.expanduser(private_key) if private_key else None
        self._seen: dict[object, Draft] = {}
        self._effective: dict[str, Effective] = {}
        self._picked: dict[str, Entries] = {}

    def hosts(self, effective: Iterable[Effective], labels: Labels) -> tuple[Host, ...]:
        """All hosts, each with every problem that it has; never an error for the others."""
        drafts = {}
        for found in effective:
            self._effective[found.name] = found
            draft = self._draft(found)
            if labels.names:
                values = labels.of(found, self.lookup)
                draft = draft._replace(fields=draft.fields | {"labels": values})
            drafts[found.name] = draft
        labels.check()
        ways = Ways(drafts, self._private_key)
        return tuple(
            Host(name, **(draft.fields if draft.way is None else _on_its_way(name, draft, ways)))
            for name, draft in drafts.items()
        )

    def settings(self, name: str) -> Settings:
        """The settings of one host, read again for those who ask where they come from."""
        found = self._effective[name]
        settings = Settings(found.variables, self.lookup(found))
        self._fields(settings)
        return settings

    def effective(self, name: str) -> Effective:
        """What counts for one host."""
        return self._effective[name]

    def forget(self) -> None:
        """Let go of all other people's variables, those aside that templates have used."""
        for name, found in self._effective.items():
            found.every = (self._picked[name],) if name in self._picked else ()
            found.shared = found.shared._replace(every=()) if found.shared.every else found.shared

    def lookup(self, found: Effective) -> Lookup:
        """The variables of a host by their names, with those that Ansible adds itself."""

        def value(name: str) -> Node | None:
            node = found.value(name)
            if node is None and name in _MAGIC:
                return ScalarNode(STR, _MAGIC[name](found), found.node.start_mark)
            if node is not None:
                key = ScalarNode(STR, name, node.start_mark)
                self._picked.setdefault(found.name, {})[name] = (key, node)
            return node

        return value

    def _draft(self, found: Effective) -> Draft:
        """One host but for its bastions.

        Hosts of the same groups that say the same, addresses aside, are read once.
        """
        own_address = not found.own.keys().isdisjoint(HOST)
        own = ((name, _key(node)) for name, node in found.own.items() if name not in HOST)
        key = (found.shared.groups, own_address, *own)
        draft = self._seen.get(key)
        if draft is None:
            settings = Settings(found.variables, self.lookup(found))
            fields, way = self._fields(settings)
            draft = Draft(fields | {"groups": found.shared.groups}, way)
            if not settings.complaints and not settings.templates:
                self._seen[key] = draft  # complaints name places, which differ
        elif own_address:
            fields = draft.fields | self._own_address(found, draft.fields["connection"])
            draft = Draft(fields, draft.way)
        if draft.fields["address"] is None:
            draft = Draft(draft.fields | _by_name(found, draft.fields), draft.way)
        return draft

    def _own_address(self, found: Effective, connection: str) -> dict[str, str | None]:
        """The address that a host says itself; the short way serves most."""
        if len(found.own) == 1 and found.shared.known.keys().isdisjoint(HOST):
            (node,) = found.own.values()
            value = node.value
            if node.tag == STR and isinstance(value, str) and _PLAIN_ADDRESS.fullmatch(value):
                return {"address": value}
        return _address(Settings(found.variables, self.lookup(found)), connection)

    def _fields(self, settings: Settings) -> tuple[dict[str, Any], Way | None]:
        for name, word in LATER.items():
            if settings.word((name,)) == word:
                settings.refuse(name, f"is {word!r}, which this version does not read")
        connection = _connection(settings)
        become = _become(settings)
        found: Way | None = None
        fields = {
            "connection": connection,
            "become": become,
            "runtime_path": settings.text(
                ("fleet_runtime_path",), _RUNTIME_PATH, "an absolute path of A-Z a-z 0-9 _ . / -"
            ),
            "source": settings.word(("fleet_source",)) or "docker",
            "maintenance": settings.word(("fleet_state",)) == "maintenance",
        }
        if connection == "ssh":
            fields |= self._over_ssh(settings, become)
            found = way(settings)
            fields["proxy_command"] = found.command if found else None
        fields |= _address(settings, connection)  # last: it closes the list of complaints
        return fields, found

    def _over_ssh(self, settings: Settings, become: bool) -> dict[str, Any]:
        _refuse_detours(settings)
        _refuse_passwords(settings, become)
        settings.read_ssh_args()
        return {
            "port": settings.port(PORT, "port"),
            "user": settings.text(USER, _USER, "a user's name", "user"),
            "key_file": self._file(settings, KEY_FILE, "identityfile") or self._private_key,
            "host_keys": _host_keys(settings),
            "host_key_alias": settings.text((), _ALIAS, "a host's name", "hostkeyalias"),
            "ssh_config": self._file(settings, (), "configfile"),
        }

    def _file(self, settings: Settings, names: Sequence[str], option: str) -> str | None:
        """A file, `~` expanded, relative to the inventory."""
        file = settings.text(names, _FILE, "a file name without %", option)
        found = settings.find(names, option)
        if not file or found is None or (option == "configfile" and file.lower() == "none"):
            return file and file.lower()
        base = self._bases.get(found.node.start_mark.name, "")
        return os.path.join(base, os.path.expanduser(file))


def _on_its_way(name: str, draft: Draft, ways: Ways) -> dict[str, Any]:
    jumps, bad = ways.to(name)
    found: dict[str, Any] = {"jumps": jumps}
    if bad:
        found["bad_config"] = "; ".join(filter(None, (draft.fields["bad_config"], bad)))
    return draft.fields | found


def _short(name: str) -> str:
    """A name without its domain; an address has none."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.partition(".")[0]
    return name


_MAGIC: dict[str, Callable[[Effective], str]] = {
    "inventory_hostname": lambda found: found.name,
    "inventory_hostname_short": lambda found: _short(found.name),
    "inventory_file": lambda found: os.path.abspath(found.node.start_mark.name),
    "inventory_dir": lambda found: os.path.dirname(os.path.abspath(found.node.start_mark.name)),
}


def _key(node: Node) -> object:
    """What makes two values the same: the file counts, to which other files are relative."""
    if isinstance(node, ScalarNode):
        return (type(node), node.tag, node.value, node.start_mark.name)
    return id(node)


def _address(settings: Settings, connection: str) -> dict[str, str | None]:
    if connection == "local":
        address = settings.word(HOST)
    else:
        address = settings.text(HOST, _ADDRESS, "a host name or an address")
    return {"address": address, "bad_config": "; ".join(settings.complaints) or None}


def _by_name(found: Effective, fields: dict[str, Any]) -> dict[str, str | None]:
    """No address is given, so the name must do; `user@host`, which ssh takes, will not."""
    bad = fields["bad_config"]
    if fields["connection"] == "ssh" and not _ADDRESS.fullmatch(found.name):
        said = f"the name {quote(found.name)} is no address, expected ansible_host to give one"
        bad = "; ".join(filter(None, (bad, f"{place(found.node)}: {said}")))
    return {"address": found.name, "bad_config": bad}


def _connection(settings: Settings) -> str:
    """`fleet_connection` before `ansible_connection`."""
    if ours := settings.word(("fleet_connection",)):
        return ours
    found = settings.find(("ansible_connection",))
    if found is None:
        return "ssh"
    known = _CONNECTIONS.get(text(found.node) or "")
    if known is None:
        settings.complain(found, "'ssh' or 'local'")
    return known or "ssh"


def _become(settings: Settings) -> bool:
    become = settings.truth("ansible_become")
    if become:
        for names, usable in ((("ansible_become_method",), _SUDO), (BECOME_USER, ("root",))):
            found = settings.find(names)
            if found and text(found.node) not in usable:
                settings.complain(found, repr(usable[0]))
    return become


def _refuse_detours(settings: Settings) -> None:
    """To ignore what leads to a host another way would be to connect around it."""
    name = "ansible_paramiko_proxy_command"
    if settings.find((name,)):
        settings.refuse(name, "is not read; say ProxyCommand in ansible_ssh_common_args")
    settings.text(("ansible_ssh_executable",), _SSH_PROGRAM, "ssh itself")


def _refuse_passwords(settings: Settings, become: bool) -> None:
    """A password in clear is refused; one in a vault is nobody's trouble, and not used."""
    for names, why in _SECRETS:
        for name in names if become or names is not BECOME_PASSWORDS else ():
            found = settings.find((name,))
            if found is None or found.node.value == "":
                continue
            if settings.is_clear(found):
                settings.refuse(name, why)
            else:
                settings.ignored.append(found)


def _host_keys(settings: Settings) -> tuple[str, ...]:
    found = settings.find(("fleet_host_key",))
    if found is None:
        return ()
    keys = []
    for member in settings.each(found):
        key = host_key(text(member.node) or "")
        if key is None:
            settings.complain(member, _HOST_KEY)
        else:
            keys.append(key)
    return tuple(keys)
