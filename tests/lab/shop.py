"""The fleet that the manual shows: five machines of a small shop, one of them down, one closed.

`web01`, `web02` and `db1` are well, nobody listens at `web03`, and at `web04` the login is not in
the group `docker`. Everything is real but the machines: an sshd and an engine for each.
"""

import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import ExitStack, closing

from tests.lab.engine import Engine
from tests.lab.image import filled
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.sshd import client_key
from tests.lab.waiting import poll

ADDRESSES = {
    "web01": "127.10.0.11",
    "web02": "127.10.0.12",
    "web03": "127.10.0.13",
    "web04": "127.10.0.14",
    "db1": "127.10.0.21",
}
DOWN, CLOSED = "web03", "web04"
SSH_PORT = 22
NO_QUESTDB = "127.10.0.31:9000"
"""Where none listens: the usual address may be that of somebody's own."""

INVENTORY = """\
all:
  vars:
    ansible_user: ops{port}
  children:
    web:
      hosts:
        web01: {{ansible_host: {web01}}}
        web02: {{ansible_host: {web02}}}
        web03: {{ansible_host: {web03}}}
        web04: {{ansible_host: {web04}}}
    db:
      hosts:
        db1: {{ansible_host: {db1}}}
"""
BURN = ["sh", "-c", "while :; do :; done"]


class Shop:
    """Starts it; `home` is the home of somebody who has the key, and knows the hosts if told so."""

    def __init__(self, lab: Lab, *, known: bool = True) -> None:
        self.lab = lab
        self.home = lab.folder / "home"
        self._known = known
        self._parts = ExitStack()

    def __enter__(self) -> "Shop":
        with ExitStack() as parts:
            port = SSH_PORT if _free(SSH_PORT) else self.lab.ssh_port
            engines = {name: parts.enter_context(Engine(self.lab, f"on-{name}")) for name in _WELL}
            self.nodes = {
                name: parts.enter_context(self._node(name, engines[_WELL_OF[name]], port))
                for name in ADDRESSES
                if name != DOWN
            }
            _start_containers(engines)
            self._write_home(port)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._parts.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a shell of that person has."""
        foreign = ("DOCKER_", "FLEET_", "QDB_", "SSH_", "XDG_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        return kept | {
            **{"HOME": str(self.home), "USER": "ops", "LOGNAME": "ops"},
            "QDB_CLIENT_CONF": f"http::addr={NO_QUESTDB};",
        }

    def _node(self, name: str, engine: Engine, port: int) -> Node:
        open_ = name != CLOSED
        address = ADDRESSES[name]
        return Node(self.lab, name, engine=engine, docker_group=open_, address=address, port=port)

    def _write_home(self, port: int) -> None:
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        key = client_key(self.lab)
        for file in (key, key.with_name(f"{key.name}.pub")):
            shutil.copy(file, ssh)
        if self._known:
            lines = [_line(node, port) for node in self.nodes.values()]
            (ssh / "known_hosts").write_text("".join(lines))
        said = "" if port == SSH_PORT else f"\n    ansible_port: {port}"
        (self.home / "inventory.yaml").write_text(INVENTORY.format(port=said, **ADDRESSES))


_WELL = ("web01", "web02", "db1")
_WELL_OF = {name: name if name in _WELL else "web01" for name in ADDRESSES}


def _start_containers(engines: dict[str, Engine]) -> None:
    def run(host: str, service: str, *options: str, command: Sequence[str], image: str) -> None:
        labels = [f"com.docker.compose.service={service}", "com.docker.compose.project=shop"]
        words = [word for label in labels for word in ("--label", label)]
        engines[host].run(f"shop-{service}-1", *words, *options, command=command, image=image)

    for host in ("web01", "web02"):
        memory = ("--memory", "512m")
        run(host, "web", *memory, command=filled(20), image="shop/web:1.4")
        run(host, "cron", command=filled(0), image="shop/cron:7")
    run("db1", "db", "--memory", "1g", command=filled(21), image="shop/db:16")
    engines["web02"].run("burn", "--cpus", "0.2", command=BURN, image="shop/burn:1")
    held = 16 << 21
    poll(lambda: engines["db1"].memory_bytes("shop-db-1") > held, 20, "shop-db-1's memory")


def _line(node: Node, port: int) -> str:
    name = node.address if port == SSH_PORT else f"[{node.address}]:{port}"
    return "".join(f"{name} {key}\n" for key in node.host_keys)


def _free(port: int) -> bool:
    """Whether nobody listens there on all addresses, as a machine's own sshd does."""
    with closing(socket.socket()) as probe:
        try:
            probe.bind((ADDRESSES["web01"], port))
        except OSError:
            return False
    return True
