"""A node's answer → all that it says of the node and its containers. Pure; nothing is raised.

What it means for the visit is decided in `fleet.verdict`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fleet import probe
from fleet.exact import Exact, Ground, Known, exact
from fleet.inventory import Host
from fleet.node_facts import uptime_and_cpus
from fleet.seen import Seen, SeenContainer
from fleet.sources import docker, kernel
from fleet.sources.node import NodeFigures, parse_node
from fleet.sources.state import State, parse_states, parse_version
from fleet.states import ContainerState, container_states, told_of

_INSPECTED = (0, 1)
"""Exit statuses of a `docker inspect` that can be read: 1 is for containers that have vanished."""
_CLOCK = re.compile(r"clock (\d{1,12})")
_NEW_S = 2.0
"""A container that started so little before the probe may not have had a cgroup when it looked."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a visit knows of earlier ones: `seen` of the last sweep, and the time of this one
    (seconds since 1970).
    """

    seen: Seen | None = None
    at: float = 0.0


NOTHING_BEFORE = Before()


@dataclass(frozen=True)
class Reading:
    """What an answer says, section by section, and put together."""

    host: Host
    answer: probe.Answer
    before: Before

    @cached_property
    def _listings(self) -> dict[str, tuple[dict[str, docker.Listed] | None, int, tuple[str, ...]]]:
        found: dict[str, tuple[dict[str, docker.Listed] | None, int, tuple[str, ...]]] = {}
        known: dict[str, docker.Listed] = {}
        for name in ("ps1", "ps2"):
            found[name] = None, 0, ()
            if self.answer.rc(name) == 0:
                found[name] = docker.parse_ps(self.answer.lines(name), known)
        return found

    @cached_property
    def measured(self) -> docker.Measured:
        """What `docker stats` gave."""
        cpus = uptime_and_cpus(self.answer)[1]
        first, second = self._listings["ps1"][0], self._listings["ps2"][0]
        return docker.measure(self.answer.lines("stats"), first, second, cpus)

    @cached_property
    def listed(self) -> Mapping[str, docker.Listed] | None:
        """What `docker ps` lists, running or not; None where it could not be read."""
        first, second = self._listings["ps1"][0], self._listings["ps2"][0]
        return first if first is not None else second

    @cached_property
    def bad_lines(self) -> int:
        """Lines of `docker ps` and `docker stats` that could not be understood."""
        return self.measured.bad_lines + sum(
            bad for _listed, bad, _texts in self._listings.values()
        )

    @cached_property
    def bad_text(self) -> str:
        """The first of them."""
        texts = [text for _listed, _bad, texts in self._listings.values() for text in texts]
        return next(iter((*texts, *self.measured.errors)), "")

    @cached_property
    def node(self) -> NodeFigures:
        """The node itself."""
        return parse_node(self.answer.lines("node"))

    @cached_property
    def docker_version(self) -> str | None:
        """The daemon's."""
        return parse_version(self.answer.lines("version"))

    @cached_property
    def inspected(self) -> Mapping[str, State]:
        """What `docker inspect` says, by full id."""
        if self.answer.rc("state") not in _INSPECTED:
            return {}
        return parse_states(self.answer.lines("state"))[0]

    @cached_property
    def ground(self) -> Ground:
        """The kernel's counters."""
        started = {
            id: state.started_at.isoformat()
            for id, state in self.inspected.items()
            if state.started_at is not None
        }
        second = None
        if self.answer.rc("kernel2") is not None:  # one that was cut off lacks what it would say
            second = kernel.parse(self.answer.lines("kernel2"))
        return Ground(
            kernel.parse(self.answer.lines("kernel1")),
            second,
            self.node.memory_bytes,
            self.node.boot_id,
            started,
            self.before.seen,
        )

    @cached_property
    def exact(self) -> Exact:
        """One sample for each container that runs, as the daemon lists them."""
        known = [
            Known(one.id, one.name, one.image, one.service, one.network)
            for one in (self.listed or {}).values()
            if one.running
        ]
        return exact(known, self.measured.samples, self.ground)

    @cached_property
    def remembered(self) -> Exact:
        """The same with a silent daemon: the containers that the last sweep counted."""
        seen = self.before.seen
        known = [
            Known(id, one.name, one.image, one.service, None)
            for id, one in (seen.containers if seen is not None else {}).items()
            if one.count is not None
        ]
        silent = self.listed is None
        return exact(known if silent and self._same_life else (), (), self.ground)

    @property
    def _same_life(self) -> bool:
        """Whether the kernel is that of the last sweep; not where one of the two is not known."""
        seen, boot_id = self.before.seen, self.node.boot_id
        return seen is not None and boot_id is not None and seen.boot_id == boot_id

    @property
    def without_docker(self) -> bool:
        """Whether the figures are the kernel's alone, as they were to be."""
        counted = self.ground.first.version is not None
        return self.host.source == "kernel" and counted and "stats" not in self.answer.sections

    @cached_property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of containers that run and have no figures of either source."""
        listed, counted = self.listed or {}, self.exact.counts
        if not self.without_docker:
            names = {listed[id].name for id in counted if id in listed}
            return tuple(name for name in self.measured.unmeasured if name not in names)
        return tuple(
            one.name
            for id, one in listed.items()
            if one.running
            and id not in counted
            and id not in self.exact.gone
            and not self._is_new(id)
        )

    def _is_new(self, id: str) -> bool:
        """Whether a container may have been started after the probe looked for its cgroup."""
        state = self.inspected.get(id)
        clock = next(filter(None, map(_CLOCK.fullmatch, self.answer.lines("host"))), None)
        if state is None or state.started_at is None or clock is None:
            return False
        return state.started_at.timestamp() >= int(clock[1]) - _NEW_S

    @cached_property
    def states(self) -> tuple[ContainerState, ...]:
        """What each container is, and which have vanished; nothing of an older probe's answer, nor
        of a listing that may lack some.
        """
        listed = self._listings["ps1"][0]
        if listed is None or "version" not in self.answer.sections:
            return ()
        seen = self.before.seen
        states = container_states(listed, self.inspected, seen, self.before.at)
        if self._tells_all:
            return states
        return tuple(one for one in states if one.id in listed)

    @property
    def _tells_all(self) -> bool:
        """Whether `states` are all there are: what is not among them has vanished."""
        listed, bad, _texts = self._listings["ps1"]
        return listed is not None and not bad and "version" in self.answer.sections

    def memory(self, found: Exact) -> Seen | None:
        """What is to be remembered of the host; None where the answer has nothing to go by."""
        if self.ground.first.version is None and not self.states:
            return None
        before = self.before.seen.containers if self.before.seen is not None else {}
        states = {one.id: one for one in self.states}
        containers: dict[str, SeenContainer] = {}
        if not self._tells_all:
            for id, earlier in before.items():
                containers[id] = earlier if self._same_life else replace(earlier, count=None)
        for id in dict.fromkeys((*(self.listed or {}), *found.counts)):
            old = before.get(id)
            count = found.counts.get(id) or (old.count if old and self._same_life else None)
            told = old.told if old is not None else None
            if id in states:
                told = told_of(states[id], old, self.before.at)
            one = (self.listed or {}).get(id)
            if one is not None:
                containers[id] = SeenContainer(one.name, one.image, one.service, count, told)
            elif old is not None:
                containers[id] = replace(old, count=count, told=told)
        return Seen(self.before.at, self.node.boot_id, containers)
