"""What fleet costs, beside others that do the same work: `make bench`.

python -m benchmarks [visit | sweep | delivery | inventory ...] [--rounds 3] [--hosts 100]
    [--containers 30] [--rows 1000000]
"""

import argparse

from benchmarks import delivery, inventory, sweep, visit
from tests.lab.lab import PROJECT, Lab

PARTS = ("inventory", "visit", "sweep", "delivery")


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--containers", type=int, default=30, help="of the node that is visited")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the backlog")
    options = parser.parse_args()
    parts = options.parts or PARTS
    if not set(parts) <= set(PARTS):
        parser.error(f"there are {', '.join(PARTS)}")
    if "inventory" in parts:
        inventory.compare(options.rounds)
    if set(parts) == {"inventory"}:
        return
    with Lab(PROJECT / ".lab") as lab:
        if "visit" in parts:
            visit.compare(lab, options.containers, options.rounds)
        if "sweep" in parts:
            sweep.compare(lab, options.hosts, options.rounds)
        if "delivery" in parts:
            delivery.backlog(lab, options.rows, options.rounds)
            delivery.share_of_the_spool(lab, options.hosts, options.rounds)


if __name__ == "__main__":
    main()
