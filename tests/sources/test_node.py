"""The node's own figures: what a section's lines say, and the text that asks for them."""

import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sources import node
from fleet.sources.node import Disk, NodeFigures, parse_node

ROOT = "27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
SPACE = "d 1000 600 500 4096 200 150 /"
IO = "/proc/diskstats:   8       1 sda1 10 0 2000 5 20 0 3000 9 0 1 2"


def test_section_is_read_whole():
    """Kilobytes and sectors become bytes; the kernel's own words stay."""
    figures = parse_node(
        [
            *("boot_id 12e09f68-a6fa", "kernel 6.1.0-18-amd64", "load 0.50 1.25 12.00"),
            *("/proc/stat:btime 1790000000", "/proc/meminfo:MemTotal:  16000 kB"),
            *("/proc/meminfo:MemAvailable:    9000 kB", IO, ROOT, SPACE),
            "/proc/pressure/cpu:some avg10=0.80 avg60=4.80 avg300=5.37 total=200755286",
            "/proc/pressure/io:full avg10=0.00 avg60=0.25 avg300=0.00 total=7",
        ]
    )
    disk = Disk("/", "/dev/sda1", "ext4", 4096000, 2048000, 40.0, 200, 150, 1024000, 1536000)
    assert figures == NodeFigures(
        "12e09f68-a6fa",
        "6.1.0-18-amd64",
        16384000,
        9216000,
        (0.5, 1.25, 12.0),
        {("cpu", "some"): 4.8, ("io", "full"): 0.25},
        datetime.fromtimestamp(1790000000, UTC),
        (disk,),
    )


def test_what_was_not_said_is_none():
    """Empty words, no pressure, a clock that was never set: null, not 0."""
    lines = ["boot_id ", "kernel ", "load   ", "/proc/stat:btime 0", "/proc/meminfo:MemTotal: kB"]
    assert parse_node(lines) == NodeFigures()
    assert parse_node(["/proc/stat:btime 999999999999"]).boot_at is None


def test_reserve_of_root_counts_as_free():
    """Used is what files hold; available is what others than root may still write."""
    (disk,) = parse_node([ROOT, "d 100 10 0 1024 0 0 /"]).disks
    assert (disk.used_percent, disk.available_bytes) == (90.0, 0)
    assert (disk.inodes, disk.inodes_free, disk.read_bytes) == (None, None, None)


@pytest.mark.parametrize(
    "space",
    [
        "d 0 0 0 4096 0 0 /",
        f"d {2**63} 0 0 4096 0 0 /",
        "d 100 10 0 1024 0 0 /elsewhere",
        "d 100 10 0 1024 0 0",
        "d 100 -10 0 1024 0 0 /",
    ],
)
def test_sizes_that_cannot_be_are_not_known(space):
    """No blocks, more than there can be, a place unknown."""
    assert parse_node([ROOT, space]).disks == ()


def test_counts_that_cannot_be_are_none():
    """More available or free than there is; more sectors than a number of bytes holds."""
    io = IO.replace(" 2000 ", f" {2**62} ")
    (disk,) = parse_node([ROOT, io, "d 100 101 200 1024 10 11 /"]).disks
    assert (disk.size_bytes, disk.available_bytes) == (102_400, None)
    assert (disk.used_percent, disk.inodes, disk.inodes_free) == (None, 10, None)
    assert (disk.read_bytes, disk.written_bytes) == (None, None)


def test_names_are_read_as_they_are():
    """A blank in a mount's name is octal in mountinfo, and a blank with stat(1)."""
    mount = "40 27 8:1 / /mnt/my\\040disk\\134x rw - xfs /dev/my\\040disk rw"
    (disk,) = parse_node([mount, IO, "d 10 5 5 512 0 0 /mnt/my disk\\x"]).disks
    assert (disk.mount, disk.device, disk.written_bytes) == (
        "/mnt/my disk\\x",
        "/dev/my disk",
        1536000,
    )


@pytest.mark.parametrize("name", ["/a\\012b", "/" + "x" * 300, "/\\033[2J"])
def test_names_unfit_for_a_table_are_passed_over(name):
    """A line break, a terminal's sequence, or a name without end."""
    shown = name.replace("\\012", "\n").replace("\\033", "\033")
    mount = f"40 27 8:1 / {name} rw - xfs /dev/sda1 rw"
    assert parse_node([mount, f"d 10 5 5 512 0 0 {shown}"]).disks == ()


def test_last_mount_at_a_place_is_what_is_seen():
    """Of two file systems at one place the upper one was asked."""
    upper = ROOT.replace("8:1", "8:2").replace("sda1", "sda2")
    (disk,) = parse_node([ROOT, upper, IO, SPACE, SPACE]).disks
    assert (disk.device, disk.read_bytes) == ("/dev/sda2", None)


MOUNTS = r"""22 27 0:21 / /proc rw - proc proc rw
27 1 0:50 / / rw - overlay overlay rw,lowerdir=/x
28 27 8:1 / /data rw shared:3 - ext4 /dev/sda1 rw
29 27 8:1 /sub /var/lib rw - ext4 /dev/sda1 rw
30 27 8:2 /only/a/folder /etc/hosts rw - ext4 /dev/sda2 rw
31 27 0:60 /@home /home rw - btrfs /dev/sdb rw,subvol=/@home
32 27 0:60 /@srv /srv rw - btrfs /dev/sdb rw,subvol=/@srv
33 27 0:70 / /net rw - nfs4 server:/export rw
34 27 0:71 / /cifs rw - cifs //server/share rw
35 27 8:17 / /mnt/my\040disk rw - xfs /dev/sdb1 rw
36 27 0:80 / /run rw - tmpfs tmpfs rw
37 27 8:33 / /mnt/disk\0401 rw,noatime - ext4 /dev/sdc1 rw
38 27 8:49 / /under/nfs rw - ext4 /dev/sdd1 rw
39 38 0:72 / /under/nfs rw - nfs server:/a rw
40 27 8:65 / /above/it rw - ext4 /dev/sde1 rw
41 27 0:73 / /above rw - nfs server:/b rw
42 27 8:81 / /old rw - ext4 /dev/sdf1 rw
43 42 8:97 / /old rw - xfs /dev/sdg1 rw
44 27 8:113 / /export rw - xfs /dev/sdh1 rw
45 27 0:74 / /export/x rw - nfs server:/export rw
46 27 8:49 / /again ro - ext4 /dev/sdd1 rw
"""


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)
def test_each_local_device_is_asked_once(shell, tmp_path):
    """Overlay only at the root, a device once, a bind mount of a folder and NFS never; and nothing
    that is hidden by a later mount, which would be asked instead.
    """
    (tmp_path / "mountinfo").write_text(MOUNTS)
    tool = tmp_path / "stat"
    tool.write_text('#!/bin/sh\nshift 3\nfor x in "$@"; do echo "d 10 5 5 512 0 0 $x"; done\n')
    tool.chmod(0o755)
    text = node.TEXT.replace("/proc/self/mountinfo", str(tmp_path / "mountinfo"))
    ours = 'say() { :; }; out() { printf "%s\\n" "$1"; }; put() { :; };'
    text = f'{ours} go() {{ shift 2; {tool} "$@"; }}; {text} facts'
    run = subprocess.run(
        [shutil.which(shell[0]), *shell[1:], "-c", text], capture_output=True, text=True, check=True
    )
    asked = [line[17:] for line in run.stdout.splitlines() if line.startswith("d 10 5")]
    plain = ["/", "/data", "/home", "/mnt/my disk", "/mnt/disk 1"]
    assert asked == [*plain, "/old", "/export", "/again"]
    assert [disk.mount for disk in parse_node(run.stdout.splitlines()).disks] == asked


_lines = st.one_of(
    st.text(max_size=60),
    st.sampled_from([ROOT, SPACE, IO]),
    st.lists(
        st.sampled_from(
            [
                *("d", "/", "1", "9" * 20, "9" * 30, "8:1", "-", "ext4", "load", "1.00", "btime"),
                *("/proc/stat:btime", "/proc/diskstats:", "/proc/meminfo:MemTotal:", "kB", "٣"),
                *("/proc/pressure/cpu:some", "avg10=0", "avg60=1.00", "avg300=0", "total=1"),
            ]
        ),
        max_size=14,
    ).map(" ".join),
)


@given(st.lists(_lines, max_size=30))
def test_anything_is_accepted(lines):
    """Nothing raises, and every figure fits its column."""
    for disk in parse_node(lines).disks:
        assert 0 < disk.size_bytes < 2**63
        assert 0 <= disk.available_bytes <= disk.size_bytes
        assert disk.used_percent is None or 0 <= disk.used_percent <= 100
        assert (disk.read_bytes or 0) < 2**63
