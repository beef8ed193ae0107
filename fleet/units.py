"""What runs `collect` every so often: a systemd service, its timer, and cron's line, as texts.

`deploy/systemd/` holds the two units as they are without any option; docs/scheduling.md explains
them to those who install them.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Self

from fleet.errors import UsageError
from fleet.settings import FILES_BESIDES, FILES_PER_VISIT, FORKS_MAX, Settings

FOLDER = "/etc/systemd/system"
PROGRAM = "/usr/local/bin/fleet"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_WORDS = {
    word: seconds
    for words, seconds in (
        ("s sec second seconds", 1),
        ("m min minute minutes", _MINUTE),
        ("h hr hour hours", _HOUR),
        ("d day days", _DAY),
    )
    for word in words.split()
}
_SIXTIETHS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_KEPT = (
    *(n for n in _SIXTIETHS if n >= 10),
    *(n * _MINUTE for n in _SIXTIETHS),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)),
    _DAY,
)
"""Seconds, ascending: what a clock's minutes, hours and days are whole multiples of."""

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - only named
_HARD_LIMIT = FILES_PER_VISIT * FORKS_MAX + FILES_BESIDES


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one run to the next, one of those that systemd and cron keep without a gap."""

    seconds: int = 5 * _MINUTE

    @classmethod
    def parse(cls, text: str) -> Self:
        """`30s`, `5min`, `2h`, `1d`; raises `UsageError` that names what works instead."""
        match = re.fullmatch(r"([0-9]{1,6}) *([a-z]+)", text.strip())
        if match is None or match[2] not in _WORDS:
            raise UsageError(
                f"--interval: expected a number and a unit, as 30s, 5min, 2h or 1d, not {text!r}"
            )
        seconds = int(match[1]) * _WORDS[match[2]]
        if seconds not in _KEPT:
            raise UsageError(f"--interval: {_why_not(text, seconds)}")
        return cls(seconds)

    @property
    def calendar(self) -> str:
        """systemd's OnCalendar=. `*:5/5` would skip the full hour: a step starts at 0.

        By local time a whole hour would be left out when summer time ends, minutes and all.
        """
        if self.seconds < _MINUTE:
            return f"*:*:0/{self.seconds} UTC"
        if self.seconds < _HOUR:
            return f"*:0/{self.seconds // _MINUTE} UTC"
        if self.seconds < _DAY:
            return f"*-*-* 0/{self.seconds // _HOUR}:00:00 UTC"
        return "*-*-* 00:00:00 UTC"

    @property
    def cron(self) -> str | None:
        """crontab(5)'s five fields; None for what is too short for it."""
        if self.seconds < _MINUTE:
            return None
        if self.seconds < _HOUR:
            return f"{_step(self.seconds // _MINUTE)} * * * *"
        if self.seconds < _DAY:
            return f"0 {_step(self.seconds // _HOUR)} * * *"
        return "0 0 * * *"

    def __str__(self) -> str:
        for size, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
            if self.seconds % size == 0:
                return f"{self.seconds // size}{word}"
        return f"{self.seconds}s"


def _step(every: int) -> str:
    return "*" if every == 1 else f"*/{every}"


def _why_not(text: str, seconds: int) -> str:
    if seconds < _KEPT[0]:
        return f"{text!r} is too short for a sweep: the shortest is {Interval(_KEPT[0])}"
    if seconds > _KEPT[-1]:
        return f"{text!r} is too long: the longest is {Interval(_KEPT[-1])}"
    below = Interval(max(kept for kept in _KEPT if kept < seconds))
    above = Interval(min(kept for kept in _KEPT if kept > seconds))
    return (
        f"{text!r} does not go evenly into a minute, an hour or a day: "
        f"the nearest that do are {below} and {above}"
    )


@dataclass(frozen=True, slots=True)
class Units:
    """Everything that a unit or a crontab is filled in with; `UsageError` for what neither takes.

    Files are absolute paths: neither systemd nor cron starts where somebody stood.
    """

    interval: Interval = Interval()
    program: str = PROGRAM
    inventory: str = "/etc/fleet/inventory.yaml"
    name: str = "fleet"
    private_key: str = "/etc/fleet/id_ed25519"
    known_hosts: str = "/etc/fleet/known_hosts"
    questdb_file: str = "/etc/fleet/questdb.conf"

    def __post_init__(self) -> None:
        Settings(name=self.name)
        _check_path("fleet itself", self.program)
        if re.search("[\"']", self.program):
            raise UsageError(
                "fleet itself: systemd starts no program with a quote in its name, "
                f"not {self.program}"
            )
        _check_path("-i", self.inventory)
        _check_path("--private-key", self.private_key)
        _check_path("--known-hosts", self.known_hosts)
        _check_path("--questdb-file", self.questdb_file)

    @property
    def unit(self) -> str:
        """What the service and the timer are called, without their suffix."""
        return "fleet-collect" if self.name == "fleet" else f"fleet-collect-{self.name}"

    @property
    def hidden(self) -> tuple[str, ...]:
        """A sentence for every file that the service will not see where it is."""
        return tuple(
            f"{path}: the service sees nothing of {folder}: keep it elsewhere, as in /etc or /opt"
            for path in (self.program, self.inventory, self.known_hosts)
            for folder in _HIDDEN
            if path.startswith(f"{folder}/")
        )

    def service(self) -> str:
        """The text of the service."""
        state = "fleet" if self.name == "fleet" else f"fleet-{self.name}"
        job = "" if self.name == "fleet" else f" \\\n    --name {self.name}"
        return f"""\
[Unit]
Description=Docker figures of the fleet, into QuestDB ({self.name})
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={_quoted(self.program)} collect \\
    --inventory {_quoted_argument(self.inventory)} \\
    --private-key ${{CREDENTIALS_DIRECTORY}}/private-key \\
    --known-hosts {_quoted_argument(self.known_hosts)} \\
    --questdb-file ${{CREDENTIALS_DIRECTORY}}/questdb.conf{job}

# Secrets stay root's, mode 0600: systemd hands each run a copy. The inventory, what lies beside it
# and the known hosts are read where they are, by anybody.
LoadCredential=private-key:{_specifiers(self.private_key)}
LoadCredential=questdb.conf:{_specifiers(self.questdb_file)}

# Rows that QuestDB did not take wait here. No other unit may have the same directory: it belongs
# to this one's user.
StateDirectory={state}
StateDirectoryMode=0700

# Ordinary states, which leave the unit well:
#   3    some hosts failed: hostStatus says which and why, fleetSweep how many
#   4    QuestDB was not reached: the rows are kept, and a later run sends them
#   6    another run of the same name is under way
#   143  stopped by systemctl, or because the machine goes down
# What leaves it failed, for systemctl --failed and for OnFailure=, which a drop-in may set:
#   1    a bug in fleet
#   2    the command line, the inventory or the schema: every run fails until somebody mends it
#   5    every host failed: look at the key and the network of this machine first
#   7    rows were refused or dropped: figures are lost
#   130  interrupted
# systemd writes names of its own beside these numbers, NOTIMPLEMENTED for 3: they mean nothing.
# A drop-in with `SuccessExitStatus=`, which empties the list, and a new list changes what is well.
SuccessExitStatus=3 4 6 143

# A run ends by itself: after --deadline (240 s), publishing (10 s) and what waited from before
# (30 s). This is for one that does not; raise it with --deadline. SIGTERM ends a run in 2 s.
TimeoutStartSec=6min
TimeoutStopSec=10s
KillMode=mixed

# fleet bounds itself by --forks, and raises the soft limit as far as it needs: four files a visit
# at most, {FORKS_MAX} visits at most. A visit takes threads, which must not fail for their number.
LimitNOFILE=1024:{_HARD_LIMIT}
TasksMax=infinity

DynamicUser=yes
UMask=0077
CapabilityBoundingSet=
NoNewPrivileges=yes
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# Nodes and QuestDB over the Internet's families; AF_UNIX for resolvers and for a local Docker.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# A call that is not allowed fails; it does not kill a run.
SystemCallErrorNumber=EPERM
"""

    def timer(self) -> str:
        """The text of the timer."""
        return f"""\
[Unit]
Description=Every {self.interval}: Docker figures of the fleet, into QuestDB ({self.name})

[Timer]
# By local time, systemd leaves out a whole hour when summer time ends.
OnCalendar={self.interval.calendar}
# A run that was missed while the machine was off is made up for, once, when it is back.
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""

    def crontab(self) -> str | None:
        """One line for `crontab -e`; None for an interval that cron does not have."""
        fields = self.interval.cron
        if fields is None:
            return None
        job = [] if self.name == "fleet" else ["--name", self.name]
        files = {
            "-i": self.inventory,
            "--private-key": self.private_key,
            "--known-hosts": self.known_hosts,
            "--questdb-file": self.questdb_file,
        }
        words = [word for option_and_file in files.items() for word in option_and_file]
        command = shlex.join([self.program, "collect", *words, *job])
        return f"{fields}  {command}".replace("%", "\\%")  # cron ends a command at a bare one

    def printed(self) -> str:
        """Both units under the paths where they go, then what is done with them, as comments."""
        service, timer = (f"{FOLDER}/{self.unit}.{kind}" for kind in ("service", "timer"))
        return f"""\
# {service}
{self.service()}
# {timer}
{self.timer()}
# Then, as root:
#   systemctl daemon-reload
#   systemctl enable --now {self.unit}.timer
#
# Or, without systemd, one line for crontab -e:
# {self.crontab() or f"cron counts minutes: it has no line for every {self.interval}."}
"""


def _check_path(what: str, path: str) -> None:
    """A path that is absolute, and that every syntax here can hold."""
    if not path.startswith("/"):
        raise UsageError(f"{what}: expected an absolute path, not {path!r}")
    if re.search(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|\s$", path):
        raise UsageError(
            f"{what}: {path!r} cannot stand in a unit: no backslash, no control character, "
            "no space at the end"
        )


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(path: str) -> str:
    """One word of systemd's command line; plain as long as it may be."""
    if re.fullmatch(r"[A-Za-z0-9_./+,:@=-]+", path):
        return path
    return '"' + _specifiers(path).replace('"', '\\"') + '"'


def _quoted_argument(path: str) -> str:
    """One word after the first, where systemd looks for variables as well."""
    return _quoted(path).replace("$", "$$")
