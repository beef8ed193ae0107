"""What is done with the keys that a host shows: known ones, files and flags against each other."""

import pytest

from fleet.transport.host_keys import KnownHosts, Trust, pinned
from fleet.trust.given import Vouch, given_by
from fleet.trust.judge import Action, Decision, Flags, Standing, decide
from tests.trust_texts import MadeKey, made

RSA, ED, ECDSA = made("rsa"), made("ed25519"), made("ecdsa")
OTHER = made("ed25519", "other")
NAME = "10.0.0.1"
NOBODY = Trust()
NEVER = Flags()
FIRST_USE = Flags(accept_new=True)
FILE = Flags(given=True)


def known(*keys: MadeKey, revoked: tuple[MadeKey, ...] = ()) -> Trust:
    """What a file says that names these keys."""
    lines = [f"{NAME} {key.text}" for key in keys]
    lines += [f"@revoked * {key.text}" for key in revoked]
    return KnownHosts(lines, "hosts").trust_by(NAME)


def vouching(*keys: MadeKey, lines: str = "") -> Vouch | None:
    """What `--from` says that lists these keys."""
    return given_by([("file", "\n".join(key.listed() for key in keys) + lines)]).of([NAME])


def says(decision: Decision) -> list[tuple[str, str]]:
    """Standing and action of every key."""
    return [(str(key.standing), str(key.action)) for key in decision.keys]


@pytest.mark.parametrize(
    ("trust", "vouch", "flags", "outcome", "errors", "trusted"),
    [
        # nothing is recorded without a flag
        (NOBODY, None, NEVER, "new none", 0, False),
        (known(ED), None, NEVER, "known none", 0, True),
        (known(OTHER), None, NEVER, "changed none", 0, False),
        (known(RSA), None, NEVER, "changed none", 0, False),
        (known(revoked=(ED,)), None, NEVER, "revoked none", 0, False),
        # a file that has the key
        (NOBODY, vouching(ED), FILE, "new recorded", 0, True),
        (known(ED), vouching(ED), FILE, "known none", 0, True),
        (known(OTHER), vouching(ED), FILE, "changed refused", 1, False),
        (known(OTHER), vouching(ED), Flags(True, False, True), "changed recorded", 0, True),
        (known(RSA), vouching(ED), Flags(True, False, True), "changed recorded", 0, True),
        (known(revoked=(ED,)), vouching(ED), Flags(True, True, True), "revoked refused", 1, False),
        # a file that has another
        (NOBODY, vouching(OTHER), FILE, "new refused", 1, False),
        (NOBODY, vouching(OTHER), Flags(True, True, True), "new refused", 1, False),
        (NOBODY, vouching(RSA), FILE, "new refused", 1, False),
        (known(ED), vouching(OTHER), FILE, "known refused", 1, False),
        (known(OTHER), vouching(OTHER), Flags(True, False, True), "changed refused", 1, False),
        # a file that says nothing of the host
        (NOBODY, None, FILE, "new none", 0, False),
        (known(ED), None, FILE, "known none", 0, True),
        (known(OTHER), None, FILE, "changed none", 0, False),
        (NOBODY, None, Flags(True, True), "new recorded", 0, True),
        # first use
        (NOBODY, None, FIRST_USE, "new recorded", 0, True),
        (known(ED), None, FIRST_USE, "known none", 0, True),
        (known(OTHER), None, FIRST_USE, "changed refused", 1, False),
        (known(RSA), None, FIRST_USE, "changed refused", 1, False),
        (known(OTHER), None, Flags(False, True, True), "changed recorded", 0, True),
        (known(revoked=(ED,)), None, FIRST_USE, "revoked refused", 1, False),
        # pins of the inventory
        (pinned([ED.fingerprint]), None, NEVER, "known none", 0, True),
        (pinned([OTHER.text]), None, FIRST_USE, "changed refused", 1, False),
        (pinned([OTHER.fingerprint]), vouching(ED), FILE, "changed refused", 1, False),
        (
            pinned([OTHER.text]),
            vouching(ED),
            Flags(True, False, True),
            "changed recorded",
            0,
            False,
        ),
    ],
)
def test_one_key(
    trust: Trust, vouch: Vouch | None, flags: Flags, outcome: str, errors: int, trusted: bool
) -> None:
    """A host that shows one key: every row of the table."""
    decision = decide("web1", [ED], trust, vouch, flags)
    assert [" ".join(pair) for pair in says(decision)] == [outcome]
    assert len(decision.errors) == errors
    unnamed = flags == FILE and vouch is None and not outcome.startswith("known")
    assert decision.unnamed is unnamed
    assert all(line.startswith("web1") for line in decision.errors)
    assert decision.trusted is trusted


def test_all_keys_on_first_use() -> None:
    """All the types that a host shows are recorded together."""
    decision = decide("web1", [ECDSA, ED, RSA], NOBODY, None, FIRST_USE)
    assert [key.fingerprint for key in decision.recorded] == [
        key.fingerprint for key in (ECDSA, ED, RSA)
    ]
    assert decision.trusted


def test_another_type_beside_a_known_key() -> None:
    """It is new, no change; first use does not take it in, for the host is known; a file does."""
    shown = [ED, RSA]
    for flags in (NEVER, FIRST_USE):
        decision = decide("web1", shown, known(ED), None, flags)
        assert says(decision) == [("known", "none"), ("new", "none")]
        assert decision.trusted
    decision = decide("web1", shown, known(ED), vouching(ED, RSA), FILE)
    assert says(decision) == [("known", "none"), ("new", "recorded")]


def test_another_type_beside_a_pin() -> None:
    """What the inventory pins counts alone: nothing is recorded that would not."""
    decision = decide("web1", [ED, RSA], pinned([ED.text]), vouching(ED, RSA), FILE)
    assert says(decision) == [("known", "none"), ("new", "none")]
    assert decision.trusted


def test_other_types_without_the_known_key() -> None:
    """Who does not show the known key is changed whatever he shows."""
    decision = decide("web1", [ECDSA, RSA], known(ED), None, FIRST_USE)
    assert says(decision) == [("changed", "refused"), ("changed", "refused")]
    assert not decision.recorded


def test_one_type_changed_beside_a_known_one() -> None:
    """A visit would pass by the other type, but this needs eyes."""
    decision = decide("web1", [OTHER, RSA], known(ED, RSA), None, NEVER)
    assert says(decision) == [("changed", "none"), ("known", "none")]
    assert not decision.trusted


def test_a_file_with_some_types() -> None:
    """What the file has is recorded; types it does not speak of are left, without an error."""
    decision = decide("web1", [ECDSA, ED, RSA], NOBODY, vouching(ED), FILE)
    assert says(decision) == [("new", "none"), ("new", "recorded"), ("new", "none")]
    assert decision.errors == ()
    assert decision.trusted


def test_a_file_with_one_wrong_type() -> None:
    """The type that differs is an error with both fingerprints and the place; the other counts."""
    decision = decide("web1", [OTHER, RSA], NOBODY, vouching(ED, RSA), FILE)
    assert says(decision) == [("new", "refused"), ("new", "recorded")]
    (line,) = decision.errors
    assert line == (
        f"web1 shows ssh-ed25519 {OTHER.fingerprint}, but the file says {ED.fingerprint} (file:1): "
        "not recorded"
    )
    assert not decision.trusted


def test_first_use_does_not_add_to_a_file() -> None:
    """With both flags the file alone counts for the hosts that it speaks of."""
    decision = decide("web1", [ED, RSA], NOBODY, vouching(ED), Flags(True, True))
    assert says(decision) == [("new", "recorded"), ("new", "none")]


def test_a_file_that_revokes() -> None:
    """A key that the file marks is refused, on first use as well."""
    vouch = vouching(lines=f"\n@revoked {NAME} {ED.text}")
    for flags in (FILE, Flags(True, True, True)):
        decision = decide("web1", [ED], NOBODY, vouch, flags)
        assert says(decision) == [("new", "refused")]
        assert "@revoked" in decision.errors[0]


def test_a_changed_key_names_the_way_out() -> None:
    """The line says who knows the old key, and what replaces it."""
    decision = decide("web1", [ED], known(OTHER), vouching(ED), FILE)
    assert "(hosts:1)" in decision.errors[0]
    assert "--replace web1 records it" in decision.errors[0]
    decision = decide("web1", [ED], known(OTHER), None, FIRST_USE)
    assert "find out why; where the change is right, --replace web1" in decision.errors[0]


def test_what_is_forgotten() -> None:
    """Old keys go when a new one came in their place; those that are shown and known stay."""
    flags = Flags(True, False, True)
    decision = decide("web1", [OTHER, RSA], known(ED, RSA), vouching(OTHER), flags)
    assert decision.forget
    assert decision.kept == {OTHER.blob, RSA.blob}
    assert decision.trusted
    assert not decide("web1", [OTHER], known(ED), vouching(made("rsa", "x")), flags).forget
    assert not decide("web1", [ED], known(ED), None, Flags(False, True, True)).forget


def test_old_keys_of_a_host_whose_key_is_confirmed() -> None:
    """A file that confirms a known key lets the others be forgotten with --replace."""
    decision = decide("web1", [ED], known(ED, OTHER), vouching(ED), Flags(True, False, True))
    assert decision.forget
    assert decision.kept == {ED.blob}


def test_revoked_keys_are_never_recorded() -> None:
    """No flag and no file records one, whatever else is known."""
    for given in (False, True):
        for accept in (False, True):
            for replace in (False, True):
                for vouch in (None, vouching(ED)):
                    for trust in (known(revoked=(ED,)), known(ED, revoked=(ED,))):
                        flags = Flags(given, accept, replace)
                        decision = decide("web1", [ED], trust, vouch, flags)
                        assert decision.keys[0].standing is Standing.REVOKED
                        assert decision.keys[0].action is not Action.RECORD
                        assert not decision.trusted
