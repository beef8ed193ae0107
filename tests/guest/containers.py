"""The containers of a round: each does something that is counted, or is counted in another way."""

import json
import shlex
from dataclasses import dataclass

from tests.guest.machine import BLOCK, Guest
from tests.lab.waiting import LabError

IMAGE = "busy:1"
MAKE_IMAGE = f"""
docker image inspect {IMAGE} >/dev/null 2>&1 && exit
mkdir -p /srv/image/bin && cp /bin/busybox /srv/image/bin/
chroot /srv/image /bin/busybox --install -s /bin
tar -C /srv/image -c . | docker import - {IMAGE}
"""
DRIVERS = ("systemd", "cgroupfs")
PARENTS = {"systemd": "web-prod.slice", "cgroupfs": "/custom/deep"}
GATEWAY = "172.17.0.1"
BURN = "while :; do :; done"
TALK = f"ping -q -i 0.2 -s 1400 {GATEWAY} >/dev/null"
WRITE = (
    "while :; do dd if=/dev/zero of=/data/f bs=64k count=16 oflag=direct; "
    "dd if=/data/f of=/dev/null bs=64k iflag=direct; sleep 0.5; done 2>/dev/null"
)
CACHE = (  # pages that were written once are inactive; what is read again becomes active
    "while :; do for n in 1 2 3; do dd if=/dev/zero of=/data/big$n bs=64k count=48; sync; "
    "sleep 3; done; done 2>/dev/null"
)
NEST = (
    "mkdir -p /sys/fs/cgroup/in/deep; echo $$ >/sys/fs/cgroup/in/deep/cgroup.procs; "
    "while :; do sleep 0.2; done"
)
HUNGER = "while :; do (tail /dev/zero) 2>/dev/null; sleep 5; done"
DROWSE = "while :; do sleep 1; done"


@dataclass(frozen=True, slots=True)
class Container:
    """How one is started: options of `docker run`, and what its shell does."""

    name: str
    options: str
    text: str


def containers(driver: str) -> tuple[Container, ...]:
    """Those of one of Docker's cgroup drivers."""
    return (
        Container("burn", "--cpus 0.2", BURN),
        Container("talk", "--memory 32m", TALK),
        Container("write", f"-v {BLOCK}/write:/data", WRITE),
        Container("cache", f"-v {BLOCK}/cache:/data --memory 64m", CACHE),
        Container("again", "--restart always", "sleep 13"),
        Container("parent", f"--cgroup-parent {PARENTS[driver]}", DROWSE),
        Container("nested", "--privileged --cgroupns private", NEST),
        Container("hungry", "--memory 12m --memory-swap 12m", HUNGER),
        Container("two", "--network back", DROWSE),
        Container("joined", "--network container:talk", DROWSE),
        Container("hosted", "--network host", DROWSE),
        Container("alone", "--network none", DROWSE),
    )


def use_driver(guest: Guest, driver: str) -> None:
    """Restart the engine with this cgroup driver, without a container."""
    guest.wait_for("docker version", 300, "docker in the guest")
    guest.sh("docker ps -aq | xargs -r docker rm -f")
    option = json.dumps({"exec-opts": [f"native.cgroupdriver={driver}"]})
    guest.sh(f"echo {shlex.quote(option)} >/etc/docker/daemon.json; systemctl restart docker")
    guest.wait_for("docker version", 300, "docker in the guest")
    said = guest.sh("docker info --format '{{.CgroupDriver}} {{.CgroupVersion}}'")
    if said != f"{driver} 2":
        raise LabError(f"the guest's engine has {said!r}, not {driver} on cgroup v2")
    guest.sh(MAKE_IMAGE)
    guest.sh("docker network inspect back >/dev/null 2>&1 || docker network create back")


def start(guest: Guest, driver: str) -> None:
    """Start them all; `two` gets its second network."""
    for one in containers(driver):
        words = f"{one.options} {IMAGE} sh -c {shlex.quote(one.text)}"
        guest.sh(f"docker run --detach --name {one.name} {words}")
    guest.sh("docker network connect bridge two")


def flash(guest: Guest) -> None:
    """Start one that dies within the round, and forget it."""
    guest.sh(f"docker run --detach --rm {IMAGE} sleep 2")


def pause(guest: Guest) -> None:
    """Freeze them all, once `again` is not about to die; nothing moves then."""
    guest.sh("docker restart -t 1 again && docker pause again")
    guest.sh("docker ps -q -f status=running | xargs -r docker pause")
