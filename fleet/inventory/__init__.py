"""Ansible's YAML inventory → frozen `Host` values.

```
file ─▶ document ─▶ walk ─────▶ tree ─────────▶ resolve ───▶ Host
        (nodes,      │ (order)   (precedence)    │ (verdicts)
        places)      ├ address                   └ settings ─ ssh_args
                     └ variables
```

What is wrong with the file ends the run with its place (`InventoryError`); what is wrong with
one host's variables is that host's `bad_config`. Only this package imports yaml.
"""

import os

from fleet.errors import InventoryError
from fleet.inventory.document import read_document
from fleet.inventory.host import Host, Inventory
from fleet.inventory.resolve import Resolver
from fleet.inventory.tree import Tree
from fleet.inventory.walk import Walker

__all__ = ["Host", "Inventory", "load"]


def load(path: str, *, private_key: str | None = None) -> Inventory:
    """Read the inventory at `path`; `private_key` serves the hosts for which it names none."""
    root = read_document(path)
    folder = os.path.dirname(path)
    _refuse_vars_folders(folder)
    tree = Tree()
    Walker(tree).add(root)
    tree.settle()
    resolver = Resolver(folder, private_key)
    return Inventory(
        hosts=tuple(resolver.host(found) for found in tree.effective()),
        groups={name: tree.members(name) for name in tree.groups},
    )


def _refuse_vars_folders(folder: str) -> None:
    for name in ("group_vars", "host_vars"):
        beside = os.path.join(folder, name)
        if os.path.isdir(beside):
            raise InventoryError(
                beside,
                f"this version does not read {name}: "
                "move its variables into the inventory file, and the folder elsewhere",
            )
