"""Makes cases: the documents of an inventory grow by one step for each construct."""

from collections.abc import Callable, Collection

from tests.oracle.case import Case
from tests.oracle.constructs import CONSTRUCTS, closure
from tests.oracle.steps_tree import RANGES, TreeSteps
from tests.oracle.steps_variables import VariableSteps


def grow(seed: str, wanted: Collection[str]) -> Case:
    """The case of `seed` that has the wanted constructs, and those that they need."""
    growth = _Growth(seed, closure(wanted))
    growth.take_steps()
    return growth.case


class _Growth(TreeSteps, VariableSteps):
    def take_steps(self) -> None:
        """Every construct once, in any order that lets the later ones find what they work on."""
        steps = [n for n in CONSTRUCTS if n in self.wanted and n not in self.case.used]
        self.rng.shuffle(steps)
        for name in sorted(steps, key=_turn):
            step: Callable[[str], None] = getattr(self, f"_{_STEPS.get(name, name)}")
            step(name)
            self.case.used.add(name)


_STEPS = {
    **dict.fromkeys(RANGES, "range"),
    **{name: "vars_file" for name in CONSTRUCTS if name.startswith(("group_vars", "host_vars"))},
    **{name: "opaque" for name in CONSTRUCTS if name.startswith("opaque")},
}
_EARLY = ("range_padding", "range_step", "range_letters", "range_several", "vars", "children")
_LATE = ("template", "opaque_vault", "opaque_jinja", "opaque_nested", "ssh_names", "merge_key")


def _turn(name: str) -> int:
    """Groups and hosts come before what is said of them, anchors last: they close a mapping."""
    if name == "anchor":
        return 3
    return 0 if name in _EARLY else 2 if name in _LATE else 1
