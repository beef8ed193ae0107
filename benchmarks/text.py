"""From the text of nodes' answers to QuestDB's acknowledgement: rows a second, and CPU a row.

The whole road in one process, without SSH: each answer is parsed and judged, its rows are spooled,
made ILP, posted, and acknowledged. QuestDB's own CPU is read from its process meanwhile.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet import schema
from fleet.allowance import Allowance, Budget
from fleet.delivery import Delivery
from fleet.interruption import Interruption
from fleet.inventory import Host
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.reading import Before
from fleet.settings import Settings
from fleet.state import State
from fleet.tables import Sweep, TableNames, schema_of
from fleet.transport import Reply
from fleet.visit import Visit, visit
from tests.lab.lab import Lab
from tests.lab.questdb import QuestDB
from tests.lab.standin import expected

CONTAINERS = 30
TICKS = 100


def answers(hosts: int) -> list[tuple[Host, bytes]]:
    """Format 1, as an older forced command answers: `docker ps` and `docker stats` alone."""
    return [(Host(f"h{number:04d}", "127.0.0.1"), _answer(number)) for number in range(hosts)]


def _answer(number: int) -> bytes:
    boxes = expected(f"127.0.{number // 256}.{number % 256}", rows=CONTAINERS)
    listed = [
        f'["{box.id}","{box.name}","{box.image}","running","bridge","{box.service}","","",""]'
        for box in boxes
    ]
    stats = [
        f'{{"BlockIO":"{box.block_in_bytes / 1e6:.1f}MB / {box.block_out_bytes / 1e9:.1f}GB",'
        f'"CPUPerc":"{box.cpu_percent:.2f}%","Container":"{box.id}","ID":"{box.id}",'
        f'"MemPerc":"{box.memory_percent:.2f}%",'
        f'"MemUsage":"{box.memory_bytes / 2**20:.1f}MiB / 1.953GiB","Name":"{box.name}",'
        f'"NetIO":"{box.net_in_bytes / 1e3:.1f}kB / {box.net_out_bytes / 1e6:.1f}MB",'
        f'"PIDs":"{box.pids}"}}'
        for box in boxes
    ]
    parts = (
        ("host", ["uptime 1000.00", "cpus 4"]),
        ("tool", ["/usr/bin/docker"]),
        ("ps1", listed),
        ("stats", stats),
        ("clock", ["uptime 1002.00"]),
        ("ps2", listed),
    )
    lines = [
        line
        for name, texts in parts
        for line in (f"@fleet 1 B {name}", *texts, f"@fleet 1 E {name} 0")
    ]
    return "\n".join((*lines, "@fleet 1 END", "")).encode()


def text_to_database(lab: Lab, rows: int, rounds: int) -> dict[str, Any]:
    """Medians of rounds of so many rows; each round has tables of its own."""
    made = answers(rows // CONTAINERS)
    runs = []
    with QuestDB(lab, "bench-text") as database, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            run = _round(database, Path(folder, str(number)), made, number)
            if number:  # the first one warms up both sides
                runs.append(run)
                print(
                    f"  {run['rows']} rows in {run['wall_s']:.2f} s: "
                    f"{run['rows'] / run['wall_s']:,.0f} rows/s, "
                    f"{run['client_s'] / run['rows'] * 1e6:.1f} µs of client CPU a row, "
                    f"{run['server_s'] / run['rows'] * 1e6:.1f} of QuestDB's",
                    flush=True,
                )
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _round(
    database: QuestDB, folder: Path, made: list[tuple[Host, bytes]], number: int
) -> dict[str, float]:
    names = TableNames(
        **{
            kind: f"{kind}_{number}"
            for kind in ("containers", "hosts", "sweeps", "states", "nodes", "disks")
        }
    )
    settings = Settings(
        questdb=parse_conf(database.conf, "bench"), tables=names, state_dir=str(folder)
    )
    tables = schema_of(names)
    client = Client(settings.questdb)
    schema.ensure(client, tables)
    client.close()
    started_at = datetime.now(UTC)
    delivery = Delivery(settings, tables, State(folder), started_at)
    began, client_s, server_s = time.monotonic(), time.process_time(), _cpu_s(database)
    delivery.start()
    visits = []
    for done in _visited(made):
        delivery.add(done)
        visits.append(done)
    report = delivery.finish(Sweep(started_at, "bench", "0", tuple(visits), 0.0), Interruption())
    wall_s = time.monotonic() - began
    count = sum(len(one.samples) for one in visits)
    if report.sent < count or report.lines:
        raise RuntimeError(f"{report}")
    return {
        "rows": count,
        "wall_s": wall_s,
        "client_s": time.process_time() - client_s,
        "server_s": _cpu_s(database) - server_s,
    }


def _visited(made: list[tuple[Host, bytes]]) -> Iterator[Visit]:
    budget = Budget()
    for host, text in made:
        reply = Reply(0.1, 2.0, 0, text, b"")
        yield visit(host, lambda *_: reply, Allowance(60, budget), Before())  # noqa: B023 - at once


def _cpu_s(database: QuestDB) -> float:
    fields = (
        Path(f"/proc/{database.process.pid.number}/stat").read_text().rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / TICKS
