"""ILP as it stands in a batch: text that can be cut between rows. Without QuestDB's client."""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"(?<=[0-9])\n")
"""Every line ends with its timestamp; a line feed inside a value has a backslash before it."""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A row that has no ILP, why, and its cells as text, unknown ones left out."""

    table: str
    reason: str
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table as the body of `POST /write?precision=n`.

    `columns` are (name, QuestDB type); `rows` is how many lines `body` has.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    body: bytes
    rows: int

    @property
    def lines(self) -> list[bytes]:
        """The body row by row, each with its line feed."""
        return lines_of(self.body)


def lines_of(body: bytes) -> list[bytes]:
    """ILP of ours cut between rows."""
    ends = [match.end() for match in _LINE_END.finditer(body)]
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
