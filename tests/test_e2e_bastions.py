"""Bastions: every way to name them, one session for all the hosts behind one, and what becomes of
those hosts when it fails. Real sshd's, as they are delivered, the command line.
"""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeNode
from tests.lab import doors
from tests.lab.home import Home, Run, accepted
from tests.lab.inventory import write_known_hosts
from tests.lab.lab import Lab, free_port
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import Crowd, expected, script
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

DOCKER = {"docker": script(rows=1, delay_s=0)}
LONG_S = 90
SOON_S = 30
"""For what is done at once on a machine that has nothing else to do."""


@pytest.fixture(scope="module")
def street(lab: Lab) -> Iterator[dict[str, Node]]:
    """Four nodes, each a bastion as well."""
    with ExitStack() as stack:
        names = ("target", "first", "second", "third")
        yield {
            name: stack.enter_context(Node(lab, f"bastion-{name}", replaced=DOCKER))
            for name in names
        }


@pytest.fixture
def home(street: dict[str, Node], tmp_path: Path) -> Home:
    """A home that knows the street's keys, and has none of its own."""
    home = Home(tmp_path / "home")
    home.knows(*street.values())
    return home


def spelt(node: Node) -> str:
    """A node as `user@host:port`."""
    return f"{node.user}@{node.address}:{node.port}"


def summary(run: Run) -> list[str]:
    """The lines of the summary that begin with a status."""
    return [line for line in run.process.stderr.splitlines() if re.match(r"\w+ \d+: ", line)]


def test_every_way_to_name_a_bastion(home: Home, street: dict[str, Node]) -> None:
    """By inventory name, by address, in chains, and in SSH's own words; `via` is the nearest."""
    first, second, third = (street[name] for name in ("first", "second", "third"))
    target = street["target"].variables
    words = "ansible_ssh_common_args"
    hosts: dict[str, dict[str, Any]] = {
        "one": dict(first.variables),
        "two": {**second.variables, "fleet_jump": "one"},
        "three": {**third.variables, "fleet_jump": "two"},
        "by-name": {**target, "fleet_jump": "one"},
        "by-name-listed": {**target, "fleet_jump": ["one"]},
        "by-address": {**target, "fleet_jump": spelt(first)},
        "chain-of-names": {**target, "fleet_jump": "three"},
        "chain-as-a-list": {**target, "fleet_jump": ["one", "two", "three"]},
        "chain-mixed": {**target, "fleet_jump": ["one", spelt(second)]},
        "proxy-jump": {**target, words: f"-o ProxyJump={spelt(first)}"},
        "proxy-jump-quoted": {**target, words: f'-o "ProxyJump {spelt(first)}" -q'},
        "dash-j": {**target, "ansible_ssh_extra_args": f"-J {spelt(first)},{spelt(second)}"},
        "scheme": {**target, words: f"-J ssh://{spelt(first)}"},
        "no-jump": {**target, "fleet_jump": "none", words: f"-J {spelt(first)}"},
    }
    home.hosts(hosts)
    run = home.snapshot("--private-key", first.key_file)
    assert run.statuses == dict.fromkeys(hosts, "ok"), run.process.stdout
    via = {name: host["via"] for name, host in run.hosts.items()}
    assert via["one"] is None
    assert via["no-jump"] is None
    assert (via["two"], via["three"], via["by-name"]) == ("one", "two", "one")
    assert (via["chain-of-names"], via["chain-as-a-list"]) == ("three", "three")
    assert via["by-name-listed"] == "one"
    assert second.address in via["chain-mixed"]
    assert first.address in via["by-address"]


def test_every_hop_has_its_own_user_key_and_host_key(home: Home, make_node: MakeNode) -> None:
    """Nobody else's key is offered at any hop, and nothing but its own opens it."""
    users = ("daemon", "nobody", "ops")
    nodes = [
        make_node(user=user, replaced=DOCKER, host_keys=[kind], shell="/bin/sh")
        for user, kind in zip(users, ("rsa", "ecdsa", "ed25519"), strict=True)
    ]
    home.knows(*nodes)
    hosts: dict[str, dict[str, Any]] = {}
    for number, node in enumerate(nodes):
        key = make_key(home.folder / f"keys/hop-{number}")
        public = key.with_suffix(".pub").read_text()
        (node.run_folder / "authorized_keys").write_text(public)
        hosts[f"hop{number}"] = {
            **node.variables,
            "ansible_ssh_private_key_file": f"keys/hop-{number}",  # beside the inventory
            **({"fleet_jump": f"hop{number - 1}"} if number else {}),
        }
    home.hosts(hosts)
    run = home.snapshot("hop2")
    assert run.statuses == {"hop2": "ok"}, run.process.stdout
    for node, user in zip(nodes, users, strict=True):
        assert f"Accepted publickey for {user} " in node.log
        assert accepted(node.log) == 1
        assert "Failed publickey" not in node.log


def test_one_session_for_all_hosts_behind(home: Home, make_node: MakeNode, lab: Lab) -> None:
    """Thirty hosts behind one bastion, which sees one login; so do two hops of a chain."""
    inner, outer = make_node(replaced=DOCKER), make_node(replaced=DOCKER)
    target = make_node(replaced=DOCKER, address="0.0.0.0", port=free_port("0.0.0.0"))
    crowd = Crowd(lab, target, 30)
    home.file("known_hosts", crowd.known_hosts + inner.known_hosts_line + outer.known_hosts_line)
    jump = {"fleet_jump": ["outer", "inner"]}
    home.hosts(
        {name: {**host, **jump} for name, host in crowd.hosts.items()}
        | {"outer": outer.variables, "inner": {**inner.variables, "fleet_jump": "outer"}}
    )
    run = home.snapshot("crowd*")
    assert set(run.statuses.values()) == {"ok"}, summary(run)
    assert len(run.statuses) == 30
    assert (accepted(outer.log), accepted(inner.log)) == (1, 1)
    assert accepted(target.log) == 30


def test_default_sshds_drop_nobody(home: Home, make_node: MakeNode, lab: Lab) -> None:
    """200 hosts behind one bastion: both sshd's have the default MaxStartups 10:30:100, the hosts
    are one sshd, and every host's own rows arrive.
    """
    bastion = make_node()
    target = make_node(replaced=DOCKER, address="0.0.0.0", port=free_port("0.0.0.0"))
    for node in (bastion, target):
        assert "maxstartups" not in (node.run_folder / "sshd_config").read_text().lower()
    crowd = Crowd(lab, target, 200)
    home.file("known_hosts", crowd.known_hosts + bastion.known_hosts_line)
    hosts = {name: {**host, "fleet_jump": "bastion"} for name, host in crowd.hosts.items()}
    home.hosts({**hosts, "bastion": bastion.variables})
    run = home.snapshot("crowd*", "--forks", "200", "--timeout", "100")
    assert set(run.statuses.values()) == {"ok"}, summary(run)
    rows = json.loads(run.process.stdout)["containerStats"]
    assert {row["host"]: row["id"] for row in rows} == {
        name: expected(address, rows=1)[0].id for name, address in crowd.addresses.items()
    }
    assert accepted(bastion.log) == 1
    assert accepted(target.log) == 200
    for node in (bastion, target):
        assert "MaxStartups" not in node.log
        assert "drop connection" not in node.log


def test_bastion_that_cannot_be_passed(
    home: Home, street: dict[str, Node], make_node: MakeNode, lab: Lab
) -> None:
    """Each way to fail is said with the bastion's name, once per bastion, and costs nobody else."""
    target = street["target"].variables
    closed = doors.Closed(lab)
    unknown, changed, forbids, shut = (
        make_node(),
        make_node(),
        make_node(sshd=["AllowTcpForwarding no"]),
        make_node(),
    )
    permits = make_node(sshd=["PermitOpen 127.0.0.1:1"])
    (shut.run_folder / "authorized_keys").write_text("")
    home.knows(*street.values(), forbids, shut, permits)
    wrong = make_key(home.folder / "other").with_suffix(".pub").read_text()
    with (home.ssh / "known_hosts").open("a") as file:
        file.write(f"[{changed.address}]:{changed.port} {wrong}")
    bastions: dict[str, dict[str, Any]] = {
        "down": {"ansible_host": closed.address, "ansible_port": closed.port},
        "nameless": {"ansible_host": "no-such-bastion.invalid"},
        "unknown": unknown.variables,
        "changed": changed.variables,
        "forbids": forbids.variables,
        "permits": permits.variables,
        "shut": shut.variables,
    }
    behind = {
        f"{name}{number:02}": {**target, "fleet_jump": name}
        for name in bastions
        for number in (1, 2, 3)
    }
    twice = {"after-down": {**target, "fleet_jump": ["down", spelt(street["first"])]}}
    fine = {
        "fine": {**target, "fleet_jump": "first"},
        "first": dict(street["first"].variables),
        "direct": dict(target),
    }
    home.hosts({**bastions, **behind, **twice, **fine})
    run = home.snapshot("all", *(f"!{name}" for name in bastions))
    assert {name: run.statuses[name] for name in fine} == dict.fromkeys(fine, "ok")
    for name in behind:
        host = run.hosts[name]
        assert (host["status"], host["via"]) == ("jump_failed", name[:-2]), host
        assert name[:-2] in host["detail"]
    assert (run.statuses["after-down"], run.hosts["after-down"]["via"]) == ("jump_failed", "down")
    for name, said in {
        "down": "Connection refused",
        "nameless": "does not resolve",
        "unknown": "no key is known for it",
        "changed": "is not the key known for it",
        "forbids": "forbids forwarding",
        "permits": "forbids forwarding",
        "shut": "no key of ours was accepted",
    }.items():
        assert said in run.detail(f"{name}01")
        first = "after-down," if name == "down" else ""
        count = 4 if name == "down" else 3
        lines = [line for line in summary(run) if f"(via {name})" in line]
        assert len(lines) == 1, run.process.stderr
        assert lines[0].startswith(f"jump_failed {count}: "), lines
        assert f"{name}[01-03]" in lines[0]
        assert not first or "after-down" in lines[0]
    assert accepted(forbids.log) == 1
    assert run.process.returncode == 3


def test_host_that_fails_behind_a_good_bastion(
    home: Home, street: dict[str, Node], make_node: MakeNode, lab: Lab
) -> None:
    """What is wrong with the host itself stays its own, with the bastion in `via`."""
    closed, unknown = doors.Closed(lab), make_node()
    key = make_key(home.folder / "other")
    with doors.silent(lab) as silent:
        hosts: dict[str, dict[str, Any]] = {
            "closed": {"ansible_host": closed.address, "ansible_port": closed.port},
            "silent": {"ansible_host": silent.address, "ansible_port": silent.port},
            "unknown": unknown.variables,
            "locked": {
                **street["target"].variables,
                "ansible_ssh_private_key_file": str(key),
            },
            "no-name": {"ansible_host": "no-such-host.invalid"},
            "fine": street["target"].variables,
        }
        home.hosts(hosts, fleet_jump=spelt(street["second"]))
        run = home.snapshot("--connect-timeout", "3", "--private-key", street["target"].key_file)
    assert run.statuses == {
        "closed": "unreachable",
        "silent": "timeout",
        "unknown": "host_key_unknown",
        "locked": "auth_failed",
        "no-name": "unreachable",  # the name is the bastion's to resolve
        "fine": "ok",
    }, run.process.stdout
    assert len({host["via"] for host in run.hosts.values()}) == 1
    assert all(host["via"] for host in run.hosts.values())


def test_group_variable_on_the_bastion_itself(home: Home, street: dict[str, Node]) -> None:
    """`fleet_jump` of a group that holds the bastion too: that one is reached directly."""
    hosts = {"gate": street["first"].variables, "app": street["target"].variables}
    home.hosts(hosts, fleet_jump="gate")
    run = home.snapshot()
    assert run.statuses == {"gate": "ok", "app": "ok"}, run.process.stdout
    assert (run.hosts["gate"]["via"], run.hosts["app"]["via"]) == (None, "gate")


def test_jump_of_everybody_in_the_configuration(home: Home, street: dict[str, Node]) -> None:
    """`Host *` with a ProxyJump holds for the bastion as well: it is not its own bastion."""
    first, target = street["first"], street["target"]
    home.key(first.key_file, "id_ed25519")
    home.config(
        f"Host gate\n  HostName {first.address}\nHost *\n  ProxyJump gate\n"
        f"  User {first.user}\n  Port {first.port}\n"
    )
    home.hosts({"gate": {}, "app": {"ansible_host": target.address}})
    run = home.snapshot()
    assert run.statuses == {"gate": "ok", "app": "ok"}, run.process.stdout
    assert (run.hosts["gate"]["via"], run.hosts["app"]["via"]) == (None, "gate")


def test_circle_of_bastions(home: Home, street: dict[str, Node]) -> None:
    """Bastions that lead to each other make their hosts unusable, and nobody else."""
    target = street["target"].variables
    home.hosts(
        {
            "a": {**target, "fleet_jump": "b"},
            "b": {**target, "fleet_jump": "a"},
            "c": dict(target),
        }
    )
    run = home.snapshot()
    assert run.statuses == {"a": "bad_config", "b": "bad_config", "c": "ok"}
    assert "circle" in run.detail("a")


@pytest.mark.parametrize("hop", ["near", "far"])
def test_bastion_that_dies_in_mid_sweep(
    home: Home, street: dict[str, Node], make_node: MakeNode, lab: Lab, hop: str
) -> None:
    """Its sessions killed while some hosts behind it are being read and others wait for a turn:
    all fail at once, in one line, with its name.
    """
    near, far = make_node(), make_node()
    slow = {"docker": script(rows=1, delay_s=LONG_S)}
    target = make_node(replaced=slow, address="0.0.0.0", port=free_port("0.0.0.0"))
    crowd = Crowd(lab, target, 12)
    write_known_hosts(home.ssh / "known_hosts", [near, far, street["target"]])
    with (home.ssh / "known_hosts").open("a") as file:
        file.write(crowd.known_hosts)
    home.hosts(
        {name: {**host, "fleet_jump": "far"} for name, host in crowd.hosts.items()}
        | {"near": near.variables, "far": {**far.variables, "fleet_jump": "near"}}
        | {"direct": street["target"].variables}
    )
    runs: list[Run] = []
    words = ("crowd*", "direct", "--timeout", str(LONG_S), "--forks", "8")
    sweep = threading.Thread(target=lambda: runs.append(home.snapshot(*words)))
    sweep.start()
    poll(lambda: accepted(target.log) >= 7, SOON_S, "so many hosts to be logged in to")
    node = {"near": near, "far": far}[hop]
    node.stop()
    killed = time.monotonic()
    for pid in node.processes():
        pid.signal(signal.SIGKILL)
    sweep.join(LONG_S)
    took_s = time.monotonic() - killed
    (run,) = runs
    assert took_s < SOON_S
    assert run.statuses.pop("direct") == "ok"
    failed = {name: host for name, host in run.hosts.items() if name != "direct"}
    assert {host["status"] for host in failed.values()} == {"jump_failed"}, run.process.stdout
    assert {host["via"] for host in failed.values()} == {hop}
    (line,) = summary(run)
    assert line.startswith(f"jump_failed 12: crowd[0001-0012] (via {hop})")


def test_bastion_that_freezes(home: Home, make_node: MakeNode, lab: Lab) -> None:
    """One that accepts connections and says nothing: the hosts behind it wait for it together."""
    with doors.silent(lab) as silent:
        home.hosts(
            {
                "gate": {"ansible_host": silent.address, "ansible_port": silent.port},
                **{
                    f"app{number:02}": {"ansible_host": "127.0.0.1", "fleet_jump": "gate"}
                    for number in range(1, 21)
                },
            }
        )
        started = time.monotonic()
        run = home.snapshot("app*", "--connect-timeout", "2", "--forks", "5")
        took_s = time.monotonic() - started
        assert silent.connections == 1
    assert {(host["status"], host["via"]) for host in run.hosts.values()} == {
        ("jump_failed", "gate")
    }, run.process.stdout
    assert took_s < SOON_S
    (line,) = summary(run)
    assert line.startswith("jump_failed 20: app[01-20] (via gate)")


def test_commands_and_bastions_end_with_the_run(home: Home, street: dict[str, Node]) -> None:
    """No session to a bastion and no ProxyCommand is left behind."""
    first, target = street["first"], street["target"]
    mark = f"{first.key_file}"
    command = (
        f"ssh -F none -o BatchMode=yes -o UserKnownHostsFile={home.ssh}/known_hosts "
        f"-i {mark} -p {first.port} -W %h:%p {first.user}@{first.address}"
    )
    home.hosts(
        {
            "commanded": {**target.variables, "ansible_ssh_args": f'-o ProxyCommand="{command}"'},
            "jumped": {**target.variables, "fleet_jump": "first"},
            "first": first.variables,
        }
    )
    run = home.snapshot()
    assert set(run.statuses.values()) == {"ok"}, run.process.stdout
    poll(lambda: not first.processes(), SOON_S, "the bastion's sessions to end")
    found = subprocess.run(
        ["pgrep", "-f", f"^ssh -F none.*{home.ssh}"], check=False, capture_output=True, text=True
    )
    assert found.stdout == ""
