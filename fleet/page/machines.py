"""QuestDB → the machines themselves: load, memory, and how full their disks are.

Of the kernel's figures in `nodeStats` and `diskStats`, which are of all that runs on a machine, in
containers or not. A line is the mean of a machine's rows in each bucket. What cannot be, as more
memory available than there is, is not known.
"""

from dataclasses import replace

from fleet.page.archive import Archive, bucket, in_parts, listed, text, time_of
from fleet.page.facts import LINES_MAX, TOP_MAX, Chart, Disk, Group, Series
from fleet.page.span import Grid

OF_NODES = ("cpus", "load1", "memory_total", "memory_available")
"""What is read of `nodeStats`, but for its keys."""
OF_DISKS = ("used_percentage", "available", "size")
"""What is read of `diskStats`, but for its keys."""

_EXABYTE = 1e18


def _within(figure: str, most: float) -> str:
    return f"(CASE WHEN {figure} >= 0 AND {figure} <= {most} THEN {figure} END)"


_LOAD = _within("100.0 * load1 / nullif(cpus, 0)", 1e9)
_MEMORY = _within("100.0 * (memory_total - memory_available) / nullif(memory_total, 0)", 100)
# df(1): of what is used and what can be had still, without the blocks that are kept back for root
_USED = "used_percentage * size"
_OF_DF = f"100.0 * {_USED} / nullif({_USED} + 100.0 * available, 0)"
_DISK = _within(f"coalesce({_OF_DF}, used_percentage)", 100)
_NOTE = (
    "Of the whole machine, containers or not, by its kernel. Load is the mean number of tasks that "
    "run or wait, over a minute, in percent of the machine's CPUs: over 100% some wait. Memory in "
    "use is what programs could not get any more, and disk space that of programs without root's "
    "rights, as df counts."
)


def groups(archive: Archive, grid: Grid, disk_count: int) -> tuple[Group, ...]:
    """The charts of machines; none where nothing is known of any."""
    charts = (
        _of_nodes(archive, grid, "Load, in percent of the CPUs", _LOAD),
        _of_nodes(archive, grid, "Memory in use", _MEMORY),
        _of_disks(archive, grid, disk_count),
    )
    known = any(chart.series for chart in charts)
    return (Group("Machines", _NOTE, charts, detailed=True),) if known else ()


def disks(archive: Archive) -> tuple[tuple[Disk, ...], int]:
    """The disks that were fullest → those, and how many disks there are."""
    sizes = ", ".join(f"last({_within(name, _EXABYTE)}) {name}" for name in ("available", "size"))
    rows = archive.ask(
        "SELECT host, mount, most, used, available, size FROM (SELECT host, mount, "
        f"max({_DISK}) most, last({_DISK}) used, {sizes} {archive.rows(archive.schema.disks)} "
        "GROUP BY host, mount) WHERE most IS NOT NULL "
        f"ORDER BY most DESC, host, mount LIMIT {TOP_MAX}"
    )
    names = ("host", "mount", "most", "used", "available", "size")
    found = tuple(Disk(*(row[name] for name in names)) for row in rows)
    (count,) = archive.ask(
        f"SELECT count() n FROM (SELECT DISTINCT host, mount {_known_disks(archive)})"
    )
    return found, int(count["n"])


def _known_disks(archive: Archive) -> str:
    return archive.rows(archive.schema.disks, f"{_DISK} IS NOT NULL")


def _of_nodes(archive: Archive, grid: Grid, title: str, figure: str) -> Chart:
    def known(asked: Archive) -> str:
        return asked.rows(asked.schema.nodes, f"{figure} IS NOT NULL")

    ranked = archive.ask(
        f"SELECT host, avg({figure}) mean {known(archive)} GROUP BY host "
        f"ORDER BY mean DESC, host LIMIT {LINES_MAX}"
    )
    values = {row["host"]: _nothing(grid) for row in ranked}
    for part in in_parts([*values], grid.count):
        of_these = known(replace(archive, hosts=f"host IN ({listed(part)})"))
        for row in archive.ask(
            f"SELECT host, {bucket(grid)}, avg({figure}) v {of_these} GROUP BY host, b"
        ):
            values[row["host"]][grid.place(time_of(row["b"]))] = row["v"]
    (count,) = archive.ask(f"SELECT count_distinct(host) n {known(archive)}")
    lines = tuple(Series(name, tuple(line)) for name, line in values.items())
    return Chart(title, "percent", lines, int(count["n"]) - len(lines), "hosts")


def _of_disks(archive: Archive, grid: Grid, count: int) -> Chart:
    ranked = archive.ask(
        f"SELECT host, mount, avg({_DISK}) mean {_known_disks(archive)} GROUP BY host, mount "
        f"ORDER BY mean DESC, host, mount LIMIT {LINES_MAX}"
    )
    lines = tuple(_of_disk(archive, grid, row["host"], row["mount"]) for row in ranked)
    return Chart("Disk space in use", "percent", lines, count - len(lines), "disks")


def _of_disk(archive: Archive, grid: Grid, host: str, mount: str) -> Series:
    """A question of its own for each, for mount points may be too long to name many in one."""
    values = _nothing(grid)
    here = replace(archive, hosts=f"host = {text(host)} AND mount = {text(mount)}")
    for row in archive.ask(
        f"SELECT {bucket(grid)}, avg({_DISK}) v {_known_disks(here)} GROUP BY b"
    ):
        values[grid.place(time_of(row["b"]))] = row["v"]
    return Series(f"{host} {mount}", tuple(values))


def _nothing(grid: Grid) -> list[float | None]:
    return [None] * grid.count
