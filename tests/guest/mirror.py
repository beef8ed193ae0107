"""Where this machine gets its packages from: apt's own answer, at the time that it is asked."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.waiting import LabError

SCHEMES = ("http://", "https://", "file:/")


@dataclass(frozen=True, slots=True)
class Mirror:
    """What debootstrap needs to know; `environment` has the proxy, if apt uses one."""

    suite: str
    address: str
    components: tuple[str, ...]
    environment: Mapping[str, str]


def find_mirror() -> Mirror:
    """The first source of this machine's own release, with all its components."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    form = "$(RELEASE) $(ARCHITECTURE) $(COMPONENT) $(REPO_URI)"
    lines = _said("apt-get", "indextargets", "--no-release-info", "--format", form)
    address, components = "", []
    for line in lines:
        release, architecture, component, where = line.split(" ", 3)
        if release != suite or architecture != "amd64" or not where.startswith(SCHEMES):
            continue
        address = address or where
        if where == address and component not in components:
            components.append(component)
    if not address:
        raise LabError(f"apt has no source for amd64 of {suite!r} that debootstrap could use")
    return Mirror(suite, address, tuple(components), _proxies())


def _proxies() -> dict[str, str]:
    found = {}
    for scheme in ("http", "https"):
        lines = _said("apt-config", "dump", "--format", "%v%n", f"Acquire::{scheme}::Proxy")
        if lines and lines[0] not in ("", "DIRECT"):
            found[f"{scheme}_proxy"] = lines[0]
    return found


def _said(*argv: str) -> list[str]:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{argv[0]}: {done.stderr.strip()}")
    return done.stdout.splitlines()
