"""A user's home: his `.ssh`, an inventory, and runs of `fleet` as he would start them."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import fleet
from tests.lab.inventory import write_inventory, write_known_hosts
from tests.lab.sshd import Sshd


@dataclass(frozen=True)
class Run:
    """A run of `snapshot`: its process, and what it says of each host."""

    process: "subprocess.CompletedProcess[str]"
    hosts: dict[str, dict[str, Any]]

    @property
    def statuses(self) -> dict[str, str]:
        """How each visit ended."""
        return {name: host["status"] for name, host in self.hosts.items()}

    def detail(self, host: str) -> str:
        """What is said of one host."""
        return self.hosts[host]["detail"] or ""


class Home:
    """A folder that is HOME for the runs; nothing of the real user's is seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ssh = folder / ".ssh"
        self.ssh.mkdir(parents=True, mode=0o700)
        self.inventory = folder / "inventory.yaml"
        self.state = folder / "state"
        self.env: dict[str, str] = {}

    def file(self, name: str, text: str) -> Path:
        """A file in `.ssh`."""
        path = self.ssh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def config(self, text: str) -> Path:
        """The client configuration."""
        return self.file("config", text)

    def knows(self, *nodes: Sshd) -> Path:
        """Write the known_hosts of these nodes."""
        return write_known_hosts(self.ssh / "known_hosts", nodes)

    def key(self, source: Path, name: str = "id_lab") -> Path:
        """A copy of a key and of what stands beside it; the usual names are looked for unasked."""
        for suffix in ("", ".pub", "-cert.pub"):
            there = source.with_name(source.name + suffix)
            if there.exists():
                shutil.copy(there, self.ssh / f"{name}{suffix}")
        return self.ssh / name

    def hosts(self, hosts: Mapping[str, Mapping[str, Any]], **common: object) -> None:
        """Write the inventory."""
        write_inventory(self.inventory, hosts, **common)

    def fleet(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `fleet WORDS` as this user."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SSH_", "FLEET_"))
        }
        own = {"HOME": str(self.folder), "COLUMNS": "200", "FLEET_STATE_DIR": str(self.state)}
        done = fleet(*words, env={**kept, **own, **self.env, **(env or {})})
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def snapshot(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Run:
        """Visit the inventory's hosts."""
        done = self.fleet("snapshot", "-i", self.inventory, "--format", "json", *words, env=env)
        assert done.stdout, done.stderr
        hosts = {one["host"]: one for one in json.loads(done.stdout)["hostStatus"]}
        return Run(done, hosts)


def only_address(node: Sshd, *without: str) -> dict[str, Any]:
    """A node's variables but for its key, and for those named."""
    left_out = {"ansible_ssh_private_key_file", *without}
    return {name: value for name, value in node.variables.items() if name not in left_out}


def accepted(log: str) -> int:
    """How many logins an sshd's log tells of."""
    return log.count("Accepted publickey")
