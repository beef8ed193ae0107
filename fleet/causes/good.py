"""Statuses of visits that brought rows. See `fleet.causes`."""

from fleet.causes.cause import About, Cause
from fleet.status import Phase, Status

GOOD = {
    Status.OK: About(
        "All was read. A container that vanished while it was measured is counted in `dropped`."
    ),
    Status.PARTIAL: About(
        "Some rows are good, and something is missing.",
        (
            Cause(
                "A container runs and has no figures, of Docker (dashes or zeros) or of the "
                "kernel; with zeros it is kept as a row of nulls where Docker listed it before and "
                "after.",
                (
                    "A container in a restart loop is the usual cause; look at the node's Docker "
                    "log: `journalctl -u docker`",
                ),
                phase=Phase.DAEMON,
                seen="not measured",
            ),
            Cause(
                "`docker ps` or `docker stats` failed beside good figures, or the kernel's "
                "counters stand in for a silent daemon; without either listing, images and "
                "services are null, or those of the last sweep.",
                ("The detail has what Docker said; its log has more: `journalctl -u docker`",),
                phase=Phase.DAEMON,
            ),
            Cause(
                "A line was not understood; the detail quotes it.",
                ("Please report it, with the node's `docker version`.",),
                phase=Phase.PARSE,
            ),
            Cause(
                "The answer was cut off.",
                (
                    "Raise `--timeout`, or find out what ended the login on the node: another "
                    "login that kills sessions, or too little memory there.",
                ),
                phase=Phase.PROBE,
            ),
        ),
    ),
}
