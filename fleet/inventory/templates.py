"""Plain templates: the names of variables in double braces, and nothing cleverer."""

import re
from collections.abc import Callable

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.inventory.nodes import BOOL, INT, STR, Raw, describe, integer, is_template, kind, quote

Lookup = Callable[[str], Node | None]

_NAME = re.compile(r"\{\{[-+]?\s*([A-Za-z_]\w*)\s*[-+]?\}\}")
_MORE = re.compile(r"\{\{|\{%|\{#|\}\}|%\}|#\}")
_MAX_CHAIN = 20
_MAX_LOOKUPS = 1000  # of one value: two names in each of eighteen variables would be 2 ** 18
_MAX_TEXT = 64 * 1024
_TRUE = ("y", "yes", "true", "on")


class NotPlain(ValueError):
    """A template that is not evaluated, and why."""


def evaluate(node: Node, lookup: Lookup, chain: tuple[str, ...] = ()) -> Node:
    """What a value comes to, at the place where the template stands; NotPlain where nothing does.

    A template alone takes over what its variable is, a number or a list; in a longer text it is
    replaced by text.
    """
    if not is_template(node):
        return node
    if not chain:
        lookup = _counted(lookup)
    template: str = node.value
    if whole := _NAME.fullmatch(template.strip()):
        return _placed(_variable(whole[1], lookup, chain), node)
    if _MORE.search(_NAME.sub("", template)):
        raise NotPlain("which is more than names of variables, and fleet evaluates no more")
    size = 0

    def inserted(found: re.Match[str]) -> str:
        nonlocal size
        text = _text(found[1], _variable(found[1], lookup, chain))
        size += len(text)
        if size > _MAX_TEXT:
            raise NotPlain("which grows beyond all bounds")
        return text

    return Raw(STR, _NAME.sub(inserted, template), node.start_mark)


def _counted(lookup: Lookup) -> Lookup:
    """The same variables, a bounded number of times."""
    count = 0

    def counted(name: str) -> Node | None:
        nonlocal count
        count += 1
        if count > _MAX_LOOKUPS:
            raise NotPlain("which grows beyond all bounds")
        return lookup(name)

    return counted


def _variable(name: str, lookup: Lookup, chain: tuple[str, ...]) -> Node:
    if name in chain:
        raise NotPlain(f"which leads back to itself: {' > '.join((*chain, name))}")
    if len(chain) >= _MAX_CHAIN:
        raise NotPlain(f"which leads through more than {_MAX_CHAIN} variables")
    node = lookup(name)
    if node is None:
        raise NotPlain(f"and nothing defines {quote(name)}")
    found = evaluate(node, lookup, (*chain, name))
    if not kind(found):
        raise NotPlain(f"and {quote(name)} is {describe(found)}, which fleet cannot read")
    return found


def _text(name: str, node: Node) -> str:
    """A variable within a text, as Python would print it."""
    if kind(node) == STR:
        return str(node.value)
    if kind(node) == INT and (number := integer(node)) is not None:
        return str(number)
    if kind(node) == BOOL:
        return str(node.value.lower() in _TRUE)
    raise NotPlain(f"and {quote(name)} is {describe(node)}, expected text or a number")


def _placed(node: Node, at: Node) -> Node:
    """The value of `node` where `at` stands."""
    if isinstance(node, ScalarNode):
        of = Raw if isinstance(node, Raw) or node.tag == STR else ScalarNode
        return of(node.tag, node.value, at.start_mark)
    if isinstance(node, SequenceNode):
        return SequenceNode(node.tag, node.value, at.start_mark)
    return MappingNode(node.tag, node.value, at.start_mark)
