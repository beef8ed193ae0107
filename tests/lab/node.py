"""A node: an sshd in a room with its own `/run`, users and Docker socket."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.lab.engine import SOCKET_GROUP, Engine
from tests.lab.lab import Lab, Process
from tests.lab.pids import Pid
from tests.lab.room import Bind, Room
from tests.lab.waiting import LabError

USER = "ops"
UID = 54_321
FOLDERS = (
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"),
    *("/sbin", "/bin", "/snap/bin"),
)
"""Where a login and the probe look for programs."""

CONFIG = """
Port {port}
ListenAddress {address}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile /run/authorized_keys
AllowUsers {user}@127.*
LogLevel VERBOSE
PrintMotd no
"""


class Node:
    """One sshd with a user `ops` and a key of its own; nothing of the machine is changed.

    `engine` is what stands behind its `/run/docker.sock`; `docker_group` puts `ops` into the
    socket's group; `sudoers` is its `/etc/sudoers`. `shell` is the login shell, `busybox` that
    program's `sh`; `bin` are scripts in its `/run/bin` (which no PATH names: a shell or a CLI of
    the caller's own), `home` files in `ops`' home. `hidden` programs cannot be executed,
    `replaced` ones are scripts. `sshd` are lines put before our own in sshd_config; `command`
    and other options of the authorized key go into `key_options`.
    """

    user = USER

    def __init__(
        self,
        lab: Lab,
        name: str,
        *,
        engine: Engine | None = None,
        docker_group: bool = True,
        sudoers: str | None = None,
        shell: str = "/bin/sh",
        bin: Mapping[str, str] | None = None,
        home: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
        replaced: Mapping[str, str] | None = None,
        sshd: Sequence[str] = (),
        host_keys: Sequence[str] = ("ed25519",),
        key_options: str = "",
        address: str | None = None,
        port: int | None = None,
    ) -> None:
        self.lab = lab
        self.name = name
        self.engine = engine
        self.address = address or lab.address()
        self.port = port or lab.ssh_port
        self.folder = lab.folder / name
        self.run_folder = self.folder / "run"
        self.key_file = client_key(lab)
        self._process: Process | None = None
        self._host_keys = host_keys
        for folder in ("etc", "run/sshd", "run/engine", "run/bin", "run/home", "run/keys"):
            (self.folder / folder).mkdir(parents=True)
        self._write_accounts(shell, docker_group, sudoers)
        self._write_sshd(sshd, key_options)
        for folder, texts in (("run/bin", bin), ("run/home", home), ("replaced", replaced)):
            for file, text in (texts or {}).items():
                write_script(self.folder / folder / file, text)
        for path in (self.run_folder / "home", *(self.run_folder / "home").rglob("*")):
            os.chown(path, UID, UID)
        self._binds = [*self._own_files(), *self._commands(hidden, replaced or {})]

    def __enter__(self) -> "Node":
        self.room = Room(self.lab, f"{self.name}-room", self._binds)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.room.end()

    def start(self) -> None:
        """Start its sshd, or start it again."""
        sshd = shutil.which("sshd", path=os.pathsep.join(FOLDERS))
        if sshd is None:
            raise LabError("openssh-server is not installed; `make setup` says how")
        argv = self.room.inside(sshd, "-D", "-e", "-f", "/run/sshd_config")
        log = self.lab.folder / f"{self.name}.log"
        before = log.stat().st_size if log.exists() else 0
        self._process = self.lab.start(self.name, argv)
        # Its own word, for a visit of ours would count among its MaxStartups.
        ready = b"Server listening on"
        self.lab.until(lambda: ready in log.read_bytes()[before:], 10, self._process)

    @property
    def process(self) -> Process:
        """The listening sshd."""
        if self._process is None:
            raise LabError(f"{self.name} is not started")
        return self._process

    def stop(self) -> None:
        """End its sshd; sessions that are open stay."""
        self.process.stop()

    def pause(self) -> None:
        """Freeze the listening sshd: connections are taken by the kernel, and nobody speaks."""
        self.process.pause()

    def resume(self) -> None:
        """Let it run on."""
        self.process.resume()

    @property
    def host_keys(self) -> list[str]:
        """Its public host keys: type, blank, key."""
        files = sorted((self.run_folder / "keys").glob("*.pub"))
        return [" ".join(file.read_text().split()[:2]) for file in files]

    @property
    def known_hosts_line(self) -> str:
        """What known_hosts must say of it: a line for each of its keys."""
        return "".join(f"[{self.address}]:{self.port} {key}\n" for key in self.host_keys)

    @property
    def variables(self) -> dict[str, str | int]:
        """The connection variables of an inventory."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key_file),
        }

    @property
    def log(self) -> str:
        """What its sshd said."""
        return self.process.log.read_text(errors="replace")

    def processes(self) -> list[Pid]:
        """All that runs on it but the listening sshd: sessions, and whatever stayed behind."""
        return [pid for pid in self.room.pids() if pid != self.process.pid]

    def ssh(self, command: str, timeout_s: float = 20) -> "subprocess.CompletedProcess[str]":
        """Run a command line there with OpenSSH's own client."""
        known = self.folder / "known_hosts"
        known.write_text(self.known_hosts_line)
        argv = ["ssh", "-F", "none", "-T", "-p", str(self.port), "-i", str(self.key_file)]
        argv += ["-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes"]
        argv += ["-o", "BatchMode=yes", f"{self.user}@{self.address}", command]
        return subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def _write_accounts(self, shell: str, docker_group: bool, sudoers: str | None) -> None:
        if shell == "busybox":
            (self.run_folder / "bin/sh").symlink_to(_found("busybox"))
            shell = "/run/bin/sh"
        etc = self.folder / "etc"
        members = self.user if docker_group else ""
        for name, lines in (
            ("passwd", f"{self.user}:x:{UID}:{UID}::/run/home:{shell}\n"),
            ("group", f"{self.user}:x:{UID}:\ndocker:x:{SOCKET_GROUP}:{members}\n"),
            ("shadow", f"{self.user}:*:20000:0:99999:7:::\n"),
        ):
            machine = Path("/etc", name).read_text()
            kept = re.sub(rf"^({self.user}|docker):.*\n", "", machine, flags=re.MULTILINE)
            (etc / name).write_text(kept + lines)
        (etc / "shadow").chmod(0o600)
        if sudoers is not None:
            (etc / "sudoers").write_text(sudoers)
            (etc / "sudoers").chmod(0o440)

    def _write_sshd(self, lines: Sequence[str], key_options: str) -> None:
        config = CONFIG.format(port=self.port, address=self.address, user=self.user)
        for kind in self._host_keys:
            key = self.run_folder / f"keys/{kind}"
            make_key(key, kind)
            config += f"HostKey /run/keys/{kind}\n"
        if openssh_version() >= (9, 8):
            config += "PerSourcePenalties no\n"  # all that tests do wrong comes from one source
        (self.run_folder / "sshd_config").write_text("\n".join([*lines, config]))
        public = self.key_file.with_suffix(".pub").read_text()
        (self.run_folder / "authorized_keys").write_text(f"{key_options} {public}".lstrip())
        if self.engine is not None:
            (self.run_folder / "docker.sock").symlink_to("engine/docker.sock")

    def _own_files(self) -> list[Bind]:
        files = [path for path in (self.folder / "etc").iterdir() if path.name != "sudoers"]
        binds = [
            (self.run_folder, Path("/run")),
            *((path, Path("/etc", path.name)) for path in files),
        ]
        if (sudoers := self.folder / "etc/sudoers").exists():
            if not Path("/etc/sudoers").exists():
                raise LabError("sudo is not installed; `make setup` says how")
            binds.append((sudoers, Path("/etc/sudoers")))
        if self.engine is not None:
            binds.append((self.engine.run_folder, Path("/run/engine")))
        return binds

    def _commands(self, hidden: Sequence[str], replaced: Mapping[str, str]) -> list[Bind]:
        """Binds over every place where these programs are found."""
        instead = {name: Path("/dev/null") for name in hidden}
        instead |= {name: self.folder / "replaced" / name for name in replaced}
        binds = []
        for name, path in instead.items():
            places = {
                Path(folder, name).resolve() for folder in FOLDERS if Path(folder, name).exists()
            }
            if name in replaced and not places:
                raise LabError(f"there is no {name} on this machine to put another in its place")
            binds += [(path, place) for place in sorted(places)]
        return binds


def write_script(path: Path, text: str) -> None:
    """A file that everybody may execute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """A new key pair without a passphrase, for a host or a user."""
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = ["ssh-keygen", "-q", "-N", "", "-C", "lab", "-t", kind, "-f", str(path)]
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return path


def client_key(lab: Lab) -> Path:
    """The key that every node of the lab lets in."""
    path = lab.folder / "id_ed25519"
    return path if path.exists() else make_key(path)


def openssh_version() -> tuple[int, int]:
    """The installed OpenSSH's version."""
    said = subprocess.run(["ssh", "-V"], check=True, capture_output=True, text=True).stderr
    match = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def listens(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise LabError(f"{program} is not installed; `make setup` says how")
    return path
