"""What a run of `fleet trust` prints: a table or JSON, and the lines on what to do. Pure."""

import json
from collections.abc import Sequence

from fleet.report import MAX_SUMMARY_LINES, count, folded
from fleet.table import Column, lines, wrapped
from fleet.trust.judge import Action, Judged, Standing
from fleet.trust.round import Found, Order, Outcome

UNKNOWN = "-"


def as_table(outcome: Outcome, width: int | None = None) -> str:
    """A line for each key, then one for each host without any; `width` is the terminal's."""
    parts = []
    rows = [(one, key) for one in outcome.found if one.decision for key in one.decision.keys]
    if rows:
        columns = [
            Column("HOST", [one.host.name for one, _key in rows]),
            Column("ADDRESS", [_address(one) for one, _key in rows]),
            Column("TYPE", [key.kind for _one, key in rows]),
            Column("FINGERPRINT", [key.fingerprint for _one, key in rows]),
            Column("STANDING", [_standing(key) for _one, key in rows]),
        ]
        parts.append(lines(columns))
    dead = [one for one in outcome.found if one.decision is None]
    if dead:
        columns = [
            Column("HOST", [one.host.name for one in dead]),
            Column("ADDRESS", [_address(one) for one in dead]),
            Column("STATUS", [str(one.answer.status) for one in dead]),
            Column("WHY", [_why(one) for one in dead]),
        ]
        parts.append(wrapped(columns, width))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def as_json(outcome: Outcome) -> str:
    """One object: `{"hosts": [{…, "keys": [{…}]}]}`; unknown is null."""
    return json.dumps({"hosts": [_host(one) for one in outcome.found]}, indent=2) + "\n"


def said(outcome: Outcome, order: Order, file: str) -> list[str]:
    """What needs eyes: errors, what was recorded in `file`, and what is to be done."""
    decisions = [one.decision for one in outcome.found if one.decision is not None]
    told = [error for decision in decisions for error in decision.errors]
    if len(told) > MAX_SUMMARY_LINES:
        left_out = len(told) - MAX_SUMMARY_LINES + 1
        told[MAX_SUMMARY_LINES - 1 :] = [f"… and {left_out} more keys that are refused"]
    if unnamed := [decision.host for decision in decisions if decision.unnamed]:
        told.append(f"the files given with --from say nothing of {folded(unnamed)}")
    recorded = [decision for decision in decisions if decision.recorded]
    if recorded:
        keys = sum(len(decision.recorded) for decision in recorded)
        told.append(
            f"recorded in {file}: {count(keys, 'key')} of {count(len(recorded), 'host')}: "
            f"{folded(decision.host for decision in recorded)}"
        )
    told += outcome.leftovers
    if order.records:
        return told
    waiting = [one.host.name for one in outcome.found if _waits(one, Standing.NEW)]
    changed = [one.host.name for one in outcome.found if _waits(one, Standing.CHANGED)]
    if waiting:
        told.append(
            f"nothing is recorded for {folded(waiting)}: --from FILE records the keys that came by "
            "another road as well (an instance's console output, a known_hosts file), "
            "--accept-new trusts them on first use"
        )
    if changed:
        told.append(
            f"the key of {folded(changed)} has changed: find out why; where the change is right, "
            "--replace HOST with --from FILE records it in the old one's place"
        )
    return told


def _waits(one: Found, standing: Standing) -> bool:
    """Whether an untrusted host shows a key of this standing."""
    keys = one.decision.keys if one.decision is not None else ()
    return not one.trusted and any(key.standing is standing for key in keys)


def _address(one: Found) -> str:
    if one.door is None:
        return one.host.address or UNKNOWN
    address, port = one.door.address, one.door.port
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _standing(key: Judged) -> str:
    if key.action is not Action.NONE:
        return f"{key.standing}, {key.action}"
    return f"{key.standing} ({key.source})" if key.source is not None else str(key.standing)


def _why(one: Found) -> str:
    detail = one.answer.detail or ""
    return f"via {one.answer.via}: {detail}" if one.answer.via else detail


def _host(one: Found) -> dict[str, object]:
    keys: Sequence[Judged] = one.decision.keys if one.decision is not None else ()
    return {
        "host": one.host.name,
        "address": one.door.address if one.door is not None else one.host.address,
        "port": one.door.port if one.door is not None else one.host.port,
        "known_as": one.door.known_as if one.door is not None else None,
        "status": str(one.answer.status),
        "detail": one.answer.detail,
        "via": one.answer.via,
        "trusted": one.trusted,
        "keys": [
            {
                "type": key.kind,
                "fingerprint": key.fingerprint,
                "standing": str(key.standing),
                "source": key.source,
                "action": str(key.action),
                "reason": key.reason,
            }
            for key in keys
        ],
    }
