"""QuestDB → the machines themselves: load, memory, and how full their disks are.

Of the kernel's figures in `nodeStats` and `diskStats`, which are of all that runs on a machine, in
containers or not. A line is the mean of a machine's rows in each bucket.
"""

from dataclasses import replace

from fleet.page.archive import Archive, bucket, listed, text, time_of
from fleet.page.facts import LINES_MAX, TOP_MAX, Chart, Disk, Group, Series
from fleet.page.span import Grid

OF_NODES = ("cpus", "load1", "memory_total", "memory_available")
"""What is read of `nodeStats`, but for its keys."""
OF_DISKS = ("used_percentage", "available", "size")
"""What is read of `diskStats`, but for its keys."""

_FIGURES = (
    ("Load, of its CPUs", "(100.0 * load1 / nullif(cpus, 0))"),
    (
        "Memory in use",
        "(100.0 * (memory_total - memory_available) / nullif(memory_total, 0))",
    ),
)
_USED = "used_percentage IS NOT NULL"
_NOTE = (
    "Of the whole machine, containers or not, by its kernel. Load is the mean number of tasks that "
    "run or wait, over a minute, in percent of the machine's CPUs: over 100% some wait. Memory in "
    "use is what programs could not get any more."
)


def groups(archive: Archive, grid: Grid) -> tuple[Group, ...]:
    """The charts of machines; none where nothing is known of any."""
    charts = [_of_nodes(archive, grid, title, figure) for title, figure in _FIGURES]
    charts.append(_of_disks(archive, grid))
    known = any(chart.series for chart in charts)
    return (Group("Machines", _NOTE, tuple(charts), detailed=True),) if known else ()


def disks(archive: Archive) -> tuple[tuple[Disk, ...], int]:
    """The disks that were fullest → those, and how many disks there are."""
    rows = archive.ask(
        "SELECT host, mount, max(used_percentage) most, last(used_percentage) used, "
        "last(available) available, last(size) size "
        f"{archive.rows(archive.schema.disks, _USED)} GROUP BY host, mount "
        f"ORDER BY most DESC, host, mount LIMIT {TOP_MAX}"
    )
    names = ("host", "mount", "most", "used", "available", "size")
    found = tuple(Disk(*(row[name] for name in names)) for row in rows)
    return found, _disk_count(archive)


def _disk_count(archive: Archive) -> int:
    rows = archive.rows(archive.schema.disks, _USED)
    (row,) = archive.ask(f"SELECT count() n FROM (SELECT DISTINCT host, mount {rows})")
    return int(row["n"])


def _of_nodes(archive: Archive, grid: Grid, title: str, figure: str) -> Chart:
    known = f"{figure} IS NOT NULL"
    rows = archive.rows(archive.schema.nodes, known)
    ranked = archive.ask(
        f"SELECT host, avg({figure}) mean {rows} GROUP BY host "
        f"ORDER BY mean DESC, host LIMIT {LINES_MAX}"
    )
    names = [row["host"] for row in ranked]
    values = {name: _nothing(grid) for name in names}
    if names:
        of_these = replace(archive, hosts=f"host IN ({listed(names)})")
        for row in archive.ask(
            f"SELECT host, {bucket(grid)}, avg({figure}) v "
            f"{of_these.rows(archive.schema.nodes, known)} GROUP BY host, b"
        ):
            values[row["host"]][grid.place(time_of(row["b"]))] = row["v"]
    (count,) = archive.ask(f"SELECT count_distinct(host) n {rows}")
    lines = tuple(Series(name, tuple(values[name])) for name in names)
    return Chart(title, "percent", lines, int(count["n"]) - len(lines), "hosts")


def _of_disks(archive: Archive, grid: Grid) -> Chart:
    rows = archive.rows(archive.schema.disks, _USED)
    ranked = archive.ask(
        f"SELECT host, mount, avg(used_percentage) mean {rows} GROUP BY host, mount "
        f"ORDER BY mean DESC, host, mount LIMIT {LINES_MAX}"
    )
    lines = tuple(_of_disk(archive, grid, row["host"], row["mount"]) for row in ranked)
    left_out = _disk_count(archive) - len(lines)
    return Chart("Disk space in use", "percent", lines, left_out, "disks")


def _of_disk(archive: Archive, grid: Grid, host: str, mount: str) -> Series:
    """A question of its own for each, for mount points may be too long to name many in one."""
    values = _nothing(grid)
    here = replace(archive, hosts=f"host = {text(host)} AND mount = {text(mount)}")
    for row in archive.ask(
        f"SELECT {bucket(grid)}, avg(used_percentage) v "
        f"{here.rows(archive.schema.disks, _USED)} GROUP BY b"
    ):
        values[grid.place(time_of(row["b"]))] = row["v"]
    return Series(f"{host} {mount}", tuple(values))


def _nothing(grid: Grid) -> list[float | None]:
    return [None] * grid.count
