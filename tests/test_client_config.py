"""The OpenSSH client configuration: what is read as ssh(1) reads it, and what cannot be."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.transport.client_config import ClientConfig, expanded, tokens_of


def _config(folder: Path, text: str) -> ClientConfig:
    file = folder / "config"
    file.write_text(text)
    return ClientConfig.named(str(file))


def test_first_value_counts_and_names_are_matched(tmp_path):
    """ssh_config(5): for each keyword, the first value that is found is used."""
    config = _config(
        tmp_path,
        "Host web* !web9\n  Port 2200\n  User a\nHost *\n  Port 22\n  User b\n  IdentityFile x\n",
    )
    assert config.of("web1").text("port") == "2200"
    assert config.of("web9").text("user") == "b"
    assert config.of("db").texts("identityfile") == ("x",)
    assert config.of("db").text("hostname") is None


def test_nothing_is_said_without_a_file():
    """`none` reads no file at all."""
    assert ClientConfig.named("none").of("web1").values == {}


def test_match_exec_runs_bounded_and_once(tmp_path, monkeypatch):
    """Its command is run by sh, once for the same words, and one that hangs counts as failed."""
    monkeypatch.setattr("fleet.transport.client_config.MATCH_EXEC_S", 0.3)
    ran = tmp_path / "ran"
    config = _config(
        tmp_path,
        f'Match exec "echo x >>{ran}; test %h = web1"\n  User yes\n'
        'Match !exec "true"\n  User never\nMatch exec "sleep 20"\n  User late\n'
        f'Match host other exec "touch {tmp_path}/not-run"\n  User never\n',
    )
    assert config.of("web1").text("user") == "yes"
    assert config.of("web2").text("user") is None
    assert ran.read_text() == "x\nx\n"
    assert not (tmp_path / "not-run").exists()


def test_included_files_stand_in_their_place(tmp_path):
    """What follows an Include belongs to the block that the Include stands in."""
    (tmp_path / "one.conf").write_text("Host web1\n  User included\n")
    config = _config(tmp_path, f"Include {tmp_path}/*.conf\nPort 77\nHost *\n  User last\n")
    assert config.of("web1").text("user") == "included"
    assert (config.of("db").text("user"), config.of("db").text("port")) == ("last", "77")
    assert config.of("web1").text("port") == "77"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Port 22\nnonsense\n", "config:2: 'nonsense' is no line of ssh_config(5)"),
        ("Match host\n", "config:1: "),
        ("Match all host x\n", "config:1: "),
        ("Match nonsense x\n", "config:1: Match nonsense: expected one of all, canonical"),
        ('Host "x\n', "config:1: "),
        ("Host x\n  Include {}/inner.conf\n", "config:2: Include inside a Host or Match block"),
        ("Include {}/config\n", "more than 16 files deep"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path, text, says):
    """One error that names file and line; nothing is guessed."""
    (tmp_path / "inner.conf").write_text("Host y\n  User z\n")
    with pytest.raises(UsageError) as caught:
        _config(tmp_path, text.format(tmp_path))
    assert says in str(caught.value)


def test_file_that_is_not_there_is_an_error(tmp_path):
    """A file that was named has to be there."""
    with pytest.raises(UsageError, match="No such file"):
        ClientConfig.named(str(tmp_path / "none"))


def test_what_is_not_followed_is_told(tmp_path):
    """Keywords that may change a login and are not obeyed are listed, harmless values are not."""
    config = _config(
        tmp_path,
        "StrictHostKeyChecking no\nGSSAPIAuthentication yes\nVerifyHostKeyDNS no\n"
        "BindAddress 10.0.0.1\n",
    )
    told = config.not_carried("web1")
    assert [line.partition(" ")[0] for line in told] == ["bindaddress", "stricthostkeychecking"]


def test_block_that_cannot_be_judged_counts_for_no_host(tmp_path):
    """paramiko would let it pass for every host; the note says that it did not."""
    config = _config(tmp_path, "Match localnetwork 10.0.0.0/8\n User x\nMatch !tagged y\n User z\n")
    assert config.of("web1").text("user") is None
    assert [line.split(":")[0] for line in config.not_carried("web1")] == [
        "Match localnetwork 10.0.0.0/8",
        "Match tagged y",
    ]


def test_user_of_the_inventory_is_matched(tmp_path):
    """As `ssh -l USER` has it."""
    config = _config(tmp_path, "Match user ops\n Port 5\n")
    assert config.of("a", "ops").text("port") == "5"
    assert config.of("a", "jo").text("port") is None


def test_tokens():
    """`%%` is a percent sign; an unknown token is an error, not a guess."""
    tokens = tokens_of("h.example", "n", 22, "ops")
    assert expanded("%%%h:%p-%r@%n", tokens) == "%h.example:22-ops@n"
    with pytest.raises(ValueError, match="%Z"):
        expanded("%Z", tokens)


LIKE_SSH = """\
Host web1 web2
  HostName %h.internal
  User deploy
Host *.internal
  Port 1
Match host web1.internal user deploy
  Port 2222
Match originalhost web2
  Port 2223
Host db-?
  ProxyJump bastion
  HostKeyAlias the-db
Host !db-1 *
  IdentityFile ~/.ssh/%r_key
Host *
  User nobody
  ConnectTimeout 7
"""


@pytest.mark.parametrize("name", ["web1", "web2", "db-1", "db-2", "x.internal"])
def test_ssh_itself_reads_the_same(tmp_path, name):
    """`ssh -G` is the reference."""
    file = tmp_path / "config"
    file.write_text(LIKE_SSH)
    said = ClientConfig.named(str(file)).of(name)
    ssh = shutil.which("ssh")
    assert ssh is not None
    output = subprocess.run(
        [ssh, "-G", "-F", file, name], capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split(None, 1) for line in output.splitlines() if " " in line)
    assert said.text("user") == found["user"]
    assert (said.text("port") or "22") == found["port"]
    assert said.text("connecttimeout") == found["connecttimeout"]
    assert said.text("hostkeyalias") == found.get("hostkeyalias")
    assert said.text("proxyjump") == found.get("proxyjump")
    hostname = said.text("hostname")
    assert expanded(hostname or name, {"h": name}) == found["hostname"]
