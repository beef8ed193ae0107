"""YAML nodes as an inventory means them: mappings read, values put into words, errors placed."""

import difflib
import re
from collections.abc import Iterable
from typing import TypeGuard

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.errors import InventoryError, spelled

MAX_DEPTH = 100  # of nodes, groups, merges: far beyond real trees, far within the stack

_YAML = "tag:yaml.org,2002:"
STR, INT, MAP, SEQ = _YAML + "str", _YAML + "int", _YAML + "map", _YAML + "seq"
NULL, MERGE, BOOL = _YAML + "null", _YAML + "merge", _YAML + "bool"
FLOAT = _YAML + "float"
OURS = ("ansible_", "fleet_")  # prefixes of variables that a connection may hang on
_WORDS = {
    BOOL: "the boolean",
    INT: "the number",
    FLOAT: "the number",
    _YAML + "timestamp": "the date",
    NULL: "nothing",
    MAP: "a mapping",
    SEQ: "a list",
}
_KINDS = dict.fromkeys((STR, *_WORDS), ScalarNode) | {MAP: MappingNode, SEQ: SequenceNode}
_JINJA = re.compile(r"\{\{|\{%|\{#")
_SECRET = re.compile(r"=|pass", re.IGNORECASE)  # `ansible_password=…`, a habit from INI
_MAX_DIGITS = 100
_MAX_NUMBER = 10**18
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")

Entries = dict[str, tuple[ScalarNode, Node]]


class Raw(ScalarNode):
    """A text that is no template, whatever it looks like: Ansible's `!unsafe`."""


class Mappings:
    """Reads mappings: `<<` merged, duplicate keys refused, aliases read once and never in circles.

    A merged mapping is remembered by its node, so that aliases of aliases cost what they weigh
    in the file and no more. With `lenient`, of keys that do not begin as `strict` says the last
    one counts, as for Ansible.
    """

    def __init__(self, lenient: bool = False, strict: tuple[str, ...] = OURS) -> None:
        self._lenient = lenient
        self._strict = strict
        self._merged: dict[int, tuple[int, Entries]] = {}
        self._open: set[int] = set()

    def entries(self, node: MappingNode, *, names: bool = True) -> Entries:
        """The keys that are text; with `names`, any other key is an error."""
        return self._read(node, names)[1]

    def _read(self, node: MappingNode, names: bool) -> tuple[int, Entries]:
        own: Entries = {}
        bases: list[Node] = []
        for key, value in node.value:
            tag = key.tag
            if tag == STR and isinstance(key, ScalarNode):
                first = own.setdefault(key.value, (key, value))
                if first[0] is not key:
                    if self._lenient and not key.value.startswith(self._strict):
                        own[key.value] = (key, value)
                        continue
                    line = first[0].start_mark.line + 1
                    raise error(key, f"the key {key.value!r} stands twice, first on line {line}")
            elif tag == MERGE:
                bases += reversed(value.value) if isinstance(value, SequenceNode) else [value]
            elif names:
                raise error(key, f"found {describe(key)} as a key, expected text (use quotes?)")
        if not bases:
            return 0, own
        merged: Entries = {}
        depth = 0
        for base in bases:
            below, found = self._base(base, node, names)
            depth = max(depth, below + 1)
            merged |= found
        return depth, merged | own

    def _base(self, base: Node, into: MappingNode, names: bool) -> tuple[int, Entries]:
        if not isinstance(base, MappingNode):
            raise misplaced(base, "found", "mappings after '<<'")
        if id(base) in self._merged:
            return self._merged[id(base)]
        if id(base) in self._open:
            raise error(into, "'<<' merges a mapping into itself")
        self._open.add(id(base))
        found = self._read(base, names) if len(self._open) <= MAX_DEPTH else (MAX_DEPTH, {})
        self._open.discard(id(base))
        if found[0] >= MAX_DEPTH:
            raise error(into, f"'<<' merges more than {MAX_DEPTH} levels deep")
        self._merged[id(base)] = found
        return found


def error(node: Node, message: str) -> InventoryError:
    """An error about `node`, at its place."""
    mark = node.start_mark
    return InventoryError(mark.name, message, mark.line + 1, mark.column + 1)


def misplaced(node: Node, subject: str, expected: str) -> InventoryError:
    """An error about a node of the wrong kind; a text that may hold a password is not shown."""
    if kind(node) == STR and may_be_secret(node.value):
        return error(node, f"{subject} a text; write `name: value` lines below it")
    return error(node, f"{subject} {describe(node)}, expected {expected}")


def may_be_secret(text: str) -> bool:
    """Whether a text that stands where none belongs may hold a password."""
    return _SECRET.search(text) is not None


def place(node: Node) -> str:
    """`file:line:column` of a node."""
    mark = node.start_mark
    return f"{spelled(mark.name)}:{mark.line + 1}:{mark.column + 1}"


def kind(node: Node) -> str:
    """The tag of a node of YAML's own types; "" for anyone else's, and for a tag that lies."""
    return node.tag if isinstance(node, _KINDS.get(node.tag, ())) else ""


def is_map(node: Node) -> TypeGuard[MappingNode]:
    """Whether `node` is a plain mapping."""
    return kind(node) == MAP


def is_null(node: Node) -> bool:
    """Whether nothing stands in `node`."""
    return kind(node) == NULL


def integer(node: Node) -> int | None:
    """The whole number that stands in `node`, as number or as text, if one does."""
    if kind(node) == INT and isinstance(node, ScalarNode) and len(node.value) <= _MAX_DIGITS:
        try:
            number = int(yaml.constructor.SafeConstructor().construct_yaml_int(node))
        except (ValueError, IndexError):
            return None
        return number if abs(number) < _MAX_NUMBER else None
    if kind(node) == STR and _WHOLE.fullmatch(node.value):
        return int(node.value)
    return None


def text(node: Node) -> str | None:
    """The text that stands in `node`; a whole number passes for text, a template does not."""
    if kind(node) == INT:
        number = integer(node)
        return None if number is None else str(number)
    return str(node.value) if kind(node) == STR and not is_template(node) else None


def is_template(node: Node) -> bool:
    """Whether Ansible would run `node`'s text through Jinja."""
    return (
        kind(node) == STR
        and "{" in node.value
        and not isinstance(node, Raw)
        and (_JINJA.search(node.value) is not None)
    )


def plain(node: Node) -> Node:
    """`node` without Ansible's wrappings, those of YAML (`!unsafe`) and those of its JSON."""
    if isinstance(node, ScalarNode):
        return node if node.tag != "!unsafe" else Raw(STR, node.value, node.start_mark)
    if isinstance(node, MappingNode) and len(node.value) == 1:
        key, value = node.value[0]
        if key.value == "__ansible_unsafe" and kind(value) == STR:
            return Raw(STR, value.value, value.start_mark)
        if key.value == "__ansible_vault":
            return ScalarNode("!vault", "encrypted", value.start_mark)
    return node


def describe(node: Node) -> str:
    """What stands in a node, in words; the content of foreign types is never shown."""
    found = kind(node)
    if found == "":
        return f"a value tagged {node.tag.replace(_YAML, '!!')}"
    if found == STR:
        return f"{'the template' if is_template(node) else 'the text'} {quote(node.value)}"
    words = _WORDS[found]
    if not isinstance(node, ScalarNode) or found == NULL:
        return words
    return f"{words} {quote(node.value)[1:-1]}"


def describe_kind(node: Node) -> str:
    """What kind of value stands in a node; its content is not shown."""
    found = kind(node)
    if found == STR:
        return "a template" if is_template(node) else "a text"
    if found in (MAP, SEQ, NULL, ""):
        return describe(node)
    return _WORDS[found].replace("the ", "a ", 1)


def quote(text: str) -> str:
    """`text` in quotes, harmless and not too long."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def suggest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'x'?` where a known word is close, apart from the prefix of them all."""
    rests = sorted(name.removeprefix(prefix) for name in known)
    close = difflib.get_close_matches(word.removeprefix(prefix), rests, n=1)
    return f"; did you mean {prefix + close[0]!r}?" if close else ""
