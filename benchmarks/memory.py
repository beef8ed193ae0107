"""Peak memory of one `fleet collect`, from ten hosts to ten thousand.

The hosts are stand-in nodes with `docker stats` of 0.2 s; rows go to a real QuestDB.
"""

import sys
from typing import Any

from benchmarks.measured import measured
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.standin import crowd
from tests.lab.tables import table_words, tables_named


def growth(lab: Lab, sizes: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """For each (hosts, containers of each): peak bytes, wall and CPU seconds, rows."""
    found = []
    with QuestDB(lab) as database:
        for hosts, containers in sizes:
            found.append(_run(lab, database, hosts, containers))
            print(
                "  {hosts} hosts of {containers}: {peak_bytes:,} bytes, {wall_s:.1f} s, "
                "{cpu_s:.2f} CPU-s, {rows} rows".format(**found[-1]),
                flush=True,
            )
    return found


def _run(lab: Lab, database: QuestDB, hosts: int, containers: int) -> dict[str, Any]:
    name = f"memory-{hosts}-{containers}"
    tables = tables_named(f"{{}}_{hosts}_{containers}")
    with crowd(lab, name, hosts, rows=containers, delay_s=0.2) as nodes:
        inventory = write_inventory(lab.folder / f"{name}.yaml", nodes.hosts)
        known_hosts = lab.folder / f"{name}-known-hosts"
        known_hosts.write_text(nodes.known_hosts)
        argv = [sys.executable, "-m", "fleet", "collect", "-i", str(inventory)]
        argv += ["--known-hosts", str(known_hosts), "--ssh-config", "none"]
        argv += ["--connect-timeout", "60", "--timeout", "120", "--deadline", "3600"]
        argv += ["--state-dir", str(lab.folder / f"{name}-state")]
        argv += ["--questdb", database.conf, *table_words(tables)]
        cost, _out, err = measured(argv)
    if cost.status:
        print(err[-500:], file=sys.stderr)
    rows = database.sql(f"SELECT count() AS n FROM {tables['containers']}")[0]["n"]
    for table in tables.values():
        database.sql(f"DROP TABLE IF EXISTS {table}")
    return {"hosts": hosts, "containers": containers, "rows": rows, **cost._asdict()}
