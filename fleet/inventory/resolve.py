"""What counts for one host → a `Host`; what of it cannot be used → its `bad_config`."""

import base64
import binascii
import os
import re
from typing import Any

from yaml.nodes import Node, ScalarNode

from fleet.inventory.host import Host
from fleet.inventory.nodes import SEQ, kind, place, quote, text
from fleet.inventory.settings import Found, Settings
from fleet.inventory.tree import Effective
from fleet.inventory.variables import HOST, KEY_FILE, LATER, PORT, USER

_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_CONNECTIONS = {
    **{prefix + name: "ssh" for name in _SSH for prefix in ("", "ansible.builtin.")},
    **{"local": "local", "ansible.builtin.local": "local"},
}
_SUDO = ("sudo", "ansible.builtin.sudo")
_ADDRESS = re.compile(r"(?![^:]*:[^:]*$)[^\s@/-][^\s@/]*")  # one colon: a port, ansible_port's
_USER = re.compile(r"[^\s-]\S*")
_KEY_FILE = re.compile(r"[^%\x00-\x1f]+")
_RUNTIME_PATH = re.compile(r"/[A-Za-z0-9_./-]*")
_SSH_PROGRAM = re.compile(r"(.*/)?ssh")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_HOST_KEY = "a public key, 'TYPE BASE64', or its fingerprint, 'SHA256:…'"


class Resolver:
    """Makes `Host` values; key files are relative to `folder`, the inventory file's."""

    def __init__(self, folder: str, private_key: str | None) -> None:
        self._folder = folder
        self._private_key = os.path.expanduser(private_key) if private_key else None
        self._seen: dict[object, dict[str, Any]] = {}

    def host(self, found: Effective) -> Host:
        """One host, with every problem that it has; never an error for the others.

        Hosts of the same groups that say the same, addresses aside, are read once.
        """
        own_address = not found.own.keys().isdisjoint(HOST)
        own = ((name, _key(node)) for name, node in found.own.items() if name not in HOST)
        key = (found.groups, own_address, *own)
        fields = self._seen.get(key)
        if fields is None:
            settings = Settings(found.variables)
            fields = self._fields(settings)
            if not settings.complaints:  # they name places, which differ
                self._seen[key] = fields
        elif own_address:
            fields = fields | _address(Settings(found.variables), fields["connection"])
        if fields["address"] is None:
            fields = fields | _by_name(found, fields)
        return Host(name=found.name, groups=found.groups, **fields)

    def _fields(self, settings: Settings) -> dict[str, Any]:
        for name, word in LATER.items():
            if settings.word((name,)) == word:
                settings.refuse(name, f"is {word!r}, which this version does not read")
        connection = _connection(settings)
        return {
            "connection": connection,
            "become": _become(settings),
            "runtime_path": settings.text(
                ("fleet_runtime_path",), _RUNTIME_PATH, "an absolute path of A-Z a-z 0-9 _ . / -"
            ),
            "maintenance": settings.word(("fleet_state",)) == "maintenance",
            **(self._over_ssh(settings) if connection == "ssh" else {}),
            **_address(settings, connection),  # last: it closes the list of complaints
        }

    def _over_ssh(self, settings: Settings) -> dict[str, Any]:
        _refuse_detours(settings)
        settings.read_ssh_args()
        key_file = settings.text(KEY_FILE, _KEY_FILE, "a file name without %", "identityfile")
        if key_file:
            key_file = os.path.join(self._folder, os.path.expanduser(key_file))
        return {
            "port": settings.port(PORT, "port") or 22,
            "user": settings.text(USER, _USER, "a user's name", "user"),
            "key_file": key_file or self._private_key,
            "host_keys": _host_keys(settings),
        }


def _key(node: Node) -> object:
    return (node.tag, node.value) if isinstance(node, ScalarNode) else id(node)


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
        for name, usable in (("ansible_become_method", _SUDO), ("ansible_become_user", ("root",))):
            found = settings.find((name,))
            if found and text(found.node) not in usable:
                settings.complain(found, repr(usable[0]))
    return become


def _refuse_detours(settings: Settings) -> None:
    """To ignore what leads to a host another way would be to connect around it."""
    for name in ("fleet_jump", "ansible_paramiko_proxy_command"):
        if settings.find((name,)):
            settings.refuse(name, "names a bastion, which this version cannot pass")
    settings.text(("ansible_ssh_executable",), _SSH_PROGRAM, "ssh itself")


def _host_keys(settings: Settings) -> tuple[str, ...]:
    found = settings.find(("fleet_host_key",))
    if found is None:
        return ()
    keys = []
    for node in found.node.value if kind(found.node) == SEQ else [found.node]:
        key = _host_key(text(node) or "")
        if key is None:
            settings.complain(Found(found.name, node), _HOST_KEY)
        else:
            keys.append(key)
    return tuple(keys)


def _host_key(line: str) -> str | None:
    """`TYPE BASE64` without its comment, or a fingerprint; None where it is neither."""
    line = line.strip()
    if _FINGERPRINT.fullmatch(line):
        return line
    parts = line.split(None, 2)
    if len(parts) < 2 or "\n" in line:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        return None
    kind = parts[0].encode()
    named = blob.startswith(len(kind).to_bytes(4, "big") + kind) and len(blob) > 4 + len(kind)
    return f"{parts[0]} {parts[1]}" if named else None
