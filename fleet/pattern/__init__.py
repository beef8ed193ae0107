"""Ansible's host patterns → which hosts.

```
pattern := term ("," term)*      where there is no comma, ":" separates as well
         | "@" file              a file of terms, one a line
term    := ["!" | "&"] atom      no term without a sign: "all" is meant
atom    := name [subscript]      of a group, else of a host; "all" is a group
         | glob [subscript]      * ? [abc] [!abc]: of groups and of hosts
         | "~" regex             which has to match from the start on, of groups and of hosts
subscript := "[" n "]" | "[" -n "]" | "[" x ":" [y] "]"      from 0; y is the last one meant
```

Several patterns count as one: all their terms are gathered, as if commas stood between them, and
then taken in Ansible's order: unions, intersections (`&`), exclusions (`!`). So `web '!db'` takes
`db` away from `web`; it does not add everything but `db`. `localhost` is a host like any other:
without an entry in the inventory it means nothing.

```
patterns ─▶ terms (files read) ─▶ matcher ─▶ Selection
                                     └ names (did you mean …?)
```

Pure, but for files that are named by `@`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.errors import UsageError
from fleet.inventory import Host, Inventory
from fleet.pattern.matcher import Matcher
from fleet.pattern.names import did_you_mean
from fleet.pattern.terms import gathered, split

__all__ = ["Selection", "did_you_mean", "select"]

_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """The hosts that patterns mean, in order, what did not match anything, and the inventory's
    labels, by which those of the hosts are read.
    """

    hosts: tuple[Host, ...]
    warnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def select(patterns: Sequence[str], limit: str | None, inventory: Inventory) -> Selection:
    """The hosts that `patterns` mean, of those that `limit` means.

    No pattern means `all`. Hosts stand in the order of the terms, within a term in the
    inventory's. Where nothing is left, UsageError names the patterns, and what may have been
    meant.
    """
    matcher = Matcher(inventory)
    _warn_of_nothing(patterns, "", matcher)
    chosen = matcher.evaluate(gathered(patterns, matcher.warn))
    if limit is not None:
        _warn_of_nothing([limit], "the limit ", matcher)
    if limit is not None and (terms := gathered([limit], matcher.warn)):
        allowed = matcher.evaluate(terms)
        chosen = {name: None for name in chosen if name in allowed}
    if not chosen:
        raise UsageError(_nothing(patterns, limit, matcher))
    return Selection(
        tuple(matcher.hosts[name] for name in chosen), matcher.short_warnings, inventory.labels
    )


def _warn_of_nothing(patterns: Sequence[str], what: str, matcher: Matcher) -> None:
    """Patterns without a term mean all hosts, as for Ansible; hardly anyone means them so."""
    if patterns and not any(map(split, patterns)):
        matcher.warn(f"{what}{','.join(patterns)!r} names nothing, so all hosts are meant")


def _nothing(patterns: Sequence[str], limit: str | None, matcher: Matcher) -> str:
    """The sentence for patterns that leave no host."""
    whole = ",".join(patterns) or "all"
    sentence = f"no host matches {whole!r}"
    if limit:
        sentence += f" within the limit {limit!r}"
    if not matcher.hosts:
        return f"{sentence}: the inventory names no host"
    if hint := matcher.hints.get(whole):
        return f"{sentence}: {hint}"
    reasons = [text for text in matcher.warnings if text != matcher.miss(whole)]
    if len(reasons) > _REASONS_SHOWN:
        reasons[_REASONS_SHOWN:] = [f"and {len(reasons) - _REASONS_SHOWN} more"]
    return "; ".join([sentence, *reasons])
