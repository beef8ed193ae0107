"""*Host*: one host with all its containers, its node and its disks."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard

from fleet.dashboards import common, sql, tokens
from fleet.dashboards.panels import (
    BLUE,
    ORANGE,
    RED,
    YELLOW,
    Panel,
    coloured,
    figure,
    lines,
    rows,
    status_mapping,
    steps,
    strip,
    unit,
)
from fleet.sources.state import HEALTHS, STATES

_HERE = f"{sql.TIME} AND {sql.ONE_HOST}"
_VISITS = sql.table(tokens.HOSTS)
_VISIT = sql.newest_visits(sql.ONE_HOST)
_NODES = sql.table(tokens.NODES)
_DISKS = sql.table(tokens.DISKS)
_STATES = sql.table(tokens.STATES)
_NAME = "${__field.labels.name}"


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = common.begun(common.HOST, "Host", "One host: its containers, its node, its disks.")
    common.with_hosts(made, several=False)
    made.annotation(common.redeploys(sql.ONE_HOST))
    for panel in (*_now(), _statuses(), *_containers(), *_node(), *_disks(), _changes()):
        made.with_panel(panel)
    return made


def _newest(column: str, table: str) -> str:
    return f"SELECT {column} FROM {table} WHERE {_HERE} ORDER BY timestamp DESC LIMIT 1"


def _now() -> list[Panel]:
    status = figure(
        "Status",
        "Of the newest visit; docs/statuses.md has the cure of each.",
        "string",
        f"SELECT status FROM {_VISIT}",
        steps(good=BLUE),
        box=(4, 4),
        field="status",
    )
    return [
        status.mappings(status_mapping()),
        figure(
            "Age of the newest visit",
            "Since the last sweep that visited this host.",
            "s",
            f"SELECT datediff('s', max(timestamp), $__toTime) AS age FROM {_VISITS} WHERE {_HERE}",
            steps((tokens.intervals(2), YELLOW), (tokens.intervals(6), RED)),
            box=(4, 4),
        ),
        figure(
            "Containers",
            "Containers that the newest visit read.",
            "short",
            f"SELECT containers FROM {_VISIT}",
            steps(good=BLUE),
            box=(4, 4),
        ),
        figure(
            "CPUs",
            "CPUs of the node that are online.",
            "short",
            _newest("cpus", _NODES),
            steps(good=BLUE),
            box=(4, 4),
        ),
        figure(
            "Up since boot",
            "By the node's own clock.",
            "s",
            _newest("uptime", _NODES),
            steps((3600, BLUE), good=ORANGE),
            box=(4, 4),
        ),
        figure(
            "Clock ahead",
            "Of the central host's clock; behind it, where negative. Half a second is in doubt.",
            "s",
            _newest("clock_skew", _NODES),
            steps((-5, BLUE), (5, RED), good=RED),
            box=(4, 4),
        ),
    ]


def _statuses() -> Panel:
    return strip(
        "Status over time",
        "The status of the last visit in each step of time; nothing where there was none.",
        sql.broken(
            f"SELECT timestamp AS time, last(status) AS status FROM {_VISITS} WHERE {_HERE} "
            f"SAMPLE BY {sql.BUCKET}",
            (),
            ("status",),
        ),
    )


def _containers() -> list[Panel]:
    def of(title: str, what: str, unit_: str, metric: str) -> Panel:
        return lines(
            title,
            f"{what}, stacked: the upper edge is the sum of all containers of this host.",
            unit_,
            sql.summed(sql.ONE_HOST, "name", value=metric),
            name=_NAME,
            stacked=True,
        )

    return [
        of("CPU of containers", "Percent of one core", "percent", "cpu"),
        of("Memory of containers", "Bytes in use", "bytes", "memory_use"),
        of("Received by containers", "Bytes a second from the network", "Bps", "net_in_rate"),
        of("Sent by containers", "Bytes a second to the network", "Bps", "net_out_rate"),
        of("Read by containers", "Bytes a second from block devices", "Bps", "block_in_rate"),
        of("Written by containers", "Bytes a second to block devices", "Bps", "block_out_rate"),
    ]


def _node() -> list[Panel]:
    def means(**values: str) -> str:
        columns = ", ".join(f"avg({column}) AS {name}" for name, column in values.items())
        found = (
            f"SELECT timestamp AS time, {columns} FROM {_NODES} WHERE {_HERE} "
            f"SAMPLE BY {sql.BUCKET}"
        )
        return sql.broken(found, (), list(values))

    field = "${__field.name}"
    return [
        lines(
            "Load of the node",
            "Tasks that run or wait, and how many CPUs there are for them.",
            "short",
            means(load1="load1", load5="load5", load15="load15", cpus="cpus"),
            name=field,
            box=(8, 9),
        ),
        lines(
            "Memory of the node",
            "What programs could still get, of what the kernel has.",
            "bytes",
            means(available="memory_available", total="memory_total"),
            name=field,
            box=(8, 9),
        ),
        lines(
            "Pressure on the node",
            "Part of the last minute in which some task waited for a CPU, for memory, for a disk; "
            "nothing on a kernel without pressure stall information.",
            "percent",
            means(cpu="cpu_pressure", memory="memory_pressure", disk="io_pressure"),
            name=field,
            box=(8, 9),
            most=100,
        ),
    ]


def _disks() -> list[Panel]:
    mount = "${__field.labels.mount}"
    before = "OVER (PARTITION BY mount ORDER BY timestamp)"
    pairs = (
        "SELECT timestamp, mount, read_bytes, written_bytes, "
        f"lag(read_bytes) {before} AS read_before, lag(written_bytes) {before} AS written_before, "
        f"lag(timestamp) {before} AS time_before FROM {_DISKS} WHERE {_HERE}"
    )

    def speed(now: str, earlier: str) -> str:
        passed = "datediff('u', time_before, timestamp)"
        return f"CASE WHEN {now} >= {earlier} THEN 1000000.0 * ({now} - {earlier}) / {passed} END"

    speeds = (
        f"SELECT timestamp, mount, {speed('read_bytes', 'read_before')} AS read, "
        f"{speed('written_bytes', 'written_before')} AS written FROM ({pairs})"
    )
    return [
        lines(
            "Disks in use",
            "Part of each local file system that is used; what is kept back for root is not.",
            "percent",
            sql.broken(
                f"SELECT timestamp AS time, mount, avg(used_percentage) AS used FROM {_DISKS} "
                f"WHERE {_HERE} SAMPLE BY {sql.BUCKET}",
                ("mount",),
                ("used",),
            ),
            name=mount,
            box=(8, 9),
            most=100,
            limits=((80, ORANGE), (90, RED)),
        ),
        lines(
            "Read from and written to disks",
            "Bytes a second of the whole device, between two sweeps. Where a counter went back, "
            "at a boot, there is a gap.",
            "Bps",
            sql.broken(
                f"SELECT timestamp_floor('{sql.BUCKET}', timestamp) AS time, mount, "
                f"avg(read) AS read, avg(written) AS written FROM ({speeds})",
                ("mount",),
                ("read", "written"),
            ),
            name=f"{mount} ${{__field.name}}",
            box=(8, 9),
        ),
        rows(
            "Disks now",
            "Each local file system, by the newest row in this range.",
            "SELECT mount, device, file_system, size, available, used_percentage, inodes, "
            f"inodes_free FROM (SELECT * FROM {_DISKS} WHERE {_HERE} "
            "LATEST ON timestamp PARTITION BY mount) ORDER BY used_percentage DESC, mount",
            box=(8, 9),
            size=unit("bytes"),
            available=unit("bytes"),
            used_percentage=[*unit("percent", 1), *coloured((80, ORANGE), (90, RED))],
        ),
    ]


def _number(column: str, words: Sequence[str]) -> str:
    """A text as a number, for lag() of QuestDB (9.3) knows no texts; 0 is null."""
    cases = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words, 1))
    return f"CASE {column} {cases} ELSE 0 END"


def _changes() -> Panel:
    before = "OVER (PARTITION BY container ORDER BY timestamp)"
    news = (
        "SELECT timestamp, name, container, state, health, exit_code, oom_killed, restarts, image, "
        f"started, {_number('state', sorted(STATES))} AS state_number, "
        f"{_number('health', HEALTHS)} AS health_number FROM {_STATES} "
        f"WHERE timestamp >= dateadd('s', -{tokens.LOOK_BACK_S}, $__fromTime) "
        f"AND timestamp <= $__toTime AND {sql.ONE_HOST}"
    )
    watched = {
        "state_number": "state_before",
        "health_number": "health_before",
        "restarts": "restarts_before",
        "started": "started_before",
    }
    earlier = ", ".join(f"lag({now}) {before} AS {then}" for now, then in watched.items())
    states = f"SELECT *, {earlier}, row_number() {before} AS place FROM ({news})"
    is_other = " OR ".join(f"{now} <> {then}" for now, then in watched.items())
    return rows(
        "State changes",
        "A row where a container's state, health, start or number of restarts is another than "
        "before, and where one is new.",
        "SELECT timestamp AS time, name, state, health, exit_code, oom_killed, restarts, image, "
        f"container FROM ({states}) WHERE timestamp >= $__fromTime AND (place = 1 OR {is_other}) "
        "ORDER BY time DESC, name",
        box=(24, 10),
        restarts=[*unit("short"), *coloured((3, YELLOW), (10, RED))],
    )
