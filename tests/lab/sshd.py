"""An sshd with keys of its own, as whoever starts it: a user's, or (see `node`) one in a room."""

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab, Process
from tests.lab.waiting import LabError

FOLDERS = (
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"),
    *("/sbin", "/bin", "/snap/bin"),
)
"""Where a login and the probe look for programs."""

CONFIG = """
Port {port}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile "{folder}/authorized_keys"
AllowUsers {user}@127.*
LogLevel VERBOSE
PrintMotd no
"""


class Sshd:
    """One sshd. `lines` are put before our own in sshd_config, so theirs win.

    It listens on `address` and on those in `also`, all on the lab's one port or on `port`.
    `key_options` (say, `command="…"`) stand before the one authorized key. `seen_as` is the folder
    of its files as it will see it itself.
    """

    def __init__(
        self,
        lab: Lab,
        name: str,
        user: str,
        *,
        lines: Sequence[str] = (),
        host_keys: Sequence[str] = ("ed25519",),
        key_options: str = "",
        address: str | None = None,
        also: Sequence[str] = (),
        port: int | None = None,
        seen_as: Path | None = None,
    ) -> None:
        self.lab = lab
        self.name = name
        self.user = user
        self.address = address or lab.address()
        self.addresses = (self.address, *also)
        self.port = port or lab.ssh_port
        self.folder = lab.folder / name
        self.run_folder = self.folder / "run"
        self.key_file = client_key(lab)
        self._seen_as = seen_as or self.run_folder
        self._process: Process | None = None
        config = [*lines, CONFIG.format(port=self.port, folder=self._seen_as, user=user)]
        config += [f"ListenAddress {address}" for address in self.addresses]
        for kind in host_keys:
            make_key(self.run_folder / f"keys/{kind}", kind)
            config.append(f'HostKey "{self._seen_as}/keys/{kind}"')
        if openssh_version() >= (9, 8):  # all that tests do wrong comes from one source
            config.append("PerSourcePenalties no")
        (self.run_folder / "sshd_config").write_text("\n".join([*config, ""]))
        public = self.key_file.with_suffix(".pub").read_text()
        (self.run_folder / "authorized_keys").write_text(f"{key_options} {public}".lstrip())

    def __enter__(self) -> "Sshd":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _wrap(self, argv: Sequence[str | Path]) -> Sequence[str | Path]:
        """How it is started; a node starts it in its room."""
        return argv

    def start(self) -> None:
        """Start it, or start it again."""
        program = find_sshd()
        argv = self._wrap([program, "-D", "-e", "-f", self._seen_as / "sshd_config"])
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
        """End it; sessions that are open stay."""
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
        return self.known_hosts_of(self.address)

    def known_hosts_of(self, address: str) -> str:
        """The same for another of its addresses."""
        return "".join(f"[{address}]:{self.port} {key}\n" for key in self.host_keys)

    @property
    def variables(self) -> dict[str, str | int]:
        """The connection variables of an inventory."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key_file),
        }

    def authorize(self, *keys: Path) -> None:
        """Let these keys in as well."""
        with (self.run_folder / "authorized_keys").open("a") as file:
            file.writelines(key.with_name(f"{key.name}.pub").read_text() for key in keys)

    @property
    def log(self) -> str:
        """What it said."""
        return self.process.log.read_text(errors="replace")

    def ssh(self, command: str, timeout_s: float = 20) -> "subprocess.CompletedProcess[str]":
        """Run a command line there with OpenSSH's own client."""
        known = self.folder / "known_hosts"
        known.write_text(self.known_hosts_line)
        argv = ["ssh", "-F", "none", "-T", "-p", str(self.port), "-i", str(self.key_file)]
        argv += ["-o", f'UserKnownHostsFile="{known}"', "-o", "IdentitiesOnly=yes"]
        argv += ["-o", "BatchMode=yes", f"{self.user}@{self.address}", command]
        return subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )


def find_sshd() -> str:
    """The server's absolute path: it starts itself anew for every connection."""
    program = shutil.which("sshd", path=":".join(FOLDERS))
    if program is None:
        raise LabError("openssh-server is not installed; `make test` says how")
    return program


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair, for a host or a user."""
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = ["ssh-keygen", "-q", "-N", passphrase, "-C", "lab", "-t", kind, "-f", str(path)]
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return path


def client_key(lab: Lab) -> Path:
    """The key that every sshd of the lab lets in."""
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
