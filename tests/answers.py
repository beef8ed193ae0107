"""A node's whole answer as text, section by section, of containers whose figures are given."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.inventory import Host
from fleet.reading import Before
from fleet.seen import Seen
from fleet.transport import Ended, Reply
from fleet.verdict import Verdict, judge

AT = 1_800_000_000.0
UPTIME_S = 5000.0


@dataclass(frozen=True, slots=True)
class Box:
    """A container: its counters, and what Docker says of it."""

    letter: str = "a"
    inode: int = 70
    cpu_us: int = 90_000_000
    bytes_in: int = 9000
    read: int = 4096
    started: str = "2026-11-01T10:00:00Z"
    state: str = "running"
    networks: str = "bridge"

    @property
    def id(self) -> str:
        return self.letter * 64

    @property
    def pid(self) -> int:
        return 900 + ord(self.letter)

    @property
    def folder(self) -> str:
        return f"/sys/fs/cgroup/system.slice/docker-{self.id}.scope"

    @property
    def listed(self) -> str:
        """Its line of `docker ps`."""
        name, image = f"box-{self.letter}", "shop/box:1"
        return json.dumps([self.id, name, image, self.state, self.networks, "", "", "", ""])

    @property
    def inspected(self) -> str:
        """Its line of `docker inspect`."""
        times = ["2026-10-01T10:00:00Z", self.started, "0001-01-01T00:00:00Z"]
        return json.dumps(
            [self.id, self.state, self.pid, None, 0, 0, False, *times, "sha256:" + "0" * 64, None]
        )

    def measured(self, **fields: str) -> str:
        """Its line of `docker stats`."""
        row = {
            "BlockIO": f"{self.read}B / 8192B",
            "CPUPerc": "1.50%",
            "Container": self.id,
            "ID": self.id,
            "MemPerc": "25.00%",
            "MemUsage": "2KiB / 8KiB",
            "Name": f"box-{self.letter}",
            "NetIO": f"{self.bytes_in / 1000:.3g}kB / 6kB",
            "PIDs": "6",
        }
        return json.dumps({**row, **fields})


def inodes(boxes: Iterable[Box]) -> list[str]:
    """Their lines of ls(1)."""
    lines = ["   4000 /proc/self/net/dev"]
    for box in boxes:
        lines += [f"   {5000 + box.pid} /proc/{box.pid}/net/dev", f"   {box.inode} {box.folder}"]
    return lines


def counted(boxes: Sequence[Box], uptime_s: float) -> list[str]:
    """A section `kernel1` or `kernel2`, of cgroup v2."""
    lines = ["cgroup 2"]
    lines += (
        f"c {box.folder.removeprefix('/sys/fs/cgroup')} {uptime_s:.2f} {box.pid} "
        f"3000 8000 5000 6 + usage_usec {box.cpu_us}"
        for box in boxes
    )
    lines += [f"t {uptime_s + 0.01:.2f}", *inodes(boxes)]
    for box in boxes:
        lines += [
            f"{box.folder}/memory.stat:inactive_file 1000",
            f"{box.folder}/memory.events:oom_kill 0",
            f"{box.folder}/cpu.stat:throttled_usec 5000",
            f"{box.folder}/io.stat:8:0 rbytes={box.read} wbytes=8192 rios=1 wios=2",
        ]
    for box in boxes:
        lines.append(
            f"/proc/{box.pid}/net/dev:  eth0: {box.bytes_in} 10 0 0 0 0 0 0 6000 20 0 0 0 0 0 0"
        )
    return lines


def sealed(boxes: Iterable[Box], uptime_s: float) -> list[str]:
    """A section `kernel2` that says only which cgroups are the same."""
    return [f"t {uptime_s:.2f}", *inodes(boxes)]


def answer(*parts: tuple[str, int | None, Sequence[str]], cut_off: bool = False) -> bytes:
    """Sections of a name, an exit status (None: cut off there) and lines."""
    text = ""
    for name, rc, lines in parts:
        body = "".join(f"{line}\n" for line in lines)
        text += f"\n@fleet 2 B {name}\n{body}"
        if rc is None:
            return text.encode()
        text += f"\n@fleet 2 E {name} {rc}\n"
    return (text if cut_off else f"{text}\n@fleet 2 END\n").encode()


@dataclass(frozen=True, slots=True)
class Sweep:
    """One visit of a node. `cgroups` are those that the kernel has, `boxes` what docker lists;
    `late` is a second reading of the counters (else a seal), `stats` the lines of docker stats and
    `stats_rc` its exit status; `rc` that of docker ps.
    """

    boxes: Sequence[Box] = ()
    cgroups: Sequence[Box] | None = None
    late: Sequence[Box] | None = None
    stats: Sequence[str] | None = None
    stats_rc: int = 0
    rc: int = 0
    source: str = "kernel"
    boot_id: str = "boot-1"
    uptime_s: float = UPTIME_S
    at: float = AT
    more_ps: Sequence[str] = ()

    @property
    def stdout(self) -> bytes:
        """The answer."""
        cgroups = self.boxes if self.cgroups is None else self.cgroups
        uptime = f"uptime {self.uptime_s:.2f}"
        parts: list[tuple[str, int | None, Sequence[str]]] = [
            ("host", 0, [uptime, f"clock {int(self.at)}", "cpus 4"]),
            ("node", 0, [f"boot_id {self.boot_id}", "/proc/meminfo:MemTotal: 16 kB"]),
            ("kernel1", 0, counted(cgroups, self.uptime_s)),
            ("tool", 0, ["/usr/bin/docker"]),
            ("ps1", self.rc, [] if self.rc else [*(b.listed for b in self.boxes), *self.more_ps]),
        ]
        hung = self.rc in (124, 137, 143)
        if not self.rc and self.boxes:
            parts.append(("state", 0, [box.inspected for box in self.boxes]))
        if not hung:
            parts.append(("version", self.rc, [] if self.rc else ['"28.2.2"']))
        if self.stats is not None and not hung:
            parts.append(("stats", self.stats_rc, self.stats))
            hung = self.stats_rc in (124, 137, 143)
        parts.append(("clock", 0, [uptime]))
        if self.late is None:
            parts.append(("kernel2", 0, sealed(cgroups, self.uptime_s + 0.5)))
        else:
            parts.append(("kernel2", 0, counted(self.late, self.uptime_s + 2)))
        if self.stats is not None and not hung:
            parts.append(("ps2", 0, [box.listed for box in self.boxes]))
        return answer(*parts)

    def judged(
        self, seen: Seen | None = None, *, stdout: bytes | None = None, **reply: object
    ) -> Verdict:
        """What is made of it after what was `seen`."""
        fields: dict[str, object] = {"run_s": 5.0, "stderr": b"", "ended": Ended.EXIT, **reply}
        came = Reply(0.1, exit_status=0, stdout=stdout or self.stdout, **fields)
        host = Host("web1", "10.0.0.1", source=self.source)
        return judge(host, came, datetime.fromtimestamp(self.at, UTC), Before(seen, self.at))
