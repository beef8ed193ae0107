"""Ansible's YAML inventory → frozen `Host` values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """One inventory entry, everything a visit needs to know of it.

    `name` is the inventory's and keys every result. `bad_config` says why this host's variables
    cannot be used; such a host is not visited, the others are.
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
