"""`fleet hosts`: names, a table, JSON, a tree; one host's settings and where they come from."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from fleet.cli import main
from fleet.hop import Hop
from fleet.inventory import Host, Inventory, Setting, load
from fleet.listing import Entry, as_json, as_table, graph, settings_of, settings_table
from tests.oracle.patterns import make_inventory

INVENTORY = """
all:
  vars: {fleet_labels: [env, role], env: prod, ansible_user: ops}
  children:
    web:
      vars: {role: front, fleet_jump: gate}
      hosts:
        web[01:03]:
    db:
      hosts:
        db1: {ansible_host: 10.0.0.9, ansible_port: 2222, ansible_user: admin, env: test}
        db2: {ansible_port: 0}
    edge:
      children: {doors: {hosts: {gate: {ansible_host: gate.example.com, ansible_user: jump}}}}
    empty:
  hosts:
    here: {fleet_connection: local}
    alone: {ansible_user: "{{ nobody }}"}
"""
CONFIG = """
Host 10.0.0.9
  IdentityFile /keys/nine
  Port 99
Host web02
  HostName 10.0.0.2
  Port 2202
  ForwardAgent yes
"""
HEADINGS = ["HOST", "ADDRESS", "PORT", "USER", "JUMP", "GROUPS", "LABELS"]
NAMES = ["here", "alone", "web01", "web02", "web03", "db1", "db2", "gate"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an inventory and an OpenSSH configuration lie, and nothing of the user's is read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FLEET_SSH_KEY_FILE", raising=False)
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    (tmp_path / "config").write_text(CONFIG)
    return tmp_path


class Printed:
    """What a command printed, and its exit status."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *words: str) -> None:
        self.status = main(["hosts", *words])
        self.out, self.err = capfd.readouterr()
        self.lines = self.out.splitlines()


def test_names_stand_one_a_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In Ansible's order; `--format names` says the same."""
    assert sorted(Printed(capfd).lines) == sorted(NAMES)
    assert Printed(capfd, "web", "--format", "names").lines == ["web01", "web02", "web03"]
    assert Printed(capfd, "web", "--name", "nightly").lines == ["web01", "web02", "web03"]


def test_names_are_folded(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """All of them in one line."""
    assert Printed(capfd, "web,db", "--fold").lines == ["db[1-2],web[01-03]"]


def test_table_shows_the_way(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Settings as they count in the end; what cannot be used has its reason."""
    shown = Printed(capfd, "all,!web03", "--format", "table", "-F", "config")
    assert shown.status == 0
    cells = {line.split()[0]: line.split(maxsplit=7) for line in shown.lines}
    assert cells["HOST"] == [*HEADINGS, "BAD CONFIG"]
    assert cells["here"] == ["here", "local", "-", "-", "-", "ungrouped", "env=prod", "-"]
    assert cells["web01"][1:5] == ["web01", "22", "ops", "gate"]
    assert cells["web02"][1:5] == ["10.0.0.2", "2202", "ops", "gate"]
    assert cells["web01"][5:] == ["web", "env=prod,role=front", "-"]
    assert cells["db1"] == ["db1", "10.0.0.9", "2222", "admin", "-", "db", "env=test", "-"]
    assert cells["gate"][1:6] == ["gate.example.com", "22", "jump", "-", "doors,edge"]
    assert "ansible_port" in cells["db2"][7]
    assert "nobody" in cells["alone"][7]


def test_json_has_every_setting(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One object a host; labels are an object, the bastions a list."""
    shown = Printed(capfd, "web02,db1,here,db2", "--format", "json", "-F", "config")
    web, db, here, bad = json.loads(shown.out)
    fields = set(Host.__dataclass_fields__) | {"key_files"}
    assert all(set(one) == fields for one in (web, db, here, bad))
    assert (web["address"], web["port"], web["user"]) == ("10.0.0.2", 2202, "ops")
    assert web["labels"] == {"env": "prod", "role": "front"}
    gate = {"name": "gate", "address": "gate.example.com", "port": 22, "user": "jump"}
    assert web["jumps"] == [gate | {"key_files": []}]
    assert (db["port"], db["user"], db["jumps"]) == (2222, "admin", [])
    assert (db["key_file"], db["key_files"]) == (None, ["/keys/nine"])
    assert db["labels"] == {"env": "test", "role": None}
    assert (here["connection"], here["port"], here["jumps"]) == ("local", None, None)
    assert "ansible_port" in bad["bad_config"]


def test_one_hosts_settings_have_their_origins(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the inventory, the OpenSSH configuration, or nowhere; aligned."""
    shown = Printed(capfd, "--host", "db1", "-F", "config")
    assert shown.lines[0].split() == ["SETTING", "VALUE", "ORIGIN"]
    column = shown.lines[0].index("ORIGIN")
    assert all(line[column - 1] == " " != line[column] for line in shown.lines)
    found = {line.split()[0]: line.split(maxsplit=2)[1:] for line in shown.lines}
    assert found["address"] == ["10.0.0.9", "inventory.yaml:11:29 ansible_host"]
    assert found["port"] == ["2222", "inventory.yaml:11:53 ansible_port"]
    assert found["key_file"] == ["/keys/nine", "config identityfile"]
    assert found["connection"] == ["ssh", "default"]
    assert found["labels"][0] == "env=test"


def test_one_hosts_defaults_are_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A port that nobody names is 22; an address that is looked up has both its names."""
    found = [line.split() for line in Printed(capfd, "--host", "web01", "-F", "none").lines]
    assert ["port", "22", "default"] in found
    found = [line.split() for line in Printed(capfd, "--host", "web02", "-F", "config").lines]
    assert ["port", "2202", "config", "port"] in found
    assert ["address", "10.0.0.2", "config", "hostname"] in found
    assert [line[1] for line in found if line[0] == "jumps"] == ["gate"]


def test_one_hosts_settings_as_json(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A list of settings, in the same order."""
    told = json.loads(Printed(capfd, "--host", "db2", "--format", "json", "-F", "none").out)
    assert told["host"] == "db2"
    assert [setting["name"] for setting in told["settings"]][:3] == ["address", "port", "user"]
    assert "ansible_port" in told["settings"][-1]["value"]
    assert told["settings"][-1]["name"] == "bad_config"


def test_host_that_is_not_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and a name that may have been meant."""
    shown = Printed(capfd, "--host", "web1")
    assert (shown.status, shown.out) == (2, "")
    assert shown.err == (
        "fleet: --host: no host is named 'web1': did you mean 'web01', 'web03' or 'web02'?\n"
    )


def test_tree_of_groups(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As `ansible-inventory --graph` draws it; patterns leave their hosts, and groups with some."""
    assert Printed(capfd, "web01,gate", "--graph").lines == [
        "@all:",
        "  |--@web:",
        "  |  |--web01",
        "  |--@edge:",
        "  |  |--@doors:",
        "  |  |  |--gate",
    ]
    whole = Printed(capfd, "--graph").lines
    assert "  |--@empty:" in whole
    assert whole[1:4] == ["  |--@ungrouped:", "  |  |--here", "  |  |--alone"]


@pytest.mark.parametrize(
    "words",
    [
        ["--graph", "--format", "json"],
        ["--fold", "--format", "table"],
        ["--fold", "--graph"],
        ["--host", "db1", "--graph"],
        ["--host", "db1", "--fold"],
        ["--host", "db1", "--format", "names"],
        ["--host", "db1", "web"],
        ["--host", "db1", "-l", "web"],
        ["--host", "db1", "--failed"],
        ["--format", "csv"],
        ["--failed"],
        ["-F", "no-such-file"],
    ],
)
def test_what_does_not_go_together(
    folder: Path, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Exit 2 and nothing on standard output."""
    shown = Printed(capfd, *words)
    assert (shown.status, shown.out) == (2, "")
    assert shown.err


def test_failed_hosts_need_a_state_directory(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one nothing can have been recorded."""
    for name in ("FLEET_STATE_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "relative")
    shown = Printed(capfd, "--failed")
    assert shown.status == 2
    assert shown.err.startswith("fleet: --failed: no state directory, where sweeps are recorded")


# --- the rendering alone

GATE = Hop("gate", "g", 22, "jump")


def test_narrow_terminals_lose_whole_columns() -> None:
    """Labels go first, then groups, then jumps; the line below says so."""
    host = Host("web1", "w", groups=("a" * 30,), labels=("x" * 30,))
    entries = [Entry(host, (GATE, Hop("web1", "w", 22, "ops")))]
    assert as_table(entries, ["env"], 60).splitlines() == [
        "HOST  ADDRESS  PORT  USER  JUMP",
        "web1  w          22  ops   gate",
        "(LABELS, GROUPS left out: the terminal is 60 columns wide)",
    ]
    assert "env=xxx" in as_table(entries, ["env"])


def test_names_cannot_drive_a_terminal() -> None:
    """What a dynamic inventory brings is spelled out, in tables, in trees and in settings."""
    bad = "a\x1b[31m\nb"
    inventory = Inventory((Host(bad, bad),), {"all": (bad,)})
    entry = Entry(Host(bad, bad, groups=(bad,), labels=(bad,)), (Hop(bad, bad, 22, bad),))
    texts = [
        as_table([entry], ["env"]),
        as_json([entry], ["env"]),
        settings_table([Setting("address", bad, bad)]),
    ]
    assert all("\x1b" not in text and "\nb" not in text for text in texts)
    assert inventory.hosts


def test_commands_that_connect_are_named() -> None:
    """A ProxyCommand stands where bastions would; in JSON it is whole."""
    entry = Entry(Host("a", "a"), (Hop("a", "a", 22, "ops"),), command="ssh -W %h:%p gate")
    assert as_table([entry], []).splitlines()[1].split()[4] == "ProxyCommand"
    (told,) = json.loads(as_json([entry], []))
    assert (told["proxy_command"], told["jumps"]) == ("ssh -W %h:%p gate", [])


def test_settings_are_replaced_only_where_nothing_was_said() -> None:
    """What the inventory says stays beside what is made of it."""
    said = [Setting("address", "w", "i:1:1 ansible_host"), Setting("key_file", "-", "default")]
    added = [Setting("address", "10.1", "c"), Setting("key_file", "k", "c"), Setting("x", "y", "c")]
    assert settings_of(Entry(Host("w", "w")), said, added) == [said[0], *added]


def test_deep_trees_are_drawn() -> None:
    """Groups may lie deeper in each other than Python's calls may."""
    from fleet.inventory import Branch

    names = ["all", *(f"g{number}" for number in range(3000))]
    branches = {name: Branch((), (child,)) for name, child in pairwise(names)} | {
        names[-1]: Branch(("h",), ())
    }
    deep = Inventory((Host("h", "h"),), dict.fromkeys(names, ("h",)), branches)
    assert sum(1 for _line in graph(deep, {"h"})) == 3002


def test_trees_are_ansibles(tmp_path: Path) -> None:
    """Line for line, for generated inventories."""
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
    }
    (tmp_path / "ansible.cfg").touch()
    for seed in range(3):
        path = tmp_path / f"{seed}.yaml"
        path.write_text(json.dumps(make_inventory(Random(seed))))
        theirs = subprocess.run(
            [Path(sys.executable).with_name("ansible-inventory"), "--graph", "-i", path],
            check=True,
            capture_output=True,
            text=True,
            env=environ,
        )
        assert list(graph(load(str(path)))) == theirs.stdout.splitlines()
