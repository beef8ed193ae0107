"""Hosts → the keys that they show, as they come: one answer for each host, always."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.inventory.host import Host
from fleet.status import Phase, Status
from fleet.sweep import Limits, Lost, sweep
from fleet.trust.keys import Key
from fleet.visit import printable

Fetch = Callable[[Host, Allowance], Sequence[Key]]
"""Brings the keys of a host, one of each type it has; raises `HostError`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host shows, or why it shows nothing: `status` is `ok` where there are keys."""

    host: Host
    keys: tuple[Key, ...] = ()
    status: Status = Status.OK
    detail: str | None = None
    via: str | None = None


def gather(hosts: Sequence[Host], fetch: Fetch, limits: Limits) -> dict[str, Answer]:
    """The answers of all hosts, by their names, in the order of the hosts. A dead host costs its
    own time only.
    """

    def work(host: Host, allowance: Allowance) -> Answer:
        try:
            return _answer(host, fetch, allowance)
        finally:
            allowance.finish()

    answers: dict[str, Answer] = {}
    with contextlib.closing(sweep(hosts, work, _lost, limits)) as arriving:
        for answer in arriving:
            answers[answer.host.name] = answer
    return {host.name: answers[host.name] for host in hosts}


def _answer(host: Host, fetch: Fetch, allowance: Allowance) -> Answer:
    if host.bad_config is not None:
        return Answer(host, status=Status.BAD_CONFIG, detail=printable(host.bad_config))
    if host.connection == "local":
        return Answer(host, detail="local: no SSH, no host key")
    try:
        keys = tuple(fetch(host, allowance))
    except HostError as error:
        return Answer(host, (), error.status, printable(error.detail), error.via)
    if not keys:
        detail = f"({Phase.HOST_KEY}) it shows no key of a type that is read here"
        return Answer(host, status=Status.SSH_ERROR, detail=detail)
    return Answer(host, tuple(sorted(keys, key=lambda key: key.kind)))


def _lost(host: Host, why: Lost, elapsed_s: float) -> Answer:
    if why is Lost.STUCK:
        return Answer(host, status=Status.TIMEOUT, detail=f"no keys within {elapsed_s:.0f} s")
    return Answer(host, status=Status.SKIPPED, detail="the deadline came first")
