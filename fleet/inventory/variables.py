"""The variables that are ours, or Ansible's for a connection; all others are left alone."""

import re
from typing import Any, NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode

from fleet.errors import InventoryError
from fleet.inventory.nodes import (
    SEQ,
    STR,
    Entries,
    Mappings,
    describe,
    error,
    is_null,
    kind,
    plain,
    suggest,
)

# Where several names mean one thing, the last one that is set counts, as in Ansible's ssh plugin.
HOST = ("ansible_host", "ansible_ssh_host")
PORT = ("ansible_port", "ansible_ssh_port")
USER = ("ansible_user", "ansible_ssh_user")
KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
SSH_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
PASSWORDS = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
BECOME_PASSWORDS = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
BECOME_USER = ("ansible_become_user", "ansible_sudo_user")
INLINE_KEYS = ("ansible_private_key", "ansible_ssh_private_key")
PASSPHRASES = ("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase")
PRIORITY = "ansible_group_priority"
LABELS = "fleet_labels"

ANSIBLE = frozenset(
    (
        *HOST,
        *PORT,
        *USER,
        *KEY_FILE,
        *SSH_ARGS,
        *PASSWORDS,
        *BECOME_PASSWORDS,
        *BECOME_USER,
        *INLINE_KEYS,
        *PASSPHRASES,
        "ansible_become",
        "ansible_become_method",
        "ansible_connection",
        "ansible_paramiko_proxy_command",
        "ansible_ssh_executable",
        PRIORITY,
    )
)
FLEET = frozenset(
    (
        "fleet_connection",
        "fleet_host_key",
        "fleet_jump",
        LABELS,
        "fleet_runtime",
        "fleet_runtime_path",
        "fleet_source",
        "fleet_state",
    )
)
_WORDS = {
    "fleet_connection": ("ssh", "local"),
    "fleet_runtime": ("docker",),
    "fleet_source": ("docker", "kernel"),
    "fleet_state": ("maintenance",),
}
LATER = {"fleet_runtime": "podman"}  # right, but not for this version
_KNOWN = ANSIBLE | FLEET
_SECRET_LABEL = re.compile(r"(?i)(pass|passwd|password|secret|token)$")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

Variables = dict[str, Node]


class Layer(NamedTuple):
    """What one mapping says: the variables that this version reads, and all of them."""

    known: Variables
    every: Entries


def ours(mappings: Mappings, node: MappingNode) -> Layer:
    """The variables in `node`; a `fleet_…` that this version does not read is an error."""
    found = {}
    every = mappings.entries(node, names=False)
    for name, (key, said) in every.items():
        if name in _KNOWN:
            value = plain(said)
            if name in _WORDS:
                _check_word(name, value)
            elif name == LABELS:
                label_nodes(value)
            found[name] = value
        elif name.startswith("fleet_"):
            raise _unknown(key)
    return Layer(found, every)


def label_nodes(value: Node) -> list[ScalarNode]:
    """The names in a value of `fleet_labels`: a list of them, or one."""
    if is_null(value):
        return []
    nodes: list[Any] = value.value if kind(value) == SEQ else [value]
    for node in nodes:
        if kind(node) != STR or not _LABEL.fullmatch(node.value):
            rest = "expected the name of a variable (A-Z a-z 0-9 _), or a list of names"
            raise error(node, f"{LABELS} is {describe(node)}, {rest}")
        if node.value.startswith(("fleet_", "ansible_")):
            raise error(node, f"{LABELS} names {node.value!r}, which has a meaning already")
        if _SECRET_LABEL.search(node.value):
            why = "which by its name is a secret, and labels are stored for all to read"
            raise error(node, f"{LABELS} names {node.value!r}, {why}")
    return nodes


def _check_word(name: str, value: Node) -> None:
    known = _WORDS[name]
    if is_null(value) or (kind(value) == STR and value.value in (*known, LATER.get(name))):
        return
    hint = suggest(value.value, known) if kind(value) == STR and len(known) > 1 else ""
    expected = " or ".join(repr(word) for word in known)
    raise error(value, f"{name} is {describe(value)}, expected {expected}{hint}")


def _unknown(key: ScalarNode) -> InventoryError:
    name: str = key.value
    return error(key, f"{name} is no variable of fleet{suggest(name, FLEET, 'fleet_')}")
