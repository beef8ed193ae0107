"""Every status of a visit against its real cause, most of them in one sweep."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.command import FLEET, fleet
from tests.lab import doors
from tests.lab.engine import Engine
from tests.lab.inventory import write_inventory
from tests.lab.node import Node
from tests.lab.sshd import make_key
from tests.lab.standin import script
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

ONE_ENGINE = r"one Docker engine with [a-z-]+: sums count its containers twice"
ROOTS = "ops ALL=(root) NOPASSWD: ALL\n"

CUT_IN_THE_MIDDLE = """#!/bin/sh
# The probe's own shell is killed: with rows when docker ps is asked again, else at once.
kill_probe() {
    while read -r key value; do [ "$key" = PPid: ] && shell=$value; done </proc/$PPID/status
    kill -9 $shell $PPID
}
row='"BlockIO":"0B / 0B","CPUPerc":"1.00%","MemPerc":"1.00%","MemUsage":"1MiB / 4MiB"'
row=$row',"Name":"cut","NetIO":"1B / 1B","PIDs":"1"'
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
case $1 in
ps) if [ -e /run/home/asked ]; then kill_probe; else : >/run/home/asked; fi
    echo "[\\"$id\\",\\"cut\\",\\"i:1\\",\\"running\\",\\"bridge\\",\\"\\",\\"\\",\\"\\",\\"\\"]" ;;
stats) WITHOUT_ROWS
    echo "{$row,\\"ID\\":\\"$id\\"}" ;;
esac
"""

FORGING = """#!/bin/sh
printf '@fleet 2 E %s 0\\n@fleet 2 B stats\\n{"ID":"0"}\\n@fleet 2 END\\n' "$1"
printf '\\033[2J\\033]0;owned\\007\\n'
"""
GARBAGE = "#!/bin/sh\nhead -c 20000 /dev/urandom\n"
FLOOD = "#!/bin/sh\nexec yes '@fleet 2 B \033[31mflood'\n"


class Case(NamedTuple):
    """A host of the sweep: what must be said of it."""

    status: str
    phase: str | None
    detail: str
    containers: int = 0


CASES = {
    "good": Case("ok", None, "", 1),
    "dash": Case("ok", None, "", 1),
    "bash": Case("ok", None, "", 1),
    "busybox": Case("ok", None, "", 1),
    "zsh": Case("ok", None, "", 1),
    "fish": Case("ok", None, "", 1),
    "tcsh": Case("ok", None, "", 1),
    "no-timeout-there": Case("ok", None, "", 1),
    "prints-on-login": Case("ok", None, "", 1),
    "dropped-once": Case("ok", None, "", 1),
    "known-by-rsa": Case("ok", None, "", 1),
    "pinned": Case("ok", None, "", 1),
    "pinned-by-print": Case("ok", None, "", 1),
    "sudo": Case("ok", None, "", 1),
    "no-name": Case("dns", "resolve", r"'no-such-host\.invalid' does not resolve: .+"),
    "closed": Case("unreachable", "connect", r"\S+ port \d+: Connection refused"),
    "silent": Case("timeout", "connect", "the port took the connection and said nothing for 3 s"),
    "hanging": Case("timeout", "connect", r"no answer from \S+ port \d+ within 3 s"),
    "trickling": Case("timeout", "connect", "the port took the connection and said only .+"),
    "resetting": Case("unreachable", "connect", ".*(reset|ended before the login).*"),
    "closing": Case("unreachable", "connect", "the connection was ended before the login"),
    "no-ssh": Case("ssh_error", "connect", "no SSH server: it says b'220 mail.+"),
    "unknown-key": Case(
        "host_key_unknown", "host_key", r".+ shows ssh-ed25519 SHA256:\S+, and no key is known.*"
    ),
    "changed-key": Case(
        "host_key_changed", "host_key", r".+ shows ssh-ed25519 SHA256:\S+, which is not the key.*"
    ),
    "known-by-another-type": Case(
        "host_key_changed", "host_key", r"the node shows no key of a known type \(ecdsa-.*\)"
    ),
    "wrong-print": Case("host_key_changed", "host_key", ".+which is not the key known for it"),
    "revoked-key": Case("host_key_changed", "host_key", ".+ which is marked @revoked"),
    "wrong-login-key": Case("auth_failed", "login", "no key of ours was accepted .+"),
    "locked-login-key": Case(
        "auth_failed", "login", "private key .+ is encrypted, and no agent holds it: .+"
    ),
    "no-docker": Case("no_docker", "probe", "no docker to run on the node"),
    "no-group": Case("docker_denied", "daemon", ".*permission denied.*"),
    "no-sudo": Case("docker_denied", "daemon", ".*(password is required|sudoers).*"),
    "no-daemon": Case("docker_down", "daemon", ".+ failed with exit status 1: .*Cannot connect.+"),
    "frozen-daemon": Case("docker_down", "daemon", r"docker ps gave no answer within 1\d s"),
    "killed-with-rows": Case("partial", "probe", r"the answer was cut off \(exit status .+\)", 1),
    "killed-without": Case("bad_output", "probe", r"the answer was cut off \(exit status .+\)"),
    "nologin": Case("bad_output", "probe", ".+'This account is currently not available.'"),
    "garbage": Case("bad_output", "parse", r"\d+ lines? could not be understood: .+"),
    "flood": Case("bad_output", "probe", ".*cut off.*"),
    "forging": Case("bad_output", "probe", "the answer was cut off .+"),
    "bad-config": Case("bad_config", None, ".*ansible_port.*"),
    "bad-address": Case("bad_config", None, ".*ansible_host.*"),
}


class Sweep(NamedTuple):
    """One run of snapshot over all the cases."""

    run: "subprocess.CompletedProcess[str]"
    hosts: dict[str, dict[str, Any]]
    took_s: float
    peak_mb: float


class Street:
    """The nodes and doors of the sweep, and the words that lead to them."""

    def __init__(self, lab, stack: ExitStack, folder: Path) -> None:
        self.lab, self.stack, self.folder = lab, stack, folder
        self.hosts: dict[str, dict[str, Any]] = {}
        self.known: list[str] = []

    def node(self, name: str, known: bool = True, **options: Any) -> Node:
        """A node under this name."""
        node = self.stack.enter_context(Node(self.lab, f"status-{name}", **options))
        self.hosts[name] = dict(node.variables)
        if known:
            self.known.append(node.known_hosts_line)
        return node

    def door(self, name: str, door: Any) -> None:
        """Something that listens, or does not, under this name."""
        if hasattr(door, "__enter__"):
            self.stack.enter_context(door)
        self.hosts[name] = {"ansible_host": door.address, "ansible_port": door.port}

    def key(self, kind: str = "ed25519") -> str:
        """A public key that is nobody's."""
        path = make_key(self.folder / f"nobody-{len(self.known)}-{len(self.hosts)}", kind)
        return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def _shells(street: Street, engine: Engine) -> None:
    for shell in ("dash", "bash", "zsh", "fish", "tcsh"):
        street.node(shell, engine=engine, shell=f"/usr/bin/{shell}")
    street.node("busybox", engine=engine, shell="busybox")
    street.node(
        "prints-on-login",
        engine=engine,
        shell="/bin/bash",
        home={".bashrc": "echo Welcome; echo '@fleet is here'; echo mess >&2\n"},
    )
    street.node("nologin", engine=engine, shell="/usr/sbin/nologin")


def _doors(street: Street, good: Node) -> None:
    lab = street.lab
    street.door("closed", doors.Closed(lab))
    street.door("silent", doors.silent(lab))
    street.door("hanging", doors.Full(lab))
    street.door("trickling", doors.trickling(lab, b"x" * 100, every_s=0.5))
    street.door("resetting", doors.resetting(lab))
    street.door("closing", doors.closing(lab))
    street.door("no-ssh", doors.greeting(lab))
    dropping = doors.dropping(lab, good.address, good.port)
    street.door("dropped-once", dropping)
    street.hosts["dropped-once"] = {**good.variables, **street.hosts["dropped-once"]}
    street.known.append(f"[{dropping.address}]:{dropping.port} {good.host_keys[0]}\n")
    street.hosts["no-name"] = {"ansible_host": "no-such-host.invalid"}
    street.hosts["bad-config"] = {"ansible_port": 99999}
    street.hosts["bad-address"] = {"ansible_host": f"{good.address}:{good.port}"}


def _keys(street: Street, engine: Engine) -> None:
    def place(node: Node) -> str:
        return f"[{node.address}]:{node.port}"

    street.node("unknown-key", known=False, engine=engine)
    node = street.node("changed-key", known=False, engine=engine)
    street.known.append(f"{place(node)} {street.key()}\n")
    node = street.node("revoked-key", engine=engine)
    street.known.append(f"@revoked * {node.host_keys[0]}\n")
    node = street.node("known-by-rsa", known=False, engine=engine, host_keys=("ed25519", "rsa"))
    rsa = next(key for key in node.host_keys if key.startswith("ssh-rsa"))
    street.known.append(f"{place(node)} {rsa}\n")
    node = street.node("known-by-another-type", known=False, engine=engine)
    street.known.append(f"{place(node)} {street.key('ecdsa')}\n")
    node = street.node("pinned", known=False, engine=engine)
    street.hosts["pinned"]["fleet_host_key"] = node.host_keys[0]
    node = street.node("pinned-by-print", known=False, engine=engine, host_keys=("ed25519", "rsa"))
    said = subprocess.run(
        ["ssh-keygen", "-lf", node.run_folder / "keys/rsa.pub"],
        check=True,
        capture_output=True,
        text=True,
    )
    street.hosts["pinned-by-print"]["fleet_host_key"] = said.stdout.split()[1]
    street.node("wrong-print", engine=engine)
    street.hosts["wrong-print"]["fleet_host_key"] = "SHA256:" + "A" * 43
    street.node("wrong-login-key", engine=engine)
    street.hosts["wrong-login-key"]["ansible_ssh_private_key_file"] = str(
        make_key(street.folder / "nobody")
    )
    locked = street.folder / "locked"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)]
    subprocess.run(argv, check=True)
    street.node("locked-login-key", engine=engine)
    street.hosts["locked-login-key"]["ansible_ssh_private_key_file"] = str(locked)


def _daemons(street: Street, engine: Engine) -> None:
    street.node("no-docker", engine=engine, hidden=["docker"])
    street.node("no-timeout-there", engine=engine, hidden=["timeout"])
    street.node("no-group", engine=engine, docker_group=False)
    street.node("sudo", engine=engine, docker_group=False, sudoers=ROOTS)
    street.hosts["sudo"]["ansible_become"] = True
    street.node("no-sudo", engine=engine, docker_group=False, sudoers="root ALL=(ALL) ALL\n")
    street.hosts["no-sudo"]["ansible_become"] = True
    street.node("no-daemon")
    frozen = street.stack.enter_context(Engine(street.lab, "engine-frozen"))
    street.node("frozen-daemon", engine=frozen)
    frozen.pause()
    street.stack.callback(frozen.resume)


def _liars(street: Street) -> None:
    for name, extra in (("killed-with-rows", ""), ("killed-without", "kill_probe; exit")):
        text = CUT_IN_THE_MIDDLE.replace("WITHOUT_ROWS", extra)
        street.node(name, replaced={"docker": text})
    street.node("garbage", replaced={"docker": GARBAGE})
    street.node("flood", replaced={"docker": FLOOD})
    street.node("forging", replaced={"docker": FORGING})


@pytest.fixture(scope="module")
def sweep(lab, tmp_path_factory) -> Any:
    """All the cases in one sweep, with short time-outs, published nowhere."""
    folder = tmp_path_factory.mktemp("statuses")
    with ExitStack() as stack:
        engine = stack.enter_context(Engine(lab, "engine-statuses"))
        engine.run("only", command=["sleep", "1000000"])
        street = Street(lab, stack, folder)
        good = street.node("good", engine=engine)
        for build in (_shells, _keys, _daemons):
            build(street, engine)
        _doors(street, good)
        _liars(street)
        assert set(street.hosts) == set(CASES)
        inventory = write_inventory(folder / "inventory.yaml", street.hosts)
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(street.known))
        report = folder / "time"
        words = ["-i", inventory, "--known-hosts", known_hosts, "--connect-timeout", "3"]
        words += ["--timeout", "25", "--format", "json"]
        started = time.monotonic()
        measured = ["/usr/bin/env", "python3", "-c", MEASURE, str(report), *FLEET, "snapshot"]
        run = subprocess.run(
            [*measured, *(str(word) for word in words)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        took_s = time.monotonic() - started
        rows = json.loads(run.stdout)["hostStatus"]
        yield Sweep(run, {row["host"]: row for row in rows}, took_s, float(report.read_text()))


MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
open(sys.argv[1], "w").write(str(peak))
sys.exit(status)
"""


@pytest.mark.parametrize("name", CASES)
def test_cause_has_its_status(sweep, name):
    """The status, the phase and the words of each cause; each host has exactly one row."""
    case, row = CASES[name], sweep.hosts[name]
    assert (row["status"], row["phase"]) == (case.status, case.phase), row["detail"]
    detail = case.detail
    if case.status == "ok":  # many names of one engine, of which one visit is the first
        detail = f"({ONE_ENGINE})?"
    assert re.fullmatch(detail, row["detail"] or ""), row["detail"]
    assert row["containers"] == case.containers


def test_sweep_over_every_cause_stays_within_its_bounds(sweep):
    """Nobody's trouble is anybody else's: time, memory, and not one control character."""
    assert sweep.run.returncode == 3
    assert sweep.took_s < 60
    assert sweep.peak_mb < 150
    assert set(sweep.hosts) == set(CASES)
    printed = sweep.run.stdout + sweep.run.stderr
    assert printed.replace("\n", "").isprintable()
    assert "Traceback" not in printed


def _words(folder: Path, node: Node, **variables: Any) -> list[str]:
    inventory = write_inventory(folder / "inventory.yaml", {"n": {**node.variables, **variables}})
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(node.known_hosts_line)
    return ["-i", str(inventory), "--known-hosts", str(known_hosts), "--format", "json"]


def _while_stats_run(node: Node, words: list[str], act: Callable[[], object]) -> dict[str, Any]:
    """Snapshot one node, and act while `docker stats` runs there → its row of hostStatus."""
    process = subprocess.Popen([*FLEET, "snapshot", *words], stdout=subprocess.PIPE, text=True)
    try:
        poll(lambda: any(" stats " in p.command for p in node.processes()), 20, "no stats ran")
        time.sleep(0.5)  # it has listed its containers by then, and waits for figures
        act()
        stdout, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    (row,) = json.loads(stdout)["hostStatus"]
    return row


def test_daemon_killed_in_mid_sample_is_partial(lab, make_node, tmp_path):
    """Its client prints dashes and exits with 0: what the kernel counts stands in, as is said."""
    with Engine(lab, "engine-killed") as engine:
        engine.run("one", command=["sleep", "1000000"])
        engine.run("two", command=["sleep", "1000000"])
        node = make_node(engine=engine)
        row = _while_stats_run(node, _words(tmp_path, node), engine.kill9)
    assert (row["status"], row["phase"], row["containers"]) == ("partial", "daemon", 2)
    assert row["detail"].endswith("; what the kernel counts stands in")
    assert row["source"] == "kernel"


def test_connection_that_breaks_in_mid_visit_is_said(make_node, tmp_path):
    """The session's sshd dies: that is SSH's failure, not the node's answer."""
    node = make_node(replaced={"docker": script(rows=2, delay_s=30)})

    def kill_sessions() -> None:
        for pid in node.processes():
            if pid.command.startswith("sshd"):
                pid.signal(signal.SIGKILL)

    row = _while_stats_run(node, _words(tmp_path, node), kill_sessions)
    assert (row["status"], row["phase"]) == ("ssh_error", "probe"), row


def test_login_script_that_reads_gets_an_end(make_node, tmp_path):
    """Nobody types anything into a visit."""
    rc = {".bashrc": 'read -r answer; echo "said: $answer"\n'}
    node = make_node(shell="/bin/bash", home=rc, replaced={"docker": script(rows=2, delay_s=0)})
    started = time.monotonic()
    run = fleet("snapshot", *_words(tmp_path, node))
    assert run.returncode == 0, run.stderr
    assert time.monotonic() - started < 15


def test_container_removed_in_mid_sample_is_dropped_and_no_more(lab, make_node, tmp_path):
    """Its row holds nothing and is counted; the visit is well."""
    with Engine(lab, "engine-removed") as engine:
        engine.run("stays", command=["sleep", "1000000"])
        engine.run("goes", command=["sleep", "1000000"])
        node = make_node(engine=engine)
        row = _while_stats_run(
            node, _words(tmp_path, node), lambda: engine.docker("rm", "-f", "goes")
        )
    assert (row["status"], row["containers"]) == ("ok", 1), row
    assert row["dropped"] in (0, 1), "1 where the client had already listed it"


def test_deadline_cuts_the_sweep(make_node, tmp_path):
    """Who is not done when the sweep's time is up is skipped; who is, is kept."""
    quick = make_node(replaced={"docker": script(rows=2, delay_s=0)})
    slow = make_node(replaced={"docker": script(rows=2, delay_s=30)})
    hosts = {"quick": quick.variables, "slow": slow.variables}
    inventory = write_inventory(tmp_path / "inventory.yaml", hosts)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(quick.known_hosts_line + slow.known_hosts_line)
    started = time.monotonic()
    run = fleet(
        *("snapshot", "-i", inventory, "--known-hosts", known_hosts, "--format", "json"),
        *("--deadline", "5", "--timeout", "60"),
    )
    assert time.monotonic() - started < 12
    rows = {row["host"]: row for row in json.loads(run.stdout)["hostStatus"]}
    assert (run.returncode, rows["quick"]["status"], rows["quick"]["containers"]) == (3, "ok", 2)
    assert rows["slow"]["status"] == "skipped"
    poll(lambda: slow.processes() == [], 15, "the probe stayed behind")


def test_forced_command_answers_whatever_is_asked(lab, engines, make_node, tmp_path):
    """The text stands as command= in authorized_keys: collect works, and nothing else runs."""
    from fleet import probe

    quoted = probe.COMMAND.replace('"', '\\"')
    node = make_node(engine=engines["b"], key_options=f'restrict,command="{quoted}"')
    run = fleet("snapshot", *_words(tmp_path, node))
    assert run.returncode == 0, run.stderr
    assert {row["name"] for row in json.loads(run.stdout)["containerStats"]} == {
        "db",
        "on-host-network",
    }
    asked = node.ssh("id")
    assert "uid=" not in asked.stdout
    assert "@fleet 2 E args 64" in asked.stdout
    run = fleet("snapshot", *_words(tmp_path, node, fleet_runtime_path="/usr/bin/docker"))
    (row,) = json.loads(run.stdout)["hostStatus"]
    assert row["status"] == "bad_config"


def test_central_host_itself_is_read_without_ssh(tmp_path):
    """`fleet_connection: local` runs the same probe here."""
    tool = tmp_path / "docker"
    tool.write_text(script(rows=3, delay_s=0).replace("${SSH_CONNECTION#* * }", "127.9.8.7"))
    tool.chmod(0o755)
    variables = {"fleet_connection": "local", "fleet_runtime_path": str(tool)}
    inventory = write_inventory(tmp_path / "inventory.yaml", {"here": variables})
    run = fleet("snapshot", "-i", inventory, "--format", "jsonl")
    assert run.returncode == 0, run.stderr
    assert [json.loads(line)["name"] for line in run.stdout.splitlines()] == [
        f"app-8-7-{number}" for number in range(3)
    ]
