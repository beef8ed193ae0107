"""`inventory.yaml` loads, shows every variable, and says what its comments say."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fleet.inventory import Host, Inventory, load
from fleet.inventory.variables import ANSIBLE, FLEET
from fleet.pattern import select

SAMPLE = Path(__file__).parent.parent / "inventory.yaml"


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Inventory:
    monkeypatch.setenv("HOME", "/home/central")
    return load(str(SAMPLE))


def by_name(sample: Inventory) -> dict[str, Host]:
    return {host.name.split(".")[0]: host for host in sample.hosts}


def test_every_host_can_be_used(sample: Inventory) -> None:
    """The example has no host that would not be visited."""
    assert [host.name for host in sample.hosts if host.bad_config] == []


def test_groups(sample: Inventory) -> None:
    """The groups are those of a fleet with two regions and two stages."""
    counts = {name: len(members) for name, members in sample.groups.items()}
    assert counts == {
        "all": 19,
        "ungrouped": 0,
        "central": 1,
        "production": 14,
        "web": 6,
        "api": 2,
        "db": 2,
        "workers": 4,
        "staging": 4,
        "eu_west_1": 12,
        "us_east_1": 6,
        "docker_needs_sudo": 6,
    }


def test_what_its_comments_say(sample: Inventory) -> None:
    """Users, keys, ports, sudo, maintenance, pinned keys and the central host come out as told."""
    hosts = by_name(sample)
    assert hosts["web01"] == Host(
        name="web01.prod.example.com",
        address="web01.prod.example.com",
        user="ec2-user",
        key_file="/home/central/.ssh/fleet_ed25519",
        groups=("eu_west_1", "production", "web"),
    )
    assert hosts["monitor01"].connection == "local"
    assert hosts["api-a"].address == "10.20.1.11"
    assert len(hosts["api-b"].host_keys) == 2
    assert (hosts["db1"].user, hosts["db1"].port) == ("admin", 2222)
    assert [name for name, host in hosts.items() if host.maintenance] == ["db2"]
    sudo = [host.name for host in sample.hosts if host.become]
    assert sorted(sudo) == sorted(sample.groups["docker_needs_sudo"])
    assert {hosts[name].user for name in ("worker1", "stage-web1", "stage-build")} == {"ubuntu"}
    assert hosts["stage-web1"].key_file == "/home/central/.ssh/fleet_staging_ed25519"
    assert hosts["stage-build"].runtime_path == "/opt/docker/bin/docker"


def test_addresses_are_nobodys(sample: Inventory) -> None:
    """Every address is private, and every name ends in example.com."""
    for host in sample.hosts:
        if host.address[0].isdigit():
            assert ip_address(host.address) in ip_network("10.0.0.0/8")
        else:
            assert host.address.endswith(".example.com")


@pytest.mark.parametrize("name", sorted(ANSIBLE | FLEET))
def test_every_variable_is_explained(name: str) -> None:
    """The comments name every variable that this version reads."""
    comments = re.findall(r"#.*", SAMPLE.read_text())
    assert any(re.search(rf"\b{name}\b", line) for line in comments)


def test_no_variable_is_invented() -> None:
    """Every variable that the example names is one that this version reads."""
    named = set(re.findall(r"\b(?:ansible|fleet)_[a-z_]+\b", SAMPLE.read_text()))
    assert named - ANSIBLE - FLEET - {"fleet_ed", "fleet_staging_ed"} == set()


def test_its_commands_work(sample: Inventory) -> None:
    """Each `fleet hosts` line of the comments selects hosts."""
    commands = re.findall(r"^#   fleet hosts +(?:'([^']+)'|(\w*))  ", SAMPLE.read_text(), re.M)
    found = [
        select([one or other] if one or other else [], None, sample) for one, other in commands
    ]
    assert [len(selection.hosts) for selection in found] == [19, 14, 5, 15]
    assert not any(selection.warnings for selection in found)
