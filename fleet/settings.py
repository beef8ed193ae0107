"""Flags over environment over defaults → one frozen `Settings`, every value checked once."""

import os
import re
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from fleet.errors import UsageError
from fleet.questdb_conf import QuestDB, questdb_from
from fleet.state import default_folder
from fleet.tables import TableNames

INVENTORY_VARIABLE = "FLEET_INVENTORY"
KEY_VARIABLE = "FLEET_SSH_KEY_FILE"

FORKS_MAX = 10_000
FILES_PER_VISIT = 4
"""Open files of one visit: its connection and one more attempt at it, or the three pipes of a
local or a proxy command and what its start takes for a moment."""
FILES_BESIDES = 64
"""Open files of everything else: standard streams, QuestDB, the resolver, files being read."""

ALL_FILES = 2**30

TABLE_NAME_MAX_BYTES = 127
_TABLE_NAME_FORBIDDEN = re.compile(r"[?,'\"\\/:)(+*%~\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")


@dataclass(frozen=True, slots=True)
class MaxFailed:
    """How many failed hosts still count as well: a number, or a share of all in percent."""

    count: int = 0
    percent: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`N` or `N%`."""
        match = re.fullmatch(r"([0-9]{1,9})(%?)", text.strip())
        if match is None or (match[2] and int(match[1]) > 100):
            raise UsageError(f"--max-failed: expected N or N% (0% to 100%), not {text!r}")
        return cls(percent=int(match[1])) if match[2] else cls(int(match[1]))

    def allows(self, failed: int, total: int) -> bool:
        """Whether so many failures of so many hosts are still well."""
        if self.percent is None:
            return failed <= self.count
        return failed * 100 <= self.percent * total

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent}%"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command was told, whole and checked; raises `UsageError` for what cannot be used.

    `verbosity` is -1 with `-q`, 0, or 1 with `-v`. `state_dir` is empty where there is no place for
    one. `publish_timeout_s` is for the run's own rows, `drain_s` for those that waited.
    """

    inventory: tuple[str, ...] = ("inventory.yaml",)
    patterns: tuple[str, ...] = ()
    limit: str | None = None
    forks: int = 200
    connect_timeout_s: float = 10.0
    connect_timeout_said: bool = False
    timeout_s: float = 30.0
    deadline_s: float = 240.0
    max_failed: MaxFailed = MaxFailed()
    name: str = "fleet"
    wait_lock_s: float = 0.0
    state_dir: str = ""
    publish_timeout_s: float = 10.0
    drain_s: float = 30.0
    spool_max_age_s: float = 7 * 86_400.0
    spool_max_bytes: int = 2**30
    private_key: str | None = None
    known_hosts: str | None = None
    ssh_config: str | None = None
    source: str | None = None
    failed: bool = False
    many_labels: bool = False
    questdb: QuestDB = field(default_factory=QuestDB)
    tables: TableNames = field(default_factory=TableNames)
    verbosity: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.forks <= FORKS_MAX:
            raise UsageError(f"--forks: expected 1 to {FORKS_MAX}, not {self.forks}")
        _check_seconds("--connect-timeout", self.connect_timeout_s, 0.1, 999)
        _check_seconds("--timeout", self.timeout_s, 1, 999)
        _check_seconds("--deadline", self.deadline_s, 1, 86_400)
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.name):
            raise UsageError(
                f"--name: expected 1 to 64 letters, digits, '_', '.' or '-', not {self.name!r}"
            )
        if self.name.startswith("."):  # it names files
            raise UsageError(f"--name: {self.name!r} cannot begin with a '.'")
        _check_seconds("--wait-lock", self.wait_lock_s, 0, 86_400)
        _check_seconds("--publish-timeout", self.publish_timeout_s, 0, 86_400)
        _check_seconds("--drain-seconds", self.drain_s, 0, 86_400)
        _check_file("--private-key", self.private_key)
        _check_file("--known-hosts", self.known_hosts)
        _check_tables(self.tables)

    @property
    def verbose(self) -> bool:
        """Whether a summary is wanted also when all is well."""
        return self.verbosity > 0

    @property
    def quiet(self) -> bool:
        """Whether neither summary nor progress is wanted."""
        return self.verbosity < 0


def forks_carried(wanted: int) -> int:
    """As many visits at a time as open files allow, at most `wanted`.

    A run needs `FILES_PER_VISIT * forks + FILES_BESIDES` files. The soft limit is raised to that
    where the hard limit lets it (no further: `select` counts files up to 1024); what it does not
    carry then is cut from the forks: 1024 files carry 240, 256 carry 48.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (ALL_FILES if limit == resource.RLIM_INFINITY else limit for limit in limits)
    needed = FILES_PER_VISIT * wanted + FILES_BESIDES
    if soft < needed and soft < hard:
        with suppress(OSError, ValueError):  # a sandbox may forbid it: then soft is what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), limits[1]))
            soft = min(needed, hard)
    return min(wanted, max(1, (soft - FILES_BESIDES) // FILES_PER_VISIT))


def settings_from(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    questdb: bool = True,
    carried: Callable[[int], int] = forks_carried,
) -> Settings:
    """The command line's flags, by the names of their options; None, or missing, is *not given*.

    What is not given comes from the environment, then from the defaults. A command that does not
    talk to QuestDB says so, and is not hindered by a configuration that cannot be used. `forks`
    is cut to what the limit of open files carries.
    """
    plain = Settings()

    def given(name: str, default: Any) -> Any:
        value = flags.get(name)
        return default if value is None else value

    def path(name: str, variable: str = "") -> str | None:
        text = given(name, environ.get(variable))
        return os.path.expanduser(text) if text else None

    inventory = _inventories(flags.get("inventory"), environ) or plain.inventory
    database = plain.questdb
    if questdb:
        database = questdb_from(flags.get("questdb"), flags.get("questdb_file"), environ)
    if flags.get("state_dir") == "":
        raise UsageError("--state-dir: expected a folder, not an empty name")
    settings = Settings(
        inventory=inventory,
        patterns=tuple(given("patterns", ())),
        limit=given("limit", None),
        forks=given("forks", plain.forks),
        connect_timeout_s=given("connect_timeout", plain.connect_timeout_s),
        connect_timeout_said=flags.get("connect_timeout") is not None,
        timeout_s=given("timeout", plain.timeout_s),
        deadline_s=given("deadline", plain.deadline_s),
        max_failed=MaxFailed.parse(given("max_failed", "0")),
        name=given("name", plain.name),
        private_key=path("private_key", KEY_VARIABLE),
        known_hosts=path("known_hosts"),
        ssh_config=_ssh_config(flags.get("ssh_config")),
        source=given("source", None),
        failed=bool(given("failed", False)),
        many_labels=bool(given("many_labels", False)),
        wait_lock_s=given("wait_lock", plain.wait_lock_s),
        state_dir=path("state_dir") or default_folder(environ),
        publish_timeout_s=given("publish_timeout", database.retry_timeout_ms / 1000),
        drain_s=given("drain_seconds", plain.drain_s),
        spool_max_age_s=_duration("--spool-max-age", given("spool_max_age", "7d")),
        spool_max_bytes=_size("--spool-max-bytes", given("spool_max_bytes", "1GiB")),
        questdb=database,
        tables=TableNames(
            given("table", plain.tables.containers),
            given("status_table", plain.tables.hosts),
            given("sweep_table", plain.tables.sweeps),
            given("state_table", plain.tables.states),
            given("node_table", plain.tables.nodes),
            given("disk_table", plain.tables.disks),
        ),
        verbosity=int(given("verbose", 0)) - int(given("quiet", 0)),
    )
    return replace(settings, forks=carried(settings.forks))


def _inventories(flags: Sequence[str] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The inventories that are named: by flags, else by the environment, with commas as Ansible's
    ANSIBLE_INVENTORY has them.
    """
    if flags:
        if "" in flags:
            raise UsageError("-i: expected a file or a folder, not an empty name")
        if list(flags).count("-") > 1:
            raise UsageError("-i: standard input (-) can be read once only")
        return tuple(os.path.expanduser(file) for file in flags)
    named = environ.get(INVENTORY_VARIABLE, "").split(",")
    return tuple(os.path.expanduser(file.strip()) for file in named if file.strip())


def _ssh_config(flag: str | None) -> str | None:
    """The file named by --ssh-config, or `none`."""
    if flag is None or flag == "none":
        return flag
    file = os.path.expanduser(flag)
    _check_file("--ssh-config", file)
    return file


def _check_seconds(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(f"{option}: expected {least:g} to {most:g} seconds, not {value:g}")


_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_UNITS_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)
}


def _duration(option: str, text: str) -> float:
    """Seconds of `7d`, `12h`, `30min`, `90s`; a minute at the least."""
    seconds = _measured(text, _UNITS_S)
    if seconds is None or not 60 <= seconds <= 3650 * 86_400:
        raise UsageError(
            f"{option}: expected a time from 1min to 3650d, as 7d or 12h, not {text!r}"
        )
    return float(seconds)


def _size(option: str, text: str) -> int:
    """Bytes of `1GiB`, `500MB`, `1048576`; a MiB at the least."""
    size = _measured(text, {**_UNITS_BYTES, "": 1})
    if size is None or size < 2**20:
        raise UsageError(
            f"{option}: expected a size of 1MiB or more, as 500MB or 1GiB, not {text!r}"
        )
    return size


def _measured(text: str, units: Mapping[str, int]) -> int | None:
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*)", text.strip())
    if match is None or match[2] not in units:
        return None
    return int(match[1]) * units[match[2]]


def _check_file(option: str, path: str | None) -> None:
    if path is None:
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(f"{option}: {path}: {error.strerror}") from None


def _check_tables(names: TableNames) -> None:
    """QuestDB's rules, and the client's, which counts bytes."""
    named = {
        "--table": names.containers,
        "--status-table": names.hosts,
        "--sweep-table": names.sweeps,
        "--state-table": names.states,
        "--node-table": names.nodes,
        "--disk-table": names.disks,
    }
    for option, name in named.items():
        reason = _why_no_table(name)
        if reason is not None:
            raise UsageError(f"{option}: {name!r} cannot be the name of a table: {reason}")
    if len({name.lower() for name in named.values()}) < len(named):
        raise UsageError(
            f"{', '.join(named)}: each needs a name of its own, in any case of letters"
        )


def _why_no_table(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name.encode(errors="replace")) > TABLE_NAME_MAX_BYTES:
        return f"it is longer than {TABLE_NAME_MAX_BYTES} bytes"
    forbidden = _TABLE_NAME_FORBIDDEN.search(name)
    if forbidden is not None:
        return f"it holds {forbidden[0]!r}"
    if name.startswith((" ", ".")) or name.endswith((" ", ".")) or ".." in name:
        return "dots and spaces stand inside, and dots alone"
    if name.lower().startswith(("sys.", "telemetry")):
        return "QuestDB keeps such names for itself"
    return None
