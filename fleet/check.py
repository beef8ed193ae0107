"""A visit replayed step by step: hosts → what worked on each, and, where it did not, what to do.

```
known before (doors, settings) ─┐
visit, step by step ────────────┼─▶ steps_of ─▶ Checked: steps, the first that fails, advice
its answer, cut ────────────────┘
```

The visit is the one that `collect` makes, by the same code; what differs is that the transport
tells how far it came, and that of the figures only the number is kept.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fleet import probe
from fleet.advice import Advice, Words, advise, likely
from fleet.allowance import Allowance
from fleet.causes import Cause
from fleet.engines import Engines
from fleet.hop import Hop
from fleet.inventory import Host, Setting
from fleet.node_facts import Skew, clock_skew
from fleet.report import count
from fleet.status import Phase, Status
from fleet.steps import NODE, PHASES, WAY, Result, Step
from fleet.sudoers import KNOWN_PLACES, way_to_line
from fleet.sweep import Limits, sweep
from fleet.transport import Reply, Request, Told
from fleet.visit import Visit, lost, printable, visit

SKEW_S = 5.0
"""A node's clock may be off by so much before it is worth a word."""

HEAD_BYTES = 64 * 1024
"""Of an answer, where the sections stand that tell how far the probe came."""

RunTelling = Callable[[Host, Request, Allowance, Told], Reply]
"""Runs a request on a host, and tells how far it came; raises `HostError` where it could not."""

Passed = Mapping[str, Mapping[Phase, str]]
"""The bastions on the way to a host, by name, with the steps to each that succeeded."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a host before it is visited: the doors on the way, its own the last;
    where each setting comes from; and what is said in the user's configuration and not followed.
    """

    way: tuple[Hop, ...]
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """One host, checked. `visit` is without its figures; `steps` is empty where it was not
    visited; `words` are the host's own, for advice.
    """

    visit: Visit
    containers: int
    known: Known
    steps: tuple[Step, ...]
    words: Words

    @property
    def host(self) -> Host:
        """The host."""
        return self.visit.host

    @property
    def failed(self) -> bool:
        """Whether its visit would count as failed."""
        return self.visit.status is not Status.OK

    @property
    def failed_step(self) -> Step | None:
        """The first step that fails."""
        return next((step for step in self.steps if step.result is Result.FAILED), None)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What its failure may come from; nothing where all is well."""
        if not self.failed:
            return ()
        step = self.failed_step
        phase = self.visit.phase or (PHASES[step.name] if step else None)
        return likely(self.visit.status, phase, self.visit.detail)

    @property
    def advice(self) -> Advice | None:
        """What to do; None where all is well."""
        return advise(self.visit.status, self.causes, self.words) if self.failed else None


@dataclass(slots=True)
class Trail:
    """How far a visit has come: what the transport told of the way, and how the answer begins."""

    passed: Passed = field(default_factory=dict)
    words: dict[Phase, tuple[str, float]] = field(default_factory=dict)
    head: probe.Answer | None = None
    run_s: float = 0.0
    skew: Skew | None = None
    _since_s: float = field(default_factory=time.monotonic)

    def told(self, phase: Phase, seen: str) -> None:
        """Take down a step that succeeded; of a second attempt, the second."""
        now_s = time.monotonic()
        self.words[phase] = printable(seen), now_s - self._since_s
        self._since_s = now_s

    def answered(self, reply: Reply) -> Reply:
        """Take down how an answer begins that has just come → the answer."""
        self.head = probe.cut(reply.stdout[:HEAD_BYTES])
        self.run_s = reply.run_s
        self.skew = clock_skew(self.head, reply.run_s, datetime.now(UTC))
        return reply


def check(
    hosts: Sequence[Host],
    run: RunTelling,
    known: Callable[[Host], Known],
    limits: Limits,
    passed: Callable[[Host], Passed] = lambda _host: {},
) -> Iterator[Checked]:
    """Check every host once, many at a time, and yield them as they come."""
    trails: dict[str, Trail] = {}

    def work(host: Host, allowance: Allowance) -> Visit:
        trail = trails[host.name] = Trail()

        def replayed(host: Host, request: Request, allowance: Allowance) -> Reply:
            return trail.answered(run(host, request, allowance, trail.told))

        return visit(host, replayed, allowance)

    engines = Engines()
    for came in sweep(hosts, work, lost, limits):
        done = engines.told(came)
        trail = trails.pop(done.host.name, None) or Trail()
        trail.passed = passed(done.host)
        yield checked(done, known(done.host), trail)


def checked(done: Visit, known: Known, trail: Trail) -> Checked:
    """A visit that is over → what is said of it."""
    visited = done.status is not Status.BAD_CONFIG or trail.head is not None
    steps = steps_of(done, known, trail) if visited else ()
    words = _words(done, known, trail)
    lean = replace(done, samples=(), states=(), node=None, seen=None)
    return Checked(lean, len(done.samples), known, steps, words)


def steps_of(done: Visit, known: Known, trail: Trail) -> tuple[Step, ...]:
    """The steps of a visit in their order: up to the first that fails, and what is known beyond."""
    steps = [*_way(done.host, known, trail), *_node(done, trail)]
    if done.status is Status.OK:
        return tuple(steps)
    place = _failing_place(done, trail, steps)
    for at, step in enumerate(steps):
        if at < place and step.name in WAY and step.result is Result.UNKNOWN and not step.seen:
            steps[at] = step._replace(result=Result.OK)  # or the next one had not been tried
        elif at == place:
            steps[at] = Step(step.name, Result.FAILED, done.detail or str(done.status), step.via)
        elif at > place and step.name != "clock":
            steps[at] = Step(step.name, Result.UNKNOWN, via=step.via)
    return tuple(steps)


def _way(host: Host, known: Known, trail: Trail) -> list[Step]:
    """The steps to each door on the way, as far as they were told of."""
    if host.connection == "local":
        return [Step(name, Result.UNKNOWN, "not needed: the host is this one") for name in WAY]
    steps = []
    before = f"the bastion {known.way[-2].name}" if len(known.way) > 1 else "the ProxyCommand"
    for hop in known.way[:-1]:
        seen = dict(trail.passed.get(hop.name, {}))
        # Who has come to the next door has passed this one, whether or not it was told.
        if not seen and trail.words:
            seen = dict.fromkeys(map(Phase, WAY), "")
        steps += [_told(name, seen.get(Phase(name)), hop.name) for name in WAY]
    for name in WAY:
        words = trail.words.get(Phase(name))
        if words is None and name == "resolve" and (trail.words or len(known.way) > 1):
            steps.append(Step(name, Result.UNKNOWN, f"left to {before}"))
        else:
            seen_at, seconds = words or (None, None)
            steps.append(_told(name, seen_at, None, seconds))
    return steps


def _told(name: str, seen: str | None, via: str | None, seconds: float | None = None) -> Step:
    if seen is None:
        return Step(name, Result.UNKNOWN, via=via)
    return Step(name, Result.OK, printable(seen), via, seconds)


def _node(done: Visit, trail: Trail) -> list[Step]:
    """The steps on the node, as far as its answer speaks for them."""
    head = trail.head
    if head is None or head.version not in probe.READABLE_VERSIONS or head.rc("args") is not None:
        return [Step(name, Result.UNKNOWN) for name in NODE]
    answers = "docker ps answers" + (" by sudo" if done.host.become else "")
    well = done.status is Status.OK
    return [
        Step("probe", Result.OK, f"format {head.version}", None, trail.run_s),
        _if(head.rc("tool") == 0, "docker", " ".join(head.lines("tool")[:1])),
        _if(head.rc("ps1") == 0, "permission", answers),
        _if(well or done.status is Status.PARTIAL, "daemon", "docker stats answers"),
        _clock(trail.skew),
        _read(done) if well else Step("figures", Result.UNKNOWN),
    ]


def _if(true: bool, name: str, seen: str) -> Step:
    return Step(name, Result.OK, printable(seen)) if true else Step(name, Result.UNKNOWN)


def _read(done: Visit) -> Step:
    """What was read, with what is worth a word though all is well."""
    text = count(len(done.samples), "container")
    if done.dropped:
        text += f", {done.dropped} dropped"
    if done.detail is None:
        return Step("figures", Result.OK, text)
    return Step("figures", Result.WARNING, printable(f"{text}; {done.detail}"))


def _clock(skew: Skew | None) -> Step:
    """How far the node's clock is off, which harms no row: their times are the central host's."""
    if skew is None:
        return Step("clock", Result.UNKNOWN, "the node did not tell")
    give_or_take = f"(give or take {skew.doubt_s:.1f} s)"
    if abs(skew.seconds) <= skew.doubt_s:
        return Step("clock", Result.OK, f"as the central host's {give_or_take}")
    side = "ahead of" if skew.seconds > 0 else "behind"
    off = f"{abs(skew.seconds):.1f} s {side} the central host's {give_or_take}"
    if abs(skew.seconds) - skew.doubt_s <= SKEW_S:
        return Step("clock", Result.OK, off)
    return Step("clock", Result.WARNING, f"{off}; rows have the central host's time, logs do not")


def _failing_place(done: Visit, trail: Trail, steps: Sequence[Step]) -> int:
    """Which of the steps is the one that failed."""
    places = {(step.via, step.name): place for place, step in enumerate(steps)}
    undone = [place for place, step in enumerate(steps) if step.result is Result.UNKNOWN]
    if done.phase is not None and done.phase.value not in WAY:
        return places[None, _failing_name(done, trail.head)]
    name = done.phase.value if done.phase is not None else None
    if name is not None and done.status is Status.JUMP_FAILED:
        place = places.get((done.via, name), 0)
        if steps[place].result is Result.UNKNOWN:
            return place
        # It was passed, and does not lead on, or no longer.
        return next(at for at in range(place + 1, len(steps)) if steps[at].name == "connect")
    if name is not None and not (done.via and trail.passed and undone and steps[undone[0]].via):
        return places[None, name]
    return undone[0] if undone else len(steps) - 1


def _failing_name(done: Visit, head: probe.Answer | None) -> str:
    """On the node: which step a status in the phases `probe`, `daemon` and `parse` is about."""
    match done.status, done.phase:
        case Status.PARTIAL, _:
            return "figures"
        case Status.NO_DOCKER, _:
            return "docker"
        case Status.DOCKER_DENIED, _:
            return "permission"
        case _, Phase.DAEMON:
            return "daemon"
        case ((Status.BAD_CONFIG | Status.PROBE_OUTDATED), _):
            return "probe"
        case _, Phase.PROBE if head is None or head.version is None:
            return "probe"
    return "figures"


def _words(done: Visit, known: Known, trail: Trail) -> Words:
    """What the advice for a host calls the host, its doors, and the one that failed."""
    own, plain = known.way[-1], Words()
    failed = own
    if done.status is Status.JUMP_FAILED:
        failed = next((hop for hop in known.way if hop.name == done.via), own)
    tool = trail.head.lines("tool") if trail.head is not None else ()
    docker = next((path for path in tool if path in KNOWN_PLACES), None)
    return Words(
        host=done.host.name,
        address=own.address,
        port=str(own.port),
        user=own.user or plain.user,
        key=failed.key_files[0] if failed.key_files else plain.key,
        jumps=",".join(hop.place for hop in known.way[:-1]),
        via=done.via or plain.via,
        sudoers=way_to_line(done.host.name, docker),
    )
