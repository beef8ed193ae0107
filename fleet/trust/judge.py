"""What is to be done with the keys that a host shows: the decision, and nothing else. Pure.

| a key is | without a flag | `--from` has it | `--from` has another | `--accept-new` |
|---|---|---|---|---|
| known | - | - | error | - |
| new, of a host without any known key | shown | recorded | error | recorded |
| new, beside a known one | shown | recorded | error | shown |
| changed | shown | error; recorded with `--replace` | error | error; recorded with `--replace` |
| revoked | shown | error | error | error |

Where `--from` says something of a host, that alone counts for it; `--accept-new` is for the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleet.transport.host_keys import PINNED, Match, Trust
from fleet.trust.given import Verdict, Vouch
from fleet.trust.keys import Key, family_of


class Standing(StrEnum):
    """What was known of a key before this run."""

    KNOWN = "known"
    NEW = "new"
    CHANGED = "changed"
    REVOKED = "revoked"


class Action(StrEnum):
    """What this run does with it."""

    NONE = "none"
    RECORD = "recorded"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True)
class Flags:
    """What a command was told, for one host: `replace` is whether it was named."""

    given: bool = False
    accept_new: bool = False
    replace: bool = False

    @property
    def records(self) -> bool:
        """Whether anything is to be recorded at all."""
        return self.given or self.accept_new


@dataclass(frozen=True, slots=True)
class Judged:
    """One key that a host shows: `source` says who knows it, `reason` why it is refused."""

    kind: str
    blob: bytes
    fingerprint: str
    standing: Standing
    action: Action = Action.NONE
    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done for one host.

    `unnamed` is whether nothing is known of it and the files say nothing of it; `forget`, whether
    our own file loses the keys of this host that are not shown as trusted; `trusted`, whether a
    visit will pass, and nothing about its keys needs eyes.
    """

    host: str
    keys: tuple[Judged, ...]
    errors: tuple[str, ...] = ()
    unnamed: bool = False
    forget: bool = False
    trusted: bool = False

    @property
    def recorded(self) -> tuple[Judged, ...]:
        """The keys that go into our own file."""
        return tuple(key for key in self.keys if key.action is Action.RECORD)

    @property
    def kept(self) -> frozenset[bytes]:
        """The keys that stay there although the others of this host are forgotten."""
        good = (key for key in self.keys if key.standing is Standing.KNOWN)
        return frozenset(key.blob for key in (*good, *self.recorded))


def decide(
    host: str, shown: Sequence[Key], trust: Trust, vouch: Vouch | None, flags: Flags
) -> Decision:
    """Judge the keys that a host shows by what is known of it and what the files say."""
    standings = _standings(shown, trust)
    judged = [
        _judged(host, key, standing, shown, trust, vouch, flags)
        for key, standing in zip(shown, standings, strict=True)
    ]
    errors = [key.reason for key in judged if key.reason is not None]
    silent = flags.given and vouch is None and not flags.accept_new
    recorded = any(key.action is Action.RECORD for key in judged)
    replaced = flags.replace and (recorded or _confirmed(judged, shown, vouch))
    pinned = PINNED in trust.said_by.values()
    passes = any(
        key.standing is Standing.KNOWN or (key.action is Action.RECORD and not pinned)
        for key in judged
    )
    alarming = any(
        key.standing in (Standing.CHANGED, Standing.REVOKED) and key.action is not Action.RECORD
        for key in judged
    )
    return Decision(
        host,
        tuple(judged),
        errors=tuple(errors),
        unnamed=silent and Standing.KNOWN not in standings,
        forget=replaced,
        trusted=passes and not alarming and not errors,
    )


def _standings(shown: Sequence[Key], trust: Trust) -> list[Standing]:
    """One for each key. Another key of a type for which none is known is no change, as long as a
    known one is shown beside it; where none is, all are: who shows a key of a new type only may be
    somebody else.
    """
    matches = [trust.match(key.kind, key.blob, key.fingerprint) for key in shown]
    families = {family_of(kind) for kind, _blob in trust.keys}

    def standing(key: Key, match: Match) -> Standing:
        if match is Match.CHANGED:
            beside = Match.TRUSTED in matches and family_of(key.kind) not in families
            return Standing.NEW if beside else Standing.CHANGED
        return _STANDINGS[match]

    return [standing(key, match) for key, match in zip(shown, matches, strict=True)]


_STANDINGS = {
    Match.TRUSTED: Standing.KNOWN,
    Match.UNKNOWN: Standing.NEW,
    Match.REVOKED: Standing.REVOKED,
}


def _judged(
    host: str,
    key: Key,
    standing: Standing,
    shown: Sequence[Key],
    trust: Trust,
    vouch: Vouch | None,
    flags: Flags,
) -> Judged:
    def verdict(
        action: Action = Action.NONE, reason: str | None = None, source: str | None = None
    ) -> Judged:
        return Judged(key.kind, key.blob, key.fingerprint, standing, action, source, reason)

    shows = f"{host} shows {key.kind} {key.fingerprint}"
    source = trust.source(key.blob, key.fingerprint) if standing is Standing.KNOWN else None
    if not flags.records:
        return verdict(source=source)
    if standing is Standing.REVOKED:
        return verdict(Action.REFUSE, f"{shows}, which is marked @revoked: it is never recorded")
    said = vouch.verdict(key, shown) if vouch is not None else None
    if vouch is not None and said is Verdict.REVOKED:
        return verdict(Action.REFUSE, f"{shows}, which the file marks @revoked", source)
    if vouch is not None and said is Verdict.MISMATCH:
        return verdict(Action.REFUSE, f"{shows}, {_instead(vouch, key)}", source)
    if standing is Standing.KNOWN:
        return verdict(source=source)
    if said is Verdict.SILENT or (said is None and not flags.accept_new):
        return verdict()
    if standing is Standing.CHANGED and not flags.replace:
        return verdict(Action.REFUSE, f"{shows}, {_not_replaced(host, trust, said)}")
    beside = standing is Standing.NEW and bool(trust.keys or trust.fingerprints)
    if beside and ((said is None and not flags.replace) or PINNED in trust.said_by.values()):
        return verdict()
    return verdict(Action.RECORD)


def _confirmed(judged: Sequence[Judged], shown: Sequence[Key], vouch: Vouch | None) -> bool:
    """Whether the files have a key that is known already, so that the others may be forgotten."""
    return any(
        key.standing is Standing.KNOWN
        and vouch is not None
        and vouch.verdict(key, shown) is Verdict.MATCH
        for key in judged
    )


def _instead(vouch: Vouch, key: Key) -> str:
    """What the files say where a key was not found in them."""
    said = vouch.against(key) or vouch.prints
    words = [f"{one.fingerprint} ({one.place})" for one in said[:3]]
    if not words:
        return "which the file does not have"
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return f"but the file says {', '.join(words)}{more}: not recorded"


def _not_replaced(host: str, trust: Trust, said: Verdict | None) -> str:
    known = sorted({str(place) for place in trust.said_by.values()})
    where = f" ({', '.join(known[:3])})" if known else ""
    if said is Verdict.MATCH:
        way = f"the file has it, so --replace {host} records it in the old one's place"
    else:
        way = (
            "find out why; where the change is right, --replace "
            f"{host} with --from FILE records it in the old one's place"
        )
    return f"which is not the key known for it{where}: {way}"
