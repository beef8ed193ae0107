"""The runs: `fleet collect` again and again, each with its card, and the files that it leaves."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event

from tests.chaos import power
from tests.chaos.cards import Card, Deed, Moment
from tests.chaos.nodes import Nodes, Served
from tests.chaos.power import Journal
from tests.chaos.relay import Relay
from tests.lab.inventory import write_inventory
from tests.lab.lab import PROJECT, Lab, Process
from tests.lab.questdb import QuestDB
from tests.lab.waiting import poll

NAME = "chaos"
LONGEST_S = 60
BATCH_WAITS_S = 0.06
PAUSES_S = (0.2, 2.5)
LOSSES = (1, 2, 40)
"""Answers that are lost: one or two are made good within the run, 40 by a later one."""

STATUSES = (0, 3, 4, 5, 7, 143, -signal.SIGKILL, -signal.SIGTERM)
"""With which a run may end; any other is a bug of somebody's."""

LIMITS = (
    *("--publish-timeout", "1", "--drain-seconds", "5", "--timeout", "10"),
    *("--name", NAME, "-v"),
)


@dataclass(slots=True)
class Record:
    """What the runs came to. `kept` are the batches that count, by their files' names, and
    `undisturbed` what was served to runs that nobody ended; `bitten` runs were killed with a batch
    in its place and not removed, after `left` ones a batch waited; `bugs` are runs that ended as
    none may.
    """

    done: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)
    undisturbed: set[Served] = field(default_factory=set)
    bitten: int = 0
    left: int = 0
    bugs: list[str] = field(default_factory=list)


class Runs:
    """One state directory, three nodes and a QuestDB, through everything that befalls them."""

    def __init__(
        self, lab: Lab, nodes: Nodes, questdb: QuestDB, relay: Relay, package: Path, chance: Random
    ) -> None:
        self.record = Record()
        self._lab, self._nodes, self._questdb, self._relay = lab, nodes, questdb, relay
        self._package, self._chance = package, chance
        self._number = -1  # the first shows how long a run takes
        self._length_s = 3.0
        self._state = lab.folder / "state"
        self._words = _words(lab, nodes, relay, self._state)

    @property
    def waiting(self) -> set[str]:
        """The batches in the spool."""
        return {path.name for path in (self._state / "spool").glob("*.batch")}

    def run(self, card: Card) -> str:
        """One run with its card → what came of it, in a line."""
        self._number += 1
        self._start_anew(card)
        served, waited = len(self._nodes.served()), self.waiting
        is_late = self._questdb_is_late(card)
        blow = Blow(card.deed, self._questdb, self._relay, self._chance)
        fleet, folder = self._started()
        begun = time.monotonic()
        with self._questdb_back(is_late):
            blow.fall_on(fleet, lambda: self._wait(card.moment, fleet, waited), card.moment)
            status = fleet.popen.wait(LONGEST_S)
        if status not in STATUSES:
            bug = f"run {self._number}, {card}: exit {status}: {fleet.tail()}"
            self.record.bugs.append(bug)
        if card.deed is Deed.CALM:
            self._length_s = time.monotonic() - begun
        self._relay.clean()
        self._nodes.wait_quiet()
        journal = Journal.read(folder)
        struck = blow.struck.is_set()
        self._account(card, struck, journal, served)
        left = len(self.waiting)
        missed = "" if struck or card.deed is Deed.CALM else " (it was over before)"
        return f"{self._number:3d}  {card}{missed}: exit {status}, {left} batches wait"

    def finish(self) -> None:
        """Let everything be, and run until nothing waits."""
        if not self._questdb.process.alive:
            self._questdb.start()
        for _attempt in range(5):
            self.run(Card(Deed.CALM, Moment.ANY))
            if not self.waiting:
                return

    def _started(self) -> tuple[Process, Path]:
        """A run, and the folder of its journal."""
        folder = self._lab.folder / f"run-{self._number:04d}"
        folder.mkdir()
        argv = [sys.executable, "-m", "tests.chaos.disk", folder, *self._words]
        env = {"PYTHONPATH": str(PROJECT), "PYTHONSAFEPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
        env["HOME"] = str(self._lab.folder)
        # Where it runs is where it finds `fleet` first.
        return self._lab.start(folder.name, argv, env=env, cwd=self._package), folder

    def _wait(self, moment: Moment, fleet: Process, waited: set[str]) -> None:
        """Wait for a moment that the relay does not know."""

        def is_there() -> bool:
            return bool(self.waiting - waited) or not fleet.alive

        if moment is Moment.ANY:
            _wait(fleet, self._chance.uniform(0, self._length_s))
        else:
            poll(is_there, LONGEST_S, "a batch", every_s=0.002)
            _wait(fleet, self._chance.uniform(0, BATCH_WAITS_S))

    def _start_anew(self, card: Card) -> None:
        """Before a power cut: as on the first day, where nothing waits."""
        if card.deed is Deed.CUT and not self.waiting:
            for folder in ("spool/refused", "spool/bad", "spool"):
                with suppress(OSError):
                    (self._state / folder).rmdir()

    def _questdb_is_late(self, card: Card) -> bool:
        """A QuestDB that was killed is back before the run, unless it may come back while it goes
        on → whether it must.
        """
        if self._questdb.process.alive:
            return False
        if card.deed.needs_questdb or card.moment.is_relays or self._chance.random() < 0.5:
            self._questdb.start()
            return False
        return True

    @contextmanager
    def _questdb_back(self, is_late: bool) -> Iterator[None]:
        """Start it beside the run."""
        with ThreadPoolExecutor(1) as beside:
            back = beside.submit(self._questdb.start) if is_late else None
            yield
            if back:
                back.result()

    def _account(self, card: Card, struck: bool, journal: Journal, served: int) -> None:
        """What this run has kept, after what was done to it."""
        record = self.record
        if journal.package not in (None, self._package / "fleet"):
            raise RuntimeError(f"{journal.package} ran, not {self._package / 'fleet'}")
        kept = journal.renamed()
        removed = journal.removed()
        if struck and card.deed is Deed.CUT:
            kept = journal.durable()
            power.cut(journal, self._chance)
        spool = self._state / "spool"
        record.kept |= {name: (spool / name).read_bytes() for name in self._unread(card, struck)}
        record.kept |= kept
        if not (struck and card.deed.ends_fleet):
            record.undisturbed |= set(self._nodes.served()[served:])
        if card.deed is Deed.CALM or struck:
            record.done[card.deed.value] += 1
        else:
            record.missed += 1
        record.bitten += struck and card.deed.is_sudden and bool(kept.keys() - removed)
        record.left += bool(self.waiting)

    def _unread(self, card: Card, struck: bool) -> set[str]:
        """Batches that were put in their places, but killed before that was in the journal."""
        return set() if struck and card.deed is Deed.CUT else self.waiting - self.record.kept.keys()


class Blow:
    """A deed, done once; what lasts for a while is ended by `fall_on`."""

    def __init__(self, deed: Deed, questdb: QuestDB, relay: Relay, chance: Random) -> None:
        self.struck = Event()
        self._deed, self._questdb, self._relay = deed, questdb, relay
        self._pause_s = chance.uniform(*PAUSES_S)
        self._losses = chance.choice(LOSSES)

    def fall_on(self, fleet: Process, wait: Callable[[], None], moment: Moment) -> None:
        """Strike at the moment, and bring back after a while what was frozen."""
        if self._deed is Deed.CALM:
            return
        if moment.is_relays:
            self._relay.once(moment.value, lambda: self._strike(fleet))
            poll(lambda: self.struck.is_set() or not fleet.alive, LONGEST_S, "the moment")
        else:
            wait()
            if fleet.alive:
                self._strike(fleet)
        if self.struck.is_set():
            self._relent(fleet)

    def _strike(self, fleet: Process) -> bool:
        """Do it → whether what is under way goes on."""
        self.struck.set()  # before it, for its victim's end is seen as well
        match self._deed:
            case Deed.KILL | Deed.CUT:
                fleet.kill9()
            case Deed.FREEZE | Deed.FREEZE_KILL:
                fleet.pause()
            case Deed.TERMINATE:
                fleet.pid.signal(signal.SIGTERM)
            case Deed.KILL_QUESTDB:
                self._questdb.kill9()
            case Deed.FREEZE_QUESTDB:
                self._questdb.pause()
            case Deed.LOSE:
                self._relay.losing = self._losses
        return self._deed not in (Deed.KILL, Deed.CUT)

    def _relent(self, fleet: Process) -> None:
        match self._deed:
            case Deed.FREEZE:
                time.sleep(self._pause_s)
                fleet.resume()
            case Deed.FREEZE_KILL:
                time.sleep(self._pause_s)
                fleet.kill9()
            case Deed.FREEZE_QUESTDB:
                time.sleep(self._pause_s)
                self._questdb.resume()


def _wait(fleet: Process, seconds: float) -> None:
    """For so long, or until it ends."""
    with suppress(subprocess.TimeoutExpired):
        fleet.popen.wait(seconds)


def _words(lab: Lab, nodes: Nodes, relay: Relay, state: Path) -> list[str | Path]:
    """The command line of every run."""
    inventory = write_inventory(lab.folder / "inventory.yaml", nodes.hosts)
    known_hosts = lab.folder / "known_hosts"
    known_hosts.write_text(nodes.known_hosts)
    questdb = f"http::addr=127.0.0.1:{relay.port};request_timeout=1500;"
    words: list[str | Path] = ["collect", "-i", inventory, "--known-hosts", known_hosts]
    return [*words, "--questdb", questdb, "--state-dir", state, *LIMITS]
