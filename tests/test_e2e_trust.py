"""`fleet trust` against real sshd's: what it records is what visits, and OpenSSH, then accept."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.command import FLEET, fleet
from tests.conftest import MakeNode
from tests.lab import doors
from tests.lab.inventory import write_inventory
from tests.lab.lab import PROJECT, Lab
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import crowd, script

pytestmark = pytest.mark.e2e

KINDS = ("ed25519", "rsa", "ecdsa")
FEW = 40


def listed(node: Node) -> list[str]:
    """What ssh-keygen prints of the node's own keys, on the node."""
    files = sorted((node.run_folder / "keys").glob("*.pub"))
    assert files
    return [
        subprocess.run(
            ["ssh-keygen", "-lf", file], check=True, capture_output=True, text=True
        ).stdout.strip()
        for file in files
    ]


def console(node: Node) -> str:
    """What the node's cloud-init would have printed, with what stands around it."""
    lines = ["", "#" * 61, "-----BEGIN SSH HOST KEY FINGERPRINTS-----", *listed(node)]
    lines += ["-----END SSH HOST KEY FINGERPRINTS-----", "#" * 61]
    framed = "".join(f"<14>Nov 25 09:00:13 ec2: {line}\r\n" for line in lines)
    return f"[    0.000000] Linux version 6.1\r\n{framed}[   14.1] random: crng init done\r\n"


class Site:
    """One inventory, one state directory, and runs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yaml"
        self.known_hosts = folder / "users_known_hosts"
        self.known_hosts.write_text("# none\n")
        self.state = folder / "state"

    def hosts(self, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the inventory."""
        write_inventory(self.inventory, hosts)

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """`fleet WORDS` on it."""
        common = ["-i", self.inventory, "--state-dir", self.state, "-F", "none"]
        done = fleet(*words, *common, "--known-hosts", self.known_hosts, "--connect-timeout", "5")
        assert "Traceback" not in done.stderr
        return done

    def keys(self, *words: str | Path) -> dict[str, dict[str, Any]]:
        """`fleet trust --format json`, by host."""
        done = self.run("trust", "--format", "json", *words)
        return {one["host"]: one for one in json.loads(done.stdout)["hosts"]}

    def statuses(self, *patterns: str) -> dict[str, str]:
        """How visits end, by host."""
        done = self.run("snapshot", "--format", "json", *patterns)
        return {one["host"]: one["status"] for one in json.loads(done.stdout)["hostStatus"]}

    def file(self, name: str, text: str) -> Path:
        """A file for --from."""
        path = self.folder / name
        path.write_text(text)
        return path

    @property
    def recorded(self) -> Path:
        """The state directory's own file."""
        return self.state / "known_hosts"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty one."""
    return Site(tmp_path)


def replaced_keys(node: Node, *kinds: str) -> None:
    """Build the node anew: its keys of these types are others from now on."""
    node.stop()
    for kind in kinds:
        for file in (node.run_folder / "keys").glob(f"{kind}*"):
            file.unlink()
        make_key(node.run_folder / "keys" / kind, kind)
    node.start()


def test_from_console_to_visit(site: Site, make_node: MakeNode) -> None:
    """An unknown host is refused; all its keys are shown; what its console printed is recorded,
    and visits and OpenSSH accept it.
    """
    node = make_node(host_keys=KINDS, replaced={"docker": script(rows=1)})
    site.hosts({"web1": node.variables})
    assert site.statuses() == {"web1": "host_key_unknown"}

    shown = site.run("trust")
    assert shown.returncode == 5
    for line in listed(node):
        assert line.split()[1] in shown.stdout
    assert "nothing is recorded for web1: " in shown.stderr
    assert not site.recorded.exists()

    done = site.run("trust", "--from", site.file("console.txt", console(node)))
    assert done.returncode == 0, done.stderr
    assert site.recorded.stat().st_mode & 0o777 == 0o600
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted(node.known_hosts_line.splitlines())
    assert site.statuses() == {"web1": "ok"}
    assert site.run("trust").returncode == 0

    argv = ["ssh", "-F", "none", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    argv += ["-o", f"UserKnownHostsFile={site.recorded}", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-p", str(node.port), "-i", str(node.key_file), f"{node.user}@{node.address}", "id"]
    ssh = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    assert ssh.returncode == 0, ssh.stderr


def test_many_consoles(site: Site, make_node: MakeNode) -> None:
    """The loop of docs/production.md records the keys of hosts whose consoles vouch for them."""
    nodes = [make_node(), make_node(), make_node()]
    site.hosts({f"web{place}": node.variables for place, node in enumerate(nodes)})
    consoles = site.folder / "consoles"
    consoles.mkdir()
    for place, node in enumerate([*nodes[:2], nodes[0]]):  # the third one's is another's
        (consoles / f"web{place}.txt").write_text(console(node))
    program = site.file("fleet", f'#!/bin/sh\nexec {shlex.join(map(str, FLEET))} "$@"\n')
    program.chmod(0o755)
    page = (PROJECT / "docs/production.md").read_text()
    (loop,) = re.findall(r"^for file in consoles.*", page, re.MULTILINE)
    environment = {**os.environ, "PATH": f"{site.folder}:{os.environ['PATH']}"}
    environment |= {"HOME": str(site.folder), "FLEET_STATE_DIR": str(site.state)}
    subprocess.run(["sh", "-c", loop], cwd=site.folder, env=environment, check=False, timeout=60)
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted("".join(node.known_hosts_line for node in nodes[:2]).splitlines())


def test_standard_input(site: Site, make_node: MakeNode) -> None:
    """Console output may come through a pipe."""
    node = make_node(host_keys=KINDS)
    site.hosts({"web1": node.variables})
    words = ["trust", "--from", "-", "-i", site.inventory, "--state-dir", site.state]
    words += ["--known-hosts", site.known_hosts, "-F", "none"]
    argv = [*FLEET, *(str(word) for word in words)]
    done = subprocess.run(
        argv, input=console(node), check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(site.recorded.read_text().splitlines()) == 1 + len(KINDS)


def test_changed_and_replaced(site: Site, make_node: MakeNode) -> None:
    """A host that was built anew stays refused until --replace, with what vouches for its keys."""
    node = make_node(host_keys=KINDS, replaced={"docker": script(rows=1)})
    site.hosts({"web1": node.variables})
    assert site.run("trust", "--accept-new").returncode == 0
    before = site.recorded.read_text()
    site.known_hosts.write_text(node.known_hosts_line)
    replaced_keys(node, *KINDS)

    assert site.statuses() == {"web1": "host_key_changed"}
    assert {key["standing"] for key in site.keys()["web1"]["keys"]} == {"changed"}
    new = site.file("console.txt", console(node))
    for words in (["--accept-new"], ["--from", new]):
        refused = site.run("trust", *words)
        assert refused.returncode == 5
        assert "--replace web1" in refused.stderr
        assert site.recorded.read_text() == before

    done = site.run("trust", "--from", new, "--replace", "web1")
    assert done.returncode == 0, done.stderr
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted(node.known_hosts_line.splitlines())
    assert site.statuses() == {"web1": "ok"}

    (line,) = [line for line in done.stderr.splitlines() if "ssh-keygen" in line]
    assert f"still stands in {site.known_hosts}" in line
    way_out = line.partition("is trusted: ")[2].removesuffix(" removes it")
    subprocess.run(way_out, shell=True, check=True, capture_output=True)
    assert site.known_hosts.read_text() == ""
    assert site.run("trust").returncode == 0


def test_one_type_changed(site: Site, make_node: MakeNode) -> None:
    """One changed key beside known ones is an error; only the others hold until --replace."""
    node = make_node(host_keys=KINDS)
    site.hosts({"web1": node.variables})
    assert site.run("trust", "--accept-new").returncode == 0
    replaced_keys(node, "rsa")
    keys = site.keys()["web1"]["keys"]
    assert {key["type"]: key["standing"] for key in keys} == {
        "ecdsa-sha2-nistp256": "known",
        "ssh-ed25519": "known",
        "ssh-rsa": "changed",
    }
    done = site.run("trust", "--accept-new", "--replace", "web1")
    assert done.returncode == 0, done.stderr
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted(node.known_hosts_line.splitlines())


def test_another_nodes_console(site: Site, make_node: MakeNode) -> None:
    """Fingerprints of another node are an error with both, and nothing is recorded."""
    node, other = make_node(), make_node()
    site.hosts({"web1": node.variables})
    done = site.run("trust", "--from", site.file("console.txt", console(other)))
    assert done.returncode == 5
    mine, others = (listed(one)[0].split()[1] for one in (node, other))
    assert f"web1 shows ssh-ed25519 {mine}, but the file says {others}" in done.stderr
    assert not site.recorded.exists()


def test_hashed_known_hosts(site: Site, make_node: MakeNode) -> None:
    """A file of hashed names vouches for each host by its name, and for no other."""
    first, second = make_node(host_keys=KINDS), make_node(host_keys=KINDS)
    site.hosts({"web1": first.variables, "web2": second.variables})
    file = site.file("hashed", first.known_hosts_line)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert first.address not in file.read_text()
    done = site.run("trust", "--from", file)
    assert done.returncode == 3
    assert "the files given with --from say nothing of web2" in done.stderr
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted(first.known_hosts_line.splitlines())


def test_first_use_among_dead_hosts(site: Site, lab: Lab, make_node: MakeNode) -> None:
    """Dead hosts are lines with their statuses; the others are recorded meanwhile."""
    node = make_node(replaced={"docker": script(rows=1)})
    with ExitStack() as stack:
        silent = stack.enter_context(doors.silent(lab))
        no_ssh = stack.enter_context(doors.greeting(lab))
        dead = {"silent": silent, "no-ssh": no_ssh, "closed": doors.Closed(lab)}
        hosts: dict[str, dict[str, Any]] = {"web1": dict(node.variables)}
        for name, door in dead.items():
            hosts[name] = {"ansible_host": door.address, "ansible_port": door.port}
        hosts["no-name"] = {"ansible_host": "no-such-host.invalid"}
        site.hosts(hosts)
        found = site.keys("--accept-new", "--connect-timeout", "2")
    assert {name: one["status"] for name, one in found.items()} == {
        "web1": "ok",
        "silent": "timeout",
        "no-ssh": "ssh_error",
        "closed": "unreachable",
        "no-name": "dns",
    }
    assert found["web1"]["trusted"]
    assert site.statuses("web1") == {"web1": "ok"}


def test_behind_a_bastion(site: Site, make_node: MakeNode) -> None:
    """The bastion's own key is checked before anything passes it; then keys come through it."""
    bastion = make_node()
    node = make_node(host_keys=KINDS, replaced={"docker": script(rows=1)})
    site.hosts({"door": bastion.variables, "web1": {**node.variables, "fleet_jump": "door"}})
    found = site.keys("web1")["web1"]
    assert (found["status"], found["via"], found["keys"]) == ("jump_failed", "door", [])
    assert site.run("trust", "door", "--accept-new").returncode == 0
    done = site.run("trust", "web1", "--from", site.file("console.txt", console(node)))
    assert done.returncode == 0, done.stderr
    lines = site.recorded.read_text().splitlines()[1:]
    assert lines == sorted([*node.known_hosts_line.splitlines(), bastion.known_hosts_line.strip()])
    assert site.statuses("web1") == {"web1": "ok"}


def test_runs_at_once(site: Site, lab: Lab) -> None:
    """Runs at the same time, each for a part of the hosts, lose nothing of each other's."""
    with crowd(lab, f"trusted-{os.getpid()}", FEW) as many:
        site.hosts(many.hosts)
        words = ["trust", "--accept-new", "-i", site.inventory, "--state-dir", site.state]
        words += ["--known-hosts", site.known_hosts, "-F", "none"]
        runs = [
            subprocess.Popen(
                [*FLEET, *(str(word) for word in words), f"lab[{first}:{first + 9}]"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for first in range(0, FEW, 10)
        ]
        ended = [(run.communicate(timeout=60), run.returncode) for run in runs]
        assert [status for _said, status in ended] == [0] * len(runs), ended
        lines = site.recorded.read_text().splitlines()[1:]
        assert lines == sorted(many.known_hosts.splitlines())
