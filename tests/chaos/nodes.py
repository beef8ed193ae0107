"""Three nodes that number what they serve, and log it before they print it: one sshd."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.lab import Lab, free_port
from tests.lab.node import Node
from tests.lab.standin import Crowd, script
from tests.lab.waiting import poll

COUNT = 3
CONTAINERS = 4

Served = tuple[str, int]
"""A host and the number of one of its samples."""


class Nodes(Crowd):
    """The nodes, and what they say to have served."""

    def served(self) -> list[Served]:
        """Every sample, in the order in which they were served."""
        file = self.node.run_folder / "home/served"
        names = {address: name for name, address in self.addresses.items()}
        lines = file.read_text().splitlines() if file.exists() else []
        return [(names[line.split()[0]], int(line.split()[1])) for line in lines]

    def wait_quiet(self) -> None:
        """Until nobody is logged in, and nothing is left of a probe."""
        poll(lambda: not self.node.processes(), 20, "the end of the sessions")


@contextmanager
def numbered(lab: Lab) -> Iterator[Nodes]:
    """Start the one sshd of the three."""
    serial = Path(__file__).with_name("serial.sh").read_text()
    docker = f"#!/bin/sh\n{serial}{script(rows=CONTAINERS, delay_s=0)}"
    port = free_port("0.0.0.0")
    with Node(lab, "nodes", address="0.0.0.0", port=port, replaced={"docker": docker}) as node:
        yield Nodes(lab, node, COUNT)
