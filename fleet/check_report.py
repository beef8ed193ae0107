"""Checked hosts → what a person or a program reads. Pure.

A few hosts are shown step by step; of many, those that fail have a line each, the others one
together, and advice that fits several hosts is given once.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.advice import Advice, advise, as_lines, common
from fleet.causes import Cause
from fleet.check import Checked
from fleet.report import count, folded
from fleet.status import Status
from fleet.steps import TITLES, Result, Step
from fleet.table import Column, lines

FEW_HOSTS = 5
"""So many hosts are shown step by step."""

WIDTH = 100
"""Of lines where there is no terminal that says."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How hosts are shown: every step of each, where each setting comes from, and how wide."""

    steps: bool = True
    settings: bool = False
    width: int = WIDTH


def as_text(checked: Sequence[Checked], shown: Shown) -> str:
    """What a person reads, in the order of the hosts; the count at the end."""
    parts = _in_full(checked, shown) if shown.steps else _in_short(checked, shown)
    parts.append([_total(checked)])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def as_json(checked: Sequence[Checked]) -> str:
    """One object: `{"hosts": [{"host": …, "steps": […], "advice": …}]}`."""
    document = {"hosts": [_object(one) for one in checked]}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _in_full(checked: Sequence[Checked], shown: Shown) -> list[list[str]]:
    return [
        [
            headline(one),
            *_indented(step_lines(one.steps)),
            *_indented(f"note: {note}" for note in one.known.notes),
            *_indented(_setting_lines(one) if shown.settings else ()),
            *_indented(as_lines(one.advice, shown.width - 2) if one.advice else ()),
        ]
        for one in checked
    ]


def headline(one: Checked) -> str:
    """A host, and how its visit ended."""
    done = one.visit
    text = f"{one.host.name}  {done.status}"
    if one.host.maintenance:
        text += " (maintenance)"
    if not one.steps:
        return f"{text}: not visited: {done.detail}"
    if done.status in (Status.OK, Status.PARTIAL):
        text += f": {count(one.containers, 'container')}"
    text += f", {done.elapsed_s:.1f} s"
    return f"{text}, by way of {done.via}" if done.via else text


def step_lines(steps: Sequence[Step]) -> list[str]:
    """A line for each step."""
    if not steps:
        return []
    rows = [
        (step.result.value, f"{step.via}: " if step.via else "", TITLES[step.name], _seen(step))
        for step in steps
    ]
    columns = [
        [result for result, *_rest in rows],
        [via + title for _result, via, title, _seen in rows],
        [seen for *_rest, seen in rows],
    ]
    return lines([Column("", column) for column in columns])[1:]


def _seen(step: Step) -> str:
    if step.seconds is None or step.result is Result.FAILED:
        return step.seen
    took = f"{step.seconds * 1000:.0f} ms" if step.seconds < 1 else f"{step.seconds:.1f} s"
    return f"{step.seen} ({took})" if step.seen else took


def _setting_lines(one: Checked) -> list[str]:
    if not one.known.settings:
        return []
    names, values, origins = zip(*one.known.settings, strict=True)
    columns = [Column("setting", names), Column("value", values), Column("from", origins)]
    return lines(columns)


def _in_short(checked: Sequence[Checked], shown: Shown) -> list[list[str]]:
    good = [one for one in checked if not one.failed]
    bad = [one for one in checked if one.failed]
    first = [f"ok {len(good)}: {folded(one.host.name for one in good)}"] if good else []
    first += _failures(bad)
    notes = [f"note: {text} ({hosts})" for text, hosts in _notes(checked)]
    return [first, notes, *_advice(bad, shown.width)]


def _failures(bad: Sequence[Checked]) -> list[str]:
    if not bad:
        return []
    columns = (
        [one.host.name for one in bad],
        [f"{one.visit.status}{' (maintenance)' if one.host.maintenance else ''}" for one in bad],
        [_failed_at(one) for one in bad],
    )
    return lines([Column("", column) for column in columns])[1:]


def _failed_at(one: Checked) -> str:
    step = one.failed_step
    if step is None:
        return one.visit.detail or ""
    via = f"{step.via}: " if step.via else ""
    return f"{via}{TITLES[step.name]}: {step.seen}"


def _notes(checked: Iterable[Checked]) -> list[tuple[str, str]]:
    """Each note once: what is of many hosts, and which they are."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for one in checked:
        for note in (*one.known.notes, *_warnings(one)):
            hosts[note].append(one.host.name)
    return [(note, folded(names)) for note, names in hosts.items()]


def _warnings(one: Checked) -> list[str]:
    warned = [step for step in one.steps if step.result is Result.WARNING]
    return [f"{TITLES[step.name]}: {step.seen}" for step in warned]


def _advice(bad: Iterable[Checked], width: int) -> list[list[str]]:
    """Advice once for all hosts that failed alike, the most frequent first."""
    groups: dict[tuple[Status, tuple[Cause, ...]], list[Checked]] = defaultdict(list)
    for one in bad:
        groups[one.visit.status, one.causes].append(one)
    parts = []
    for (status, causes), alike in sorted(groups.items(), key=lambda group: -len(group[1])):
        advice = advise(status, causes, common([one.words for one in alike]))
        names = folded(one.host.name for one in alike)
        parts.append(as_lines(advice, width, f"({names})"))
    return parts


def _total(checked: Sequence[Checked]) -> str:
    failed = [one for one in checked if one.failed and not one.host.maintenance]
    down = sum(one.failed and one.host.maintenance for one in checked)
    text = f"{count(len(checked), 'host')}, {len(failed)} failed"
    return f"{text}, {down} down for maintenance" if down else text


def _indented(texts: Iterable[str]) -> list[str]:
    return [f"  {text}" for text in texts]


def _object(one: Checked) -> dict[str, Any]:
    done, own = one.visit, one.known.way[-1]
    return {
        "host": one.host.name,
        "address": own.address,
        "port": own.port,
        "user": own.user,
        "jumps": [hop.place for hop in one.known.way[:-1]],
        "status": done.status,
        "phase": done.phase,
        "detail": done.detail,
        "via": done.via,
        "maintenance": one.host.maintenance,
        "containers": one.containers,
        "elapsed": round(done.elapsed_s, 3),
        "steps": [
            {
                "step": step.name,
                "result": step.result.name.lower(),
                "seen": step.seen or None,
                "via": step.via,
                "elapsed": None if step.seconds is None else round(step.seconds, 3),
            }
            for step in one.steps
        ],
        "advice": _advice_object(one.advice) if one.advice else None,
        "settings": [setting._asdict() for setting in one.known.settings],
        "notes": list(one.known.notes),
    }


def _advice_object(advice: Advice) -> dict[str, Any]:
    return {
        "meaning": advice.meaning,
        "causes": [
            {
                "cause": what,
                "cures": [{"text": cure.text, "command": cure.command} for cure in cures],
            }
            for what, cures in advice.causes
        ],
    }
