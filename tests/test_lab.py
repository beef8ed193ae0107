"""The lab's own promises: its parts are real, and they really stop."""

import socket

import pytest

from tests.lab.lab import Lab
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
