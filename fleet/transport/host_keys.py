"""Which keys a host may show: known_hosts files and `fleet_host_key`. Text only, no I/O of SSH.

The format is sshd(8)'s, "SSH_KNOWN_HOSTS FILE FORMAT": names may be lists, globs, negated or
hashed; `[name]:port` where the port is not 22; `@revoked` and `@cert-authority` markers. It is
read line by line: paramiko's own reader gives a whole file up for one marker.
"""

import base64
import hmac
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from fleet.errors import UsageError
from fleet.key_text import KINDS

PINNED = "fleet_host_key"
_WITH_PORT = re.compile(r"\[(.+)\]:[0-9]+")

_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""A key's type → what it is negotiated as, where that differs."""


USERS_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEMS_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


def lookup_name(address: str, port: int) -> str:
    """Under which name a host stands in known_hosts."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


class Match(Enum):
    """What is to be said of a key that a node has shown."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of one host: public keys (type, bytes) and fingerprints (`SHA256:…`).

    Keys in `also` may be shown, and another one is no change: those of the name without a port.
    """

    keys: frozenset[tuple[str, bytes]] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    revoked: frozenset[bytes] = frozenset()
    authorities: bool = False
    also: frozenset[tuple[str, bytes]] = frozenset()
    said_by: Mapping[bytes | str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where a key or a fingerprint was said to be the host's: `FILE:LINE`, or `fleet_host_key`."""

    def __or__(self, other: "Trust") -> "Trust":
        """What two sources say together; of a key that both have, this one is named."""
        return Trust(
            self.keys | other.keys,
            self.fingerprints | other.fingerprints,
            self.revoked | other.revoked,
            self.authorities or other.authorities,
            self.also | other.also,
            {**other.said_by, **self.said_by},
        )

    def source(self, blob: bytes, fingerprint: str) -> str:
        """Who says that a trusted key is the host's."""
        return self.said_by.get(blob) or self.said_by.get(fingerprint) or "known"

    def match(self, kind: str, blob: bytes, fingerprint: str) -> Match:
        """Judge a key by its type, its bytes and its fingerprint."""
        if blob in self.revoked:
            return Match.REVOKED
        known = (kind, blob) in self.keys or (kind, blob) in self.also
        if known or fingerprint in self.fingerprints:
            return Match.TRUSTED
        return Match.CHANGED if self.keys or self.fingerprints else Match.UNKNOWN

    @property
    def algorithms(self) -> frozenset[str] | None:
        """What to negotiate so that a known key is shown; None where any type may be right.

        A node has several keys and shows one: left alone, ed25519 wins, and a node known by its
        RSA key would look changed.
        """
        if self.fingerprints or not self.keys:
            return None
        return frozenset(name for kind, _blob in self.keys for name in algorithms_of(kind))


def algorithms_of(kind: str) -> tuple[str, ...]:
    """The names under which a key of this type is negotiated."""
    return _ALGORITHMS.get(kind, (kind,))


def pinned(entries: Iterable[str]) -> Trust:
    """`fleet_host_key` → trust. Entries are public keys or fingerprints, checked before."""
    keys, fingerprints = set(), set()
    for entry in entries:
        if entry.startswith("SHA256:"):
            fingerprints.add(entry.rstrip("="))
        else:
            kind, blob = entry.split()[:2]
            keys.add((kind, base64.b64decode(blob)))
    said_by: dict[bytes | str, str] = dict.fromkeys(fingerprints, PINNED)
    said_by |= {blob: PINNED for _kind, blob in keys}
    return Trust(frozenset(keys), frozenset(fingerprints), said_by=said_by)


@dataclass(frozen=True, slots=True)
class _Entry:
    marker: str
    kind: str
    blob: bytes
    place: str


class KnownHosts:
    """The keys of known_hosts files, looked up by address and port."""

    def __init__(self, lines: Iterable[str] = (), name: str = "known_hosts") -> None:
        self._named: dict[str, list[_Entry]] = defaultdict(list)
        self._hashed: list[tuple[bytes, bytes, _Entry]] = []
        self._globbed: list[tuple[tuple[str, ...], _Entry]] = []
        self.add(lines, name)

    def add(self, lines: Iterable[str], name: str) -> None:
        """Take in the lines of a file of that name."""
        for number, line in enumerate(lines, 1):
            self._add(line, f"{name}:{number}")

    @classmethod
    def read(cls, path: str | None) -> "KnownHosts":
        """The named file, which must be there; else the user's and the system's, if they are.

        Raises `UsageError` for a file that cannot be read.
        """
        if path is not None:
            return cls(_lines(Path(path).expanduser(), path), path)
        return cls.of_files((*USERS_FILES, *SYSTEMS_FILES))

    @classmethod
    def of_files(cls, files: Iterable[str]) -> "KnownHosts":
        """Those of the files that are there; raises `UsageError` for one that cannot be read."""
        found = cls()
        for file in files:
            path = os.path.expanduser(file)
            if os.path.isfile(path):  # not where its folder cannot be read
                found.add(_lines(Path(path), file), file)
        return found

    def trust(self, address: str, port: int) -> Trust:
        """All that the files say of a host."""
        return self.trust_by(lookup_name(address, port))

    def trust_by(self, name: str) -> Trust:
        """All that the files say of a name as it stands in them: `host`, `[host]:port`."""
        entries = list(self._matching(name.lower()))
        return Trust(
            keys=frozenset((e.kind, e.blob) for e in entries if not e.marker),
            revoked=frozenset(e.blob for e in entries if e.marker == "@revoked"),
            authorities=any(e.marker == "@cert-authority" for e in entries),
            said_by={e.blob: e.place for e in reversed(entries) if not e.marker},
        )

    def _matching(self, name: str) -> Iterator[_Entry]:
        yield from self._named.get(name, ())
        for salt, digest, entry in self._hashed:
            if hmac.digest(salt, name.encode(), "sha1") == digest:
                yield entry
        for patterns, entry in self._globbed:
            if _globs(patterns, name):
                yield entry

    def _add(self, line: str, place: str) -> None:
        """Take one line in. What is no key line (a comment, a torn line) says nothing of a host."""
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            return
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3:
            return
        names, kind, text = fields[:3]
        if kind not in KINDS and not marker:  # it can never be shown to us
            return
        try:
            entry = _Entry(marker, kind, base64.b64decode(text, validate=True), place)
        except ValueError:  # no base64, or no ASCII
            return
        if names.startswith("|1|"):
            self._add_hashed(names, entry)
            return
        patterns = tuple(names.lower().split(","))
        if any(sign in names for sign in "*?!"):
            self._globbed.append((patterns, entry))
            return
        for pattern in patterns:
            self._named[pattern].append(entry)

    def _add_hashed(self, name: str, entry: _Entry) -> None:
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in name[3:].split("|"))
        except ValueError:
            return
        self._hashed.append((salt, digest, entry))


class HostKeys:
    """All that may say which keys a host has, asked in one place.

    A host with `fleet_host_key` is known by that alone. Else the state directory's own file counts
    (`own`), and the file that is named, or, where none is, the user's (those that the OpenSSH
    configuration names instead, if it does) and the system's. What any of them revokes is revoked.
    """

    def __init__(self, named: str | None = None, own: str | None = None) -> None:
        self._own = KnownHosts.of_files([own] if own else ())
        self._named = None if named is None else KnownHosts.read(named)
        self._files: dict[tuple[str, ...], KnownHosts] = {}

    def read(self, users_files: tuple[str, ...] | None = None) -> None:
        """Read what `of` will look into, once. Raises `UsageError` for a file that is no use."""
        if self._named is None:
            for files in self._sets(users_files):
                self._read(files)

    def of(
        self, name: str, pins: tuple[str, ...] = (), users_files: tuple[str, ...] | None = None
    ) -> Trust:
        """What is known of the host of that name in known_hosts (`lookup_name`, or its alias)."""
        found = self._all(name, users_files)
        if pins:
            return replace(pinned(pins), revoked=found.revoked)
        if not found.keys and (port := _WITH_PORT.fullmatch(name)):
            # As OpenSSH does: a key that the name has at the usual port is good for another one.
            plain = self._all(port[1], users_files)
            return replace(
                found,
                also=plain.keys,
                revoked=found.revoked | plain.revoked,
                said_by=plain.said_by,
            )
        return found

    def _all(self, name: str, users_files: tuple[str, ...] | None) -> Trust:
        found = self._own.trust_by(name)
        if self._named is not None:
            return found | self._named.trust_by(name)
        for files in self._sets(users_files):
            found |= self._read(files).trust_by(name)
        return found

    @staticmethod
    def _sets(users_files: tuple[str, ...] | None) -> tuple[tuple[str, ...], ...]:
        return (USERS_FILES if users_files is None else users_files, SYSTEMS_FILES)

    def _read(self, files: tuple[str, ...]) -> KnownHosts:
        if files not in self._files:
            self._files[files] = KnownHosts.of_files(files)
        return self._files[files]


def _globs(patterns: tuple[str, ...], name: str) -> bool:
    """OpenSSH's rule: any pattern, unless a negated one matches as well."""
    matched = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        # In known_hosts only * and ? are special; [host]:port is meant literally.
        glob = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatchcase(name, glob):
            if negated:
                return False
            matched = True
    return matched


def _lines(file: Path, shown: str) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"known hosts {shown}: {reason}; name another with --known-hosts"
        ) from None
