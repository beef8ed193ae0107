"""Nodes that are a folder of plain files: /proc, /sys/fs/cgroup, a few tools and a stand-in docker.

The probe's whole text runs there by chroot(8), so that what it finds is known to the last digit.
"""

import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet import probe
from fleet.inventory import Host
from fleet.sources.kernel import Counters, Interface
from tests.lab.image import tar

UPTIME = "5000.25"
CGROUPS = "/sys/fs/cgroup"
V1_MOUNTS = ("cpu,cpuacct", "memory", "blkio", "pids")
V2_CONTROLLERS = ("cpu", "memory", "io", "pids")
GNU_TOOLS = ("grep", "find", "ls", "stat", "timeout", "date", "tr", "cat", "head", "rm", "mv", "cp")

DOCKER = """#!/bin/sh
echo "asked|$*" >&2
case "$*" in ps*-a) f=ps1;; ps*) f=ps2;; *) f=$1;; esac
if [ -f /answers/$f.sh ]; then . /answers/$f.sh; fi
if [ -f /answers/$f ]; then cat /answers/$f; fi
"""

NET_HEAD = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
    lo: 77 7 0 0 0 0 0 0 77 7 0 0 0 0 0 0
"""


def net_text(*faces: Interface) -> str:
    """A /proc/net/dev of these interfaces, and of a loopback."""
    lines = (
        f"{face.name:>6}: {face.bytes_in} {face.packets_in} {face.errors_in} {face.drops_in} "
        f"0 0 0 0 {face.bytes_out} {face.packets_out} {face.errors_out} {face.drops_out} 0 0 0 0\n"
        for face in faces
    )
    return NET_HEAD + "".join(lines)


@dataclass(frozen=True, slots=True)
class Box:
    """A container whose every figure follows from its number."""

    number: int

    @property
    def id(self) -> str:
        return f"{self.number:03x}" + "c0ffee" * 10 + "a"

    @property
    def pid(self) -> int:
        return 1000 + self.number

    @property
    def face(self) -> Interface:
        n = self.number
        return Interface("eth0", 10**12 + n, 200 + n, 1, 2, 10**11 + n, 100 + n, 3, 4)

    def counters(self, version: int) -> Counters:
        """What is to be read of it, all of it; the inodes are the tree's."""
        n = self.number
        return Counters(
            uptime_s=float(UPTIME),
            pid=self.pid,
            cpu_ns=(10**12 + n) * 1000,
            usage_bytes=10**9 + n,
            inactive_file_bytes=10**6 + n,
            limit_bytes=None if n % 2 else 2 * 10**9 + n,
            peak_bytes=15 * 10**8 + n,
            pids=n + 1,
            throttled_ns=(10**6 + n) * 1000,
            oom_kills=n,
            block={"8:0": (4096 * n, 8192 * n), "259:1": (512, 0)} if n else {},
            interfaces=(self.face,),
        )

    def files(self, version: int) -> dict[str, dict[str, str]]:
        """Its cgroup's files by controller."""
        figures, n = self.counters(version), self.number
        cpu, throttled = figures.cpu_ns or 0, figures.throttled_ns or 0
        devices = (figures.block or {}).items()
        if version == 1:
            limit = figures.limit_bytes or 9223372036854771712
            io = "".join(
                f"{device} Read {read}\n{device} Write {written}\n{device} Total 9\n"
                for device, (read, written) in devices
            )
            return {
                "cpuacct": {"cpuacct.usage": f"{cpu}\n"},
                "cpu": {"cpu.stat": f"nr_periods 9\nnr_throttled 3\nthrottled_time {throttled}\n"},
                "memory": {
                    "memory.usage_in_bytes": f"{figures.usage_bytes}\n",
                    "memory.limit_in_bytes": f"{limit}\n",
                    "memory.max_usage_in_bytes": f"{figures.peak_bytes}\n",
                    "memory.stat": f"cache 1\ninactive_file 2\ntotal_inactive_file {10**6 + n}\n",
                    "memory.oom_control": f"oom_kill_disable 0\nunder_oom 0\noom_kill {n}\n",
                },
                "blkio": {"blkio.throttle.io_service_bytes": f"{io}Total 99\n"},
                "pids": {"pids.current": f"{figures.pids}\n"},
            }
        io = "".join(
            f"{device} rbytes={read} wbytes={written} rios=1 wios=2 dbytes=3 dios=4\n"
            for device, (read, written) in devices
        )
        always = f"usage_usec {cpu // 1000}\nuser_usec 1\nsystem_usec 2\n"
        return {
            "": {"cpu.stat": always},
            "cpu": {"cpu.stat": f"{always}nr_throttled 3\nthrottled_usec {throttled // 1000}\n"},
            "memory": {
                "memory.current": f"{figures.usage_bytes}\n",
                "memory.max": f"{figures.limit_bytes or 'max'}\n",
                "memory.peak": f"{figures.peak_bytes}\n",
                "memory.stat": f"anon 1\ninactive_file {10**6 + n}\nactive_file 3\n",
                "memory.events": f"low 0\noom 9\noom_kill {n}\noom_group_kill 0\n",
            },
            "io": {"io.stat": io},
            "pids": {"pids.current": f"{figures.pids}\n"},
        }

    @property
    def listed(self) -> str:
        """Its line of `docker ps`."""
        cells = [self.id, f"box-{self.number}", "shop/box:1", "running", "bridge", "", "", "", ""]
        return json.dumps(cells, separators=(",", ":"))


def toolbox(folder: Path, shell: str) -> Path:
    """A folder with `bin` (and `lib`) of `busybox`, or of `dash` or `bash` and GNU's tools."""
    folder.mkdir()
    programs = ("busybox",) if shell == "busybox" else (*GNU_TOOLS, shell)
    with tarfile.open(fileobj=io.BytesIO(tar(*programs))) as archive:
        archive.extractall(folder, filter="tar")
    (folder / "bin/sh").unlink()
    (folder / "bin/sh").symlink_to(shell)
    if shell == "busybox":
        (folder / "bin/sleep").unlink()
        for tool in ("sleep", *GNU_TOOLS):
            (folder / "bin" / tool).symlink_to("busybox")
    return folder


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of the probe: its answer, how many bytes that was, what docker was asked."""

    answer: probe.Answer
    size: int
    asked: tuple[str, ...]
    stderr: str


class Tree:
    """A node made of plain files; `root` is its root."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root = root
        shutil.copytree(tools, root, symlinks=True, copy_function=os.link)
        (root / "dev").mkdir()
        os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (root / "dev/null").chmod(0o666)
        self.write("/usr/bin/docker", DOCKER)
        (root / "usr/bin/docker").chmod(0o755)
        self.write("/proc/uptime", f"{UPTIME} 9000.00\n")
        self.write("/proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nbtime 1790000000\n")
        self.write("/proc/meminfo", "MemTotal:  16000000 kB\nMemAvailable:  9000000 kB\n")
        self.write("/proc/self/net/dev", net_text(Interface("eth0", 9, 9, 9, 9, 9, 9, 9, 9)))
        self.write("/proc/mounts", "proc /proc proc rw 0 0\n")

    def write(self, path: str, text: str) -> Path:
        """A file, with the folders above it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def inode(self, path: str) -> int:
        return (self.root / path.lstrip("/")).stat().st_ino

    def v1(self, boxes: Iterable[Box], parent: str = "/docker", *, more_mounts: str = "") -> None:
        """Cgroup v1, each controller on a mount of its own."""
        mounts = "tmpfs /sys/fs/cgroup tmpfs ro,mode=755 0 0\n"
        mounts += f"cgroup {CGROUPS}/systemd cgroup rw,xattr,name=systemd 0 0\n"
        for names in V1_MOUNTS:
            mounts += f"cgroup {CGROUPS}/{names} cgroup rw,nosuid,nodev,{names} 0 0\n"
        self.write("/proc/mounts", mounts + more_mounts)
        for box in boxes:
            for controller, files in box.files(1).items():
                mount = next(names for names in V1_MOUNTS if controller in names.split(","))
                for name, text in files.items():
                    self.write(f"{CGROUPS}/{mount}{parent}/{box.id}/{name}", text)
            self.write(f"{CGROUPS}/memory{parent}/{box.id}/cgroup.procs", f"{box.pid}\n9\n")
            self.network(box)

    def v2(
        self,
        boxes: Iterable[Box],
        place: str = "/system.slice/docker-{id}.scope",
        *,
        controllers: Sequence[str] = V2_CONTROLLERS,
        inside: str = "",
    ) -> None:
        """Cgroup v2: one tree, where `inside` is the child that holds the processes."""
        self.write("/proc/mounts", f"cgroup2 {CGROUPS} cgroup2 rw,nosuid 0 0\n")
        for box in boxes:
            folder = CGROUPS + place.format(id=box.id)
            for controller, files in box.files(2).items():
                for name, text in files.items():
                    if controller in ("", *controllers):
                        self.write(f"{folder}/{name}", text)
            self.write(f"{folder}/cgroup.procs", "")
            self.write(f"{folder}{inside}/cgroup.procs", f"{box.pid}\n9\n")
            self.network(box)

    def network(self, box: Box) -> None:
        self.write(f"/proc/{box.pid}/net/dev", net_text(box.face))

    def same_network(self, box: Box, other: str) -> None:
        """`box` joins the network of another process (a pid, or `self`)."""
        path = self.root / f"proc/{box.pid}/net/dev"
        path.unlink()
        path.hardlink_to(self.root / f"proc/{other}/net/dev")

    def docker(self, boxes: Iterable[Box] = (), **scripts: str) -> None:
        """What the stand-in answers; `ps1="exit 1"` and the like is run before it does."""
        listed = "".join(box.listed + "\n" for box in boxes)
        for name in ("ps1", "ps2"):
            self.write(f"/answers/{name}", listed)
        self.write("/answers/inspect", "[]\n")
        self.write("/answers/version", '"28.2.2"\n')
        self.write("/answers/stats", '{"ID":"0"}\n')
        for name, script in scripts.items():
            self.write(f"/answers/{name}.sh", script)

    def run(
        self,
        *,
        source: str = "kernel",
        window_s: int = 0,
        seconds: int = 20,
        around: Sequence[str] = (),
    ) -> Ran:
        """The probe's whole text, by this node's own shell."""
        text = probe.request(Host("h", "h", source=source), seconds, window_s)
        command = [*around, "chroot", str(self.root), "/bin/sh", "-c", text]
        run = subprocess.run(
            command, capture_output=True, timeout=60, check=True, env={"PATH": os.environ["PATH"]}
        )
        stderr = run.stderr.decode()
        asked = [line[6:] for line in stderr.splitlines() if line.startswith("asked|")]
        return Ran(
            probe.cut(run.stdout), len(run.stdout), tuple(one.split()[0] for one in asked), stderr
        )
