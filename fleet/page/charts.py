"""Groups of charts → HTML, the table behind each, and the data that `page.js` draws by Plotly."""

from collections.abc import Iterator, Sequence
from typing import Any

from fleet.errors import spelled
from fleet.page.facts import LINES_MAX, Chart, Facts, Group, Series
from fleet.page.span import Grid
from fleet.page.write import counted, figure, minute, moment, more_left_out, short, text

_BEFORE_MINUTES = 60


def data(facts: Facts) -> dict[str, Any]:
    """What `page.js` draws: the buckets, and each chart's lines by the id of its place. A null is
    a gap.
    """
    grid = facts.grid
    return {
        "first": round(grid.first.timestamp() * 1000),
        "width": grid.width.seconds * 1000,
        "count": grid.count,
        "since": round(facts.span.since.timestamp() * 1000),
        "until": round(facts.span.until.timestamp() * 1000),
        "charts": {
            _place(number, place): {"form": chart.form, "lines": _lines(chart, looks)}
            for number, group in enumerate(facts.groups)
            for place, (chart, looks) in enumerate(zip(group.charts, looks_of(group), strict=True))
            if chart.series
        },
    }


def _lines(chart: Chart, looks: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "name": spelled(line.label),
            "look": look,
            "values": [short(value) for value in line.values],
            **({"hosts": line.hosts} if line.hosts else {}),
        }
        for line, look in zip(chart.series, looks, strict=True)
    ]


def looks_of(group: Group) -> list[tuple[int, ...]]:
    """The number of the look (colour and dashes) of every line: what has one name has one look in
    all charts of a group, as long as no two lines of a chart would look the same.
    """
    kept: dict[str, int] = {}
    found = []
    for chart in group.charts:
        labels = [line.label for line in chart.series]
        taken: dict[str, int] = {}
        for label in labels:
            if label in kept and kept[label] not in taken.values():
                taken[label] = kept[label]
        for label in labels:
            if label not in taken:
                others = {*taken.values(), *kept.values()}
                free = [look for look in range(LINES_MAX) if look not in others]
                free += [look for look in range(LINES_MAX) if look not in taken.values()]
                taken[label] = free[0]
                kept.setdefault(label, free[0])
        found.append(tuple(taken[label] for label in labels))
    return found


def _place(group: int, chart: int) -> str:
    return f"chart-{group}-{chart}"


def sections(facts: Facts) -> Iterator[str]:
    """The groups, one after the other."""
    for number, group in enumerate(facts.groups):
        yield f'<section class="group"><h2>{text(group.title)}</h2>'
        if group.note:
            yield f'<p class="note">{text(group.note)}</p>'
        yield '<div class="charts">'
        for place, chart in enumerate(group.charts):
            yield from _chart(group, chart, _place(number, place), facts.grid)
        yield "</div></section>"


def _chart(group: Group, chart: Chart, place: str, grid: Grid) -> Iterator[str]:
    yield f'<figure class="card"><figcaption><h3>{text(chart.title)}</h3>'
    if chart.left_out > 0:
        yield (
            f'<p class="note">The {len(chart.series)} {chart.of} with the highest mean; '
            f"{more_left_out(chart.left_out, chart.of[:-1])}.</p>"
        )
    yield "</figcaption>"
    if not chart.series:
        yield '<p class="nothing">No figure is known in this range.</p></figure>'
        return
    said = text(f"{chart.title}, {group.title}: {counted(len(chart.series), 'line')} over time")
    yield f'<div class="plot" id="{place}" role="img" aria-label="{said}"></div>'
    yield f'<div class="legend" id="{place}-legend"></div>'
    if group.detailed:
        yield f'<details class="numbers" data-of="{place}"><summary>Numbers</summary></details>'
    else:
        yield from _table(chart, grid)
    yield "</figure>"


def _table(chart: Chart, grid: Grid) -> Iterator[str]:
    """The numbers; end tags that HTML lets out are left out, for there are many.

    `page.js` makes those of machines and of single containers, in the same way, when they are
    opened.
    """
    yield '<details class="numbers"><summary>Numbers</summary><div class="scroll"><table>'
    yield "<thead><tr><th>UTC, from"
    for line in chart.series:
        yield f'<th class="right">{text(line.label)}'
        if line.hosts:
            yield '<th class="right">hosts in the sum'
    yield "<tbody>"
    written = moment if grid.width.seconds < _BEFORE_MINUTES else minute
    for place in range(grid.count):
        cells = "".join(_cell(line, place, chart.form) for line in chart.series)
        yield f"<tr><th>{written(grid.start(place))}{cells}"
    yield "</table></div></details>"


def _cell(line: Series, place: int, form: str) -> str:
    hosts = f"<td>{line.hosts[place]}" if line.hosts else ""
    return f"<td>{figure(line.values[place], form)}{hosts}"
