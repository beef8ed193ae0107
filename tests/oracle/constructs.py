"""The constructs of an inventory that the generator knows, what each needs, and their pairs."""

import itertools
from collections import Counter
from collections.abc import Iterable

NEEDS: dict[str, tuple[str, ...]] = {
    "children": (),
    "nested": ("children",),
    "vars": (),
    "null_host": (),
    "range_padding": (),
    "range_step": (),
    "range_letters": (),
    "range_several": (),
    "group_vars_yml": (),
    "group_vars_yaml": (),
    "group_vars_json": (),
    "group_vars_bare": (),
    "group_vars_folder": (),
    "host_vars_yml": (),
    "host_vars_yaml": (),
    "host_vars_json": (),
    "host_vars_bare": (),
    "host_vars_folder": (),
    "all": (),
    "ungrouped": (),
    "by_depth": ("children", "vars"),
    "by_name": ("vars",),
    "by_priority": ("vars",),
    "many_groups": (),
    "several_sources": (),
    "folder_source": (),
    "json_file": (),
    "json_stdin": (),
    "json_program": (),
    "template": (),
    "opaque_vault": (),
    "opaque_jinja": (),
    "opaque_nested": (),
    "port_key": (),
    "merge_key": (),
    "anchor": (),
    "ssh_names": (),
    "same_name": (),
}
"""Each construct, and the others without which it cannot be."""

CONSTRUCTS = tuple(NEEDS)
JSON = ("json_file", "json_stdin", "json_program")
ONLY_YAML = (
    *("null_host", "range_padding", "range_step", "range_letters", "range_several"),
    *("port_key", "merge_key", "anchor"),
)
_FILES = tuple(name for name in NEEDS if name.startswith(("group_vars", "host_vars")))

INFEASIBLE: dict[frozenset[str], str] = {}
"""Pairs that no inventory can hold, with the reason; there are none: see `APART`."""

APART: dict[frozenset[str], str] = {
    **{
        frozenset(pair): "JSON of --list has no such thing: it stands in a second source"
        for pair in itertools.product(JSON, ONLY_YAML)
    },
    **{
        frozenset(("json_stdin", name)): "standard input has no folder: it is a second source's"
        for name in (*_FILES, "folder_source")
    },
    **{
        frozenset(pair): "a document comes one way: the two are two sources"
        for pair in itertools.combinations(JSON, 2)
    },
}
"""Pairs that cannot meet within one source, but in an inventory of several; with the reason."""


def closure(names: Iterable[str]) -> frozenset[str]:
    """These constructs and all that they cannot be without."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += NEEDS[name]
    return frozenset(found)


def pairs() -> list[tuple[str, str]]:
    """Every pair that an inventory can hold."""
    every = itertools.combinations(CONSTRUCTS, 2)
    return [pair for pair in every if frozenset(pair) not in INFEASIBLE]


class Coverage:
    """Counts in how many inventories each construct stood alone, at all, and beside each other."""

    def __init__(self) -> None:
        self.alone: Counter[str] = Counter()
        self.cells: Counter[frozenset[str]] = Counter()

    def add(self, used: frozenset[str]) -> None:
        """Count one inventory with these constructs."""
        for name in used:
            self.cells[frozenset((name,))] += 1
            self.alone[name] += used == closure((name,))
        self.cells.update(map(frozenset, itertools.combinations(sorted(used), 2)))

    def missing(self) -> list[str]:
        """What is not covered: constructs never alone, pairs never together."""
        alone = [f"{name} alone" for name in CONSTRUCTS if not self.alone[name]]
        beside = [f"{a} x {b}" for a, b in pairs() if not self.cells[frozenset((a, b))]]
        return alone + beside

    def table(self) -> str:
        """Construct by construct: how often alone (`=`), at all (the diagonal), in pairs."""
        width = max(map(len, CONSTRUCTS))
        head = "".join(f"{number:>4}" for number in range(1, len(CONSTRUCTS) + 1))
        lines = [f"{'':{width + 3}}{'=':>4}{head}"]
        for row, name in enumerate(CONSTRUCTS, 1):
            counts = [self.cells[frozenset((name, other))] for other in CONSTRUCTS[:row]]
            cells = "".join(f"{count:>4}" for count in counts)
            lines.append(f"{row:>2} {name:{width}}{self.alone[name]:>4}{cells}")
        lines += [f"no inventory holds {_named(pair)}: {why}" for pair, why in INFEASIBLE.items()]
        for reason in dict.fromkeys(APART.values()):
            names = [_named(pair) for pair, why in APART.items() if why == reason]
            lines.append(f"apart, in one inventory: {', '.join(names)}: {reason}")
        return "\n".join(lines)


def _named(pair: frozenset[str]) -> str:
    return " x ".join(sorted(pair))
