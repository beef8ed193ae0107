"""The lab's own promises: its parts are real, and they really stop."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.sources.state import INSPECT_FORMAT, VERSION_FORMAT, parse_states, parse_version
from tests.conftest import MakeNode
from tests.lab import doors, standin
from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.lab import PROJECT, Lab
from tests.lab.node import Node
from tests.lab.pids import Pid, contained, marked
from tests.lab.questdb import QuestDB
from tests.lab.sshd import listens
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e


def test_questdb_keeps_data_over_a_restart(lab: Lab) -> None:
    """A QuestDB answers SQL, is killed, comes back on its port with its rows, and stops."""
    with QuestDB(lab, "restarted") as server:
        server.sql("create table t (x long, timestamp timestamp) timestamp(timestamp)")
        server.sql("insert into t values (7, now())")
        server.kill9()
        assert not listens(server.host, server.port)
        server.start()
        assert server.wait_rows("select x from t", 1) == [{"x": 7}]
        assert server.conf == f"http::addr=127.0.0.1:{server.port};"
        gone = server.process.pid
    assert not gone.alive
    assert not listens(server.host, server.port)


def test_engine_is_private_and_leaves_nothing(lab: Lab) -> None:
    """An engine runs containers, freezes, dies, comes back, and leaves no trace on the machine."""
    with Engine(lab, "solo") as engine:
        one = engine.run("one", command=filled(20))
        assert engine.docker("ps", "--quiet", "--no-trunc") == one
        main = Pid.of(int(engine.docker("inspect", "--format", "{{.State.Pid}}", one)))
        assert main
        engine.pause()
        with pytest.raises(subprocess.TimeoutExpired):
            engine.docker("ps", timeout_s=1)
        engine.resume()
        engine.kill9()
        assert main.alive
        engine.start()
        engine.docker("start", "one")
        engine.restart()
        two = engine.run("two")
        left = [*engine.room.pids(), *contained([two])]
    assert len(left) >= 4  # dockerd, containerd, a shim, a container's shell
    assert not [pid for pid in left if pid.alive]
    assert str(engine.folder) not in Path("/proc/mounts").read_text()
    assert not Path("/sys/class/net", engine.bridge).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/docker/{two}"))


def test_nodes_see_only_their_own_engine(
    nodes: dict[str, Node], engines: dict[str, Engine]
) -> None:
    """What `docker ps` prints on a node over SSH is what its own engine says, and differs."""
    ps = "docker ps --quiet --no-trunc"
    seen = [node.ssh(ps).stdout.split() for node in nodes.values()]
    assert seen == [engine.docker(*ps.split()[1:]).split() for engine in engines.values()]
    assert len({id_ for ids in seen for id_ in ids}) == sum(map(len, seen)) >= 6


SHELLS = ["/bin/dash", "/bin/bash", "busybox", "/usr/bin/zsh", "/usr/bin/fish", "/usr/bin/tcsh"]


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells(make_node: MakeNode, shell: str) -> None:
    """A node's user has the login shell asked for, and nothing is left when the node is gone."""
    node = make_node(shell=shell)
    done = node.ssh("sh -c 'readlink /proc/$PPID/exe'; true")
    expected = shutil.which(shell)
    assert expected
    assert Path(done.stdout.strip()).samefile(expected), done
    poll(lambda: not node.processes(), 5, "the session's end")
    with pytest.raises(subprocess.TimeoutExpired):
        node.ssh("sleep 600", timeout_s=1)
    stayed = node.processes()
    assert stayed
    node.room.end()
    assert not [pid for pid in stayed if pid.alive]
    assert not listens(node.address, node.port)


def test_rights_on_a_node(make_node: MakeNode, engines: dict[str, Engine]) -> None:
    """Outside the docker group the engine is denied, unless the node's own sudoers lets it."""
    denied = make_node(engine=engines["c"], docker_group=False)
    assert "permission denied" in denied.ssh("docker ps").stderr
    assert denied.ssh("sudo -n docker ps").returncode == 1
    rule = f"{denied.user} ALL=(root) NOPASSWD: ALL\n"
    allowed = make_node(engine=engines["c"], docker_group=False, sudoers=rule)
    listed = allowed.ssh("sudo -n timeout 5 docker ps --format '{{.Names}}'").stdout
    assert "queue" in listed.split()


def test_programs_of_a_node(make_node: MakeNode) -> None:
    """Programs can be hidden or replaced on one node; the machine keeps its own."""
    node = make_node(hidden=["timeout"], replaced={"docker": "#!/bin/sh\necho stand-in $1\n"})
    assert node.ssh("command -v timeout").returncode == 127
    assert node.ssh("timeout 1 true").returncode in (126, 127)
    assert node.ssh("docker ps").stdout == "stand-in ps\n"
    assert subprocess.run(["timeout", "1", "true"], check=False).returncode == 0


def test_keys_and_lines_of_sshd(make_node: MakeNode) -> None:
    """A node has the host keys, sshd options and forced command it was given."""
    node = make_node(
        host_keys=("rsa", "ecdsa"),
        sshd=["PermitUserEnvironment no", "MaxStartups 1"],
        key_options='restrict,command="echo forced: $SSH_ORIGINAL_COMMAND"',
        home={".bashrc": "echo noise\n"},
    )
    assert [key.split()[0] for key in node.host_keys] == ["ecdsa-sha2-nistp256", "ssh-rsa"]
    assert node.ssh("asked").stdout == "forced: asked\n"
    with socket.create_connection((node.address, node.port)) as first:
        assert first.recv(4) == b"SSH-"
        with socket.create_connection((node.address, node.port)) as second:
            assert not second.recv(100).startswith(b"SSH-")


def test_a_frozen_node(make_node: MakeNode) -> None:
    """A node that is frozen takes connections and says nothing until it runs on."""
    node = make_node()
    node.pause()
    with socket.create_connection((node.address, node.port)) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        node.resume()
        connection.settimeout(5)
        assert connection.recv(4) == b"SSH-"


def test_doors(lab: Lab, make_node: MakeNode) -> None:
    """Each bad door behaves as it says."""

    def first_words(door: doors.Door, wait_s: float = 0.5) -> bytes:
        with socket.create_connection((door.address, door.port), timeout=wait_s) as connection:
            return connection.recv(100)

    with doors.silent(lab) as door, pytest.raises(TimeoutError):
        first_words(door)
    with doors.resetting(lab) as door, pytest.raises(ConnectionResetError):
        first_words(door)
    with doors.closing(lab) as door:
        assert first_words(door) == b""
    with doors.greeting(lab) as door:
        assert first_words(door).startswith(b"220 ")
    with doors.trickling(lab) as door:
        assert first_words(door) == b"S"
    closed = doors.Closed(lab)
    assert not listens(closed.address, closed.port)
    with doors.Full(lab) as full, pytest.raises(TimeoutError):
        socket.create_connection((full.address, full.port), timeout=0.5)
    node = make_node()
    with doors.dropping(lab, node.address, node.port, drops=2) as door:
        said = [first_words(door, 5)[:5] for _ in range(3)]
    assert said == [b"Excee", b"Excee", b"SSH-2"]


def test_every_node_of_a_crowd_has_rows_of_its_own(lab: Lab) -> None:
    """What a stand-in prints over SSH follows from the address, as `expected` says."""
    with standin.crowd(lab, "crowd", 3, rows=12, delay_s=0) as crowd:
        format_ = '[{{json .ID}},{{json .Names}},{{json (.Label "com.docker.compose.service")}}]'
        for address in crowd.addresses.values():
            crowd.node.address = address
            rows = standin.expected(address, rows=12)
            listed = crowd.node.ssh(f"docker ps --no-trunc --format '{format_}' -a").stdout
            stats = crowd.node.ssh("docker stats --no-stream --format '{{json .}}'").stdout
            assert [json.loads(line) for line in listed.splitlines()] == [
                [row.id, row.name, row.service] for row in rows
            ]
            printed = [json.loads(line) for line in stats.splitlines()]
            assert [line["ID"] for line in printed] == [row.id for row in rows]
            assert [line["Container"] for line in printed] == [row.id[:12] for row in rows]
            assert printed[0]["CPUPerc"] == f"{rows[0].cpu_percent:.2f}%"
            assert list(printed[0]) == sorted(printed[0])
            ids = " ".join(row.id for row in rows)
            inspect = f"docker inspect --type container --format '{INSPECT_FORMAT}' --"
            states, bad = parse_states(crowd.node.ssh(f"{inspect} {ids}").stdout.splitlines())
            assert (list(states.values()), bad) == (standin.expected_states(address, rows=12), 0)
            done = crowd.node.ssh(f"{inspect} {'0' * 64} {rows[3].id}")
            assert done.returncode == 1
            assert done.stdout.startswith(f'["{rows[3].id}","running",')
            assert f"No such container: {'0' * 64}" in done.stderr
            version = crowd.node.ssh(f"docker version --format '{VERSION_FORMAT}'").stdout
            assert parse_version(version.splitlines()) == standin.VERSION


KILLED = """
import sys, time
from pathlib import Path
from tests.lab.engine import Engine
from tests.lab.lab import PROJECT, Lab
from tests.lab.node import Node
with Lab(Path(sys.argv[1])) as lab, Engine(lab) as engine, Node(lab, "n", engine=engine):
    engine.docker("pause", engine.run("one"))
    print(engine.bridge, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_killed_run(tmp_path: Path, number: signal.Signals) -> None:
    """When the run is interrupted or killed, its parts end all the same."""
    owner = subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    bridge = Path("/sys/class/net", owner.stdout.readline().strip())
    assert bridge.exists()
    (folder,) = tmp_path.glob("run-*")
    assert len(marked(str(folder))) >= 4
    owner.send_signal(number)
    owner.wait(20)
    poll(lambda: not folder.exists(), 20, "the janitor")
    assert not marked(str(folder))
    assert not bridge.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
