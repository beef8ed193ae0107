"""A stand-in for docker on many nodes of one sshd: every node prints rows of its own.

`script` is the stand-in, and `expected` computes what it prints for an address, `expected_states`
what `docker inspect` says there. Whoever gets rows of another node, or of no node, sees it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.sources.state import State
from tests.lab.lab import Lab, free_port
from tests.lab.node import Node

KB, MB, GB = 10**3, 10**6, 10**9
MIB, GIB = 2**20, 2**30
VERSION = "28.2.2"
"""Of the daemon, as it says."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One container of a stand-in, in the units of a `fleet.sources.Sample`."""

    id: str
    name: str
    image: str
    service: str
    cpu_percent: float
    memory_bytes: float
    memory_limit_bytes: float
    memory_percent: float
    pids: int
    net_in_bytes: float
    net_out_bytes: float
    block_in_bytes: float
    block_out_bytes: float


def script(*, rows: int = 10, delay_s: float = 2) -> str:
    """The stand-in: so many containers, so long a `docker stats`."""
    body = Path(__file__).with_name("standin.sh").read_text()
    return f"#!/bin/sh\nROWS={rows} DELAY={delay_s:g}\n{body}"


def expected(address: str, *, rows: int = 10) -> list[Expected]:
    """What the node at this address prints."""
    first, second, third, fourth = (int(part) for part in address.split("."))
    number = third * 256 + fourth
    prefix = f"{first:02x}{second:02x}{third:02x}{fourth:02x}"
    return [
        Expected(
            id=f"{prefix}{row:04d}{number:052x}",
            name=f"app-{third}-{fourth}-{row}",
            image=f"shop/app-{third}-{fourth}:{row}",
            service=f"service-{row}",
            cpu_percent=float(f"{number % 90}.{row:02d}"),
            memory_bytes=float(f"{number % 900 + 100}.{row % 10}") * MIB,
            memory_limit_bytes=1.953 * GIB,
            memory_percent=float(f"{number % 50}.{row:02d}"),
            pids=number % 500 + row + 1,
            net_in_bytes=(number % 90 + 10) * KB + row % 10 * KB / 10,
            net_out_bytes=(number % 9 + 1) * MB + row % 10 * MB / 10,
            block_in_bytes=(number % 90 + 10) * MB + row % 10 * MB / 10,
            block_out_bytes=(number % 8 + 1) * GB + row % 10 * GB / 10,
        )
        for row in range(rows)
    ]


def expected_states(address: str, *, rows: int = 10) -> list[State]:
    """What `docker inspect` says of the containers of the node at this address."""
    third, fourth = (int(part) for part in address.split(".")[2:])
    number = third * 256 + fourth
    minute = number % 50 + 10
    return [
        State(
            id=container.id,
            state="running",
            pid=number % 1000 * 100 + row + 1000,
            health=None if row % 2 else "healthy",
            restarts=(number + row) % 4,
            exit_code=None,
            oom_killed=False,
            created_at=datetime(2026, 1, 1, 0, minute, 0, 123_456, UTC),
            started_at=datetime(2026, 1, 1, 1, minute, 0, 500_000, UTC),
            finished_at=None,
            image_id=f"sha256:{container.id}",
            project=f"shop-{third}",
        )
        for row, container in enumerate(expected(address, rows=rows))
    ]


class Crowd:
    """Many nodes that are one sshd on all of 127.0.0.0/8; `hosts` are their variables by name."""

    def __init__(self, lab: Lab, node: Node, count: int) -> None:
        self.node = node
        self.addresses = {f"crowd{number:04d}": lab.address() for number in range(1, count + 1)}

    @property
    def hosts(self) -> dict[str, dict[str, str | int]]:
        """An inventory's variables of every node."""
        common = self.node.variables
        return {
            name: {**common, "ansible_host": address} for name, address in self.addresses.items()
        }

    @property
    def known_hosts(self) -> str:
        """A known_hosts file for all of them."""
        port, keys = self.node.port, self.node.host_keys
        return "".join(
            f"[{address}]:{port} {key}\n" for address in self.addresses.values() for key in keys
        )


@contextmanager
def crowd(
    lab: Lab,
    name: str,
    count: int,
    *,
    rows: int = 10,
    delay_s: float = 2,
    startups: int = 5000,
    home: Mapping[str, str] | None = None,
) -> Iterator[Crowd]:
    """Start the one sshd of `count` nodes; ports are the lab's, addresses of their own. With
    `startups` 0 its `MaxStartups` is the default. `home` are files of its user.
    """
    lines = [*([f"MaxStartups {startups}"] if startups else []), "LogLevel INFO"]
    replaced = {"docker": script(rows=rows, delay_s=delay_s)}
    with Node(
        lab,
        name,
        address="0.0.0.0",
        port=free_port("0.0.0.0"),
        replaced=replaced,
        sshd=lines,
        home=home,
    ) as node:
        yield Crowd(lab, node, count)
