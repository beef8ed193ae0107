"""The same sweep by fleet and by others, interleaved: stand-in nodes whose rows are all their own.

A node is a loopback address of one sshd (with a raised `MaxStartups`), or of fifty (with the
default); `docker stats` takes two seconds there and prints ten rows. Every client's rows are
compared with what each node has to say: a host counts only if all of its rows came, once.

All run the same command, fleet's probe: a session of asyncssh costs the nodes, which share this
machine's cores, what one of fleet costs them. What comes back the others only print; fleet parses
and judges it, checks host keys, and prints rows.
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import measured
from fleet import probe
from fleet.inventory import Host
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.standin import Crowd, crowd, expected

ROWS = 10
DELAY_S = 2.0
COMMAND = "sh /run/home/probe"
"""What the others run: the very text that fleet sends, from a file on the node, for their command
lines and templates would change it.
"""
ONE_PORT = ("parallel-ssh", "Fabric ThreadingGroup", "clush", "ansible -m raw")
"""Those that take part where all nodes are one sshd."""
SLOW = ("parallel-ssh", "clush", "ansible -m raw", "Fabric ThreadingGroup")
"""Those that take minutes for a thousand hosts."""


@dataclass(frozen=True, slots=True)
class Way:
    """One client: its command, and what it reads."""

    name: str
    argv: tuple[str, ...]
    stdin: str = ""


def race(
    lab: Lab,
    hosts: int,
    rounds: int,
    names: Sequence[str] = (),
    *,
    delay_s: float = DELAY_S,
    slow_rounds: int | None = None,
    doors: int = 1,
) -> dict[str, Any]:
    """Rounds of all clients, or of those that are named, in an order that changes → the costs."""
    folder = lab.folder / "race"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(
                crowd(
                    lab,
                    f"race-{hosts}-{door}",
                    hosts // doors,
                    rows=ROWS,
                    delay_s=delay_s,
                    startups=5000 if doors == 1 else 0,
                    home={"probe": probe.request(Host("node", "node"), 60)},
                )
            )
            for door in range(doors)
        ]
        left_out = ONE_PORT if doors > 1 else ()
        ways = [
            one
            for one in _ways(crowds, folder)
            if one.name not in left_out and (not names or one.name in names)
        ]
        wanted = _wanted(crowds)
        found: dict[str, list[dict[str, Any]]] = {way.name: [] for way in ways}
        for number in range(rounds):
            random.shuffle(ways)
            for way in ways:
                if slow_rounds is not None and way.name in SLOW and number >= slow_rounds:
                    continue
                cost, out, err = measured(way.argv, way.stdin)
                failed = hosts - _whole(out.splitlines(), wanted)
                found[way.name].append({**cost._asdict(), "failed": failed})
                print(
                    f"  {hosts} hosts, {way.name}: {cost.wall_s:.1f} s, {cost.cpu_s:.2f} CPU-s, "
                    f"{cost.peak_bytes / 1e6:.0f} MB, {failed} failed"
                    + (f" ({err.splitlines()[-1][:100]})" if failed and err else ""),
                    flush=True,
                )
    return {"hosts": hosts, "doors": doors, "delay_s": delay_s, "runs": found}


@contextmanager
def one_of_ours(lab: Lab, hosts: int) -> Iterator[tuple[str, ...]]:
    """The command of fleet alone, over so many hosts."""
    folder = lab.folder / "ours"
    folder.mkdir(exist_ok=True)
    with crowd(lab, f"ours-{hosts}", hosts, rows=ROWS, delay_s=DELAY_S) as nodes:
        yield next(way.argv for way in _ways([nodes], folder) if way.name == "fleet")


def _wanted(crowds: Iterable[Crowd]) -> dict[str, str]:
    """Each container's id → its host's address."""
    return {
        row.id: address
        for nodes in crowds
        for address in nodes.addresses.values()
        for row in expected(address, rows=ROWS)
    }


def _whole(lines: Iterable[str], wanted: dict[str, str]) -> int:
    """How many hosts' rows are all there, each once, and no other's."""
    seen: Counter[str] = Counter()
    for line in lines:
        _before, brace, rest = line.partition("{")  # clush and ansible name the host first
        if not brace:
            continue
        try:
            row = json.loads(brace + rest)
        except ValueError:
            continue
        seen[str(row.get("ID") or row.get("id"))] += 1
    whole: Counter[str] = Counter()
    for id, count in seen.items():
        if count == 1 and id in wanted:
            whole[wanted[id]] += 1
    return sum(count == ROWS for count in whole.values())


def _ways(crowds: Sequence[Crowd], folder: Path) -> list[Way]:
    """Each client at its best setting on these machines."""
    hosts = {
        f"d{door}-{name}": variables
        for door, nodes in enumerate(crowds)
        for name, variables in nodes.hosts.items()
    }
    inventory = write_inventory(folder / "inventory.yaml", hosts)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(nodes.known_hosts for nodes in crowds))
    node = crowds[0].node
    addresses = "\n".join(str(variables["ansible_host"]) for variables in hosts.values())
    key, port, user, python = str(node.key_file), str(node.port), node.user, sys.executable
    login = (key, port, user)
    ssh = f"-F none -T -i {key} -p {port} -o BatchMode=yes -o IdentitiesOnly=yes"
    ssh += f" -o UserKnownHostsFile={known_hosts} -o Compression=no"
    fleet = (python, "-m", "fleet", "snapshot", "-i", str(inventory))
    fleet += ("--known-hosts", str(known_hosts), "--ssh-config", "none", "--format", "jsonl")
    fleet += ("--connect-timeout", "60", "--timeout", "120")
    ansible = (str(Path(python).with_name("ansible")), "all", "-i", str(inventory), "-m", "raw")
    ansible += ("-a", COMMAND, "-f", "200")
    clush = (str(Path(python).with_name("clush")), "-f", "200", "-l", user, "-o", ssh)
    clush += ("-w", addresses.replace("\n", ","), COMMAND)
    os.environ["ANSIBLE_SSH_ARGS"] = f"{ssh} -o ControlMaster=no"
    os.environ["ANSIBLE_LOCALHOST_WARNING"] = "0"
    peers = "benchmarks.peers"
    return [
        Way("fleet", fleet),
        Way(
            "asyncssh",
            (python, "-m", f"{peers}.by_asyncssh", key, user, str(known_hosts), COMMAND),
            "\n".join(f"{one['ansible_host']}:{one['ansible_port']}" for one in hosts.values()),
        ),
        Way("parallel-ssh", (python, "-m", f"{peers}.by_parallel_ssh", *login, COMMAND), addresses),
        Way(
            "Fabric ThreadingGroup",
            (python, "-m", f"{peers}.by_fabric", *login, COMMAND),
            addresses,
        ),
        Way("clush", clush),
        Way("ansible -m raw", ansible),
    ]
