"""A QuestDB in a thread: it keeps the rows that it accepts, knows its tables, and has bad days.

It speaks as much of `/settings`, `/exec` and `/write` as we do. What it does not do is to look at
types; which rows it refuses, and what else goes wrong, the test says.
"""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fleet.tables import Schema, Table, TableNames, schema_of

Said = tuple[int, str]
"""Status and body of an answer."""


class Double:
    """What stands behind the port. Tests change its fields while it runs.

    `rows` are the accepted lines of each table, `order` those of all as they came; `writes` are
    the bodies that came, whatever became of them; `asked` the statements. `refuses` gives the
    reason against a line. `says` is an answer to rows instead of its own, or None, `says_to` one
    to a statement; `hangs_up` ends a connection instead of answering rows. `types` are columns
    that are not as ours.
    """

    def __init__(self, schema: Schema) -> None:
        self.rows: dict[str, list[str]] = {}
        self.order: list[str] = []
        self.writes: list[bytes] = []
        self.asked: list[str] = []
        self.tables: dict[str, Table[Any]] = {table.name: table for table in schema.tables}
        self.types: dict[tuple[str, str], str] = {}
        self.suspended: list[str] = []
        self.refuses: Callable[[str], str | None] = lambda _line: None
        self.says: Callable[[bytes], Said | None] = lambda _body: None
        self.says_to: Callable[[str], Said | None] = lambda _sql: None
        self.hangs_up: Callable[[bytes], bool] = lambda _body: False
        self._all = dict(self.tables)
        self.port = 0
        self.connections = 0

    @property
    def conf(self) -> str:
        """The configuration string that leads here."""
        return f"http::addr=127.0.0.1:{self.port};request_timeout=5000;retry_timeout=2000;"

    def exec(self, sql: str) -> Said:
        """The answer to a statement."""
        self.asked.append(sql)
        if (said := self.says_to(sql)) is not None:
            return said
        if match := re.search(r"FROM tables\(\) WHERE lower\(table_name\) = lower\('(.*)'\)", sql):
            return self._described(match[1])
        if match := re.fullmatch(r'SHOW COLUMNS FROM "(.*)"', sql):
            return self._columns(self.tables[match[1]])
        if "wal_tables()" in sql:
            return _table(["name"], [[name] for name in self.suspended])
        if match := re.match(r'CREATE TABLE IF NOT EXISTS "([^"]*)"', sql):
            self.tables[match[1]] = self._all[match[1]]
            return 200, '{"ddl":"OK"}'
        return 400, json.dumps({"query": sql, "error": "not understood", "position": 0})

    def write(self, body: bytes) -> Said:
        """The answer to rows: all are taken, or none."""
        self.writes.append(body)
        if (said := self.says(body)) is not None:
            return said
        lines = body.decode().splitlines()
        for number, line in enumerate(lines, 1):
            table = re.split("[ ,]", line, maxsplit=1)[0]
            reason = self.refuses(line)
            if table not in self.tables:
                reason = "table does not exist, and none is made here"
            if reason is not None:
                return _refused(number, table, reason)
        self.order += lines
        for line in lines:
            self.rows.setdefault(re.split("[ ,]", line, maxsplit=1)[0], []).append(line)
        return 204, ""

    def count(self, table: str) -> int:
        """How many different rows of a table were accepted, as dedup keys would have it."""
        return len(set(self.rows.get(table, [])))

    def _described(self, name: str) -> Said:
        names = ["table_name", "designatedTimestamp", "partitionBy", "walEnabled"]
        found = [[name, "timestamp", "DAY", True]] if name in self.tables else []
        return _table(names, found)

    def _columns(self, table: Table[Any]) -> Said:
        rows = [
            [
                column.name,
                self.types.get((table.name, column.name), column.type),
                column.name in table.keys,
            ]
            for column in table.columns
        ]
        return _table(["column", "type", "upsertKey"], rows)


def _table(names: list[str], rows: list[list[Any]]) -> Said:
    return 200, json.dumps({"columns": [{"name": name} for name in names], "dataset": rows})


def _refused(line: int, table: str, reason: str) -> Said:
    message = (
        "failed to parse line protocol:errors encountered on line(s):\n"
        f"error in line {line}: table: {table}; {reason}"
    )
    return 400, json.dumps(
        {"code": "invalid", "message": message, "line": line, "errorId": "abc-1"}
    )


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            double.connections += 1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/settings":
                said = {"config": {"line.proto.support.versions": [1, 2, 3]}}
                self._answer(200, json.dumps(said))
            else:
                self._answer(*double.exec(parse_qs(parts.query)["query"][0]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if double.hangs_up(body):
                double.writes.append(body)
                self.close_connection = True
                return
            self._answer(*double.write(body))

        def _answer(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # who has gone does not want to know
                self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            """Nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_words: object) -> None:
        """Whoever hangs up in the middle is no news."""


@contextmanager
def questdb_double(schema: Schema | None = None) -> Iterator[Double]:
    """A server on a port of its own, with all of our tables."""
    double = Double(schema or schema_of(TableNames()))
    with _Server(("127.0.0.1", 0), _handler(double)) as server:
        double.port = server.server_address[1]
        Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
        try:
            yield double
        finally:
            server.shutdown()


@contextmanager
def nobody() -> Iterator[str]:
    """The configuration string of a port at which nobody listens, nor can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        yield f"http::addr=127.0.0.1:{port};request_timeout=1000;retry_timeout=300;"
