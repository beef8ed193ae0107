"""The kernel's counters of containers: cgroup files and /proc/PID/net/dev, exact and without a
daemon. The `sh` text that reads them on a node, and the parser of what it prints.

Nothing is reckoned on the node: it prints what the files say, and how long the machine has run.
A section, `kernel1` or `kernel2`:

```
cgroup 1|2                                  which hierarchy (cgroups(7))
INODE PATH                                  of cgroups
c PATH UPTIME PID MEM LIMIT PEAK PIDS IO CPU...   one a container; `-` is what could not be read
t UPTIME                                    after the last of them
INODE PATH                                  of /proc/PID/net/dev
FILE:LINE                                   of memory.stat, cpu.stat, memory.events, io.stat
/proc/PID/net/dev:LINE                      once for each network, the node's own left out
INODE PATH                                  of cgroups again: all above is of these, not of others
```

What the files mean: the kernel's cgroup-v1/*.rst and cgroup-v2.rst; how Docker reads them:
containerd/cgroups and docker/cli's stats formatter. A `kernel2` with nothing but `t` and inodes
is a seal: the cgroups that it names are those of `kernel1`; none was made anew in between.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["TEXT", "Counters", "Interface", "Reading", "parse"]

_LINES = (
    "^(total_)?inactive_file |^throttled_(usec|time) |^oom_kill |rbytes="
    "|^[0-9]+:[0-9]+ (Read|Write) "
)
TEXT = " ".join(
    (
        # X: the pattern of an id, 64 hex digits.
        "X=[0-9a-f]; for x in 1 2 3 4 5 6; do X=$X$X; done;",
        # groups: where each controller is mounted (v1), or the one tree (v2), r; and D, the cgroups
        # of containers, by their names, whatever stands above them.
        "groups() { ca=; cp=; me=; bl=; pi=; c2=; V=1;",
        'set -- $(grep -E " cgroup2? " /proc/mounts); while [ $# -gt 5 ]; do',
        "case $3 in cgroup2) c2=${c2:-$2};; cgroup) w=,$4,;",
        "case $w in *,cpuacct,*) ca=${ca:-$2};; esac; case $w in *,cpu,*) cp=${cp:-$2};; esac;",
        "case $w in *,memory,*) me=${me:-$2};; esac; case $w in *,blkio,*) bl=${bl:-$2};; esac;",
        "case $w in *,pids,*) pi=${pi:-$2};; esac;; esac; shift 6; done;",
        'if [ -z "$ca$me" ]; then V=2; ca=$c2; cp=$c2; me=$c2; bl=$c2; pi=$c2; fi;',
        'D=; r=${me:-$ca}; if [ -n "$r" ]; then',
        'D=$(find "$r" -type d "(" -name "docker-$X.scope" -o -name "$X" ")" -prune -print); fi;',
        "} 2>/dev/null;",
        # inodes: of networks and cgroups, so that what is made anew, or shared, can be seen.
        "inodes() { ls -dLi /proc/self/net/dev $j $1; };",
        # count NAME: a section.
        # The cgroups' stand first and last: what is between is of these, and of no other life.
        'count() { say B $1; out "cgroup $V"; put; m=$1; L=; j=;',
        'if [ -n "$D" ]; then ls -di $D; fi;',
        "if [ $V = 1 ]; then F=memory.usage_in_bytes; G=memory.limit_in_bytes;",
        "H=memory.max_usage_in_bytes; I=cpuacct.usage; J=memory.oom_control;",
        "K=blkio.throttle.io_service_bytes;",
        "else F=memory.current; G=memory.max; H=memory.peak; I=cpu.stat; J=memory.events;",
        "K=io.stat; fi;",
        "for y in $D; do y=${y#$r}; A=; B=; C=; E=; M=-; O=; p=; now;",
        "read -r A <$me$y/$F; read -r B <$me$y/$G; read -r C <$me$y/$H;",
        "read -r E <$pi$y/pids.current; read -r O x <$ca$y/$I; if [ -e $bl$y/$K ]; then M=+; fi;",
        # Who moved to a cgroup of its own inside is looked for there.
        "for z in $r$y/cgroup.procs $r$y/*/cgroup.procs $r$y/*/*/cgroup.procs; do",
        "if read -r p <$z; then break; fi; done;",
        # Of v1's sorted pids, one above the last that was given away is older than all below it:
        # the numbers have begun anew since, and the first is of a child that may be gone soon.
        # Asked a second time, for it may have been given away since the first.
        'if [ $V = 1 ] && [ -n "$p" ] && read -r w w w w w </proc/loadavg; then',
        "while read -r v; do if [ $v -gt $w ] && read -r w w w w w </proc/loadavg &&",
        "[ $v -gt $w ]; then p=$v; break; fi; done <$z;",
        # Where the last is little above the first, it may have passed the parent's number only
        # now, while a child lives whose number is below it: of the first few, the oldest.
        "if [ $p -le $w ] && [ $((w-p)) -lt 4096 ]; then v=; n=0;",
        "while [ $n -lt 8 ] && read -r o; do n=$((n+1)); s=; read -r s </proc/$o/stat;",
        'set -- ${s##*) }; if [ $# -gt 19 ] && [ "${20}" -lt "${v:-${20}0}" ]; then v=${20}; p=$o;',
        "fi; done <$z; fi; fi;",
        'out "c $y $u ${p:--} ${A:--} ${B:--} ${C:--} ${E:--} $M ${O:--} $x";',
        "if [ ${#P} -gt 8000 ]; then put; fi;",
        'if [ -n "$p" ]; then j="$j /proc/$p/net/dev"; fi;',
        'L="$L $me$y/memory.stat $me$y/$J $cp$y/cpu.stat $bl$y/$K";',
        'if [ $V = 1 ]; then L="$L $bl$y/blkio.io_service_bytes_recursive"; fi; done;',
        'now; z=$(inodes); out "t $u$N$z"; put; if [ -n "$L" ]; then',
        f'grep -sE "{_LINES}" $L /dev/null;',
        # Each network once, and not the node's own, which may be large.
        "set -- $z; s=; while [ $# -gt 1 ]; do",
        "case $2 in /proc/self/*) s=$1;; esac; shift 2; done;",
        'set -- $z; L=; while [ $# -gt 1 ]; do case $2 in /proc/*) case " $s " in *" $1 "*) ;;',
        '*) s="$s $1"; L="$L $2";; esac;; esac; shift 2; done;',
        'grep -sE "^ *([^l ]|l[^o]|lo[^:])[^:]*: *[0-9]" $L /dev/null; fi;',
        'if [ -n "$D" ]; then ls -di $D; fi; say E $m 0; } 2>/dev/null;',
        # seal NAME: which of the cgroups are still the same.
        'seal() { say B $1; now; out "t $u"; put; inodes "$D"; say E $1 0; } 2>/dev/null;',
    )
)
"""Functions for the probe: `groups`, `count kernel1`, and `count kernel2` or `seal kernel2`."""

_HEX64 = re.compile(r"(?:/|^docker-|/docker-)([0-9a-f]{64})(?:\.scope)?$")
_C_LINE = re.compile(
    r"c (\S+) (\d{1,12}(?:\.\d{1,9})?) (\S+) (\S+) (\S+) (\S+) (\S+) ([+-]) (\S+) ?(\S*)"
)
_T_LINE = re.compile(r"t (\d{1,12}(?:\.\d{1,9})?)")
_INODE = re.compile(r" *(\d{1,20}) (/\S+)")
_NET_FILE = re.compile(r"/proc/(\d{1,10})/net/dev")
_NUMBER = re.compile(r"\d{1,20}")
_V1_IO = re.compile(r"(\d+:\d+) (Read|Write) (\d{1,20})")
_V2_DEVICE = re.compile(r"\d{1,10}:\d{1,10}")
_UNLIMITED = 2**62  # cgroup v1 prints 2^63 less a page


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface's totals of /proc/PID/net/dev: in = received, out = sent."""

    name: str
    bytes_in: int
    packets_in: int
    errors_in: int
    drops_in: int
    bytes_out: int
    packets_out: int
    errors_out: int
    drops_out: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel says of one container's cgroup; None is what could not be read.

    `uptime_s` is the node's own clock at that moment, `inode` tells this cgroup from one that is
    made anew when the container is restarted. Memory, as Docker reckons it, is usage less inactive
    file pages; `limit_bytes` is None without a limit of its own. `cpu_ns` and the rest are totals
    since the cgroup was made. `block` is bytes read and written by device. `net_inode` is that of
    its network, `interfaces` all but the loopback; None where the node did not print them: it is
    the node's own network, was printed for another container of the same network, or is hidden.
    """

    uptime_s: float
    inode: int | None = None
    pid: int | None = None
    cpu_ns: int | None = None
    usage_bytes: int | None = None
    inactive_file_bytes: int | None = None
    limit_bytes: int | None = None
    peak_bytes: int | None = None
    pids: int | None = None
    throttled_ns: int | None = None
    oom_kills: int | None = None
    block: Mapping[str, tuple[int, int]] | None = None
    net_inode: int | None = None
    interfaces: tuple[Interface, ...] | None = None

    @property
    def memory_bytes(self) -> int | None:
        """Used, by Docker's formula; None where one of the two could not be read."""
        if self.usage_bytes is None or self.inactive_file_bytes is None:
            return None
        if self.inactive_file_bytes >= self.usage_bytes:
            return self.usage_bytes
        return self.usage_bytes - self.inactive_file_bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """One section: counters by full id; the inodes of each container's cgroup, of networks by pid,
    and of the node's own network; the interfaces of each network; when it ended (uptime).
    `version` is 1 or 2; None for a seal, or where nothing could be read.
    """

    version: int | None = None
    uptime_s: float | None = None
    counters: Mapping[str, Counters] = field(default_factory=dict)
    inodes: Mapping[str, int] = field(default_factory=dict)
    net_inodes: Mapping[int, int] = field(default_factory=dict)
    networks: Mapping[int, tuple[Interface, ...]] = field(default_factory=dict)
    own_net_inode: int | None = None


def parse(lines: Iterable[str]) -> Reading:  # noqa: PLR0912 - one a kind of line
    """A section's lines → what they say. What cannot be understood is as if it had not been said;
    of a container that is named twice nothing is known.
    """
    rows: dict[str, re.Match[str]] = {}
    twice: set[str] = set()
    first_inodes: dict[str, int] = {}
    inodes: dict[str, int] = {}
    net_inodes: dict[int, int] = {}
    files: dict[str, dict[str, list[str]]] = {}
    nets: dict[int, list[str]] = {}
    version, uptime_s, own = None, None, None
    for line in lines:
        path, colon, rest = line.partition(":")
        if path.startswith("/proc/") and colon:
            if match := _NET_FILE.fullmatch(path):
                nets.setdefault(int(match[1]), []).append(rest)
        elif path.startswith("/") and colon:
            folder, _, file = path.rpartition("/")
            if found := _id_of(folder):
                files.setdefault(found, {}).setdefault(file, []).append(rest)
        elif match := _C_LINE.fullmatch(line):
            if found := _id_of(match[1]):
                if found in rows:
                    twice.add(found)
                rows[found] = match
        elif match := _INODE.fullmatch(line):
            if net := _NET_FILE.fullmatch(match[2]):
                net_inodes[int(net[1])] = int(match[1])
            elif match[2] == "/proc/self/net/dev":
                own = int(match[1])
            elif found := _id_of(match[2]):
                (inodes if uptime_s is not None else first_inodes)[found] = int(match[1])
        elif match := _T_LINE.fullmatch(line):
            uptime_s = float(match[1])
        elif line in ("cgroup 1", "cgroup 2"):
            version = int(line[-1])
    if first_inodes:  # one that was made anew in between has figures of two lives
        inodes = {id: one for id, one in inodes.items() if first_inodes.get(id) == one}
    counters = {
        id: _counters(row, version, inodes.get(id), files.get(id, {}), net_inodes, nets)
        for id, row in rows.items()
        if id not in twice and version is not None
    }
    networks = {
        one.net_inode: one.interfaces
        for one in counters.values()
        if one.net_inode is not None and one.interfaces is not None
    }
    return Reading(version, uptime_s, counters, inodes, net_inodes, networks, own)


def _id_of(path: str) -> str | None:
    """The full id in the last part of a cgroup's path."""
    match = _HEX64.search(path)
    return match[1] if match else None


def _counters(
    row: re.Match[str],
    version: int | None,
    inode: int | None,
    files: Mapping[str, list[str]],
    net_inodes: Mapping[int, int],
    nets: Mapping[int, list[str]],
) -> Counters:
    _path, uptime, pid_text, usage, limit, peak, pids, has_io, cpu, cpu_more = row.groups()
    pid = _number(pid_text) or 0  # a process that cannot be seen from here is 0, too
    limit_bytes = _number(limit)
    if limit_bytes is not None and limit_bytes >= _UNLIMITED:
        limit_bytes = None
    words = {
        key: value
        for name in ("memory.stat", "cpu.stat", "memory.events", "memory.oom_control")
        for line in files.get(name, ())
        for key, _, value in (line.partition(" "),)
    }
    if version == 1:
        cpu_ns, inactive = _number(cpu), _number(words.get("total_inactive_file", "-"))
        throttled_ns = _number(words.get("throttled_time", "-"))
    else:
        cpu_us = _number(cpu_more) if cpu == "usage_usec" else None
        cpu_ns = None if cpu_us is None else cpu_us * 1000
        inactive = _number(words.get("inactive_file", "-"))
        throttled_us = _number(words.get("throttled_usec", "-"))
        throttled_ns = None if throttled_us is None else throttled_us * 1000
    return Counters(
        uptime_s=float(uptime),
        inode=inode,
        pid=pid or None,
        cpu_ns=cpu_ns,
        usage_bytes=_number(usage),
        inactive_file_bytes=inactive,
        limit_bytes=limit_bytes,
        peak_bytes=_number(peak),
        pids=_number(pids),
        throttled_ns=throttled_ns,
        oom_kills=_number(words.get("oom_kill", "-")),
        # Without one line of its files the cgroup was gone before grep(1) came.
        block=_block(version, files) if has_io == "+" and files else None,
        net_inode=net_inodes.get(pid),
        interfaces=_interfaces(nets[pid]) if pid in nets else None,
    )


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _block(version: int | None, files: Mapping[str, list[str]]) -> dict[str, tuple[int, int]]:
    """Bytes read and written by device. Of v1's two files, the scheduler's own goes first."""
    devices: dict[str, tuple[int, int]] = {}
    if version == 2:
        for line in files.get("io.stat", ()):
            device, values = None, {}
            for cell in line.split():
                key, equals, value = cell.partition("=")
                if equals:
                    values[key] = _number(value)
                elif _V2_DEVICE.fullmatch(cell):
                    device = cell  # some kernels print idle devices before it, on the same line
            read, written = values.get("rbytes"), values.get("wbytes")
            if device is not None and read is not None and written is not None:
                devices[device] = read, written
        return devices
    for name in ("blkio.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"):
        for line in files.get(name, ()):
            if match := _V1_IO.fullmatch(line):
                read, written = devices.get(match[1], (0, 0))
                amount = int(match[3])
                devices[match[1]] = (amount, written) if match[2] == "Read" else (read, amount)
        if devices:
            break
    return devices


def _interfaces(lines: Iterable[str]) -> tuple[Interface, ...]:
    """Lines of /proc/net/dev (proc(5)): 8 numbers received, 8 sent."""
    found = []
    for line in lines:
        name, colon, rest = line.partition(":")
        numbers = rest.split()
        if not colon or len(numbers) < 12 or not all(map(_NUMBER.fullmatch, numbers[:12])):
            continue
        n = [int(number) for number in numbers[:12]]
        found.append(Interface(name.strip(), n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]))
    return tuple(found)
