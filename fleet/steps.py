"""The steps of a visit, one by one."""

from enum import StrEnum
from typing import NamedTuple

from fleet.status import Phase

WAY = ("resolve", "connect", "host_key", "login")
"""The steps to each door on the way; each is a phase of the same name."""

NODE = ("probe", "docker", "permission", "daemon", "clock", "figures")
"""The steps on the node, after the last login."""

PHASES = {
    **{name: Phase(name) for name in WAY},
    "probe": Phase.PROBE,
    "docker": Phase.PROBE,
    "permission": Phase.DAEMON,
    "daemon": Phase.DAEMON,
    "clock": Phase.PROBE,
    "figures": Phase.PARSE,
}
"""In which phase of a visit each step is."""

TITLES = {
    "resolve": "name",
    "connect": "TCP",
    "host_key": "host key",
    "login": "login",
    "probe": "probe runs",
    "docker": "docker found",
    "permission": "docker allowed",
    "daemon": "daemon up",
    "clock": "clock",
    "figures": "figures",
}
"""What a person reads for a step."""


class Result(StrEnum):
    """What became of a step."""

    OK = "ok"
    WARNING = "WARN"
    FAILED = "FAIL"
    UNKNOWN = "-"


class Step(NamedTuple):
    """One step of a visit: its name, what became of it, what was seen, at which bastion (None: at
    the host itself), and how many seconds it took, where that is known.
    """

    name: str
    result: Result
    seen: str = ""
    via: str | None = None
    seconds: float | None = None
