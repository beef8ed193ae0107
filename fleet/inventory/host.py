"""The values that an inventory becomes: `Host`, and `Inventory` around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Host:
    """One inventory entry, everything a visit needs to know of it; or a bastion on the way to one.

    `name` is the inventory's and keys every result; `groups` are sorted and leave out `all`.
    `bad_config` says why this host's variables cannot be used; such a host is not visited, the
    others are. A `host_keys` entry is `TYPE BASE64` or `SHA256:FINGERPRINT`; any may match.

    What is None here the user's OpenSSH configuration may say (`fleet.transport.route`); an empty
    `jumps` means that no bastion is to be passed, whatever is said there. `jumps` are the bastions
    from the central host on, each with `jumps` None or empty: the way is in the order of the tuple.
    `ssh_config` is the file named by `-F` in the host's SSH options. `labels` are the values of
    the inventory's `labels`, in their order.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    become: bool = False
    connection: str = "ssh"  # or "local"
    runtime: str = "docker"
    runtime_path: str | None = None
    source: str = "docker"  # or "kernel"
    host_keys: tuple[str, ...] = ()
    host_key_alias: str | None = None
    jumps: tuple["Host", ...] | None = None
    proxy_command: str | None = None
    ssh_config: str | None = None
    groups: tuple[str, ...] = ()
    labels: tuple[str | None, ...] = ()
    maintenance: bool = False
    bad_config: str | None = None


class Branch(NamedTuple):
    """What a group holds itself: its own hosts, and its child groups, in Ansible's order."""

    hosts: tuple[str, ...]
    children: tuple[str, ...]


class Setting(NamedTuple):
    """One resolved setting of a host, in words: its name, its value, and where it was said.

    `origin` is `FILE:LINE:COLUMN VARIABLE`, `--private-key`, or `default`. The name of a setting
    is that of the field of `Host`; `ignored` lists the SSH options that were read and not obeyed.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the inventories of a command say together.

    `hosts` stand in the order in which they are first named. `groups` names the hosts of
    every group and of the groups below it; groups and hosts stand in Ansible's order: `all` and
    `ungrouped` first, then as they are defined; a group's own hosts before its children's,
    level by level. `branches` has the same groups, each with what it holds itself. `labels` are
    the variables named by `fleet_labels`. `warnings` are lines for the person who runs us.
    """

    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    branches: Mapping[str, Branch] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    explainer: Callable[[Host], tuple[Setting, ...]] | None = field(
        default=None, compare=False, repr=False
    )

    def explain(self, name: str) -> tuple[Setting, ...]:
        """Every setting of a host with its origin, in the order of `Host`'s fields.

        After them stands one `ignored` for each SSH option, or password in a vault, that was read
        and is not obeyed.
        """
        host = next(host for host in self.hosts if host.name == name)
        return self.explainer(host) if self.explainer else ()
