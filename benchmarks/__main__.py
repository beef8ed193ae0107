"""What fleet costs, beside others that do the same work: `make bench` runs it all and writes the
report, `make bench ARGS="race --hosts 200"` a part of it.

python -m benchmarks [PART ...] [--hosts N,N] [--rounds 7] [--slow-rounds 2]

Parts whose figures go into RESULTS.md: race, doors, crowd, dead, forks, memory, dashboards, text,
startup; `render` makes that page of the figures that there are. Parts that print theirs: visit,
delivery, inventory.
"""

import argparse
import sys

from benchmarks import delivery, inventory, results, visit
from benchmarks.dashboards import answers
from benchmarks.dead import beside_the_dead
from benchmarks.measured import measured
from benchmarks.memory import growth
from benchmarks.race import SLOW, one_of_ours, race
from benchmarks.startup import start_up
from benchmarks.text import text_to_database
from tests.lab.lab import PROJECT, Lab

PRINTED = ("inventory", "visit", "delivery")
KEPT = (
    *("startup", "text", "race", "doors", "crowd", "dead", "forks", "memory", "dashboards"),
    "render",
)
SIZES = "10,100,200,500,1000"
FORKS = (50, 100, 200, 400, 1000)
MEMORY = [(10, 10), (100, 10), (1000, 10), (10_000, 10), (10, 30), (100, 30), (1000, 30)]


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join((*PRINTED, *KEPT))}")
    parser.add_argument("--hosts", default=SIZES, help="of the race, comma-separated")
    parser.add_argument("--containers", type=int, default=30, help="of the node that is visited")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--slow-rounds", type=int, default=7, help=f"of {', '.join(SLOW)} at 500 hosts and more"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the backlog")
    options = parser.parse_args()
    parts = options.parts or [*PRINTED, *KEPT]
    if unknown := set(parts) - {*PRINTED, *KEPT}:
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join((*PRINTED, *KEPT))}")
    if "inventory" in parts:
        inventory.compare(options.rounds)
    with Lab(PROJECT / ".lab") as lab:
        for part in parts:
            _run(part, lab, options)


def _run(part: str, lab: Lab, options: argparse.Namespace) -> None:  # noqa: PLR0912 - one a part
    rounds = options.rounds
    match part:
        case "visit":
            visit.compare(lab, options.containers, rounds)
        case "delivery":
            delivery.backlog(lab, options.rows, rounds)
            delivery.share_of_the_spool(lab, 100, rounds)
        case "startup":
            results.add("startup", start_up(lab, rounds))
        case "text":
            results.add("text", text_to_database(lab, 50_000, rounds))
        case "race":
            for hosts in map(int, options.hosts.split(",")):
                slow = options.slow_rounds if hosts >= 500 else rounds
                results.add("race", race(lab, hosts, rounds, slow_rounds=slow), f"{hosts}")
        case "doors":
            results.add("race", race(lab, 1000, rounds, doors=50), "1000 behind 50")
        case "crowd":
            names = ("fleet", "asyncssh")
            results.add("race", race(lab, 5000, rounds, names, delay_s=0.2), "5000")
        case "dead":
            results.add("dead", beside_the_dead(lab, 500, rounds))
        case "dashboards":
            results.add("dashboards", answers(lab, rounds))
        case "forks":
            found = []
            with one_of_ours(lab, 1000) as argv:
                for forks in FORKS:
                    cost = measured([*argv, "--forks", str(forks)])[0]
                    found.append({"forks": forks, **cost._asdict()})
                    print(f"  {forks} forks: {cost.wall_s:.1f} s, {cost.cpu_s:.2f} CPU-s")
            results.add("forks", found)
        case "memory":
            results.add("memory", growth(lab, MEMORY))
        case "render":
            results.render()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
