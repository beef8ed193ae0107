"""Bastions: what names them, whose way counts, and what cannot be passed."""

from pathlib import Path

import pytest

from fleet.inventory import Host, load
from fleet.inventory.jumps import hop_host


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/central")


def hosts(text: str, private_key: str | None = None) -> dict[str, Host]:
    Path("inv.yaml").write_text(text)
    return {host.name: host for host in load("inv.yaml", private_key=private_key).hosts}


def way(host: Host) -> list[str] | None:
    """The bastions before a host, as `user@address:port`, in short."""
    assert host.bad_config is None
    if host.jumps is None:
        return None
    return [
        (f"{hop.user}@" if hop.user else "") + hop.address + (f":{hop.port}" if hop.port else "")
        for hop in host.jumps
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", None),
        ("none", []),
        ("[]", []),
        ("[none]", []),
        ("b.example.com", ["b.example.com"]),
        ("u@b", ["u@b"]),
        ("u@b:2222", ["u@b:2222"]),
        ("'u@[2001:db8::1]:2222'", ["u@2001:db8::1:2222"]),
        ("'[2001:db8::1]'", ["2001:db8::1"]),
        ("'2001:db8::1'", ["2001:db8::1"]),
        ("[u@a, 'b:22', c]", ["u@a", "b:22", "c"]),
        ("ssh://u@b:22", ["u@b:22"]),
    ],
)
def test_fleet_jump(said: str, expected: list[str] | None) -> None:
    """A bastion is a name or `user@host:port`; none at all can be said as well."""
    assert way(hosts(f"all: {{hosts: {{h: {{fleet_jump: {said}}}}}}}")["h"]) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("-J b", ["b"]),
        ("-J u@a:22,b", ["u@a:22", "b"]),
        ("-J u@[::1]:22", ["u@::1:22"]),
        ("-J ssh://u@b:22", ["u@b:22"]),
        ("-o ProxyJump=u@b", ["u@b"]),
        ("-oProxyJump=none -J b", []),
        ("-J b -o ProxyCommand=x", ["b"]),
        ("-J gate", ["gate"]),
    ],
)
def test_ssh_options(said: str, expected: list[str]) -> None:
    """The first that is given counts, and names are not those of the inventory."""
    found = hosts(
        "all: {hosts: {gate: {ansible_host: 10.0.0.1, ansible_user: g}, "
        f"h: {{ansible_ssh_common_args: '{said}'}}}}}}"
    )
    assert way(found["h"]) == expected
    assert found["h"].proxy_command is None


def test_proxy_command_is_kept_as_it_stands() -> None:
    """A command is the whole way: there are no bastions beside it."""
    found = hosts("""
    all:
      hosts:
        h: {ansible_ssh_common_args: "-o ProxyCommand='ssh -W %h:%p -q u@b' -J c"}
        n: {ansible_ssh_common_args: "-o ProxyCommand=none -J c"}
    """)
    assert (found["h"].proxy_command, found["h"].jumps) == ("ssh -W %h:%p -q u@b", ())
    assert (found["n"].proxy_command, found["n"].jumps) == (None, ())


def test_fleet_jump_goes_before_ssh_options() -> None:
    """Our own word counts where both are said; a null takes it back."""
    found = hosts("""
    all:
      vars: {fleet_jump: ours, ansible_ssh_common_args: -J theirs}
      hosts: {a: , b: {fleet_jump: }, c: {ansible_ssh_common_args: -o ProxyCommand=x}}
    """)
    assert [way(found[name]) for name in "abc"] == [["ours"], ["theirs"], ["ours"]]
    assert found["c"].proxy_command is None


def test_a_name_of_the_inventory_is_that_host() -> None:
    """It comes with its address, user, key and pinned keys; what its own way is, stands before."""
    found = hosts("""
    all:
      vars: {ansible_user: all}
      hosts:
        gate: {ansible_host: 10.0.0.1, ansible_port: 2222, ansible_private_key_file: k}
        inner: {ansible_host: 10.0.0.2, fleet_jump: gate}
        direct: {fleet_jump: none}
        h: {fleet_jump: inner}
        d: {fleet_jump: direct}
        l: {fleet_jump: [gate, inner, u@x]}
    """)
    gate, inner = found["gate"], found["inner"]
    assert gate.jumps is None
    assert inner.jumps == (gate,)
    assert way(found["h"]) == ["all@10.0.0.1:2222", "all@10.0.0.2"]
    assert found["h"].jumps is not None
    assert [hop.jumps for hop in found["h"].jumps] == [None, ()]
    assert found["h"].jumps[0].key_file == "k"
    assert found["d"].jumps == (found["direct"],)
    assert found["direct"].jumps == ()
    assert found["l"].jumps is not None
    assert [(hop.name, hop.jumps) for hop in found["l"].jumps] == [
        ("gate", None),
        ("inner", ()),
        ("x", ()),
    ]


def test_hops_from_elsewhere_take_key_and_configuration() -> None:
    """`--private-key` and `-F` serve the hops that no inventory describes; the login does not."""
    found = hosts(
        "all: {hosts: {h: {ansible_ssh_common_args: '-F c -l me -p 9 -i mine -J u@a,b'}}}", "~/k"
    )["h"]
    assert found.jumps == (
        Host("a", "a", user="u", key_file="/home/central/k", ssh_config="c"),
        Host("b", "b", key_file="/home/central/k", ssh_config="c", jumps=()),
    )
    assert (found.user, found.port, found.key_file, found.ssh_config) == ("me", 9, "mine", "c")


def test_a_bastion_of_all_goes_direct_itself() -> None:
    """A group's bastions may be members: each is reached by those before it alone."""
    found = hosts("""
    all:
      vars: {fleet_jump: [outer, inner]}
      hosts: {outer: , inner: , web: }
    """)
    assert found["outer"].jumps == ()
    assert way(found["inner"]) == ["outer"]
    assert way(found["web"]) == ["outer", "inner"]


def test_a_bastion_before_its_command() -> None:
    """A bastion that is reached by a command keeps it where it comes first."""
    found = hosts("""
    all:
      hosts:
        b: {ansible_ssh_common_args: -o ProxyCommand=x}
        h: {fleet_jump: b}
        i: {fleet_jump: [a, b]}
    """)
    assert found["h"].jumps is not None
    assert [(hop.proxy_command, hop.jumps) for hop in found["h"].jumps] == [("x", ())]
    assert found["i"].jumps is not None
    assert [hop.proxy_command for hop in found["i"].jumps] == [None, None]


def test_circles() -> None:
    """Bastions that wait for each other are nobody's way, and nobody else's trouble."""
    found = hosts("""
    all:
      hosts:
        a: {fleet_jump: b}
        b: {fleet_jump: c}
        c: {fleet_jump: a}
        h: {fleet_jump: a}
        other:
    """)
    assert found["c"].bad_config == ("inv.yaml:6:25: fleet_jump leads in a circle: a > b > c > a")
    for name in "abh":
        assert str(found[name].bad_config).endswith("leads in a circle: a > b > c > a")
        assert str(found[name].bad_config).startswith("inv.yaml:")
    assert found["other"].bad_config is None


@pytest.mark.parametrize(
    ("bastion", "expected"),
    [
        (
            "ansible_port: 0",
            "names 'b', which cannot be used: "
            "inv.yaml:1:39: ansible_port is the number 0, expected a port from 1 to 65535",
        ),
        ("ansible_connection: local", "names 'b', which is not reached over ssh"),
    ],
)
def test_a_bastion_that_cannot_be_used(bastion: str, expected: str) -> None:
    """What is wrong with a bastion is wrong with all behind it."""
    found = hosts(
        f"all: {{hosts: {{b: {{x: 1, {bastion}}},\n"
        " h: {fleet_jump: b}, i: {fleet_jump: [x, b]}}}"
    )
    assert found["h"].bad_config == f"inv.yaml:2:18: fleet_jump {expected}"
    assert found["i"].bad_config == f"inv.yaml:2:38: fleet_jump {expected}"
    assert (found["h"].jumps, found["h"].port) == (None, None)


def test_a_way_has_an_end() -> None:
    """More than sixteen bastions are refused, however they are named."""
    chain = "".join(f"    h{n}: {{fleet_jump: h{n + 1}}}\n" for n in range(5000))
    found = hosts("all:\n  hosts:\n" + chain + "    h5000:\n")
    assert "leads through more than 16 bastions" in str(found["h0"].bad_config)
    assert way(found["h4999"]) == ["h5000"]
    listed = ", ".join(f"b{n}" for n in range(17))
    assert str(
        hosts(f"all: {{hosts: {{h: {{fleet_jump: [{listed}]}}}}}}")["h"].bad_config
    ).endswith("fleet_jump leads through more than 16 bastions")


@pytest.mark.parametrize(
    "hop", ["", "-J", "u@", "a b", "b:0", "b:99999", "u@b:x", "[b]:22", "u@-b", "-u@b", "b/c", "%h"]
)
def test_no_bastion(hop: str) -> None:
    """What is neither a name nor an address is refused before it could become an option."""
    assert hop_host(hop) is None
    found = hosts(f"all: {{hosts: {{h: {{fleet_jump: '{hop}'}}}}}}")["h"]
    assert str(found.bad_config).startswith("inv.yaml:1:")
    assert "expected a bastion: a name of the inventory or user@host:port" in str(found.bad_config)


def test_a_thousand_hosts_share_one_way() -> None:
    """Hosts behind the same bastion hold the same tuple."""
    found = hosts("all: {vars: {fleet_jump: gate}, hosts: {gate: , 'h[1:1000]': }}")
    assert len({id(host.jumps) for host in found.values() if host.jumps}) == 1
    assert len([host for host in found.values() if host.jumps]) == 1000
