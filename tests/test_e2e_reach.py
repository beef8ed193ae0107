"""What the user's OpenSSH configuration says counts where the inventory is silent: real sshd's,
real `.ssh` folders, the command line.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab import doors
from tests.lab.home import Home, Run, only_address
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import script

pytestmark = pytest.mark.e2e

CARRY = """
import os, socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while block := os.read(0, 65536):
        there.sendall(block)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while block := there.recv(65536):
    os.write(1, block)
"""
"""What `nc HOST PORT` does."""


ONE_ENGINE = r"one Docker engine with \S+: sums count its containers twice"


class Stage(NamedTuple):
    """The sshd's: `known` is in known_hosts, `stranger` is not; `bastion` is, and also the way."""

    known: Node
    stranger: Node
    bastion: Node
    silent: doors.Door


@pytest.fixture(scope="module")
def stage(lab: Lab) -> Iterator[Stage]:
    """Three nodes and a door that says nothing."""
    docker = {"docker": script(rows=1, delay_s=0)}
    with ExitStack() as stack:
        known, stranger, bastion = (
            stack.enter_context(Node(lab, f"reach-{name}", replaced=docker))
            for name in ("known", "stranger", "bastion")
        )
        yield Stage(known, stranger, bastion, stack.enter_context(doors.silent(lab)))


def written(stage: Stage, folder: Path) -> Home:
    """A home whose known_hosts and key fit the stage."""
    home = Home(folder)
    home.knows(stage.known, stage.bastion)
    home.key(stage.known.key_file)
    return home


@pytest.fixture
def home(stage: Stage, tmp_path: Path) -> Home:
    """One for each test."""
    return written(stage, tmp_path / "home")


def block(node: Node, *more: str, without: tuple[str, ...] = ()) -> str:
    """The settings that lead to a node."""
    lines = {
        "HostName": node.address,
        "Port": node.port,
        "User": node.user,
        "IdentityFile": "~/.ssh/id_lab",
    }
    left = [f"  {word} {value}" for word, value in lines.items() if word not in without]
    return "\n".join([*left, *(f"  {line}" for line in more), ""])


GOOD: dict[str, dict[str, Any]] = {
    "plain": {},
    "address-is-an-alias": {"ansible_host": "plain"},
    "upper-case": {"ansible_host": "spelt"},
    "by-pattern": {},
    "defaults-below": {},
    "by-token": {},
    "second-key": {},
    "identities-only": {},
    "jumped": {},
    "jumped-by-address": {},
    "jumped-twice": {},
    "jumped-listed": {},
    "jumped-behind-command": {},
    "not-jumped": {},
    "commanded": {},
    "commanded-by-ssh": {},
    "not-commanded": {},
    "jump-before-command": {},
    "key-alias": {},
    "key-alias-in-arguments": {
        "ansible_host": "no-alias",
        "ansible_ssh_common_args": "-o HostKeyAlias=The-Stranger",
    },
    "own-known-hosts": {},
    "included": {},
    "included-deeper": {},
    "match-host": {},
    "match-original": {},
    "match-exec": {},
    "match-exec-not": {},
    "match-user": {"ansible_user": "ops"},
    "match-localuser": {},
    "match-final": {},
    "inventory-wins": {"ansible_host": "wrong", "ansible_ssh_args": "-o ControlMaster=auto"},
}


def configuration(stage: Stage, home: Home) -> str:
    """One file with every construct; a host that is reached has read it right."""
    known, stranger, bastion = stage.known, stage.stranger, stage.bastion
    carry = f"{sys.executable} {home.file('carry.py', CARRY)}"
    home.file("conf.d/10-first.conf", f"Include deeper.conf\nHost included\n{block(known)}")
    home.file("deeper.conf", f"Host included-deeper\n{block(known)}")
    home.file("stranger_known", f"[{stranger.address}]:{stranger.port} {stranger.host_keys[0]}\n")
    with (home.ssh / "known_hosts").open("a") as file:
        file.write(f"the-stranger {stranger.host_keys[0]}\n")
    make_key(home.ssh / "id_nobody")
    there = f"{bastion.user}@{bastion.address}:{bastion.port}"
    by_ssh = (
        f"ssh -F none -o BatchMode=yes -o UserKnownHostsFile={home.ssh}/known_hosts "
        f"-i {home.ssh}/id_lab -p {bastion.port} -W %h:%p %r@{bastion.address}"
    )
    direct = ("IdentityFile",)
    return f"""
# every construct once
Include conf.d/*.conf

Host plain
{block(known)}
host=spelt
  hostname = {known.address}
  PORT "{known.port}"
  user\t{known.user}
  IdentityFile="~/.ssh/id_lab"
Host by-* !by-token nothing-?
{block(known)}
Host by-token
{block(known, "IdentityFile %d/.ssh/id_lab", without=direct)}
Host second-key
{
        block(
            known,
            "IdentityFile ~/.ssh/id_nobody",
            "IdentityFile ~/.ssh/id_missing",
            "IdentityFile ~/.ssh/id_lab",
            without=direct,
        )
    }
Host identities-only
{block(known, "IdentitiesOnly yes")}
Host the-bastion
{block(bastion)}
Host jumped
{block(known, "ProxyJump the-bastion")}
Host jumped-by-address
{block(known, f"ProxyJump {there}")}
Host {bastion.address}
  IdentityFile ~/.ssh/id_lab
Host before-the-bastion
{block(stranger, "HostKeyAlias the-stranger")}
Host inner-bastion
{block(bastion, "ProxyJump before-the-bastion")}
Host jumped-twice
{block(known, "ProxyJump inner-bastion")}
Host jumped-listed
{block(known, "ProxyJump before-the-bastion,the-bastion")}
Host commanded-bastion
{block(bastion, f"ProxyCommand {carry} %h %p")}
Host jumped-behind-command
{block(known, "ProxyJump commanded-bastion")}
Host not-jumped
{block(known, "ProxyJump none")}
Host commanded
{block(known, f"ProxyCommand {carry} %h %p")}
Host commanded-by-ssh
{block(known, f"ProxyCommand {by_ssh}")}
Host not-commanded
{block(known, "ProxyCommand none")}
Host jump-before-command
{block(known, "ProxyJump the-bastion", "ProxyCommand false")}
Host key-alias
{block(stranger, "HostKeyAlias the-stranger")}
Host no-alias
{block(stranger)}
Host own-known-hosts
{block(stranger, "UserKnownHostsFile ~/.ssh/nothing_there ~/.ssh/stranger_known")}
Host match-original match-final match-user match-localuser match-exec*
  HostName {known.address}
Host match-host
  HostName {known.address}
  User {known.user}
Match host {known.address} user {known.user}
  Port {known.port}
  IdentityFile ~/.ssh/id_lab
Match originalhost match-original,nobody
{block(known, without=("HostName",))}
Match originalhost match-exec exec "test %n = match-exec -a %h = {known.address}"
{block(known, without=("HostName",))}
Match originalhost match-exec-not !exec "false"
{block(known, without=("HostName",))}
Match originalhost match-localuser localuser root
{block(known, without=("HostName",))}
Match final originalhost match-final
{block(known, without=("HostName",))}
Host wrong
  Port 1
  User nobody
  IdentityFile ~/.ssh/id_nobody
  HostName {known.address}
  ProxyCommand false
Host waits
  HostName {stage.silent.address}
  Port {stage.silent.port}
  ConnectTimeout 1
Host unchecked
{block(stranger, "StrictHostKeyChecking no", "UserKnownHostsFile /dev/null")}
Host taken-anew
{block(stranger, "StrictHostKeyChecking accept-new")}
Host command-fails
{block(known, "ProxyCommand echo tunnel is shut >&2; exit 3")}
Host command-missing
{block(known, "ProxyCommand /no/such/program %h")}
Host jump-unknown
{block(known, "ProxyJump no-such-bastion.invalid")}
Host defaults-below
  HostName {known.address}
Host defaults-below
{block(known)}
Host plain
  Port 9
  User nobody
"""


BAD: dict[str, tuple[str, str]] = {
    "waits": ("timeout", "said nothing for 1 s"),
    "unchecked": ("host_key_unknown", "no key is known for it"),
    "taken-anew": ("host_key_unknown", "no key is known for it"),
    "command-fails": ("unreachable", "tunnel is shut"),
    "command-missing": ("unreachable", "no/such/program"),
    "jump-unknown": ("jump_failed", "no-such-bastion.invalid"),
}


@pytest.fixture(scope="module")
def swept(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One sweep over all the aliases."""
    home = written(stage, tmp_path_factory.mktemp("reach") / "home")
    home.config(configuration(stage, home))
    own = {
        "ansible_port": stage.known.port,
        "ansible_user": stage.known.user,
        "ansible_ssh_private_key_file": str(home.ssh / "id_lab"),
        "fleet_jump": "none",
    }
    good = {**GOOD, "inventory-wins": {**GOOD["inventory-wins"], **own}}
    home.hosts({**good, **{name: {} for name in BAD}})
    return home.snapshot()


@pytest.mark.parametrize("name", GOOD)
def test_alias_is_reached(swept: Run, name: str) -> None:
    """Each construct leads to the node that it names."""
    assert swept.hosts[name]["status"] == "ok"
    assert re.fullmatch(f"({ONE_ENGINE})?", swept.detail(name))  # which has many names here
    assert swept.hosts[name]["containers"] == 1


@pytest.mark.parametrize("name", BAD)
def test_alias_is_not_reached(swept: Run, name: str) -> None:
    """What the configuration says of trust, time and the way is kept to."""
    status, detail = BAD[name]
    assert swept.hosts[name]["status"] == status, swept.detail(name)
    assert detail in swept.detail(name)


def test_via_names_the_bastion_of_the_configuration(swept: Run) -> None:
    """`via` is the word of ProxyJump, of hosts that were reached and of those that were not."""
    via = {name: host["via"] for name, host in swept.hosts.items() if host["via"] is not None}
    assert via.pop("jumped-by-address") != "the-bastion"
    assert via == {
        "jumped": "the-bastion",
        "jumped-twice": "inner-bastion",
        "jumped-listed": "the-bastion",
        "jumped-behind-command": "commanded-bastion",
        "jump-before-command": "the-bastion",
        "jump-unknown": "no-such-bastion.invalid",
    }


def test_one_session_for_a_bastion_of_the_configuration(swept: Run, stage: Stage) -> None:
    """Hosts behind the same ProxyJump share its session: one for each way to it, and one that ssh
    itself opened as a ProxyCommand.
    """
    assert swept.statuses["jumped"] == "ok"
    assert stage.bastion.log.count("Accepted publickey") <= 6


def test_named_file_replaces_the_usual_one(home: Home, stage: Stage) -> None:
    """`--ssh-config FILE` and `-F FILE` are read instead of ~/.ssh/config."""
    home.config("Host node\n  HostName 127.255.255.1\n  Port 1\n")
    other = home.file("other", f"Host node\n{block(stage.known)}")
    home.hosts({"node": {}})
    assert home.snapshot().statuses == {"node": "unreachable"}
    for words in (["--ssh-config", other], ["-F", "~/.ssh/other"]):
        assert home.snapshot(*words).statuses == {"node": "ok"}


def test_named_file_of_the_inventory(home: Home, stage: Stage) -> None:
    """`-F` among a host's SSH arguments is its own configuration, before the command line's."""
    other = home.file("other", f"Host node\n{block(stage.known)}")
    home.hosts({"node": {"ansible_ssh_common_args": f"-F {other}"}})
    assert home.snapshot("-F", "none").statuses == {"node": "ok"}


def test_none_reads_no_configuration(home: Home, stage: Stage) -> None:
    """With `-F none` an alias is a name like any other, and the inventory alone must do."""
    home.config(f"Host node.invalid\n{block(stage.known)}\nHost *\n  Port 1\n  User nobody\n")
    full = {**stage.known.variables}
    home.hosts({"node.invalid": {}, "full": full})
    assert home.snapshot("-F", "none").statuses == {"node.invalid": "dns", "full": "ok"}


def test_inventory_wins_word_by_word(home: Home, stage: Stage) -> None:
    """One word that the inventory says is taken from there, the others from the configuration."""
    node = stage.known
    said: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
        "port": ({"ansible_port": node.port}, ("Port", "1")),
        "user": ({"ansible_user": node.user}, ("User", "nobody")),
        "key": (
            {"ansible_ssh_private_key_file": str(node.key_file)},
            ("IdentityFile", "~/.ssh/id_none"),
        ),
        "argument": ({"ansible_ssh_extra_args": f"-p {node.port}"}, ("Port", "1")),
        "no-jump": ({"fleet_jump": "none"}, ("ProxyJump", "nowhere.invalid")),
        "no-command": ({"ansible_ssh_args": "-o ProxyCommand=none"}, ("ProxyCommand", "false")),
    }
    text = "".join(
        f"Host {name}\n  {word} {value}\n{block(node, without=(word,))}"
        for name, (_own, (word, value)) in said.items()
    )
    home.config(text)
    home.hosts({name: own for name, (own, _wrong) in said.items()})
    run = home.snapshot()
    assert run.statuses == dict.fromkeys(said, "ok"), run.process.stdout
    home.hosts({name: {} for name in said})
    assert "ok" not in home.snapshot().statuses.values()


def test_connect_timeout_of_the_command_line_wins(home: Home, stage: Stage) -> None:
    """`--connect-timeout`, where it is given, counts for everybody."""
    home.config(
        f"Host slow\n  HostName {stage.silent.address}\n  Port {stage.silent.port}\n"
        "  ConnectTimeout 60\n"
    )
    home.hosts({"slow": {}})
    run = home.snapshot("--connect-timeout", "1")
    assert run.statuses == {"slow": "timeout"}
    assert "for 1 s" in run.detail("slow")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Host a\n  Port 22\nMatch nonsense x\n  Port 1\n", "config:3"),
        ("Host a\nPort\n", "config:2"),
        ("Host a\n  Port 22\n???\n", "config:3"),
        ('Host "a\n  Port 22\n', "config:1"),
        ("Include broken.d/*\n", "broken.d/x:1"),
    ],
)
def test_configuration_that_cannot_be_read(home: Home, text: str, place: str) -> None:
    """One line that names the file and the line, and nobody is visited."""
    home.config(text)
    home.file("broken.d/x", "Match\n")
    home.hosts({"a": {"ansible_host": "127.0.0.1"}})
    done = home.fleet("snapshot", "-i", home.inventory)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert place in line


@pytest.mark.parametrize("words", [("-F", "/no/such/config"), ("--ssh-config", "")])
def test_named_configuration_that_is_not_there(home: Home, words: tuple[str, str]) -> None:
    """A file that was named must be there."""
    home.hosts({"a": {"ansible_host": "127.0.0.1"}})
    done = home.fleet("snapshot", "-i", home.inventory, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) <= 3


def test_value_that_cannot_be_used_is_one_hosts_matter(home: Home, stage: Stage) -> None:
    """A port that is none makes that host `bad_config`, and the others are visited."""
    home.config(
        f"Host odd\n  Port 99999\nHost odder\n  HostName %q\nHost node\n{block(stage.known)}"
    )
    home.hosts({"odd": {}, "odder": {}, "node": {}})
    run = home.snapshot()
    assert run.statuses == {"odd": "bad_config", "odder": "bad_config", "node": "ok"}
    assert "99999" in run.detail("odd")
    assert run.process.returncode == 3


def test_nothing_is_run_for_a_hostile_name(home: Home, stage: Stage, tmp_path: Path) -> None:
    """A host name goes to a ProxyCommand's shell only if a shell reads nothing in it."""
    home.config("Host *\n  ProxyCommand echo %h %n %r >&2; false\n")
    mark = tmp_path / "ran"
    hosts = {
        "a": {"ansible_host": f"$(touch {mark})"},
        "b": {"ansible_host": f"x;touch${{IFS}}{mark}"},
        "c": {"ansible_host": "-oProxyCommand=x"},
        "d": {"ansible_host": "x", "ansible_user": f"`touch {mark}`"},
    }
    home.hosts(hosts)
    run = home.snapshot()
    assert set(run.statuses.values()) <= {"bad_config"}, run.statuses
    assert not mark.exists()


def test_home_without_ssh_folder(stage: Stage, home: Home) -> None:
    """No configuration at all, and known hosts and key by option: that is enough."""
    known = home.knows(stage.known).rename(home.folder / "known")
    key = (home.ssh / "id_lab").rename(home.folder / "key")
    for file in home.ssh.iterdir():
        file.unlink()
    home.ssh.rmdir()
    home.hosts({"node": only_address(stage.known)})
    assert home.snapshot("--known-hosts", known, "--private-key", key).statuses == {"node": "ok"}
