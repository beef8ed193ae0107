"""What was measured, in `results.json`; and `RESULTS.md` with its plots, made of that alone."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

FOLDER = Path(__file__).parent
FILE = FOLDER / "results.json"
PAGE = FOLDER / "RESULTS.md"
PLOTS = FOLDER / "plots"
BASE = "asyncssh"

Found = dict[str, Any]

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "fleet"  # the same picture from the same figures


def add(part: str, found: Any, key: str | None = None) -> None:
    """Put a part's figures down, in place of earlier ones of the same part (and key)."""
    document = read()
    if key is None:
        document[part] = found
    else:
        document.setdefault(part, {})[key] = found
    document["machine"] = machine()
    FILE.write_text(json.dumps(document, indent=1) + "\n")


def read() -> Found:
    """All that was put down."""
    found: Found = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} cores ({model}), {pages / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def render() -> None:
    """Write the page and its plots."""
    document = read()
    PLOTS.mkdir(exist_ok=True)
    text = (FOLDER / "RESULTS.head.md").read_text().replace("MACHINE", document["machine"])
    pieces = [text.rstrip(), ""]
    if races := document.get("race"):
        pieces += _races(races)
    for part, make in _PARTS.items():
        if part in document:
            pieces += make(document[part])
    pieces.append((FOLDER / "RESULTS.tail.md").read_text().rstrip())
    PAGE.write_text("\n".join(pieces) + "\n")


def _races(races: Mapping[str, Found]) -> list[str]:
    lines: list[str] = []
    for race in sorted(races.values(), key=lambda one: (one["doors"], one["hosts"])):
        doors = "one sshd" if race["doors"] == 1 else f"{race['doors']} sshd's, default MaxStartups"
        lines += [
            f"## {race['hosts']:,} hosts ({doors}, `docker stats` of {race['delay_s']:g} s)",
            "",
            "| client | rounds | wall s | ratio | CPU s | ratio | peak MB | failed |",
            "|---|---|---|---|---|---|---|---|",
        ]
        base = race["runs"].get(BASE) or []
        for name, runs in race["runs"].items():
            if runs:
                lines.append(_row(name, runs, base))
        lines.append("")
    _plot_races([race for race in races.values() if race["doors"] == 1])
    lines += [
        "![Wall seconds by hosts](plots/wall.svg)",
        "![CPU seconds by hosts](plots/cpu.svg)",
        "",
    ]
    return lines


def _row(name: str, runs: list[Found], base: list[Found]) -> str:
    cells = [name, str(len(runs))]
    for key in ("wall_s", "cpu_s"):
        cells += [_spread(run[key] for run in runs), _ratio(runs, base, key)]
    cells.append(f"{max(run['peak_bytes'] for run in runs) / 1e6:.0f}")
    cells.append(str(max(run["failed"] for run in runs)))
    return f"| {' | '.join(cells)} |"


def _spread(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def _ratio(runs: list[Found], base: list[Found], key: str) -> str:
    if not base:
        return ""
    ours, theirs = (statistics.median(run[key] for run in one) for one in (runs, base))
    return f"{ours / theirs:.2f}"


def _plot_races(races: list[Found]) -> None:
    for key, name in (("wall_s", "wall"), ("cpu_s", "cpu")):
        lines: dict[str, list[tuple[float, float]]] = {}
        for race in sorted(races, key=lambda one: one["hosts"]):
            if race["delay_s"] < 1:
                continue
            for client, runs in race["runs"].items():
                if runs:
                    at = statistics.median(run[key] for run in runs)
                    lines.setdefault(client, []).append((race["hosts"], at))
        _plot(name, lines, "hosts", f"{name} seconds")


def _plot(
    name: str, lines: Mapping[str, list[tuple[float, float]]], x: str, y: str, log: bool = True
) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for label, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _forks(found: list[Found]) -> list[str]:
    lines = [
        "## How many at a time (`--forks`), 1,000 hosts",
        "",
        "| forks | wall s | CPU s | peak MB |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one['forks']} | {one['wall_s']:.1f} | {one['cpu_s']:.2f} "
        f"| {one['peak_bytes'] / 1e6:.0f} |"
        for one in found
    ]
    return [*lines, ""]


def _dead(found: Found) -> list[str]:
    alone, beside = found["alone_s"], found["beside_s"]
    return [
        "## Nobody waits for the dead",
        "",
        f"`fleet collect` of {found['healthy']} healthy hosts, until the last of their rows is in "
        f"QuestDB: {alone:.1f} s. With {found['dead']} more that swallow every packet: "
        f"{beside:.1f} s, {beside / alone:.2f} times that (medians of {found['rounds']} rounds).",
        "",
    ]


def _memory(found: list[Found]) -> list[str]:
    lines = [
        "## Memory of one `fleet collect`",
        "",
        "| hosts | containers each | rows | peak MB | wall s | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['hosts']:,} | {one['containers']} | {one['rows']:,} "
        f"| {one['peak_bytes'] / 1e6:.0f} | {one['wall_s']:.1f} | {one['cpu_s']:.2f} |"
        for one in found
    ]
    by_size: dict[str, list[tuple[float, float]]] = {}
    for one in sorted(found, key=lambda one: one["hosts"]):
        label = f"{one['containers']} containers each"
        by_size.setdefault(label, []).append((one["hosts"], one["peak_bytes"] / 1e6))
    _plot("memory", by_size, "hosts", "peak MB")
    return [*lines, "", "![Peak memory by hosts](plots/memory.svg)", ""]


def _text(found: Found) -> list[str]:
    rows = found["rows"]
    client, server = found["client_s"] / rows * 1e6, found["server_s"] / rows * 1e6
    return [
        "## From text to QuestDB's acknowledgement",
        "",
        f"{rows:,.0f} rows of containers in {found['wall_s']:.2f} s: "
        f"{rows / found['wall_s']:,.0f} rows a second. "
        f"Client CPU {client:.1f} µs a row; QuestDB's own {server:.1f} µs a row, "
        f"{server / (client + server) * 100:.0f} % of both.",
        "",
    ]


def _start(found: Mapping[str, float]) -> list[str]:
    lines = ["## Start-up", "", "| | s |", "|---|---|"]
    return [*lines, *(f"| {name} | {seconds:.3f} |" for name, seconds in found.items()), ""]


def _dashboards(found: Found) -> list[str]:
    lines = [
        "## Dashboards",
        "",
        f"{found['days']} days of {found['containers']:,} containers, a sweep each five minutes "
        f"({found['rows']:,} rows): each question of the three dashboards, median of its rounds, "
        "as QuestDB answers it over HTTP.",
        "",
        "| range | questions | median ms | slowest ms | which | over a second |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found["ranges"].items():
        lines.append(
            f"| {name} | {one['questions']} | {one['median_ms']:.0f} | {one['slowest_ms']:.0f} "
            f"| {one['slowest']} | {one['over_1s']} |"
        )
    view, table = found["views"]["view_ms"], found["views"]["table_ms"]
    return [
        *lines,
        "",
        f"CPU by service over all {found['days']} days: {view:.0f} ms from the view, "
        f"{table:.0f} ms from the table itself.",
        "",
    ]


_PARTS = {
    "dashboards": _dashboards,
    "dead": _dead,
    "forks": _forks,
    "memory": _memory,
    "text": _text,
    "startup": _start,
}
