"""Our private keys: which are offered, and which are refused."""

import subprocess
from pathlib import Path

import pytest

from fleet.errors import HostError, UsageError
from fleet.transport.keys import Agent, KeyRing, passphrase_from
from fleet.transport.route import Door


def _made(file: Path, passphrase: str = "", kind: str = "ed25519", form: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", file]
    subprocess.run([*words, *(["-m", form] if form else [])], check=True)
    return file


def _door(*files: Path, needs_all: bool = True, or_agent: bool = False) -> Door:
    names = tuple(str(file) for file in files)
    return Door("d", "d", 22, "ops", names, or_agent, needs_all)


class NoAgent(Agent):
    """There is none."""

    def held(self):
        return ()


class Holding(Agent):
    """An agent with these keys."""

    def __init__(self, *keys):
        super().__init__()
        self.asked = 0
        self._these = keys

    def held(self):
        self.asked += 1
        return self._these


def test_named_key_is_offered_alone(tmp_path):
    """The agent is not asked where a file is named."""
    agent = Holding("agent's")
    (key,) = KeyRing().offers(_door(_made(tmp_path / "k")), agent)
    assert key.get_name() == "ssh-ed25519"
    assert agent.asked == 0


def test_configured_keys_come_before_the_agents(tmp_path):
    """Files of the OpenSSH configuration that are not there are passed over, as ssh does; a key
    that both have is offered once.
    """
    file = _made(tmp_path / "k")
    (own,) = KeyRing().offers(_door(file), NoAgent())
    (other,) = KeyRing().offers(_door(_made(tmp_path / "other")), NoAgent())
    door = _door(tmp_path / "none", file, needs_all=False, or_agent=True)
    offered = list(KeyRing().offers(door, Holding(own, other)))
    assert [key.asbytes() for key in offered] == [own.asbytes(), other.asbytes()]


@pytest.mark.parametrize("form", ["", "PEM"])
def test_passphrase_opens_an_encrypted_key(tmp_path, form):
    """OpenSSH's own format and the older one."""
    file = _made(tmp_path / "k", "secret words", "rsa", form)
    (key,) = KeyRing("secret words").offers(_door(file), NoAgent())
    assert key.get_name() == "ssh-rsa"


@pytest.mark.parametrize("form", ["", "PEM"])
def test_agent_opens_what_is_encrypted(tmp_path, form):
    """The agent's key of the same public half is used, and no other."""
    file = _made(tmp_path / "k", "secret words", "rsa", form)
    (same,) = KeyRing("secret words").offers(_door(file), NoAgent())
    (other,) = KeyRing().offers(_door(_made(tmp_path / "other")), NoAgent())
    (found,) = KeyRing().offers(_door(file), Holding(other, same))
    assert found is same


@pytest.mark.parametrize(
    ("make", "passphrase", "says"),
    [
        (lambda f: _made(f, "secret"), None, "is encrypted, and no agent holds it: add it"),
        (lambda f: _made(f, "secret"), "wrong", "the passphrase in FLEET_SSH_PASSPHRASE_FILE"),
        (lambda f: _made(f).chmod(0o644), None, "can be read by others (mode 0644): chmod 600"),
        (lambda f: _made(f).chmod(0o660), None, "can be read by others (mode 0660)"),
        (lambda f: (f.write_text("hello"), f.chmod(0o600)), None, "not a private key"),
        (lambda f: None, None, "No such file"),
        (lambda f: f.mkdir(0o700), None, "is no regular file"),
    ],
)
def test_keys_that_cannot_be_used_are_told(tmp_path, make, passphrase, says):
    """auth_failed, with the file and the way out; never the passphrase."""
    file = tmp_path / "k"
    make(file)
    with pytest.raises(HostError) as caught:
        list(KeyRing(passphrase).offers(_door(file), NoAgent()))
    assert says in caught.value.detail
    assert str(file) in caught.value.detail
    assert "wrong" not in caught.value.detail.replace("wrong-", "")


def test_nothing_to_offer_is_told(tmp_path, monkeypatch):
    """No file, no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostError, match="no private key to log in with"):
        list(KeyRing().offers(_door(needs_all=False, or_agent=True), NoAgent()))


def test_passphrase_is_the_file_without_its_line_ending(tmp_path):
    """Blanks within count."""
    file = tmp_path / "p"
    file.write_text(" two words \n")
    file.chmod(0o600)
    assert passphrase_from({"FLEET_SSH_PASSPHRASE_FILE": str(file)}) == " two words "
    assert passphrase_from({}) is None


def test_passphrase_that_others_can_read_is_refused(tmp_path):
    """As a key would be."""
    file = tmp_path / "p"
    file.write_text("secret\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others: chmod 600"):
        passphrase_from({"FLEET_SSH_PASSPHRASE_FILE": str(file)})
    with pytest.raises(UsageError, match="No such file"):
        passphrase_from({"FLEET_SSH_PASSPHRASE_FILE": str(tmp_path / "none")})
