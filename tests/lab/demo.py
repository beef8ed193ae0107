"""`make demo`: real rows of real containers, through real SSH, in a real QuestDB.

Everything lies in `.demo/` (or the folder given as the one argument), and everything it starts it
stops, also when interrupted at any moment. On a terminal it stays until Ctrl-C. Its exit status is
0 only if the rows were really there.
"""

import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from tests.lab.docker import MACHINE_SOCKET, Docker, machine_docker
from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.lab import PROJECT, Lab
from tests.lab.node import Node
from tests.lab.pids import MARK
from tests.lab.questdb import QuestDB, Row
from tests.lab.sshd import Sshd
from tests.lab.waiting import LabError, poll

IMAGE = "fleet-demo:1"
CONTAINERS = {"fleet-demo-web": 16, "fleet-demo-cache": 20, "fleet-demo-batch": 18}
"""Containers, and how often the 16 bytes are doubled that each holds."""
PAUSED = "fleet-demo-batch"
NODES = ("web1", "web2", "db1")
DEAD = "db2"
SOME_FAILED = 3

INVENTORY = """\
# Made by `make demo`: three nodes, which are one sshd on this machine, and one that is down.
all:
  vars:
    ansible_port: {port}
    ansible_user: {user}
  children:
    web:
      hosts:
        web1: {{ansible_host: {web1}}}
        web2: {{ansible_host: {web2}}}
    db:
      hosts:
        db1: {{ansible_host: {db1}}}
        db2: {{ansible_host: {db2}}}  # nobody listens there
"""

QUERIES = {
    "containerStats": "SELECT host, container, name, image, cpu, memory_use, memory_use_unit, "
    "pids, timestamp FROM containerStats WHERE name LIKE 'fleet-demo-%' ORDER BY host, name",
    "hostStatus": "SELECT host, status, phase, detail, containers, elapsed, timestamp "
    "FROM hostStatus ORDER BY host",
    "fleetSweep": "SELECT name, version, hosts, failed, containers, elapsed, timestamp "
    "FROM fleetSweep",
}


def main() -> None:
    """Run the demo; the exit status says how it went."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end_on)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / ".demo"
    try:
        with Lab(folder) as lab:
            machine = machine_docker(lab.folder / "client")
            private = not machine.answers()
            if private and os.geteuid():
                _become_root(folder)
            with ExitStack() as parts:
                _demonstrate(lab, None if private else machine, parts)
    except KeyboardInterrupt:
        sys.exit(130)
    except LabError as error:
        sys.exit(f"demo: {error}")
    finally:
        _give_back(folder)


def _end_on(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _demonstrate(lab: Lab, machine: Docker | None, parts: ExitStack) -> None:
    print("Starting QuestDB, containers and an sshd; the first time fetches QuestDB.", flush=True)
    database = parts.enter_context(QuestDB(lab))
    engine = machine or parts.enter_context(Engine(lab))
    ids = parts.enter_context(_containers(lab, engine, is_ours=machine is None))
    sshd = _start_sshd(lab, engine, parts)
    parts.callback(_end_undisturbed)  # the first thing of the end
    _write_files(lab, sshd)
    shown = os.path.relpath(lab.root, PROJECT)
    connection = ["--known-hosts", f"{shown}/known_hosts", "--private-key", f"{shown}/id_ed25519"]
    _fleet(lab, 0, "hosts")
    _fleet(lab, SOME_FAILED, "collect", *connection, "--questdb", database.conf)
    print(f"(Exit status {SOME_FAILED}: some hosts failed. {DEAD} is down, as it should be.)")
    _fleet(lab, SOME_FAILED, "snapshot", *connection)
    for table, query in QUERIES.items():
        database.wait_rows(f"SELECT * FROM {table}", 1)
        print(f"\nsql> {query};\n{_table(database.sql(query))}", flush=True)
    _verify(database, ids)
    print("\nEvery container has its row under each of its hosts, and every host has its own.")
    if sys.stdin.isatty() and sys.stdout.isatty():
        print(f"QuestDB's console: {database.url}   Ctrl-C ends the demo and removes it all.")
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


@contextmanager
def _containers(lab: Lab, engine: Docker, *, is_ours: bool) -> Iterator[dict[str, str]]:
    """Start the demo's containers, one of them paused; their ids by name."""
    if set(engine.docker("ps", "--all", "--format", "{{.Names}}").split()) & set(CONTAINERS):
        names = " ".join(CONTAINERS)
        raise LabError(f"another demo runs, or left its containers: docker rm --force {names}")
    undo = [[*engine.prefix, "rm", "--force", "--volumes", *CONTAINERS]]
    if not engine.docker("images", "--quiet", IMAGE):
        undo.append([*engine.prefix, "rmi", IMAGE])
    if not is_ours:  # what is ours goes with its engine
        for argv in reversed(undo):
            lab.ledger.command(argv)
    if len(undo) == 2:
        engine.import_image(IMAGE)
    try:
        yield {
            name: engine.run(name, command=filled(doublings), image=IMAGE)
            for name, doublings in CONTAINERS.items()
            if name != PAUSED
        } | {PAUSED: _paused(engine)}
    finally:
        for argv in [] if is_ours else undo:
            subprocess.run(argv, check=False, capture_output=True)


def _paused(engine: Docker) -> str:
    """Start the container that is paused, once its memory is filled."""
    id_ = engine.run(PAUSED, command=filled(CONTAINERS[PAUSED]), image=IMAGE)
    held = 16 << CONTAINERS[PAUSED]
    poll(lambda: engine.memory_bytes(PAUSED) > held, 20, f"{PAUSED}'s memory")
    engine.docker("pause", PAUSED)
    return id_


def _start_sshd(lab: Lab, engine: Docker, parts: ExitStack) -> Sshd:
    """One sshd on three addresses, that lets the calling user in.

    As root it gets a room: `/run/sshd` may not exist, and root's password may be locked.
    """
    user = pwd.getpwuid(os.geteuid()).pw_name
    addresses = [lab.address() for _node in NODES]
    if os.geteuid():
        sshd = Sshd(lab, "sshd", user, address=addresses[0], also=addresses[1:])
    else:
        socket = engine if isinstance(engine, Engine) else MACHINE_SOCKET.resolve()
        sshd = Node(lab, "sshd", user=user, engine=socket, address=addresses[0], also=addresses[1:])
    return parts.enter_context(sshd)


def _write_files(lab: Lab, sshd: Sshd) -> None:
    """`.demo/inventory.yaml`, `.demo/known_hosts` and the key, as a user would have them."""
    addresses = dict(zip(NODES, sshd.addresses, strict=True)) | {DEAD: lab.address()}
    user = json.dumps(sshd.user)
    text = INVENTORY.format(port=sshd.port, user=user, **addresses)
    (lab.root / "inventory.yaml").write_text(text)
    known = "".join(sshd.known_hosts_of(address) for address in sshd.addresses)
    (lab.root / "known_hosts").write_text(known)
    key = lab.root / "id_ed25519"
    key.unlink(missing_ok=True)
    shutil.copy(sshd.key_file, key)


def _fleet(lab: Lab, expected: int, command: str, *options: str) -> None:
    """Show a command line, run it, and let its output be seen as it is."""
    inventory = os.path.relpath(lab.root / "inventory.yaml", PROJECT)
    words = [command, "-i", inventory, *options]
    print(f"\n$ fleet {shlex.join(words)}", flush=True)
    foreign = ("DOCKER_", "FLEET_", "QDB_", "SSH_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {"FLEET_STATE_DIR": str(lab.folder / "state"), MARK: str(lab.folder)}
    script = Path(sys.executable).with_name("fleet")
    program = [script] if script.exists() else [sys.executable, "-m", "fleet"]
    done = subprocess.run([*program, *words], check=False, env=environment, cwd=PROJECT)
    if done.returncode != expected:
        raise LabError(f"fleet {command} ended with {done.returncode}, not {expected}")


def _verify(database: QuestDB, ids: Mapping[str, str]) -> None:
    """The rows are those that must be there."""
    seen = {
        (row["host"], row["name"]): row
        for row in database.sql("SELECT host, name, id, memory_use FROM containerStats")
    }
    for host in NODES:
        for name, id_ in ids.items():
            row = seen.get((host, name))
            if row is None or row["id"] != id_ or (row["memory_use"] or 0) < 16 << CONTAINERS[name]:
                raise LabError(f"containerStats has the wrong row of {name} on {host}: {row}")
    statuses = database.sql("SELECT host, status FROM hostStatus")
    wanted = dict.fromkeys(NODES, "ok") | {DEAD: "unreachable"}
    if {row["host"]: row["status"] for row in statuses} != wanted or len(statuses) != len(wanted):
        raise LabError(f"hostStatus has the wrong rows: {statuses}")
    sweeps = database.sql("SELECT hosts, failed FROM fleetSweep")
    if sweeps != [{"hosts": len(wanted), "failed": 1}]:
        raise LabError(f"fleetSweep has the wrong rows: {sweeps}")


def _table(rows: Sequence[Row]) -> str:
    """Rows in columns, for people."""
    cells = [[*rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"
    return "" if value is None else str(value)


def _end_undisturbed() -> None:
    """From here on a second Ctrl-C changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _become_root(folder: Path) -> None:
    """Start again through sudo: no Docker engine answers, and starting one takes root."""
    argv = ["sudo", "env", f"PATH={os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE=1"]
    print("No Docker engine answers here; starting a private one takes root: sudo.", flush=True)
    if shutil.which("sudo") and (sys.stdin.isatty() or _sudo_asks_nothing()):
        os.execvp("sudo", [*argv, sys.executable, "-m", "tests.lab.demo", str(folder)])
    raise LabError("without rights for that, this would run it: sudo make demo")


def _sudo_asks_nothing() -> bool:
    return subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0


def _give_back(folder: Path) -> None:
    """What root made for a user through sudo becomes the user's."""
    if os.geteuid() == 0 and (uid := os.environ.get("SUDO_UID")):
        owner = f"{uid}:{os.environ['SUDO_GID']}"
        subprocess.run(["chown", "-R", "--", owner, str(folder)], check=False)


if __name__ == "__main__":
    main()
