"""What may befall a run, and when: a shuffled pack of cards, one for each run.

Every ten runs hold the five that must not be left to chance; every twenty hold all the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random


class Deed(Enum):
    """What is done."""

    CALM = "calm"
    KILL = "fleet killed"
    CUT = "power cut"
    FREEZE = "fleet frozen"
    FREEZE_KILL = "fleet frozen and killed"
    TERMINATE = "fleet terminated"
    KILL_QUESTDB = "QuestDB killed"
    FREEZE_QUESTDB = "QuestDB frozen"
    LOSE = "answer lost"

    @property
    def ends_fleet(self) -> bool:
        """Whether visits may be cut short by it."""
        return self.is_sudden or self is Deed.TERMINATE

    @property
    def is_sudden(self) -> bool:
        """Whether fleet has no time for a last word."""
        return self in (Deed.KILL, Deed.CUT, Deed.FREEZE_KILL)

    @property
    def needs_questdb(self) -> bool:
        """Whether there must be a QuestDB for it."""
        return self in (Deed.KILL_QUESTDB, Deed.FREEZE_QUESTDB, Deed.LOSE)


class Moment(Enum):
    """When: at any time of the run, soon after its first batch is in the spool, or as `relay`
    tells them apart.
    """

    ANY = "at any time"
    BATCH = "after the batch"
    REQUEST = "request"
    ANSWER = "answer"
    ANSWERED = "answered"

    @property
    def is_relays(self) -> bool:
        """Whether the relay knows it."""
        return self in (Moment.REQUEST, Moment.ANSWER, Moment.ANSWERED)


@dataclass(frozen=True, slots=True)
class Card:
    """One run's fate."""

    deed: Deed
    moment: Moment

    def __str__(self) -> str:
        return self.deed.value if self.deed is Deed.CALM else f"{self.deed.value}, {self.when}"

    @property
    def when(self) -> str:
        """The moment in words."""
        words = {
            Moment.REQUEST: "before the rows are passed on",
            Moment.ANSWER: "before the answer is passed on",
            Moment.ANSWERED: "after the answer",
        }
        return words.get(self.moment, self.moment.value)


CERTAIN = (
    Card(Deed.CALM, Moment.ANY),
    Card(Deed.KILL, Moment.REQUEST),
    Card(Deed.KILL, Moment.ANSWER),
    Card(Deed.CUT, Moment.REQUEST),
    Card(Deed.LOSE, Moment.ANSWER),
)
_VARIED = (
    (Deed.KILL, (Moment.ANY,)),
    (Deed.KILL, (Moment.BATCH,)),
    (Deed.KILL, (Moment.ANSWERED,)),
    (Deed.CUT, (Moment.BATCH,)),
    (Deed.CUT, (Moment.ANY, Moment.ANSWERED)),
    (Deed.FREEZE, tuple(Moment)),
    (Deed.FREEZE_KILL, tuple(Moment)),
    (Deed.TERMINATE, tuple(Moment)),
    (Deed.KILL_QUESTDB, tuple(Moment)),
    (Deed.FREEZE_QUESTDB, (Moment.ANY, Moment.BATCH, Moment.REQUEST, Moment.REQUEST)),
)


def dealt(chance: Random) -> Iterator[Card]:
    """Cards without end."""
    while True:
        varied = [Card(deed, chance.choice(moments)) for deed, moments in _VARIED]
        chance.shuffle(varied)
        for half in (varied[:5], varied[5:]):
            ten = [*CERTAIN, *half]
            chance.shuffle(ten)
            yield from ten
