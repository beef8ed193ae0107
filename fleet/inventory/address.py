"""Host keys of an inventory, `web[01:12].example.com:2222` → names and a port."""

import ipaddress
import itertools
import re
import string
from collections.abc import Sequence

MAX_NAMES_PER_KEY = 100_000

_RANGE = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]"
_LABEL = rf"(?:\w|{_RANGE})(?:[\w-]|{_RANGE})*(?<![_-])"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)  # IPv4 addresses among them
_HEX_RANGE = re.compile(r"\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\]", re.IGNORECASE)
_HOST_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_BRACKETED_PORT = re.compile(r"\[(.+)\]:([0-9]+)")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"[0-9]{1,18}")


class RangeError(ValueError):
    """A range in a host key that cannot be expanded, and why."""


def split_port(text: str) -> tuple[str, int | None] | None:
    """Ansible's reading of an address with an optional port; None where it sees no address."""
    port = None
    if found := _BRACKETED_PORT.fullmatch(text) or _HOST_PORT.fullmatch(text):
        text, port = found[1], int(found[2][:18])
    return (text, port) if _HOSTNAME.fullmatch(text) or _is_ipv6(text) else None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(_HEX_RANGE.sub("0", text))
    except ValueError:
        return False
    return "%" not in text


def expand(key: str) -> tuple[Sequence[str], int | None]:
    """The host names that a key of `hosts` means, and the port that it names.

    `[01:12]`, `[1:9:2]`, `[a:f]`, any number of them; the last one runs fastest.
    """
    if ":" not in key and "[" not in key and "]" not in key:
        return (key,), None
    name, port = split_port(key) or (key, None)
    if "[" not in name and "]" not in name:
        return (name,), port
    literals = _BRACKETS.split(name)[::2]
    if any("[" in part or "]" in part for part in literals):
        raise RangeError("a bracket has no partner")
    ranges = [_sequence(found[1]) for found in _BRACKETS.finditer(name)]
    count = 1
    for members, _ in ranges:
        count *= len(members)
        if count > MAX_NAMES_PER_KEY:
            raise RangeError(f"more than {MAX_NAMES_PER_KEY:,} hosts from one key")
    filled = [[str(member).zfill(width) for member in members] for members, width in ranges]
    return [
        literals[0] + "".join(map("".join, zip(chosen, literals[1:], strict=True)))
        for chosen in itertools.product(*filled)
    ], port


def _sequence(text: str) -> tuple[Sequence[int | str], int]:
    """The members of the range `begin:end[:step]`, and the width to which zeros fill them."""
    begin, end, step = _bounds(text)
    letters = string.ascii_letters
    if len(begin) == len(end) == 1 and begin in letters and end in letters:
        if letters.index(begin) > letters.index(end):
            raise RangeError(f"range [{text}] runs backwards")
        return letters[letters.index(begin) : letters.index(end) + 1 : step], 0
    if not _NUMBER.fullmatch(begin) or not _NUMBER.fullmatch(end):
        raise RangeError(f"range [{text}] goes neither from number to number nor letter to letter")
    width = len(begin) if len(begin) > 1 and begin[0] == "0" else 0
    if width and width != len(end):
        raise RangeError(f"range [{text}] starts with a zero, so both ends need as many digits")
    if int(begin) > int(end):
        raise RangeError(f"range [{text}] runs backwards")
    return range(int(begin), int(end) + 1, step), width


def _bounds(text: str) -> tuple[str, str, int]:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise RangeError(f"range [{text}] is not [begin:end] or [begin:end:step]")
    begin, end = parts[0] or "0", parts[1]
    if not end:
        raise RangeError(f"range [{text}] has no end")
    step = parts[2] if len(parts) == 3 else "1"
    if not _NUMBER.fullmatch(step) or int(step) == 0:
        raise RangeError(f"range [{text}] needs a step of 1 or more")
    return begin, end, int(step)
