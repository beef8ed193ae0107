"""The variables that are ours, or Ansible's for a connection; all others are left alone."""

from yaml.nodes import MappingNode, Node, ScalarNode

from fleet.errors import InventoryError
from fleet.inventory.nodes import STR, Mappings, describe, error, is_null, kind, suggest

# Where several names mean one thing, the last one that is set counts, as in Ansible's ssh plugin.
HOST = ("ansible_host", "ansible_ssh_host")
PORT = ("ansible_port", "ansible_ssh_port")
USER = ("ansible_user", "ansible_ssh_user")
KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
SSH_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
PRIORITY = "ansible_group_priority"

ANSIBLE = frozenset(
    (
        *HOST,
        *PORT,
        *USER,
        *KEY_FILE,
        *SSH_ARGS,
        "ansible_become",
        "ansible_become_method",
        "ansible_become_user",
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
        "fleet_runtime",
        "fleet_runtime_path",
        "fleet_source",
        "fleet_state",
    )
)
_NOT_YET = frozenset(("fleet_labels",))
_WORDS = {
    "fleet_connection": ("ssh", "local"),
    "fleet_runtime": ("docker",),
    "fleet_source": ("docker",),
    "fleet_state": ("maintenance",),
}
LATER = {"fleet_runtime": "podman", "fleet_source": "kernel"}  # right, but not for this version
_KNOWN = ANSIBLE | FLEET


def ours(mappings: Mappings, node: MappingNode) -> dict[str, Node]:
    """The variables in `node` that this version reads; a `fleet_…` that it does not is an error."""
    found = {}
    for name, (key, value) in mappings.entries(node, names=False).items():
        if name in _KNOWN:
            if name in _WORDS:
                _check_word(name, value)
            found[name] = value
        elif name.startswith("fleet_"):
            raise _unknown(key)
    return found


def _check_word(name: str, value: Node) -> None:
    known = _WORDS[name]
    if is_null(value) or (kind(value) == STR and value.value in (*known, LATER.get(name))):
        return
    hint = suggest(value.value, known) if kind(value) == STR and len(known) > 1 else ""
    expected = " or ".join(repr(word) for word in known)
    raise error(value, f"{name} is {describe(value)}, expected {expected}{hint}")


def _unknown(key: ScalarNode) -> InventoryError:
    name: str = key.value
    if name in _NOT_YET:
        return error(key, f"{name} is not known to this version")
    return error(key, f"{name} is no variable of fleet{suggest(name, FLEET, 'fleet_')}")
