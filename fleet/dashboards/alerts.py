"""Alert rules: what somebody should be told of, each a question whose rows are what is wrong.

A rule's question lists offenders alone, with one number that says how bad it is, and no row where
nothing is wrong. Hosts whose newest visit was in maintenance are no offenders, nor are their
containers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.dashboards import offenders, tokens
from fleet.dashboards.common import CONTAINERS, FLEET, HOST


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: rows of `question` whose number is over `limit`, `held` for so long, over the
    last `range_s` seconds, a token. `summary` and `description` are Grafana's templates; `page` and
    `panel` are the path and the title of what shows more.
    """

    uid: str
    title: str
    question: str
    limit: float
    summary: str
    description: str
    severity: str
    page: str
    panel: str
    range_s: str = tokens.ALERT_RANGE_S
    held: str = "0m"


RULES = (
    Rule(
        "fleet-host-not-ok",
        "Host not ok for two sweeps",
        offenders.host_not_ok(),
        1,
        "{{ $labels.host }} was not ok at two sweeps in a row",
        "fleet check {{ $labels.host }} says what is wrong, and what to do.",
        "warning",
        HOST,
        "Status over time",
    ),
    Rule(
        "fleet-no-sweep",
        "No sweep for three intervals",
        offenders.no_sweep(),
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
        offenders.host_key_changed(),
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
        offenders.memory_near_limit(),
        90,
        "{{ $labels.name }} on {{ $labels.host }} uses {{ $values.A.Value }} % of its memory",
        "At its limit the kernel kills a process of the container.",
        "warning",
        CONTAINERS,
        "Memory, in percent of its limit",
        held="10m",
    ),
    Rule(
        "fleet-container-vanished",
        "Container vanished",
        offenders.vanished(),
        0,
        "{{ $labels.name }} is no more on {{ $labels.host }}",
        "It ran for an hour or more, and none of its service, or of its name, runs on that host "
        "now.",
        "warning",
        HOST,
        "State changes",
        held="10m",
    ),
    Rule(
        "fleet-container-restarts",
        "Container keeps restarting",
        offenders.restarting(),
        0,
        "{{ $labels.name }} on {{ $labels.host }} keeps restarting",
        f"Docker restarted it {offenders.MANY_RESTARTS} times within an hour, or did and is at it "
        "again.",
        "warning",
        HOST,
        "State changes",
    ),
    Rule(
        "fleet-spool-grows",
        "Spool grows",
        offenders.spool_grows(),
        0,
        "Job {{ $labels.name }} keeps {{ $values.A.Value }} rows on disk, more at each sweep",
        "QuestDB does not take them fast enough: fleet spool shows them on the central host. While "
        "it takes none at all there are no rows to see this by, and the rule of missing sweeps "
        "tells.",
        "warning",
        FLEET,
        "Rows waiting in the spool",
        held=f"{tokens.intervals(2)}s",
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
        "for": rule.held,
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
