"""What each status means and what to do about it: for the manual's page, and for one host. Pure.

The texts are those of `fleet.causes`; nothing else says what to do about a status.
"""

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from fleet.causes import CHAPTERS, About, Cause
from fleet.status import Phase, Status
from fleet.sudoers import way_to_line

PAGE_WIDTH = 100
FEW_NAMES = 8
"""So many hosts are named in one command."""

_PREFACE = """
Each visit ends with one status, stored in `hostStatus` with a *phase* (the step that it points at)
and a *detail* (at most 500 characters, safe to print). With at least one good row, whatever went
wrong after it makes the visit `partial`. `fleet check HOST` goes through a visit step by step, and
says for the first step that fails what is said here, with the host's own names in it.
"""
_ABOUT: dict[Status, About] = {
    status: about for chapter in CHAPTERS.values() for status, about in chapter.items()
}


@dataclass(frozen=True, slots=True)
class Words:
    """What stands in the cures for what differs from host to host.

    `jumps` are the bastions on the way, as ssh(1) takes them after `-J`; `via` is the one that
    failed; `sudoers` prints the line that lets the user run what the probe runs. What is not known
    keeps the word that the manual has.
    """

    host: str = "HOST"
    address: str = "ADDRESS"
    port: str = "PORT"
    user: str = "USER"
    key: str = "KEY"
    jumps: str = ""
    via: str = "BASTION"
    sudoers: str = way_to_line("HOST")

    @property
    def ssh(self) -> str:
        """The login by hand."""
        options = [f"-p {self.port}"]
        if self.jumps:
            options.append(f"-J {shlex.quote(self.jumps)}")
        if self.key != "KEY":
            options.append(f"-i {shlex.quote(self.key)}")
        return f"ssh {' '.join(options)} {shlex.quote(f'{self.user}@{self.address}')}"

    def put_into(self, text: str) -> str:
        """A text with these words for those in braces."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        known |= {name: shlex.quote(known[name]) for name in ("host", "key", "via", "user")}
        return text.format_map({**known, "ssh": self.ssh})


@dataclass(frozen=True, slots=True)
class Cure:
    """Something to do: in words, and the command that does it or helps to."""

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about one failure: what its status means, and the causes that fit its detail."""

    status: Status
    meaning: str
    causes: tuple[tuple[str, tuple[Cure, ...]], ...]


def advise(status: Status, causes: Sequence[Cause], words: Words) -> Advice:
    """The advice for a status that has come about in one of these ways, in the words of a host."""
    return Advice(
        status,
        words.put_into(_ABOUT[status].meaning),
        tuple(
            (words.put_into(cause.what), tuple(_cure(words.put_into(cure)) for cure in cause.cures))
            for cause in causes
        ),
    )


def common(words: Sequence[Words]) -> Words:
    """Words for advice to several hosts: what they share, the names of a few, else the manual's."""
    plain = Words()
    shared = {
        one.name: value if len({getattr(word, one.name) for word in words}) == 1 else default
        for one in fields(Words)
        for value, default in [(getattr(words[0], one.name), getattr(plain, one.name))]
    }
    if 1 < len(words) <= FEW_NAMES:
        shared["host"] = ",".join(word.host for word in words)
    return Words(**shared)


def likely(status: Status, phase: Phase | None, detail: str | None) -> tuple[Cause, ...]:
    """The causes that a failure's phase and detail speak for: the first whose words are found
    there; else those of the phase that have no words of their own; else those of any phase.
    """
    causes = _ABOUT[status].causes
    here = [cause for cause in causes if cause.phase in (None, phase)] or causes
    for cause in here:
        if cause.seen and re.search(cause.seen, detail or "", re.IGNORECASE):
            return (cause,)
    plain = [cause for cause in here if not cause.seen]
    return tuple([cause for cause in plain if cause.phase is not None] or plain or here)


def as_lines(advice: Advice, width: int, hosts: str = "") -> list[str]:
    """Advice as it is read on a terminal: commands stand on lines of their own. `hosts` says for
    which hosts, where that is not plain.
    """
    lines = _wrapped(f"{advice.status}{hosts and f' {hosts}'}: {advice.meaning}", width, "", "  ")
    for what, cures in advice.causes:
        lines += _wrapped(what, width, "  ", "  ")
        for cure in cures:
            lines += _wrapped(cure.text, width, "  - ", "    ")
            if cure.command is not None:
                lines.append(f"      {cure.command}")
    return [line.replace("`", "") for line in lines]


def as_page() -> str:
    """The manual's page of statuses, `docs/statuses.md`."""
    words = Words()
    lines = ["# Every status, its causes and its cures", *_PREFACE.rstrip().splitlines()]
    for chapter, statuses in CHAPTERS.items():
        lines += ["", f"## {chapter}", ""]
        for status, about in statuses.items():
            lines += _entry(status, about, words)
    return "\n".join(lines) + "\n"


def _entry(status: Status, about: About, words: Words) -> Iterator[str]:
    phase = f", phase `{about.phase}`" if about.phase else ""
    yield from _wrapped(f"**`{status}`**{phase}. {about.meaning}", PAGE_WIDTH, "- ", "  ")
    for cause in about.causes:
        shows = f"Phase `{cause.phase}`. " if cause.phase and not about.phase else ""
        text = " ".join([shows + cause.what, *(_sentence(cure) for cure in cause.cures)])
        yield from _wrapped(words.put_into(text), PAGE_WIDTH, "  - ", "    ")


def _cure(text: str) -> Cure:
    """A cure's text, and the command at its end, apart."""
    match = re.fullmatch(r"(.*:) `([^`]+)`", text)
    return Cure(match[1], match[2]) if match else Cure(text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _wrapped(text: str, width: int, first: str, then: str) -> list[str]:
    """A text in lines; what stands between backticks is not broken."""
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
