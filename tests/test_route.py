"""The way to a host: who speaks first, which bastions stand on it."""

import getpass

import pytest

from fleet.errors import HostError
from fleet.inventory import Host
from fleet.status import Status
from fleet.transport.route import Routes, hop_of


@pytest.fixture
def routes(tmp_path):
    """Routes under a configuration that is given as text."""

    def made(text: str = "") -> Routes:
        file = tmp_path / "config"
        file.write_text(text)
        return Routes(str(file))

    return made


def _way(routes: Routes, host: Host) -> list[str]:
    return [f"{door.user}@{door.address}:{door.port}" for door in routes.to(host).doors]


def test_inventory_goes_first(routes):
    """The configuration counts only where the inventory is silent."""
    found = routes("Host a\n User u\n Port 99\n HostName h\n IdentityFile k\n HostKeyAlias x\n")
    door = found.to(Host("a", "a", 1, "me", "mine", host_key_alias="Y")).door
    assert (door.address, door.port, door.user, door.key_files) == ("h", 1, "me", ("mine",))
    assert (door.known_as, door.or_agent, door.needs_all_keys) == ("y", False, True)
    door = found.to(Host("a", "a")).door
    assert (door.address, door.port, door.user, door.key_files) == ("h", 99, "u", ("k",))
    assert (door.known_as, door.or_agent, door.needs_all_keys) == ("x", True, False)


def test_defaults_are_those_of_openssh(routes):
    """Port 22, whoever runs us, the agent and the usual keys."""
    door = routes().to(Host("a", "10.0.0.1")).door
    assert (door.port, door.user, door.key_files) == (22, getpass.getuser(), ())
    assert (door.known_as, door.known_hosts, door.or_agent) == ("10.0.0.1", None, True)


def test_lookup_is_by_address(routes):
    """As `ssh ADDRESS` looks it up; the inventory's name means nothing to ssh."""
    found = routes("Host name\n User wrong\nHost 10.0.0.1\n User right\n")
    assert _way(found, Host("name", "10.0.0.1")) == ["right@10.0.0.1:22"]


def test_tokens_of_values(routes):
    """Key files and known hosts may hold tokens and `~`; several files are split."""
    found = routes("IdentityFile /k/%r-%h\nIdentitiesOnly yes\nUserKnownHostsFile /a/%h /b\n")
    door = found.to(Host("x", "x", user="ops")).door
    assert door.key_files == ("/k/ops-x",)
    assert door.known_hosts == ("/a/x", "/b")
    assert not door.or_agent


def test_bastions_of_the_configuration(routes):
    """ProxyJump chains; a bastion's own entry counts for it, and its own bastion for the first."""
    found = routes(
        "Host inner\n ProxyJump one,u@two:2200\n User ops\n"
        "Host one\n HostName one.example\n User jump\n ProxyJump zero\n"
        "Host zero two\n User z\n ProxyJump none\n"
    )
    assert _way(found, Host("inner", "inner")) == [
        "z@zero:22",
        "jump@one.example:22",
        "u@two:2200",
        "ops@inner:22",
    ]
    assert found.to(Host("inner", "inner")).via == "u@two:2200"


def test_inventory_says_no_bastion(routes):
    """An empty tuple is said as well."""
    found = routes("ProxyJump bastion\n")
    assert len(found.to(Host("a", "a")).doors) == 2
    assert len(found.to(Host("a", "a", jumps=())).doors) == 1


def test_bastion_is_not_reached_through_itself(routes):
    """`Host *` with a ProxyJump holds for the bastion too."""
    found = routes("ProxyJump u@bastion\nUser u\n")
    assert _way(found, Host("b", "bastion")) == ["u@bastion:22"]
    assert _way(found, Host("a", "a")) == ["u@bastion:22", "u@a:22"]


def test_circle_of_bastions_is_that_hosts_trouble(routes):
    """Bounded, and told."""
    found = routes("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(HostError, match="circle") as caught:
        found.to(Host("a", "a"))
    assert caught.value.status is Status.BAD_CONFIG


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Port x\n", "port 'x'"),
        ("Port 99999\n", "port '99999'"),
        ("ConnectTimeout soon\n", "connecttimeout 'soon'"),
        ("ProxyJump u@:22\n", "ProxyJump 'u@:22'"),
        ("IdentityFile %Z\n", "%Z"),
    ],
)
def test_values_that_cannot_be_used_are_that_hosts_trouble(routes, text, says):
    """bad_config names the keyword and its value."""
    with pytest.raises(HostError) as caught:
        routes(text).to(Host("a", "a"))
    assert caught.value.status is Status.BAD_CONFIG
    assert says in caught.value.detail


def test_proxy_command_is_expanded(routes):
    """%h, %p and %r are the connection's; the first hop's command makes its connection."""
    found = routes("Host a\n ProxyCommand ssh -W %h:%p -l %r gate\n User ops\n Port 2200\n")
    assert found.to(Host("a", "a")).door.proxy_command == "ssh -W a:2200 -l ops gate"
    assert routes("ProxyCommand none\n").to(Host("a", "a")).door.proxy_command is None


@pytest.mark.parametrize("address", ["$(reboot)", "a;b", "a`b`", "a|b", "a&b", "'a'"])
def test_shell_never_reads_a_host_name(routes, address):
    """A name from a dynamic inventory goes to a shell only if it is one word that means itself."""
    with pytest.raises(HostError, match="cannot stand in a ProxyCommand"):
        routes().to(Host("x", address, proxy_command="nc %h %p"))


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("b", None, "b", None),
        ("u@b", "u", "b", None),
        ("u@b:2200", "u", "b", 2200),
        ("[::1]:22", None, "::1", 22),
        ("ssh://u@b:7", "u", "b", 7),
    ],
)
def test_hops(text, user, host, port):
    """The forms that ssh -J takes."""
    hop = hop_of(text)
    assert (hop.user, hop.address, hop.port) == (user, host, port)


def test_what_the_configuration_adds_is_explained(routes):
    """Each setting with its keyword and the files."""
    found = routes("Host a\n User u\n Port 99\n ProxyJump b\n")
    explained = {setting.name: setting for setting in found.explain(Host("a", "a", port=5))}
    assert explained["user"].value == "u"
    assert explained["user"].origin.endswith("config user")
    assert explained["jumps"].value == "b"
    assert "port" not in explained
