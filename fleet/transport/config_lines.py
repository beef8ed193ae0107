"""Files of ssh_config(5) → the lines that paramiko is given: included files in their place, no
comments, and every line that cannot be read an error that names its place.
"""

import glob
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import paramiko

from fleet.errors import UsageError

_JUDGED = ("all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec")
KEPT_APART = "fleet"
"""Before keywords that paramiko would act on, in ways of its own."""
_COMMANDS = ("proxycommand", "localcommand", "remotecommand", "knownhostscommand")
_RAW = ("proxycommand", "userknownhostsfile")
NOT_JUDGED = ("command", "localnetwork", "sessiontype", "tagged", "version")
_EQUALS = re.compile(rf"(?i)(^|\s)(!?(?:{'|'.join((*_JUDGED, *NOT_JUDGED))}))=")
_LINE = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.+)")
_MAX_INCLUDES = 16  # as deep as OpenSSH goes


def lines_of(file: str, depth: int = 0) -> Iterator[str]:
    """The lines of a file that say something, with what they include in their place.

    Raises `UsageError` with the place of one that cannot be read.
    """
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    block = "Host *"
    yield block  # a file begins for every host, also after another one
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        place = f"{file}:{number}"
        found = _LINE.fullmatch(line)
        if found is None:
            raise UsageError(f"{place}: {line!r} is no line of ssh_config(5): KEYWORD VALUE")
        keyword = found[1].lower()
        value = found[2] if keyword in _COMMANDS else _without_comment(found[2], place)
        if keyword == "include":
            yield from _included(value, file, place, block, depth)
            yield block
            continue
        if keyword in ("host", "match"):
            if keyword == "match":
                value = _EQUALS.sub(r"\1\2 ", value)
            block = f"{keyword} {value}"
            _check_block(block, place)
            yield block
        elif keyword in _RAW:  # whose quotes paramiko would take for those of the whole
            yield f'{keyword} "{value}"'
        else:
            yield f"{KEPT_APART if keyword.startswith('canonical') else ''}{keyword} {value}"


def _without_comment(value: str, place: str) -> str:
    """A value up to the comment that OpenSSH would see in it: a `#` that begins a word."""
    quote, before = "", " "
    for number, char in enumerate(value):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and before.isspace():
            return value[:number].rstrip()
        before = char
    if quote:
        raise UsageError(f"{place}: a quote in {value!r} has no end")
    return value


def _included(names: str, file: str, place: str, block: str, depth: int) -> Iterator[str]:
    if depth >= _MAX_INCLUDES:
        raise UsageError(f"{place}: Include goes more than {_MAX_INCLUDES} files deep")
    beside = "/etc/ssh" if file.startswith("/etc/ssh/") else os.path.expanduser("~/.ssh")
    for name in shlex.split(names):
        path = os.path.join(beside, os.path.expanduser(name))
        for one in sorted(glob.glob(path)):
            lines = list(lines_of(one, depth + 1))[1:]
            inner = any(re.match("(?i)(host|match)[ =]", line) for line in lines)
            if block != "Host *" and inner:
                raise UsageError(
                    f"{place}: Include inside a Host or Match block, of a file with blocks of its "
                    "own, cannot be followed: move the Include to the top of the file"
                )
            yield block
            yield from lines


def _check_block(line: str, place: str) -> None:
    config = paramiko.SSHConfig()
    try:
        config.parse([line])
    except (paramiko.SSHException, ValueError) as error:
        raise UsageError(f"{place}: {error}") from None
    for block in config._config:  # type: ignore[attr-defined]  # not public
        for criterion in block.get("matches", ()):
            # paramiko lets one that it does not know pass.
            if criterion["type"].lower() not in (*_JUDGED, *NOT_JUDGED):
                raise UsageError(
                    f"{place}: Match {criterion['type']}: expected one of {', '.join(_JUDGED)}"
                )
