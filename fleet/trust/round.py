"""One run of `fleet trust`: fetch, decide, record."""

import base64
import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import HostError, UsageError
from fleet.inventory.host import Host
from fleet.settings import Settings
from fleet.status import Status
from fleet.sweep import Limits
from fleet.transport.host_keys import PINNED, Trust, lookup_name
from fleet.transport.open import OWN_FILE, host_keys_of
from fleet.transport.route import Door, Routes
from fleet.trust.book import Book, Change
from fleet.trust.gather import Answer, Fetch, gather
from fleet.trust.given import Given, Vouch
from fleet.trust.judge import Decision, Flags, decide


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is told: the files that came by another road, and the flags."""

    given: Given | None = None
    accept_new: bool = False
    replace: frozenset[str] = frozenset()

    @property
    def records(self) -> bool:
        """Whether anything is to be recorded at all."""
        return self.given is not None or self.accept_new

    def flags(self, host: str) -> Flags:
        """What it says for one host."""
        return Flags(self.given is not None, self.accept_new, host in self.replace)


@dataclass(frozen=True, slots=True)
class Found:
    """One host: what it answered, where, and, if it showed keys, what was decided of them."""

    answer: Answer
    door: Door | None = None
    decision: Decision | None = None

    @property
    def host(self) -> Host:
        """The host of the inventory."""
        return self.answer.host

    @property
    def trusted(self) -> bool:
        """Whether a visit will pass its host key."""
        if self.decision is None:
            return self.answer.status is Status.OK
        return self.decision.trusted


@dataclass(frozen=True, slots=True)
class Outcome:
    """All hosts in their order, and lines on old keys that stand where we do not remove them."""

    found: tuple[Found, ...]
    leftovers: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Found, ...]:
        """The hosts that are not trusted, but for those under maintenance."""
        return tuple(one for one in self.counted if not one.trusted)

    @property
    def counted(self) -> tuple[Found, ...]:
        """The hosts that count in the exit status."""
        return tuple(one for one in self.found if not one.host.maintenance)


def check(order: Order, hosts: Sequence[Host]) -> None:
    """Refuse, before anything is sent, what these hosts cannot be given: `UsageError`."""
    if order.replace and not order.records:
        raise UsageError(
            "--replace: expected --from FILE beside it, or --accept-new: "
            "a key is replaced only by one that something vouches for"
        )
    for name in sorted(order.replace - {host.name for host in hosts}):
        raise UsageError(
            f"--replace: {name!r} is none of the targeted hosts, by its inventory name"
        )
    nameless = order.given and order.given.nameless
    if nameless is not None and len(hosts) != 1:
        raise UsageError(
            f"--from: {nameless}: it names no host, so it holds for one only, and {len(hosts)} are "
            "targeted: run fleet trust HOST --from FILE for each, or give a known_hosts file"
        )


def run(
    hosts: Sequence[Host],
    settings: Settings,
    order: Order,
    fetch: Fetch,
    routes: Routes | None = None,
) -> Outcome:
    """Fetch the keys of all hosts at once, decide, and record what is to be recorded.

    Raises `UsageError` for a state directory that cannot be used, `Locked` for one that another
    run does not let go.
    """
    if order.records and not settings.state_dir:
        raise UsageError("--state-dir: there is no home to keep host keys in: name a folder")
    doors, shut = _doors(hosts, routes or Routes(settings.ssh_config))
    limits = Limits(settings.forks, settings.timeout_s, settings.deadline_s)
    answers = gather([host for host in hosts if host.name not in shut], fetch, limits) | shut
    book = Book(Path(settings.state_dir, OWN_FILE))
    try:
        vouches = _vouches(order, doors)
        with book.held() if order.records else contextlib.nullcontext():
            known = _Known(settings, doors)
            found = tuple(
                _found(answers[host.name], doors.get(host.name), known, vouches, order)
                for host in hosts
            )
            if changes := [change for one in found for change in _changes(one)]:
                book.change(changes)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"--state-dir: {settings.state_dir} cannot be used: {reason}") from None
    replaced = [one for one in found if one.decision is not None and one.decision.forget]
    if not replaced:
        return Outcome(found)
    return Outcome(found, tuple(_leftovers(replaced, _Known(settings, doors))))


class _Known:
    """What is known of hosts by all sources, as they are now, and what this run adds to it."""

    def __init__(self, settings: Settings, doors: dict[str, Door]) -> None:
        self._keys = host_keys_of(settings)
        self._doors = doors
        self._added: dict[str, Trust] = {}

    def of(self, host: str) -> Trust:
        """What is known of a host. Another one with its address may have come before it."""
        door = self._doors[host]
        found = self._keys.of(door.known_as, door.host_keys, door.known_hosts)
        added = self._added.get(door.known_as)
        return found if added is None or door.host_keys else found | added

    def add(self, decision: Decision) -> None:
        """From now on the keys that a host has recorded are known."""
        if decision.recorded:
            name = self._doors[decision.host].known_as
            keys = frozenset((key.kind, key.blob) for key in decision.recorded)
            said_by: dict[bytes | str, str] = {
                blob: f"recorded for {decision.host}" for _kind, blob in keys
            }
            self._added[name] = self._added.get(name, Trust()) | Trust(keys, said_by=said_by)


def _doors(hosts: Sequence[Host], routes: Routes) -> tuple[dict[str, Door], dict[str, Answer]]:
    """The doors of the hosts that have one, and answers for those whose way cannot be told."""
    doors, shut = {}, {}
    for host in hosts:
        if host.bad_config is not None or host.connection == "local":
            continue
        try:
            doors[host.name] = routes.to(host).door
        except HostError as error:
            shut[host.name] = Answer(host, (), error.status, error.detail, error.via)
    return doors, shut


def _vouches(order: Order, doors: dict[str, Door]) -> dict[str, Vouch | None]:
    """What the files say of each host, by the names that it may have in them."""
    if order.given is None:
        return {}
    return {
        name: order.given.of((door.known_as, lookup_name(name, door.port)))
        for name, door in doors.items()
    }


def _found(
    answer: Answer,
    door: Door | None,
    known: _Known,
    vouches: dict[str, Vouch | None],
    order: Order,
) -> Found:
    if door is None or not answer.keys:
        return Found(answer, door)
    name = answer.host.name
    decision = decide(name, answer.keys, known.of(name), vouches.get(name), order.flags(name))
    known.add(decision)
    return Found(answer, door, decision)


def _changes(found: Found) -> list[Change]:
    """What becomes of a host in our own file."""
    decision, door = found.decision, found.door
    if decision is None or door is None or not (decision.recorded or decision.forget):
        return []
    added = tuple((key.kind, key.blob) for key in decision.recorded)
    return [Change(door.known_as, added, decision.kept if decision.forget else None)]


def _leftovers(found: Sequence[Found], known: _Known) -> list[str]:
    """Where old keys of replaced hosts still stand, and how they are removed."""
    lines = []
    for one in found:
        if one.decision is None or one.door is None:
            continue
        trust = known.of(one.host.name)
        if PINNED in trust.said_by.values():
            if one.decision.recorded:
                lines.append(_pinned(one.decision))
            continue
        old = [blob for _kind, blob in trust.keys if blob not in one.decision.kept]
        files = sorted({trust.said_by[blob].rpartition(":")[0] for blob in old})
        for file in files:
            words = ["ssh-keygen", "-R", one.door.known_as, "-f", os.path.expanduser(file)]
            lines.append(
                f"{one.host.name}: an old key of it still stands in {file}, and is trusted: "
                f"{shlex.join(words)} removes it"
            )
    return lines


def _pinned(decision: Decision) -> str:
    key = decision.recorded[0]
    public = f"{key.kind} {base64.b64encode(key.blob).decode()}"
    return (
        f"{decision.host}: fleet_host_key in the inventory still names the old key, and it alone "
        f"counts: remove it there, or put {public!r} in its place"
    )
