"""`python -m tests.guest`: boot, compare, count. Ends with 0 only if every figure was right.

python -m tests.guest [--rounds 12] [--driver systemd|cgroupfs] [--record]
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from tests.guest.compare import Tally
from tests.guest.containers import DRIVERS
from tests.guest.image import image
from tests.guest.machine import Guest
from tests.guest.record import record
from tests.guest.rounds import moving, paused
from tests.guest.rows import rows
from tests.lab.lab import PROJECT, Lab
from tests.lab.waiting import LabError

TREES = PROJECT / "tests/recorded"
ERRORS_SHOWN = 40


def main() -> None:
    """Each driver in the same guest, then the summary."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end_on)
    options = _options()
    began = time.monotonic()
    tallies: dict[str, Tally] = {}
    try:
        with Lab(PROJECT / ".lab") as lab, Guest(lab, image(lab)) as guest:
            for driver in options.driver or DRIVERS:
                tallies[driver] = _compared(guest, driver, options.rounds)
                if options.record:
                    record(guest, TREES / f"v2-{driver}")
    except LabError as error:
        sys.exit(f"guest: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(_summary(tallies, time.monotonic() - began))
    if any(tally.errors for tally in tallies.values()):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.guest")
    parser.add_argument("--rounds", type=int, default=12, help="of moving containers, a driver")
    parser.add_argument("--driver", action="append", choices=DRIVERS, help="by default both")
    parser.add_argument("--record", action="store_true", help=f"make {TREES.name}/v2-* anew")
    return parser.parse_args()


def _compared(guest: Guest, driver: str, rounds: int) -> Tally:
    tally = Tally()
    parts: dict[str, Callable[[], Tally]] = {
        "moving": partial(moving, guest, driver, rounds),
        "paused": partial(paused, guest, driver),
        "rows of fleet snapshot": partial(rows, guest),
    }
    for what, part in parts.items():
        began = time.monotonic()
        found = part()
        tally.add(found)
        print(
            f"{driver}, {what}: {found.compared.total()} comparisons, {found.moved.total()} of "
            f"them of figures that moved, {len(found.errors)} errors, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
    return tally


def _summary(tallies: dict[str, Tally], seconds: float) -> str:
    lines = []
    kinds = dict.fromkeys(kind for tally in tallies.values() for kind in tally.compared)
    for kind in kinds:
        counts = (
            f"{driver} {tally.compared[kind]} ({tally.moved[kind]} moved)"
            for driver, tally in tallies.items()
        )
        lines.append(f"  {kind:18} {', '.join(counts)}")
    errors = [f"{driver}: {line}" for driver, tally in tallies.items() for line in tally.errors]
    lines += errors[:ERRORS_SHOWN]
    total = sum(tally.compared.total() for tally in tallies.values())
    lines.append(f"guest: {total} comparisons, {len(errors)} errors, {seconds:.0f} s")
    return "\n".join(lines)


def _end_on(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
