"""`fleet_labels`: which variables become columns, and what each host has in them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from yaml.constructor import SafeConstructor
from yaml.nodes import Node, ScalarNode

from fleet.inventory.nodes import (
    BOOL,
    FLOAT,
    INT,
    describe_kind,
    error,
    integer,
    is_null,
    is_template,
    kind,
    place,
    quote,
)
from fleet.inventory.templates import Lookup, NotPlain, evaluate
from fleet.inventory.tree import Effective
from fleet.inventory.variables import LABELS, label_nodes

MAX_LABELS = 8
MAX_VALUES = 1_000
MAX_CHARACTERS = 255

_BOOLEANS = dict.fromkeys(("y", "yes", "true", "on"), "true") | dict.fromkeys(
    ("n", "no", "false", "off"), "false"
)


@dataclass(slots=True)
class _Label:
    """One label while its values are read: where it was named, its values, what has none."""

    node: ScalarNode
    values: set[str] = field(default_factory=set)
    unusable: list[str] = field(default_factory=list)  # why, of the first; then hosts


class Labels:
    """Reads the labels of all hosts; `reserved` are names, in lower case, that none may have."""

    def __init__(
        self, hosts: Sequence[Effective], reserved: frozenset[str], many_labels: bool
    ) -> None:
        self._reserved = reserved
        self._many = many_labels
        self._labels: dict[str, _Label] = {}
        self._named: dict[int, tuple[Node, frozenset[str]]] = {}
        for host in hosts:
            node = host.known(LABELS)
            if node is not None and id(node) not in self._named:
                nodes = label_nodes(node)
                self._named[id(node)] = (node, frozenset(label.value for label in nodes))
                for label in nodes:
                    self._name(label)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their first appearance."""
        return tuple(self._labels)

    @property
    def warnings(self) -> list[str]:
        """One line for each label that some hosts cannot have."""
        lines = []
        for name, label in self._labels.items():
            if label.unusable:
                why, *others = label.unusable
                s = "s" if others[1:] else ""
                more = f" (and {len(others)} host{s} more)" if others else ""
                lines.append(f"{why}; the label {name!r} stays empty{more}")
        return lines

    def of(self, host: Effective, lookup: Callable[[Effective], Lookup]) -> tuple[str | None, ...]:
        """The values of one host, in the order of the names; None for what it does not have."""
        node = host.known(LABELS)
        if node is None or not self._labels:
            return (None,) * len(self._labels)
        mine, find = self._named[id(node)][1], lookup(host)
        return tuple(
            self._value(host, name, label, find) if name in mine else None
            for name, label in self._labels.items()
        )

    def check(self) -> None:
        """Refuse a label with too many values, once those of all hosts are read."""
        for name, label in self._labels.items():
            if len(label.values) > MAX_VALUES and not self._many:
                raise error(
                    label.node,
                    f"the label {name!r} has {len(label.values):,} values, and a column of more "
                    f"than {MAX_VALUES:,} makes tables slow; --many-labels allows it",
                )

    def _name(self, node: ScalarNode) -> None:
        name: str = node.value
        if name in self._labels:
            return
        if name.lower() in self._reserved:
            raise error(
                node,
                f"{LABELS} names {name!r}, which is a column of fleet's own, or of its dashboards",
            )
        for other in self._labels:
            if other.lower() == name.lower():
                raise error(
                    node, f"{LABELS} names {name!r} and {other!r}: for a database they are one"
                )
        if len(self._labels) == MAX_LABELS:
            raise error(node, f"{LABELS} names {name!r}, one label more than {MAX_LABELS} in all")
        self._labels[name] = _Label(node)

    def _value(self, host: Effective, name: str, label: _Label, find: Lookup) -> str | None:
        node = find(name)
        if node is None:
            return None
        try:
            found = evaluate(node, find)
            text = _canonical(found)
            why = _unusable(found, text)
        except NotPlain as exc:
            text, why = None, f"{describe_kind(node)}, {exc}"
        if why:
            first = f"{place(node)}: host {quote(host.name)}: {name} is {why}"
            label.unusable.append(host.name if label.unusable else first)
            return None
        if text:
            label.values.add(text)
        return text or None


def _canonical(node: Node) -> str | None:
    """The text of a value, the same whether YAML says it or the JSON that Ansible makes of it."""
    if not kind(node) or not isinstance(node, ScalarNode) or is_template(node):
        return None
    if kind(node) == BOOL:
        return _BOOLEANS.get(node.value.lower())
    if kind(node) == INT:
        number = integer(node)
        return node.value if number is None else str(number)
    if kind(node) == FLOAT:
        try:
            return json.dumps(SafeConstructor().construct_yaml_float(node))
        except (ValueError, IndexError):
            return None
    return "" if is_null(node) else str(node.value)


def _unusable(node: Node, text: str | None) -> str:
    """Why a value can be nobody's label."""
    if text is None:
        return f"{describe_kind(node)}, expected text or a number"
    if len(text) > MAX_CHARACTERS:
        return f"a text of {len(text):,} characters, of which a label holds {MAX_CHARACTERS}"
    if not text.isprintable():
        return f"{describe_kind(node)}, with characters that cannot be printed"
    return ""
