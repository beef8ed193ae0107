"""Alert rules: what somebody should be told of, each a question whose rows are what is wrong.

A rule's question lists offenders alone, with one number that says how bad it is. No row is no
alert; only of sweeps no row at all is one.
"""

from dataclasses import dataclass

from fleet.dashboards import sql, tokens
from fleet.dashboards.common import CONTAINERS, FLEET, HOST

_VISITS = sql.table(tokens.HOSTS)
_SWEEPS = sql.table(tokens.SWEEPS)
_STATES = sql.table(tokens.STATES)
_SAMPLES = sql.table(tokens.CONTAINERS)

_HOUR = 3600
_DAY = 24 * _HOUR
MANY_RESTARTS = 3
"""Within an hour."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: rows of `question` in which `number` is over `limit`, held for `minutes`, over the
    last `range_s` seconds. `summary` and `description` are Grafana's templates.
    """

    uid: str
    title: str
    question: str
    number: str
    limit: float
    summary: str
    description: str
    severity: str
    dashboard: str
    range_s: int = 2 * _HOUR
    minutes: int = 0
    silent_is_bad: bool = False


def _newest_of_host(columns: str) -> str:
    return f"SELECT {columns} FROM {_VISITS} WHERE {sql.TIME} LATEST ON timestamp PARTITION BY host"


def _host_not_ok() -> str:
    visits = (
        "SELECT host, status, maintenance, "
        "row_number() OVER (PARTITION BY host ORDER BY timestamp DESC) AS place "
        f"FROM {_VISITS} WHERE {sql.TIME}"
    )
    return (
        f"SELECT host, failed FROM (SELECT host, count() AS failed FROM ({visits}) "
        "WHERE place <= 2 AND status <> 'ok' AND NOT maintenance) "
        "WHERE failed = 2 ORDER BY host"
    )


def _no_sweep() -> str:
    jobs = (
        "SELECT name, count() AS sweeps, min(timestamp) AS first, max(timestamp) AS newest "
        f"FROM {_SWEEPS} WHERE {sql.TIME}"
    )
    apart = "datediff('s', first, newest) / (sweeps - 1.0)"
    return (
        "SELECT name, datediff('s', newest, $__toTime) / "
        f"greatest({tokens.INTERVAL_SECONDS}.0, {apart}) AS intervals "
        f"FROM ({jobs}) WHERE sweeps > 2 ORDER BY name"
    )


def _host_key_changed() -> str:
    newest = _newest_of_host("host, status")
    return (
        f"SELECT host, count() AS changed FROM ({newest}) "
        "WHERE status = 'host_key_changed' ORDER BY host"
    )


def _memory_near_limit() -> str:
    newest = (
        f"SELECT host, name, memory_percentage FROM {_SAMPLES} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host, container"
    )
    return (
        f"SELECT host, name, max(memory_percentage) AS memory FROM ({newest}) "
        "WHERE memory_percentage > 90 ORDER BY host, name"
    )


def _vanished() -> str:
    seen = (
        "SELECT host, name, CASE WHEN service IS NULL THEN name ELSE service END AS what, "
        f"timestamp, state FROM {_STATES} WHERE {sql.TIME}"
    )
    gone = f"SELECT host, name, what, max(timestamp) AS at FROM ({seen}) WHERE state = 'vanished'"
    there = f"SELECT host, what, max(timestamp) AS at FROM ({seen}) WHERE state <> 'vanished'"
    return (
        "SELECT gone.host AS host, gone.name AS name, count() AS vanished "
        f"FROM ({gone}) gone LEFT JOIN ({there}) there "
        "ON gone.host = there.host AND gone.what = there.what "
        "WHERE there.at IS NULL OR there.at < gone.at ORDER BY host, name"
    )


def _restarting() -> str:
    seen = (
        "SELECT host, container, last(name) AS name, max(restarts) - min(restarts) AS restarts, "
        f"last(state) AS state FROM {_STATES} WHERE {sql.TIME} AND state <> 'vanished'"
    )
    return (
        "SELECT host, name, max(CASE WHEN state = 'restarting' AND restarts < 1 THEN 1 "
        f"ELSE restarts END) AS restarts FROM ({seen}) "
        f"WHERE restarts >= {MANY_RESTARTS} OR state = 'restarting' ORDER BY host, name"
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
        range_s=7 * _DAY,
        silent_is_bad=True,
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
        range_s=_HOUR,
        minutes=10,
    ),
    Rule(
        "fleet-container-vanished",
        "Container vanished",
        _vanished(),
        "vanished",
        0,
        "{{ $labels.name }} is no more on {{ $labels.host }}",
        "It was there in an earlier sweep, and none of its service, or of its name, came in its "
        "place.",
        "warning",
        HOST,
        minutes=10,
    ),
    Rule(
        "fleet-container-restarts",
        "Container keeps restarting",
        _restarting(),
        "restarts",
        0,
        "{{ $labels.name }} on {{ $labels.host }} keeps restarting",
        f"Docker restarted it {MANY_RESTARTS} times or more within an hour, or is about to.",
        "warning",
        HOST,
        range_s=_HOUR,
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
    ),
)


def provisioned() -> dict[str, object]:
    """Grafana's provisioning file of all rules (its documentation, "file provisioning")."""
    group = {
        "orgId": 1,
        "name": "fleet",
        "folder": "fleet",
        "interval": "1m",
        "rules": [_provisioned(rule) for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def _provisioned(rule: Rule) -> dict[str, object]:
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
        "relativeTimeRange": seconds,
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
        "noDataState": "Alerting" if rule.silent_is_bad else "OK",
        "execErrState": "Error",
        "labels": {"severity": rule.severity, "source": "fleet"},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "__dashboardUid__": rule.dashboard,
        },
    }
