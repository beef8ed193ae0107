"""What a node must hold so that the central host may do its work there, and no more. Pure.

`Grant` is what hosts have in common that get the same lines: user, key, sudo. `printed` shows the
grants of a fleet in one of `FORMS`; every line of it that is no comment can be installed as it is.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet import probe
from fleet.errors import UsageError
from fleet.inventory import Host
from fleet.report import folded
from fleet.sudoers import sudoers_line

FORMS = ("all", "authorized_keys", "sudoers", "cloud-init")
SUDOERS_FILE = "/etc/sudoers.d/fleet"

MAX_LINE_BYTES = 16_000
"""A bastion's line that would be longer names no places, and opens any. OpenSSH before 7.8 reads
16,383 bytes of a line; before 7.2, where it was half of that, it knows no `restrict` either.
"""

_ADDRESS = re.compile(r"[A-Za-z0-9.:_-]+")
_SOURCE = re.compile(r"!?[A-Za-z0-9.:*?_/-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """How a host is entered: by which user, with which public key (None: not by SSH at all).

    `opens` are the places (`ADDRESS:PORT`) that are reached through it, where it is a bastion.
    """

    host: Host
    user: str
    key: str | None
    opens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """What the hosts of one kind get: the line of authorized_keys and that of sudoers, or None
    where they need none. `unfollowed` are hosts with a `fleet_runtime_path`; `opens` is how many
    places are reached through each of them.
    """

    hosts: tuple[str, ...]
    user: str
    key_line: str | None
    sudoers: str | None
    unfollowed: tuple[str, ...]
    opens: int = 0

    @property
    def names(self) -> str:
        """The hosts in one string, safe in a comment."""
        return _one_line(folded(self.hosts))

    @property
    def opens_any(self) -> bool:
        """Whether its line lets the key connect anywhere: too many places to be named."""
        options = (self.key_line or "").partition(',command="')[0]
        return self.opens > 0 and "permitopen=" not in options


def grants(
    logins: Iterable[Login], sources: str | None = None, docker: str | None = None
) -> tuple[Grant, ...]:
    """The grants of a fleet, in the order of their first hosts.

    `sources` are the addresses that the key may come from, `docker` is the path of the CLI where
    the inventory names none.
    """
    found: dict[tuple[str, str | None, str | None, int], list[Host]] = {}
    for login in logins:
        host = login.host
        key = None if login.key is None else key_line(login.key, sources, login.opens)
        sudoers = sudoers_line(host, login.user, docker) if host.become else None
        found.setdefault((login.user, key, sudoers, len(login.opens)), []).append(host)
    return tuple(
        Grant(
            tuple(host.name for host in hosts),
            user,
            key,
            sudoers,
            tuple(host.name for host in hosts if host.runtime_path and key),
            opens,
        )
        for (user, key, sudoers, opens), hosts in found.items()
    )


def key_line(key: str, sources: str | None = None, opens: Sequence[str] = ()) -> str:
    """The line of authorized_keys with which a public key may run the probe and nothing else; on a
    bastion, connect to the places that are reached through it as well.
    """
    options = ["restrict"]
    if sources:
        options.append(f'from="{sources}"')
    if opens:
        # Forwarding goes in both directions, and `none` cannot be said: a port that is root's.
        options += ["port-forwarding", 'permitlisten="localhost:1"']
    places = [f'permitopen="{place}"' for place in opens]
    command = 'command="{}"'.format(probe.COMMAND.replace('"', '\\"'))
    line = f"{','.join([*options, *places, command])} {key}"
    if places and len(line.encode()) > MAX_LINE_BYTES:
        return f"{','.join([*options, command])} {key}"
    return line


def place_of(address: str, port: int) -> str | None:
    """`ADDRESS:PORT` as permitopen= has it; None for an address that could not stand there."""
    if not _ADDRESS.fullmatch(address):
        return None
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sources_of(texts: Sequence[str]) -> str | None:
    """What `--from` names: addresses, networks, patterns of names → one list as sshd reads it."""
    words = [word.strip() for text in texts for word in text.split(",")]
    for word in words:
        if not _SOURCE.fullmatch(word):
            raise UsageError(
                f"--from: expected an address, a network as 10.0.0.0/24, or a name, each may have "
                f"* and ?, with commas between them, not {word!r}"
            )
        if "/" in word:
            _check_network(word)
    if words and all(word.startswith("!") for word in words):
        raise UsageError("--from: only exclusions: no address would be let in")
    return ",".join(words) or None


def _check_network(word: str) -> None:
    """With a network that it cannot read, sshd would let nobody in by that key."""
    if not word.rpartition("/")[2].isdecimal():
        raise UsageError(f"--from: expected the bits of a network after '/', not {word!r}")
    try:
        ipaddress.ip_network(word.removeprefix("!"))
    except ValueError as error:
        raise UsageError(f"--from: {error}") from None


def printed(found: Sequence[Grant], form: str) -> str:
    """The grants as text."""
    if form == "cloud-init":
        return "---\n".join(_cloud_init(grant) for grant in found)
    parts = {"authorized_keys": (_keys,), "sudoers": (_sudoers,)}.get(
        form, (_keys, _sudoers, _user_data)
    )
    return "\n".join(part(grant) for grant in found for part in parts)


def _keys(grant: Grant) -> str:
    if grant.key_line is None:
        return f"# {grant.names}: read without SSH, so without a key\n"
    user = _one_line(grant.user)
    place = f"# {grant.names}: ~{user}/.ssh/authorized_keys, instead of this key's line there\n"
    return f"{place}{_warning(grant)}{_bastion(grant)}{grant.key_line}\n"


def _bastion(grant: Grant) -> str:
    if not grant.opens:
        return ""
    places = "the one place" if grant.opens == 1 else f"the {grant.opens} places"
    if grant.opens_any:
        return (
            f"# WARNING: {grant.names}: a bastion, with {places} reached through it, too many to "
            "be named: the line lets the key connect to any place\n"
        )
    return f"# {grant.names}: a bastion: permitopen names {places} reached through it\n"


def _warning(grant: Grant) -> str:
    """A forced command looks for docker itself: a host must not name it."""
    if not grant.unfollowed:
        return ""
    names = _one_line(folded(grant.unfollowed))
    return (
        f"# WARNING: {names}: fleet_runtime_path cannot be followed by a forced command; as long "
        "as it is set, visits are bad_config (phase probe)\n"
    )


def _sudoers(grant: Grant) -> str:
    if grant.sudoers is None:
        return (
            f"# {grant.names}: no sudoers (no ansible_become): {_one_line(grant.user)} must be in "
            "the group docker\n"
        )
    return (
        f"# {grant.names}: {SUDOERS_FILE}, mode 0440, checked by visudo -cf {SUDOERS_FILE}\n"
        f"{_ABOUT_SUDOERS}{grant.sudoers}\n"
    )


_ABOUT_SUDOERS = """\
# As root: docker's ps, stats, version, and inspect of named fields (no environment, no label but
# Compose's project), each under timeout(1) of 000 to 999 seconds, no more.
# The path of docker must be the one that the probe finds (`command -v docker` there).
"""


def _user_data(grant: Grant) -> str:
    if grant.key_line is None:
        return ""
    return (
        f"# {grant.names}: the same for new machines, as user data of cloud-init; it begins with "
        f"the next line\n{_cloud_init(grant)}"
    )


def _cloud_init(grant: Grant) -> str:
    """The snippet that installs a grant on a new machine.

    `groups` counts only for a user whom cloud-init makes; `runcmd` puts one who exists into the
    group.
    """
    lines = [
        "#cloud-config",
        f"# {grant.names}",
        *(_warning(grant) + _bastion(grant)).splitlines(),
        "users:",
        "  - default",
        f"  - name: {_quoted(grant.user)}",
    ]
    if grant.sudoers is None:
        lines.append("    groups: [docker]")
    if grant.key_line is not None:
        lines += ["    ssh_authorized_keys:", "      - |-", f"        {grant.key_line}"]
    if grant.sudoers is None:
        user = _quoted(grant.user)
        lines += ["runcmd:", f"  - [usermod, --append, --groups, docker, {user}]"]
    else:
        lines += [
            "write_files:",
            f"  - path: {SUDOERS_FILE}",
            "    owner: root:root",
            "    permissions: '0440'",
            "    content: |",
            *(f"      {line}" for line in f"{_ABOUT_SUDOERS}{grant.sudoers}".splitlines()),
        ]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A string of YAML's, whatever it holds."""
    spelled = (
        f"\\{char}" if char in '"\\' else char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in text
    )
    return '"{}"'.format("".join(spelled))


def _one_line(text: str) -> str:
    """A text that cannot leave the comment that it stands in."""
    return "".join(char if char.isprintable() else "?" for char in text)
