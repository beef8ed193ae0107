"""*Containers*: what does each use, of what it may?"""

from grafana_foundation_sdk.builders import dashboard

from fleet.dashboards import common, sql, tokens
from fleet.dashboards.fleet_page import CONTAINER_LINKS, HOST_LINKS
from fleet.dashboards.panels import ORANGE, RED, Panel, coloured, lines, rows, unit
from fleet.views import in_bytes

MOST_SERIES = 50
_ONE = "${__field.labels.host} ${__field.labels.name}"
_EACH = f"{_ONE} ${{__field.name}}"
_BUSIEST = f"Of more than {MOST_SERIES} containers, those with the highest mean in this range."


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = common.begun(
        common.CONTAINERS, "Containers", "What each container uses, of what it may."
    )
    common.with_hosts(made)
    made.with_variable(common.variable("service", "service", _values("service", sql.OF_HOSTS)))
    within = f"{sql.OF_HOSTS} AND {sql.given('service')}"
    made.with_variable(common.variable("container", "container", _values("name", within)))
    made.annotation(common.redeploys(sql.OF_CONTAINERS))
    for panel in (*_figures(), *_sums(), _latest()):
        made.with_panel(panel)
    return made


def _values(column: str, where: str) -> str:
    return sql.values_of(column, sql.names(), where)


def _each(**values: str) -> str:
    return sql.per_container(sql.OF_CONTAINERS, MOST_SERIES, **values)


def _figures() -> list[Panel]:
    return [
        lines(
            "CPU",
            f"Percent of one core: 400 is four busy cores. {_BUSIEST}",
            "percent",
            _each(cpu="cpu"),
            name=_ONE,
        ),
        lines(
            "Memory, against its limit",
            "In use, without inactive file cache, and the limit: the container's own or the "
            f"node's memory, whichever is less. {_BUSIEST}",
            "bytes",
            _each(use="memory_use", limit="total_memory"),
            name=_EACH,
        ),
        lines(
            "Memory, in percent of its limit",
            f"At 100 the kernel kills a process of it. {_BUSIEST}",
            "percent",
            _each(memory="memory_percentage"),
            name=_ONE,
            most=100,
            limits=((80, ORANGE), (90, RED)),
        ),
        lines(
            "Processes and threads",
            f"As the kernel counts them against a limit of pids. {_BUSIEST}",
            "short",
            _each(pids="pids"),
            name=_ONE,
        ),
        lines(
            "Network",
            "Bytes a second, received and sent. Nothing where a container shares another's "
            f"network, and where a counter went back: a restart is a gap. {_BUSIEST}",
            "Bps",
            _each(received="net_in_rate", sent="net_out_rate"),
            name=_EACH,
        ),
        lines(
            "Block devices",
            f"Bytes a second, read and written. A restart is a gap. {_BUSIEST}",
            "Bps",
            _each(read="block_in_rate", written="block_out_rate"),
            name=_EACH,
        ),
    ]


def _sums() -> list[Panel]:
    def of(title: str, what: str, unit_: str, **values: str) -> Panel:
        several = len(values) > 1
        return lines(
            title,
            f"{what}, of all containers chosen, by service: the sum of each container's mean in "
            "a step of time. Containers without a service are one line, without a name.",
            unit_,
            sql.summed(sql.OF_CONTAINERS, "service", **values),
            name="${__field.labels.service}" + (" ${__field.name}" if several else ""),
            box=(8, 9),
            stacked=not several,
        )

    return [
        of("CPU by service", "Percent of one core", "percent", cpu="cpu"),
        of("Memory by service", "Bytes in use", "bytes", memory="memory_use"),
        of(
            "Network by service",
            "Bytes a second",
            "Bps",
            received="net_in_rate",
            sent="net_out_rate",
        ),
    ]


def _latest() -> Panel:
    found = sql.newest(tokens.CONTAINERS, "host, container", sql.OF_CONTAINERS)
    return rows(
        "Latest sample of each container",
        "The newest row of each container in this range, and how old that is.",
        f"SELECT host, name, service, image, cpu, {in_bytes('memory_use')} AS memory_use, "
        f"{in_bytes('total_memory')} AS total_memory, memory_percentage, "
        "net_in_rate, net_out_rate, block_in_rate, block_out_rate, pids, "
        "datediff('s', timestamp, $__toTime) AS age, container, source "
        f"FROM {found} ORDER BY host, name, age",
        box=(24, 12),
        host=HOST_LINKS,
        name=CONTAINER_LINKS,
        cpu=unit("percent", 1),
        memory_use=unit("bytes"),
        total_memory=unit("bytes"),
        memory_percentage=[*unit("percent", 1), *coloured((80, ORANGE), (90, RED))],
        net_in_rate=unit("Bps"),
        net_out_rate=unit("Bps"),
        block_in_rate=unit("Bps"),
        block_out_rate=unit("Bps"),
        age=unit("s", 0),
    )
