"""The parts of a page above its charts: figures, strips of hosts, top tables, events."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from fleet.page.facts import DETAILED_MAX, LOOK_BACK, MAINTENANCE, OK, TIMES_MAX, Facts, Strip, Top
from fleet.page.span import Grid
from fleet.page.write import (
    counted,
    figure,
    lasting,
    moment,
    more_left_out,
    share,
    share_of,
    text,
)
from fleet.report import UNKNOWN
from fleet.status import Status

NO_DATA = "no data"
_STRIP_HEIGHT = 10


def figures(facts: Facts) -> Iterator[str]:
    """The summary: one figure to a tile."""
    counting = [host for host in facts.hosts if not host.maintenance]
    well = sum(host.well for host in counting)
    visits = sum(host.visits for host in facts.hosts)
    failed = sum(host.failed for host in facts.hosts)
    away = len(facts.hosts) - len(counting)
    silent = sum(host.newest is None for host in counting)
    besides = [f"{silent} without any data"] if silent else []
    besides += [f"{away} more in maintenance"] if away else []
    gap = f"{moment(facts.gap.since)} to {moment(facts.gap.until)}"
    usual = f"usually {lasting(facts.interval_s)} apart" if facts.interval_s else ""
    of_these, without = "", "sweep"
    if facts.chosen:
        of_these, without = " with a visit of these hosts", "visit of these hosts"
    tiles = [
        ("Hosts ok", f"{well}", f"of {len(counting)}, at their newest visit", ""),
        (
            "Hosts not ok",
            f"{len(counting) - well}",
            "; ".join(besides) or "at their newest visit",
            "bad" if well < len(counting) else "",
        ),
        (
            "Containers",
            f"{sum(host.containers for host in facts.hosts):,}",
            f"at the newest visits; {facts.containers:,} in the whole range",
            "",
        ),
        (f"Sweeps{of_these}", f"{facts.sweeps:,}", usual, ""),
        ("Failed visits", share(failed, visits), f"{failed:,} of {visits:,}", ""),
        (f"Longest time without a {without}", lasting(facts.gap.seconds), gap, ""),
    ]
    yield '<section class="tiles" aria-label="Summary">'
    for title, value, note, kind in tiles:
        yield (
            f'<div class="card tile {kind}"><h2>{title}</h2><p class="value">{text(value)}</p>'
            f'<p class="note">{text(note)}</p></div>'
        )
    yield "</section>"


def strips(facts: Facts) -> Iterator[str]:
    """Each host over time, the worst first."""
    grid = facts.grid
    yield '<section class="card hosts"><h2>Hosts over time</h2>'
    yield (
        f'<p class="note">Worst first; the worst status in each {lasting(grid.width.seconds)}. '
        "A place without colour: no data.</p>"
    )
    yield from _legend(facts)
    if len(facts.strips) < len(facts.hosts):
        out = facts.hosts[len(facts.strips) :]
        bad = sum(not host.well and not host.maintenance for host in out)
        yield (f'<p class="note">{more_left_out(len(out), "host")}, {bad} of them not ok now.</p>')
    yield '<div class="strips">'
    for strip in facts.strips:
        yield from _strip(strip, grid)
    yield "</div>"
    yield (
        f'<p class="ends"><span>{moment(facts.span.since)}</span>'
        f"<span>{moment(facts.span.until)} UTC</span></p></section>"
    )


def kind_of(status: str | None) -> str:
    """The class that gives a status its colour."""
    if status is None:
        return "none"
    if status in (OK, MAINTENANCE):
        return status
    return "partial" if status == Status.PARTIAL else "failed"


def _legend(facts: Facts) -> Iterator[str]:
    names = Counter(cell for strip in facts.strips for cell in strip.cells if cell is not None)
    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        kinds.setdefault(kind_of(name), []).append(name)
    yield '<ul class="key">'
    for kind in (OK, "partial", "failed", MAINTENANCE):
        if kind in kinds:
            yield f'<li><i class="{kind}"></i>{text(", ".join(kinds[kind]))}</li>'
    yield '<li><i class="none"></i>no data</li></ul>'


def _strip(strip: Strip, grid: Grid) -> Iterator[str]:
    host = strip.host
    now = host.now or NO_DATA
    note = " (maintenance)" if host.maintenance else ""
    said = Counter(cell or NO_DATA for cell in strip.cells)
    parts = ", ".join(f"{name} {share(count, grid.count)}" for name, count in said.most_common())
    runs = list(_runs(strip))
    bars: dict[str, str] = {}
    for status, first, last in runs:
        if status is not None:
            kind = kind_of(status)
            top = 0 if kind in ("failed", "partial") else 3
            bar = f"M{first} {top}h{last - first}v{_STRIP_HEIGHT}h-{last - first}z"
            bars[kind] = bars.get(kind, "") + bar
    drawn = "".join(f'<path class="{kind}" d="{bar}"/>' for kind, bar in bars.items())
    yield (
        f'<div class="strip"><div class="who"><span class="name">{text(host.name)}</span>'
        f'<span class="now {kind_of(host.now)}">{text(now)}{note}</span></div>'
        f'<svg viewBox="0 0 {grid.count} {_STRIP_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(f"{host.name}: {parts}; newest visit: {now}")}">{drawn}</svg>'
    )
    if strip.trouble is not None and strip.trouble_at is not None:
        yield f'<p class="note">{moment(strip.trouble_at)} {text(strip.trouble)}</p>'
    if len(runs) > 1:
        yield '<details class="numbers"><summary>Times</summary><div class="scroll">'
        older = len(runs) - TIMES_MAX
        if older > 0:
            yield (
                f'<p class="note">The newest {TIMES_MAX}; {counted(older, "older one")} '
                f"{'is' if older == 1 else 'are'} left out.</p>"
            )
        yield "<table><thead><tr><th>UTC, from<th>to<th>status<tbody>"
        for status, first, last in runs[-TIMES_MAX:]:
            yield (
                f"<tr><th>{moment(grid.start(first))}<td>{moment(grid.start(last))}"
                f"<td>{text(status or NO_DATA)}"
            )
        yield "</table></div></details>"
    yield "</div>"


def _runs(strip: Strip) -> Iterator[tuple[str | None, int, int]]:
    """Neighbours of one status: it, and the buckets from where up to where."""
    place = 0
    for status, cells in groupby(strip.cells):
        count = len(list(cells))
        yield status, place, place + count
        place += count


def tops(facts: Facts) -> Iterator[str]:
    """The top tables."""
    yield '<section><h2>Containers at the top</h2><p class="note">By the mean of all sweeps.</p>'
    yield '<div class="charts">'
    for top in facts.tops:
        yield from _top(top)
    yield "</div></section>"


def disks(facts: Facts) -> Iterator[str]:
    """The fullest disks."""
    yield '<section class="card disks"><h2>The fullest disks</h2>'
    if not facts.disks:
        yield '<p class="nothing">No disk is known in this range.</p></section>'
        return
    yield (
        "<p class=note>Of what programs without root's rights can have, as df counts; "
        "by the most that was in use.</p>"
    )
    left_out = facts.disk_count - len(facts.disks)
    if left_out > 0:
        yield f'<p class="note">{more_left_out(left_out, "disk")}.</p>'
    yield '<div class="scroll"><table class="top"><thead><tr><th>host<th>mounted at'
    yield '<th class="right">most in use<th class="right">at last<th class="right">free at last'
    yield '<th class="right">size<tbody>'
    for disk in facts.disks:
        yield (
            f'<tr><th>{text(disk.host)}<td class="text">{text(disk.mount)}'
            f"<td>{_part(disk.most)}<td>{_part(disk.used)}"
            f"<td>{figure(disk.available, 'bytes')}<td>{figure(disk.size, 'bytes')}"
        )
    yield "</table></div></section>"


def _part(percent: float | None) -> str:
    """What is not quite full, or empty, is not said to be."""
    return UNKNOWN if percent is None else share_of(percent)


def _top(top: Top) -> Iterator[str]:
    yield f'<div class="card"><h3>{text(top.metric.title)}</h3>'
    if not top.rows:
        yield '<p class="nothing">No figure is known in this range.</p></div>'
        return
    left_out = top.total - len(top.rows)
    if left_out > 0:
        yield f'<p class="note">{more_left_out(left_out, "container")}.</p>'
    yield '<div class="scroll"><table class="top"><thead><tr><th>host<th>container'
    yield '<th class="right">mean<th class="right">max<tbody>'
    for row in top.rows:
        form = top.metric.form
        yield (
            f'<tr><th>{text(row.host)}<td class="text" title="{text(row.container)}">'
            f"{text(row.name)}<td>{figure(row.mean, form)}<td>{figure(row.most, form)}"
        )
    yield "</table></div></div>"


def events(facts: Facts) -> Iterator[str]:
    """What became of containers, newest first."""
    yield '<section class="card events"><h2>What happened to containers</h2>'
    if facts.stateless:
        count = len(facts.hosts)
        whose = "" if facts.stateless == count else f" for {facts.stateless:,} of {count:,} hosts"
        yield (
            f'<p class="nothing">Not known{whose}: no state of any container was stored from '
            f"{moment(facts.span.since - LOOK_BACK)} to {moment(facts.span.until)}.</p>"
        )
    if not facts.events:
        if facts.stateless < len(facts.hosts):
            others = " for the others" if facts.stateless else ""
            yield (
                f'<p class="nothing">Nothing{others}: no container ended, vanished, was started '
                "again, ran out of memory or became unhealthy.</p>"
            )
        yield "</section>"
        return
    left_out = facts.event_count - len(facts.events)
    if left_out > 0:
        yield (
            f'<p class="note">The newest {len(facts.events)}; {counted(left_out, "older event")} '
            f"{'is' if left_out == 1 else 'are'} left out.</p>"
        )
    yield '<p class="note">The time is that of the sweep that saw it.</p>'
    yield '<div class="scroll"><table><thead><tr><th>UTC<th>host<th>container<th>what<tbody>'
    for event in facts.events:
        yield (
            f"<tr{' class=grave' if event.grave else ''}><th>{moment(event.at)}"
            f'<td class="text">{text(event.host)}<td class="text" title="{text(event.container)}">'
            f'{text(event.name)}<td class="text">{text(event.what)}'
        )
    yield "</table></div></section>"


def left_out(facts: Facts) -> Iterator[str]:
    """How many hosts have no charts of their containers, if any."""
    if facts.hosts_left_out:
        yield (
            f'<p class="note">Containers are drawn for {DETAILED_MAX} hosts, the busiest by CPU; '
            f"{more_left_out(facts.hosts_left_out, 'host')}, with containers. A "
            "pattern asks for others: fleet report PATTERN.</p>"
        )
