"""The lab's own promises: its parts are real, and they really stop."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.lab import Lab
from tests.lab.pids import Pid, contained
from tests.lab.questdb import QuestDB

pytestmark = pytest.mark.e2e


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def test_questdb_keeps_data_over_a_restart(lab: Lab) -> None:
    """A QuestDB answers SQL, is killed, comes back on its port with its rows, and stops."""
    with QuestDB(lab, "restarted") as server:
        server.sql("create table t (x long, timestamp timestamp) timestamp(timestamp)")
        server.sql("insert into t values (7, now())")
        server.kill9()
        assert not listens(server.port)
        server.start()
        assert server.wait_rows("select x from t", 1) == [{"x": 7}]
        assert server.conf == f"http::addr=127.0.0.1:{server.port};"
        gone = server.process.pid
    assert not gone.alive
    assert not listens(server.port)


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
