"""What the three dashboards share: how they begin, their variables, redeploys as annotations."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from fleet.dashboards import sql, tokens
from fleet.dashboards.panels import Format, Query, source

FLEET = "fleet-overview"
CONTAINERS = "fleet-containers"
HOST = "fleet-host"
"""The dashboards' addresses: /d/UID."""


def begun(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """A dashboard with our ranges and links to the others."""
    page = dashboard.Dashboard(title).uid(uid).description(description).tags(["fleet"])
    page.time("now-6h", "now").refresh("1m").timezone("browser").editable()
    page.tooltip(model.DashboardCursorSync.CROSSHAIR)
    for name, to in (("Fleet", FLEET), ("Containers", CONTAINERS), ("Host", HOST)):
        link = dashboard.DashboardLink(name).type(model.DashboardLinkType.LINK).url(f"/d/{to}")
        # Host is of one host: what is chosen elsewhere, All or several, is nothing to it.
        page.link(link.keep_time(True).include_vars(HOST not in (to, uid)))
    return page


def variable(name: str, label: str, question: str, several: bool = True) -> dashboard.QueryVariable:
    """A variable whose values QuestDB lists, anew when the range changes."""
    chosen = dashboard.QueryVariable(name).label(label).datasource(source()).query(question)
    chosen.definition(question).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    chosen.sort(model.VariableSort.NATURAL_ASC)
    if several:
        every = model.VariableOption(text="All", value="$__all", selected=True)
        chosen.multi(True).include_all(True).current(every)
    return chosen


def with_hosts(page: dashboard.Dashboard, several: bool = True) -> dashboard.Dashboard:
    """A variable for each label, each within those before it, then the host."""
    labels = sql.values_of(tokens.LABEL, sql.hosts(), tokens.LABELS_SO_FAR)
    page.with_variable(variable(tokens.LABEL, tokens.LABEL, labels))
    names = sql.values_of("host", sql.hosts(), tokens.OF_LABELS)
    return page.with_variable(variable("host", "host", names, several))


def redeploys(where: str) -> dashboard.AnnotationQuery:
    """A mark where a container's name got another id."""
    seen = (
        "SELECT host, name, container, min(timestamp) AS time "
        f"FROM {sql.table(tokens.STATES)} "
        f"WHERE timestamp >= dateadd('s', -{tokens.LOOK_BACK_S}, $__fromTime) "
        f"AND timestamp <= $__toTime AND {where} AND state <> 'vanished'"
    )
    question = (
        "SELECT time, host || ': ' || name || ' is ' || container AS text, host || ',' || name "
        "AS tags FROM (SELECT host, name, container, time, "
        f"row_number() OVER (PARTITION BY host, name ORDER BY time) AS place FROM ({seen})) "
        "WHERE place > 1 AND time >= $__fromTime ORDER BY time"
    )
    mark = dashboard.AnnotationQuery().name("Redeploys").datasource(source()).enable(True)
    return mark.icon_color("purple").target(Query(question, Format.TABLE, "Anno"))
