"""A private Docker engine: its own data, `/run`, bridge and containerd, and nothing shared."""

import ipaddress
import os
import re
import subprocess
from pathlib import Path

from tests.lab.docker import Docker
from tests.lab.lab import Lab, Process
from tests.lab.ledger import end_containers
from tests.lab.pids import Pid, kill_all
from tests.lab.room import Room
from tests.lab.waiting import LabError

NETWORKS = ipaddress.ip_network("10.213.0.0/16")
SOCKET_GROUP = 54_999
"""The group of the socket; nodes put their user into it."""


class Engine(Docker):
    """One dockerd of its own.

    Nodes see its socket through `run_folder`, which stays over `stop`, `kill9` and `start`.
    """

    def __init__(self, lab: Lab, name: str = "engine") -> None:
        self.lab = lab
        self.name = name
        self.folder = lab.folder / name
        super().__init__([], self.folder / "client")
        self.run_folder = self.folder / "run"
        self.bridge = f"fl{os.urandom(5).hex()}"
        self._process: Process | None = None

    @property
    def socket(self) -> Path:
        """The engine's socket, as the machine sees it."""
        return self.run_folder / "docker.sock"

    @property
    def process(self) -> Process:
        """The running dockerd."""
        if self._process is None:
            raise LabError(f"{self.name} is not started")
        return self._process

    def __enter__(self) -> "Engine":
        for folder in ("run", "data", "opt", "etc", "client"):
            (self.folder / folder).mkdir(parents=True)
        (self.folder / "etc/daemon.json").write_text("{}")
        self._add_bridge()
        self.lab.ledger.note(do="contained", folder=str(self.folder / "data/containers"))
        binds = [(self.run_folder, Path("/run")), (self.folder / "opt", Path("/opt"))]
        if Path("/etc/docker").is_dir():
            binds.append((self.folder / "etc", Path("/etc/docker")))
        self.room = Room(self.lab, f"{self.name}-room", binds)
        self.prefix = self.room.inside("docker", "--host", "unix:///run/docker.sock")
        self.start()
        self.import_image()
        return self

    def __exit__(self, *_error: object) -> None:
        self.room.end()
        end_containers(self.folder / "data/containers")
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)

    def start(self) -> None:
        """Start, or start again with the same data; after `kill9`, containers are stopped."""
        argv: list[str | Path] = ["dockerd", "--pidfile", "/run/docker.pid"]
        argv += ["--data-root", self.folder / "data"]
        argv += ["--host", "unix:///run/docker.sock", "--group", str(SOCKET_GROUP)]
        argv += ["--config-file", self.folder / "etc/daemon.json", "--bridge", self.bridge]
        argv += ["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"]
        argv += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "1"]
        for stale in ("docker.pid", "docker/containerd/containerd.pid"):
            (self.run_folder / stale).unlink(missing_ok=True)  # a zombie would pass for alive
        environment = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"}
        self._process = self.lab.start(self.name, self.room.inside(*argv), env=environment)
        self.lab.until(self.answers, 60, self._process)

    def stop(self) -> None:
        """Let it end in order, its containers with it."""
        self.process.stop(20)

    def kill9(self) -> None:
        """End dockerd at once; containers run on, as they do on a real node."""
        self.process.kill9()
        kill_all(self._containerd)  # it dies with its dockerd, but not at once

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze dockerd: it takes connections and answers none."""
        self.process.pause()

    def resume(self) -> None:
        """Let it run on."""
        self.process.resume()

    def _containerd(self) -> list[Pid]:
        return [pid for pid in self.room.pids() if pid.command.startswith("containerd ")]

    def _add_bridge(self) -> None:
        """A bridge of its own on a free network: `--bridge none` would delete `docker0`."""
        self.lab.ledger.command(["ip", "link", "del", self.bridge])
        taken = subprocess.run(["ip", "-4", "route"], check=True, capture_output=True, text=True)
        used = re.findall(r"10\.213\.(\d+)\.", taken.stdout)
        free = [number for number in range(1, 255) if str(number) not in used]
        third = free[int.from_bytes(os.urandom(2)) % len(free)]
        address = f"{NETWORKS[third * 256 + 1]}/24"
        for words in (
            ["link", "add", self.bridge, "type", "bridge"],
            ["addr", "add", address, "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
        ):
            subprocess.run(["ip", *words], check=True, capture_output=True)
