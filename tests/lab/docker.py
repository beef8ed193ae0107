"""Docker's client against an engine: the machine's own, or (see `engine`) a private one."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.image import filled, tar
from tests.lab.waiting import LabError

IMAGE = "fleet-lab:1"
MACHINE_SOCKET = Path("/var/run/docker.sock")


class Docker:
    """The client, as a way to run it: `prefix` comes before its arguments."""

    def __init__(self, prefix: Sequence[str], config: Path) -> None:
        self.prefix = list(prefix)
        self.config = config

    def answers(self) -> bool:
        """Whether the engine serves its API."""
        try:
            return self._client("version", "--format", "{{.Server.Version}}").returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def docker(self, *args: str | Path, stdin: bytes | None = None, timeout_s: float = 60) -> str:
        """What `docker ARGS` prints; an error when it fails."""
        done = self._client(*args, stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            raise LabError(f"docker {args[0]}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode().rstrip("\n")

    def run(self, name: str, *options: str, command: Sequence[str] = (), image: str = IMAGE) -> str:
        """Start a container in the background; its full id. It sleeps when no command is given.

        An `image` that is not there becomes another name for the one we have.
        """
        if image != IMAGE and not self.docker("images", "--quiet", image):
            self.docker("tag", IMAGE, image)
        command = command or filled(0)
        return self.docker("run", "--detach", "--name", name, *options, image, *command)

    def memory_bytes(self, container: str) -> int:
        """A container's memory to the byte, from its cgroup, as Docker reckons it."""
        process = self.docker("inspect", "--format", "{{.State.Pid}}", container)
        return memory_of(int(process))

    def remove_containers(self) -> None:
        """Remove all containers, running or not."""
        if ids := self.docker("ps", "--all", "--quiet", "--no-trunc").split():
            self.docker("rm", "--force", "--volumes", *ids)

    def import_image(self, name: str = IMAGE) -> None:
        """Make the image under this name."""
        programs = ["busybox"] if shutil.which("busybox") else []
        self.docker("import", "-", name, stdin=tar(*programs))

    def _client(
        self, *args: str | Path, stdin: bytes | None = None, timeout_s: float = 20
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run it, whatever the caller's environment says of other engines and of a home."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return subprocess.run(
            [*self.prefix, *(str(word) for word in args)],
            check=False,
            capture_output=True,
            input=stdin or b"",
            timeout=timeout_s,
            env={**kept, "DOCKER_CONFIG": str(self.config)},
        )


def machine_docker(config: Path) -> Docker:
    """The machine's own engine, where a login without further settings finds it."""
    return Docker(["docker", "--host", f"unix://{MACHINE_SOCKET}"], config)


def memory_of(pid: int) -> int:
    """Usage without inactive file pages: what `docker stats` prints, before its rounding."""
    groups = Path(f"/proc/{pid}/cgroup").read_text()
    if v1 := re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$", groups, re.MULTILINE):
        folder = Path(f"/sys/fs/cgroup/memory{v1[1]}")
        usage, inactive = "memory.usage_in_bytes", "total_inactive_file"
    else:
        v2 = re.search(r"^0::(.*)$", groups, re.MULTILINE)
        folder = Path(f"/sys/fs/cgroup{v2[1] if v2 else ''}")
        usage, inactive = "memory.current", "inactive_file"
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return int((folder / usage).read_text()) - int(stat[inactive])
