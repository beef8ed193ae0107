"""Every query that the manual shows, on a real QuestDB, over two days whose answers are known."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.schema import create_statement
from fleet.tables import TableNames, schema_of
from tests import recipe_rows as history
from tests.lab.lab import PROJECT
from tests.lab.questdb import QuestDB
from tests.recipe_rows import GB, MIB, NEW_IMAGE
from tests.test_schema import count_of, publish

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:questdb.Sender. Detected a burst"),
]

Found = list[dict[str, Any]]
BLOCK = re.compile(r"^##+ ([^\n]+)\n(?:(?!^##).)*?\n```sql\n(.*?)\n```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> dict[str, str]:
    """The first query under each heading of a page."""
    return dict(BLOCK.findall((PROJECT / "docs" / page).read_text()))


RECIPES = blocks("recipes.md")
OTHERS = {
    f"{page.stem}-{number}": query
    for page in sorted((PROJECT / "docs").glob("*.md"))
    if page.name != "recipes.md"
    for number, query in enumerate(re.findall(r"\n```sql\n(.*?)\n```", page.read_text(), re.S))
    if "$__" not in query  # Grafana's own words
}


@pytest.fixture(scope="module")
def made(lab) -> Iterator[tuple[QuestDB, history.History]]:
    """A server of its own, for the recipes name the tables as they are usually called."""
    with QuestDB(lab, "recipes") as server:
        schema = schema_of(TableNames(), ["env", "role"])
        for table in schema.tables:
            server.sql(create_statement(table))
        told = history.history(datetime.now(UTC))
        publish(server, *told.rows(schema))
        for table in schema.tables:
            count_of(server, table.name, len(told.tables[table.name]))
        yield server, told


def at(text: str) -> datetime:
    """A time of QuestDB's."""
    return datetime.fromisoformat(text)


def age_h(told: history.History, text: str) -> float:
    """How many hours before the history's end."""
    return (told.now - at(text)).total_seconds() / 3600


def only(rows: Found) -> dict[str, Any]:
    """The one row."""
    assert len(rows) == 1, rows
    return rows[0]


def near(value: float, rel: float = 0.01) -> Any:
    """Equal but for the edges of intervals."""
    return pytest.approx(value, rel=rel)


def busiest(rows: Found, _told: history.History) -> None:
    assert [(row["host"], row["mean"], row["peak"]) for row in rows] == [
        *(("web2", near(150), near(150)), ("db1", near(80), near(80))),
        *(("web1", near(50), near(50)), ("stage1", near(10), near(10))),
    ]


def memory(rows: Found, _told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["memory_use"], row["memory_percentage"]) == ("web1", 480 * MIB, 93.75)


def killed(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["name"], row["kills"]) == ("db1", "shop-db-1", 3)
    assert 0.4 < age_h(told, row["last_seen"]) <= 0.5


def out_of_memory(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["name"], row["exit_code"]) == ("db1", "import", 137)
    assert age_h(told, row["started"]) == near(7, 0.05)
    assert age_h(told, row["since"]) == near(5, 0.05)


def throttled(rows: Found, _told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["name"]) == ("db1", "shop-db-1")
    assert row["throttled"] == near(424)


def restarted(rows: Found, told: history.History) -> None:
    found = [(row["host"], row["name"], row["restarts"]) for row in rows]
    assert found == [("db1", "flappy", 4), ("db1", "shop-db-1", 1)]
    assert age_h(told, rows[0]["last_seen"]) == near(1, 0.05)


def vanished(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["name"], row["image"]) == ("web2", "batch", "shop/batch:1")
    assert age_h(told, row["gone"]) == near(1, 0.05)


def redeployed(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert (row["service"], row["image_id"], row["hosts"]) == ("web", NEW_IMAGE, 1)
    assert age_h(told, row["since"]) == near(4, 0.05)


def unwell(rows: Found, _told: history.History) -> None:
    found = {(row["name"], row["state"], row["exit_code"]) for row in rows}
    jobs = {("import", "exited", 137), ("old-import", "exited", 137)}
    assert found == {("cron", "exited", 1), *jobs}


def of_containers(rows: Found, told: history.History) -> None:
    last = {(row["host"], row["name"]): row["net_out_rate"] for row in rows}
    shop = "shop-web-1"
    assert last == {("web1", shop): 2000, ("web2", shop): 4000, ("stage1", shop): 20}
    assert all(age_h(told, row["timestamp"]) <= 1 for row in rows)


def of_services(rows: Found, _told: history.History) -> None:
    kinds = {(row["env"], row["service"]) for row in rows}
    assert kinds == {("prod", "web"), ("prod", "db"), ("test", "web")}
    whole = [row for row in rows if (row["env"], row["service"]) == ("prod", "web")]
    assert len(whole) in (72, 73)
    assert {(row["received"], row["sent"]) for row in whole} == {(4000, 6000)}
    assert {row["sent"] for row in rows if row["service"] == "db"} == {None}


def of_a_day(rows: Found, _told: history.History) -> None:
    sent = {(row["env"], row["service"]): row["bytes_sent"] for row in rows}
    seconds = 24 * 3600 - 40 * 60
    web, test = near(6000 * seconds), near(20 * seconds)
    assert sent == {("prod", "web"): web, ("test", "web"): test, ("prod", "db"): None}


def two_days(rows: Found, _told: history.History) -> None:
    days = {row["service"]: (row["today"], row["yesterday"]) for row in rows}
    assert days == {"web": (near(2.1), near(1.1)), "db": (near(0.8), near(0.8))}


def not_ok(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["status"]) == ("db2", "unreachable")
    assert "No route to host" in row["detail"]
    assert 2.9 < age_h(told, row["since"]) <= 3
    assert age_h(told, row["last_visit"]) < 0.1


def available(rows: Found, _told: history.History) -> None:
    found = {row["host"]: row["available"] for row in rows}
    share = 100 * (1 - 3 * 12 / rows[0]["intervals"])
    assert found == {"db2": near(share), "web1": 100, "web2": 100, "db1": 100, "stage1": 100}
    assert len({row["intervals"] for row in rows}) == 1


def fleet_available(rows: Found, _told: history.History) -> None:
    assert {row["hosts"] for row in rows} == {5}
    values = [row["available"] for row in rows]
    assert values[:-4] == [100] * len(values[:-4])
    assert values[-2:] == [80, 80]


def clocks(rows: Found, _told: history.History) -> None:
    assert only(rows) == {"host": "web2", "clock_skew": 12, "clock_skew_doubt": 0.5}


def of_hosts(rows: Found, _told: history.History) -> None:
    found = {(row["host"], row["bytes_in_per_second"]) for row in rows}
    assert found == {("web1", 1000), ("web2", 3000), ("stage1", 10)}


def full(rows: Found, _told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["mount"], row["used_percentage"]) == ("web1", "/", near(90))


def filling(rows: Found, _told: history.History) -> None:
    row = only(rows)
    assert (row["host"], row["bytes_per_hour"], row["hours_left"]) == ("web1", near(GB), near(10))


def capacity(rows: Found, _told: history.History) -> None:
    found = {row["role"]: (row["hosts"], row["cpus"], row["memory"]) for row in rows}
    assert found == {"web": (2, 8, 32 * GB), "db": (1, 4, 16 * GB), "none": (1, 4, 16 * GB)}
    assert {row["free_percent"] for row in rows} == {25}


def gaps(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert 9.9 < age_h(told, row["next_sweep"]) <= 10
    assert 10.6 < age_h(told, row["last_sweep"]) <= 10.8
    assert row["minutes"] == 45


def runs(rows: Found, _told: history.History) -> None:
    found = {row["name"]: row["minutes"] for row in rows}
    assert found["fleet"] in range(1, 6)
    assert found["hand"] in range(30, 36)


TRUTHS: dict[str, Callable[[Found, history.History], None]] = {
    "The busiest": busiest,
    "Memory near its limit": memory,
    "Killed for want of memory": killed,
    "Runs that were out of memory": out_of_memory,
    "Held back by its CPU limit": throttled,
    "Restarted again and again": restarted,
    "Vanished, and not replaced": vanished,
    "Redeployed": redeployed,
    "Does not run as it should": unwell,
    "Traffic of each container": of_containers,
    "Traffic of each service": of_services,
    "Bytes of a day": of_a_day,
    "Today beside yesterday": two_days,
    "Not ok, and since when": not_ok,
    "Availability in percent": available,
    "Availability of the fleet": fleet_available,
    "Clocks that are off": clocks,
    "Traffic of each host": of_hosts,
    "Disks that are full": full,
    "Disks, and when they are full": filling,
    "Capacity of each role": capacity,
    "Gaps": gaps,
    "Does it still run": runs,
}


@pytest.mark.parametrize("heading", sorted({*TRUTHS, *RECIPES}))
def test_recipe_says_what_happened(made, heading):
    """Each recipe finds what the history has, once, and nothing else."""
    server, told = made
    TRUTHS[heading](server.sql(RECIPES[heading]), told)


def test_every_query_of_the_page_is_a_recipe():
    """None is left out: a heading has one query."""
    text = (PROJECT / "docs/recipes.md").read_text()
    assert text.count("```sql") == len(RECIPES)


def words_of_hosts(rows: Found, told: history.History) -> None:
    found = {row["host"]: row["containers"] for row in rows}
    assert found == {"db1": 1, "stage1": 1, "web1": 3, "web2": 2}
    assert all(age_h(told, row["last_row"]) < 0.1 for row in rows)


def still_publish(rows: Found, told: history.History) -> None:
    row = only(rows)
    assert row["host"] == "web1"
    assert age_h(told, row["last_row"]) < 0.1


def in_bytes(rows: Found, told: history.History) -> None:
    assert len(rows) == len(told.tables["containerStats"])
    web = [row for row in rows if (row["host"], row["name"]) == ("web1", "shop-web-1")]
    assert {row["memory_bytes"] for row in web} == {480 * MIB}
    sent = [row["net_in_bytes"] for row in rows if row["net_in_bytes"] is not None]
    assert sent == [1500] * 12


OTHER_TRUTHS: dict[str, Callable[[Found, history.History], None]] = {
    "migration-0": words_of_hosts,
    "migration-1": still_publish,
    "migration-2": in_bytes,
}


@pytest.mark.parametrize("name", sorted({*OTHERS, *OTHER_TRUTHS}))
def test_queries_of_other_pages_say_what_is_there(made, name):
    """The server runs what else the manual shows, and what finds rows finds the right ones."""
    server, told = made
    rows = server.sql(OTHERS[name])
    if not OTHERS[name].startswith("ALTER"):
        OTHER_TRUTHS[name](rows, told)


def test_one_table_keeps_more(made):
    """The statement of the page on production sets what it says, on that table alone."""
    server, _told = made
    server.sql(OTHERS["production-0"])
    asked = "SELECT table_name, ttlValue, ttlUnit FROM tables() WHERE ttlValue > 0"
    kept = server.wait_rows(asked, 1)
    assert kept == [{"table_name": "hostStatus", "ttlValue": 52, "ttlUnit": "WEEK"}]


def test_a_sum_over_rows_would_count_twice(made):
    """The history tells a wrong recipe from a right one: where somebody looked by hand, twice."""
    wrong = (
        "SELECT timestamp, sum(net_in_rate) AS received FROM containerStats "
        "WHERE timestamp > dateadd('h', -6, now()) AND env = 'prod' AND service = 'web' "
        "SAMPLE BY 5m"
    )
    assert {row["received"] for row in made[0].sql(wrong)} >= {4000, 5000}
