"""The main job on real parts: SSH nodes, Docker engines, QuestDB."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

from fleet.spool import Spool
from tests.command import FLEET, fleet
from tests.lab import doors
from tests.lab.disks import local_disks
from tests.lab.doors import Closed
from tests.lab.inventory import write_inventory, write_known_hosts
from tests.lab.room import Room
from tests.lab.standin import crowd, expected
from tests.lab.tables import table_words, tables_named
from tests.lab.waiting import poll

pytestmark = pytest.mark.e2e


class Fleet(NamedTuple):
    """An inventory of three nodes and a dead one, and the words that lead to them."""

    inventory: Path
    words: list[str]
    tables: dict[str, str]


@pytest.fixture
def three_and_dead(nodes, questdb, lab, tmp_path, numbers):
    """`make(maintenance=…)` → a `Fleet` with tables of its own in the real QuestDB."""

    def make(**dead_variables) -> Fleet:
        hosts = {name: node.variables for name, node in nodes.items()}
        hosts["dead"] = {**nodes["node-a"].variables, **dead_variables}
        closed = Closed(lab)
        hosts["dead"].update(ansible_host=closed.address, ansible_port=closed.port)
        inventory = write_inventory(tmp_path / "inventory.yaml", hosts)
        known_hosts = write_known_hosts(tmp_path / "known_hosts", nodes.values())
        number = next(numbers)
        tables = tables_named(f"{{}}_{number}")
        words = ["-i", str(inventory), "--known-hosts", str(known_hosts)]
        words += ["--questdb", questdb.conf, *table_words(tables)]
        return Fleet(inventory, words, tables)

    return make


def _truth(engines) -> dict[tuple[str, str], dict[str, str]]:
    """(host, name) → what the engine itself says of each running container."""
    form = "{{.ID}} {{.Config.Image}} {{.State.Status}} {{.HostConfig.NetworkMode}} {{.Name}}"
    truth = {}
    for letter, engine in engines.items():
        ids = engine.docker("ps", "-q", "--no-trunc").split()
        for line in engine.docker("inspect", "--format", form, *ids).splitlines():
            id, image, state, network, name = line.split()
            truth[f"node-{letter}", name.removeprefix("/")] = {
                "id": id,
                "image": image,
                "state": state,
                "network": network,
            }
    return truth


def _paused_memory(engine, name: str) -> tuple[float, float]:
    """A paused container's memory by the engine's own API: (used, limit), by Docker's formula."""
    request = f"GET /containers/{name}/stats?stream=false HTTP/1.0\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as api:
        api.settimeout(30)
        api.connect(str(engine.socket))
        api.sendall(request.encode())
        said = api.makefile("rb").read().partition(b"\r\n\r\n")[2]
    memory = json.loads(said)["memory_stats"]
    stats = memory["stats"]
    inactive = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return memory["usage"] - (inactive if inactive < memory["usage"] else 0), memory["limit"]


def test_collect_stores_every_container_under_its_host(three_and_dead, engines, questdb):
    """Exact ids, names and images; four hosts with their status; one sweep; exit 3."""
    made = three_and_dead()
    run = fleet("collect", *made.words)
    assert run.returncode == 3, run.stderr
    assert run.stdout == ""
    truth = _truth(engines)
    assert len(truth) == 7
    rows = questdb.wait_rows(f"SELECT * FROM {made.tables['containers']}", len(truth))
    found = {(row["host"], row["name"]): row for row in rows}
    assert set(found) == set(truth)
    for key, row in found.items():
        assert row["id"] == truth[key]["id"]
        assert row["container"] == row["id"][:12]
        assert row["image"] == truth[key]["image"]
        assert row["pids"] >= 1
        assert row["memory_use"] > 0
        assert (row["net_io_in"] is None) == (truth[key]["network"] not in ("default", "bridge"))
        assert {row[f"{name}_unit"] for name in ("memory_use", "net_io_in")} == {"bytes"}
    assert {key[1]: row["service"] for key, row in found.items() if row["service"]} == {
        "web-1": "web",
        "web-2": "web",
        "queue": "queue",
    }
    paused = found["node-a", "cron"]
    assert truth["node-a", "cron"]["state"] == "paused"
    used, limit = _paused_memory(engines["a"], "cron")
    assert (paused["memory_use"], paused["total_memory"]) == (used, limit)
    assert paused["cpu"] == 0.0

    hosts = questdb.wait_rows(f"SELECT * FROM {made.tables['hosts']} ORDER BY host", 4)
    assert [(row["host"], row["status"], row["phase"], row["containers"]) for row in hosts] == [
        ("dead", "unreachable", "connect", 0),
        ("node-a", "ok", None, 3),
        ("node-b", "ok", None, 2),
        ("node-c", "ok", None, 2),
    ]
    assert [row["sampled"] is None for row in hosts] == [True, False, False, False]
    assert all(row["node_uptime"] > 0 for row in hosts[1:])
    (sweep,) = questdb.wait_rows(f"SELECT * FROM {made.tables['sweeps']}", 1)
    assert (sweep["name"], sweep["hosts"], sweep["failed"], sweep["containers"]) == (
        "fleet",
        4,
        1,
        7,
    )
    assert {row["timestamp"] for row in (*rows, *hosts)} == {sweep["timestamp"]}

    lines = run.stderr.splitlines()
    changes = [line for line in lines if line.startswith("fleet: changed the schema: CREATE TABLE")]
    assert len(changes) == len(made.tables)
    summary, cause = lines[len(changes) :]
    assert re.fullmatch(r"fleet: 4 hosts, 1 failed; 7 containers; \d+\.\d s", summary)
    assert re.fullmatch(r"unreachable 1: dead: \S+ port \d+: Connection refused", cause)


def test_snapshot_says_the_same_as_collect(three_and_dead, engines):
    """`--format json` has the tables' columns; figures that stand still are the same."""
    made = three_and_dead()
    run = fleet("snapshot", "--format", "json", *made.words)
    assert run.returncode == 3
    document = json.loads(run.stdout)
    truth = _truth(engines)
    rows = {(row["host"], row["name"]): row for row in document["containerStats"]}
    assert {key: row["id"] for key, row in rows.items()} == {
        key: value["id"] for key, value in truth.items()
    }
    used, _limit = _paused_memory(engines["a"], "cron")
    assert rows["node-a", "cron"]["memory_use"] == used
    assert rows["node-b", "db"]["total_memory"] == 256 * 1024**2
    assert [row["status"] for row in document["hostStatus"]] == ["ok", "ok", "ok", "unreachable"]
    assert (document["sweep"]["hosts"], document["sweep"]["failed"]) == (4, 1)


def test_healthy_collect_prints_not_one_byte_under_cron(three_and_dead, questdb, tmp_path):
    """With the dead node in maintenance, in cron's bare environment: exit 0 and silence."""
    made = three_and_dead(fleet_state="maintenance")
    bare = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    first = fleet("collect", *made.words, env=bare)
    assert (first.returncode, first.stdout) == (0, "")
    assert all("changed the schema" in line for line in first.stderr.splitlines())
    second = fleet("collect", *made.words, env=bare)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    questdb.wait_rows(f"SELECT * FROM {made.tables['hosts']} WHERE maintenance", 2)
    questdb.wait_rows(f"SELECT * FROM {made.tables['sweeps']} WHERE failed = 0", 2)


def test_patterns_choose_what_is_visited(three_and_dead):
    """A pattern, an exclusion and a limit mean the same to hosts and to snapshot."""
    made = three_and_dead()
    listed = fleet("hosts", "all,!dead", "-i", made.inventory, "-l", "node-[ab]")
    assert listed.stdout == "node-a\nnode-b\n"
    run = fleet("snapshot", "all,!dead", "-l", "node-[ab]", "--format", "jsonl", *made.words)
    assert run.returncode == 0, run.stderr
    assert {json.loads(line)["host"] for line in run.stdout.splitlines()} == {"node-a", "node-b"}
    nothing = fleet("snapshot", "no-such", *made.words)
    assert nothing.returncode == 2
    assert "no-such" in nothing.stderr


def test_snapshot_table_shows_containers_and_what_failed(three_and_dead):
    """The table people read, without a colour or a progress bar where there is no terminal."""
    made = three_and_dead()
    run = fleet("snapshot", "--sort", "memory", "--top", "2", *made.words)
    assert run.returncode == 3
    lines = run.stdout.splitlines()
    assert lines[0].split()[:5] == ["HOST", "CONTAINER", "STATE", "CPU", "MEMORY"]
    assert [line.split()[1] for line in lines[1:3]] == ["cron", "db"]
    assert lines[4].split() == ["HOST", "STATUS", "WHY"]
    assert lines[5].split()[:2] == ["dead", "unreachable"]
    assert "\x1b" not in run.stdout
    assert run.stderr == ""


def test_published_snapshot_is_stored(three_and_dead, questdb):
    """`snapshot --publish` prints and stores."""
    made = three_and_dead()
    run = fleet("snapshot", "node-c", "--publish", "--format", "csv", *made.words)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("host,container,name,id,cpu,")
    rows = questdb.wait_rows(f"SELECT * FROM {made.tables['containers']}", 2)
    assert {row["name"] for row in rows} == {"queue", "sidecar"}


def test_ilp_of_a_snapshot_can_be_posted(three_and_dead, questdb):
    """`--format ilp` is what QuestDB takes at /write."""
    made = three_and_dead()
    run = fleet("snapshot", "node-a", "--format", "ilp", *made.words)
    assert run.returncode == 0, run.stderr
    text = run.stdout.encode()
    with urllib.request.urlopen(f"{questdb.url}/write?precision=n", text, timeout=30) as answer:
        assert answer.status == 204
    rows = questdb.wait_rows(f"SELECT * FROM {made.tables['containers']}", 3)
    assert {row["name"] for row in rows} == {"web-1", "web-2", "cron"}


def test_rows_that_do_not_arrive_are_said(three_and_dead, engines, lab, state_dir):
    """Without a QuestDB the sweep is made; what was not sent is kept and said; exit 4."""
    made = three_and_dead(fleet_state="maintenance")
    closed = Closed(lab)
    address = f"{closed.address}:{closed.port}"
    words = [
        f"http::addr={address};retry_timeout=0;" if word.startswith("http::") else word
        for word in made.words
    ]
    run = fleet("collect", *words)
    assert (run.returncode, run.stdout) == (4, "")
    existing = sum(
        len(engine.docker("ps", "--all", "--quiet").split()) for engine in engines.values()
    )
    answered = len(engines)
    count = 7 + existing + answered * (1 + len(local_disks())) + (answered + 1) + 1
    line = f"fleet: {count} rows kept in the spool: QuestDB at {address}: Connection refused"
    assert line in run.stderr.splitlines()
    assert sum(entry.rows for entry in Spool(state_dir / "spool", 2**30).waiting()) == count


def test_conflicting_table_ends_the_run_before_any_ssh(three_and_dead, questdb, nodes):
    """A column of another type is the administrator's to mend: exit 2, no login."""
    made = three_and_dead()
    questdb.sql(
        f"CREATE TABLE {made.tables['containers']} (host SYMBOL, cpu VARCHAR, timestamp TIMESTAMP)"
        " TIMESTAMP(timestamp) PARTITION BY DAY WAL"
    )
    logins = nodes["node-a"].log.count("Accepted publickey")
    run = fleet("collect", *made.words)
    assert run.returncode == 2
    assert "cpu" in run.stderr
    assert nodes["node-a"].log.count("Accepted publickey") == logins


FIELDS = {
    "id": "id",
    "name": "name",
    "image": "image",
    "service": "service",
    "pids": "pids",
    "cpu": "cpu_percent",
    "memory_percentage": "memory_percent",
    "memory_use": "memory_bytes",
    "total_memory": "memory_limit_bytes",
    "net_io_in": "net_in_bytes",
    "net_io_out": "net_out_bytes",
    "block_io_in": "block_in_bytes",
    "block_io_out": "block_out_bytes",
}


def _figures(row: dict) -> list:
    """A row's texts as they are, its numbers to nine digits."""
    cells = [row[column] for column in FIELDS]
    return [cell if isinstance(cell, str) else pytest.approx(cell, rel=1e-9) for cell in cells]


def test_two_hundred_nodes(lab, tmp_path):
    """Rows of 200 nodes, each compared with what its own node prints; nothing is left behind."""
    with crowd(lab, "crowd200", 200) as many:
        inventory = write_inventory(tmp_path / "inventory.yaml", many.hosts)
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(many.known_hosts)
        words = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--timeout", "60"]
        run = fleet("snapshot", "--format", "json", *words)
        assert run.returncode == 0, run.stderr[:2000]
        by_host: dict[str, list[dict]] = {name: [] for name in many.addresses}
        for row in json.loads(run.stdout)["containerStats"]:
            by_host[row["host"]].append(row)
        for name, address in many.addresses.items():
            rows = sorted(by_host[name], key=lambda row: row["id"])
            assert [[row[column] for column in FIELDS] for row in rows] == [
                _figures({column: getattr(one, field) for column, field in FIELDS.items()})
                for one in expected(address)
            ]
        poll(lambda: many.node.processes() == [], 10, "sessions stayed behind on the nodes")


def test_nothing_is_left_in_the_process_after_a_sweep(nodes, lab, tmp_path):
    """Threads and sockets of a sweep over good and dead hosts are gone when it is over."""
    from fleet import rounds, settings
    from fleet.inventory import load

    hosts = {name: node.variables for name, node in nodes.items()}
    closed = Closed(lab)
    hosts["dead"] = {"ansible_host": closed.address, "ansible_port": closed.port}
    stalling = doors.greeting(lab, b"SSH-2.0-stalling\r\n")
    hosts["stalling"] = {"ansible_host": stalling.address, "ansible_port": stalling.port}
    inventory = load(str(write_inventory(tmp_path / "inventory.yaml", hosts)))
    known_hosts = write_known_hosts(tmp_path / "known_hosts", nodes.values())

    def sockets() -> int:
        links = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
        return sum(link.startswith("socket:") for link in links)

    threads, before = threading.active_count(), sockets()
    chosen = settings.Settings(known_hosts=str(known_hosts), connect_timeout_s=2)
    with stalling:
        outcome = rounds.snapshot(inventory.hosts, chosen, lambda _visit: None)
    assert [visit.status.value for visit in outcome.sweep.visits] == [
        "ok",
        "ok",
        "ok",
        "unreachable",
        "timeout",
    ]
    poll(lambda: threading.active_count() <= threads, 5, "threads stayed behind")
    poll(lambda: sockets() <= before, 5, "sockets stayed behind")
    for node in nodes.values():
        poll(lambda node=node: node.processes() == [], 10, "sessions stayed behind on a node")


@pytest.mark.parametrize("hidden", [[], ["timeout"]], ids=["timeout", "watchdog"])
def test_killed_central_host_leaves_nothing_on_the_node(make_node, tmp_path, hidden):
    """kill -9 in mid-visit: what runs on the node ends by itself within its time."""
    slow = "#!/bin/sh\ncase $1 in stats) exec sleep 600;; esac\n"
    node = make_node(replaced={"docker": slow}, hidden=hidden)
    inventory = write_inventory(tmp_path / "inventory.yaml", {"n": node.variables})
    known_hosts = write_known_hosts(tmp_path / "known_hosts", [node])
    words = ["-i", str(inventory), "--known-hosts", str(known_hosts), "--timeout", "8"]
    process = subprocess.Popen(
        [*FLEET, "snapshot", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        poll(lambda: any("600" in p.command for p in node.processes()), 15, "stats never ran")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    poll(lambda: node.processes() == [], 20, "the probe stayed behind")


def test_bare_imports(tmp_path):
    """`fleet --version` and `fleet hosts` load neither Fabric nor QuestDB's client."""
    inventory = write_inventory(tmp_path / "inventory.yaml", {"a": {}})
    for words in (["--version"], ["hosts", "-i", str(inventory)]):
        code = (
            "import sys; from fleet.cli import main; main(sys.argv[1:]);"
            "print(sorted({m.split('.')[0] for m in sys.modules}"
            " & {'fabric', 'paramiko', 'questdb', 'rich', 'ClusterShell'}))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True
        )
        assert run.stdout.splitlines()[-1] == "[]"


def test_stuck_resolver_delays_neither_visit_nor_exit(lab, tmp_path):
    """A name server that never answers costs --connect-timeout, though the resolver waits on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        address = lab.address()
        mute.bind((address, 53))
        conf = tmp_path / "resolv.conf"
        conf.write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
        room = Room(lab, "mute-resolver", [(conf, Path("/etc/resolv.conf"))])
        try:
            inventory = write_inventory(
                tmp_path / "inventory.yaml", {"a": {"ansible_host": "slow.example.com"}}
            )
            words = ["snapshot", "-i", str(inventory), "--connect-timeout", "2", "--format", "json"]
            started = time.monotonic()
            run = subprocess.run(
                room.inside(*FLEET, *words),
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                cwd=Path(__file__).parent.parent,
            )
            took_s = time.monotonic() - started
        finally:
            room.end()
    (row,) = json.loads(run.stdout)["hostStatus"]
    assert (run.returncode, row["status"], row["phase"]) == (5, "dns", "resolve")
    assert "within 2 s" in row["detail"]
    assert took_s < 20
