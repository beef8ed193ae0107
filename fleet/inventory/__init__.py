"""Ansible's YAML inventory → frozen `Host` values.

```
-i ─▶ sources ─▶ document ─▶ walk, listing ─▶ tree ─────────▶ resolve ───▶ Host
      (program)  (nodes,     (vars_files)     (precedence)    │ (verdicts)
                 places)      ├ address                       ├ settings ─ ssh_args, templates
                              └ variables                     ├ jumps, labels
                                                              └ explain
```

What is wrong with the file ends the run with its place (`InventoryError`); what is wrong with
one host's variables is that host's `bad_config`. Only this package imports yaml.
"""

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence

from fleet.inventory.explain import explain
from fleet.inventory.host import Branch, Host, Inventory, Setting
from fleet.inventory.labels import Labels
from fleet.inventory.listing import Listing, is_listing
from fleet.inventory.resolve import Resolver
from fleet.inventory.sources import documents, folder_of
from fleet.inventory.tree import Tree
from fleet.inventory.vars_files import VarsFiles
from fleet.inventory.walk import Walker

__all__ = ["Branch", "Host", "Inventory", "Setting", "load"]


def load(
    *sources: str,
    private_key: str | None = None,
    reserved: frozenset[str] = frozenset(),
    many_labels: bool = False,
) -> Inventory:
    """Read the inventories at `sources`; `private_key` serves the hosts for which they name none.

    `reserved` are names, in lower case, that no label may have; `many_labels` lets a label have
    more than 1,000 values.
    """
    with _uncollected():
        return _load(sources, private_key, reserved, many_labels)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: all that a document becomes is in use, and there is much."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _load(
    sources: Sequence[str], private_key: str | None, reserved: frozenset[str], many_labels: bool
) -> Inventory:
    bases: dict[str, str] = {}
    tree = _tree(sources, bases)
    effective = list(tree.effective())
    labels = Labels(effective, reserved, many_labels)
    resolver = Resolver(bases, private_key)
    hosts = resolver.hosts(effective, labels)
    resolver.forget()
    return Inventory(
        hosts=hosts,
        groups={name: tree.members(name) for name in tree.groups},
        branches={
            name: Branch(tuple(group.hosts), tuple(group.children))
            for name, group in tree.groups.items()
        },
        labels=labels.names,
        warnings=tuple(labels.warnings),
        explainer=lambda host: explain(resolver, host, labels.names),
    )


def _tree(sources: Sequence[str], bases: dict[str, str]) -> Tree:
    """All that the sources and the files beside them say; `bases` learns whose file each one is."""
    tree = Tree()
    walker, listing = Walker(tree), Listing(tree)
    for source in sources:
        folder = folder_of(source)
        for document in documents(source):
            bases[document.name] = os.path.dirname(document.name) if folder is None else folder
            if is_listing(document):
                listing.add(document)
            else:
                walker.add(document.root)
    tree.settle()
    files = VarsFiles(tree, bases)
    for number, source in enumerate(sources):
        folder = folder_of(source)
        if folder is not None:
            files.add(number, folder)
    return tree
