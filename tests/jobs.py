"""Runs of fleet with six tables of a test's own in a real QuestDB, which are dropped after it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.command import fleet
from tests.lab.inventory import write_inventory
from tests.lab.node import Node
from tests.lab.questdb import QuestDB
from tests.lab.tables import table_words, tables_named

Row = dict[str, Any]


class Job:
    """Runs over some nodes, named `n1`, `n2`, …"""

    def __init__(self, database: QuestDB, folder: Path, number: int, nodes: Sequence[Node]) -> None:
        self.database = database
        self.tables = tables_named(f"{{}}_of_job_{number}")
        hosts = {f"n{place}": node.variables for place, node in enumerate(nodes, 1)}
        inventory = write_inventory(folder / f"inventory-{number}.yaml", hosts)
        known_hosts = folder / f"known_hosts-{number}"
        known_hosts.write_text("".join({node.known_hosts_line for node in nodes}))
        self.words = ["-i", str(inventory), "--known-hosts", str(known_hosts)]
        self._publish = ["--questdb", database.conf, *table_words(self.tables)]

    def collect(self, *extra: str) -> tuple[list[Row], list[Row]]:
        """One sweep; its rows of containers and of hosts, as QuestDB has them."""
        before = self.rows("sweeps")
        run = fleet("collect", *self.words, *self._publish, *extra)
        assert run.returncode in (0, 3), run.stderr
        last = self.rows("sweeps", count=len(before) + 1)[-1]
        now = f"timestamp = '{last['timestamp']}'"
        return (
            self.rows("containers", now, last["containers"]),
            self.rows("hosts", now, last["hosts"]),
        )

    def rows(self, kind: str, where: str = "true", count: int = 0) -> list[Row]:
        """Rows of one of the tables in the order of their sweeps, once there are so many."""
        query = f"SELECT * FROM {self.tables[kind]} WHERE {where} ORDER BY timestamp"
        return self.database.wait_rows(query, count)

    def types(self, kind: str) -> dict[str, str]:
        """The type of each column of one of the tables, as the server has it."""
        shown = self.database.sql(f"SHOW COLUMNS FROM {self.tables[kind]}")
        return {row["column"]: row["type"] for row in shown}

    def snapshot(self, *extra: str) -> dict[str, Any]:
        """A snapshot that is not published."""
        run = fleet("snapshot", "--format", "json", *self.words, *extra)
        assert run.returncode in (0, 3), run.stderr
        document: dict[str, Any] = json.loads(run.stdout)
        return document


@contextmanager
def jobs(database: QuestDB, folder: Path, numbers: Iterator[int]) -> Iterator[Callable[..., Job]]:
    """`make(node, …)` → a `Job`."""
    with ExitStack() as stack:

        def make(*nodes: Node) -> Job:
            job = Job(database, folder, next(numbers), nodes)
            for table in job.tables.values():
                stack.callback(database.sql, f"DROP TABLE IF EXISTS {table}")
            return job

        yield make
