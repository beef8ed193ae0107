"""The guest's disk and kernel: made once from packages, kept in a folder for the next run.

```
debootstrap ─▶ tree ─▶ settled: keys, network, users, units ─┬─▶ mke2fs -d ─▶ disk
                                                             └─▶ vmlinuz, initrd of our own
```

The tree becomes a disk without a loop device, and the initrd loads just what finds that disk.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.guest.mirror import Mirror, find_mirror
from tests.lab.lab import Lab
from tests.lab.sshd import make_key
from tests.lab.waiting import LabError, poll

USER = "ops"
"""Who reads there: a login in the group `docker`, without any rights of root."""

PACKAGES = (
    *("systemd-sysv", "dbus", "kmod", "iproute2", "docker.io"),
    *("openssh-server", "busybox-static", "python3"),
)
KERNELS = {"debian": "linux-image-amd64", "ubuntu": "linux-image-virtual"}
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
MASKED = (
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-logind.service"),
    *("systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "getty.target"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "systemd-pstore.service"),
    *("systemd-tmpfiles-clean.timer", "systemd-random-seed.service", "kmod-static-nodes.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
    *("proc-sys-fs-binfmt_misc.automount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "dev-hugepages.mount"),
    *(
        "systemd-timesyncd.service",
        "systemd-networkd-wait-online.service",
        "keyboard-setup.service",
    ),
)
NETWORK = """[Unit]
DefaultDependencies=no
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0'
[Install]
WantedBy=multi-user.target
"""
SSHD = """
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100
MaxSessions 100
"""
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module; done
until /bin/busybox mount -t ext4 /dev/vda /top; do /bin/busybox sleep 1; done
exec /bin/busybox switch_root /top /sbin/init
"""
BUILD_S = 1800.0


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest is started from; `key` opens it for root and for `USER`."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The root file system, raw."""
        return self.folder / "disk"

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What finds the disk."""
        return self.folder / "initrd"

    @property
    def key(self) -> Path:
        """The private key of the logins."""
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> str:
        """The guest's public host key: type, blank, key."""
        text = (self.folder / "host_ed25519.pub").read_text()
        return " ".join(text.split()[:2])


def image(lab: Lab) -> Image:
    """The image under the lab's root; made now if there is none, or one of another recipe."""
    mirror = find_mirror()
    recipe = Path(__file__).read_bytes() + mirror.suite.encode()
    stamp = hashlib.sha256(recipe).hexdigest()
    found = Image(lab.root / "guest")
    if (found.folder / "stamp").exists() and (found.folder / "stamp").read_text() == stamp:
        return found
    began = time.monotonic()
    print(f"guest: making its image of {mirror.suite}, some minutes", flush=True)
    made = _build(lab, mirror)
    (made.folder / "stamp").write_text(stamp)
    shutil.rmtree(found.folder, ignore_errors=True)
    made.folder.rename(found.folder)
    print(f"guest: image made in {time.monotonic() - began:.0f} s", flush=True)
    return found


def _build(lab: Lab, mirror: Mirror) -> Image:
    """All of it in the run's own folder, so that nothing half made is ever kept."""
    made = Image(lab.folder / "guest")
    made.folder.mkdir()
    tree = lab.folder / "tree"
    make_key(made.key)
    make_key(made.folder / "host_ed25519")
    kernel = KERNELS.get(platform.freedesktop_os_release()["ID"])
    if kernel is None:
        raise LabError("the guest is made on Debian or Ubuntu only")
    argv = ["debootstrap", "--arch=amd64", "--variant=minbase"]
    argv += [f"--components={','.join(mirror.components)}"]
    argv += [f"--include={','.join((kernel, *PACKAGES))}", mirror.suite, str(tree), mirror.address]
    _run(lab, "debootstrap", argv, mirror.environment)
    _settle(tree, made)
    shutil.copyfile(next(tree.glob("boot/vmlinuz-*")), made.kernel)
    _make_initrd(lab, tree, made.initrd)
    _trim(tree)
    size = ["-b", "4096", "-E", "lazy_itable_init=1", str(made.disk), "4G"]
    _run(lab, "mke2fs", ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), *size])
    shutil.rmtree(tree)
    return made


def _run(lab: Lab, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a program to its end; what it mounts goes with it, however it ends."""
    private = ["unshare", "--mount", "--propagation", "private", *argv]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    process = lab.start(name, private, env={"PATH": path, "LC_ALL": "C", **(env or {})})
    poll(lambda: not process.alive, BUILD_S, name, why=process.tail, every_s=0.2)
    if process.popen.returncode:
        raise LabError(f"{name}: {process.tail()}")


def _settle(tree: Path, made: Image) -> None:
    """Everything that makes it our guest."""
    ssh, units = tree / "etc/ssh", tree / "etc/systemd/system"
    for old in ssh.glob("ssh_host_*"):
        old.unlink()
    shutil.copy(made.folder / "host_ed25519", ssh / "ssh_host_ed25519_key")
    shutil.copy(made.key.with_suffix(".pub"), ssh / "authorized_keys")
    (ssh / "authorized_keys").chmod(0o644)
    (ssh / "sshd_config").write_text(SSHD)
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (tree / "etc/resolv.conf").write_text("")
    (tree / "etc/fstab").write_text("")
    (tree / "etc/machine-id").write_text("f1ee7" + "0" * 26 + "1\n")
    (tree / "etc/docker").mkdir(exist_ok=True)
    (units / "guest-network.service").write_text(NETWORK)
    (units / "multi-user.target.wants/guest-network.service").symlink_to("../guest-network.service")
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    add = ["useradd", "--create-home", "--shell", "/bin/sh", "--password", "*"]
    _inside(tree, *add, "--groups", "docker", USER)


def _inside(tree: Path, *argv: str) -> str:
    done = subprocess.run(
        ["chroot", str(tree), *argv],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    if done.returncode:
        raise LabError(f"{argv[0]}: {done.stderr}")
    return done.stdout


def _make_initrd(lab: Lab, tree: Path, initrd: Path) -> None:
    """Busybox, the modules in their order, and a script of four lines."""
    root = lab.folder / "initrd"
    for name in ("bin", "dev", "modules", "top"):
        (root / name).mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", root / "bin/busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    version = next(tree.glob("lib/modules/*")).name
    wanted = []
    for module in MODULES:
        for line in _inside(tree, "modprobe", "--show-depends", "-S", version, module).splitlines():
            word, _, path = line.partition(" ")
            if word == "insmod" and path.strip() not in wanted:
                wanted.append(path.strip())
    for number, path in enumerate(wanted):
        shutil.copy(tree / path.lstrip("/"), root / f"modules/{number:02}-{Path(path).name}")
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    argv = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
    packed = subprocess.run(argv, check=True, capture_output=True, input=names.encode(), cwd=root)
    initrd.write_bytes(packed.stdout)
    shutil.rmtree(root)


def _trim(tree: Path) -> None:
    """What nobody reads there."""
    for place in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt"):
        shutil.rmtree(tree / place, ignore_errors=True)
    shutil.rmtree(tree / "var/lib/apt/lists", ignore_errors=True)
    for old in tree.glob("boot/*"):
        old.unlink()
