"""What `fleet authorize` prints, on real nodes: the probe gets through, and nothing else."""

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet import probe
from fleet.inventory import Host
from fleet.node_facts import clock_skew
from fleet.sources.docker import PS_FORMAT
from fleet.sources.state import INSPECT_FORMAT
from tests.command import fleet
from tests.lab.engine import Engine
from tests.lab.inventory import write_inventory
from tests.lab.node import USER, Node
from tests.lab.sshd import client_key
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e

DOCKER = shutil.which("docker") or "docker"
GOLDEN = Path(__file__).with_name("probes")


@pytest.fixture(scope="module")
def engine(lab) -> Iterator[Engine]:
    """An engine with one container."""
    with Engine(lab, "engine-authorize") as engine:
        engine.run("only", SECRET, command=["sleep", "1000000"])
        yield engine


@pytest.fixture
def authorize(lab, tmp_path):
    """What `fleet authorize` prints for a node like the lab's."""

    def run(*words: str, **variables: Any) -> str:
        common = {"ansible_user": USER, "ansible_ssh_private_key_file": str(client_key(lab))}
        inventory = write_inventory(tmp_path / "plan.yaml", {"n": {**common, **variables}})
        done = fleet("authorize", "-i", inventory, "-F", "none", "--docker", DOCKER, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _install(node: Node, lines: str) -> None:
    """Instead of what stands in the node's authorized_keys."""
    (node.run_folder / "authorized_keys").write_text(lines)


def _snapshot(folder: Path, node: Node, **variables: Any) -> dict[str, Any]:
    """The row of hostStatus of one node, with the names of its containers."""
    inventory = write_inventory(folder / "inventory.yaml", {"n": {**node.variables, **variables}})
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(node.known_hosts_line)
    words = ["-i", inventory, "--known-hosts", known_hosts, "-F", "none", "--format", "json"]
    shown = json.loads(fleet("snapshot", *words).stdout)
    (row,) = shown["hostStatus"]
    return {**row, "names": [row["name"] for row in shown["containerStats"]]}


def _answer(node: Node) -> probe.Answer:
    """What the probe answers there through sudo, whatever stands in the node's authorized_keys."""
    done = node.ssh(probe.request(Host("n", node.address, become=True), 20))
    return probe.cut(done.stdout.encode())


def _client(node: Node, program: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Another of OpenSSH's clients, with the lab's key."""
    known = node.folder / "known_hosts"
    known.write_text(node.known_hosts_line)
    argv = [program, "-F", "none", "-o", f"Port={node.port}", "-i", str(node.key_file)]
    argv += ["-o", f'UserKnownHostsFile="{known}"', "-o", "IdentitiesOnly=yes"]
    argv += ["-o", "BatchMode=yes", *words]
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def shut(engine, make_node, authorize) -> Node:
    """A node with the printed line, and no other, in its authorized_keys."""
    node = make_node(engine=engine)
    _install(node, authorize("--format", "authorized_keys"))
    return node


def test_visit_gets_through_the_printed_line(shut, tmp_path):
    """With it a sweep brings its rows."""
    row = _snapshot(tmp_path, shut)
    assert (row["status"], row["names"]) == ("ok", ["only"]), row


@pytest.mark.parametrize("command", ["id", "id; -- id", "$(id)", "sh -c id -- t=5", ""])
def test_nothing_else_is_run_by_the_printed_line(shut, command):
    """Whatever the client asks for, what answers is the probe."""
    done = shut.ssh(command)
    assert not re.search(r"\buid=\d+\(", done.stdout + done.stderr)
    assert f"@fleet {probe.VERSION} END" in done.stdout


def test_printed_line_opens_no_other_door(shut, tmp_path):
    """No file is copied, no terminal is given, and no port is forwarded in either direction."""
    there = f"{USER}@{shut.address}"
    sent = tmp_path / "sent"
    sent.write_text("mine")
    home = shut.run_folder / "home"
    for words in (
        ("scp", "-O", str(sent), f"{there}:/run/home/copied"),
        ("scp", "-s", str(sent), f"{there}:/run/home/copied"),
        ("scp", "-s", f"{there}:/etc/passwd", str(tmp_path / "taken")),
        ("scp", "-O", f"{there}:/etc/passwd", str(tmp_path / "taken")),
        ("sftp", f"{there}:/etc/passwd", str(tmp_path / "taken")),
    ):
        assert _client(shut, *words).returncode != 0, words
    assert not (home / "copied").exists()
    assert not (tmp_path / "taken").exists()
    asked = _client(shut, "ssh", "-tt", there, "id")
    assert "PTY allocation request failed" in asked.stderr
    assert "uid=" not in asked.stdout
    through = _client(shut, "ssh", "-W", f"{shut.address}:{shut.port}", there)
    assert through.returncode != 0
    assert "SSH-2.0" not in through.stdout
    back = _client(shut, "ssh", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", there, "x")
    assert back.returncode == 255, back
    assert "forwarding failed" in back.stderr


def test_key_is_let_in_from_the_printed_addresses_only(engine, make_node, authorize, tmp_path):
    """`--from` shuts out who comes from elsewhere."""
    node = make_node(engine=engine)
    for source, status in (("127.0.0.0/8", "ok"), ("192.0.2.0/24,!127.0.0.1", "auth_failed")):
        _install(node, authorize("--format", "authorized_keys", "--from", source))
        assert _snapshot(tmp_path, node)["status"] == status, source


def test_visit_with_sudo_needs_the_printed_lines_only(engine, make_node, authorize, tmp_path):
    """With that line of sudoers and no other, outside the group docker, a sweep brings its rows."""
    sudoers = authorize("--format", "sudoers", ansible_become=True)
    node = make_node(engine=engine, docker_group=False, sudoers=sudoers)
    _install(node, authorize("--format", "authorized_keys", ansible_become=True))
    row = _snapshot(tmp_path, node, ansible_become=True)
    assert (row["status"], row["names"]) == ("ok", ["only"]), row
    assert _snapshot(tmp_path, node)["status"] == "docker_denied"
    answer = _answer(node)
    assert answer.whole
    names = ("ps1", "state", "version", "stats", "ps2")
    assert [answer.rc(name) for name in names] == [0] * 5
    assert len(answer.lines("state")) == len(answer.lines("version")) == 1


def test_refusal_of_sudo_names_what_ends_it(engine, make_node, tmp_path):
    """What the command in the detail of docker_denied prints makes the host well."""
    node = make_node(engine=engine, docker_group=False, sudoers="root ALL=(ALL) ALL\n")
    row = _snapshot(tmp_path, node, ansible_become=True)
    assert (row["status"], row["phase"]) == ("docker_denied", "daemon"), row
    program, *words = shlex.split(row["detail"].partition(" needs what this prints: ")[2])
    assert (program, words[-1]) == ("fleet", "n")
    inventory = ("-i", tmp_path / "inventory.yaml", "-F", "none")
    public = ("--public-key", node.key_file.with_suffix(".pub"))
    printed = fleet(*words, *inventory, *public).stdout
    assert f"\n{USER} ALL=(root) NOPASSWD: " in printed
    (node.folder / "etc/sudoers").write_text(printed)
    row = _snapshot(tmp_path, node, ansible_become=True)
    assert (row["status"], row["names"]) == ("ok", ["only"]), row


SECRET = "--env=PASSWORD=xyzzy"
WITHIN = f"/usr/bin/timeout -k 2 005 {DOCKER}"
INSPECT = f"inspect --type container --format {shlex.quote(INSPECT_FORMAT)} --"
VERSION = "version --format '{{json .Server.Version}}'"
ALLOWED = (
    f"{WITHIN} ps --no-trunc --format x",
    f"{WITHIN} ps --no-trunc --format {shlex.quote(PS_FORMAT)} -a",
    f"{WITHIN} stats --no-stream --no-trunc --format '{{{{json .}}}}'",
    f"{WITHIN} {INSPECT} @",
    f"{WITHIN} {INSPECT} @ @",
    f"{WITHIN} {VERSION}",
)
NOT_ALLOWED = (
    "id",
    "sh -c id",
    f"{DOCKER} ps",
    f"{DOCKER} run --rm x",
    "timeout -k 2 005 sh -c id",
    f"timeout -k 2 005 sh -c id {DOCKER} ps --no-trunc --format x",
    f"timeout -k 2 5 {DOCKER} ps --no-trunc --format x",
    f"timeout -k 2 005 {DOCKER} run x ps --no-trunc --format x",
    f"timeout -k 2 005 {DOCKER} -H tcp://127.0.0.1:9 ps --no-trunc --format x",
    f"timeout -k 2 005 {DOCKER} --config /run/home ps --no-trunc --format x",
    f"timeout -k 2 005 {DOCKER} stats --no-stream --no-trunc --format x",
    "timeout -k 2 005 /run/bin/docker ps --no-trunc --format x",
    f"timeout -s 9 005 {DOCKER} ps --no-trunc --format x",
    f"timeout -k 2 '00 ' {DOCKER} ps --no-trunc --format x",
    f"{WITHIN} inspect @",
    f"{WITHIN} inspect --type container @",
    f"{WITHIN} inspect --type container --format '{{{{json .}}}}' -- @",
    f"{WITHIN} {INSPECT[:-3]} --format '{{{{json .Config.Env}}}}' -- @",
    f"{WITHIN} {INSPECT[:-3]} -- '{{{{json .Config.Env}}}}' -- @",
    f"{WITHIN} {INSPECT[:-4]} -- {{{{json .Config.Env}}}}' @",
    f"{WITHIN} {INSPECT[:-4]} -- {{{{json .Config.Env}}}}' -- @",
    f"{WITHIN} {INSPECT[:-4]} -- aa {{{{.Config.Env}}}} ff' @",
    f"{WITHIN} {INSPECT[:-4]} -- aa\n{{{{.Config.Env}}}}' @",
    f"{WITHIN} {INSPECT[:-4]} -- \\{{{{.Config.Env}}}}' @",
    f"{WITHIN} {INSPECT[:-4]} -- é{{{{.Config.Env}}}}' @",
    f"{WITHIN} {INSPECT} @ --format '{{{{json .Config.Env}}}}'",
    f"{WITHIN} {INSPECT} only",
    f"{WITHIN} {INSPECT.replace('--type container', '--size')} @",
    f"{WITHIN} {INSPECT.replace('container --', 'image --')} @",
    f"{WITHIN} {INSPECT.replace('[', 'x', 1)} @",
    f"{WITHIN} container {INSPECT} @",
    f"{WITHIN} -D {INSPECT} @",
    f"timeout -k 2 5 {DOCKER} {INSPECT} @",
    f"timeout -k 2 005 /run/bin/docker {INSPECT} @",
    f"{DOCKER} {INSPECT} @",
    f"{WITHIN} version",
    f"{WITHIN} version --format '{{{{json .}}}}'",
    f"{WITHIN} {VERSION} x",
    f"{WITHIN} -H tcp://127.0.0.1:9 {VERSION}",
    f"{DOCKER} {VERSION}",
    f"{WITHIN} exec @ id",
    f"{WITHIN} logs @",
    f"{WITHIN} cp @:/etc/passwd -",
    f"DOCKER_HOST=tcp://127.0.0.1:9 timeout -k 2 005 {DOCKER} ps --no-trunc --format x",
    "kill -9 1",
    "-s",
    "-e /etc/shadow",
)


def test_printed_sudoers_allow_nothing_but_the_probes_commands(engine, make_node, authorize):
    """Not even a login that is free to ask for anything gets more from sudo than named fields."""
    sudoers = authorize("--format", "sudoers", ansible_become=True)
    evil = {"docker": "#!/bin/sh\nid\n"}
    node = make_node(engine=engine, docker_group=False, sudoers=sudoers, bin=evil)
    id_ = engine.docker("ps", "--quiet", "--no-trunc")
    for words in ALLOWED:
        done = node.ssh(f"sudo -n {words.replace('@', id_)}")
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout.strip()
        assert "xyzzy" not in done.stdout
    tries = [f"sudo -n {words.replace('@', id_)}" for words in NOT_ALLOWED]
    done = node.ssh("; ".join(f"{words} && echo ran {n}" for n, words in enumerate(tries)))
    assert "uid=" not in done.stdout
    assert "xyzzy" not in done.stdout + done.stderr
    assert "ran" not in done.stdout
    assert len(re.findall("^(?:sudo:|Sorry,|usage:) ", done.stderr, re.MULTILINE)) >= len(tries)


def test_no_other_cut_of_an_allowed_line_shows_more(engine, make_node, authorize):
    """sudo sees no ends of arguments: wherever blanks are moved into them, Docker shows no more."""
    sudoers = authorize("--format", "sudoers", ansible_become=True)
    node = make_node(engine=engine, docker_group=False, sudoers=sudoers)
    id_ = engine.docker("ps", "--quiet", "--no-trunc")
    fields = node.ssh(f"sudo -n {WITHIN} {INSPECT} {id_}").stdout.strip()
    assert json.loads(fields)[0] == id_
    words = ["inspect", "--type", "container", "--format", *INSPECT_FORMAT.split(), "--", id_]
    cuts = [
        [*words[:first], " ".join(words[first:last]), *words[last:], id_]
        for first in range(len(words))
        for last in range(first + 1, len(words) + 1)
    ]
    mark = "=+=+="
    tries = (f"echo {mark}; sudo -n {WITHIN} {shlex.join(cut)}\n" for cut in cuts)
    (node.run_folder / "home/tries").write_text("".join(tries))
    done = node.ssh("sh tries", timeout_s=200)
    shown = [text.strip() for text in done.stdout.split(mark)[1:]]
    assert len(shown) == len(cuts)
    whole = [text for text in shown if text]
    assert whole, done.stderr
    for text in whole:
        for line in text.splitlines():
            assert re.fullmatch(f"{re.escape(fields)}[-0-9a-f ]*", line), text
    assert "sudo:" not in done.stderr


def test_sudoers_of_before_still_bring_the_figures(engine, make_node, tmp_path):
    """A line that allows only `ps` and `stats` is enough for rows; the rest is refused by sudo."""
    within = f"/usr/bin/timeout -k 2 [0-9][0-9][0-9] {DOCKER}"
    sudoers = (
        f"{USER} ALL=(root) NOPASSWD: {within} ps --no-trunc --format *, "
        f"{within} stats --no-stream --no-trunc --format {{{{json .}}}}\n"
    )
    node = make_node(engine=engine, docker_group=False, sudoers=sudoers)
    answer = _answer(node)
    assert answer.whole
    assert [answer.rc(name) for name in ("ps1", "state", "version", "stats", "ps2")] == [
        0, 1, 1, 0, 0,
    ]  # fmt: skip
    row = _snapshot(tmp_path, node, ansible_become=True)
    assert (row["status"], row["names"]) == ("ok", ["only"]), row


def test_node_with_the_text_of_version_1_is_still_read(engine, make_node, tmp_path):
    """The forced command of before need not be renewed on the day that fleet is."""
    command = (GOLDEN / "v1.txt").read_text().rstrip("\n").replace('"', '\\"')
    options = f'restrict,command="{command}"'
    sudoers = f"{USER} ALL=(root) NOPASSWD: ALL\n"
    node = make_node(engine=engine, key_options=options, sudoers=sudoers)
    for become in (False, True):
        row = _snapshot(tmp_path, node, ansible_become=become)
        assert (row["status"], row["names"]) == ("ok", ["only"]), row
        assert row["node_uptime"] > 0


@pytest.mark.parametrize(
    ("version", "way_out"),
    [
        (0, "read here are 1 and 2; renew it with what this prints: fleet authorize n"),
        (3, "it is newer than this fleet: upgrade fleet here, or renew .+: fleet authorize n"),
    ],
)
def test_node_with_another_format_is_told_how_to_renew_it(
    engine, make_node, tmp_path, version, way_out
):
    """A format too old or too new is probe_outdated, with the command that helps."""
    text = probe.COMMAND.replace(f"@fleet {probe.VERSION} ", f"@fleet {version} ")
    options = 'restrict,command="{}"'.format(text.replace('"', '\\"'))
    row = _snapshot(tmp_path, make_node(engine=engine, key_options=options))
    assert (row["status"], row["phase"], row["names"]) == ("probe_outdated", "probe", [])
    assert f"answers in format {version} of the probe" in row["detail"]
    assert re.search(way_out, row["detail"]), row["detail"]


def test_path_of_the_cli_cannot_be_forced(shut, authorize, tmp_path):
    """fleet_runtime_path is refused by the node, and authorize says so beforehand."""
    row = _snapshot(tmp_path, shut, fleet_runtime_path=DOCKER)
    assert (row["status"], row["phase"]) == ("bad_config", "probe"), row
    assert "fleet_runtime_path" in row["detail"]
    printed = authorize("--format", "authorized_keys", fleet_runtime_path=DOCKER)
    assert "# WARNING: n: fleet_runtime_path cannot be followed" in printed


def _asked(node: Node) -> float | None:
    """The skew of a node's clock, by a visit with OpenSSH's client."""
    host = Host("n", node.address)
    started = time.monotonic()
    done = node.ssh(probe.request(host, 20))
    complete_at, run_s = datetime.now(UTC), time.monotonic() - started
    skew = clock_skew(probe.cut(done.stdout.encode()), run_s, complete_at)
    assert skew is None or 0.5 <= skew.doubt_s <= run_s
    return None if skew is None else skew.seconds


AN_HOUR_AHEAD = """#!/bin/sh
read -r up idle </proc/uptime
while read -r key value; do [ "$key" = btime ] && break; done </proc/stat
echo $(($value + ${up%%.*} + 3600))
"""


def test_clock_of_a_node_is_compared(engine, make_node):
    """An hour ahead is seen as an hour, our own clock as none, and no date(1) as unknown."""
    right = _asked(make_node(engine=engine))
    assert right is not None
    assert abs(right) < 5
    ahead = _asked(make_node(engine=engine, replaced={"date": AN_HOUR_AHEAD}))
    assert ahead is not None
    assert abs(ahead - 3600) < 10
    assert _asked(make_node(engine=engine, hidden=["date"])) is None


def test_bastion_with_the_printed_line_is_read_and_leads_on(lab, engine, make_node, tmp_path):
    """The probe runs on it, the hosts behind it are reached, and no other place is."""
    gate, inner, elsewhere = (make_node(engine=engine) for _ in range(3))
    hosts = {"gate": gate.variables, "inner": {**inner.variables, "fleet_jump": "gate"}}
    inventory = write_inventory(tmp_path / "inventory.yaml", hosts)
    words = ["-i", inventory, "-F", "none"]
    for node, name in ((gate, "gate"), (inner, "inner")):
        _install(node, fleet("authorize", *words, "--format", "authorized_keys", name).stdout)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(gate.known_hosts_line + inner.known_hosts_line)
    shown = fleet("snapshot", *words, "--known-hosts", known_hosts, "--format", "json")
    rows = {row["host"]: row["status"] for row in json.loads(shown.stdout)["hostStatus"]}
    assert rows == {"gate": "ok", "inner": "ok"}, shown.stdout
    there = f"{USER}@{gate.address}"
    assert "SSH-2.0" in _client(gate, "ssh", "-W", f"{inner.address}:{inner.port}", there).stdout
    through = _client(gate, "ssh", "-W", f"{elsewhere.address}:{elsewhere.port}", there)
    assert "administratively prohibited" in through.stderr
    back = ("-o", "ExitOnForwardFailure=yes", "-R", f"{lab.ssh_port + 1}:127.0.0.1:9")
    assert "forwarding failed" in _client(gate, "ssh", *back, there, "x").stderr


USUAL_DEFAULTS = """\
Defaults env_reset
Defaults use_pty
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""


def test_hanging_tool_is_ended_through_the_printed_sudoers(lab, make_node, authorize, tmp_path):
    """timeout(1) runs as root, so it can end a docker that runs as root: nothing stays behind."""
    sudoers = USUAL_DEFAULTS + authorize("--format", "sudoers", ansible_become=True)
    with Engine(lab, "engine-authorize-frozen") as frozen:
        node = make_node(engine=frozen, docker_group=False, sudoers=sudoers)
        frozen.pause()
        try:
            row = _snapshot(tmp_path, node, ansible_become=True)
        finally:
            frozen.resume()
        assert (row["status"], row["phase"]) == ("docker_down", "daemon"), row
        poll(lambda: node.processes() == [], 15, "the probe stayed behind")
