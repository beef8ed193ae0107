"""Exit statuses, as `fleet --help` lists them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.delivery import Report

EXIT_SOME_FAILED = 3
EXIT_KEPT = 4
EXIT_NOT_PRINTED = 4
EXIT_ALL_FAILED = 5
EXIT_LOST = 7
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def hosts_status(failed: int, dead: int, counted: int) -> int:
    """How many of the hosts that count failed, and how many of those brought nothing at all → the
    status that says so.
    """
    if not failed:
        return 0
    return EXIT_ALL_FAILED if dead == counted else EXIT_SOME_FAILED


def delivery_status(told: "Report") -> int:
    """What became of rows → the status that says so; 0 when they are all in their tables."""
    if told.refused or told.lost:
        return EXIT_LOST
    return EXIT_KEPT if told.kept or told.waiting or told.suspended else 0
