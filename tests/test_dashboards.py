"""Dashboards and alert rules as files: what is checked in, what is filled in, what is written."""

import errno
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.dashboards import build
from fleet.dashboards.render import MODELS, Names, files
from fleet.dashboards.write import write
from fleet.errors import UsageError
from fleet.tables import TableNames
from tests.command import fleet
from tests.grafana import ALL, Question, Range, expanded, questions, sample_by
from tests.truths import TRUTHS

DEPLOYED = build.DEPLOYED
SPAN = Range(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
START, END = "cast(1793491200000000 as timestamp)", "cast(1793577600000000 as timestamp)"


def dashboards(folder: Path = DEPLOYED) -> list[dict[str, Any]]:
    """The dashboards of a folder."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("dashboards/*.json"))]


def panels() -> list[Any]:
    """Each panel that is checked in, named."""
    return [
        pytest.param(panel, id=f"{page['title']}: {panel['title']}")
        for page in dashboards()
        for panel in page["panels"]
    ]


def test_checked_in_models_are_what_the_builder_makes():
    """Whoever changes a dashboard runs the builder: models and deploy/grafana are its output."""
    made = build.models()
    for path, text in made.items():
        assert (MODELS / path).read_text() == text, f"{path}: python -m fleet.dashboards.build"
    deployed = {
        str(path.relative_to(DEPLOYED)): path.read_text()
        for path in DEPLOYED.rglob("*")
        if path.is_file()
    }
    assert deployed == files(Names())


def test_every_question_has_a_truth():
    """A panel that nobody has reckoned by hand cannot come in."""
    asked = {(question.page, question.title) for question in questions(DEPLOYED)}
    assert asked == set(TRUTHS)


@pytest.mark.parametrize("panel", panels())
def test_panel_has_what_its_reader_needs(panel):
    """A unit, a description that is a sentence, our data source, the interval as shortest step."""
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert re.fullmatch(r"[A-Z].*[.]", panel["description"])
    assert panel["interval"] == "300s"
    for target in panel["targets"]:
        assert target["datasource"] == {"type": "questdb-questdb-datasource", "uid": "questdb"}
        assert target["queryType"] == "sql"
        assert target["format"] == target["selectedFormat"] in (0, 1)
    if panel["type"] == "timeseries":
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["custom"]["spanNulls"] is False, "null is a gap"
        assert defaults["displayName"], "no line is called by its SQL"
    if panel["type"] == "stat":
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]


@pytest.mark.parametrize("page", dashboards(), ids=lambda page: page["title"])
def test_dashboard_is_whole(page):
    """It refreshes each minute, marks redeploys, has the variables in order, and ids for panels."""
    assert page["refresh"] == "1m"
    assert [mark["name"] for mark in page["annotations"]["list"]] == ["Redeploys"]
    names = [variable["name"] for variable in page["templating"]["list"]]
    wanted = ["env", "role", "host"]
    assert names == wanted + (["service", "container"] if page["title"] == "Containers" else [])
    for variable in page["templating"]["list"]:
        is_one = page["title"] == "Host" and variable["name"] == "host"
        assert variable.get("multi", False) is variable.get("includeAll", False) is not is_one
    assert [panel["id"] for panel in page["panels"]] == [*range(1, len(page["panels"]) + 1)]


def test_panels_lie_side_by_side():
    """No panel is on top of another, and each row of panels fills the width."""
    for page in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
        assert {x for x, _ in taken} == set(range(24))


def test_links_lead_to_our_dashboards_and_their_variables():
    """Each link of a row names a dashboard that is there, and variables that it has."""
    variables = {
        page["uid"]: {variable["name"] for variable in page["templating"]["list"]}
        for page in dashboards()
    }
    found = set(re.findall(r"/d/([a-z-]+)\?([^\"]*)", json.dumps(dashboards())))
    assert {uid for uid, _ in found} == {"fleet-host", "fleet-containers"}
    for uid, query in found:
        assert set(re.findall(r"var-(\w+)=", query)) <= variables[uid]
        assert query.endswith("${__url_time_range}")


def test_rows_of_fleet_have_links():
    """Whatever names a host in a table of *Fleet* leads there."""
    (page,) = [page for page in dashboards() if page["title"] == "Fleet"]
    for panel in page["panels"]:
        if panel["type"] == "table":
            overrides = panel["fieldConfig"]["overrides"]
            (host,) = [one for one in overrides if one["matcher"]["options"] == "host"]
            assert [one["id"] for one in host["properties"]] == ["links"]


def test_rules_are_provisioned_whole():
    """Seven rules with ids of their own, a threshold on their question, words for who is told."""
    (path,) = (DEPLOYED / "provisioning/alerting").glob("*.yaml")
    (group,) = yaml.safe_load(path.read_text())["groups"]
    rules = group["rules"]
    assert len({rule["uid"] for rule in rules}) == len(rules) == 7
    pages = {page["uid"]: page for page in dashboards()}
    for rule in rules:
        question, over = rule["data"]
        assert rule["condition"] == over["refId"]
        assert over["model"]["expression"] == question["refId"]
        assert question["datasourceUid"] == "questdb"
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        page = pages[rule["annotations"]["__dashboardUid__"]]
        assert int(rule["annotations"]["__panelId__"]) in {one["id"] for one in page["panels"]}
        assert isinstance(rule["annotations"]["__panelId__"], str)
        assert isinstance(question["relativeTimeRange"]["from"], int)
        assert "$" not in json.dumps(rule["labels"]), "Grafana would expand it"
        assert rule["noDataState"] == "OK", "questions list what is wrong"


def test_no_file_holds_a_secret():
    """The data source's password is a variable of Grafana's environment."""
    text = (DEPLOYED / "provisioning/datasources/questdb.yaml").read_text()
    (source,) = yaml.safe_load(text)["datasources"]
    assert source["secureJsonData"] == {"password": "$FLEET_QUESTDB_PASSWORD"}


@pytest.mark.parametrize("labels", [(), ("env",), ("a", "b", "c")], ids=len)
def test_labels_are_variables_in_a_chain(labels):
    """Each label narrows the next one's values, then the host's, and every panel."""
    texts = files(Names(labels=labels, tables=TableNames(containers="c")))
    page = json.loads(texts["dashboards/containers.json"])
    chosen = page["templating"]["list"]
    assert [one["name"] for one in chosen] == [*labels, "host", "service", "container"]
    for place, one in enumerate(chosen[: len(labels)]):
        narrowed = re.findall(r"conditionalAll\(\"(\w+)\"", one["query"])
        assert tuple(narrowed) == labels[:place]
    for panel in page["panels"]:
        sql = panel["targets"][0]["rawSql"]
        assert set(re.findall(r"conditionalAll\(\"(\w+)\"", sql)) == set(labels)
        assert '"c"' in sql
        assert ("_10m" in sql) is ('"c_10m"' in sql)


def test_nothing_is_left_to_fill_in():
    """No token of a model is in a file, whatever the names."""
    for path, text in files(Names(labels=())).items():
        assert not re.search(r"@[a-z_]+@", text), path


def test_writing_replaces_nothing_unasked(tmp_path):
    """A file that somebody changed stays, and so do all others, until --force."""
    out = tmp_path / "grafana"
    first = fleet("dashboards", "--out", out)
    assert first.returncode == 0
    assert [Path(line) for line in first.stdout.split()] == sorted(
        out / path for path in files(Names())
    )
    changed = out / "dashboards/host.json"
    changed.write_text("{}")
    again = fleet("dashboards", "--out", out, "--interval", "1min")
    assert again.returncode == 2
    assert "has other contents" in again.stderr
    assert "--force" in again.stderr
    assert changed.read_text() == "{}"
    assert '"300s"' in (out / "dashboards/fleet.json").read_text()
    assert fleet("dashboards", "--out", out, "--interval", "1min", "--force").returncode == 0
    assert '"60s"' in (out / "dashboards/fleet.json").read_text()
    assert "-180, $__toTime" in (out / "provisioning/alerting/fleet.yaml").read_text()


def test_a_disk_that_is_full_leaves_each_file_whole(tmp_path, monkeypatch):
    """A file is the old one or the new one, never half of it, and nothing is left beside it."""
    target = tmp_path / "dashboards/fleet.json"
    write({"dashboards/fleet.json": "old"}, tmp_path, force=False)

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as write(2): it names no file

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=f"{target}: No space left on device"):
        write({"dashboards/fleet.json": "new"}, tmp_path, force=True)
    assert [path.name for path in target.parent.iterdir()] == ["fleet.json"]
    assert target.read_text() == "old"


def test_inventory_gives_the_labels(tmp_path):
    """`-i` takes those of an inventory; without it, standard error says which are presumed."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {a: {zone: x}}, vars: {fleet_labels: [zone]}}")
    done = fleet("dashboards", "-i", inventory, "--out", tmp_path / "one", "--table", "mine")
    assert done.stderr == ""
    text = (tmp_path / "one/dashboards/fleet.json").read_text()
    assert r"\"zone\" IN (${zone:sqlstring})" in text
    assert r"\"mine_1h\"" in text
    assert "env" not in {one["name"] for one in json.loads(text)["templating"]["list"]}
    presumed = fleet("dashboards", "--out", tmp_path / "two")
    assert "labels env, role" in presumed.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--datasource", "no spaces"], "--datasource: expected a UID"),
        (["--interval", "7min"], "does not go evenly"),
        (["--table", 'a"b'], 'a"b'),
        (["--out", "/dev/null/x"], "/dev/null"),
        (["--sweep-table", "a$b"], "'a$b' cannot stand in a dashboard"),
    ],
)
def test_bad_values_are_named(options, said, tmp_path):
    """One line says which value, and what would do; nothing is written."""
    where = [] if "--out" in options else ["--out", tmp_path / "grafana"]
    done = fleet("dashboards", *where, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("$__timeFilter(timestamp)", f"timestamp >= {START} AND timestamp <= {END}"),
        ("$__fromTime", START),
        ("datediff('h', $__fromTime, $__toTime)", f"datediff('h', {START}, {END})"),
        ("SAMPLE BY $__sampleByInterval", "SAMPLE BY 300s"),
        ("$__conditionalAll(a IN (${many:sqlstring}), $many)", "a IN ('x','it''s')"),
        ("$__conditionalAll(a IN (${every:sqlstring}), $every) AND b", "1=1 AND b"),
        ("$__conditionalAll(a IN (f(1, 2)), $every)", "1=1"),
        ("a IN ($many)", "a IN ('x','it's')"),
        ("a = '$one'", "a = 'y'"),
        ("a = ${one:sqlstring}", "a = 'y'"),
    ],
)
def test_macros_are_expanded_as_the_plugin_does(sql, wanted):
    """What the frontend replaces, then what the backend does; a value that is not escaped stays."""
    assert expanded(sql, SPAN, {"many": ["x", "it's"], "every": ALL, "one": "y"}) == wanted


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (timedelta(milliseconds=5), "5T"),
        (timedelta(seconds=20), "20s"),
        (timedelta(minutes=90), "1h"),
        (timedelta(hours=12), "12h"),
        (timedelta(days=1), "1d"),
        (timedelta(hours=30), "1d"),
        (timedelta(hours=24, minutes=30), "24h"),
    ],
)
def test_steps_are_written_as_the_plugin_does(step, wanted):
    """Its own rounding: hours are cut, days are whole."""
    assert sample_by(step) == wanted


def test_every_variable_in_a_question_is_escaped():
    """Names come from nodes: no question has a variable that Grafana does not quote itself."""
    for question in questions(DEPLOYED):
        assert not _bare(question), f"{question.title}: {_bare(question)}"


def _bare(question: Question) -> list[str]:
    conditions = re.sub(r", \$\w+\)", ")", question.sql)
    return re.findall(r"\$(?!__|\{\w+:sqlstring\})\S*", conditions)


@pytest.mark.parametrize("name", ["a: b", "my #table", "- x", "{a}", "!b", "a & b"])
def test_names_of_tables_mean_nothing_to_yaml(name):
    """Whatever a table is called, the rules are those rules."""
    texts = files(Names(tables=TableNames(sweeps=name, hosts=name)))
    (group,) = yaml.safe_load(texts["provisioning/alerting/fleet.yaml"])["groups"]
    assert f'"{name}"' in group["rules"][0]["data"][0]["model"]["rawSql"]
    assert len(group["rules"]) == 7


@pytest.mark.parametrize(
    ("interval_s", "lately", "week"),
    [
        (30, 3600, 604_800),
        (300, 3600, 604_800),
        (7200, 28_800, 604_800),
        (86_400, 345_600, 1_728_000),
    ],
)
def test_rules_look_back_over_several_sweeps(interval_s, lately, week):
    """However far apart sweeps are, a rule sees the three that it counts."""
    texts = files(Names(interval_s=interval_s))
    (group,) = yaml.safe_load(texts["provisioning/alerting/fleet.yaml"])["groups"]
    ranges = {
        rule["title"]: rule["data"][0]["relativeTimeRange"]["from"] for rule in group["rules"]
    }
    assert ranges.pop("No sweep for three intervals") == week
    assert set(ranges.values()) == {lately + max(7200, 2 * interval_s)}
    held = {rule["title"]: rule["for"] for rule in group["rules"]}
    assert held["Spool grows"] == f"{2 * interval_s}s", "longer than an outage that is over shows"
    assert held["Host not ok for two sweeps"] == "0m"


def test_the_page_of_one_host_is_reached_without_others_variables():
    """*Host* shows one host: All, or several, that are chosen elsewhere do not go there."""
    for page in dashboards():
        for link in page["links"]:
            assert link["includeVars"] is ("fleet-host" not in (page["uid"], link["url"][3:]))


def test_no_column_of_texts_has_the_unit_of_a_number():
    """Grafana takes a text for a number where a unit says so: ids of digits, names of builds."""
    for page in dashboards():
        for panel in page["panels"]:
            if panel["type"] == "table":
                assert panel["fieldConfig"]["defaults"]["unit"] == "string"


def test_no_question_of_a_variable_or_a_rule_needs_a_step():
    """Grafana works out a step of time for panels only."""
    for question in questions(DEPLOYED):
        if question.kind != "panel":
            assert "$__sampleByInterval" not in question.sql
            assert "$__interval" not in question.sql


def test_colours_of_limits_stand_on_numbers():
    """Grafana colours by a number, and a column whose unit is a text has none."""
    for page in dashboards():
        for panel in page["panels"]:
            for override in panel["fieldConfig"]["overrides"]:
                found = {one["id"]: one["value"] for one in override["properties"]}
                if "thresholds" in found:
                    assert found.get("unit", "string") != "string", override["matcher"]
