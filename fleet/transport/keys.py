"""Our private keys: which are offered at a door, read once each, refused as OpenSSH refuses them.

A key file that is named opens its door alone: an agent with many keys would use up sshd's
MaxAuthTries first. An encrypted file is opened by the passphrase of `FLEET_SSH_PASSPHRASE_FILE`, or
by the agent that holds the same key.
"""

import copy
import os
import stat
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import paramiko
from paramiko.pkey import PublicBlob
from paramiko.ssh_exception import SSHException

from fleet.errors import HostError, UsageError
from fleet.status import Phase, Status
from fleet.transport import key_file
from fleet.transport.route import Door

PASSPHRASE_VARIABLE = "FLEET_SSH_PASSPHRASE_FILE"  # noqa: S105 - names a file
AGENT_S = 5.0
USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

_CERTIFICATE = "-cert-"


class Shut(Exception):
    """A key file that we cannot open, though an agent may hold its key: `public` is its public
    half, `detail` what is to be said where none does.
    """

    def __init__(self, public: bytes | None, detail: str) -> None:
        super().__init__(detail)
        self.public, self.detail = public, detail


class KeyRing:
    """All key files of a run, and the agent. Safe for many threads."""

    def __init__(self, passphrase: str | None = None) -> None:
        self._passphrase = passphrase
        self._read: dict[str, paramiko.PKey | HostError | Shut] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def offers(self, door: Door, agent: "Agent") -> Iterator[paramiko.PKey]:
        """The keys to offer at a door, in order, each looked for when its turn comes.

        Raises `HostError` (`auth_failed`) where a file that was named cannot be used, or where
        there is nothing at all to offer.
        """
        seen: set[bytes] = set()
        trouble: HostError | None = None

        def unseen(keys: Iterable[paramiko.PKey]) -> Iterator[paramiko.PKey]:
            for key in keys:
                if (shown := _shown(key)) not in seen:
                    seen.add(shown)
                    yield key

        if door.or_agent and not door.key_files:  # before the usual files, as ssh does
            yield from unseen(agent.held())
        for file in map(os.path.expanduser, door.key_files or USUAL):
            if not (door.needs_all_keys or any(map(os.path.exists, (file, f"{file}.pub")))):
                continue
            try:
                keys = self._opened(file, agent)
            except HostError as error:
                if door.needs_all_keys:
                    raise
                trouble = trouble or error
                continue
            yield from unseen(keys)
        if door.or_agent and door.key_files:
            yield from unseen(agent.held())
        if not seen:
            raise trouble or _told("there is no private key to log in with, and no agent with one")

    def _opened(self, file: str, agent: "Agent") -> tuple[paramiko.PKey, ...]:
        """What a file has to offer: its certificate, and the key itself, as ssh does."""
        with self._lock:
            lock = self._locks[file]
        with lock:  # of its own: a file on a disk that hangs holds up nobody else's
            if file not in self._read:
                self._read[file] = self._load(file)
            found = self._read[file]
        if isinstance(found, HostError):
            raise found.anew()
        if isinstance(found, Shut):
            held = [key for key in agent.held() if _plain(key) == found.public]
            if not held:
                raise _told(found.detail)
            return (*_certified(file, held[-1]), *held)
        if not found.public_blob:
            return (found,)
        bare = copy.copy(found)
        bare.public_blob = None
        return found, bare

    def _load(self, file: str) -> paramiko.PKey | HostError | Shut:
        try:
            about = os.stat(file)
            if not stat.S_ISREG(about.st_mode):
                return _told(f"private key {file}: is no regular file")
            public = key_file.public_line(file)
            if public is not None:
                return Shut(
                    public,
                    f"{file} is not a private key but a public one, and no agent holds its "
                    "private half: name that one's file, or add it to an agent (ssh-add)",
                )
            # OpenSSH's rule (authfile.c): what is ours must be ours alone.
            if about.st_uid == os.getuid() and stat.S_IMODE(about.st_mode) & 0o077:
                return _told(
                    f"private key {file} can be read by others (mode "
                    f"{stat.S_IMODE(about.st_mode):04o}): chmod 600 {file}"
                )
            return self._parsed(file)
        except OSError as error:
            detail = f"private key {file}: {error.strerror or error}"
            public = key_file.public_line(f"{file}.pub")
            if public is None:
                return _told(detail)
            return Shut(public, f"{detail}, and no agent holds it")

    def _parsed(self, file: str) -> paramiko.PKey | HostError | Shut:
        secret = None if self._passphrase is None else self._passphrase.encode()
        for password in (None, secret):
            try:
                return key_file.parsed(file, password)
            except key_file.Encrypted:
                continue
            except ValueError:
                if password is None:
                    return _told(f"private key {file}: not a private key that can be read")
                return _told(
                    f"private key {file} is encrypted, and the passphrase in "
                    f"{PASSPHRASE_VARIABLE} does not open it"
                )
        return Shut(
            key_file.public_of(file),
            f"private key {file} is encrypted, and no agent holds it: add it to an agent "
            f"(ssh-add {file}), or name a file with its passphrase in {PASSPHRASE_VARIABLE}",
        )


class Agent:
    """The user's agent, for one login: asked when its first key is needed. `close` when done."""

    def __init__(self) -> None:
        self._agent: paramiko.Agent | None = None
        self._keys: tuple[paramiko.PKey, ...] | None = None

    def held(self) -> tuple[paramiko.PKey, ...]:
        """Its keys, certificates first, for they say more; none where there is no agent."""
        if self._keys is None:
            keys = self._asked()
            for key in keys:
                if _CERTIFICATE in key.get_name():  # or an RSA one would be offered without it
                    key.public_blob = PublicBlob(key.get_name(), key.blob)
            self._keys = tuple(sorted(keys, key=lambda key: _CERTIFICATE not in key.get_name()))
        return self._keys

    def _asked(self) -> tuple[Any, ...]:
        """What it holds; asked in a thread of its own, for one that hangs cannot be interrupted."""
        found: list[tuple[Any, ...]] = []

        def ask() -> None:
            try:
                self._agent = paramiko.Agent()
                found.append(self._agent.get_keys())
            except (SSHException, OSError, EOFError):
                found.append(())

        thread = threading.Thread(target=ask, name="agent", daemon=True)
        thread.start()
        thread.join(AGENT_S)
        if not found:
            raise _told(f"the agent of SSH_AUTH_SOCK gave no answer within {AGENT_S:.0f} s")
        return found[0]

    def close(self) -> None:
        """Let go of the agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None


def passphrase_from(environ: Mapping[str, str]) -> str | None:
    """The passphrase in the file that `FLEET_SSH_PASSPHRASE_FILE` names; its last line ending is
    not part of it. Raises `UsageError` for a file that cannot be read, or that others can read.
    """
    name = environ.get(PASSPHRASE_VARIABLE)
    if not name:
        return None
    file = os.path.expanduser(name)
    try:
        about = os.stat(file)
        text = Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{PASSPHRASE_VARIABLE}: {file}: {reason}") from None
    if stat.S_ISREG(about.st_mode) and stat.S_IMODE(about.st_mode) & 0o077:
        raise UsageError(f"{PASSPHRASE_VARIABLE}: {file} can be read by others: chmod 600 {file}")
    phrase = text.removesuffix("\n").removesuffix("\r")
    if not phrase:
        raise UsageError(f"{PASSPHRASE_VARIABLE}: {file} is empty; expected a passphrase")
    return phrase


def _told(detail: str) -> HostError:
    return HostError(Status.AUTH_FAILED, Phase.LOGIN, detail)


def _shown(key: paramiko.PKey) -> bytes:
    """What is offered of a key: its certificate, or its public half."""
    return bytes(key.public_blob.key_blob if key.public_blob else key.asbytes())


def _plain(key: paramiko.PKey) -> bytes:
    """The public key itself, of a certificate too."""
    inner = getattr(key, "inner_key", None)
    return bytes(key.asbytes() if inner is None else inner.asbytes())


def _certified(file: str, key: paramiko.PKey) -> Iterator[paramiko.PKey]:
    """The agent's key with the certificate that lies beside the file that it could not open."""
    try:
        blob = PublicBlob.from_file(f"{file.removesuffix('.pub')}-cert.pub")
    except (OSError, ValueError, IndexError):
        return
    certified = paramiko.AgentKey(key.agent, key.blob)  # type: ignore[attr-defined]  # an agent's
    certified.public_blob = blob  # type: ignore[assignment]  # its stub
    yield certified
