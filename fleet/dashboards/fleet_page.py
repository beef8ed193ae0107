"""*Fleet*: is every host read, is anything missing, who is the busiest?"""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from fleet.dashboards import common, sql, tokens
from fleet.dashboards.panels import (
    BLUE,
    ORANGE,
    RED,
    YELLOW,
    Panel,
    bars,
    coloured,
    figure,
    lines,
    link_to,
    linked,
    rows,
    status_cells,
    status_overrides,
    steps,
    unit,
)

_VISITS = sql.table(tokens.HOSTS)
_SWEEPS = sql.table(tokens.SWEEPS)
_NEWEST_VISITS = sql.newest_visits()
_LATE = ((tokens.intervals(2), YELLOW), (tokens.intervals(6), RED))
_FAILED = "status <> 'ok' AND NOT maintenance"
_TO_HOST = link_to(common.HOST, "Host ${__data.fields.host}", host="${__data.fields.host}")
_TO_CONTAINERS = link_to(
    common.CONTAINERS, "Containers of ${__data.fields.host}", host="${__data.fields.host}"
)
_TO_CONTAINER = link_to(
    common.CONTAINERS,
    "Container ${__data.fields.name}",
    host="${__data.fields.host}",
    container="${__data.fields.name}",
)
HOST_LINKS = [linked([_TO_HOST, _TO_CONTAINERS])]
CONTAINER_LINKS = [linked([_TO_CONTAINER, _TO_HOST])]


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = common.begun(
        common.FLEET, "Fleet", "Every host's last visit, what is missing, and the busiest."
    )
    common.with_hosts(made)
    made.annotation(common.redeploys(sql.OF_HOSTS))
    for panel in (*_now(), *_over_time(), *_hosts(), *_busiest(), *_sweeps()):
        made.with_panel(panel)
    return made


def _newest(what: str, where: str = "1=1") -> str:
    return f"SELECT {what} FROM {_NEWEST_VISITS} WHERE {where}"


def _now() -> list[Panel]:
    return [*_hosts_now(), *_sweeps_now()]


def _hosts_now() -> list[Panel]:
    return [
        figure(
            "Hosts ok",
            "Hosts whose newest visit read everything, those in maintenance among them.",
            "short",
            _newest("count() AS hosts", "status = 'ok'"),
            steps(good=BLUE),
        ),
        figure(
            "Hosts not ok",
            "Hosts whose newest visit was not ok, or is three intervals old; those in maintenance "
            "are not counted.",
            "short",
            _newest("count() AS hosts", _FAILED),
            steps((1, RED)),
        ),
        figure(
            "Hosts without data",
            "Hosts whose newest visit brought no container's row, or is three intervals old: down, "
            "without containers, or not visited.",
            "short",
            _newest("count() AS hosts", "containers = 0"),
            steps((1, ORANGE)),
        ),
        figure(
            "Containers",
            "Containers that the newest visits read.",
            "short",
            _newest("sum(containers) AS containers"),
            steps(good=BLUE),
        ),
    ]


def _sweeps_now() -> list[Panel]:
    newest_sweep = (
        f"SELECT datediff('s', max(timestamp), $__toTime) AS age FROM {_SWEEPS} WHERE {sql.TIME}"
    )
    last_of_jobs = (
        f"(SELECT * FROM {_SWEEPS} WHERE {sql.TIME} LATEST ON timestamp PARTITION BY name)"
    )
    return [
        figure(
            "Age of the newest sweep",
            "Since the last sweep of any job. It grows when cron died.",
            "s",
            newest_sweep,
            steps(*_LATE),
        ),
        figure(
            "Last sweep took",
            "The longest of the jobs' last sweeps.",
            "s",
            f"SELECT max(elapsed) AS seconds FROM {last_of_jobs}",
            steps((120, YELLOW), (240, RED)),
        ),
        figure(
            "Failed visits",
            "Visits in this range that were not ok, of all; those in maintenance are no failures.",
            "percent",
            f"SELECT 100.0 * sum(CASE WHEN {_FAILED} THEN 1 ELSE 0 END) / count() AS share "
            f"FROM {_VISITS} WHERE {sql.TIME} AND {sql.OF_HOSTS}",
            steps((1, YELLOW), (10, RED)),
        ),
        figure(
            "Rows in the spool",
            "Rows of earlier sweeps that waited on the central host's disk when the jobs' last "
            "sweeps were over. Not 0: QuestDB was away, or refuses them.",
            "short",
            f"SELECT sum(spooled) AS spooled FROM {last_of_jobs}",
            steps((1, ORANGE)),
        ),
    ]


def _over_time() -> list[Panel]:
    by_status = (
        "SELECT time, status, count() AS hosts FROM (SELECT timestamp AS time, host, "
        f"last(status) AS status FROM {_VISITS} WHERE {sql.TIME} AND {sql.OF_HOSTS} "
        f"SAMPLE BY {sql.BUCKET})"
    )
    containers = (
        "SELECT time, sum(containers) AS containers FROM (SELECT timestamp AS time, host, "
        f"last(containers) AS containers FROM {_VISITS} WHERE {sql.TIME} AND {sql.OF_HOSTS} "
        f"SAMPLE BY {sql.BUCKET})"
    )
    return [
        status_overrides(
            bars(
                "Hosts by status now",
                "The status of each host's newest visit; those in maintenance as well, and apart "
                "those that had none in the last three intervals.",
                "short",
                f"{_newest('status, count() AS hosts')} ORDER BY hosts DESC, status",
                "status",
                "hosts",
                box=(6, 9),
            )
        ),
        status_overrides(
            lines(
                "Hosts by status",
                "The status of each host's last visit in each step of time.",
                "short",
                sql.broken(by_status, ("status",), ("hosts",)),
                name="${__field.labels.status}",
                box=(12, 9),
                stacked=True,
            )
        ),
        lines(
            "Containers over time",
            "Containers that were read, by each host's last visit in each step of time.",
            "short",
            sql.broken(containers, (), ("containers",)),
            name="containers",
            box=(6, 9),
        ),
    ]


def _hosts() -> list[Panel]:
    last_ok = (
        f"(SELECT host, max(timestamp) AS last_ok FROM {_VISITS} "
        f"WHERE {sql.TIME} AND status = 'ok' GROUP BY host)"
    )
    last_data = (
        f"(SELECT host, max(timestamp) AS newest FROM {_VISITS} "
        f"WHERE {sql.TIME} AND containers > 0 GROUP BY host)"
    )
    return [
        rows(
            "Hosts that are not ok",
            "Each with what happened at its newest visit, and when it was last ok in this range. "
            "docs/statuses.md has the cure of each status.",
            "SELECT visit.host AS host, status, phase, detail, maintenance, last_ok, "
            f"visit.timestamp AS visited FROM {_NEWEST_VISITS} visit "
            f"LEFT JOIN {last_ok} good ON visit.host = good.host "
            "WHERE status <> 'ok' ORDER BY maintenance, status, host",
            box=(14, 9),
            host=HOST_LINKS,
            status=status_cells(),
        ),
        rows(
            "Age of each host's newest sample",
            "Since the last sweep that read a container of the host, to the end of this range; "
            "empty where none did.",
            "SELECT visit.host AS host, status, containers, "
            f"datediff('s', newest, $__toTime) AS age FROM {_NEWEST_VISITS} visit "
            f"LEFT JOIN {last_data} data ON visit.host = data.host ORDER BY age DESC, host",
            box=(10, 9),
            host=HOST_LINKS,
            status=status_cells(),
            age=[
                *unit("s", 0),
                *coloured(*_LATE),
            ],
        ),
    ]


def _busiest() -> list[Panel]:
    def of(title: str, what: str, metric: str, columns: list[model.DynamicConfigValue]) -> Panel:
        return rows(
            title,
            f"The twenty containers with the highest mean of {what} in this range.",
            sql.top(metric, sql.OF_HOSTS, 20),
            box=(12, 10),
            host=HOST_LINKS,
            name=CONTAINER_LINKS,
            mean=columns,
            peak=columns,
        )

    return [
        of("Top containers by CPU", "CPU, in percent of one core", "cpu", unit("percent", 1)),
        of("Top containers by memory", "memory in use", "memory_use", unit("bytes")),
    ]


def _sweeps() -> list[Panel]:
    def of_jobs(column: str, name: str) -> str:
        return sql.broken(
            f"SELECT timestamp AS time, name, {column} AS {name} FROM {_SWEEPS} "
            f"WHERE {sql.TIME} SAMPLE BY {sql.BUCKET}",
            ("name",),
            (name,),
        )

    return [
        lines(
            "Sweep duration",
            "From the start of a sweep to its last visit, by job.",
            "s",
            of_jobs("max(elapsed)", "seconds"),
            name="${__field.labels.name}",
            box=(8, 8),
        ),
        lines(
            "Share of failed visits",
            "Visits that were not ok, of all; those in maintenance are no failures.",
            "percent",
            sql.broken(
                "SELECT timestamp AS time, "
                f"100.0 * sum(CASE WHEN {_FAILED} THEN 1 ELSE 0 END) / count() AS share "
                f"FROM {_VISITS} WHERE {sql.TIME} AND {sql.OF_HOSTS} SAMPLE BY {sql.BUCKET}",
                (),
                ("share",),
            ),
            name="failed",
            box=(8, 8),
            most=100,
        ),
        lines(
            "Rows waiting in the spool",
            "Rows of earlier sweeps on the central host's disk when a sweep was over, by job. It "
            "sends them after its own, so those of the newest figure may have gone since.",
            "short",
            of_jobs("last(spooled)", "rows"),
            name="${__field.labels.name}",
            box=(8, 8),
        ),
    ]
