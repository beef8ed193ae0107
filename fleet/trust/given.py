"""`--from FILE`: fingerprints and keys that came by another road than the network to the node.

Three kinds of text, told apart by what stands in them: the console output of a machine that
cloud-init set up (its blocks of host keys, among whatever else the console printed); known_hosts
lines; and fingerprints and public keys as ssh-keygen(1) prints them. Only known_hosts lines have
names: what has none holds for the one host that is targeted.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from fleet.errors import UsageError
from fleet.key_text import blob_of
from fleet.transport.host_keys import KnownHosts
from fleet.trust.keys import Key, family_of, fingerprint_of

_BLOCK = re.compile(r"-----(BEGIN|END) SSH HOST KEY (FINGERPRINTS|KEYS)-----")
_PRINT = re.compile(r"(SHA256:[A-Za-z0-9+/]{43})=?(?=\s|$)(.*)")
_COUNTED = re.compile(r"(?:^|\s)[0-9]{2,5} +(?=SHA256:|MD5:|(?:[0-9a-f]{2}:){15})")
_FAMILY = re.compile(r"\(([A-Z][A-Z0-9-]*)\)\s*$")
_MD5 = re.compile(r"(?:MD5:)?(?:[0-9a-f]{2}:){15}[0-9a-f]{2}(?=\s|$)")
_KIND = r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+"
_KEY = re.compile(rf"(?:^|\s)({_KIND}) +(AAAA[A-Za-z0-9+/]+={{0,2}})(?=\s|$)")
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and moves (ECMA-48)
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_MOST_WARNINGS = 5
_NO_MD5 = (
    "an MD5 fingerprint proves no key, for another key with the same one can be made: "
    "print SHA256 ones on the node with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
)
_EXPECTED = (
    "expected the console output of a machine with cloud-init's block BEGIN SSH HOST KEY "
    "FINGERPRINTS, known_hosts lines, or fingerprints as ssh-keygen -lf prints them"
)


@dataclass(frozen=True, slots=True)
class Print:
    """A fingerprint, the family of its key where that was said, and where it stands: FILE:LINE."""

    fingerprint: str
    family: str | None
    place: str


class Verdict(Enum):
    """What the files say of a key that a node shows."""

    MATCH = "match"
    MISMATCH = "mismatch"  # another key of its family, or nothing that the node shows
    SILENT = "silent"  # they name keys of other families only
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Vouch:
    """What the files say of one host."""

    prints: tuple[Print, ...] = ()
    revoked: frozenset[bytes] = frozenset()

    def verdict(self, key: Key, shown: Iterable[Key]) -> Verdict:
        """Judge one of the keys that a host shows."""
        if key.blob in self.revoked:
            return Verdict.REVOKED
        if self._has(key):
            return Verdict.MATCH
        if self.against(key) or not any(map(self._has, shown)):
            return Verdict.MISMATCH
        return Verdict.SILENT

    def against(self, key: Key) -> tuple[Print, ...]:
        """The fingerprints that stand there instead, for a key of the same family."""
        family = family_of(key.kind)
        return tuple(one for one in self.prints if one.family == family)

    def _has(self, key: Key) -> bool:
        return any(one.fingerprint == key.fingerprint for one in self.prints)


@dataclass(frozen=True, slots=True)
class Given:
    """All that the files say: fingerprints that name no host, and known_hosts lines.

    `nameless` is the first file with the former; `files` are their names, as they were given.
    `warnings` are lines that were passed over.
    """

    prints: tuple[Print, ...]
    named: KnownHosts
    files: tuple[str, ...] = ()
    nameless: str | None = None
    warnings: tuple[str, ...] = ()

    def of(self, names: Sequence[str]) -> Vouch | None:
        """What is said of a host that has these names, the first that is found; None: nothing."""
        for name in names:
            trust = self.named.trust_by(name)
            if trust.keys or trust.revoked:
                prints = tuple(
                    Print(fingerprint_of(blob), family_of(kind), trust.said_by.get(blob, ""))
                    for kind, blob in sorted(trust.keys)
                )
                return Vouch(self.prints + prints, trust.revoked)
        return Vouch(self.prints) if self.prints else None


def given_by(texts: Iterable[tuple[str, str]]) -> Given:
    """Names and texts of files → what they say together.

    Raises `UsageError`, with its place, for what cannot be used: a file that says nothing of any
    key, an MD5 fingerprint.
    """
    prints: list[Print] = []
    files: list[str] = []
    warnings: list[str] = []
    named, nameless = KnownHosts(), None
    for name, text in texts:
        files.append(name)
        console = _console_of(text)
        if console is not None:
            found = _console(name, console)
        else:
            found, lines = _plain(name, text, warnings)
            named.add(lines, name)
        if found and nameless is None:
            nameless = name
        prints += found
    return Given(tuple(prints), named, tuple(files), nameless, tuple(warnings))


def _console_of(text: str) -> str | None:
    """The console output that a text is, or holds as the answer of EC2's GetConsoleOutput."""
    if text.lstrip()[:1] == "{":
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("Output"), str):
            return str(answer["Output"])
    return text if _BLOCK.search(text) else None


def _console(name: str, text: str) -> list[Print]:
    """The fingerprints and keys of the machine's last boot that printed any."""
    found: list[Print] = []
    md5 = None
    for number, line in _last_boot(name, text):
        place = f"{name}:{number}"
        if counted := _COUNTED.search(line):  # users' keys, in cloud-init's tables, have no size
            said = line[counted.end() :]
            one = _print(said, place)
            md5 = md5 or (place if _MD5.match(said) else None)
        else:
            one = _key(line, place)
        if one is not None:
            found.append(one)
    if md5 and not found:
        raise UsageError(f"--from: {md5}: {_NO_MD5}")
    if not found:
        raise UsageError(
            f"--from: {name}: its last block of host keys is empty: "
            "fetch the console output anew, later"
        )
    return found


def _last_boot(name: str, text: str) -> list[tuple[int, str]]:
    """The numbered lines in the blocks that the last boot printed."""
    boot: list[tuple[int, str]] = []
    last = inside = ""
    for number, line in _lines(text):
        block = _BLOCK.search(line)
        if block is None:
            if inside:
                boot.append((number, line))
        elif block[1] == "END":
            inside = ""
        else:
            # A boot prints fingerprints, then keys: any other order is another boot's.
            if (last, block[2]) != ("FINGERPRINTS", "KEYS"):
                boot = []
            inside = last = block[2]
    if not last:
        raise UsageError(
            f"--from: {name}: the beginning of its block of host keys is missing: "
            "fetch the console output anew, or take an earlier one"
        )
    return boot


def _lines(text: str) -> Iterable[tuple[int, str]]:
    """The lines of a terminal's output with their numbers, without what only moves its cursor."""
    for number, line in enumerate(_ESCAPES.sub("", text).split("\n"), 1):
        for part in line.split("\r"):
            yield number, part


def _plain(name: str, text: str, warnings: list[str]) -> tuple[list[Print], list[str]]:
    """Fingerprints and nameless keys, and the known_hosts lines, each at its place."""
    prints: list[Print] = []
    named: list[str] = []
    unread: list[tuple[int, str]] = []
    text = text.removeprefix("\ufeff")
    for number, line in enumerate((line.strip() for line in text.split("\n")), 1):
        named.append("")
        if not line or line.startswith("#"):
            continue
        if _names_a_key(line):
            named[-1] = line
            continue
        counted = _COUNTED.match(line)
        said, place = line[counted.end() :] if counted else line, f"{name}:{number}"
        if one := _print(said, place) or _key(line, place, alone=True):
            prints.append(one)
        elif _MD5.match(said):
            raise UsageError(f"--from: {place}: {_NO_MD5}")
        else:
            unread.append((number, line))
    if not prints and not any(named):
        if unread:
            number, line = unread[0]
            raise UsageError(f"--from: {name}:{number}: {_EXPECTED}, not {line[:60]!r}")
        raise UsageError(f"--from: {name}: it is empty: {_EXPECTED}")
    for number, line in unread[:_MOST_WARNINGS]:
        warnings.append(f"--from: {name}:{number}: passed over, it is no key: {line[:60]!r}")
    if len(unread) > _MOST_WARNINGS:
        warnings.append(f"--from: {name}: {len(unread) - _MOST_WARNINGS} more lines are no keys")
    return prints, named


def _names_a_key(line: str) -> bool:
    """Whether this is a known_hosts line: names, type, key, perhaps after a marker."""
    fields = line.split()
    if fields[0].startswith("@"):
        fields.pop(0)
    return len(fields) > 2 and blob_of(fields[1], fields[2]) is not None


def _print(said: str, place: str) -> Print | None:
    match = _PRINT.match(said)
    if match is None:
        return None
    family = _FAMILY.search(match[2])
    return Print(match[1], family and family[1], place)


def _key(line: str, place: str, alone: bool = False) -> Print | None:
    """A whole public key in a line, or as all of it: type, key, comment."""
    match = _KEY.match(line) if alone else _KEY.search(line)
    blob = match and blob_of(match[1], match[2])
    if match is None or blob is None:
        return None
    return Print(fingerprint_of(blob), family_of(match[1]), place)
