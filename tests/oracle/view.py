"""What an inventory means, as Ansible and as we see it, in the same words."""

import atexit
import contextlib
import functools
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class View:
    """Hosts, groups and effective connection variables.

    `hosts` and `groups` stand in their order. `loose` are the groups whose order of hosts hangs
    on a hash seed of Ansible's. `unusable` are hosts with a variable that nobody can resolve.
    """

    hosts: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    branches: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    memberships: Mapping[str, tuple[str, ...]]
    connection: Mapping[str, dict[str, Any]]
    unusable: frozenset[str] = frozenset()
    loose: frozenset[str] = field(default=frozenset(), compare=False)


@functools.cache
def _home() -> str:
    folder = tempfile.mkdtemp(prefix="oracle-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def isolation() -> Mapping[str, str]:
    """The environment in which Ansible finds nobody's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    configuration = Path(_home(), "ansible.cfg")
    configuration.write_text("[defaults]\n")
    return kept | {
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": _home(),
        "ANSIBLE_LOCAL_TEMP": _home(),
        "ANSIBLE_NOCOLOR": "1",
    }


@functools.cache
def ansible() -> Any:
    """Ansible's parts, imported in that environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(isolation())
    try:
        from tests.oracle import parts

        return parts
    finally:
        os.environ.clear()
        os.environ.update(before)


def ansibles(sources: Sequence[str]) -> View:
    """What Ansible makes of these sources; its warnings are nobody's business here."""
    with contextlib.redirect_stderr(io.StringIO()):
        return _ansibles(ansible(), sources)


def _ansibles(parts: Any, sources: Sequence[str]) -> View:
    loader = parts.DataLoader()
    loader.set_basedir(_home())
    with _plugins(parts, ("script", "yaml")):
        inventory = parts.InventoryManager(loader, sources=list(sources))
    manager = parts.VariableManager(loader, inventory)
    connection: dict[str, dict[str, Any]] = {}
    memberships = {}
    unusable = set()
    for name, host in inventory.hosts.items():
        variables = manager.get_vars(host=host, include_hostvars=False, stage="all")
        memberships[name] = tuple(sorted(variables["group_names"]))
        try:
            connection[name] = parts.effective(loader, variables)
        except parts.AnsibleError:
            unusable.add(name)
    groups = inventory.groups
    return View(
        hosts=tuple(inventory.hosts),
        groups={n: tuple(host.name for host in group.get_hosts()) for n, group in groups.items()},
        branches={
            n: (tuple(h.name for h in g.hosts), tuple(c.name for c in g.child_groups))
            for n, g in groups.items()
        },
        memberships=memberships,
        connection=connection,
        unusable=frozenset(unusable),
        loose=frozenset(name for name, group in groups.items() if _is_loose(group)),
    )


@contextlib.contextmanager
def _plugins(parts: Any, names: Sequence[str]) -> Iterator[None]:
    before = parts.C.INVENTORY_ENABLED
    parts.C.INVENTORY_ENABLED = list(names)
    try:
        yield
    finally:
        parts.C.INVENTORY_ENABLED = before


def _is_loose(group: Any) -> bool:
    """Whether the order of a group's hosts hangs on how a set of groups is walked.

    Below the children, each level is walked as a set; that shows where two groups of a level
    bring hosts that are not there yet.
    """
    met = {host.name for kin in (group, *group.child_groups) for host in kin.hosts}
    seen = {group, *group.child_groups}
    level = set(group.child_groups)
    while level:
        below = set()
        bringing = 0
        for member in level:
            fresh = [child for child in member.child_groups if child not in seen]
            below.update(fresh)
            bringing += any(host.name not in met for child in fresh for host in child.hosts)
        if bringing > 1:
            return True
        met |= {host.name for member in below for host in member.hosts}
        seen |= below
        level = below
    return False


def ours(inventory: Any) -> View:
    """What a loaded `Inventory` says."""
    return View(
        hosts=tuple(host.name for host in inventory.hosts),
        groups=dict(inventory.groups),
        branches={name: (b.hosts, b.children) for name, b in inventory.branches.items()},
        memberships={host.name: host.groups for host in inventory.hosts},
        connection={
            host.name: {
                "address": host.address,
                "port": host.port,
                "user": host.user,
                "key_file": host.key_file,
                "become": host.become,
                "connection": host.connection,
            }
            for host in inventory.hosts
            if host.bad_config is None
        },
        unusable=frozenset(host.name for host in inventory.hosts if host.bad_config),
    )
