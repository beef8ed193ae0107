"""Alert rules: what somebody should be told of, each a question whose rows are what is wrong.

A rule's question lists offenders alone, with one number that says how bad it is, and no row where
nothing is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.dashboards import sql, tokens
from fleet.dashboards.common import CONTAINERS, FLEET, HOST

_VISITS = sql.table(tokens.HOSTS)
_SWEEPS = sql.table(tokens.SWEEPS)
_STATES = sql.table(tokens.STATES)
_SAMPLES = sql.table(tokens.CONTAINERS)

MANY_RESTARTS = 3
"""Within an hour, or four intervals."""
FEW_SWEEPS = 6
"""A job that has made no more is being tried out."""

_ALIVE = ("running", "restarting", "paused")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: rows of `question` in which `number` is over `limit`, held for `minutes`, over the
    last `range_s` seconds, a token. `summary` and `description` are Grafana's templates; `page` and
    `panel` are the path and the title of what shows more.
    """

    uid: str
    title: str
    question: str
    number: str
    limit: float
    summary: str
    description: str
    severity: str
    page: str
    panel: str
    range_s: str = tokens.ALERT_RANGE_S
    minutes: int = 0


def _since(seconds: str) -> str:
    return f"dateadd('s', -{seconds}, $__toTime)"


def _host_not_ok() -> str:
    visits = (
        "SELECT host, status, maintenance, timestamp, "
        "row_number() OVER (PARTITION BY host ORDER BY timestamp DESC) AS place "
        f"FROM {_VISITS} WHERE {sql.TIME}"
    )
    return (
        "SELECT host, failed FROM (SELECT host, count() AS failed, max(timestamp) AS newest "
        f"FROM ({visits}) WHERE place <= 2 AND status <> 'ok' AND NOT maintenance) "
        f"WHERE failed = 2 AND newest >= {_since(tokens.intervals(3))} ORDER BY host"
    )


def _no_sweep() -> str:
    sweeps = f"SELECT name, timestamp FROM {_SWEEPS} WHERE {sql.TIME}"
    pairs = (
        "SELECT name, timestamp, lag(timestamp) OVER (PARTITION BY name ORDER BY timestamp) "
        f"AS before FROM ({sweeps})"
    )
    gaps = (
        f"SELECT name, datediff('s', before, timestamp) AS gap FROM ({pairs}) "
        "WHERE before IS NOT NULL"
    )
    sorted_gaps = (
        "SELECT name, gap, row_number() OVER (PARTITION BY name ORDER BY gap) AS place, "
        f"count() OVER (PARTITION BY name) AS many FROM ({gaps})"
    )
    usual = f"SELECT name, gap FROM ({sorted_gaps}) WHERE place = (many + 1) / 2"
    jobs = f"SELECT name, count() AS sweeps, max(timestamp) AS newest FROM ({sweeps})"
    none = f"SELECT count() AS sweeps FROM ({sweeps})"
    return (
        "SELECT jobs.name AS name, datediff('s', newest, $__toTime) * 1.0 / "
        f"greatest({tokens.INTERVAL_SECONDS}, gap) AS intervals FROM ({jobs}) jobs "
        f"JOIN ({usual}) usual ON jobs.name = usual.name WHERE sweeps > {FEW_SWEEPS} "
        f"UNION ALL SELECT 'any' AS name, {tokens.WEEK_S} * 1.0 / {tokens.INTERVAL_SECONDS} "
        f"AS intervals FROM ({none}) WHERE sweeps = 0"
    )


def _host_key_changed() -> str:
    newest = (
        f"SELECT host, status FROM {_VISITS} WHERE {sql.TIME} LATEST ON timestamp PARTITION BY host"
    )
    return (
        f"SELECT host, count() AS changed FROM ({newest}) "
        "WHERE status = 'host_key_changed' ORDER BY host"
    )


def _memory_near_limit() -> str:
    newest = (
        f"SELECT host, name, memory_percentage, timestamp FROM {_SAMPLES} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host, container"
    )
    return (
        f"SELECT host, name, max(memory_percentage) AS memory FROM ({newest}) "
        f"WHERE memory_percentage > 90 AND timestamp >= {_since(tokens.intervals(3))} "
        "ORDER BY host, name"
    )


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _vanished() -> str:
    what = "CASE WHEN service IS NULL THEN name ELSE service END AS what"
    seen = (
        "SELECT host, container, name, timestamp, state, started, "
        f"CASE WHEN state IN ({_words(_ALIVE)}) THEN 1 ELSE 0 END AS alive, {what} "
        f"FROM {_STATES} WHERE {sql.TIME}"
    )
    before = "OVER (PARTITION BY host, container ORDER BY timestamp)"
    pairs = (
        f"SELECT host, name, what, timestamp, state, lag(alive) {before} AS was_alive, "
        f"lag(started) {before} AS was_started FROM ({seen})"
    )
    gone = (
        f"SELECT host, name, what FROM ({pairs}) WHERE state = 'vanished' AND was_alive = 1 "
        "AND was_started <= dateadd('h', -1, timestamp)"
    )
    newest = (
        f"SELECT host, state, {what} FROM {_STATES} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host, container"
    )
    there = f"SELECT host, what, count() AS n FROM ({newest}) WHERE state IN ({_words(_ALIVE)})"
    return (
        "SELECT gone.host AS host, gone.name AS name, count() AS vanished "
        f"FROM ({gone}) gone LEFT JOIN ({there}) there "
        "ON gone.host = there.host AND gone.what = there.what WHERE n IS NULL ORDER BY host, name"
    )


def _restarting() -> str:
    pairs = (
        "SELECT host, container, name, state, timestamp, restarts, "
        "lag(restarts) OVER (PARTITION BY host, container ORDER BY timestamp) AS before "
        f"FROM {_STATES} WHERE {sql.TIME} AND state <> 'vanished'"
    )
    lately = (
        "SELECT host, container, last(name) AS name, last(state) AS state, "
        "sum(CASE WHEN restarts > before THEN restarts - before ELSE 0 END) AS restarts "
        f"FROM ({pairs}) WHERE timestamp >= {_since(tokens.LATELY_S)}"
    )
    return (
        f"SELECT host, name, max(restarts) AS restarts FROM ({lately}) "
        f"WHERE restarts >= {MANY_RESTARTS} OR state = 'restarting' AND restarts > 0 "
        "ORDER BY host, name"
    )


def _spool_grows() -> str:
    sweeps = (
        "SELECT name, spooled, "
        "row_number() OVER (PARTITION BY name ORDER BY timestamp DESC) AS place "
        f"FROM {_SWEEPS} WHERE {sql.TIME}"
    )
    newest = (
        "SELECT name, max(CASE WHEN place = 1 THEN spooled END) AS newest, "
        "max(CASE WHEN place = 2 THEN spooled END) AS second, "
        f"max(CASE WHEN place = 3 THEN spooled END) AS third FROM ({sweeps}) WHERE place <= 3"
    )
    return (
        f"SELECT name, newest AS spooled FROM ({newest}) "
        "WHERE newest > second AND second > third ORDER BY name"
    )


RULES = (
    Rule(
        "fleet-host-not-ok",
        "Host not ok for two sweeps",
        _host_not_ok(),
        "failed",
        1,
        "{{ $labels.host }} was not ok at two sweeps in a row",
        "fleet check {{ $labels.host }} says what is wrong, and what to do. A host whose inventory "
        "says fleet_state: maintenance is left out.",
        "warning",
        HOST,
        "Status over time",
    ),
    Rule(
        "fleet-no-sweep",
        "No sweep for three intervals",
        _no_sweep(),
        "intervals",
        3,
        "Job {{ $labels.name }} has made no sweep for {{ $values.A.Value }} intervals",
        "Cron or the timer died, the central host did, or QuestDB takes no rows: look at the "
        "central host, with fleet spool first.",
        "critical",
        FLEET,
        "Age of the newest sweep",
        range_s=tokens.WEEK_S,
    ),
    Rule(
        "fleet-host-key-changed",
        "Host key changed",
        _host_key_changed(),
        "changed",
        0,
        "{{ $labels.host }} has another host key than the one that is known",
        "The machine was rebuilt, or somebody answers in its place. Nothing was sent to it. "
        "fleet check {{ $labels.host }} shows both fingerprints; fleet trust records a new one.",
        "critical",
        HOST,
        "Status over time",
    ),
    Rule(
        "fleet-memory-near-limit",
        "Memory over 90 % of its limit",
        _memory_near_limit(),
        "memory",
        90,
        "{{ $labels.name }} on {{ $labels.host }} uses {{ $values.A.Value }} % of its memory",
        "At its limit the kernel kills a process of the container.",
        "warning",
        CONTAINERS,
        "Memory, in percent of its limit",
        minutes=10,
    ),
    Rule(
        "fleet-container-vanished",
        "Container vanished",
        _vanished(),
        "vanished",
        0,
        "{{ $labels.name }} is no more on {{ $labels.host }}",
        "It ran for an hour or more, and none of its service, or of its name, runs on that host "
        "now.",
        "warning",
        HOST,
        "State changes",
        minutes=10,
    ),
    Rule(
        "fleet-container-restarts",
        "Container keeps restarting",
        _restarting(),
        "restarts",
        0,
        "{{ $labels.name }} on {{ $labels.host }} keeps restarting",
        f"Docker restarted it {MANY_RESTARTS} times within an hour, or did and is at it again.",
        "warning",
        HOST,
        "State changes",
    ),
    Rule(
        "fleet-spool-grows",
        "Spool grows",
        _spool_grows(),
        "spooled",
        0,
        "Job {{ $labels.name }} keeps {{ $values.A.Value }} rows on disk, more at each sweep",
        "QuestDB does not take them, or not fast enough: fleet spool shows them on the central "
        "host.",
        "warning",
        FLEET,
        "Rows waiting in the spool",
    ),
)


def provisioned(panels: Mapping[tuple[str, str], int]) -> dict[str, object]:
    """Grafana's provisioning file of all rules (its documentation, "file provisioning"). `panels`
    has each panel's id by its dashboard's address and its title.
    """
    group = {
        "orgId": 1,
        "name": "fleet",
        "folder": "fleet",
        "interval": "1m",
        "rules": [_provisioned(rule, panels[rule.page, rule.panel]) for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def _provisioned(rule: Rule, panel: int) -> dict[str, object]:
    seconds = {"from": rule.range_s, "to": 0}
    question = {
        "refId": "A",
        "datasourceUid": tokens.DATASOURCE,
        "relativeTimeRange": seconds,
        "model": {
            "refId": "A",
            "queryType": "sql",
            "rawSql": rule.question,
            "format": 1,
            "selectedFormat": 1,
        },
    }
    over = {
        "refId": "B",
        "datasourceUid": "__expr__",
        "relativeTimeRange": dict(seconds),
        "model": {
            "refId": "B",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [rule.limit]}}],
        },
    }
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "B",
        "data": [question, over],
        "for": f"{rule.minutes}m",
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": rule.severity, "source": "fleet"},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "__dashboardUid__": rule.page,  # Grafana wants both of these, or neither
            "__panelId__": str(panel),
        },
    }
