"""`python -m tests.chaos`: let it rage, then count. Ends with 0 only if all was there once.

python -m tests.chaos [--runs 200] [--seed N] [--fleet FOLDER]
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

from tests.chaos.cards import Card, Deed, Moment, dealt
from tests.chaos.count import Rows, Verdict, in_answers, in_batches, judged
from tests.chaos.nodes import Nodes, numbered
from tests.chaos.relay import Relay
from tests.chaos.runs import Record, Runs
from tests.lab.lab import PROJECT, Lab
from tests.lab.questdb import QuestDB
from tests.lab.waiting import LabError

BITES_WITHIN = 10
"""So many runs hold every card without which nothing would be shown."""

OFFENDERS_SHOWN = 25


class Options(NamedTuple):
    """What was asked for."""

    runs: int
    seed: int
    package: Path


def main() -> None:
    """Run, count, and say it in a line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end_on)
    options = _options()
    print(f"chaos: {options.runs} runs, --seed {options.seed}", flush=True)
    try:
        with Lab(PROJECT / ".lab") as lab:
            complaints = _raged(lab, options)
    except LabError as error:
        sys.exit(f"chaos: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if complaints:
        sys.exit("\n".join(complaints))


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    parser.add_argument("--fleet", type=Path, default=PROJECT, metavar="FOLDER")
    said = parser.parse_args()
    return Options(said.runs, said.seed, said.fleet.resolve())


def _raged(lab: Lab, options: Options) -> list[str]:
    """All the runs → what is wrong in the end."""
    begun, chance = time.monotonic(), Random(options.seed)
    cards = dealt(chance)
    with QuestDB(lab) as questdb, Relay(questdb.port) as relay, numbered(lab) as nodes:
        runs = Runs(lab, nodes, questdb, relay, options.package, chance)
        runs.run(Card(Deed.CALM, Moment.ANY))  # how long a run takes
        for _number in range(options.runs):
            print(runs.run(next(cards)), flush=True)
        runs.finish()
        kept = in_batches(runs.record.kept)
        verdict = _verdict(kept, _found(questdb), nodes, runs.record)
        served = len(nodes.served())
    seconds = time.monotonic() - begun
    print(_summary(options, runs.record, relay, verdict, served, len(kept.serials), seconds))
    complaints = [*runs.record.bugs, *verdict.lines()][:OFFENDERS_SHOWN]
    if options.runs >= BITES_WITHIN:
        complaints += _toothless(runs.record, relay)
    return complaints


def _found(questdb: QuestDB) -> Rows:
    """What QuestDB has, once it has applied all that it accepted."""
    questdb.wait_for(
        "SELECT name FROM wal_tables() WHERE suspended OR writerTxn < sequencerTxn",
        lambda rows: not rows,
        60,
    )
    time_of = "timestamp::long"
    return in_answers(
        _values(questdb, f"{time_of} at, host, container, pids, memory_use FROM containerStats"),
        _values(questdb, f"{time_of} at, host, status, containers FROM hostStatus"),
        _values(questdb, f"{time_of} at, name FROM fleetSweep"),
    )


def _values(questdb: QuestDB, columns: str) -> list[list[object]]:
    return [list(row.values()) for row in questdb.sql(f"SELECT {columns}")]


def _verdict(kept: Rows, found: Rows, nodes: Nodes, record: Record) -> Verdict:
    return judged(kept, found, nodes.served(), record.undisturbed)


def _summary(
    options: Options,
    record: Record,
    relay: Relay,
    verdict: Verdict,
    served: int,
    kept: int,
    seconds: float,
) -> str:
    done = ", ".join(f"{name} {often}" for name, often in sorted(record.done.items()))
    return (
        f"chaos: {options.runs} runs in {seconds:.0f} s, --seed {options.seed}: {done}, "
        f"missed {record.missed}; {record.bitten} kills between rename and removal, "
        f"{record.left} runs left batches, {relay.lost} answers lost, "
        f"{relay.resent} accepted rows sent again; visits: served {served}, kept {kept}, "
        f"ended before the rename {served - kept}; "
        f"lost {len(verdict.lost)}, twice {len(verdict.twice)}, torn {len(verdict.torn)}"
    )


def _toothless(record: Record, relay: Relay) -> list[str]:
    """What should have happened and did not."""
    wanted = {
        "no kill between rename and removal": record.bitten,
        "no run left a batch": record.left,
        "no answer was lost": relay.lost,
        "no accepted row was sent again": relay.resent,
    }
    return [f"chaos did not bite: {what}" for what, often in wanted.items() if not often]


def _end_on(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
