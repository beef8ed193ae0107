"""The state directory's own known_hosts: plain lines, sorted, and never lost to another run.

```
STATE/
  known_hosts                 what `fleet trust` has recorded, for its owner alone
  locks/known_hosts.lock      held while it is read, changed and put in its place
```

It is put in its place whole: whoever reads it sees all of it as it was, or as it is now.
"""

import base64
import contextlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import Locked
from fleet.state import held, write_durably

WAIT_S = 30.0
"""For another run that records keys: it holds the lock for no longer than a file is written."""

_HEADER = "# Host keys recorded by `fleet trust`; its format is known_hosts, see sshd(8)."


@dataclass(frozen=True, slots=True)
class Change:
    """For the host of a name as known_hosts has it: keys to add (type, bytes), and which ones
    stay of those that are there; None for all.
    """

    name: str
    add: tuple[tuple[str, bytes], ...] = ()
    stay: frozenset[bytes] | None = None


class Book:
    """The file of one state directory, at its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.parent / "locks" / f"{path.name}.lock"

    @contextlib.contextmanager
    def held(self, wait_s: float = WAIT_S) -> Iterator[None]:
        """No other run changes the file meanwhile; raises `Locked` when one has it after `wait_s`,
        and `OSError` for a folder that cannot be used.
        """
        with held(self._lock, wait_s) as ours:
            if not ours:
                raise Locked(
                    f"{self.path}: another run has been changing it for {wait_s:g} s: "
                    "nothing was recorded; run this again when it has ended"
                )
            yield

    def change(self, changes: Iterable[Change]) -> bool:
        """Make these changes → whether there were any; only while it is `held`."""
        before = self._read()
        after = changed(before, changes)
        if after == before:
            return False
        write_durably(self.path, after.encode("utf-8", "surrogateescape"))
        return True

    def _read(self) -> str:
        try:
            return self.path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""


def changed(text: str, changes: Iterable[Change]) -> str:
    """The text of the file with these changes: our header, what is no key line as it stood, then
    the key lines, sorted, each once. Markers and patterns are somebody's own: they are kept.
    """
    changes = list(changes)
    losing = [change for change in changes if change.stay is not None]
    other: list[str] = []
    keys: set[str] = set()
    for line in text.split("\n"):
        fields = line.split()
        if not fields or line == _HEADER:
            continue
        if fields[0].startswith(("#", "@")) or len(fields) < 3:
            other.append(line)
            continue
        names = _names_left(fields, losing)
        if names:
            keys.add(" ".join([names, *fields[1:]]))
    for change in changes:
        keys |= {_line(change.name, kind, blob) for kind, blob in change.add}
    return "".join(f"{line}\n" for line in (_HEADER, *other, *sorted(keys)))


def _line(name: str, kind: str, blob: bytes) -> str:
    return f"{name} {kind} {base64.b64encode(blob).decode()}"


def _names_left(fields: Sequence[str], losing: Iterable[Change]) -> str:
    """The names of a key line without the hosts that lose this key."""
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except ValueError:
        return fields[0]
    hosts = [one.name for one in losing if one.stay is not None and blob not in one.stay]
    if not hosts:
        return fields[0]
    kept = [
        name for name in fields[0].split(",") if not any(_is_name(name, host) for host in hosts)
    ]
    return ",".join(kept)


def _is_name(name: str, host: str) -> bool:
    """Whether a name in the file, plain or hashed, is this host's."""
    if not name.startswith("|1|"):
        return name.lower() == host.lower()
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in name[3:].split("|"))
    except ValueError:
        return False
    return hmac.digest(salt, host.lower().encode(), "sha1") == digest
