"""What a text of this package is: a status's meaning, and its causes with their cures."""

from dataclasses import dataclass

from fleet.status import Phase


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which a status comes about, and what to do then.

    It shows in `phase` only, or in any where that is None. `seen` is a pattern, in any case of
    letters, of what the detail says then; a cause without one is likely whenever no other one's
    is found.
    """

    what: str
    cures: tuple[str, ...]
    phase: Phase | None = None
    seen: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """A status: what it means, its causes, and the phase in which it shows, if that is one."""

    meaning: str
    causes: tuple[Cause, ...] = ()
    phase: Phase | None = None
