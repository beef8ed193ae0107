"""Cells → the lines of a table for people.

No cell is ever shortened: half a figure is a wrong one, and half a host name no name at all. What
a terminal is too narrow for goes by whole columns, and a line says which.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
LEAST_TEXT_WIDTH = 20
"""A text narrower than this is better left to the terminal to wrap."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and its cells; `spare` columns may be left out, the lowest number first."""

    heading: str
    cells: Sequence[str]
    right: bool = False
    spare: int | None = None

    @property
    def width(self) -> int:
        """As many places on a terminal as its widest cell takes."""
        return max(_places(cell) for cell in (self.heading, *self.cells))


def fitting(columns: Sequence[Column], width: int | None) -> tuple[list[Column], list[str]]:
    """The columns that `width` carries (None: all of them) → (those, the headings left out).

    What cannot be spared stays, whether it fits or not; of the rest, as much as there is room for,
    the highest number first.
    """
    if width is None:
        return list(columns), []
    numbers = {column.spare for column in columns}
    chosen: set[int | None] = {None}
    for number in sorted((one for one in numbers if one is not None), reverse=True):
        if _width([column for column in columns if column.spare in chosen | {number}]) <= width:
            chosen.add(number)
    kept = [column for column in columns if column.spare in chosen]
    out = sorted((c for c in columns if c.spare not in chosen), key=lambda c: c.spare or 0)
    return kept, [column.heading for column in out]


def lines(columns: Sequence[Column]) -> list[str]:
    """A line for the headings and one for each row, without blanks at their ends."""
    widths = [column.width for column in columns]
    rows = [[column.heading for column in columns]]
    rows += [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    return [
        GAP.join(
            _padded(cell, width, column.right)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in rows
    ]


def wrapped(columns: Sequence[Column], width: int | None) -> list[str]:
    """As `lines`, the last column's texts wrapped within `width`."""
    before = sum(column.width + len(GAP) for column in columns[:-1])
    if width is None or width - before < LEAST_TEXT_WIDTH:
        return lines(columns)
    cells: list[list[str]] = [[] for _ in columns]
    for *row, text in zip(*(column.cells for column in columns), strict=True):
        parts = textwrap.wrap(text, width - before, break_on_hyphens=False) or [""]
        for number, part in enumerate(parts):
            for column, cell in zip(
                cells, [*("" if number else c for c in row), part], strict=True
            ):
                column.append(cell)
    return lines([Column(c.heading, own, c.right) for c, own in zip(columns, cells, strict=True)])


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _padded(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - _places(cell))
    return blanks + cell if right else cell + blanks


def _places(text: str) -> int:
    """Places on a terminal: a Chinese sign takes two, an accent of its own none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - most names are plain

    return cell_len(text)
