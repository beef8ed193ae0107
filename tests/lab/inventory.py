"""Inventories and known_hosts files of lab parts, as a user would write them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.lab.sshd import Sshd

Variables = Mapping[str, Any]


def write_inventory(path: Path, hosts: Mapping[str, Variables], **common: object) -> Path:
    """An inventory of one group `lab`; JSON is YAML too. `common` are variables of the group."""
    group = {"hosts": {name: dict(variables) for name, variables in hosts.items()}, "vars": common}
    path.write_text(json.dumps({"all": {"children": {"lab": group}}}, indent=2) + "\n")
    return path


def write_known_hosts(path: Path, nodes: Iterable[Sshd]) -> Path:
    """The host keys of these nodes."""
    path.write_text("".join(node.known_hosts_line for node in nodes))
    return path
