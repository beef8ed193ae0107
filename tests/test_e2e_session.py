"""Sessions that the visit's own thread drives: other algorithms, new keys in mid-answer, an end."""

import json

import pytest

from tests.command import fleet
from tests.lab import doors
from tests.lab.inventory import write_inventory, write_known_hosts
from tests.lab.standin import expected, script

pytestmark = pytest.mark.e2e

ROWS = 99
"""Some 80 KB of answer, and the most that the stand-in can count."""


def _snapshot(node, folder, *words):
    inventory = write_inventory(folder / "inventory.yaml", {"n": node.variables})
    known_hosts = write_known_hosts(folder / "known_hosts", [node])
    where = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--format", "json"]
    run = fleet("snapshot", *where, *words)
    assert run.returncode in (0, 3), run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    "line",
    [
        "RekeyLimit 16K",
        "RekeyLimit default 1s",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512-etm@openssh.com",
        "Ciphers aes256-gcm@openssh.com",
        "KexAlgorithms diffie-hellman-group14-sha256",
        "KexAlgorithms ecdh-sha2-nistp256",
    ],
)
def test_whole_answer_by_any_algorithm(make_node, tmp_path, line):
    """Other ciphers and key exchanges than the fast ones; keys that the server makes anew again and
    again while it answers: every row is there.
    """
    docker = script(rows=ROWS, delay_s=2)
    node = make_node(replaced={"docker": docker}, sshd=line.split("\n"))
    document = _snapshot(node, tmp_path)
    (host,) = document["hostStatus"]
    assert (host["status"], host["containers"]) == ("ok", ROWS), host
    ids = {row["id"] for row in document["containerStats"]}
    assert ids == {one.id for one in expected(node.address, rows=ROWS)}


KILLS_ITS_SESSION = """
case $1 in
stats) : >/run/home/measured ;;
ps)
    if [ -e /run/home/measured ]; then
        pid=$PPID
        while [ "$(cat /proc/$pid/comm)" != sshd ]; do
            pid=$(grep PPid: /proc/$pid/status | tr -cd 0-9)
        done
        kill -9 $pid
    fi
    ;;
esac
"""
"""For the second `docker ps`, which comes when all is measured."""


def test_session_that_ends_in_mid_answer_keeps_what_came(make_node, tmp_path):
    """The server's end of the session dies after the figures: they count, and the visit says so."""
    docker = script(rows=5, delay_s=0).replace("\n", KILLS_ITS_SESSION, 1)
    node = make_node(replaced={"docker": docker})
    (node.run_folder / "home").chmod(0o777)
    document = _snapshot(node, tmp_path, "--timeout", "20")
    (host,) = document["hostStatus"]
    assert (host["status"], host["phase"]) == ("partial", "probe"), host
    assert "connection broke" in host["detail"]
    assert len(document["containerStats"]) == 5


@pytest.mark.parametrize(
    ("drops", "sheds", "status", "came"),
    [(3, True, "ok", 4), (9, True, "unreachable", 4), (9, False, "unreachable", 2)],
)
def test_who_sheds_load_is_tried_again_and_again(
    lab, make_node, tmp_path, drops, sheds, status, came
):
    """An sshd that says so lets in one of several; who only hangs up is tried once more."""
    node = make_node(replaced={"docker": script(rows=2, delay_s=0)})
    door = doors.dropping(lab, node.address, node.port, drops) if sheds else doors.closing(lab)
    with door:
        known = f"[{door.address}]:{door.port} {node.host_keys[0]}\n"
        (tmp_path / "known_hosts").write_text(known)
        variables = node.variables | {"ansible_host": door.address, "ansible_port": door.port}
        inventory = write_inventory(tmp_path / "inventory.yaml", {"n": variables})
        where = ["-i", str(inventory), "--known-hosts", str(tmp_path / "known_hosts")]
        run = fleet("snapshot", *where, "--format", "json")
        (host,) = json.loads(run.stdout)["hostStatus"]
        assert (host["status"], door.connections) == (status, came), host
