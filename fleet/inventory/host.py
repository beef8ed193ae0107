"""The values that an inventory becomes: `Host`, and `Inventory` around them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """One inventory entry, everything a visit needs to know of it.

    `name` is the inventory's and keys every result; `groups` are sorted and leave out `all`.
    `bad_config` says why this host's variables cannot be used; such a host is not visited, the
    others are. A `host_keys` entry is `TYPE BASE64` or `SHA256:FINGERPRINT`; any may match.
    """

    name: str
    address: str
    port: int = 22
    user: str | None = None
    key_file: str | None = None
    become: bool = False
    connection: str = "ssh"  # or "local"
    runtime: str = "docker"
    runtime_path: str | None = None
    host_keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    maintenance: bool = False
    bad_config: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory says.

    `hosts` stand in the order in which the file first names them. `groups` names the hosts of
    every group and of the groups below it; groups and hosts stand in Ansible's order: `all` and
    `ungrouped` first, then as the file defines them; a group's own hosts before its children's,
    level by level.
    """

    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
