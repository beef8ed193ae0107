"""`fleet report` over a real QuestDB, looked at by a real browser."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.schema import create_statement
from fleet.tables import Cell, Schema
from tests.command import fleet
from tests.lab import history
from tests.lab.browser import chromium, shown
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll
from tests.test_page import Parsed
from tests.test_schema import fresh, names_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst"),
]

UNTIL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=2)
SCRIPT = "</script><script>window.pwned = 1</script>"
IMAGE = "<img src=x onerror=window.pwned=1>"
HOSTS = {"web1": {}, "web9": {}, "web8": {"fleet_state": "maintenance"}, "lost": {}}
ODD = 'o\'brien "b" <b>&amp;</b> %{y}\u2028'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for all tests here."""
    with chromium() as running:
        yield running


def told(questdb: QuestDB, schema: Schema, out: Path | str, *words: str | Path) -> Any:
    """Run `fleet report` over some tables for the two hours of these tests."""
    names = names_of(schema)
    argv = ["--questdb", questdb.conf, "--table", names.containers, "--status-table", names.hosts]
    argv += ["--sweep-table", names.sweeps, "--state-table", names.states]
    argv += ["--node-table", names.nodes, "--disk-table", names.disks]
    argv += ["--until", UNTIL.isoformat(), "--since", "2h", "--out", str(out)]
    return fleet("report", *argv, *words)


def sample(host: str, name: str, at: datetime, cpu: float | None, **more: Cell) -> dict[str, Cell]:
    """A row of `containerStats`; its id is made of its name."""
    container = f"{sum(name.encode()) * 2**20:012x}"[:12]
    row: dict[str, Cell] = {"host": host, "name": name, "container": container, "timestamp": at}
    return row | {"cpu": cpu, "memory_use_unit": "bytes"} | more


def visit(host: str, at: datetime, status: str = "ok", **more: Cell) -> dict[str, Cell]:
    """A row of `hostStatus`."""
    return {"host": host, "status": status, "timestamp": at, "containers": 2, **more}


def known(schema: Schema) -> list[Any]:
    """Two hours, a sweep every five minutes, but for half an hour from 11:00.

    `web1` has `app` (10, and 30 in a second sweep at 10:01) and `db` (40, null at 10:10). `odd`
    has hostile names, fails from 11:30 on, and is in maintenance for its last two visits.
    """
    hosts: list[dict[str, Cell]] = []
    samples: list[dict[str, Cell]] = []
    for step in range(24):
        at = SINCE + timedelta(minutes=5 * step)
        if 12 <= step < 18:
            continue
        extra = [at + timedelta(minutes=1)] if step == 0 else []
        for when in (at, *extra):
            hosts.append(visit("web1", when))
            cpu = 30.0 if when in extra else 10.0
            samples.append(sample("web1", "app", when, cpu, memory_use=2.0**20 * 64))
            samples.append(sample("web1", "db", when, None if step == 2 else 40.0))
        if step < 18:
            hosts.append(visit(ODD, at))
            samples += [sample(ODD, SCRIPT, at, 1.0), sample(ODD, IMAGE, at, 2.0)]
        else:
            down = visit(ODD, at, "unreachable", detail=f"{IMAGE} {SCRIPT}", phase="connect")
            hosts.append(down | {"maintenance": step >= 22, "containers": 0})
    return [
        history.rows(schema.hosts, hosts),
        history.rows(schema.containers, samples),
        history.rows(schema.states, _states()),
        history.rows(schema.nodes, _nodes(step for step in range(24) if not 12 <= step < 18)),
        history.rows(schema.disks, _disks()),
    ]


def _nodes(steps: Iterable[int]) -> Iterator[dict[str, Cell]]:
    """`web1`: four CPUs with a load of 1, of 3 in the second sweep at 10:01; 8 GiB, of which 2 can
    be had, nobody knows at 10:10. `odd`: two CPUs with a load of 3, nothing of its memory.
    """
    for step in steps:
        at = SINCE + timedelta(minutes=5 * step)
        node: dict[str, Cell] = {"host": "web1", "cpus": 4, "load1": 1.0, "timestamp": at}
        node |= {"memory_total": 2.0**33, "memory_available": None if step == 2 else 2.0**31}
        yield node
        if step == 0:
            yield node | {"load1": 3.0, "timestamp": at + timedelta(minutes=1)}
        if step < 18:
            yield {"host": ODD, "cpus": 2, "load1": 3.0, "timestamp": at}


def _disks() -> Iterator[dict[str, Cell]]:
    """Of `web1`: one disk that is emptied, one that is full but for what is kept back for root,
    one whose newest row knows less, one of which nothing is known and one that cannot be; of `odd`
    one with a hostile name, and no size.
    """
    for step, used in enumerate((95.0, 96.5, 20.0)):
        at = SINCE + timedelta(minutes=5 * step)
        disk: dict[str, Cell] = {"host": "web1", "size": 2.0**40, "timestamp": at}
        rest = 2.0**40 * (100 - used) / 100
        yield disk | {"mount": "/", "used_percentage": used, "available": rest}
        yield disk | {"mount": "/data", "used_percentage": 93.75, "available": 0.0}
        known = 50.0 if step < 2 else None
        yield disk | {"mount": "/dim", "used_percentage": known, "available": 2.0**39}
        yield {"host": "web1", "mount": "/lost", "timestamp": at}
        yield disk | {"mount": "/odd", "used_percentage": 103.0, "available": -5.0}
        yield {"host": ODD, "mount": IMAGE, "used_percentage": 99.0, "timestamp": at}


def _states() -> list[dict[str, Cell]]:
    def at(minute: int) -> datetime:
        return SINCE + timedelta(minutes=minute)

    running: dict[str, Cell] = {"state": "running", "restarts": 0, "oom_killed": False}

    def row(name: str, minute: int, **more: Cell) -> dict[str, Cell]:
        return {
            "host": "web1",
            "container": f"{name:x>12}",
            "name": name,
            "timestamp": at(minute),
        } | (running | {"started": at(-600)} | more)

    return [
        row("app", -30),
        row("app", 20, restarts=2, oom_killed=True, started=at(18)),
        row("app", 80, restarts=2, oom_killed=True, started=at(18)),  # its hourly row: no news
        row("job", -30),
        row("job", 40, state="exited", exit_code=137, finished=at(39)),
        row("old", -30),
        row("old", 45, state="vanished", started=None, restarts=None),
        row("new", 50, started=at(49)),  # seen for the first time
        row("sick", -20, health="healthy"),
        row("sick", 55, health="unhealthy"),
        row("past", -90, state="exited", exit_code=1, finished=at(-95)),  # before the range
        row("past", 30, state="exited", exit_code=1, finished=at(-95)),
        row("ill", 10, health="unhealthy"),  # it ran before the range, and nobody looked
        row("ill-now", 10, health="unhealthy", started=at(5)),
    ]


@pytest.fixture(scope="module")
def page(questdb: QuestDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about what is known."""
    schema = fresh()
    history.store(questdb, schema, *known(schema))
    file = tmp_path_factory.mktemp("page") / "report.html"
    done = told(questdb, schema, file, "--title", IMAGE)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"fleet: {file}: 2 hosts, 19 sweeps; \d\.\d MB\n", done.stderr)
    return file


def table_of(text: str, chart: str) -> list[list[str]]:
    """The numbers behind a chart, row by row, times first."""
    table = re.search(rf'id="{chart}-legend".*?<tbody>\n(.*?)</table>', text, re.DOTALL)
    assert table
    return [re.split("<td>", row) for row in re.findall("<tr><th>([^\n]+)", table[1])]


def test_the_numbers_are_those_that_were_stored(page: Path) -> None:
    """A second sweep in a bucket is not doubled; null and missing sweeps are gaps, never 0."""
    text = page.read_text()
    assert "<h2>All hosts together</h2>" in text
    # host by host: web1 has the higher mean; at 10:00 it is the mean of 10 and 30, and 40
    rows = {row[0][-5:]: row[1:] for row in table_of(text, "chart-1-0")}
    assert rows["10:00"] == ["60.0%", "3.0%"]
    assert rows["10:05"] == ["50.0%", "3.0%"]
    assert rows["10:10"] == ["10.0%", "3.0%"]  # db is null: what is known is summed
    assert rows["11:00"] == rows["11:25"] == ["-", "-"]
    assert rows["11:30"] == ["50.0%", "-"]  # odd is away
    assert len(rows) == 24
    both = {row[0][-5:]: row[1:] for row in table_of(text, "chart-0-0")}
    assert both["10:00"] == ["63.0%", "2"]
    assert both["11:00"] == ["-", "0"]
    assert both["11:30"] == ["50.0%", "1"]
    data = json.loads(Parsed(text).scripts[0])
    (db, app) = data["charts"]["chart-3-0"]["lines"]
    assert (db["name"], app["name"]) == ("db", "app")
    assert db["values"][:4] == [40, 40, None, 40]
    assert db["values"][12:18] == [None] * 6
    assert data["charts"]["chart-3-1"]["lines"][0]["values"][0] == 64 * 2**20


def test_the_summary_is_true(page: Path) -> None:
    """Hosts, sweeps, failed visits without maintenance, and the time without a sweep."""
    said = "\n".join(Parsed(page.read_text()).texts)
    assert "2026-03-01 10:00:00\n to \n2026-03-01 12:00:00\n UTC (2 h)" in said
    assert "Not known for 1 of 2 hosts: no state of any container was stored" in said
    assert "Hosts ok\n1\nof 1, at their newest visit" in said
    assert "Hosts not ok\n0\n1 more in maintenance" in said
    assert "Sweeps\n19\nusually 5 min apart" in said
    assert "Failed visits\n11.4%\n4 of 35" in said
    assert (
        "Longest time without a sweep\n35 min\n2026-03-01 10:55:00 to 2026-03-01 11:30:00" in said
    )
    labels = [a["aria-label"] for tag, a in Parsed(page.read_text()).tags if tag == "svg"]
    spelled = ODD.replace("\u2028", r"\u2028")
    away = "ok 50.0%, no data 25.0%, unreachable 16.7%, maintenance 8.33%"
    assert labels == [
        f"{spelled}: {away}; newest visit: unreachable",
        "web1: ok 75.0%, no data 25.0%; newest visit: ok",
    ]


def test_machines_and_disks_are_told(page: Path) -> None:
    """Load and memory in parts of what there is, and the disks that were fullest; what is
    null is a gap, a second sweep is in the mean, a disk with nothing known is not there.
    """
    text = page.read_text()
    assert "<h2>Machines</h2>" in text
    spelled = ODD.replace("\u2028", r"\u2028")
    machines = json.loads(Parsed(text).scripts[0])["charts"]
    lines = {line["name"]: line["values"] for line in machines["chart-2-0"]["lines"]}
    away = [None] * 6
    assert [*lines] == [spelled, "web1"]
    assert lines[spelled] == [150] * 12 + away + away
    assert lines["web1"] == [50] + [25] * 11 + away + [25] * 6  # at first, of 25 and 75
    (memory,) = machines["chart-2-1"]["lines"]
    assert memory["values"] == [75, 75, None] + [75] * 9 + away + [75] * 6
    lines = {line["name"]: line["values"][:4] for line in machines["chart-2-2"]["lines"]}
    assert lines == {
        f"{spelled} {IMAGE}": [99, 99, 99, None],
        "web1 /data": [100, 100, 100, None],
        "web1 /": [95, 96.5, 20, None],
        "web1 /dim": [50, 50, None, None],
    }
    part = text.partition('<section class="card disks">')[2].partition("</table>")[0]
    said = [cell.strip() for cell in Parsed(part.partition("<tbody>")[2]).texts if cell.strip()]
    assert said == [
        *("web1", "/data", "100.0%", "100.0%", "0B", "1.0TiB"),
        *(spelled, IMAGE, "99.0%", "99.0%", "-", "-"),
        *("web1", "/", "96.5%", "20.0%", "819.2GiB", "1.0TiB"),
        *("web1", "/dim", "50.0%", "-", "512.0GiB", "1.0TiB"),
    ]


def test_events_are_those_that_are_news(page: Path) -> None:
    """What changed in the range, and not what was so before, is repeated, or is seen first."""
    text = page.read_text()
    part = text.partition("What happened to containers")[2].partition("</table>")[0]
    rows = re.findall(
        r"<tr( class=grave)?><th>\S+ (\S+)<td.*?>web1<td[^>]*>([\w-]+)<td.*?>(.*)", part
    )
    assert rows == [
        (" class=grave", "10:55:00", "sick", "unhealthy"),
        ("", "10:45:00", "old", "vanished: it is listed no more"),
        (" class=grave", "10:40:00", "job", "exited with code 137"),
        (
            *(" class=grave", "10:20:00", "app"),
            "a process was killed for want of memory; restarted by Docker (2 in all)",
        ),
        (" class=grave", "10:10:00", "ill-now", "unhealthy"),
    ]


def test_a_browser_draws_it_in_silence(page: Path, browser: Any) -> None:
    """Nothing is on the console and nothing is asked for; names are text and no script of theirs
    runs; where the page is told to connect, it may not.
    """
    said: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        shown(tab, page)
        assert tab.title() == IMAGE
        assert tab.locator("h1").inner_text() == IMAGE
        assert tab.locator(".strip svg path").count() >= 4
        for number in range(tab.locator(".plot").count()):
            plot = tab.locator(".plot").nth(number)
            plot.scroll_into_view_if_needed()
            plot.locator(".main-svg").first.wait_for(state="attached")
        names = tab.locator(".legend button").all_inner_texts()
        spelled = ODD.replace("\u2028", r"\u2028")
        assert {SCRIPT, IMAGE, spelled, "web1", "app", "db"} <= set(names)
        assert spelled in tab.locator(".strip .name").all_inner_texts()
        _hover(tab, "chart-4-0")
        said_there = tab.locator("#chart-4-0 .hoverlayer").text_content()
        assert said_there.startswith(f"{IMAGE}: 2%2026-03-01 10:")
        assert tab.locator("img").count() == 0
        button = tab.locator("#chart-3-0-legend button").first
        drawn = tab.locator("#chart-3-0 .scatterlayer .trace")
        assert drawn.count() == 2
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert drawn.count() == 1
        assert tab.evaluate("window.pwned") is None
        assert said == []
        assert asked == [page.as_uri()]
        tab.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
        assert any("Content Security Policy" in text for text in said)
        assert asked == [page.as_uri()]


def _hover(tab: Any, chart: str) -> None:
    """Point at the highest line of a chart, in its left half, where there is one."""
    plot = tab.locator(f"#{chart}")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.1)
    plot.locator(".hoverlayer text").first.wait_for(state="attached")


def test_gaps_are_gaps_in_the_drawing(page: Path, browser: Any) -> None:
    """A line with a hole is drawn in pieces, and a value on its own as a dot."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        tab = context.new_page()
        shown(tab, page)
        tab.locator("#chart-3-0").scroll_into_view_if_needed()
        traces = tab.locator("#chart-3-0 .scatterlayer .trace")
        traces.first.wait_for(state="attached")
        pieces = [trace.locator(".js-line").count() for trace in traces.all()]
        assert pieces == [3, 2]  # db: before its null, after it, after the missing sweeps; app


def test_dark_and_light_follow_the_reader(page: Path, browser: Any) -> None:
    """The page and its charts have other colours in the dark, also when that changes later."""
    with browser.new_context(color_scheme="light") as context:
        tab = context.new_page()
        shown(tab, page)
        light = _colours(tab)
        tab.emulate_media(color_scheme="dark")
        poll(lambda: _other(light, _colours(tab)), 5, "all colours to change")
        tab.emulate_media(color_scheme="light")
        poll(lambda: _colours(tab) == light, 5, "all colours to change back")


def _other(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether no colour is what it was."""
    return all(one != other for one, other in zip(before, after, strict=True))


def _colours(tab: Any) -> tuple[str, ...]:
    """Of the page, of a chart's words and of its first line."""
    found: list[str] = tab.evaluate(
        """() => [
            getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.plot .xtick text')).fill,
            getComputedStyle(document.querySelector('.plot .js-line')).stroke,
        ]"""
    )
    return tuple(found)


@pytest.mark.parametrize("width", [360, 768])
def test_a_small_screen_needs_no_sideways_scrolling(page: Path, browser: Any, width: int) -> None:
    """The page is no wider than the screen, with its tables open too; charts fit into it."""
    with browser.new_context(viewport={"width": width, "height": 740}) as context:
        tab = context.new_page()
        shown(tab, page)
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        filled = "(all) => all.every((one) => one.querySelector('table'))"
        poll(lambda: tab.locator("details").evaluate_all(filled), 5, "all tables to be there")
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        sizes = "(all) => all.map((one) => one.getBoundingClientRect().right)"
        assert max(tab.locator(".main-svg").evaluate_all(sizes)) <= width


def test_paper_is_light_and_has_every_chart(page: Path, browser: Any) -> None:
    """In print, whatever the screen has: light, all charts drawn, closed tables left out."""
    with browser.new_context(color_scheme="dark") as context:
        tab = context.new_page()
        shown(tab, page)
        dark = _colours(tab)
        tab.evaluate("document.querySelector('#chart-1-0 ~ details').open = true")
        tab.emulate_media(media="print")
        drawn = "(all) => all.every((one) => one.querySelector('.main-svg'))"
        poll(lambda: tab.locator(".plot").evaluate_all(drawn), 5, "all charts to be drawn")
        assert _other(dark, _colours(tab))
        assert _colours(tab)[0] == "rgb(255, 255, 255)"
        assert tab.locator("#chart-1-0 ~ details").is_visible()
        assert not tab.locator("#chart-1-1 ~ details").is_visible()
        assert tab.pdf().startswith(b"%PDF")
        tab.emulate_media(media="screen")
        poll(lambda: _colours(tab) == dark, 5, "the dark to come back")


def test_patterns_choose_the_hosts(questdb: QuestDB, tmp_path: Path) -> None:
    """Those of the inventory that are meant, also one without a row, and no others."""
    schema = fresh()
    history.store(questdb, schema, *known(schema))
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(json.dumps({"all": {"hosts": HOSTS}}))
    out = tmp_path / "r.html"
    done = told(questdb, schema, out, "-i", inventory, "web*")
    assert done.returncode == 0, done.stderr
    page = Parsed(out.read_text())
    said = "\n".join(page.texts)
    assert "Hosts: web*." in said
    assert IMAGE not in said
    labels = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert labels.pop() == "web8: no data 100.0%; newest visit: no data"
    assert "no data (maintenance)" in said
    assert labels == [
        "web9: no data 100.0%; newest visit: no data",
        "web1: ok 75.0%, no data 25.0%; newest visit: ok",
    ]
    assert "All hosts together" not in said
    assert "Failed visits\n0%\n0 of 19" in said
    assert "Hosts ok\n1\nof 2, at their newest visit" in said
    assert "Hosts not ok\n1\n1 without any data; 1 more in maintenance" in said
    assert "Sweeps\n" not in said
    assert "Sweeps with a visit of these hosts\n19" in said
    assert "Longest time without a visit of these hosts\n35 min" in said
    out.unlink()
    done = told(questdb, schema, out, "-i", inventory, "lost")
    assert done.returncode == 2
    assert done.stderr.startswith("fleet: nothing to report on: these hosts have no rows in t_")
    assert not out.exists()


@pytest.mark.parametrize(
    "kinds",
    [
        ("TIMESTAMP", "TIMESTAMP"),
        ("TIMESTAMP_NS", "TIMESTAMP_NS"),
        ("TIMESTAMP", "TIMESTAMP_NS"),
        ("TIMESTAMP_NS", "TIMESTAMP"),
    ],
)
def test_a_timer_that_drifts_leaves_no_false_gap(
    questdb: QuestDB, kinds: tuple[str, str], tmp_path: Path
) -> None:
    """Sweeps that are 303 s apart pass over a bucket of 5 minutes now and then: it is made wider,
    and only the sweeps that are missing are a gap. Tables of nanoseconds are read as well, beside
    those of microseconds too.
    """
    schema = fresh()
    for table in schema.tables:
        kind = kinds[table is schema.containers]
        statement = create_statement(table)
        questdb.sql(statement.replace('"timestamp" TIMESTAMP,', f'"timestamp" {kind},'))
    times = [SINCE + timedelta(seconds=250 + 303 * step) for step in range(23)]
    times = [at for step, at in enumerate(times) if not 10 <= step < 15]
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, [visit("web1", at) for at in times]),
        history.rows(schema.containers, [sample("web1", "app", at, 5.0) for at in times]),
    )
    done = told(questdb, schema, tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    page = Parsed((tmp_path / "r.html").read_text())
    assert "usually 5 min 3 s apart" in page.texts
    data = json.loads(page.scripts[0])
    assert data["width"] == 600_000
    (line,) = data["charts"]["chart-1-0"]["lines"]
    assert line["values"] == [5] * 5 + [None] * 2 + [5] * 5


def test_nothing_to_report_on(questdb: QuestDB, tmp_path: Path) -> None:
    """No tables, no rows, nobody there: one sentence each, and the page of before stays."""
    out = tmp_path / "r.html"
    out.write_text("before")
    schema = fresh()
    done = told(questdb, schema, out)
    assert done.returncode == 2
    assert "has no table" in done.stderr
    assert "fleet schema --apply" in done.stderr
    history.store(questdb, schema)
    done = told(questdb, schema, out)
    assert done.returncode == 2
    assert "nothing to report on: no host has a row" in done.stderr
    assert done.stderr.count("\n") == 1
    done = fleet("report", "--questdb", "http::addr=127.0.0.1:1;", "--out", out)
    assert done.returncode == 4
    assert "Connection refused" in done.stderr
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_page_has_its_bounds_and_says_so(questdb: QuestDB) -> None:
    """More hosts, containers and events than it shows are counted in words, on standard output
    too; containers of one name are told apart.
    """
    schema = fresh()
    hosts = [f"web{number:02}" for number in range(23)]
    times = [SINCE + timedelta(minutes=10 * step) for step in range(12)]
    samples = [
        sample(host, "app", at, 50.0 - place) for place, host in enumerate(hosts) for at in times
    ]
    many = [f"job-{number:02}" for number in range(24)]
    samples += [
        sample("web00", "job", at, 1.0 + place) | {"container": name}
        for place, name in enumerate(many)
        for at in times
    ]
    ended = [
        {"host": "web00", "container": name, "name": name, "state": "vanished", "timestamp": at}
        for name in many
        for at in times[::2]
    ]
    up = [
        {"host": "web00", "container": name, "name": name, "state": "running", "timestamp": at}
        for name in many
        for at in times[1::2]
    ]
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, [visit(host, at) for host in hosts for at in times]),
        history.rows(schema.containers, samples),
        history.rows(schema.states, [*ended, *up]),
    )
    done = told(questdb, schema, "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) < 8e6
    said = "\n".join(Parsed(done.stdout).texts)
    assert "The 20 hosts with the highest mean; 3 more hosts are left out." in said
    assert "The 20 containers with the highest mean; 5 more containers are left out." in said
    assert "37 more containers are left out." in said
    assert "The newest 100; 44 older events are left out." in said
    assert "13 more hosts are left out, with containers" in said
    assert '"job (job-23)"' in done.stdout


def test_rows_of_nobody_are_left_out(questdb: QuestDB, tmp_path: Path) -> None:
    """Rows of others in the tables, without a host or a container, are in no figure; a visit
    without a status is shown as one.
    """
    schema = fresh()
    at = SINCE + timedelta(minutes=10)
    gone: dict[str, Cell] = {"state": "exited", "exit_code": 9, "finished": at}
    keys: list[dict[str, Cell]] = [
        {"host": None, "container": "c" * 12},
        {"host": "web1", "container": None},
        {"host": None, "container": None},
    ]
    nobody = [sample("web1", "app", at, 70.0) | key for key in keys]
    history.store(
        questdb,
        schema,
        history.rows(
            schema.hosts,
            [
                visit("web1", at),
                visit("web1", at) | {"host": None},
                visit("web2", at, detail="what it was") | {"status": None},
            ],
        ),
        history.rows(schema.containers, [sample("web1", "app", at, 5.0), *nobody]),
        history.rows(schema.states, [gone | key | {"timestamp": at} for key in keys]),
    )
    out = tmp_path / "r.html"
    done = told(questdb, schema, out)
    assert done.returncode == 0, done.stderr
    assert "70.0%" not in out.read_text()
    assert "5.0%" in out.read_text()
    assert "?: what it was" in out.read_text()
    assert "None" not in "".join(Parsed(out.read_text()).texts)


def test_sizes_are_read_by_their_units(questdb: QuestDB, tmp_path: Path) -> None:
    """Rows of per-node publishers have MiB or GiB beside a figure: every part reads it so."""
    schema = fresh()
    times = [SINCE + timedelta(minutes=5 * step) for step in range(24)]
    mib: dict[str, Cell] = {"memory_use": 512.0, "memory_use_unit": "MiB"}
    gib: dict[str, Cell] = {"memory_use": 1.5, "memory_use_unit": "GiB"}
    samples = [
        sample(host, "app", at, None, **(mib if at < times[12] else gib))
        for host in ("web1", "web2")
        for at in times
    ]
    visits = [visit(host, at) for host in ("web1", "web2") for at in times]
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, visits),
        history.rows(schema.containers, samples),
    )
    out = tmp_path / "r.html"
    done = told(questdb, schema, out)
    assert done.returncode == 0, done.stderr
    page = out.read_text()
    assert "<td>1.0GiB<td>1.5GiB" in page  # the top table: the mean, and the most
    charts = json.loads(Parsed(page).scripts[0])["charts"]
    lines = {place: charts[place]["lines"][0]["values"] for place in charts}
    assert lines["chart-0-1"] == [2**30] * 12 + [3 * 2**30] * 12
    assert lines["chart-1-1"] == [2**29] * 12 + [3 * 2**29] * 12
    assert lines["chart-2-1"] == [2**29] * 12 + [3 * 2**29] * 12


def test_a_sum_is_what_containers_had_together(questdb: QuestDB, tmp_path: Path) -> None:
    """A job container at each of twelve sweeps in a bucket, one after the other, is one container
    all the time; so it is where visits have no rows. A visit that read nothing counts for none.
    """
    schema = fresh()
    visits: list[dict[str, Cell]] = []
    samples: list[dict[str, Cell]] = []
    for step in range(120):
        at = SINCE + timedelta(minutes=step)
        job = {"container": f"{step:012x}"}
        visits.append(visit("web1", at))
        samples += [sample("web1", "job", at, 100.0) | job, sample("web1", "app", at, 20.0)]
        if step % 2 == 0:
            samples += [sample("web2", "job", at, 60.0) | job, sample("web2", "app", at, 10.0)]
        visits.append(visit("web2", at) if step % 2 == 0 else visit("web2", at, "timeout"))
        visits[-1]["containers"] = 2 if step % 2 == 0 else 0
        samples += [sample("old", "job", at, 4.0) | job, sample("old", "app", at, 1.0)]
    visits.append(visit("old", SINCE + timedelta(minutes=1), containers=0))
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, visits),
        history.rows(schema.containers, samples),
    )
    out = tmp_path / "r.html"
    done = told(questdb, schema, out, "--since", "2d")
    assert done.returncode == 0, done.stderr
    data = json.loads(Parsed(out.read_text()).scripts[0])
    assert data["width"] == 600_000
    charts = data["charts"]
    lines = {one["name"]: one["values"][-12:] for one in charts["chart-1-0"]["lines"]}
    assert lines == {"web1": [120] * 12, "web2": [70] * 12, "old": [5] * 12}
    assert charts["chart-0-0"]["lines"][0]["values"][-12:] == [195] * 12


def test_a_figure_that_nobody_knows_has_no_chart(questdb: QuestDB, tmp_path: Path) -> None:
    """Of all hosts together, too; and where no state was stored, nobody knows what happened."""
    schema = fresh()
    at = SINCE + timedelta(minutes=10)
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, [visit(host, at) for host in ("web1", "web2")]),
        history.rows(
            schema.containers,
            [sample(host, "app", at, 1.0, net_in_rate=2.0) for host in ("web1", "web2")],
        ),
    )
    out = tmp_path / "r.html"
    done = told(questdb, schema, out)
    assert done.returncode == 0, done.stderr
    page = Parsed(out.read_text())
    charts = json.loads(page.scripts[0])["charts"]
    assert [one for one in charts if one.startswith("chart-0-")] == ["chart-0-0", "chart-0-2"]
    assert [line["name"] for line in charts["chart-0-2"]["lines"]] == ["Network in"]
    said = "\n".join(page.texts)
    assert said.partition("Hosts\n")[0].count("No figure is known in this range.") == 6
    assert "Nothing: no container" not in said
    assert (
        "Not known: no state of any container was stored from 2026-03-01 07:00:00 to "
        "2026-03-01 12:00:00." in said
    )


def test_only_columns_that_it_reads_are_asked_for(questdb: QuestDB, tmp_path: Path) -> None:
    """A table without a column of no figure here is no hindrance; one without CPU is named."""
    schema = fresh()
    history.store(questdb, schema, *known(schema))
    for table, column in (
        (schema.containers, "pids"),
        (schema.hosts, "via"),
        (schema.states, "image_id"),
    ):
        questdb.sql(f"ALTER TABLE {table.name} DROP COLUMN {column}")
    done = told(questdb, schema, tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    questdb.sql(f"ALTER TABLE {schema.containers.name} DROP COLUMN cpu")
    done = told(questdb, schema, tmp_path / "r.html")
    assert done.returncode == 2
    assert f"{schema.containers.name!r} has no column 'cpu'" in done.stderr


@pytest.mark.parametrize(
    ("kind", "column"),
    [("disks", "size"), ("disks", "used_percentage"), ("nodes", "load1"), ("containers", "cpu")],
)
def test_a_column_that_holds_something_else_is_said(
    questdb: QuestDB, tmp_path: Path, kind: str, column: str
) -> None:
    """In one sentence, and before any figure is made of it."""
    schema = fresh()
    table = getattr(schema, kind)
    statement = create_statement(table).replace(f'"{column}" DOUBLE', f'"{column}" VARCHAR')
    questdb.sql(statement)
    history.store(questdb, replace(schema, **{kind: replace(table, columns=())}))
    done = told(questdb, schema, tmp_path / "r.html")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    said = f"{table.name}.{column} is VARCHAR, fleet writes DOUBLE: `fleet schema`"
    assert said in done.stderr


def one_sweep(questdb: QuestDB, hosts: list[str], mount: str) -> Schema:
    """Tables in which each host has one visit, a container, a load and a disk."""
    schema, at = fresh(), SINCE + timedelta(minutes=10)
    each: list[dict[str, Cell]] = [{"host": host, "timestamp": at} for host in hosts]
    history.store(
        questdb,
        schema,
        history.rows(schema.hosts, [visit(host, at) for host in hosts]),
        history.rows(schema.containers, [sample(host, "app", at, 1234.5) for host in hosts]),
        history.rows(schema.nodes, [row | {"cpus": 2, "load1": 1.0} for row in each]),
        history.rows(
            schema.disks, [row | {"mount": mount, "used_percentage": 5.0} for row in each]
        ),
    )
    return schema


def test_names_that_are_long_are_asked_for_in_parts(questdb: QuestDB, tmp_path: Path) -> None:
    """Twenty hosts whose names would not fit into one question."""
    schema = one_sweep(questdb, [f"{number:02}" + "\u9577" * 200 for number in range(20)], "/")
    done = told(questdb, schema, tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    data = json.loads(Parsed((tmp_path / "r.html").read_text()).scripts[0])
    for chart in ("chart-1-0", "chart-2-0", "chart-2-2"):
        assert len(data["charts"][chart]["lines"]) == 20


def test_wide_tables_fit_on_paper(questdb: QuestDB, tmp_path: Path, browser: Any) -> None:
    """With twenty lines of long names every column of an open table is within the sheet."""
    hosts = [f"ip-10-0-{number}-17.eu-west-1.compute.internal" for number in range(20)]
    schema = one_sweep(questdb, hosts, "/var/lib/docker")
    assert told(questdb, schema, tmp_path / "r.html").returncode == 0
    sheet = {"width": 718, "height": 1000}  # A4 without its margins, at 96 dots an inch
    with browser.new_context(viewport=sheet) as context:
        tab = context.new_page()
        shown(tab, tmp_path / "r.html")
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        tab.emulate_media(media="print")
        cells = "(all) => Math.max(...all.map((one) => one.getBoundingClientRect().right))"
        for chart in ("chart-1-0", "chart-2-2"):
            row = tab.locator(f"#{chart} ~ details tr").nth(1).locator("td")
            poll(lambda row=row: row.count() == 20, 5, "the table")
            assert row.evaluate_all(cells) <= sheet["width"]
        assert tab.evaluate("document.documentElement.scrollWidth") == sheet["width"]


def test_numbers_of_containers_are_there_when_they_are_opened(page: Path, browser: Any) -> None:
    """Their tables are made of what the charts are drawn from: figures, gaps and names as they are
    elsewhere, once however often one opens them, and on paper too.
    """
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        tab = context.new_page()
        shown(tab, page)
        details = tab.locator("#chart-3-0 ~ details")
        assert details.locator("tr").count() == 0
        for _ in range(3):
            details.locator("summary").click()
        details.locator("tbody tr").first.wait_for(state="attached")
        rows = [row.split("\t") for row in details.locator("tr").all_inner_texts()]
        assert rows[0] == ["UTC, from", "db", "app"]
        assert rows[1] == ["2026-03-01 10:00", "40.0%", "20.0%"]
        assert rows[3] == ["2026-03-01 10:10", "-", "10.0%"]
        assert len(rows) == 25
        assert tab.locator("#chart-4-0 ~ details tr").count() == 0
        tab.evaluate("document.querySelector('#chart-3-1 ~ details').open = true")
        tab.evaluate("document.querySelector('#chart-4-0 ~ details').open = true")
        tab.emulate_media(media="print")
        names = tab.locator("#chart-4-0 ~ details thead")
        names.wait_for(state="visible")
        assert names.inner_text().strip().split("\t") == ["UTC, from", IMAGE, SCRIPT]
        memory = tab.locator("#chart-3-1 ~ details tbody tr").first
        assert memory.inner_text() == "2026-03-01 10:00\t64.0MiB"
        assert tab.evaluate("window.pwned") is None
