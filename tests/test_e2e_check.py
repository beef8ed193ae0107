"""`fleet check` before real nodes: the first step that fails, what was seen, and what to do."""

import json
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.command import fleet
from tests.lab import doors
from tests.lab.engine import Engine
from tests.lab.inventory import write_inventory
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import crowd

pytestmark = pytest.mark.e2e

WAY = ["resolve", "connect", "host_key", "login"]
NODE = ["probe", "docker", "permission", "daemon", "clock", "figures"]


class Case(NamedTuple):
    """A host: its status, the step that fails, what is seen there, and a command of the advice."""

    status: str
    step: str | None
    seen: str = ""
    command: str | None = None
    via: str | None = None


CASES = {
    "good": Case("ok", None),
    "sudo": Case("ok", None),
    "behind": Case("ok", None),
    "no-name": Case("dns", "resolve", "does not resolve", "getent hosts no-such-host.invalid"),
    "closed": Case("unreachable", "connect", "Connection refused", r"ss -ltn sport = :\d+"),
    "silent": Case("timeout", "connect", "said nothing", "ssh -p .+"),
    "no-ssh": Case("ssh_error", "connect", "no SSH server", None),
    "unknown-key": Case(
        "host_key_unknown",
        "host_key",
        "no key is known",
        "fleet trust unknown-key --from console.txt",
    ),
    "changed-key": Case(
        "host_key_changed",
        "host_key",
        "not the key known",
        "fleet trust changed-key --replace changed-key --from console.txt",
    ),
    "wrong-login-key": Case(
        "auth_failed", "login", "no key of ours was accepted", "fleet authorize wrong-login-key"
    ),
    "locked-login-key": Case("auth_failed", "login", "encrypted", r"ssh-add \S+/locked"),
    "open-login-key": Case("auth_failed", "login", "read by others", r"chmod 600 \S+/open"),
    "nologin": Case("bad_output", "probe", "not currently available|not available", None),
    "no-docker": Case("no_docker", "docker", "no docker to run", "command -v docker"),
    "no-group": Case("docker_denied", "permission", "permission denied", "usermod -aG docker ops"),
    "no-sudo": Case(
        "docker_denied",
        "permission",
        "password is required|sudoers",
        r"fleet authorize --format sudoers --docker /\S+/docker no-sudo",
    ),
    "no-daemon": Case("docker_down", "daemon", "Cannot connect", "systemctl status docker"),
    "bad-config": Case("bad_config", None, "ansible_port", "fleet hosts --host bad-config"),
    "behind-nothing": Case("jump_failed", "connect", "refused", "fleet check hole", "hole"),
    "behind-stranger": Case(
        "jump_failed",
        "host_key",
        "no key is known",
        "fleet trust stranger --from console.txt",
        "stranger",
    ),
    "behind-forbidding": Case("jump_failed", "connect", "forbids forwarding"),
}


class Round(NamedTuple):
    """What the runs over all cases came to."""

    run: "subprocess.CompletedProcess[str]"
    hosts: dict[str, dict[str, Any]]
    words: list[str]
    variables: dict[str, dict[str, Any]]


class Street:
    """The nodes and doors, and the words that lead to them."""

    def __init__(self, lab: Any, stack: ExitStack, engine: Engine, folder: Path) -> None:
        self.lab, self.stack, self.engine, self.folder = lab, stack, engine, folder
        self.hosts: dict[str, dict[str, Any]] = {}
        self.known: list[str] = []

    def node(self, name: str, known: bool = True, **options: Any) -> Node:
        """A node under this name, before the engine if nothing else is said."""
        options.setdefault("engine", self.engine)
        node = self.stack.enter_context(Node(self.lab, f"check-{name}", **options))
        self.hosts[name] = dict(node.variables)
        if known:
            self.known.append(node.known_hosts_line)
        return node

    def door(self, name: str, door: Any) -> None:
        """Something that listens, or does not, under this name."""
        if hasattr(door, "__enter__"):
            self.stack.enter_context(door)
        self.hosts[name] = {"ansible_host": door.address, "ansible_port": door.port}

    def key(self, name: str, passphrase: str = "") -> Path:
        """A private key that is nobody's."""
        path = self.folder / name
        if not passphrase:
            return make_key(path)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
        subprocess.run(argv, check=True)
        return path


def _build(street: Street) -> None:
    lab, hosts = street.lab, street.hosts
    good = street.node("good")
    street.node("sudo", docker_group=False, sudoers="ops ALL=(root) NOPASSWD: ALL\n")
    hosts["sudo"]["ansible_become"] = True
    hosts["no-name"] = {"ansible_host": "no-such-host.invalid"}
    street.door("closed", doors.Closed(lab))
    street.door("silent", doors.silent(lab))
    street.door("no-ssh", doors.greeting(lab))
    street.node("unknown-key", known=False)
    changed = street.node("changed-key", known=False)
    other = street.key("other").with_suffix(".pub").read_text()
    street.known.append(f"[{changed.address}]:{changed.port} {other}")
    for name, file in (("wrong", "nobody"), ("locked", "locked"), ("open", "open")):
        hosts[f"{name}-login-key"] = {
            **good.variables,
            "ansible_ssh_private_key_file": str(street.key(file, "x" * 9 * (name == "locked"))),
        }
    (street.folder / "open").chmod(0o644)
    street.node("nologin", shell="/usr/sbin/nologin")
    street.node("no-docker", hidden=["docker"])
    street.node("no-group", docker_group=False)
    street.node("no-sudo", docker_group=False, sudoers="root ALL=(ALL) ALL\n")
    hosts["no-sudo"]["ansible_become"] = True
    street.node("no-daemon", engine=None)
    hosts["bad-config"] = {"ansible_port": 99999}
    hosts["behind"] = {**good.variables, "fleet_jump": "sudo"}
    street.door("hole", doors.Closed(lab))
    street.node("stranger", known=False)
    street.node("forbidding", sshd=["AllowTcpForwarding no"])
    for name, bastion in (
        ("nothing", "hole"),
        ("stranger", "stranger"),
        ("forbidding", "forbidding"),
    ):
        hosts[f"behind-{name}"] = {**good.variables, "fleet_jump": bastion}


@pytest.fixture(scope="module")
def round_(lab, tmp_path_factory) -> Any:
    """All the cases, checked in one run."""
    folder = tmp_path_factory.mktemp("check")
    with ExitStack() as stack:
        engine = stack.enter_context(Engine(lab, "engine-check"))
        engine.run("only", command=["sleep", "1000000"])
        street = Street(lab, stack, engine, folder)
        _build(street)
        inventory = write_inventory(folder / "inventory.yaml", street.hosts)
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(street.known))
        words = ["-i", str(inventory), "--known-hosts", str(known_hosts)]
        words += ["--connect-timeout", "3", "--timeout", "25", "--ssh-config", "none"]
        run = fleet("check", *words, ",".join(CASES), "--format", "json")
        assert run.stdout, run.stderr
        rows = {row["host"]: row for row in json.loads(run.stdout)["hosts"]}
        yield Round(run, rows, words, street.hosts)


@pytest.mark.parametrize("name", CASES)
def test_first_step_that_fails_and_what_to_do(round_, name):
    """Every step before it is good, none after it, and the advice is the host's own."""
    case, row = CASES[name], round_.hosts[name]
    assert row["status"] == case.status, row
    commands = [
        cure["command"]
        for cause in (row["advice"] or {"causes": []})["causes"]
        for cure in cause["cures"]
    ]
    if case.command:
        assert any(command and re.fullmatch(case.command, command) for command in commands), (
            commands
        )
    steps = row["steps"]
    failed = [step for step in steps if step["result"] == "failed"]
    if case.step is None:
        assert not failed
        assert re.search(case.seen, row["detail"] or "")
        return
    (step,) = failed
    assert (step["step"], step["via"]) == (case.step, case.via)
    assert re.search(case.seen, step["seen"]), step["seen"]
    place = steps.index(step)
    assert {one["result"] for one in steps[:place]} <= {"ok", "unknown"}
    for one in steps[:place]:
        assert one["result"] == "ok" or one["step"] in ("resolve", "permission", "clock"), one
    assert all(one["result"] == "unknown" or one["step"] == "clock" for one in steps[place + 1 :])


def test_good_node_shows_every_step(round_):
    """Name, port, key and its source, login, docker's path, the clock, the containers."""
    row = round_.hosts["good"]
    variables = round_.variables["good"]
    assert [step["step"] for step in row["steps"]] == WAY + NODE
    assert {step["result"] for step in row["steps"] if step["step"] != "figures"} == {"ok"}
    seen = {step["step"]: step["seen"] for step in row["steps"]}
    assert seen["resolve"] == variables["ansible_host"]
    assert str(variables["ansible_port"]) in seen["connect"]
    assert re.match(r"ssh-ed25519 SHA256:\S+, by \S+/known_hosts:\d+$", seen["host_key"])
    assert "ops" in seen["login"]
    assert seen["docker"].endswith("/docker")
    assert "1 container" in seen["figures"]
    assert "the central host's" in seen["clock"]
    assert row["containers"] == 1


def test_one_engine_is_told_of_once_for_each_further_name(round_):
    """Three names lead to the engine: the first that was visited is well, the others are told."""
    names = {"good", "sudo", "behind"}
    found = {name: round_.hosts[name]["steps"][-1] for name in names}
    assert {step["step"] for step in found.values()} == {"figures"}
    (first,) = [name for name in names if found[name]["result"] == "ok"]
    assert found[first]["seen"] == "1 container"
    said = f"1 container; one Docker engine with {first}: sums count its containers twice"
    for name in names - {first}:
        assert (found[name]["result"], found[name]["seen"]) == ("warning", said)


def test_every_status_here_has_its_run_status(round_):
    """Some failed, so the run says 3; no traceback, no control character."""
    assert round_.run.returncode == 3
    assert "Traceback" not in round_.run.stderr
    assert (round_.run.stdout + round_.run.stderr).replace("\n", "").isprintable()


def test_host_behind_a_bastion_shows_each_hop(round_):
    """The bastion's steps stand before the host's own."""
    row = round_.hosts["behind"]
    assert [step["step"] for step in row["steps"]] == WAY + WAY + NODE
    bastion, own = row["steps"][:4], row["steps"][4:8]
    assert [step["via"] for step in bastion] == ["sudo"] * 4
    assert {step["result"] for step in bastion} == {"ok"}
    assert str(round_.variables["sudo"]["ansible_host"]) in bastion[1]["seen"]
    assert bastion[2]["seen"] != own[2]["seen"]
    assert own[0]["seen"] == "left to the bastion sudo"
    assert row["via"] == "sudo"


def test_few_hosts_are_shown_step_by_step(round_):
    """A person sees the steps of each, and the command to run on a line of its own."""
    run = fleet("check", *round_.words, "good,unknown-key")
    assert run.returncode == 3
    good, unknown, total = run.stdout.strip().split("\n\n")
    assert good.startswith("good  ok: 1 container, ")
    assert re.search(r"^  ok  figures +1 container$", good, re.MULTILINE)
    assert re.search(r"^  FAIL  host key +.* no key is known for it$", unknown, re.MULTILINE)
    assert re.search(r"^  -     login$", unknown, re.MULTILINE)
    assert "\n        fleet trust unknown-key --from console.txt\n" in unknown
    assert total == "2 hosts, 1 failed"


def test_verbose_says_where_each_setting_was_said(round_):
    """The inventory's own place of each."""
    run = fleet("check", *round_.words, "good", "-v")
    assert run.returncode == 0
    assert re.search(r"^  port +\d+ +\S+/inventory\.yaml:\d+:\d+ ansible_port$", run.stdout, re.M)


def test_many_hosts_are_shown_in_short(round_):
    """Those that are well in one line, a line for each failure, advice once for all alike."""
    pattern = "good,sudo,behind,closed,unknown-key,wrong-login-key"
    run = fleet("check", *round_.words, pattern)
    assert run.returncode == 3
    first = run.stdout.splitlines()
    assert first[0] == "ok 3: behind,good,sudo"
    assert len([line for line in first if line.startswith("wrong-login-key ")]) == 1
    assert "fleet authorize wrong-login-key" in run.stdout
    assert first[-1] == "6 hosts, 3 failed"


def test_every_host_failed_is_5(round_):
    """As collect says it."""
    assert fleet("check", *round_.words, "closed").returncode == 5
    assert fleet("check", *round_.words, "good").returncode == 0


def test_whole_fleet_is_one_line(lab, tmp_path):
    """Sixty hosts that are well: their names folded, and nothing else."""
    with crowd(lab, "check-crowd", 60, rows=1, delay_s=0) as fleet_of:
        inventory = write_inventory(tmp_path / "inventory.yaml", fleet_of.hosts)
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(fleet_of.known_hosts)
        run = fleet("check", "-i", inventory, "--known-hosts", known_hosts, "--ssh-config", "none")
    assert run.stdout == "ok 60: crowd[0001-0060]\n\n60 hosts, 0 failed\n", run.stderr
    assert run.returncode == 0


def test_openssh_configuration_leads_there_and_is_shown(round_, tmp_path):
    """Port, user and key come from it; what it says and fleet does not follow is a note."""
    variables = round_.variables["good"]
    config = tmp_path / "config"
    config.write_text(
        f"Host shop\n  HostName {variables['ansible_host']}\n"
        f"  Port {variables['ansible_port']}\n  User {variables['ansible_user']}\n"
        f"  IdentityFile {variables['ansible_ssh_private_key_file']}\n"
        "  VerifyHostKeyDNS yes\n"
    )
    inventory = write_inventory(tmp_path / "inventory.yaml", {"shop": {}})
    known = round_.words[round_.words.index("--known-hosts") + 1]
    run = fleet("check", "-i", inventory, "--known-hosts", known, "-F", config, "-v")
    assert run.returncode == 0, run.stdout
    port = variables["ansible_port"]
    assert re.search(rf"^  port +{port} +{re.escape(str(config))} port$", run.stdout, re.MULTILINE)
    assert "\n  note: in the OpenSSH configuration, and not followed: verifyhost" in run.stdout
