"""What each status means, what brings it about, and what to do: texts only.

`fleet.advice` makes the page of statuses and the advice of `fleet check` from them. A cure that
ends in `: ` and a command has that command on a line of its own. Words in braces stand for what
is known of the host at hand; see `fleet.advice.Words`.
"""

from collections.abc import Mapping

from fleet.causes.before import BEFORE
from fleet.causes.cause import About, Cause
from fleet.causes.door import AT_THE_DOOR
from fleet.causes.good import GOOD
from fleet.causes.node import ON_THE_NODE
from fleet.causes.way import ON_THE_WAY
from fleet.status import Status

__all__ = ["CHAPTERS", "About", "Cause"]

CHAPTERS: Mapping[str, Mapping[Status, About]] = {
    "Good": GOOD,
    "Before anything is sent": BEFORE,
    "On the way to the node": ON_THE_WAY,
    "At the door": AT_THE_DOOR,
    "On the node": ON_THE_NODE,
}
"""Every status, in the chapters of the manual's page."""
