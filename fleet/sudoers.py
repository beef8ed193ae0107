"""What `ansible_become` needs on a node: the one line of sudoers that lets the probe through. Pure.

sudo compares all the arguments of a command, joined by blanks, with one pattern, in which `*`
matches blanks too. A rule with a `*` before `docker` would so allow any program at all; ours has
fixed words and three digits there. The only `*` stands where nothing but arguments of `docker ps`
can follow: they choose what is listed of the containers, and run nothing.
"""

import re

from fleet.inventory import Host

TIMEOUT = "/usr/bin/timeout"
DOCKER = "/usr/bin/docker"
KNOWN_PLACES = (DOCKER, "/usr/local/bin/docker", "/snap/bin/docker")
"""Where a CLI may be for what a node says of it to get into a rule, which others may copy."""

SUDO_WORDS = 160
"""Characters of sudo's own words in a detail: the line must fit in whole beside them."""

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
_PLAIN_IN_USER = re.compile(r"[A-Za-z0-9_.-]")


def sudoers_line(host: Host, user: str | None = None, docker: str | None = None) -> str:
    """The line for a host: its user may run `docker ps` and `docker stats` as root, as the probe
    does, and nothing else. It is at most one line, for a file in /etc/sudoers.d.

    `user` and `docker` (the path of the CLI) stand in for what the inventory leaves open.
    """
    path = next((p for p in (host.runtime_path, docker) if p and is_plain_path(p)), DOCKER)
    within = f"{TIMEOUT} -k 2 [0-9][0-9][0-9] {path}"
    return (
        f"{_escaped(host.user or user or _SOMEBODY)} ALL=(root) NOPASSWD: "
        f"{within} ps --no-trunc --format *, "
        f"{within} stats --no-stream --no-trunc --format {{{{json .}}}}"
    )


def refusal(said: str, host: Host, tool: tuple[str, ...], user: str | None = None) -> str:
    """The detail of a refusal by sudo: its words, and the line that its sudoers lacks. `tool` is
    what the node says of the place of its CLI, `user` who logged in. Where there is no sudo, no
    line helps.
    """
    if _NO_SUDO.search(said):
        return said
    words = said if len(said) <= SUDO_WORDS else f"{said[: SUDO_WORDS - 1]}…"
    docker = next((path for path in tool if path in KNOWN_PLACES), None)
    line = sudoers_line(host, user, docker)
    if "must have a tty" in said:  # an old default of the Red Hat family
        line = f"Defaults:{line.partition(' ')[0]} !requiretty"
    return f"{words}; /etc/sudoers.d/fleet there needs: {line}"


def is_plain_path(path: str) -> bool:
    """Whether a path can stand in a rule as it is, and means one file: absolute, without `..`."""
    return len(path) <= 100 and _PLAIN_PATH.fullmatch(path) is not None


def _escaped(user: str) -> str:
    """A user's name as sudoers reads it: what is special there, or might be, behind backslashes."""
    name = user if user.isprintable() and user != "ALL" else _SOMEBODY
    first = "\\" if _ALIAS.fullmatch(name) and name != _SOMEBODY else ""  # or an alias is meant
    return first + "".join(char if _PLAIN_IN_USER.fullmatch(char) else f"\\{char}" for char in name)
