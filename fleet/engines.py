"""One Docker engine under two names of the inventory: its containers would count twice in sums."""

from collections.abc import Iterable
from dataclasses import replace

from fleet.visit import MAX_DETAIL_CHARACTERS, Visit, printable


class Engines:
    """The engines of a sweep, as its visits come.

    An engine is told by its containers: two hosts that list the same one, on one boot of one
    kernel, are one engine. A container's id alone is not enough, for machines that are copied from
    one image have it, too.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}

    def told(self, visit: Visit) -> Visit:
        """The visit; with a word in its detail when an earlier one was to the same engine."""
        boot_id = visit.node.figures.boot_id if visit.node is not None else None
        if boot_id is None:
            return visit
        name = visit.host.name
        other = name
        for id in _ids(visit):
            first = self._first.setdefault((boot_id, id), name)
            other = first if first != name else other
        if other == name:
            return visit
        said = printable(f"one Docker engine with {other}: sums count its containers twice")
        own, room = visit.detail or "", MAX_DETAIL_CHARACTERS - len("; ") - len(said)
        if len(own) > room:  # what is said here is not to be cut off
            own = f"{own[: max(0, room - 1)]}…"
        return replace(visit, detail=printable("; ".join(filter(None, (own, said)))))


def _ids(visit: Visit) -> Iterable[str]:
    return dict.fromkeys((*(one.id for one in visit.samples), *(one.id for one in visit.states)))
