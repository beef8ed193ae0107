"""Rows of days gone by, written as a run writes them: what pages are made from in tests."""

import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from fleet.ilp import Encoder
from fleet.questdb_conf import parse_conf
from fleet.questdb_http import Client
from fleet.schema import ensure
from fleet.tables import Cell, Rows, Schema, Table
from tests.lab.questdb import QuestDB

RATES = ("net_in_rate", "net_out_rate", "block_in_rate", "block_out_rate")
MIB = 2.0**20
GIB = 2.0**30


def rows(table: Table[Any], cells: Iterable[Mapping[str, Cell]]) -> Rows:
    """Rows of a table from cells by column; what is not named is null."""
    names = [column.name for column in table.columns]
    return Rows(table, tuple(tuple(row.get(name) for name in names) for row in cells))


def store(questdb: QuestDB, schema: Schema, *batches: Rows) -> None:
    """Make the tables, write the rows, and return once all of them can be read."""
    with Encoder() as encoder, closing(Client(parse_conf(questdb.conf, "test"))) as client:
        ensure(client, schema)
        for batch in batches:
            part, unsendable = encoder.encode(batch)
            if unsendable:
                raise ValueError(f"{unsendable[0].table}: {unsendable[0].reason}")
            if part.rows:
                client.write(part.body)
    for table in schema.tables:
        questdb.wait_for(
            f"SELECT sequencerTxn - writerTxn lag FROM wal_tables() WHERE name = '{table.name}'",
            lambda found: found == [{"lag": 0}],
        )


def shop(schema: Schema, until: datetime) -> list[Rows]:
    """A day of a small shop, swept every five minutes: a leak that ends in a kill, a burst of
    traffic, a node that is away for hours and then for good, half an hour without any sweep, a
    disk that fills.
    """
    since = until - timedelta(days=1)
    hosts: list[dict[str, Cell]] = []
    samples: list[dict[str, Cell]] = []
    nodes: list[dict[str, Cell]] = []
    disks: list[dict[str, Cell]] = []
    for step in range(1, 288):
        at = since + timedelta(minutes=5 * step - 2)
        if 96 <= step < 102:  # cron stood still
            continue
        for place, host in enumerate(("cache1", "db1", "web1", "web2", "web3")):
            row: dict[str, Cell] = {"host": host, "status": "ok", "timestamp": at}
            if host == "web3" and (150 <= step < 190 or step >= 270):
                row |= {"status": "unreachable", "phase": "connect"}
                row["detail"] = "10.0.0.13 port 22: Connection timed out"
            elif host == "db1" and step in (40, 41, 230):
                row |= {"status": "timeout", "phase": "daemon"}
                row["detail"] = "no answer of docker stats within 30 s"
            else:
                found = [*_containers(host, place, step, at)]
                row["containers"] = len(found)
                samples += found
                nodes.append(_node(host, found, at))
                disks += _disks(host, place, step, at)
            hosts.append({"containers": 0, "dropped": 0, "elapsed": 2.5, **row})
    return [
        rows(schema.hosts, hosts),
        rows(schema.containers, samples),
        rows(schema.states, _states(since)),
        rows(schema.nodes, nodes),
        rows(schema.disks, disks),
    ]


def _node(host: str, containers: Iterable[dict[str, Any]], at: datetime) -> dict[str, Cell]:
    busy = sum(one["cpu"] for one in containers) / 100
    memory = sum(one["memory_use"] for one in containers)
    node: dict[str, Cell] = {"host": host, "cpus": 4, "load1": 0.2 + 1.1 * busy, "timestamp": at}
    return node | {"memory_total": 4 * GIB, "memory_available": 4 * GIB - 0.4 * GIB - memory}


def _disks(host: str, place: int, step: int, at: datetime) -> Iterable[dict[str, Cell]]:
    mounts = {"/": (40 * GIB, 31 + 7.0 * place)}
    if host == "db1":  # its logs grow until somebody removes them
        mounts["/srv/db"] = (200 * GIB, 58 + 0.16 * step if step < 250 else 61 + 0.01 * step)
    for mount, (size, used) in mounts.items():
        yield {
            "host": host,
            "mount": mount,
            "size": size,
            "used_percentage": used,
            "available": size * (100 - used) / 100,
            "timestamp": at,
        }


def _containers(host: str, place: int, step: int, at: datetime) -> Iterable[dict[str, Cell]]:
    kinds = {"cache1": ("redis", "redis-exporter"), "db1": ("postgres", "backup")}
    noon = math.exp(-(((step - 200) / 14) ** 2))
    daily = 1.3 - math.cos(step / 288 * 2 * math.pi)
    for number, name in enumerate(kinds.get(host, ("shop-web", "shop-worker", "proxy", "mailer"))):
        if name == "backup" and not 60 <= step < 80:
            continue
        wave = daily * (1 + 0.15 * math.sin(step * (0.9 + number / 7) + place * 2))
        busy = wave + (3.2 * noon if name in ("shop-web", "proxy", "postgres") else 0)
        limit = GIB if number else 2 * GIB
        memory = (140 + 90 * number + 25 * busy) * MIB
        if host == "web2" and name == "shop-worker":  # the leak
            memory = (180 + 3.6 * (step if step < 232 else step - 231)) * MIB
        yield {
            "host": host,
            "container": f"{place:x}{number:x}" + "c0ffee0000",
            "name": name if name in ("postgres", "redis", "backup") else f"{name}-1",
            "cpu": (14 if number else 30) * busy,
            "memory_use": memory,
            "memory_use_unit": "bytes",
            "total_memory": limit,
            "total_memory_unit": "bytes",
            "memory_percentage": 100 * memory / limit,
            "net_in_rate": 48e3 * busy * (3 - number if number < 3 else 0.4),
            "net_out_rate": 160e3 * busy * (3 - number if number < 3 else 0.4),
            "block_in_rate": (90e6 if name == "backup" else 2e3 * wave * (1 + 9 * (place == 1))),
            "block_out_rate": 9e3 * busy * (1 + 40 * (name == "postgres")),
            "timestamp": at,
        }


def _states(since: datetime) -> Iterable[dict[str, Cell]]:
    def at(step: int) -> datetime:
        return since + timedelta(minutes=5 * step - 2)

    worker: dict[str, Cell] = {"host": "web2", "container": "31c0ffee0000", "name": "shop-worker-1"}
    backup: dict[str, Cell] = {"host": "db1", "container": "11c0ffee0000", "name": "backup"}
    mailer: dict[str, Cell] = {"host": "web1", "container": "23c0ffee0000", "name": "mailer-1"}
    old: dict[str, Cell] = {"host": "web1", "container": "2fc0ffee0000", "name": "shop-web-old"}
    up: dict[str, Cell] = {"state": "running", "restarts": 0, "oom_killed": False}
    for one in (worker, mailer, old):
        yield one | up | {"started": since, "timestamp": at(1)}
    yield (
        worker
        | up
        | {"started": at(231), "restarts": 1, "oom_killed": True}
        | {
            "exit_code": None,
            "timestamp": at(232),
        }
    )
    yield backup | up | {"started": at(60), "timestamp": at(60)}
    yield backup | {"state": "exited", "exit_code": 0, "finished": at(79), "timestamp": at(80)}
    yield mailer | up | {"health": "unhealthy", "started": since, "timestamp": at(203)}
    yield mailer | up | {"health": "healthy", "started": since, "timestamp": at(211)}
    yield old | {"state": "vanished", "timestamp": at(120)}
