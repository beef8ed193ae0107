"""A document's nodes → the tree of groups and hosts, in the order in which Ansible walks them."""

from yaml.nodes import MappingNode, Node, ScalarNode

from fleet.inventory.address import RangeError, expand
from fleet.inventory.nodes import (
    INT,
    MAX_DEPTH,
    NULL,
    STR,
    Mappings,
    describe,
    error,
    integer,
    is_map,
    is_null,
    kind,
    may_be_secret,
    misplaced,
    quote,
    suggest,
)
from fleet.inventory.tree import Group, Tree, own_descendant
from fleet.inventory.variables import PORT, PRIORITY, Layer, ours

SECTIONS = ("children", "hosts", "vars")
MAX_REPEATS = 10_000  # two aliases in each of fifty groups would be 2 ** 50
_NOTHING = Layer({}, {})


class Walker:
    """Adds documents to a tree. Variables that aliases repeat are read once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._roots: list[MappingNode] = []  # nodes are told apart by their id, so they must live
        self._mappings = Mappings()
        self._walked: set[tuple[str, int]] = set()
        self._repeats = 0
        self._variables: dict[int, Layer] = {}

    def add(self, root: MappingNode) -> None:
        """Everything where it stands, children in depth."""
        self._roots.append(root)
        entries = self._mappings.entries(root)
        if "plugin" in entries and kind(entries["plugin"][1]) == STR:
            key = entries["plugin"][0]
            raise error(
                key,
                "configures an Ansible inventory plugin; expected groups and hosts "
                "(ansible-inventory --list prints them, and -i - reads that)",
            )
        for key, body in entries.values():
            self._group(key, body, ())

    def _group(self, key: ScalarNode, body: Node, above: tuple[str, ...]) -> Group:
        name = check_name(key, "group")
        group = self._tree.group(name)
        if is_null(body):
            return group
        if (name, id(body)) in self._walked:
            self._repeats += 1  # what an alias says again counts again, over what came between
            if self._repeats > MAX_REPEATS:
                raise error(key, f"aliases repeat groups more than {MAX_REPEATS:,} times")
        self._walked.add((name, id(body)))
        if len(above) > MAX_DEPTH:
            raise error(key, f"groups nest more than {MAX_DEPTH} levels deep")
        what = f"group {quote(name)}"
        sections = self._mappings.entries(_map(body, what, "a mapping of children, hosts and vars"))
        for section, (node, value) in sections.items():
            if section == "vars":
                self._vars(group, value)
            elif section == "hosts":
                for host, variables in self._listing(value, f"hosts of {what}"):
                    self._host(group, host, variables)
            elif section == "children":
                for child, inner in self._listing(value, f"children of {what}"):
                    self._child(group, child, inner, (*above, name))
            else:
                found = f"{what} has the key {quote(section)}, expected children, hosts or vars"
                raise error(node, found + suggest(section, SECTIONS))
        return group

    def _listing(self, value: Node, what: str) -> list[tuple[ScalarNode, Node]]:
        """The keys and bodies of `hosts` or `children`; a lone name will do, as for Ansible."""
        if is_null(value):
            return []
        if isinstance(value, ScalarNode) and kind(value) == STR:
            return [(value, ScalarNode(NULL, "", value.start_mark))]
        return list(self._mappings.entries(_map(value, what, "names, each with a colon")).values())

    def _vars(self, group: Group, value: Node) -> None:
        if is_null(value):
            return
        what = f"vars of group {quote(group.name)}"
        set_variables(group, ours(self._mappings, _map(value, what, "a mapping")))

    def _child(self, group: Group, key: ScalarNode, body: Node, above: tuple[str, ...]) -> None:
        if key.value == "all":
            raise error(key, "the group 'all' holds every group and is nobody's child")
        if key.value in above:
            raise own_descendant(key, [*above[above.index(key.value) :], key.value])
        self._tree.link(group, self._group(key, body, above), key)

    def _host(self, group: Group, key: ScalarNode, body: Node) -> None:
        try:
            names, port = expand(check_name(key, "host"))
        except RangeError as exc:
            raise error(key, f"host {quote(key.value)}: {exc}") from None
        layer = self._host_variables(key, body)
        for name in names:
            entry, new = self._tree.host(name, group, key)
            if new and port is not None:
                entry.variables = {PORT[0]: ScalarNode(INT, str(port), key.start_mark)}
            if layer.every:
                # A group of the same name takes them: so does Ansible, with a warning.
                self._tree.groups.get(name, entry).say(layer)

    def _host_variables(self, key: ScalarNode, body: Node) -> Layer:
        if is_null(body):
            return _NOTHING
        if id(body) not in self._variables:
            what = f"host {quote(key.value)}"
            found = ours(self._mappings, _map(body, what, "a mapping of variables, or nothing"))
            self._variables[id(body)] = found
        return self._variables[id(body)]


def set_variables(group: Group, layer: Layer) -> None:
    """Give a group variables; its priority is one of them."""
    priority = layer.known.pop(PRIORITY, None)
    if priority is not None:
        number = integer(priority)
        if number is None:
            found = describe(priority)
            raise error(priority, f"{PRIORITY} is {found}, expected a whole number")
        group.priority = number
    group.say(layer)


def _map(node: Node, what: str, expected: str) -> MappingNode:
    if not is_map(node):
        raise misplaced(node, f"{what} is", expected)
    return node


def check_name(key: ScalarNode, what: str) -> str:
    """The name of a group or host, which is harmless in an error and on a terminal."""
    name: str = key.value
    if not name:
        raise error(key, f"a {what} without a name")
    if not name.isprintable() or (what == "host" and " " in name):
        shown = f"a {what}'s name" if may_be_secret(name) else f"{what} {quote(name)}"
        raise error(key, f"{shown}: a name holds no whitespace or control characters")
    return name
