"""The running guest: QEMU without hardware help, and SSH to it over loopback."""

import subprocess
import time
from pathlib import Path

from tests.guest.image import USER, Image
from tests.lab.lab import Lab, Process, free_port
from tests.lab.waiting import LabError, poll

BOOT_S = 600.0
ADDRESS = "127.0.0.1"
LINE = (
    "console=ttyS0 rw quiet panic=-1 mitigations=off net.ifnames=0 systemd.show_status=no "
    "systemd.unit=multi-user.target systemd.unified_cgroup_hierarchy=1 audit=0 selinux=0 apparmor=0"
)
SECOND_DISK = "1G"
BLOCK = "/mnt/block"
"""Where the second disk is mounted there: its bytes are counted by a device of its own."""


class Guest:
    """One boot of an image. What it writes is forgotten with it."""

    def __init__(self, lab: Lab, image: Image) -> None:
        self.lab = lab
        self.image = image
        self.port = free_port()
        self._process: Process | None = None
        self._known = lab.folder / "guest_known_hosts"
        self._known.write_text(self.known_hosts_line)

    @property
    def known_hosts_line(self) -> str:
        """What known_hosts must say of it."""
        return f"[{ADDRESS}]:{self.port} {self.image.host_key}\n"

    @property
    def process(self) -> Process:
        """The emulator."""
        if self._process is None:
            raise LabError("the guest is not started")
        return self._process

    def __enter__(self) -> "Guest":
        began = time.monotonic()
        block = self.lab.folder / "block"
        made = ["mke2fs", "-q", "-t", "ext4", str(block), SECOND_DISK]
        subprocess.run(made, check=True, capture_output=True)
        self._process = self.lab.start("qemu", self._argv(block), env=self._scratch())
        self.lab.until(self._answers, BOOT_S, self._process)
        self.sh(f"mkdir -p {BLOCK}; mount /dev/vdb {BLOCK}; chmod 777 {BLOCK}")
        print(f"guest: up in {time.monotonic() - began:.0f} s", flush=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill9()  # its disk is forgotten, so that nothing is to be put in order

    def _scratch(self) -> dict[str, str]:
        """QEMU puts what a snapshot changes where TMPDIR says."""
        return {"TMPDIR": str(self.lab.folder)}

    def _argv(self, block: Path) -> list[str]:
        net = f"user,id=net,restrict=on,hostfwd=tcp:{ADDRESS}:{self.port}-10.0.2.15:22"
        disks = f"file={self.image.disk},format=raw,if=virtio,snapshot=on"
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max"]
        argv += ["-smp", "2", "-m", "2048", "-serial", "stdio", "-no-reboot"]
        argv += ["-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)]
        argv += ["-append", LINE, "-drive", disks]
        argv += ["-drive", f"file={block},format=raw,if=virtio,cache=unsafe"]
        argv += ["-netdev", net, "-device", "virtio-net-pci,netdev=net,romfile="]
        return [*argv, "-device", "virtio-rng-pci"]

    def _answers(self) -> bool:
        try:
            return self.ssh("true", user="root", timeout_s=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def ssh(
        self, command: str, *, user: str = USER, stdin: bytes = b"", timeout_s: float = 180
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command line there."""
        argv = ["ssh", "-F", "none", "-T", "-p", str(self.port), "-i", str(self.image.key)]
        argv += ["-o", f'UserKnownHostsFile="{self._known}"', "-o", "IdentitiesOnly=yes"]
        argv += ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=15"]
        control = self.lab.folder / f"control-{user}"
        argv += ["-o", "ControlMaster=auto", "-o", f'ControlPath="{control}"']
        argv += ["-o", "ControlPersist=60", f"{user}@{ADDRESS}", command]
        return subprocess.run(
            argv, check=False, capture_output=True, input=stdin, timeout=timeout_s
        )

    def sh(self, command: str, *, stdin: bytes = b"", timeout_s: float = 180) -> str:
        """What a command line prints there, as root; an error when it fails."""
        done = self.ssh(command, user="root", stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
            raise LabError(f"in the guest, {command[:200]}: {said}")
        return done.stdout.decode().rstrip("\n")

    def python(self, script: Path, *words: str, timeout_s: float = 180) -> str:
        """What a script of ours prints there, as root."""
        line = " ".join(("python3 -I -S -", *words))
        return self.sh(line, stdin=script.read_bytes(), timeout_s=timeout_s)

    def wait_for(self, command: str, within_s: float, what: str) -> None:
        """Wait until a command line ends with 0 there."""
        done = poll(
            lambda: self.ssh(command, user="root").returncode == 0, within_s, what, every_s=0.5
        )
        assert done
