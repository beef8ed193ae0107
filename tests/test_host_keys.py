"""Which keys a host may show: known_hosts as OpenSSH reads it, and pinned keys."""

import base64
import hashlib
import shutil
import subprocess

import pytest

from fleet.errors import UsageError
from fleet.transport.host_keys import KnownHosts, Match, Trust, pinned

KEY = base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519" + b"k" * 36).decode()
OTHER = base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519" + b"o" * 36).decode()
BLOB, OTHER_BLOB = base64.b64decode(KEY), base64.b64decode(OTHER)


def _print(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _match(lines, address="web1", port=22, blob=BLOB, kind="ssh-ed25519"):
    return KnownHosts(lines).trust(address, port).match(kind, blob, _print(blob))


@pytest.mark.parametrize(
    ("names", "address", "port", "match"),
    [
        ("web1", "web1", 22, Match.TRUSTED),
        ("web1", "WEB1", 22, Match.TRUSTED),
        ("Web1", "web1", 22, Match.TRUSTED),
        ("web1", "web2", 22, Match.UNKNOWN),
        ("web1", "web1", 2222, Match.UNKNOWN),
        ("[web1]:2222", "web1", 2222, Match.TRUSTED),
        ("[web1]:2222", "web1", 22, Match.UNKNOWN),
        ("db,web1,10.0.0.1", "10.0.0.1", 22, Match.TRUSTED),
        ("web*", "web1", 22, Match.TRUSTED),
        ("web?", "web12", 22, Match.UNKNOWN),
        ("web*,!web1", "web1", 22, Match.UNKNOWN),
        ("!web1,web*", "web1", 22, Match.UNKNOWN),
        ("web*,!web1", "web2", 22, Match.TRUSTED),
        ("[*.example]:2222", "a.example", 2222, Match.TRUSTED),
        ("[*.example]:2222", "a.example", 2223, Match.UNKNOWN),
        ("fe80::1", "fe80::1", 22, Match.TRUSTED),
    ],
)
def test_names_match_as_openssh_matches_them(names, address, port, match):
    """Lists, globs, negation, ports, and no regard to case."""
    assert _match([f"{names} ssh-ed25519 {KEY} a comment"], address, port) is match


def test_hashed_names_match(tmp_path):
    """What `ssh-keygen -H` makes of a file is found again."""
    keygen = shutil.which("ssh-keygen")
    assert keygen, "openssh-client is missing"
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    kind, key, *_ = (tmp_path / "k.pub").read_text().split()
    file = tmp_path / "known_hosts"
    file.write_text(f"web1,10.0.0.1 {kind} {key}\n[web2]:2222 {kind} {key}\n")
    subprocess.run([keygen, "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "web" not in file.read_text()
    blob = base64.b64decode(key)
    known = KnownHosts.read(str(file))
    for address, port, match in (
        ("web1", 22, Match.TRUSTED),
        ("10.0.0.1", 22, Match.TRUSTED),
        ("web2", 2222, Match.TRUSTED),
        ("web2", 22, Match.UNKNOWN),
    ):
        assert known.trust(address, port).match(kind, blob, _print(blob)) is match


def test_another_key_is_a_changed_one():
    """A host that is known and shows another key is not unknown."""
    assert _match([f"web1 ssh-ed25519 {OTHER}"]) is Match.CHANGED
    assert _match([f"web1 ssh-rsa {OTHER}"]) is Match.CHANGED


def test_any_of_several_keys_will_do():
    """A host may have one key of each type, and more than one of a type."""
    assert _match([f"web1 ssh-ed25519 {OTHER}", f"web1 ssh-ed25519 {KEY}"]) is Match.TRUSTED


def test_revoked_key_is_refused_though_it_is_known():
    """@revoked wins over any other line, and does not cost the rest of the file."""
    lines = [f"web1 ssh-ed25519 {KEY}", f"@revoked * ssh-ed25519 {KEY}"]
    assert _match(lines) is Match.REVOKED
    assert _match([f"@revoked * ssh-ed25519 {OTHER}", f"web1 ssh-ed25519 {KEY}"]) is Match.TRUSTED


def test_authority_trusts_nothing_and_is_remembered():
    """@cert-authority keys are no host keys; that they were there is said."""
    known = KnownHosts([f"@cert-authority *.example ssh-ed25519 {KEY}"])
    trust = known.trust("a.example", 22)
    assert trust.match("ssh-ed25519", BLOB, _print(BLOB)) is Match.UNKNOWN
    assert trust.authorities


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# web1 ssh-ed25519 x",
        "web1",
        "web1 ssh-ed25519",
        "web1 ssh-ed25519 !!!",
        "|1|x ssh-ed25519 " + KEY,
        "|1|x|y|z ssh-ed25519 " + KEY,
        "@revoked",
        "\x00\xff",
    ],
)
def test_line_that_is_no_key_costs_only_itself(line):
    """Comments, torn lines and nonsense say nothing of a host."""
    assert _match([line, f"web1 ssh-ed25519 {KEY}", line]) is Match.TRUSTED
    assert _match([line]) is Match.UNKNOWN


def test_negotiation_follows_the_known_types():
    """A node known by its RSA key must not show its ed25519 one."""
    assert KnownHosts([f"web1 ssh-rsa {KEY}"]).trust("web1", 22).algorithms == {
        "rsa-sha2-512",
        "rsa-sha2-256",
    }
    assert KnownHosts().trust("web1", 22).algorithms is None
    assert pinned([_print(BLOB)]).algorithms is None


def test_pinned_keys_and_fingerprints():
    """`fleet_host_key` takes both, and any may match."""
    for entry in (
        f"ssh-ed25519 {KEY}",
        f"ssh-ed25519 {KEY} comment",
        _print(BLOB),
        _print(BLOB) + "=",
    ):
        trust = pinned([f"ssh-rsa {OTHER}", entry])
        assert trust.match("ssh-ed25519", BLOB, _print(BLOB)) is Match.TRUSTED
        assert trust.match("ssh-ed25519", b"x", _print(b"x")) is Match.CHANGED


def test_nothing_known_is_unknown():
    """No line and no pin: unknown, never trusted."""
    assert Trust().match("ssh-ed25519", BLOB, _print(BLOB)) is Match.UNKNOWN


def test_named_file_must_be_there(tmp_path):
    """A file that was asked for and cannot be read is an error, not an empty one."""
    missing = tmp_path / "none"
    with pytest.raises(UsageError) as error:
        KnownHosts.read(str(missing))
    assert str(error.value) == (
        f"known hosts {missing}: No such file or directory; name another with --known-hosts"
    )


def test_usual_files_may_be_missing(tmp_path, monkeypatch):
    """A user without known_hosts knows no host; that is no error."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert KnownHosts.read(None).trust("no-such-host.invalid", 22) == Trust()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(f"web1 ssh-ed25519 {KEY}\n")
    assert KnownHosts.read(None).trust("web1", 22).keys == {("ssh-ed25519", BLOB)}
