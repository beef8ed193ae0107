"""A real QuestDB on the loopback: fetched by maven once, started with a folder of its own."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab.lab import Lab, Process, free_port
from tests.lab.pids import MARK
from tests.lab.waiting import LabError, poll

POM = Path(__file__).with_name("pom.xml")
OLDEST_JAVA = 17
NO_TRACE = "-XX:-UsePerfData"
"""Else Java leaves a folder in /tmp."""
Row = dict[str, Any]


class QuestDB:
    """One server. `url`, `host`, `port` and `conf` (for the client) stay over stop and start.

    `settings` are further ones of its own, as variables: `QDB_DEV_MODE_ENABLED="true"`.
    """

    def __init__(self, lab: Lab, name: str = "questdb", **settings: str) -> None:
        self.lab = lab
        self.name = name
        self.settings = settings
        self.host = "127.0.0.1"
        self.port = free_port()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The server's root, which is also its web console."""
        return f"http://{self.host}:{self.port}"

    @property
    def conf(self) -> str:
        """The configuration string that the official client takes."""
        return f"http::addr={self.host}:{self.port};"

    @property
    def process(self) -> Process:
        """The running server."""
        if self._process is None:
            raise LabError(f"{self.name} is not started")
        return self._process

    def __enter__(self) -> "QuestDB":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, or start again on the same port with the same data."""
        folder = self.lab.folder / self.name
        temporary = folder / "tmp"  # where it unpacks its native libraries
        temporary.mkdir(parents=True, exist_ok=True)
        argv: list[str | Path] = [find_java(), NO_TRACE, "-Xmx512m"]
        argv += [f"-Djava.io.tmpdir={temporary}"]
        argv += ["-p", jar(self.lab)]
        argv += ["-m", "io.questdb/io.questdb.ServerMain", "-d", folder]
        env = {
            "QDB_HTTP_BIND_TO": f"{self.host}:{self.port}",
            "QDB_HTTP_MIN_ENABLED": "false",
            "QDB_LINE_TCP_ENABLED": "false",
            "QDB_PG_ENABLED": "false",
            "QDB_TELEMETRY_ENABLED": "false",
            "QDB_SHARED_WORKER_COUNT": "2",
            "JAVA_TOOL_OPTIONS": "",
            **self.settings,
        }
        self._process = self.lab.start(self.name, argv, env=env)
        self.lab.until(self.answers, 60, self._process)

    def stop(self) -> None:
        """Let it end in order."""
        self.process.stop()

    def kill9(self) -> None:
        """End it as a power cut would."""
        self.process.kill9()

    def pause(self) -> None:
        """Freeze it: it accepts connections and never answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it run on."""
        self.process.resume()

    def answers(self) -> bool:
        """Whether it serves queries."""
        try:
            return self.sql("select 1 one") == [{"one": 1}]
        except (OSError, LabError):
            return False

    def sql(self, query: str) -> list[Row]:
        """Run a statement; rows by column name (none for DDL)."""
        address = f"{self.url}/exec?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                result = json.load(answer)
        except urllib.error.HTTPError as error:
            raise LabError(f"{query!r}: {error.read().decode(errors='replace')}") from error
        names = [column["name"] for column in result.get("columns", ())]
        return [dict(zip(names, row, strict=True)) for row in result.get("dataset", ())]

    def rows_of(self, query: str) -> list[Row]:
        """The rows of a query; none where there is no such table (yet: tables() may be ahead)."""
        try:
            return self.sql(query)
        except LabError as error:
            if "does not exist" not in str(error):
                raise
            return []

    def wait_rows(self, query: str, count: int, within_s: float = 20) -> list[Row]:
        """The rows of a query once there are at least `count`: reads lag writes."""
        return self.wait_for(query, lambda rows: len(rows) >= count, within_s)

    def wait_for(
        self, query: str, holds: Callable[[list[Row]], bool], within_s: float = 20
    ) -> list[Row]:
        """The rows of a query once they satisfy a condition; no such table counts as no rows."""
        last: list[Row] = []

        def satisfied() -> bool:
            nonlocal last
            last = self.rows_of(query)
            return holds(last)

        poll(satisfied, within_s, query, why=lambda: f"last: {last!r:.2000}")
        return last

    def drop_tables(self) -> None:
        """Begin anew: drop every table of the user's."""
        for row in self.sql("select table_name from tables()"):
            if not row["table_name"].startswith(("sys.", "telemetry")):
                self.sql(f'DROP TABLE IF EXISTS "{row["table_name"]}"')


def jar(lab: Lab) -> Path:
    """The server's jar under the lab's root, fetched by maven when it is not there yet."""
    folder = lab.root / "questdb-jar"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("questdb-*.jar")):
            _fetch(folder, lab)
    return next(folder.glob("questdb-*.jar"))


def _fetch(folder: Path, lab: Lab) -> None:
    incoming = folder / "incoming"
    options = f"{os.environ.get('MAVEN_OPTS', '')} {NO_TRACE}"
    argv = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
    argv += [f"-DoutputDirectory={incoming}", "-DexcludeTransitive=true"]
    argv += [f"-Dmaven.repo.local={folder / 'maven'}"]
    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
            env={**os.environ, MARK: str(lab.folder), "MAVEN_OPTS": options},
        )
    except FileNotFoundError as error:
        raise LabError("maven is not installed; `make test` says how") from error
    fetched = list(incoming.glob("questdb-*.jar")) if incoming.exists() else []
    if done.returncode or not fetched:
        raise LabError(f"maven did not bring QuestDB: {(done.stdout + done.stderr)[-2000:]}")
    fetched[0].rename(folder / fetched[0].name)  # whole or not at all
    for leftover in (incoming, folder / "maven"):
        shutil.rmtree(leftover, ignore_errors=True)


def find_java() -> Path:
    """A Java that is new enough: JAVA_HOME's, the one on PATH, or any that is installed."""
    found = []
    for candidate in _javas():
        version = _java_version(candidate)
        if version >= OLDEST_JAVA:
            return candidate
        found.append(f"{candidate} is {version}")
    raise LabError(f"no Java {OLDEST_JAVA} or newer ({', '.join(found) or 'none at all'})")


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin/java")
    for folder in os.get_exec_path():
        if (java := Path(folder, "java")).exists():
            yield java
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"))


def _java_version(java: Path) -> int:
    try:
        said = subprocess.run(
            [java, NO_TRACE, "-version"], check=False, capture_output=True, text=True
        )
    except OSError:
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(match[1]) if match else 0
