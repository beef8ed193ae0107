"""Many hosts, some dead: nobody waits for them, all have their turn, and nothing is left behind."""

import os
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import rounds, settings
from fleet.inventory import load
from tests.command import FLEET, fleet
from tests.lab import doors
from tests.lab.hostile import KINDS, HostileNodes
from tests.lab.inventory import write_inventory
from tests.lab.standin import crowd
from tests.lab.tables import table_words, tables_named
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

ROWS = 3


@pytest.fixture
def tables(questdb, numbers):
    """Table names of a test's own, dropped after it."""
    found = tables_named(f"{{}}_of_scale_{next(numbers)}")
    yield found
    for table in found.values():
        questdb.sql(f"DROP TABLE IF EXISTS {table}")


def test_healthy_rows_are_there_while_dead_hosts_are_still_out(lab, questdb, tables, tmp_path):
    """With ten of a hundred hosts that swallow every packet, the rows of the ninety others are in
    QuestDB before the sweep gives up the ten.
    """
    with crowd(lab, "beside-dead", 90, rows=ROWS, delay_s=0.2) as many, doors.Full(lab) as hole:
        dead = {"ansible_host": hole.address, "ansible_port": hole.port}
        hosts = {**many.hosts, **{f"dead{number}": dead for number in range(10)}}
        words = ["-i", str(write_inventory(tmp_path / "inventory.yaml", hosts))]
        (tmp_path / "known_hosts").write_text(many.known_hosts)
        words += ["--known-hosts", str(tmp_path / "known_hosts"), "--questdb", questdb.conf]
        words += ["--connect-timeout", "60", "--timeout", "90", *table_words(tables)]
        run = subprocess.Popen([*FLEET, "collect", *words], stderr=subprocess.PIPE)
        try:
            count = f"SELECT count() AS n FROM {tables['containers']}"
            found = f"SELECT count() AS n FROM tables() WHERE table_name = '{tables['containers']}'"
            poll(lambda: questdb.sql(found)[0]["n"] == 1, 30, "a table")
            poll(lambda: questdb.sql(count)[0]["n"] == 90 * ROWS, 50, "rows of the healthy")
            well = f"SELECT count() AS n FROM {tables['hosts']} WHERE status = 'ok'"
            poll(lambda: questdb.sql(well)[0]["n"] == 90, 10, "their statuses")
            assert run.poll() is None, "the dead were given up before"
        finally:
            run.terminate()
            run.communicate(timeout=30)


def test_deadline_that_is_too_short_for_all_leaves_nobody_out(lab, questdb, tables, tmp_path):
    """Ten sweeps in a row, each with time for some of the hosts, two of which are dead: every host
    that can be reached has rows.
    """
    with crowd(lab, "in-turn", 24, rows=1, delay_s=0.7) as many, doors.Full(lab) as hole:
        dead = {"ansible_host": hole.address, "ansible_port": hole.port}
        hosts = {**many.hosts, "dead1": dead, "dead2": dead}
        words = ["-i", str(write_inventory(tmp_path / "inventory.yaml", hosts))]
        (tmp_path / "known_hosts").write_text(many.known_hosts)
        words += ["--known-hosts", str(tmp_path / "known_hosts"), "--questdb", questdb.conf]
        words += ["--state-dir", str(tmp_path / "state"), "--forks", "4", "--deadline", "3"]
        words += ["--connect-timeout", "2", *table_words(tables)]
        skipped = 0
        for _number in range(10):
            run = fleet("collect", *words)
            assert run.returncode in (3, 4), run.stderr
            skipped += run.stderr.count("skipped")
        assert skipped, "there was time for all"
        rows = questdb.wait_rows(f"SELECT DISTINCT host FROM {tables['containers']}", 24)
        assert {row["host"] for row in rows} == set(many.hosts)


SLOW = "#!/bin/sh\ncase $1 in stats) exec sleep 600;; esac\n"


def test_nothing_is_left_after_a_thousand_visits(lab, make_node, tmp_path):
    """Of every kind of failure there is, many times each: no thread, no socket, and nothing of ours
    that runs on a node.
    """
    slow = make_node(replaced={"docker": SLOW}, sshd=["MaxStartups 500", "LogLevel INFO"])
    threads, before = threading.active_count(), _sockets()
    with ExitStack() as stack:
        nodes = stack.enter_context(HostileNodes(lab, KINDS))
        places = [
            stack.enter_context(doors.silent(lab)),
            stack.enter_context(doors.resetting(lab)),
            stack.enter_context(doors.closing(lab)),
            stack.enter_context(doors.greeting(lab)),
            stack.enter_context(doors.trickling(lab)),
            stack.enter_context(doors.Full(lab)),
            doors.Closed(lab),
        ]
        kinds = {**nodes.hosts, "slow": slow.variables}
        for number, place in enumerate(places):
            kinds[f"door{number}"] = {"ansible_host": place.address, "ansible_port": place.port}
        times = -(-1000 // len(kinds))
        hosts = {f"{name}-{turn}": kinds[name] for name in kinds for turn in range(times)}
        (tmp_path / "known_hosts").write_text(nodes.known_hosts + slow.known_hosts_line)
        inventory = load(str(write_inventory(tmp_path / "inventory.yaml", hosts)))
        chosen = replace(
            settings.Settings(known_hosts=str(tmp_path / "known_hosts"), forks=150),
            connect_timeout_s=3.0,
            timeout_s=6.0,
        )
        outcome = rounds.snapshot(inventory.hosts, chosen, lambda _visit: None)
        assert len(outcome.sweep.visits) == len(hosts) >= 1000
        assert outcome.bugs == ()
        statuses = {visit.status.value for visit in outcome.sweep.visits}
        assert {"timeout", "unreachable", "ssh_error", "bad_output", "partial"} <= statuses
        poll(lambda: slow.processes() == [], 20, "the probe stayed behind on a node")
    # Doors have threads and sockets of their own in this process.
    poll(lambda: threading.active_count() <= threads, 10, "threads stayed behind")
    poll(lambda: _sockets() <= before, 10, "sockets stayed behind")


def _sockets() -> int:
    links = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    return sum(link.startswith("socket:") for link in links)
