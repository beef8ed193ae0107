"""What `ansible_become` needs on a node: the one line of sudoers that lets the probe through. Pure.

sudo compares all the arguments of a command, joined by blanks, with one pattern, in which `*`
matches blanks too. A rule with a `*` before `docker` would so allow any program at all; ours has
fixed words and three digits there. What follows is fixed as well, but for two things:

- the format of `docker ps`, which chooses what is listed of the containers, and runs nothing;
- the containers that `docker inspect` is asked for. A pattern does not see where an argument ends:
  with a `*` after `--format FORMAT -- ` the one argument `FORMAT -- {{json .Config.Env}}` would be
  allowed too, another format, which shows environments. The last rule therefore takes back what has
  any sign there but hex digits and blanks, for of these no template can be made. (Cut at an earlier
  blank, the format is none: each of its blanks is inside of braces.)

Of the signs that a format may hold, sudoers(5) reads `, : = #`, and fnmatch(3) `[ ] * ?` and `!`;
before these stands a backslash. Quotes, braces and round brackets mean nothing there.
"""

import re
import shlex

from fleet.inventory import Host
from fleet.sources.state import INSPECT_FORMAT, VERSION_FORMAT

TIMEOUT = "/usr/bin/timeout"
DOCKER = "/usr/bin/docker"
KNOWN_PLACES = (DOCKER, "/usr/local/bin/docker", "/snap/bin/docker")
"""Where a CLI may be for what a node says of it to get into a rule, which others may copy."""

SUDO_WORDS = 120
"""Characters of sudo's own words in a detail: the way out must fit in whole beside them."""

REFUSED = re.compile(
    r"password is required|terminal is required|must have a tty|is not in the sudoers file"
    r"|not allowed to (?:execute|run)|may not run sudo|sudo: (?:command )?not found",
    re.IGNORECASE,
)
"""What sudo says where it does not let a command through, or is not there at all."""
_NO_SUDO = re.compile(r"sudo: (?:command )?not found", re.IGNORECASE)

_SOMEBODY = "USER"
_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_ALIAS = re.compile(r"[A-Z][A-Z0-9_]*")
_READ_IN_PATTERN = re.compile(r"[\\,:=#*?\[\]!]")
_PLAIN_IN_USER = re.compile(r"[A-Za-z0-9_.-]")


def sudoers_line(host: Host, user: str | None = None, docker: str | None = None) -> str:
    """The line for a host: its user may run the probe's commands of docker as root, and nothing
    else. It is at most one line, for a file in /etc/sudoers.d.

    `user` and `docker` (the path of the CLI) stand in for what the inventory leaves open.
    """
    path = next((p for p in (host.runtime_path, docker) if p and is_plain_path(p)), DOCKER)
    within = f"{TIMEOUT} -k 2 [0-9][0-9][0-9] {path}"
    commands = (
        f"{within} ps --no-trunc --format *",
        f"{within} stats --no-stream --no-trunc --format {{{{json .}}}}",
        f"{within} version --format {_literal(VERSION_FORMAT)}",
        f"{within} inspect --type container --format {_literal(INSPECT_FORMAT)} -- *",
        f"!{within} inspect * -- *[!0-9a-f ]*",
    )
    name = _escaped(host.user or user or _SOMEBODY)
    return f"{name} ALL=(root) NOPASSWD: {', '.join(commands)}"


def way_to_line(host: str, docker: str | None = None) -> str:
    """The command that prints the line for a host; `docker` is the path of the CLI there."""
    place = f" --docker {docker}" if docker and docker != DOCKER and is_plain_path(docker) else ""
    return f"fleet authorize --format sudoers{place} {shlex.quote(host)}"


def refusal(said: str, host: Host, tool: tuple[str, ...], user: str | None = None) -> str:
    """The detail of a refusal by sudo: its words, and how to get what its sudoers lacks. `tool` is
    what the node says of the place of its CLI, `user` who logged in. Where there is no sudo, no
    line helps.
    """
    if _NO_SUDO.search(said):
        return said
    words = said if len(said) <= SUDO_WORDS else f"{said[: SUDO_WORDS - 1]}…"
    if "must have a tty" in said:  # an old default of the Red Hat family
        name = _escaped(host.user or user or _SOMEBODY)
        return f"{words}; /etc/sudoers.d/fleet there needs: Defaults:{name} !requiretty"
    docker = next((path for path in tool if path in KNOWN_PLACES), None)
    way = way_to_line(host.name, docker)
    return f"{words}; /etc/sudoers.d/fleet there needs what this prints: {way}"


def is_plain_path(path: str) -> bool:
    """Whether a path can stand in a rule as it is, and means one file: absolute, without `..`."""
    return len(path) <= 100 and _PLAIN_PATH.fullmatch(path) is not None


def _literal(text: str) -> str:
    """A pattern that this text alone matches."""
    return _READ_IN_PATTERN.sub(r"\\\g<0>", text)


def _escaped(user: str) -> str:
    """A user's name as sudoers reads it: what is special there, or might be, behind backslashes."""
    name = user if user.isprintable() and user != "ALL" else _SOMEBODY
    first = "\\" if _ALIAS.fullmatch(name) and name != _SOMEBODY else ""  # or an alias is meant
    return first + "".join(char if _PLAIN_IN_USER.fullmatch(char) else f"\\{char}" for char in name)
