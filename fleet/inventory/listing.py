"""The JSON of `ansible-inventory --list`, which dynamic inventories print too → the tree."""

from yaml.nodes import MappingNode, Node, ScalarNode

from fleet.inventory.nodes import (
    SEQ,
    STR,
    Mappings,
    describe,
    error,
    is_map,
    is_null,
    kind,
    misplaced,
    quote,
    suggest,
)
from fleet.inventory.sources import Document
from fleet.inventory.tree import Group, Tree
from fleet.inventory.variables import ours
from fleet.inventory.walk import SECTIONS, check_name, set_variables

_META = "_meta"


def is_listing(document: Document) -> bool:
    """Whether a document is such JSON: it has `_meta`, or groups whose hosts are lists."""
    if not document.json:
        return False
    if document.printed:
        return True
    for key, value in document.root.value:
        if key.value == _META or kind(value) == SEQ:
            return True
        if is_map(value):
            for section, inner in value.value:
                if section.value in ("hosts", "children") and kind(inner) == SEQ:
                    return True
    return False


class Listing:
    """Adds such documents to a tree. Names stand as they are: ranges are for YAML."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._mappings = Mappings(lenient=True, strict=())  # of JSON's keys the last one counts
        self._named = False  # whether the document has hosts
        self._roots: list[MappingNode] = []

    def add(self, document: Document) -> None:
        """Groups in their order, then the variables of the hosts."""
        self._roots.append(document.root)
        self._named = False
        entries = self._mappings.entries(document.root)
        meta = entries.pop(_META, None)
        for key, body in entries.values():
            self._group(key, body)
        if meta is not None:
            self._hostvars(*meta)
        elif document.printed and self._named:
            raise error(
                document.root,
                "the JSON has no _meta with hostvars, and fleet does not ask for each host "
                "with --host: let --list print them",
            )

    def _group(self, key: ScalarNode, body: Node) -> None:
        group = self._tree.group(check_name(key, "group"))
        what = f"group {quote(group.name)}"
        if kind(body) == SEQ:
            self._hosts(group, body, what)
            return
        if not is_map(body):
            raise misplaced(body, f"{what} is", "hosts, children and vars")
        sections = self._mappings.entries(body)
        for section, (node, _) in sections.items():
            if section not in SECTIONS and (hint := suggest(section, SECTIONS)):
                found = f"{what} has the key {quote(section)}, expected children, hosts or vars"
                raise error(node, found + hint)
        if "hosts" in sections:
            self._hosts(group, sections["hosts"][1], f"hosts of {what}")
        if "vars" in sections:
            variables = sections["vars"][1]
            if not is_map(variables):
                raise misplaced(variables, f"vars of {what} is", _A_MAP)
            set_variables(group, ours(self._mappings, variables))
        if "children" in sections:
            for child in _names(sections["children"][1], f"children of {what}", "group"):
                if child.value == "all":
                    raise error(child, "the group 'all' holds every group and is nobody's child")
                self._tree.link(group, self._tree.group(child.value), child)

    def _hosts(self, group: Group, value: Node, what: str) -> None:
        for host in _names(value, what, "host"):
            self._tree.host(host.value, group, host)
            self._named = True

    def _hostvars(self, key: ScalarNode, meta: Node) -> None:
        if not is_map(meta):
            raise misplaced(meta, "_meta is", "a mapping with hostvars")
        found = self._mappings.entries(meta).get("hostvars")
        if found is None:
            raise error(key, "_meta has no hostvars")
        if not is_map(found[1]):
            raise misplaced(found[1], "hostvars is", _A_MAP)
        for name, (_, variables) in self._mappings.entries(found[1]).items():
            if not is_map(variables):
                what = f"the variables of host {quote(name)}"
                raise misplaced(variables, f"{what}: found", _A_MAP)
            entry = self._tree.hosts.get(name)
            if entry is not None:  # a host of no group is no host, for Ansible
                self._tree.groups.get(name, entry).say(ours(self._mappings, variables))


_A_MAP = "a mapping"


def _names(value: Node, what: str, of: str) -> list[ScalarNode]:
    if is_null(value):
        return []
    if kind(value) != SEQ:
        raise misplaced(value, f"{what} is", "a list of names")
    for node in value.value:
        if kind(node) != STR:
            raise error(node, f"{what}: found {describe(node)}, expected a name")
        check_name(node, of)
    return list(value.value)
