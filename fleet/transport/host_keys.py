"""Which keys a host may show: known_hosts files and `fleet_host_key`. Text only, no I/O of SSH.

The format is sshd(8)'s, "SSH_KNOWN_HOSTS FILE FORMAT": names may be lists, globs, negated or
hashed; `[name]:port` where the port is not 22; `@revoked` and `@cert-authority` markers. It is
read line by line: paramiko's own reader gives a whole file up for one marker.
"""

import base64
import binascii
import hmac
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from fleet.errors import UsageError

_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""A key's type → what it is negotiated as, where that differs."""


class Match(Enum):
    """What is to be said of a key that a node has shown."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of one host: public keys (type, bytes) and fingerprints (`SHA256:…`)."""

    keys: frozenset[tuple[str, bytes]] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    revoked: frozenset[bytes] = frozenset()
    authorities: bool = False

    def match(self, kind: str, blob: bytes, fingerprint: str) -> Match:
        """Judge a key by its type, its bytes and its fingerprint."""
        if blob in self.revoked:
            return Match.REVOKED
        if (kind, blob) in self.keys or fingerprint in self.fingerprints:
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
    return Trust(frozenset(keys), frozenset(fingerprints))


@dataclass(frozen=True, slots=True)
class _Entry:
    marker: str
    kind: str
    blob: bytes


class KnownHosts:
    """The keys of known_hosts files, looked up by address and port."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._named: dict[str, list[_Entry]] = defaultdict(list)
        self._hashed: list[tuple[bytes, bytes, _Entry]] = []
        self._globbed: list[tuple[tuple[str, ...], _Entry]] = []
        for line in lines:
            self._add(line)

    @classmethod
    def read(cls, path: str | None) -> "KnownHosts":
        """The named file, which must be there; else the user's and the system's, if they are.

        Raises `UsageError` for a file that cannot be read.
        """
        if path is not None:
            return cls(_lines(Path(path).expanduser(), path))
        usual = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"))
        system = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
        files = [Path(os.path.expanduser(file)) for file in (*usual, *system)]
        return cls(line for file in files if file.is_file() for line in _lines(file, str(file)))

    def trust(self, address: str, port: int) -> Trust:
        """All that the files say of a host."""
        name = address.lower() if port == 22 else f"[{address.lower()}]:{port}"
        entries = list(self._matching(name))
        return Trust(
            keys=frozenset((e.kind, e.blob) for e in entries if not e.marker),
            revoked=frozenset(e.blob for e in entries if e.marker == "@revoked"),
            authorities=any(e.marker == "@cert-authority" for e in entries),
        )

    def _matching(self, name: str) -> Iterator[_Entry]:
        yield from self._named.get(name, ())
        for salt, digest, entry in self._hashed:
            if hmac.digest(salt, name.encode(), "sha1") == digest:
                yield entry
        for patterns, entry in self._globbed:
            if _globs(patterns, name):
                yield entry

    def _add(self, line: str) -> None:
        """Take one line in. What is no key line (a comment, a torn line) says nothing of a host."""
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            return
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3:
            return
        names, kind, text = fields[:3]
        try:
            entry = _Entry(marker, kind, base64.b64decode(text, validate=True))
        except binascii.Error:
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
