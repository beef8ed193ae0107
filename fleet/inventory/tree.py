"""Groups and hosts of an inventory, how they hang together, and whose variables count."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from yaml.nodes import Node

from fleet.errors import InventoryError
from fleet.inventory.nodes import Entries, error, plain, quote
from fleet.inventory.variables import Layer, Variables

MAX_HOSTS = 200_000
MAX_LISTINGS = 2_000_000  # of hosts in groups, the same ones again among them

Names = dict[str, None]  # a set that keeps its order


@dataclass(slots=True, eq=False)
class Group:
    """One group while the tree grows."""

    name: str
    hosts: Names = field(default_factory=dict)
    children: Names = field(default_factory=dict)
    parents: Names = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    every: tuple[Entries, ...] = ()
    files: list[tuple[int, Layer]] = field(default_factory=list)
    priority: int = 1
    depth: int = 0

    def say(self, layer: Layer) -> None:
        """Take variables, over those that are here."""
        self.variables = self.variables | layer.known
        self.every = (*self.every, layer.every)


@dataclass(slots=True, eq=False)
class Entry:
    """One host while the tree grows: where it was first named, its groups and own variables."""

    node: Node
    groups: Names = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    every: tuple[Entries, ...] = ()

    def say(self, layer: Layer) -> None:
        """Take variables, over those that are here."""
        self.variables = self.variables | layer.known if self.variables else layer.known
        self.every = (*self.every, layer.every)


class Every(NamedTuple):
    """What groups say together: their names, the variables that this version reads, and all."""

    groups: tuple[str, ...]
    known: Variables
    every: tuple[Entries, ...]


@dataclass(slots=True, eq=False)
class Effective:
    """A host in the end: what it says itself, and what its groups say, which counts less.

    `own` are those that this version reads; `every` holds all there are, of which the last counts.
    """

    name: str
    node: Node
    shared: Every
    own: Variables
    every: tuple[Entries, ...]

    @property
    def variables(self) -> Variables:
        """The variables that this version reads."""
        return self.shared.known | self.own if self.own else self.shared.known

    def known(self, name: str) -> Node | None:
        """The value of a variable that this version reads."""
        return self.own[name] if name in self.own else self.shared.known.get(name)

    def value(self, name: str) -> Node | None:
        """The value of any variable at all."""
        if name in self.own or name in self.shared.known:
            return self.known(name)
        for every in (self.every, self.shared.every):
            for entries in reversed(every):
                if name in entries:
                    return plain(entries[name][1])
        return None


class Tree:
    """Grows by `group`, `host` and `link`; `settle` fixes it; `members` and `effective` read it."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.hosts: dict[str, Entry] = {}
        self._listings = 0
        self._links: dict[tuple[str, str], Node] = {}
        self._join(self.group("all"), self.group("ungrouped"))

    def group(self, name: str) -> Group:
        """The group of that name, made where it is new."""
        if name not in self.groups:
            self.groups[name] = Group(name)
        return self.groups[name]

    def host(self, name: str, group: Group, node: Node) -> tuple[Entry, bool]:
        """The host of that name, now listed by `group`, as `node` says; and whether it is new."""
        new = name not in self.hosts
        self._listings += 1
        if self._listings > MAX_LISTINGS:
            raise error(node, f"groups list hosts more than {MAX_LISTINGS:,} times up to here")
        if new:
            if len(self.hosts) == MAX_HOSTS:
                raise error(node, f"there are more than {MAX_HOSTS:,} hosts up to here")
            self.hosts[name] = Entry(node)
        entry = self.hosts[name]
        group.hosts[name] = entry.groups[group.name] = None
        return entry, new

    def link(self, parent: Group, child: Group, node: Node) -> None:
        """Make `child` a child of `parent`, as `node` says."""
        self._links.setdefault((parent.name, child.name), node)
        self._join(parent, child)

    def settle(self) -> None:
        """Hang loose groups below `all`, put loose hosts into `ungrouped`, find the depths."""
        every, ungrouped = self.groups["all"], self.groups["ungrouped"]
        for group in self.groups.values():
            if group is not every and not group.parents:
                self._join(every, group)
        self._find_depths()
        for name, entry in self.hosts.items():
            if entry.groups.keys() - {"all", "ungrouped"}:
                entry.groups.pop("ungrouped", None)
                ungrouped.hosts.pop(name, None)
            else:
                entry.groups["ungrouped"] = ungrouped.hosts[name] = None

    def members(self, name: str) -> tuple[str, ...]:
        """A group's hosts, then its children's, level by level, as Ansible lists them.

        Below the second level Ansible's own order hangs on a hash seed; ours is one of those
        that it can show, with the groups of a level as they are defined.
        """
        found = dict(self.groups[name].hosts)
        level, seen = dict(self.groups[name].children), {name}
        while level:
            seen |= level.keys()
            below: Names = {}
            for group in level:
                found |= self.groups[group].hosts
                below |= self.groups[group].children
            level = {group: None for group in below if group not in seen}
        return tuple(found)

    def effective(self) -> Iterator[Effective]:
        """Every host in the order of its first appearance, with what counts for it.

        The last one wins of: `all`, the groups by depth, priority and name, the host itself.
        """
        shared: dict[tuple[str, ...], Every] = {}
        for name, entry in self.hosts.items():
            key = tuple(entry.groups)
            if key not in shared:
                shared[key] = self._of_groups(key)
            yield Effective(name, entry.node, shared[key], entry.variables, entry.every)

    def _of_groups(self, names: Sequence[str]) -> Every:
        """These groups and those above them, but for `all`; and what counts in them.

        Files come after inventories, and count by their inventory before they count by group.
        """
        found: dict[str, Group] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.groups[name]
                waiting += found[name].parents
        every = found.pop("all")
        groups = sorted(found.values(), key=lambda g: (g.depth, g.priority, g.name))
        files = [file for group in groups for file in group.files]
        layers = [layer for _, layer in (*every.files, *sorted(files, key=lambda file: file[0]))]
        merged: Variables = {}
        for variables in (group.variables for group in (every, *groups)):
            merged |= variables
        for layer in layers:
            merged |= layer.known
        of_groups = [entries for group in (every, *groups) for entries in group.every]
        everything = (*of_groups, *(layer.every for layer in layers))
        return Every(tuple(sorted(found)), merged, everything)

    def _join(self, parent: Group, child: Group) -> None:
        parent.children[child.name] = child.parents[parent.name] = None

    def _find_depths(self) -> None:
        """Depth is the longest way down from `all`; what hangs in a circle has none."""
        open_parents = {name: len(group.parents) for name, group in self.groups.items()}
        ready = [self.groups["all"]]
        while ready:
            group = ready.pop()
            del open_parents[group.name]
            for name in group.children:
                child = self.groups[name]
                child.depth = max(child.depth, group.depth + 1)
                open_parents[name] -= 1
                if open_parents[name] == 0:
                    ready.append(child)
        if open_parents:
            raise self._circle(open_parents.keys())

    def _circle(self, stuck: Collection[str]) -> InventoryError:
        """A circle among groups that all have parents among them; its last link is to blame."""
        upwards: list[str] = []
        name = next(iter(stuck))
        while name not in upwards:
            upwards.append(name)
            name = next(parent for parent in self.groups[name].parents if parent in stuck)
        circle = upwards[upwards.index(name) :][::-1]
        links = zip(circle, circle[1:] + circle[:1], strict=True)
        order = list(self._links)
        last = max(links, key=order.index)
        start = circle.index(last[1])
        return own_descendant(self._links[last], [*circle[start:], *circle[:start], last[1]])


def own_descendant(node: Node, names: Sequence[str]) -> InventoryError:
    """A circle of groups, closed at `node`."""
    return error(node, f"group {quote(names[0])} is its own descendant: {' > '.join(names)}")
