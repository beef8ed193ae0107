"""Ansible's host patterns → which hosts. Pure.

```
pattern := term ("," term)*      where there is no comma, ":" separates as well
term    := ["!" | "&"] atom      no term without a sign: "all" is meant
atom    := "all" | name of a host | name of a group | glob (* ? [abc] [!abc])
```

Several patterns count as one: all their terms are gathered, as if commas stood between them, and
then taken in Ansible's order: unions, intersections (`&`), exclusions (`!`). So `web '!db'` takes
`db` away from `web`; it does not add everything but `db`.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.errors import UsageError
from fleet.inventory import Host, Inventory
from fleet.inventory.address import split_port

_SIGNS = "!&"
_GLOB = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"[.?*\[]")
_BETWEEN_COLONS = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SUBSCRIPT = re.compile(r".+\[(?:-?[0-9]+|[0-9]+[:-][0-9]*)\]")


@dataclass(frozen=True, slots=True)
class Selection:
    """The hosts that patterns mean, in order, and what did not match anything."""

    hosts: tuple[Host, ...]
    warnings: tuple[str, ...] = ()


def select(patterns: Sequence[str], limit: str | None, inventory: Inventory) -> Selection:
    """The hosts that `patterns` mean, of those that `limit` means.

    No pattern means `all`. Hosts stand in the order of the terms, within a term in the
    inventory's. Where nothing is left, UsageError names the patterns.
    """
    matcher = _Matcher(inventory)
    chosen = matcher.evaluate(matcher.terms(patterns))
    if limit is not None and (terms := matcher.terms([limit])):
        allowed = matcher.evaluate(terms)
        chosen = {name: None for name in chosen if name in allowed}
    if not chosen:
        within = f" within the limit {limit!r}" if limit else ""
        raise UsageError(f"no host matches {','.join(patterns) or 'all'!r}{within}")
    by_name = matcher.hosts
    return Selection(tuple(by_name[name] for name in chosen), tuple(matcher.warnings))


class _Matcher:
    """Evaluates terms against one inventory; names in dicts, to keep their order."""

    def __init__(self, inventory: Inventory) -> None:
        self.hosts = {host.name: host for host in inventory.hosts}
        self.warnings: dict[str, None] = {}
        self._groups = inventory.groups

    def evaluate(self, terms: Sequence[str]) -> dict[str, None]:
        """Unions first, then intersections, then exclusions, in whatever order they came."""
        unions = [term for term in terms if term[0] not in _SIGNS] or ["all"]
        chosen: dict[str, None] = {}
        for term in unions:
            chosen |= {term: None} if term in self.hosts else self._match(term)
        for sign, keep in (("&", True), ("!", False)):
            for term in terms:
                if term[0] == sign:
                    found = self._match(term[1:])
                    chosen = {name: None for name in chosen if (name in found) is keep}
        return chosen

    def terms(self, patterns: Iterable[str]) -> list[str]:
        """The terms of all patterns, each pattern split by its own commas or colons."""
        return [term for pattern in patterns for term in self._split(pattern)]

    def _split(self, pattern: str) -> list[str]:
        if "," in pattern:
            parts: Sequence[str] = pattern.split(",")
        elif pattern.strip().lstrip(_SIGNS) in self.hosts or split_port(pattern):
            parts = (pattern,)  # an IPv6 address, `name:22`: Ansible leaves these whole
        else:
            parts = _BETWEEN_COLONS.findall(pattern)
        return [stripped for part in parts if (stripped := part.strip())]

    def _match(self, atom: str) -> dict[str, None]:
        """The hosts of groups; single hosts too, unless a group has just that plain name."""
        _refuse_what_comes_later(atom)
        groups = self._matching(atom, self._groups)
        found: dict[str, None] = {}
        for group in groups:
            found |= dict.fromkeys(self._groups[group])
        if not groups or _SPECIAL.search(atom):
            found |= dict.fromkeys(self._matching(atom, self.hosts))
        if not groups and not found and atom != "all":
            self.warnings[f"{atom!r} matches no host and no group"] = None
        return found

    def _matching(self, atom: str, names: Iterable[str]) -> list[str]:
        if not _GLOB.search(atom):
            return [atom] if atom in names else []
        fits = re.compile(fnmatch.translate(atom)).match
        return [name for name in names if fits(name)]


def _refuse_what_comes_later(atom: str) -> None:
    """What Ansible knows and this version does not, so that nothing is misread as a glob."""
    if not atom:
        raise UsageError("a pattern of '!' or '&' alone names nothing")
    for applies, what in (
        (atom[0] == "~", "a regular expression"),
        (atom[0] == "@", "a file of patterns"),
        (_SUBSCRIPT.fullmatch(atom), "a subscript"),
    ):
        if applies:
            raise UsageError(f"the pattern {atom!r} is {what}, which this version does not support")
