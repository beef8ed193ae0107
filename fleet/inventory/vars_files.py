"""`group_vars/` and `host_vars/` beside an inventory: which files they are, and what they say.

Files are looked up by the names of groups and hosts, so that what stands there for nobody is not
read. A file that is encrypted as a whole says nothing: nobody can know what stands in it.
"""

import errno
import os
import stat
from collections.abc import Iterator

from fleet.errors import InventoryError
from fleet.inventory.document import read_variables, unreadable
from fleet.inventory.nodes import Mappings
from fleet.inventory.tree import Tree
from fleet.inventory.variables import PRIORITY, Layer, ours

_EXTENSIONS = ("", ".yml", ".yaml", ".json")  # the first that is there counts
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # no file can be there
_MAX_FOLDERS = 20  # below each other: more can only be a circle of links


class VarsFiles:
    """Adds the files beside inventories to a tree; `bases` learns whose file each one is."""

    def __init__(self, tree: Tree, bases: dict[str, str]) -> None:
        self._tree = tree
        self._bases = bases
        self._layers: dict[str, Layer | None] = {}
        self._mappings = Mappings(lenient=True)
        self._kept: list[object] = []  # nodes are told apart by their id, so they must live

    def add(self, number: int, folder: str) -> None:
        """Read what stands in `folder` for the groups and hosts of the tree.

        Of several inventories the one with the higher `number` counts.
        """
        groups = _Names(os.path.join(folder, "group_vars"))
        if groups.there:
            for group in self._tree.groups.values():
                for layer in self._of(groups, group.name, folder):
                    # A priority orders these very files, so it cannot stand in one of them.
                    layer.known.pop(PRIORITY, None)
                    group.files.append((number, layer))
        hosts = _Names(os.path.join(folder, "host_vars"))
        if hosts.there:
            for name, entry in self._tree.hosts.items():
                for layer in self._of(hosts, name, folder):
                    entry.say(layer)

    def _of(self, names: "_Names", name: str, folder: str) -> Iterator[Layer]:
        for path in names.files(name):
            if path not in self._layers:
                self._layers[path] = self._read(path)
                self._bases[path] = folder
            layer = self._layers[path]
            if layer is not None:
                yield layer

    def _read(self, path: str) -> Layer | None:
        root = read_variables(path)
        if root is None:
            return None
        self._kept.append(root)
        return ours(self._mappings, root)


class _Names:
    """The files of one of the two folders, by the names that they are for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        there = _is_folder(_mode(folder))
        self._listed = frozenset(_listing(folder)) if there else frozenset()
        self.there = bool(self._listed)

    def files(self, name: str) -> Iterator[str]:
        """The files for a group or a host: one, or those of a folder of that name."""
        for extension in _EXTENSIONS:
            file = name + extension
            if file in self._listed or "/" in file:
                path = os.path.join(self._folder, file)
                mode = _mode(path) if name[0] != "/" else None
                if mode is not None:
                    if _is_folder(mode):
                        yield from _below(path, _MAX_FOLDERS)
                    else:
                        yield path
                    return


def _below(folder: str, levels: int) -> Iterator[str]:
    if not levels:
        raise InventoryError(folder, f"lies more than {_MAX_FOLDERS} folders deep")
    for name in sorted(_listing(folder)):
        path, extension = os.path.join(folder, name), os.path.splitext(name)[1]
        if name.startswith(".") or name.endswith("~"):
            continue
        mode = _mode(path)
        if _is_folder(mode):
            if not extension:
                yield from _below(path, levels - 1)
        elif extension in _EXTENSIONS and mode is not None:
            yield path


def _mode(path: str) -> int | None:
    """What kind of file is at `path`; None where none is, which is not where none may be seen."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno in _ABSENT:
            return None
        raise unreadable(path, exc) from None


def _is_folder(mode: int | None) -> bool:
    return mode is not None and stat.S_ISDIR(mode)


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as exc:
        raise unreadable(folder, exc) from None
