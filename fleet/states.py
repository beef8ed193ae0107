"""What each container of a node is, running or not: when that is news. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.seen import Seen, SeenContainer, Told
from fleet.sources.docker_lines import Listed
from fleet.sources.state import VANISHED, State

REPEATED_S = 3600.0
"""A state that does not change is published again at least as often."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container that exists, or did in an earlier sweep; `due` says that it is to be published,
    `mark` stands for all that would be.
    """

    name: str
    image: str | None
    service: str | None
    state: State
    due: bool
    mark: str

    @property
    def id(self) -> str:
        """The full id."""
        return self.state.id


def container_states(
    listed: Mapping[str, Listed], states: Mapping[str, State], seen: Seen | None, at: float
) -> tuple[ContainerState, ...]:
    """The states of what is `listed`, in its order; then one `vanished` for each container whose
    state was published in an earlier sweep, and that is listed no more.

    `at` is this sweep's time (seconds since 1970). What is not to change within the hour is
    published when the next sweep, by the time since the last one, would be too late for it.
    """
    before = seen.containers if seen is not None else {}
    pause_s = max(0.0, at - seen.at) if seen is not None else 0.0
    found = []
    for id, one in listed.items():
        state = states.get(id)
        if state is None:
            continue
        mark = _mark(one, state)
        told = before[id].told if id in before else None
        fresh = (
            told is not None
            and told.mark == mark
            and told.at <= at
            and at + pause_s - told.at <= REPEATED_S
        )
        found.append(ContainerState(one.name, one.image, one.service, state, not fresh, mark))
    for id, old in before.items():
        if id not in listed and old.told is not None:
            gone = State(id, VANISHED)
            found.append(ContainerState(old.name, old.image, old.service, gone, True, VANISHED))
    return tuple(found)


def told_of(one: ContainerState, before: SeenContainer | None, at: float) -> Told | None:
    """What is to be remembered of a state: what was published of it last."""
    if one.due:
        return Told(one.mark, at)
    return before.told if before is not None else None


def _mark(listed: Listed, state: State) -> str:
    """Twelve digits that stand for every column of a state's row."""
    text = repr((listed.name, listed.image, listed.service, state))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
