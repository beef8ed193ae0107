"""Patterns → their terms; `@file` is read here."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence

from fleet.errors import UsageError
from fleet.inventory.address import split_port

SIGNS = "!&"

_MAX_CHARACTERS = 4 * 1024 * 1024

_BETWEEN_COLONS = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_PORTS = (re.compile(r"\[(.+)\]:[0-9]+"), re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):[0-9]+"))
_HEX_RANGE = re.compile(r"(?<![^:.])\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\](?![^:.])", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{1,4}", re.IGNORECASE)
_IPV6 = re.compile(r"h(?::h){7}|(?:h:){1,6}:|(?:h:)+(?::h)+|:(?::h){1,6}|::")
_IPV4_WITHIN = re.compile(r"(?:::(?:ffff:)?|(?:0:){6}|(?:0:){5}ffff:)h\.h\.h\.h", re.IGNORECASE)


def gathered(patterns: Iterable[str], warn: Callable[[str], None]) -> list[str]:
    """The terms of all patterns, each pattern split by its own commas or colons."""
    found: list[str] = []
    for pattern in patterns:
        for term in split(pattern):
            if term[0] == "@":
                found += _lines_of(term, warn)
            elif term[0] in SIGNS and term[1:2] == "@":
                raise UsageError(
                    f"{term!r}: a file of patterns has no sign; write the signs into the file, "
                    "one before each line"
                )
            else:
                found.append(term)
    return found


def split(pattern: str) -> list[str]:
    """The terms of one pattern, as they stand in it."""
    if "," in pattern:
        parts: Sequence[str] = pattern.split(",")
    elif _is_address(pattern):
        parts = (pattern,)  # 2001:db8::1, name:22, web[0:5]: Ansible leaves these whole
    else:
        parts = _BETWEEN_COLONS.findall(pattern)
    return [stripped for part in parts if (stripped := part.strip())]


def _is_address(text: str) -> bool:
    """Whether Ansible sees one address here, with ranges and a port perhaps."""
    text = text.removesuffix("\n")
    for with_port in _PORTS:
        if found := with_port.fullmatch(text):
            text = found[1]
    if ":" not in _BRACKETS.sub("", text):
        return split_port(text) is not None
    text = _HEX_RANGE.sub("0", text)
    shape = _HEX.sub("h", text)
    if _IPV6.fullmatch(shape):
        return shape.count("h") <= 7 or "::" not in shape
    before, colon, dotted = text.rpartition(":")
    return _IPV4_WITHIN.fullmatch(before + colon + _HEX.sub("h", dotted)) is not None


def _lines_of(term: str, warn: Callable[[str], None]) -> list[str]:
    """The terms in a file: a whole line is one, be there commas or colons in it or not.

    Lines that begin with `#` are passed over; nothing of ours or Ansible's is named so.
    """
    lines = [line.strip() for line in _read(term).split("\n")]
    terms = [line for line in lines if line and line[0] != "#"]
    if not terms:
        warn(f"{term!r}: the file names no host, so it means all of them")
    return terms


def _read(term: str) -> str:
    """The text of the file that a term names; UsageError where it cannot be read as one."""
    path = os.path.expanduser(term[1:])
    if not path:
        raise UsageError("'@': expected the name of a file of patterns after it")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{term!r}: expected a file of patterns, and {path} is no file")
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except OSError as error:
        raise UsageError(f"{term!r}: {path}: {error.strerror or error}") from None
    except ValueError as error:  # UnicodeDecodeError; a name with a NUL in it
        raise UsageError(f"{term!r}: {path!r} is no text in UTF-8: {error}") from None
    if len(text) > _MAX_CHARACTERS:
        raise UsageError(f"{term!r}: {path} is larger than 4 MiB, too much for a file of patterns")
    return text
