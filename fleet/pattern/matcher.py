"""Terms → the names of hosts, by Ansible's rules."""

import fnmatch
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fleet.errors import UsageError
from fleet.inventory import Inventory
from fleet.pattern.names import did_you_mean
from fleet.pattern.terms import SIGNS

_GLOB = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"^~|[.?*\[]")
_SUBSCRIPTED = re.compile(r"(.+)\[(?:(-?[0-9]+)|([0-9]+)([:-])([0-9]*))\]")
_LOCALHOST = ("localhost", "127.0.0.1", "::1")
_HINTS_MAX = 5
"""Looking for close names among thousands takes a moment each time."""


_MISSES_TOLD = 10


class Subscript(NamedTuple):
    """Which of the hosts of an expression are meant: one, or from `first` to `last`."""

    text: str
    first: int
    last: int | None

    def of(self, names: Sequence[str]) -> Sequence[str]:
        """The names that are meant; IndexError where there is no such one."""
        if not self.last:  # a last one of 0 counts as none, as it does for Ansible: [2:0] is [2]
            return [names[self.first]]
        return names[self.first :] if self.last == -1 else names[self.first : self.last + 1]


class Matcher:
    """Evaluates terms against one inventory; names in dicts, to keep their order.

    `hints` tell for expressions without a match what may have been meant.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.hosts = {host.name: host for host in inventory.hosts}
        self.hints: dict[str, str] = {}
        self._groups = inventory.groups
        self._warnings: dict[str, None] = {}
        self._found: dict[str, Sequence[str]] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was said, each line once."""
        return tuple(self._warnings)

    @property
    def short_warnings(self) -> tuple[str, ...]:
        """What was said, expressions without a match in one line from the eleventh on: a file of
        patterns may be an old one.
        """
        later = list(self.hints)[_MISSES_TOLD:]
        if not later:
            return self.warnings
        from fleet.report import folded  # noqa: PLC0415 - loads ClusterShell

        left_out = {self.miss(expression) for expression in later}
        kept = [line for line in self._warnings if line not in left_out]
        return (*kept, f"{len(later)} more match no host and no group: {folded(later)}")

    def warn(self, line: str) -> None:
        """Have a line for the person who wrote the terms."""
        self._warnings[line] = None

    def evaluate(self, terms: Sequence[str]) -> dict[str, None]:
        """Unions first, then intersections, then exclusions, in whatever order they came."""
        unions = [term for term in terms if term[0] not in SIGNS] or ["all"]
        both, without = ([term for term in terms if term[0] == sign] for sign in "&!")
        chosen: dict[str, None] = {}
        for term in (*unions, *both, *without):
            if term in self.hosts:  # its own name wins over a group's, and over a sign
                chosen[term] = None
            elif term[0] == "&":
                found = set(self._match(term[1:]))
                chosen = {name: None for name in chosen if name in found}
            elif term[0] == "!":
                for name in self._match(term[1:]):
                    chosen.pop(name, None)
            else:
                chosen |= dict.fromkeys(self._match(term))
        return chosen

    def miss(self, expression: str) -> str:
        """The line that is said of an expression without a match."""
        hint = self.hints.get(expression)
        return f"{expression!r} matches no host and no group" + (f": {hint}" if hint else "")

    def _match(self, atom: str) -> Sequence[str]:
        if atom not in self._found:
            expression, subscript = self._split(atom)
            names = self._expressed(expression)
            self._found[atom] = self._picked(names, subscript, atom) if subscript else names
        return self._found[atom]

    def _split(self, atom: str) -> tuple[str, Subscript | None]:
        """An atom without its subscript, and that."""
        if not atom:
            raise UsageError("a pattern of '!' or '&' alone names nothing")
        found = None if atom[0] == "~" else _SUBSCRIPTED.fullmatch(atom)
        if found is None:
            return atom, None
        expression, index, first, separator, last = found.groups()
        text = atom[len(expression) :]
        if separator == "-":
            self.warn(f"{atom!r}: write {expression}[{first}:{last}], which is what is meant")
        try:
            if index:
                return expression, Subscript(text, int(index), None)
            return expression, Subscript(text, int(first), int(last or -1))
        except ValueError:
            raise UsageError(f"{atom!r}: a subscript of too many digits") from None

    def _picked(self, names: Sequence[str], subscript: Subscript, atom: str) -> Sequence[str]:
        """What a subscript leaves of the hosts of an expression."""
        if not names:
            return ()
        count = len(names)
        means = f"{atom.removesuffix(subscript.text)!r} means {count} host{'s' * (count > 1)}"
        try:
            picked = subscript.of(names)
        except IndexError:
            raise UsageError(
                f"the pattern {atom!r}: {means}, so a subscript goes from 0 to {count - 1}, or "
                f"from -{count} to -1"
            ) from None
        if not picked:
            self.warn(f"{atom!r} is empty: {means}, and the first is number 0")
        return picked

    def _expressed(self, expression: str) -> Sequence[str]:
        """The hosts of groups; single hosts too, unless a group has just that plain name.

        A host stands here as often as it is found, for subscripts count them so.
        """
        fits = _compiled(expression)
        groups = _matching(fits, expression, self._groups)
        found = [name for group in groups for name in self._groups[group]]
        if not groups or _SPECIAL.search(expression):
            found += _matching(fits, expression, self.hosts)
        if not found and expression in _LOCALHOST:  # each of its names means the one that is there
            found = [name for name in self.hosts if name in _LOCALHOST][:1]
        if not groups and not found and expression != "all":
            self.hints[expression] = self._hint(expression)
            self.warn(self.miss(expression))
        return found

    def _hint(self, expression: str) -> str:
        if expression in _LOCALHOST:
            return "it is a host only where the inventory names it"
        if _GLOB.search(expression) or expression[0] == "~" or len(self.hints) >= _HINTS_MAX:
            return ""
        return did_you_mean(expression, [*self._groups, *self.hosts])


def _compiled(expression: str) -> Callable[[str], object] | None:
    """What a name has to match; None for a plain name, which has to be the same."""
    if expression[0] != "~":
        if not _GLOB.search(expression):
            return None
        regex = fnmatch.translate(expression)
    else:
        regex = expression[1:]
    try:
        with warnings.catch_warnings():  # what Python may mean otherwise some day
            warnings.simplefilter("ignore")
            return re.compile(regex).match
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"the pattern {expression!r} is no regular expression: {error}") from None


def _matching(
    fits: Callable[[str], object] | None, expression: str, names: Iterable[str]
) -> list[str]:
    if fits is None:
        return [expression] if expression in names else []
    return [name for name in names if fits(name)]
