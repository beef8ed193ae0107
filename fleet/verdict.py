"""What a node's answer means: the verdict table, and the figures that go with it. Pure.

`_TABLE` is asked row by row, from the first step of a visit that can fail to the last; the first
that speaks decides. A new way to fail is one row.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fleet import probe
from fleet.exact import Exact
from fleet.inventory import Host
from fleet.node_facts import Node, clock_skew, node_of, uptime_and_cpus
from fleet.reading import NOTHING_BEFORE, Before, Reading
from fleet.seen import Seen
from fleet.sources import Sample, docker
from fleet.states import ContainerState
from fleet.status import Phase, Status
from fleet.sudoers import REFUSED, SUDO_WORDS, refusal
from fleet.transport import MAX_STDOUT_BYTES, Ended, Reply

PATIENCE_S = {"ps1": 4.0, "stats": 9.0, "ps2": 4.0}
"""A daemon that kept a section waiting this long hangs; before, the visit was just too short."""

MAX_CONTAINERS = 2_000
"""Of one node that are kept, twice the ports of a bridge of Linux: all samples of a sweep stand in
memory together, and a node may say that it has a million.
"""

SHORTEST_S = 1.0
"""The least that the probe's clock allows a tool; what was killed before, somebody else killed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a visit that was answered ended; see `fleet.visit.Visit` for the fields."""

    status: Status
    phase: Phase | None
    detail: str | None
    samples: tuple[Sample, ...] = ()
    dropped: int = 0
    node_uptime_s: float | None = None
    source: str | None = None
    states: tuple[ContainerState, ...] = ()
    node: Node | None = None
    seen: Seen | None = None


def judge(
    host: Host, reply: Reply, complete_at: datetime, before: Before = NOTHING_BEFORE
) -> Verdict:
    """An answer that was complete at `complete_at` → its verdict. Whatever the node printed,
    nothing is raised.
    """
    answer = probe.cut(reply.stdout)
    if answer.version not in probe.READABLE_VERSIONS:  # what looks like rows there may be others
        answer = replace(answer, sections={})
    reading = Reading(host, answer, before)
    evidence = _Evidence(host, reply, answer, reading, _words(reply.stderr))
    finding = _finding(evidence)
    found = reading.exact
    if finding is not None and not found.samples and _is_silence(finding):
        found = reading.remembered
    if finding is None:
        notes = "; ".join(evidence.notes())
        status, phase, detail = Status.OK, None, notes or None
    else:
        status, phase, detail = finding
        if found.samples:
            status = Status.PARTIAL
            instead = not reading.without_docker or _is_silence(finding)
            if instead and found.counts and not reading.measured.samples:
                detail += "; what the kernel counts stands in"
    skew = clock_skew(answer, reply.run_s, complete_at)
    good = status in (Status.OK, Status.PARTIAL)
    samples = found.samples[:MAX_CONTAINERS] if good else ()
    added = max(0, len(found.samples) - len(reading.measured.samples))
    return Verdict(
        status,
        phase,
        detail,
        samples=samples,
        dropped=max(0, reading.measured.dropped - added) + _unread(reading, found),
        node_uptime_s=uptime_and_cpus(answer)[0],
        source=_source(samples, reading) if good else None,
        states=reading.states,
        node=node_of(answer, reading.node, reading.docker_version, skew),
        seen=reading.memory(found),
    )


def _is_silence(finding: "_Finding") -> bool:
    """Whether a finding is that of a daemon that does not answer."""
    status, phase, _detail = finding
    return phase is Phase.DAEMON and status in (Status.DOCKER_DOWN, Status.TIMEOUT)


def _unread(reading: Reading, found: Exact) -> int:
    """Containers that had no docker stats to drop their row, and were gone when it was over."""
    return len(found.gone) if reading.without_docker else 0


def _source(samples: Sequence[Sample], reading: Reading) -> str:
    """Where a host's figures come from: `docker`, `kernel`, or both."""
    sources = {sample.source for sample in samples}
    if not sources:
        return "kernel" if reading.without_docker else "docker"
    return sources.pop() if sources in ({"docker"}, {"kernel"}) else "docker+kernel"


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a verdict is made from: the host, its answer as it came, cut, and parsed."""

    host: Host
    reply: Reply
    answer: probe.Answer
    reading: Reading
    stderr_lines: tuple[str, ...]

    @property
    def measured(self) -> docker.Measured:
        return self.reading.measured

    @property
    def bad_lines(self) -> int:
        return self.reading.bad_lines

    @property
    def bad_text(self) -> str:
        return self.reading.bad_text

    def notes(self) -> Iterator[str]:
        """What is worth a word, though all is well."""
        renew = f"renew what {_authorize(self.host)} prints"
        if "kernel1" not in self.answer.sections:
            yield f"the forced command there is older and reads no exact counters: {renew}"
        elif self.host.source == "kernel" and not self.reading.without_docker:
            yield "the kernel's counters cannot be seen there: docker stats stands in"
        failed = any(self.answer.rc(name) for name in ("state", "version"))
        refused = any(REFUSED.search(line) for line in self.stderr_lines)
        if self.host.become and failed and refused:
            yield f"the sudoers there is older and does not allow docker inspect: {renew}"

    @property
    def cli(self) -> str:
        return self.host.runtime_path or "docker"

    def failed_part(self) -> tuple[str, int] | None:
        """The first of Docker's sections whose tool did not exit with 0."""
        for name in ("ps1", "stats", "ps2"):
            rc = self.answer.rc(name)
            if rc:
                return name, rc
        return None

    def last_words(self) -> str:
        """What the tools said last on stderr."""
        return self.stderr_lines[-1] if self.stderr_lines else "it said nothing"


def _words(stderr: bytes | bytearray) -> tuple[str, ...]:
    """The lines of stderr, the first 500 characters of each; Docker's warnings are no reason."""
    lines = (line.strip()[:500] for line in stderr.decode("utf-8", "replace").split("\n", 1000))
    return tuple(line for line in lines if line and not line.startswith("WARNING"))


_Finding = tuple[Status, Phase, str]


def _finding(evidence: _Evidence) -> _Finding | None:
    """The first row of the table that speaks; None when all is well."""
    return next(filter(None, (row(evidence) for row in _TABLE)), None)


def _no_format(evidence: _Evidence) -> _Finding | None:
    """Nothing of the probe's format came: say what came instead."""
    answer, reply = evidence.answer, evidence.reply
    if answer.version is not None:
        return None
    if reply.ended is Ended.TIMEOUT:
        return Status.TIMEOUT, Phase.PROBE, f"the probe said nothing within {reply.run_s:.0f} s"
    if reply.ended is Ended.LOST:
        return Status.SSH_ERROR, Phase.PROBE, "the connection broke before the probe spoke"
    said = f"not one line of the probe's format (exit status {reply.exit_status})"
    if answer.noise is not None:
        said += f", but {answer.noise[:200]!r}"
    elif evidence.stderr_lines:
        said += f", but on stderr {evidence.last_words()[:200]!r}"
    return Status.BAD_OUTPUT, Phase.PROBE, said


def _other_format(evidence: _Evidence) -> _Finding | None:
    version = evidence.answer.version
    if version in probe.READABLE_VERSIONS:
        return None
    readable = " and ".join(str(number) for number in probe.READABLE_VERSIONS)
    renew = f"renew it with what this prints: {_authorize(evidence.host)}"
    if version is not None and version > probe.VERSION:
        renew = f"it is newer than this fleet: upgrade fleet here, or {renew}"
    detail = (
        f"the node's forced command answers in format {version} of the probe; read here are "
        f"{readable}; {renew}"
    )
    return Status.PROBE_OUTDATED, Phase.PROBE, detail


def _authorize(host: Host) -> str:
    """The command that prints what a node must hold for this version of the probe."""
    return f"fleet authorize {shlex.quote(host.name)}"


def _refused_word(evidence: _Evidence) -> _Finding | None:
    if evidence.answer.rc("args") is None:
        return None
    detail = "the probe on the node refused a word of the request"
    if evidence.host.runtime_path:
        detail += " (fleet_runtime_path is not for a node with a forced command)"
    return Status.BAD_CONFIG, Phase.PROBE, detail


def _no_cli(evidence: _Evidence) -> _Finding | None:
    failed = evidence.failed_part()
    if evidence.answer.rc("tool") != probe.NOT_FOUND and not (failed and failed[1] in (126, 127)):
        return None
    return Status.NO_DOCKER, Phase.PROBE, f"no {evidence.cli} to run on the node"


_DENIED = re.compile(
    r"permission denied while trying to connect|dial unix \S{1,200}: connect: permission denied",
    re.IGNORECASE,
)


def _denied(evidence: _Evidence) -> _Finding | None:
    """The login may not ask Docker: not itself, or not by sudo."""
    if evidence.failed_part() is None:
        return None
    for line in evidence.stderr_lines if evidence.host.become else ():
        if REFUSED.search(line):
            return Status.DOCKER_DENIED, Phase.DAEMON, _sudo_refusal(evidence, line)
    for line in evidence.stderr_lines:
        if _DENIED.search(line):
            return Status.DOCKER_DENIED, Phase.DAEMON, line
    return None


def _sudo_refusal(evidence: _Evidence, line: str) -> str:
    """What sudo said, and what its sudoers lacks."""
    if evidence.answer.version == probe.VERSION:
        return refusal(line, evidence.host, evidence.answer.lines("tool"), evidence.reply.user)
    return f"{line[:SUDO_WORDS]}; renew forced command and sudoers: {_authorize(evidence.host)}"


def _hanging(evidence: _Evidence) -> _Finding | None:
    """A tool was ended by the clock: a frozen daemon, or a visit with too little time."""
    failed = evidence.failed_part()
    if failed is None or failed[1] not in probe.CLOCK_ENDED:
        return None
    name, waited_s = failed[0], evidence.reply.run_s
    command = "docker stats" if name == "stats" else "docker ps"
    if failed[1] != 124 and waited_s < SHORTEST_S:
        detail = f"{command} was killed on the node (exit status {failed[1]})"
        return Status.DOCKER_DOWN, Phase.DAEMON, detail
    detail = f"{command} gave no answer within {waited_s:.0f} s"
    if waited_s < PATIENCE_S[name]:
        return Status.TIMEOUT, Phase.DAEMON, f"{detail}, which was all the time it had"
    if name == "stats" and evidence.answer.rc("ps1") == 0:
        detail += ", though docker ps did: a stuck container, or containerd"
    return Status.DOCKER_DOWN, Phase.DAEMON, detail


def _failing(evidence: _Evidence) -> _Finding | None:
    """Docker's tool gave up by itself: no daemon, or a CLI that knows other options."""
    failed = evidence.failed_part()
    if failed is None:
        return None
    name, rc = failed
    command = "docker stats" if name == "stats" else "docker ps"
    detail = f"{command} failed with exit status {rc}: {evidence.last_words()}"
    if rc == 125:
        return Status.BAD_OUTPUT, Phase.PROBE, detail
    return Status.DOCKER_DOWN, Phase.DAEMON, detail


def _cut_off(evidence: _Evidence) -> _Finding | None:
    """The end of the answer is missing."""
    reply = evidence.reply
    if evidence.answer.whole:
        return None
    match reply.ended:
        case Ended.TIMEOUT:
            detail = f"the answer was not complete after {reply.run_s:.0f} s"
            return Status.TIMEOUT, Phase.PROBE, detail
        case Ended.FLOOD:
            detail = f"the answer was cut off at {MAX_STDOUT_BYTES // 1024 // 1024} MiB"
            return Status.BAD_OUTPUT, Phase.PROBE, detail
        case Ended.LOST:
            return Status.SSH_ERROR, Phase.PROBE, "the connection broke while the probe ran"
        case Ended.EXIT:
            detail = f"the answer was cut off (exit status {reply.exit_status})"
            return Status.BAD_OUTPUT, Phase.PROBE, detail


def _no_figures(evidence: _Evidence) -> _Finding | None:
    """Everything exited with 0, and yet nothing was measured: the daemon died in between."""
    measured = evidence.measured
    if measured.samples or not measured.unmeasured or evidence.bad_lines:
        return None
    detail = f"docker stats has no figures for any of {len(measured.unmeasured)} running containers"
    return Status.DOCKER_DOWN, Phase.DAEMON, detail


def _not_understood(evidence: _Evidence) -> _Finding | None:
    if not evidence.bad_lines:
        return None
    lines = "1 line" if evidence.bad_lines == 1 else f"{evidence.bad_lines} lines"
    detail = f"{lines} could not be understood: {evidence.bad_text}"
    return Status.BAD_OUTPUT, Phase.PARSE, detail


def _no_stats(evidence: _Evidence) -> _Finding | None:
    if evidence.answer.rc("stats") is not None or evidence.reading.without_docker:
        return None
    return Status.BAD_OUTPUT, Phase.PARSE, "the answer has no figures section"


def _too_many(evidence: _Evidence) -> _Finding | None:
    count = len(evidence.reading.exact.samples)
    if count <= MAX_CONTAINERS:
        return None
    detail = f"{count} containers, of which {MAX_CONTAINERS} are kept"
    return Status.PARTIAL, Phase.PARSE, detail


def _not_measured(evidence: _Evidence) -> _Finding | None:
    names = evidence.reading.unmeasured
    if not names:
        return None
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    detail = f"{len(names)} running but not measured: {shown}"
    return Status.PARTIAL, Phase.DAEMON, detail


_TABLE: tuple[Callable[[_Evidence], _Finding | None], ...] = (
    _no_format,
    _other_format,
    _refused_word,
    _denied,
    _no_cli,
    _hanging,
    _failing,
    _cut_off,
    _no_figures,
    _not_understood,
    _no_stats,
    _too_many,
    _not_measured,
)
"""With at least one good row, the status becomes `partial` and keeps its reason."""
