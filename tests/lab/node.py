"""A node: an sshd in a room with its own `/run`, users and Docker socket."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.engine import SOCKET_GROUP, Engine
from tests.lab.lab import Lab
from tests.lab.pids import Pid
from tests.lab.room import Bind, Room
from tests.lab.sshd import FOLDERS, Sshd
from tests.lab.waiting import LabError

USER = "ops"
UID = 54_321


class Node(Sshd):
    """One sshd with a user `ops` and a key of its own; nothing of the machine is changed.

    `engine` is what stands behind its `/run/docker.sock`, a private engine or the machine's own
    socket; `docker_group` puts `ops` into the socket's group; `sudoers` is its `/etc/sudoers`.
    `shell` is the login shell, `busybox` that program's `sh`; `bin` are scripts in its `/run/bin`
    (which no PATH names: a shell or a CLI of the caller's own), `home` files in `ops`' home.
    `hidden` programs cannot be executed, `replaced` ones are scripts. `user` may also be somebody
    whom the machine knows: with his own shell and home, even if his password is locked. The other
    options are those of `Sshd`.
    """

    def __init__(
        self,
        lab: Lab,
        name: str,
        *,
        engine: Engine | Path | None = None,
        docker_group: bool = True,
        sudoers: str | None = None,
        shell: str = "/bin/sh",
        bin: Mapping[str, str] | None = None,
        home: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
        replaced: Mapping[str, str] | None = None,
        user: str = USER,
        sshd: Sequence[str] = (),
        host_keys: Sequence[str] = ("ed25519",),
        key_options: str = "",
        address: str | None = None,
        also: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        for folder in ("etc", "run/sshd", "run/engine", "run/bin", "run/home", "run/keys"):
            (lab.folder / name / folder).mkdir(parents=True)
        super().__init__(
            lab,
            name,
            user,
            lines=sshd,
            host_keys=host_keys,
            key_options=key_options,
            address=address,
            also=also,
            port=port,
            seen_as=Path("/run"),
        )
        self.engine = engine
        self._write_accounts(shell, docker_group, sudoers)
        for folder, texts in (("run/bin", bin), ("run/home", home), ("replaced", replaced)):
            for file, text in (texts or {}).items():
                write_script(self.folder / folder / file, text)
        for path in (self.run_folder / "home", *(self.run_folder / "home").rglob("*")):
            os.chown(path, UID, UID)
        self._binds = [
            *self._run_binds(),
            *((path, Path("/etc", path.name)) for path in (self.folder / "etc").iterdir()),
            *self._program_binds(hidden, replaced or {}),
        ]

    def __enter__(self) -> "Node":
        self.room = Room(self.lab, f"{self.name}-room", self._binds)
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.room.end()

    def _wrap(self, argv: Sequence[str | Path]) -> Sequence[str | Path]:
        return self.room.inside(*argv)

    def processes(self) -> list[Pid]:
        """All that runs on it but the listening sshd: sessions, and whatever stayed behind."""
        return [pid for pid in self.room.pids() if pid != self.process.pid]

    def _write_accounts(self, shell: str, docker_group: bool, sudoers: str | None) -> None:
        if shell == "busybox":
            (self.run_folder / "bin/sh").symlink_to(_found("busybox"))
            shell = "/run/bin/sh"
        members = self.user if docker_group else ""
        # Not `!`, a locked password, with which sshd lets nobody in.
        files = {"shadow": f"{self.user}:*:20000:0:99999:7:::\n"}
        if self.user == USER:
            files["passwd"] = f"{self.user}:x:{UID}:{UID}::/run/home:{shell}\n"
            files["group"] = f"{self.user}:x:{UID}:\ndocker:x:{SOCKET_GROUP}:{members}\n"
        for name, lines in files.items():
            machine = Path("/etc", name).read_text()
            kept = re.sub(rf"^({self.user}|docker):.*\n", "", machine, flags=re.MULTILINE)
            (self.folder / "etc" / name).write_text(kept + lines)
        (self.folder / "etc/shadow").chmod(0o600)
        if sudoers is not None:
            if not Path("/etc/sudoers").exists():
                raise LabError("sudo is not installed; `make test` says how")
            (self.folder / "etc/sudoers").write_text(sudoers)
            (self.folder / "etc/sudoers").chmod(0o440)

    def _run_binds(self) -> list[Bind]:
        """Its own `/run`, with the engine's socket in it."""
        own = (self.run_folder, Path("/run"))
        socket = self.run_folder / "docker.sock"
        if isinstance(self.engine, Path):
            socket.touch()
            return [(self.engine, socket), own]  # in this order: the second covers the first
        if self.engine is None:
            return [own]
        socket.symlink_to("engine/docker.sock")  # which comes and goes with the engine
        return [own, (self.engine.run_folder, Path("/run/engine"))]

    def _program_binds(self, hidden: Sequence[str], replaced: Mapping[str, str]) -> list[Bind]:
        """Over every place where these programs are found."""
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


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise LabError(f"{program} is not installed; `make test` says how")
    return path
