"""Our keys and the nodes' keys: what opens a door, what is refused before anything is sent, and
what is said of it. Real sshd's, real agents, keys made on the spot, the command line.
"""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeNode
from tests.lab.agent import Agent
from tests.lab.authority import UserAuthority
from tests.lab.home import Home, accepted, only_address
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import script

pytestmark = pytest.mark.e2e

DOCKER = {"docker": script(rows=1, delay_s=0)}
PASSPHRASE = "two words\tand $igns"
KINDS = ("rsa", "ecdsa", "ed25519")


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    """One with a single host key."""
    with Node(lab, "keys-node", replaced=DOCKER) as node:
        yield node


@pytest.fixture(scope="module")
def several(lab: Lab) -> Iterator[Node]:
    """One with three types of host keys."""
    with Node(lab, "keys-several", replaced=DOCKER, host_keys=KINDS) as node:
        yield node


@pytest.fixture
def home(node: Node, several: Node, tmp_path: Path) -> Home:
    """A home that knows the nodes and has no key."""
    home = Home(tmp_path / "home")
    home.knows(node, several)
    return home


@pytest.fixture
def agent(lab: Lab, numbers: Iterator[int]) -> Iterator[Agent]:
    """An empty one."""
    with Agent(lab, f"agent-{next(numbers)}") as agent:
        yield agent


def host_key(node: Node, kind: str) -> str:
    """One of a node's public host keys."""
    words = (node.run_folder / f"keys/{kind}.pub").read_text().split()
    return " ".join(words[:2])


def fingerprint(node: Node, kind: str) -> str:
    """The same as ssh-keygen shows it."""
    argv = ["ssh-keygen", "-lf", str(node.run_folder / f"keys/{kind}.pub")]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return shown.split()[1]


# --- our keys: where they lie


def test_where_a_key_file_is_found(home: Home, node: Node) -> None:
    """`~`, beside the inventory, absolute, by either variable and in SSH's arguments."""
    home.key(node.key_file)
    shutil.copytree(home.ssh, home.folder / "keys")
    where: dict[str, dict[str, Any]] = {
        "tilde": {"ansible_ssh_private_key_file": "~/.ssh/id_lab"},
        "beside": {"ansible_ssh_private_key_file": "keys/id_lab"},
        "dotted": {"ansible_private_key_file": "./keys/../keys/id_lab"},
        "absolute": {"ansible_private_key_file": str(node.key_file)},
        "argument": {"ansible_ssh_common_args": "-i ~/.ssh/id_lab"},
        "option": {"ansible_ssh_common_args": "-o IdentityFile=~/.ssh/id_lab"},
    }
    home.hosts({name: {**only_address(node), **own} for name, own in where.items()})
    run = home.snapshot()
    assert run.statuses == dict.fromkeys(where, "ok"), run.process.stdout


@pytest.mark.parametrize("way", ["option", "option-with-tilde", "variable", "usual"])
def test_key_for_the_whole_fleet(home: Home, node: Node, way: str) -> None:
    """`--private-key`, FLEET_SSH_KEY_FILE, or one of the names that ssh looks for unasked."""
    key = home.key(node.key_file, "id_ed25519" if way == "usual" else "id_lab")
    home.hosts({"node": only_address(node)})
    words: dict[str, list[str]] = {
        "option": ["--private-key", str(key)],
        "option-with-tilde": ["--private-key", "~/.ssh/id_lab"],
    }
    env = {"FLEET_SSH_KEY_FILE": str(key)} if way == "variable" else {}
    assert home.snapshot(*words.get(way, []), env=env).statuses == {"node": "ok"}


def older_form(key: Path, passphrase: str = "") -> None:
    """Rewrite a key file in the form that OpenSSH wrote before 7.8."""
    argv = ["ssh-keygen", "-q", "-p", "-m", "PEM", "-N", passphrase, "-P", passphrase]
    subprocess.run([*argv, "-f", str(key)], check=True, capture_output=True)
    assert "OPENSSH" not in key.read_text()


def test_types_and_formats_of_keys(home: Home, node: Node) -> None:
    """Every type that OpenSSH makes by default, in its format and in the older one."""
    names = ("rsa", "ecdsa", "ed25519", "rsa-older", "ecdsa-older")  # ed25519 has no older form
    hosts: dict[str, dict[str, Any]] = {}
    for name in names:
        kind, _, older = name.partition("-")
        key = make_key(home.folder / "keys" / name, kind)
        if older:
            older_form(key)
        node.authorize(key)
        hosts[name] = {**only_address(node), "ansible_private_key_file": f"keys/{name}"}
    home.hosts(hosts)
    run = home.snapshot()
    assert run.statuses == dict.fromkeys(names, "ok"), run.process.stdout


# --- our keys: what cannot be used


def test_key_files_that_cannot_be_used(home: Home, node: Node) -> None:
    """Each is that host's `auth_failed`, said in one line with the way out; no key is tried."""
    before = node.log
    home.key(node.key_file, "id_ed25519")  # which would open the door, were it tried
    files: dict[str, tuple[int, str]] = {
        "readable": (0o644, "chmod 600"),
        "group": (0o640, "chmod 600"),
        "missing": (0o600, "No such file"),
        "garbage": (0o600, "not a private key"),
        "public": (0o600, "not a private key"),
        "folder": (0o700, "folder"),
        "locked": (0o600, "FLEET_SSH_PASSPHRASE_FILE"),
    }
    for name in files:
        path = home.folder / name
        if name == "garbage":
            path.write_text("-----BEGIN OPENSSH " + "PRIVATE KEY-----\nbm8=\n")
        elif name == "public":
            shutil.copy(node.key_file.with_suffix(".pub"), path)
        elif name == "locked":
            make_key(path, passphrase=PASSPHRASE)
        elif name == "folder":
            path.mkdir()
        elif name != "missing":
            shutil.copy(node.key_file, path)
        if path.exists():
            path.chmod(files[name][0])
    home.hosts({name: {**only_address(node), "ansible_private_key_file": name} for name in files})
    run = home.snapshot()
    assert run.statuses == dict.fromkeys(files, "auth_failed"), run.process.stdout
    for name, (_mode, said) in files.items():
        detail = run.detail(name)
        assert str(home.folder / name) in detail
        assert "\n" not in detail
        if name != "folder":
            assert said in detail, detail
    assert "ssh-add" in run.detail("locked")
    assert "Accepted" not in node.log[len(before) :]
    assert "Failed publickey" not in node.log[len(before) :]


def test_nothing_to_log_in_with(home: Home, node: Node) -> None:
    """Neither a key nor an agent: said so."""
    home.hosts({"node": only_address(node)})
    run = home.snapshot()
    assert run.statuses == {"node": "auth_failed"}
    assert "no private key" in run.detail("node")
    agent_gone = home.snapshot(env={"SSH_AUTH_SOCK": str(home.folder / "no-agent")})
    assert agent_gone.statuses == {"node": "auth_failed"}


def test_encrypted_key_and_its_passphrase(home: Home, node: Node) -> None:
    """The file with the passphrase opens it; a wrong one, and one that others read, do not."""
    names = {"locked": "ed25519", "locked-older": "rsa"}
    for name, kind in names.items():
        key = make_key(home.folder / name, kind, PASSPHRASE)
        node.authorize(key)
        if "older" in name:
            older_form(key, PASSPHRASE)
    home.hosts({name: {**only_address(node), "ansible_private_key_file": name} for name in names})
    right = home.file("passphrase", f"{PASSPHRASE}\n")
    wrong = home.file("wrong", "something else\n")
    variable = "FLEET_SSH_PASSPHRASE_FILE"
    run = home.snapshot(env={variable: "~/.ssh/passphrase"})
    assert run.statuses == dict.fromkeys(names, "ok"), run.process.stdout
    failed = home.snapshot(env={variable: str(wrong)})
    assert failed.statuses == dict.fromkeys(names, "auth_failed")
    assert all("does not open it" in failed.detail(name) for name in names)
    right.chmod(0o644)
    for file in (str(right), str(home.folder / "missing")):
        done = home.fleet("snapshot", "-i", home.inventory, env={variable: file})
        assert (done.returncode, done.stdout) == (2, "")
        assert file in done.stderr
        assert PASSPHRASE not in done.stderr


# --- agents


def test_agent_that_holds_an_encrypted_key(home: Home, node: Node, agent: Agent) -> None:
    """The agent signs for a key file that we cannot open, and only for that one."""
    key = make_key(home.folder / "locked", passphrase=PASSPHRASE)
    node.authorize(key)
    agent.add_strangers(3)
    agent.add(key, PASSPHRASE)
    before = len(node.log)
    home.hosts({"node": {**only_address(node), "ansible_private_key_file": "locked"}})
    run = home.snapshot(env=agent.env)
    assert run.statuses == {"node": "ok"}, run.process.stdout
    assert "Failed publickey" not in node.log[before:]


def test_agent_is_left_alone_where_a_key_file_is_given(
    home: Home, make_node: MakeNode, agent: Agent
) -> None:
    """Ten keys in the agent and MaxAuthTries 2: the file opens the door at the first try, the
    agent alone never does.
    """
    node = make_node(sshd=["MaxAuthTries 2"], replaced=DOCKER)
    home.knows(node)
    agent.add_strangers(10)
    home.hosts({"node": node.variables})
    run = home.snapshot(env=agent.env)
    assert run.statuses == {"node": "ok"}, run.process.stdout
    assert "Failed publickey" not in node.log
    assert accepted(node.log) == 1
    home.hosts({"node": only_address(node)})
    assert home.snapshot("--private-key", node.key_file, env=agent.env).statuses == {"node": "ok"}
    assert "Failed publickey" not in node.log
    home.config(f"Host *\n  IdentityFile {node.key_file}\n  IdentitiesOnly yes\n")
    assert home.snapshot(env=agent.env).statuses == {"node": "ok"}
    assert "Failed publickey" not in node.log
    home.config("")
    run = home.snapshot(env=agent.env)
    assert run.statuses == {"node": "auth_failed"}
    assert "too many" in run.detail("node")


def test_agent_alone_in_a_sweep(home: Home, node: Node, make_node: MakeNode, agent: Agent) -> None:
    """No key file anywhere: thirty visits at the same time, each of which needs another of the
    agent's keys, of every type.
    """
    many = make_node(sshd=["MaxStartups 100"], replaced=DOCKER)
    (many.run_folder / "authorized_keys").write_text("")
    home.knows(node, many)
    for kind in KINDS:
        key = make_key(home.folder / kind, kind)
        agent.add(key)
        if kind == "ed25519":
            many.authorize(key)
        key.unlink()
    home.hosts({f"node{number:02}": only_address(many) for number in range(30)})
    run = home.snapshot(env=agent.env)
    assert set(run.statuses.values()) == {"ok"}, run.process.stdout


def test_agent_and_public_key_files(home: Home, make_node: MakeNode, agent: Agent) -> None:
    """A public key file says which of the agent's keys to use, as with ssh: named as KEY.pub, or
    beside a KEY that is not there. Ten others in the agent and MaxAuthTries 2: no other is tried.
    """
    node = make_node(sshd=["MaxAuthTries 2"], replaced=DOCKER)
    home.knows(node)
    agent.add_strangers(10)
    key = home.key(node.key_file, "held")
    agent.add(key)
    key.unlink()
    only = "  IdentitiesOnly yes\n"
    home.config(
        f"Host named\n  IdentityFile ~/.ssh/held.pub\n{only}"
        f"Host beside\n  IdentityFile ~/.ssh/held\n{only}"
        "Host not-only\n  IdentityFile ~/.ssh/held.pub\n"
        f"Host *\n  HostName {node.address}\n"
    )
    without = only_address(node, "ansible_host")
    inventory = {"ansible_ssh_private_key_file": "~/.ssh/held.pub"}
    names = ("named", "beside", "not-only", "inventory")
    hosts = dict.fromkeys(names, without)
    home.hosts({**hosts, "inventory": {**without, **inventory}})
    run = home.snapshot(env=agent.env)
    assert {name: run.statuses[name] for name in names} == dict.fromkeys(names, "ok")
    words = {re.sub("with [a-z-]+:", "with NAME:", run.detail(name)) for name in names}
    assert words == {"", "one Docker engine with NAME: sums count its containers twice"}
    assert "Failed publickey" not in node.log


@pytest.mark.parametrize("kind", KINDS)
def test_agent_signs_with_every_type(home: Home, node: Node, agent: Agent, kind: str) -> None:
    """The one key of the agent opens the door."""
    key = make_key(home.folder / "key", kind)
    node.authorize(key)
    agent.add(key)
    key.unlink()
    home.hosts({"node": only_address(node)})
    assert home.snapshot(env=agent.env).statuses == {"node": "ok"}


# --- user certificates


@pytest.fixture
def believer(make_node: MakeNode, tmp_path: Path) -> tuple[Node, UserAuthority]:
    """A node that lets in whomever an authority signed, and knows no key."""
    authority = UserAuthority(tmp_path)
    node = make_node(sshd=["TrustedUserCAKeys /run/user_ca.pub"], replaced=DOCKER)
    (node.run_folder / "user_ca.pub").write_text(authority.public)
    (node.run_folder / "authorized_keys").write_text("")
    return node, authority


def test_user_certificates_beside_keys(home: Home, believer: tuple[Node, UserAuthority]) -> None:
    """A certificate beside its key, encrypted or not, opens the door; the key alone does not, nor
    does a certificate for another user, an expired one, or one of tomorrow.
    """
    node, authority = believer
    home.knows(node)
    good = [f"{lock}{kind}" for lock in ("", "locked-") for kind in KINDS]
    bad = {"somebodys": ("root", "-5m:+1h"), "old": ("ops", "-2h:-1h"), "early": ("ops", "+1h:+2h")}
    for name in (*good, *bad):
        lock = PASSPHRASE if name.startswith("locked") else ""
        kind = name.removeprefix("locked-") if name in good else "ed25519"
        make_key(home.folder / name, kind, lock)
    both = (*good, *bad)
    home.hosts({name: {**only_address(node), "ansible_private_key_file": name} for name in both})
    env = {"FLEET_SSH_PASSPHRASE_FILE": str(home.file("passphrase", PASSPHRASE))}
    words = ("--forks", "5")
    assert home.snapshot(*words, env=env).statuses == dict.fromkeys(both, "auth_failed")
    for name in good:
        authority.sign(home.folder / name, node.user)
    for name, (user, valid) in bad.items():
        authority.sign(home.folder / name, user, valid=valid)
    run = home.snapshot(*words, env=env)
    assert {name: run.statuses[name] for name in good} == dict.fromkeys(good, "ok")
    assert {name: run.statuses[name] for name in bad} == dict.fromkeys(bad, "auth_failed")
    assert node.log.count("-CERT") >= len(good)


@pytest.mark.parametrize("kind", KINDS)
def test_user_certificate_beside_a_key_of_the_agent(
    home: Home, believer: tuple[Node, UserAuthority], agent: Agent, kind: str
) -> None:
    """The agent holds an encrypted key, whose certificate came later and lies beside its file."""
    node, authority = believer
    home.knows(node)
    key = make_key(home.folder / "signed", kind, PASSPHRASE)
    agent.add(key, PASSPHRASE)
    authority.sign(key, node.user)
    home.hosts({"node": {**only_address(node), "ansible_private_key_file": "signed"}})
    run = home.snapshot(env=agent.env)
    assert run.statuses == {"node": "ok"}, run.process.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_user_certificate_in_the_agent(
    home: Home, believer: tuple[Node, UserAuthority], agent: Agent, kind: str
) -> None:
    """The agent holds key and certificate; there is no file."""
    node, authority = believer
    home.knows(node)
    key = make_key(home.folder / "signed", kind)
    certificate = authority.sign(key, node.user)
    agent.add(key)
    for file in (key, certificate, key.with_suffix(".pub")):
        file.unlink()
    home.hosts({"node": only_address(node)})
    run = home.snapshot(env=agent.env)
    assert run.statuses == {"node": "ok"}, run.process.stdout
    assert "-CERT" in node.log


def test_certificate_and_key_are_both_tried(
    home: Home, node: Node, believer: tuple[Node, UserAuthority]
) -> None:
    """A node that does not know the authority takes the plain key, as with ssh."""
    other, authority = believer
    home.knows(node, other)
    key = make_key(home.folder / "signed")
    authority.sign(key, node.user)
    node.authorize(key)
    own = {"ansible_private_key_file": "signed"}
    home.hosts({"plain": {**only_address(node), **own}, "signed": {**only_address(other), **own}})
    run = home.snapshot()
    assert run.statuses == {"plain": "ok", "signed": "ok"}, run.process.stdout


# --- the nodes' keys


def test_known_hosts_in_every_spelling(home: Home, several: Node) -> None:
    """Each line alone makes the node known, whatever key types it has besides."""
    name = f"[{several.address}]:{several.port}"
    network = several.address.rsplit(".", 1)[0]
    rsa, ecdsa, ed25519 = (host_key(several, kind) for kind in KINDS)
    hashed = home.file("hashed", f"{name} {rsa}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True, capture_output=True)
    other = host_key_of_nobody(home)
    good = {
        "ed25519": f"{name} {ed25519}\n",
        "only-rsa": f"{name} {rsa}\n",
        "only-ecdsa": f"{name} {ecdsa}\n",
        "hashed": hashed.read_text(),
        "no-port": f"{several.address} {ed25519}\n",
        "list": f"web.example.com,{name},10.0.0.1 {ecdsa} a comment\n",
        "stars": f"[{network}.*]:* {rsa}\n",
        "question-mark": f"[127.?{several.address[5:]}]:{several.port} {rsa}\n",
        "everybody": f"* {ecdsa}\n",
        "among-others": f"\n# {name} {other}\nnonsense\n{name} {other}\n{name} {ed25519}\n",
        "other-is-revoked": f"@revoked * {other}\n{name} {rsa}\n",
        "with-an-authority": f"@cert-authority * {other}\n{name} {rsa}\n",
    }
    bad = {
        "other-port": (f"[{several.address}]:1 {ed25519}\n", "host_key_unknown", "no key is known"),
        "negated": (f"[127.*]:*,!{name} {ed25519}\n", "host_key_unknown", "no key is known"),
        "another-key": (f"{name} {other}\n", "host_key_changed", "not the key known"),
        "revoked": (f"@revoked * {ed25519}\n{name} {ed25519}\n", "host_key_changed", "@revoked"),
        "revoked-hashed": (
            f"@revoked {hashed.read_text()}{name} {rsa}\n",
            "host_key_changed",
            "@revoked",
        ),
        "authority-only": (f"@cert-authority * {other}\n", "host_key_unknown", "@cert-authority"),
        "empty": ("", "host_key_unknown", "no key is known"),
    }
    known = home.ssh / "known"
    texts = {**good, **{case: text for case, (text, _status, _said) in bad.items()}}
    config = ""
    for case, text in texts.items():
        home.file(f"known/{case}", text)
        config += (
            f"Host {case}\n  HostName {several.address}\n  UserKnownHostsFile {known}/{case}\n"
        )
    home.config(f"{config}Host *\n  HostName {several.address}\n")
    without = only_address(several, "ansible_host")
    home.hosts(dict.fromkeys(texts, without))
    run = home.snapshot("--private-key", several.key_file, "--forks", "5")
    assert {case: run.statuses[case] for case in good} == dict.fromkeys(good, "ok")
    for case, (_text, status, said) in bad.items():
        assert run.statuses[case] == status, (case, run.detail(case))
        assert said in run.detail(case), (case, run.detail(case))
        assert "\n" not in run.detail(case)
    assert "fleet trust" in run.detail("authority-only")


def host_key_of_nobody(home: Home) -> str:
    """A public key that no node has."""
    path = make_key(home.folder / "keys/nobody")
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_nothing_is_sent_to_an_unknown_host(home: Home, make_node: MakeNode) -> None:
    """No login is begun where the host key is not known, or another, whatever ssh's option says."""
    node = make_node(replaced=DOCKER)
    home.config("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n")
    loose = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no"}
    home.hosts({"a": node.variables, "b": {**node.variables, **loose}})
    run = home.snapshot()
    assert run.statuses == {"a": "host_key_unknown", "b": "host_key_unknown"}
    name = f"[{node.address}]:{node.port}"
    known = home.file("known", f"{name} {host_key_of_nobody(home)}\n")
    changed = home.snapshot("--known-hosts", known)
    assert changed.statuses == {"a": "host_key_changed", "b": "host_key_changed"}
    assert accepted(node.log) == 0
    assert "Failed publickey" not in node.log
    assert not (home.ssh / "known_hosts").read_text().count(node.address)


def test_pins(home: Home, several: Node, node: Node) -> None:
    """`fleet_host_key` alone counts: keys and bare fingerprints, of any of the node's types; what
    known_hosts says does not save a wrong one.
    """
    wrong = host_key_of_nobody(home)
    print_of_nobody = fingerprint(node, "ed25519")
    pins: dict[str, object] = {
        **{f"key-{kind}": host_key(several, kind) for kind in KINDS},
        **{f"print-{kind}": fingerprint(several, kind) for kind in KINDS},
        "one-of-several": [wrong, print_of_nobody, fingerprint(several, "rsa")],
    }
    bad: dict[str, object] = {"wrong-key": wrong, "wrong-print": print_of_nobody}
    home.hosts(
        {
            name: {**several.variables, "fleet_host_key": pin}
            for name, pin in {**pins, **bad}.items()
        }
    )
    run = home.snapshot("--forks", "5")
    assert {name: run.statuses[name] for name in pins} == dict.fromkeys(pins, "ok")
    assert {name: run.statuses[name] for name in bad} == dict.fromkeys(bad, "host_key_changed")


def test_state_directorys_own_file_counts(home: Home, several: Node) -> None:
    """STATE_DIR/known_hosts, beside the user's own and beside --known-hosts; a key that it revokes
    is revoked.
    """
    home.hosts({"node": several.variables})
    empty = home.file("known_hosts", "")
    assert home.snapshot().statuses == {"node": "host_key_unknown"}
    own = home.state / "known_hosts"
    own.parent.mkdir(exist_ok=True)
    own.write_text(several.known_hosts_line)
    assert home.snapshot().statuses == {"node": "ok"}
    assert home.snapshot("--known-hosts", empty).statuses == {"node": "ok"}
    other = home.folder / "elsewhere"
    assert home.snapshot("--state-dir", other).statuses == {"node": "host_key_unknown"}
    own.write_text("".join(f"@revoked * {key}\n" for key in several.host_keys))
    empty.write_text(several.known_hosts_line)
    assert home.snapshot().statuses == {"node": "host_key_changed"}
    pinned = {**several.variables, "fleet_host_key": host_key(several, "ed25519")}
    home.hosts({"node": pinned})
    assert home.snapshot().statuses == {"node": "host_key_changed"}


def test_named_file_replaces_the_users(home: Home, node: Node) -> None:
    """`--known-hosts FILE` is read instead of ~/.ssh/known_hosts, and must be there."""
    home.hosts({"node": node.variables})
    empty = home.file("empty", "")
    assert home.snapshot("--known-hosts", empty).statuses == {"node": "host_key_unknown"}
    done = home.fleet("snapshot", "-i", home.inventory, "--known-hosts", home.folder / "missing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing" in done.stderr


def test_key_alias(home: Home, node: Node) -> None:
    """With HostKeyAlias the alias is looked up, bare, in known_hosts; its address is not."""
    (key,) = node.host_keys
    arguments = {"ansible_ssh_common_args": "-o HostKeyAlias=the-node"}
    home.hosts({"node": {**node.variables, **arguments}})
    assert home.snapshot().statuses == {"node": "host_key_unknown"}
    home.file("known_hosts", f"the-node {key}\n")
    assert home.snapshot().statuses == {"node": "ok"}


def test_host_certificates(home: Home, make_node: MakeNode, tmp_path: Path) -> None:
    """A node that shows a host certificate is known by its plain key all the same."""
    ca = make_key(tmp_path / "host_ca")
    node = make_node(replaced=DOCKER, sshd=["HostCertificate /run/keys/ed25519-cert.pub"])
    argv = ["ssh-keygen", "-q", "-s", str(ca), "-I", "host", "-h", "-n", node.address]
    subprocess.run(
        [*argv, str(node.run_folder / "keys/ed25519.pub")], check=True, capture_output=True
    )
    node.stop()
    node.start()
    home.hosts({"node": node.variables})
    key = (node.run_folder / "keys/ed25519.pub").read_text()
    base64.b64decode(key.split()[1], validate=True)
    home.file("known_hosts", f"@cert-authority * {ca.with_suffix('.pub').read_text()}")
    run = home.snapshot()
    assert run.statuses == {"node": "host_key_unknown"}
    assert "@cert-authority" in run.detail("node")
    home.file("known_hosts", f"[{node.address}]:{node.port} {key}")
    assert home.snapshot().statuses == {"node": "ok"}
