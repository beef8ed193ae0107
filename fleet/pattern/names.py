"""Names that may have been meant."""

import difflib
from collections.abc import Iterable

_SHOWN = 3


def close_names(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that go on where `name` ends, or are most like it; in whatever case, three
    at the most.
    """
    by_folded: dict[str, str] = {}
    for one in names:
        by_folded.setdefault(one.casefold(), one)
    wanted = name.casefold()
    longer = [one for one in by_folded if one.startswith((f"{wanted}.", f"{wanted}-"))]
    close = difflib.get_close_matches(wanted, by_folded, n=_SHOWN, cutoff=0.65)
    return [by_folded[folded] for folded in dict.fromkeys([*longer, *close])][:_SHOWN]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`did you mean 'web1' or 'web2'?`; empty where no name is close."""
    close = [repr(one) for one in close_names(name, names)]
    if not close:
        return ""
    *others, last = close
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
