"""How long healthy rows take to QuestDB, alone and beside a tenth that swallow every packet."""

import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

from tests.lab import doors
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.standin import Crowd, crowd
from tests.lab.tables import table_words, tables_named

ROWS = 10
EVERY_S = 0.1
"""How often QuestDB is asked."""


def beside_the_dead(lab: Lab, healthy: int, rounds: int) -> dict[str, Any]:
    """Seconds until the last healthy row is in QuestDB, without and with dead hosts, in turn."""
    dead = healthy // 9
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    with ExitStack() as stack:
        database = stack.enter_context(QuestDB(lab, "bench-dead"))
        nodes = stack.enter_context(crowd(lab, f"dead-{healthy}", healthy, rows=ROWS))
        hole = stack.enter_context(doors.Full(lab))
        place = {"ansible_host": hole.address, "ansible_port": hole.port}
        lost = {f"dead{number:04d}": place for number in range(dead)}
        for number in range(rounds):
            for name, more in (("alone", {}), ("beside", lost))[:: -1 if number % 2 else 1]:
                seconds = _until_all_are_there(lab, database, nodes, more, f"{name}{number}")
                found[name].append(seconds)
                print(f"  {healthy} hosts {name}, {len(more)} dead: {seconds:.1f} s", flush=True)
    medians = {f"{name}_s": statistics.median(times) for name, times in found.items()}
    return {"healthy": healthy, "dead": dead, "rounds": rounds, **medians}


def _until_all_are_there(
    lab: Lab, database: QuestDB, nodes: Crowd, more: dict[str, Any], name: str
) -> float:
    tables = tables_named(f"{{}}_{name}")
    inventory = write_inventory(lab.folder / f"{name}.yaml", {**nodes.hosts, **more})
    known_hosts = lab.folder / f"{name}-known-hosts"
    known_hosts.write_text(nodes.known_hosts)
    argv = [sys.executable, "-m", "fleet", "collect", "-i", str(inventory), "--quiet"]
    argv += ["--known-hosts", str(known_hosts), "--ssh-config", "none"]
    argv += ["--state-dir", str(lab.folder / f"{name}-state"), "--timeout", "60"]
    argv += ["--questdb", database.conf, *table_words(tables)]
    there = f"SELECT count() AS n FROM tables() WHERE table_name = '{tables['containers']}'"
    count = f"SELECT count() AS n FROM {tables['containers']}"
    started = time.monotonic()
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as run:
        while not (
            database.sql(there)[0]["n"] and database.sql(count)[0]["n"] >= len(nodes.hosts) * ROWS
        ):
            if run.poll() not in (None, 0, 3):
                raise RuntimeError(f"fleet ended with {run.returncode}")
            time.sleep(EVERY_S)
        seconds = time.monotonic() - started
        run.wait()
    for table in tables.values():
        database.sql(f"DROP TABLE IF EXISTS {table}")
    return seconds
