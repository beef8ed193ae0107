"""What an inventory of 10,000 hosts in 200 groups costs: by us, and by PyYAML's C loader alone.

The C loader composes the same file to nodes, which is the first step of ours; what lies between the
two is the tree, precedence, validation and the hosts. Prints seconds of CPU (the least of several
rounds, in turn) and the most memory that a process of its own has used.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from fleet.inventory import load

GROUPS = 200
HOSTS_PER_GROUP = 50
_MEMORY = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
_OURS = f"import sys; from fleet.inventory import load; load(sys.argv[1]); {_MEMORY}"
_COMPOSE = (
    "import sys, yaml; yaml.compose(open(sys.argv[1], 'rb').read(), Loader=yaml.CSafeLoader); "
    + _MEMORY
)


def compare(rounds: int) -> None:
    """Measure both over two files, one with addresses only, one in which all is used."""
    with tempfile.TemporaryDirectory() as folder:
        for what, text in (("addresses", _addresses()), ("everything", _everything())):
            path = Path(folder, f"{what}.yaml")
            path.write_text(text)
            _print(what, path, rounds)


def _print(what: str, path: Path, rounds: int) -> None:
    costs: dict[str, list[float]] = {"fleet": [], "C compose": []}
    for _ in range(max(rounds, 3)):
        costs["fleet"].append(_cpu_s(lambda: load(str(path), many_labels=True)))
        costs["C compose"].append(
            _cpu_s(lambda: yaml.compose(path.read_bytes(), Loader=yaml.CSafeLoader))
        )
    ours_s, theirs_s = min(costs["fleet"]), min(costs["C compose"])
    print(
        f"{GROUPS * HOSTS_PER_GROUP:,} hosts in {GROUPS} groups, {what}, {path.stat().st_size:,} B"
    )
    print(f"{'':24}{'CPU s':>8}{'MiB':>8}")
    print(f"{'PyYAML, C compose':24}{theirs_s:8.2f}{_memory_mib(_COMPOSE, path):8.0f}")
    print(f"{'fleet.inventory.load':24}{ours_s:8.2f}{_memory_mib(_OURS, path):8.0f}")
    print(f"{'times':24}{ours_s / theirs_s:8.2f}")


def _cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _memory_mib(code: str, path: Path) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    return int(ran.stdout) / 1024


def _addresses() -> str:
    lines = ["all:", "  vars: {ansible_user: ec2-user}", "  children:"]
    for group in range(GROUPS):
        lines += [f"    g{group}:", "      hosts:"]
        for host in range(HOSTS_PER_GROUP):
            lines += [f"        web{host}-{group}:", f"          ansible_host: 10.0.{host}.{group}"]
    return "\n".join(lines)


def _everything() -> str:
    """Labels, templates, a bastion of each group, other people's variables."""
    lines = ["all:", "  vars:", "    ansible_user: ec2-user", "    fleet_labels: [env, role]"]
    lines += ["    env: prod", "    domain: example.com", "  children:"]
    for group in range(GROUPS):
        lines += [f"    g{group}:", f"      vars: {{role: r{group}, fleet_jump: web0-{group}}}"]
        lines += ["      hosts:"]
        for host in range(HOSTS_PER_GROUP):
            lines += [f"        web{host}-{group}:", "          ansible_host: '{{ ip }}'"]
            lines += [f"          ip: 10.0.{host}.{group}", "          packages: [curl, jq]"]
            lines += ["          tags: {owner: ops, cost: 12}"]
    return "\n".join(lines)
