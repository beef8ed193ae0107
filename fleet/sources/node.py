"""The node itself: its memory, load, pressure, disks. The `sh` text, and the parser.

The section `node`:

```
boot_id UUID         /proc/sys/kernel/random/boot_id: one for each start of a kernel
kernel RELEASE
load 1M 5M 15M
FILE:LINE            of /proc/stat (btime), /proc/meminfo, /proc/pressure/*, /proc/diskstats
MOUNT                a line of /proc/self/mountinfo, local file systems only
d BLOCKS FREE AVAILABLE SIZE INODES INODES_FREE PATH      stat -f of one of these
```

Network file systems are not asked, for a dead one hangs whoever asks; what is asked has three
seconds. Formats: proc(5), the kernel's accounting/psi.rst and admin-guide/iostats.rst.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.sources.docker_lines import is_symbol

__all__ = ["TEXT", "Disk", "NodeFigures", "parse_node"]

_LOCAL = (
    "ext[234]|xfs|btrfs|zfs|f2fs|jfs|nilfs2|reiserfs|bcachefs|vfat|exfat|ntfs|ntfs3|fuseblk|ufs"
)
_DEVICES = "[shv]d|xvd|nvme|mmcblk|dm-|md|nbd|rbd|pmem|dasd|bcache|cciss|drbd|zd"
TEXT = " ".join(
    (
        "facts() { say B node; x=; read -r x </proc/sys/kernel/random/boot_id;",
        'out "boot_id $x"; x=; read -r x </proc/sys/kernel/osrelease; out "kernel $x";',
        'x=; read -r x y z v </proc/loadavg; out "load $x $y $z"; put;',
        f'grep -sE "^(btime|MemTotal:|MemAvailable:|some|full) |^ *[0-9]+ +[0-9]+ ({_DEVICES})"',
        "/proc/stat /proc/meminfo /proc/pressure/cpu /proc/pressure/memory /proc/pressure/io",
        "/proc/diskstats /dev/null;",
        f'z=$(grep -E " - ({_LOCAL}) |^[0-9]+ [0-9]+ [0-9:]+ /[^ ]* / " /proc/self/mountinfo);',
        'out "$z"; put;',
        'm=$(grep -oE "^([^ ]+ ){4}/[^ ]* r[wo]" /proc/self/mountinfo);',
        'B=$(echo c | tr a-d "Z-]");',
        # Once a device; a bind mount shows what its device does.
        '{ printf %s "$z"; echo; } | ( b=0; s=; set --; while read -r x y v w p z; do',
        'case "$s $z" in *" $v "*) continue;; *" - btrfs "*) ;;',
        '*) [ "$w" = / ] || [ "$p" = / ] || continue;; esac;',
        # Not what is hidden by a later mount there, or on a folder above: that would be asked.
        't=${m#*"$x $y $v $w $p r"}; a=$p; while [ -n "$a" ]; do',
        'case $t in *" $a r"[wo]*) continue 2;; esac; a=${a%/*}; done; s="$s $v ";',
        # Blanks and the like are octal there, of three digits.
        'a=; while case $p in *"$B"???*) ;; *) false;; esac; do a=$a${p%%"$B"*};',
        'p=${p#*"$B"}; c=${p#???}; t=${p%"$c"}; a=$a$(printf "$B$t"); p=$c; done;',
        'set -- "$@" "$a$p"; done;',
        'if [ $# -gt 0 ]; then go 3 stat -f -c "d %b %f %a %S %c %d %n" "$@"; fi );',
        "say E node 0; } 2>/dev/null;",
    )
)
"""A function for the probe: `facts`."""

_WORD = re.compile(r"(boot_id|kernel) ([!-~]{1,128})")
_LOAD = re.compile(r"load (\d{1,9}\.\d\d) (\d{1,9}\.\d\d) (\d{1,9}\.\d\d)")
_MEMORY = re.compile(r"(MemTotal|MemAvailable): +(\d{1,15}) kB")
_PRESSURE = re.compile(r"(some|full) avg10=\S+ avg60=(\d{1,3}\.\d\d) avg300=\S+ total=\d+")
_BTIME = re.compile(r"btime (\d{1,12})")
_DISK = re.compile(r" *(\d+) +(\d+) (\S+) \d+ \d+ (\d{1,20}) \d+ \d+ \d+ (\d{1,20}) .*")
_MOUNT = re.compile(r"\d+ \d+ (\d+:\d+) (/\S*) (/\S*) \S+ (?:\S+ )*?- (\S+) (\S+) \S+")
_SPACE = re.compile(r"d (\d{1,20}) (\d{1,20}) (\d{1,20}) (\d{1,12}) (\d{1,20}) (\d{1,20}) (/.*)")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SECTOR_BYTES = 512  # whatever the device's own are: iostats.rst
_LONG_END = 2**63


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted local file system. Sizes are bytes.

    `available_bytes` is None where the file system says more than there can be. `used_percent` is
    of `size`, and counts what is kept back for root as free: really used.
    `inodes` is None where the file system has none. `read_bytes`, `written_bytes` are totals of its
    device since boot, None where the device has no counters (btrfs, zfs).
    """

    mount: str
    device: str
    file_system: str
    size_bytes: int
    available_bytes: int | None
    used_percent: float | None
    inodes: int | None = None
    inodes_free: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """What a node says of itself; None is what it did not say. Sizes are bytes.

    `load` is the mean of the last 1, 5, 15 minutes. `pressure` has, by `cpu`, `memory`, `io` and
    `some` or `full`, the percent of the last minute in which some task, or all of them, waited.
    `boot_at` is by the node's own clock.
    """

    boot_id: str | None = None
    kernel: str | None = None
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    load: tuple[float, float, float] | None = None
    pressure: Mapping[tuple[str, str], float] | None = None
    boot_at: datetime | None = None
    disks: tuple[Disk, ...] = ()


def parse_node(lines: Iterable[str]) -> NodeFigures:  # noqa: PLR0912 - one a kind of line
    """The section's lines → what they say. What cannot be understood is as if it were not there."""
    words: dict[str, str] = {}
    memory: dict[str, int] = {}
    pressure: dict[tuple[str, str], float] = {}
    devices: dict[str, tuple[int, int]] = {}
    mounts: list[re.Match[str]] = []
    spaces: dict[str, re.Match[str]] = {}
    load, boot_at = None, None
    for line in lines:
        path, _, rest = line.partition(":")
        if path == "/proc/diskstats":
            if match := _DISK.fullmatch(rest):
                read, written = int(match[4]) * _SECTOR_BYTES, int(match[5]) * _SECTOR_BYTES
                if max(read, written) < _LONG_END:
                    devices[f"{match[1]}:{match[2]}"] = read, written
        elif path == "/proc/meminfo":
            if match := _MEMORY.fullmatch(rest):
                memory[match[1]] = int(match[2]) * 1024
        elif path.startswith("/proc/pressure/"):
            if match := _PRESSURE.fullmatch(rest):
                pressure[path.rpartition("/")[2], match[1]] = float(match[2])
        elif path == "/proc/stat":
            if match := _BTIME.fullmatch(rest):
                boot_at = _moment(int(match[1]))
        elif match := _WORD.fullmatch(line):
            words[match[1]] = match[2]
        elif match := _LOAD.fullmatch(line):
            load = float(match[1]), float(match[2]), float(match[3])
        elif match := _SPACE.fullmatch(line):
            spaces.setdefault(match[7], match)
        elif match := _MOUNT.fullmatch(line):
            mounts.append(match)
    return NodeFigures(
        boot_id=words.get("boot_id"),
        kernel=words.get("kernel"),
        memory_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        load=load,
        pressure=pressure or None,
        boot_at=boot_at,
        disks=tuple(_disks(mounts, spaces, devices)),
    )


def _moment(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _disks(
    mounts: Iterable[re.Match[str]],
    spaces: Mapping[str, re.Match[str]],
    devices: Mapping[str, tuple[int, int]],
) -> Iterable[Disk]:
    """Each mount that stat(1) answered for; the others are only there to tell what these are."""
    by_path: dict[str, re.Match[str]] = {}
    for mount in mounts:  # the last one mounted at a place is what is seen there
        by_path[_decoded(mount[3])] = mount
    for path, space in spaces.items():
        blocks, free, available, size, inodes, inodes_free = map(int, space.groups()[:6])
        if path not in by_path or not 0 < blocks * size < _LONG_END:
            continue
        number, file_system, device = by_path[path].group(1, 4, 5)
        device = _decoded(device)
        if not all(map(is_symbol, (path, device, file_system))):
            continue
        read, written = devices.get(number, (None, None))
        yield Disk(
            mount=path,
            device=device,
            file_system=file_system,
            size_bytes=blocks * size,
            available_bytes=available * size if available <= blocks else None,
            used_percent=(blocks - free) / blocks * 100 if free <= blocks else None,
            inodes=inodes if 0 < inodes < _LONG_END else None,
            inodes_free=inodes_free if 0 < inodes < _LONG_END and inodes_free <= inodes else None,
            read_bytes=read,
            written_bytes=written,
        )


def _decoded(path: str) -> str:
    """A path of mountinfo: what would break its line is octal there (proc(5))."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)
