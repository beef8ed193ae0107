"""A stage for faults of delivery: nodes that can be held, a QuestDB of our own, tables and a state
directory for each test, and the table of `docs/reliability.md`, which says what is to be seen.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from fleet.batch import Batch, Target
from fleet.ilp_text import Part
from fleet.interruption import TOGETHER_S
from fleet.spool import Entry, Spool
from fleet.state import Job
from tests.command import FLEET
from tests.lab.disks import local_disks
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab, free_port
from tests.lab.node import Node
from tests.lab.questdb import QuestDB
from tests.lab.relay import Relay
from tests.lab.standin import Crowd, script
from tests.lab.tables import table_words, tables_named
from tests.lab.waiting import poll

PAGE = Path(__file__).parent.parent / "docs/reliability.md"
HOSTS = 3
ROWS = 4
SWEEP = (HOSTS * ROWS, HOSTS, 1)
"""Rows of a sweep in containerStats, hostStatus and fleetSweep."""
DISKS = len(local_disks())
"""Rows of a visit in diskStats: the nodes have this machine's file systems."""
VISIT = ROWS + 1 + ROWS + 1 + DISKS
"""Rows of a visit: of the street's containers every state is due, for it counts restarts."""
ALL = HOSTS * VISIT + 1

PATIENT = "request_timeout=20000;retry_timeout=500;"
HASTY = "request_timeout=1000;retry_timeout=500;"
"""For a QuestDB that does not answer."""

_RESTARTS = """\
        read -r restarts _ </proc/uptime
        restarts=${restarts%.*}${restarts#*.}
"""
_HELD = """\
    while [ -e "/run/lab/hold-$address" ]; do sleep 0.1; done
    stats_rows | sed "$(cat "/run/lab/sed-$address" 2>/dev/null)"
"""


class Told(NamedTuple):
    """A row of the table of faults: what happens, how a run ends, what it prints, where the rows
    are then, and what brings them in.
    """

    fault: str
    exits: tuple[int, ...]
    printed: tuple[str, ...]
    rows: str
    heals: str


def told() -> dict[str, Told]:
    """The table of faults, by its first column."""
    found: dict[str, Told] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 5 or cells[0] in ("fault", "---"):
            continue
        exits = tuple(int(number) for number in re.findall("[0-9]+", cells[1]))
        printed = tuple(re.findall("`([^`]+)`", cells[2]))
        assert cells[0] not in found, cells[0]
        assert printed or cells[2] == "nothing", cells[0]
        found[cells[0]] = Told(cells[0], exits, printed, cells[3], cells[4])
    return found


@dataclass(frozen=True, slots=True)
class Files:
    """Names in the spool."""

    waiting: list[str]
    refused: list[str]
    bad: list[str]

    @property
    def rows(self) -> int:
        """Of all that waits, as the names say."""
        return sum(int(name.split("-")[2]) for name in self.waiting)


Run = subprocess.CompletedProcess[str]


class Street:
    """The nodes: `crowd`; each can be held in mid-visit, and what it says be changed."""

    def __init__(self, lab: Lab) -> None:
        plain = script(rows=ROWS, delay_s=0.1)
        held = plain.replace("""    printf '%s\\n' "$(stats_rows)"\n""", _HELD)
        text = held.replace("        restarts=$(((number + row) % 4))\n", _RESTARTS)
        assert plain != held != text
        self.node = Node(
            lab,
            "crowd-of-faults",
            address="0.0.0.0",
            port=free_port("0.0.0.0"),
            replaced={"docker": text},
            sshd=["MaxStartups 5000", "LogLevel INFO"],
        )
        self.crowd = Crowd(lab, self.node, HOSTS)
        self.names = list(self.crowd.addresses)
        (self.node.run_folder / "lab").mkdir()

    def __enter__(self) -> "Street":
        self.node.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.node.__exit__(*error)

    def hold(self, *names: str) -> None:
        """Visits of these hosts, of all if none is named, do not end before `release()`."""
        for name in names or self.names:
            self._file("hold", name).touch()

    def edit(self, name: str, commands: str) -> None:
        """What this node's `docker stats` prints goes through sed."""
        self._file("sed", name).write_text(commands)

    def release(self) -> None:
        """Let all visits end."""
        for name in self.names:
            self._file("hold", name).unlink(missing_ok=True)

    def as_it_was(self) -> None:
        """Nothing is held, nothing is changed, nobody is logged in."""
        self.release()
        for name in self.names:
            self._file("sed", name).unlink(missing_ok=True)

    @property
    def visits(self) -> int:
        """How many `docker stats` are under way."""
        running = re.compile(r"/bin/sh \S*docker stats ")
        return sum(bool(running.match(pid.command)) for pid in self.node.processes())

    def wait_visits(self, count: int) -> None:
        """Wait until so many `docker stats` are under way."""
        poll(lambda: self.visits == count, 60, f"{count} visits", why=lambda: str(self.visits))

    def _file(self, kind: str, name: str) -> Path:
        return self.node.run_folder / "lab" / f"{kind}-{self.crowd.addresses[name]}"


_MADE_GOOD = re.compile(
    "changed the schema: (CREATE TABLE|ALTER TABLE .* (ADD COLUMN IF NOT EXISTS|DEDUP ENABLE))"
)
"""What a run says of tables that it made, or made good: beside `nothing` in the table of faults."""


class Stage:
    """One test's: its tables, its state directory, its relay; `conf` is where fleet writes to."""

    def __init__(
        self, street: Street, database: QuestDB, relay: Relay, folder: Path, number: int
    ) -> None:
        self.street, self.database, self.relay, self.folder = street, database, relay, folder
        self.named_tables = tables_named(f"{{}}_{number}")
        self.tables = list(self.named_tables.values())
        self.state = folder / "state"
        self.conf = relay.conf + PATIENT
        self.inventory = write_inventory(folder / "inventory.yaml", street.crowd.hosts)
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(street.crowd.known_hosts)
        self._started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        """End what still runs, and drop the tables: QuestDB maps a hundred files for each."""
        for process in self._started:
            process.kill()
            process.wait(20)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.street.as_it_was()
        poll(lambda: self.street.node.processes() == [], 60, "sessions stayed behind")
        for table in self.tables:
            self.database.sql(f"DROP TABLE IF EXISTS {table}")

    # --- runs

    def named(self, conf: str | None = None) -> list[str]:
        """The options that name tables, state directory and QuestDB."""
        words = [*table_words(self.named_tables), "--state-dir", str(self.state)]
        chosen = self.conf if conf is None else conf
        return [*words, "--questdb", chosen] if chosen else words

    def words(self, conf: str | None = None) -> list[str]:
        """All that `collect` needs."""
        nodes = ["-i", str(self.inventory), "--known-hosts", str(self.known_hosts)]
        return [*nodes, *self.named(conf)]

    def run(
        self,
        *extra: str | Path,
        conf: str | None = None,
        command: str = "collect",
        before: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
    ) -> Run:
        """`fleet collect EXTRA` to its end, started by `before`."""
        process = self.start(*extra, conf=conf, command=command, before=before, env=env)
        return finished(process)

    def start(
        self,
        *extra: str | Path,
        conf: str | None = None,
        command: str = "collect",
        before: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
        **streams: Any,
    ) -> "subprocess.Popen[str]":
        """Start `fleet collect EXTRA`."""
        words = self.named(conf) if command == "spool" else self.words(conf)
        argv = [*before, *FLEET, command, *words, *extra]
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        foreign = ("FLEET_STATE", "QDB_", "STATE_DIR", "XDG_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        process = subprocess.Popen(
            [str(word) for word in argv],
            text=True,
            stdin=subprocess.DEVNULL,
            env={**kept, "COLUMNS": "300", **(env or {})},
            **outputs,
        )
        self._started.append(process)
        return process

    # --- what is there

    def counts(self) -> tuple[int, int, int]:
        """Rows of containers, hosts and sweeps in QuestDB, once it has applied what it has
        accepted; a row that is there twice, in any table, is an error.
        """
        first, second, third, *_later = self.every_count()
        return first, second, third

    def every_count(self) -> list[int]:
        """The same of every table, in the order of `tables`."""
        self.settled()
        of_container, of_host = "timestamp, host, container", "timestamp, host"
        keys = [of_container, of_host, "timestamp, name"]
        keys += [of_container, of_host, "timestamp, host, mount"]
        counts = []
        for table, key in zip(self.tables, keys, strict=True):
            rows = self.database.rows_of(f"SELECT {key} FROM {table}")
            assert len({tuple(row.values()) for row in rows}) == len(rows), f"twice in {table}"
            counts.append(len(rows))
        return counts

    def wait_rows(self, rows: tuple[int, int, int]) -> None:
        """Wait until just these rows are in QuestDB."""
        poll(lambda: self.counts() == rows, 60, f"{rows}", why=lambda: str(self.counts()))

    def settled(self) -> None:
        """Wait until QuestDB has applied what it has accepted, but for suspended tables."""
        names = ", ".join(f"'{table}'" for table in self.tables)
        late = (
            "SELECT name FROM wal_tables() WHERE NOT suspended AND writerTxn < sequencerTxn "
            f"AND name IN ({names})"
        )
        self.database.wait_for(late, lambda rows: rows == [], 60)

    def statuses(self) -> dict[str, int]:
        """How often each status stands in hostStatus."""
        self.settled()
        rows = self.database.sql(f"SELECT status, count() n FROM {self.tables[1]}")
        return {row["status"]: row["n"] for row in rows}

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """A statement; `C`, `H` and `S` in braces are our tables."""
        containers, hosts, sweeps = self.tables[:3]
        text = statement.replace("{C}", containers).replace("{H}", hosts).replace("{S}", sweeps)
        return self.database.sql(text)

    @property
    def files(self) -> Files:
        """What is in the spool."""
        spool = self.state / "spool"

        def names(folder: Path) -> list[str]:
            found = folder.iterdir() if folder.exists() else ()
            return sorted(path.name for path in found if path.is_file())

        return Files(names(spool), names(spool / "refused"), names(spool / "bad"))

    def refused(self) -> list[dict[str, Any]]:
        """The rows in `refused/`."""
        folder = self.state / "spool/refused"
        documents = [json.loads((folder / name).read_bytes()) for name in self.files.refused]
        return [row for document in documents for row in document["refused"]]

    # --- what must hold

    def holds(
        self, rows: tuple[int, int, int], *, waiting: int = 0, refused: int = 0, bad: int = 0
    ) -> None:
        """These rows are in QuestDB; this many rows wait; this many files are refused and bad."""
        files = self.files
        assert (files.rows, len(files.refused), len(files.bad)) == (waiting, refused, bad), files
        poll(lambda: self.counts() == rows, 30, f"{rows}", why=lambda: str(self.counts()))

    def said(self, fault: str, *runs: Run, n: int | None = None) -> None:
        """Runs ended and printed as the table of faults says; `n` is what its `N` must be."""
        case = told()[fault]
        everything = "".join(run.stderr for run in runs)
        assert tuple(run.returncode for run in runs) == case.exits, everything
        assert "Traceback" not in everything
        lines = everything.splitlines()
        if not case.printed:
            assert [line for line in lines if not _MADE_GOOD.search(line)] == []
        for quote in case.printed:
            pattern = re.compile(f"(fleet: )?{self._pattern(quote, n)}")
            assert any(pattern.fullmatch(line) for line in lines), f"{pattern.pattern}\n{lines}"

    def heals(self, sweeps: int, **options: Any) -> Run:
        """The fault is gone: another run brings in all that was kept, exactly once, with its own
        rows, and leaves the spool empty → the run.
        """
        done = self.run(**options)
        assert done.returncode == 0, done.stderr
        every = [sweeps * rows for rows in SWEEP]
        self.holds((every[0], every[1], every[2]))
        beside = [every[0], every[1], every[1] * DISKS]
        poll(lambda: self.every_count()[3:] == beside, 30, f"{beside}")
        return done

    def _pattern(self, quote: str, n: int | None) -> str:
        """A quote of the table as a regular expression: its placeholders are filled in."""
        containers, hosts, sweeps = self.tables[:3]
        words = {
            "HOST:PORT": r"[a-z0-9.-]+:[0-9]+",
            "STATE": re.escape(str(self.state)),
            "TIME": "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}Z",
            "FILE": r"\S+",
            "PID": "[0-9]+",
            "N": "[0-9]+" if n is None else str(n),
            "…": ".*",
            "containerStats": containers,
            "hostStatus": hosts,
            "fleetSweep": sweeps,
        }
        tokens = "|".join(rf"\b{word}\b" if word != "…" else word for word in words)
        parts = re.split(f"({tokens})", quote)
        return "".join(words.get(part, re.escape(part)) for part in parts)

    # --- what waits from earlier runs

    @property
    def target(self) -> Target:
        """What the configuration names."""
        scheme, host, port = re.findall(r"^(https?)::addr=([^:;]+):([0-9]+)", self.conf)[0]
        return Target(scheme, host, int(port), tuple(self.tables))

    @property
    def job(self) -> Job:
        """The key of the lock."""
        return Job("fleet", self.target.mark)

    def batch(self, rows: int, *, age_s: int, first: int = 0, cells: str = "pids=1i") -> Batch:
        """Rows of `containerStats` of an earlier sweep, of a host named `old`."""
        sweep = datetime.now(UTC).replace(microsecond=first % 1_000_000) - timedelta(seconds=age_s)
        at = int(sweep.timestamp()) * 10**9 + sweep.microsecond * 1000
        body = "".join(
            f"{self.tables[0]},host=old,container=c{number} {cells} {at}\n"
            for number in range(first, first + rows)
        )
        return Batch(self.target, "fleet", sweep, (Part(self.tables[0], (), body.encode(), rows),))

    def keep(self, *batches: Batch) -> list[Entry]:
        """Put batches into the spool."""
        spool = Spool(self.state / "spool", 2**30)
        return [spool.write(batch, number)[0] for number, batch in enumerate(batches, 1)]


def finished(process: "subprocess.Popen[str]", within_s: float = 90) -> Run:
    """The run that this process was, once it has ended."""
    stdout, stderr = process.communicate(timeout=within_s)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def privately(setup: str, *words: str | Path) -> list[str]:
    """What a command is started by, to run in a mount namespace of its own: `setup` is made there
    first, with `words` as its `$1`, `$2`, …
    """
    shifted = f'{setup}; shift {len(words)}; exec "$@"'
    unshare = ["unshare", "--mount", "--propagation", "slave"]
    return [*unshare, "sh", "-ec", shifted, "room", *(str(word) for word in words)]


@contextlib.contextmanager
def small_disk(lab: Lab, folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size on a folder."""
    folder.mkdir(parents=True)
    end = ["umount", "--lazy", str(folder)]
    number = lab.ledger.command(end)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "fleet-lab", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(end, check=True)
        lab.ledger.strike(number)


def fill(folder: Path) -> Path:
    """Leave no room on a folder's file system → the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def interrupt(process: "subprocess.Popen[str]", *numbers: signal.Signals) -> None:
    """Send signals, one after the other, and far enough from each other to be two."""
    for position, number in enumerate(numbers):
        if position:
            time.sleep(TOGETHER_S + 0.1)
        process.send_signal(number)
