"""What the variables of one host mean, and what of them makes it `bad_config`."""

from pathlib import Path

import pytest

from fleet.inventory import Host, load
from fleet.inventory.ssh_args import parse

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMnTZ8LVEO+WOzWlrOM9ZP6b5zFcxSKtLRx+MyMwmLtC"
FINGERPRINT = "SHA256:FqugAA6Tn1yRjAuloFNvohNA+P+WMXyNEu4SxKiU8KI"


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/central")


def host(*variables: str, private_key: str | None = None) -> Host:
    """The one host `h` with these lines of variables; the first stands on line 4, column 7."""
    body = "".join(f"      {line}\n" for line in variables)
    Path("inv.yaml").write_text(f"all:\n  hosts:\n    h:\n{body}    other:\n")
    found, other = load("inv.yaml", private_key=private_key).hosts
    assert other.bad_config is None
    return found


def test_defaults() -> None:
    """Of a host of which nothing is said only the name is known."""
    assert host() == Host(name="h", address="h", groups=("ungrouped",))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ansible_host: 10.0.0.1"], {"address": "10.0.0.1"}),
        (["ansible_host: 2001:db8::1"], {"address": "2001:db8::1"}),
        (["ansible_ssh_host: b", "ansible_host: a"], {"address": "b"}),
        (["ansible_ssh_host: ", "ansible_host: a"], {"address": "a"}),
        (["ansible_port: 2222"], {"port": 2222}),
        (["ansible_port: '2222'"], {"port": 2222}),
        (["ansible_port: 0x16"], {"port": 22}),
        (["ansible_ssh_port: 1", "ansible_port: 2"], {"port": 1}),
        (["ansible_user: ubuntu"], {"user": "ubuntu"}),
        (["ansible_user: 1000"], {"user": "1000"}),
        (["ansible_user: 'EXAMPLE\\user'"], {"user": "EXAMPLE\\user"}),
        (["ansible_ssh_user: ssh", "ansible_user: plain"], {"user": "ssh"}),
        (["ansible_ssh_user: ''", "ansible_user: plain"], {"user": None}),
        (["ansible_private_key_file: keys/a"], {"key_file": "keys/a"}),
        (["ansible_private_key_file: /k/a"], {"key_file": "/k/a"}),
        (["ansible_ssh_private_key_file: ~/b"], {"key_file": "/home/central/b"}),
        (
            ["ansible_ssh_private_key_file: /b", "ansible_private_key_file: /a"],
            {"key_file": "/b"},
        ),
        (["ansible_become: yes"], {"become": True}),
        (["ansible_become: 'True'"], {"become": True}),
        (["ansible_become: 1"], {"become": True}),
        (["ansible_become: t"], {"become": True}),
        (["ansible_become: 'off'", "ansible_become_user: postgres"], {"become": False}),
        (["ansible_become: 0"], {"become": False}),
        (["ansible_become: "], {"become": False}),
        (
            [
                "ansible_become: on",
                "ansible_become_method: ansible.builtin.sudo",
                "ansible_become_user: root",
            ],
            {"become": True},
        ),
        (["ansible_connection: ssh"], {"connection": "ssh"}),
        (["ansible_connection: smart"], {"connection": "ssh"}),
        (["ansible_connection: ansible.builtin.ssh"], {"connection": "ssh"}),
        (["ansible_connection: paramiko_ssh"], {"connection": "ssh"}),
        (["ansible_connection: local"], {"connection": "local"}),
        (["ansible_connection: ansible.builtin.local"], {"connection": "local"}),
        (["ansible_connection: local", "fleet_connection: ssh"], {"connection": "ssh"}),
        (["ansible_connection: community.aws.aws_ssm", "fleet_connection: ssh"], {}),
        (["fleet_connection: local"], {"connection": "local"}),
        (
            ["fleet_connection: local", "ansible_host: 127.0.0.1"],
            {"connection": "local", "address": "127.0.0.1"},
        ),
        (
            ["fleet_connection: local", "fleet_jump: b", "ansible_ssh_common_args: -J b"],
            {"connection": "local"},
        ),
        (["ansible_ssh_executable: /usr/bin/ssh"], {}),
        (["fleet_runtime: docker", "fleet_source: docker"], {}),
        (["fleet_source: kernel"], {"source": "kernel"}),
        (
            ["fleet_runtime_path: /opt/d_1/docker-ce.bin"],
            {"runtime_path": "/opt/d_1/docker-ce.bin"},
        ),
        (["fleet_state: maintenance"], {"maintenance": True}),
        (["fleet_state: "], {"maintenance": False}),
        ([f"fleet_host_key: {ED25519}"], {"host_keys": (ED25519,)}),
        ([f"fleet_host_key: {ED25519} root@web1 2026"], {"host_keys": (ED25519,)}),
        ([f"fleet_host_key: [{FINGERPRINT}, {ED25519}]"], {"host_keys": (FINGERPRINT, ED25519)}),
    ],
)
def test_variables(lines: list[str], expected: dict[str, object]) -> None:
    """Each variable ends in its field, and in no other."""
    assert host(*lines) == Host(
        **{"name": "h", "address": "h", "groups": ("ungrouped",)} | expected
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ansible_ssh_args: -p 1 -l u -i k"], {"port": 1, "user": "u", "key_file": "k"}),
        (["ansible_ssh_common_args: -p2222 -lu"], {"port": 2222, "user": "u"}),
        (
            ["ansible_ssh_extra_args: -o Port=1 -oUser=u -o 'IdentityFile ~/k'"],
            {"port": 1, "user": "u", "key_file": "/home/central/k"},
        ),
        (["""ansible_ssh_extra_args: -o 'identityfile="/a b"'"""], {"key_file": "/a b"}),
        (["ansible_ssh_common_args: -p 1", "ansible_port: 2"], {"port": 2}),
        (["ansible_ssh_common_args: -p x", "ansible_port: 2"], {"port": 2}),
        (["ansible_ssh_args: -p 1", "ansible_ssh_common_args: -p 2"], {"port": 1}),
        (["ansible_ssh_common_args: -l a -l b"], {"user": "a"}),
        (["ansible_ssh_common_args: -l a", "ansible_user: ''"], {"user": "a"}),
        (["ansible_ssh_common_args: -i k", "ansible_ssh_private_key_file: j"], {"key_file": "j"}),
        (["ansible_ssh_common_args: -i k -o IdentityFile=k"], {"key_file": "k"}),
        (["ansible_ssh_common_args: -qC -vvv -4 -T -o ControlMaster=auto"], {}),
        (["ansible_ssh_common_args: -o StrictHostKeyChecking=no -o ConnectTimeout=3"], {}),
        (["ansible_ssh_common_args: -o ServerAliveInterval=15 -o 'LogLevel ERROR'"], {}),
        (["ansible_ssh_common_args: -o ProxyJump=none"], {"jumps": ()}),
        (["ansible_ssh_common_args: -o ProxyCommand=NONE"], {"jumps": ()}),
        (["ansible_ssh_common_args: -F ~/c"], {"ssh_config": "/home/central/c"}),
        (["ansible_ssh_common_args: -F none"], {"ssh_config": "none"}),
        (["ansible_ssh_common_args: -o HostKeyAlias=alias"], {"host_key_alias": "alias"}),
        (["ansible_ssh_common_args: |", "  -p 1", "  -l u"], {"port": 1, "user": "u"}),
        (["ansible_ssh_common_args: ''"], {}),
        (["ansible_ssh_common_args: "], {}),
    ],
)
def test_ssh_options(lines: list[str], expected: dict[str, object]) -> None:
    """Options of ssh count where the variables are silent; harmless ones are passed over."""
    assert host(*lines) == Host(
        **{"name": "h", "address": "h", "groups": ("ungrouped",)} | expected
    )


LATER = "which this version cannot honour"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ansible_host: ''", "21: ansible_host is the text '', expected a host name or an address"),
        (
            "ansible_host: u@10.0.0.1",
            "21: ansible_host is the text 'u@10.0.0.1', expected a host name or an address",
        ),
        (
            "ansible_host: -x",
            "21: ansible_host is the text '-x', expected a host name or an address",
        ),
        ("ansible_host: [a]", "21: ansible_host is a list, expected a host name or an address"),
        (
            "ansible_host: {{ ip }}",
            "21: ansible_host is a mapping, expected a host name or an address",
        ),
        (
            "ansible_host: 1.5",
            "21: ansible_host is the number 1.5, expected a host name or an address",
        ),
        (
            'ansible_host: "a\\nb"',
            "21: ansible_host is the text 'a\\nb', expected a host name or an address",
        ),
        (
            "ansible_host: '{{ ip }}'",
            "21: ansible_host is the template '{{ ip }}', and nothing defines 'ip'",
        ),
        (
            "ansible_host: !vault SECRET",
            "21: ansible_host is a value tagged !vault, which fleet cannot read",
        ),
        (
            "ansible_host: !!binary U0VDUkVU",
            "21: ansible_host is a value tagged !!binary, which fleet cannot read",
        ),
        (
            "ansible_host: !!str {a: b}",
            "21: ansible_host is a value tagged !!str, which fleet cannot read",
        ),
        (
            "ansible_host: !!int x",
            "21: ansible_host is the number x, expected a host name or an address",
        ),
        ("ansible_port: 0", "21: ansible_port is the number 0, expected a port from 1 to 65535"),
        (
            "ansible_port: 99999",
            "21: ansible_port is the number 99999, expected a port from 1 to 65535",
        ),
        ("ansible_port: x", "21: ansible_port is the text 'x', expected a port from 1 to 65535"),
        (
            "ansible_port: 22.5",
            "21: ansible_port is the number 22.5, expected a port from 1 to 65535",
        ),
        (
            "ansible_port: true",
            "21: ansible_port is the boolean true, expected a port from 1 to 65535",
        ),
        ("ansible_user: a b", "21: ansible_user is the text 'a b', expected a user's name"),
        ("ansible_user: -l", "21: ansible_user is the text '-l', expected a user's name"),
        ("ansible_user: <<", "21: ansible_user is a value tagged !!merge, which fleet cannot read"),
        ("ansible_user: yes", "21: ansible_user is the boolean yes, expected a user's name"),
        (
            "ansible_user: 2026-01-01",
            "21: ansible_user is the date 2026-01-01, expected a user's name",
        ),
        (
            "ansible_private_key_file: /k/%h",
            "33: ansible_private_key_file is the text '/k/%h', expected a file name without %",
        ),
        ("ansible_become: perhaps", "23: ansible_become is the text 'perhaps', expected a boolean"),
        ("ansible_become: []", "23: ansible_become is a list, expected a boolean"),
        (
            "ansible_connection: docker",
            "27: ansible_connection is the text 'docker', expected 'ssh' or 'local'",
        ),
        ("ansible_connection: []", "27: ansible_connection is a list, expected 'ssh' or 'local'"),
        (
            "ansible_ssh_args: -J a,,b",
            "25: ansible_ssh_args holds the text 'a,,b', "
            "expected bastions, user@host:port, with commas between",
        ),
        (
            "ansible_ssh_args: -J u@%h",
            "25: ansible_ssh_args holds the text 'u@%h', "
            "expected bastions, user@host:port, with commas between",
        ),
        (
            "ansible_ssh_args: -o HostKeyAlias=a,b",
            "25: ansible_ssh_args holds the text 'a,b', expected a host's name",
        ),
        (
            "ansible_ssh_args: -F %h",
            "25: ansible_ssh_args holds the text '%h', expected a file name without %",
        ),
        ("ansible_ssh_args: -qNL 1:2:3", f"25: ansible_ssh_args holds '-L 1:2:3', {LATER}"),
        ("ansible_ssh_args: -o hostname=x", f"25: ansible_ssh_args holds '-o hostname=x', {LATER}"),
        ("ansible_ssh_args: -o ''", f"25: ansible_ssh_args holds '-o', {LATER}"),
        ("ansible_ssh_args: -q other", f"25: ansible_ssh_args holds 'other', {LATER}"),
        (
            "ansible_ssh_args: -i a -i b",
            "25: ansible_ssh_args holds 'b', a second key file; one can be used",
        ),
        ("ansible_ssh_args: -z", "25: ansible_ssh_args cannot be read: option -z not recognized"),
        (
            "ansible_ssh_args: -p",
            "25: ansible_ssh_args cannot be read: option -p requires argument",
        ),
        ("ansible_ssh_args: -o 'x", "25: ansible_ssh_args cannot be read: No closing quotation"),
        ("ansible_ssh_args: [-q]", "25: ansible_ssh_args is a list, expected options of ssh"),
        (
            "ansible_ssh_args: -J {{ bastion }}",
            "25: ansible_ssh_args is the template '-J {{ bastion }}', "
            "and nothing defines 'bastion'",
        ),
        (
            "ansible_ssh_args: -p 0",
            "25: ansible_ssh_args holds the text '0', expected a port from 1 to 65535",
        ),
        (
            "ansible_ssh_executable: tsh",
            "31: ansible_ssh_executable is the text 'tsh', expected ssh itself",
        ),
        (
            "ansible_paramiko_proxy_command: nc b 22",
            "39: ansible_paramiko_proxy_command is not read; "
            "say ProxyCommand in ansible_ssh_common_args",
        ),
        (
            "fleet_runtime: podman",
            "22: fleet_runtime is 'podman', which this version does not read",
        ),
        (
            "fleet_runtime_path: docker",
            "27: fleet_runtime_path is the text 'docker', "
            "expected an absolute path of A-Z a-z 0-9 _ . / -",
        ),
        (
            "fleet_runtime_path: /opt/my docker",
            "27: fleet_runtime_path is the text '/opt/my docker', "
            "expected an absolute path of A-Z a-z 0-9 _ . / -",
        ),
    ],
)
def test_bad_config(line: str, expected: str) -> None:
    """What cannot be used is that host's trouble alone: variable, value, place and what was due."""
    assert host(line).bad_config == f"inv.yaml:4:{expected}"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("ssh-ed25519", "the text 'ssh-ed25519'"),
        ("ssh-ed25519 nonsense!", "the text 'ssh-ed25519 nonsense!'"),
        (
            "ssh-rsa " + ED25519.split()[1],
            "the text 'ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIMnTZ8LVEO+WOzWlrOM9ZP6b5zF…'",
        ),
        (
            f"web1 {ED25519}",
            "the text 'web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMnTZ8LVEO+WOzWlrO…'",
        ),
        ("SHA256:short", "the text 'SHA256:short'"),
        ("MD5:16:27:ac:a5", "the text 'MD5:16:27:ac:a5'"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "the text 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5'"),
        ("5", "the number 5"),
        ("[[]]", "a list"),
    ],
)
def test_malformed_host_keys(value: str, found: str) -> None:
    """A pinned key that is none would pin nothing, so its host is not visited."""
    column = 24 if value == "[[]]" else 23
    assert host(f"fleet_host_key: {value}").bad_config == (
        f"inv.yaml:4:{column}: fleet_host_key is {found}, "
        "expected a public key, 'TYPE BASE64', or its fingerprint, 'SHA256:…'"
    )


def test_two_lines_are_not_one_key() -> None:
    """A block of two keys must be a list, lest the second be taken for a comment."""
    bad = host("fleet_host_key: |", f"  {ED25519}", f"  {ED25519}").bad_config
    assert bad is not None
    assert bad.startswith("inv.yaml:4:23: fleet_host_key is the text")
    assert host("fleet_host_key: |", f"  {ED25519}").host_keys == (ED25519,)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "ansible_become_method: su",
            "5:30: ansible_become_method is the text 'su', expected 'sudo'",
        ),
        (
            "ansible_become_user: app",
            "5:28: ansible_become_user is the text 'app', expected 'root'",
        ),
    ],
)
def test_becoming_other_than_root_by_sudo(line: str, expected: str) -> None:
    """Only sudo to root can be done; it matters only where become is on."""
    assert host("ansible_become: true", line).bad_config == f"inv.yaml:{expected}"
    assert host("ansible_become: false", line).bad_config is None


def test_a_vault_is_never_shown() -> None:
    """Whatever is wrong with a vaulted value, its text stays out of the message."""
    for name in (
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_become",
        "fleet_host_key",
    ):
        bad = host(f"{name}: !vault SECRET").bad_config
        assert bad is not None
        assert bad.endswith(f"{name} is a value tagged !vault, which fleet cannot read")


def test_every_complaint_is_told() -> None:
    """A host with three troubles tells three, and keeps what could be read."""
    found = host(
        "ansible_port: 0", "ansible_user: ''", "fleet_jump: [[]]", "ansible_host: '{{ x }}'"
    )
    assert found.bad_config == (
        "inv.yaml:4:21: ansible_port is the number 0, expected a port from 1 to 65535; "
        "inv.yaml:6:20: fleet_jump is a list, expected a bastion: a name of the inventory or "
        "user@host:port, several as a list; "
        "inv.yaml:7:21: ansible_host is the template '{{ x }}', and nothing defines 'x'"
    )
    assert (found.port, found.address) == (None, "h")


def test_a_name_that_is_no_address() -> None:
    """A user in a name is not passed over: the host needs an address beside it."""
    Path("inv.yaml").write_text(
        "all:\n  hosts: {u@a: , u@b: {ansible_host: b}, u@c: {ansible_connection: local}}\n"
    )
    a, b, c = load("inv.yaml").hosts
    assert a.bad_config == (
        "inv.yaml:2:11: the name 'u@a' is no address, expected ansible_host to give one"
    )
    assert (b.bad_config, c.bad_config) == (None, None)


def test_only_what_counts_is_judged() -> None:
    """A group's vault does not spoil the host that says better."""
    Path("inv.yaml").write_text(
        "g:\n  vars: {ansible_user: !vault x}\n  hosts: {a: {ansible_user: u}, b: }\n"
    )
    a, b = load("inv.yaml").hosts
    assert (a.user, a.bad_config) == ("u", None)
    assert b.bad_config == (
        "inv.yaml:2:24: ansible_user is a value tagged !vault, which fleet cannot read"
    )


def test_hosts_that_say_the_same_keep_their_own_addresses_and_places() -> None:
    """Sharing work among equal hosts is never seen."""
    Path("inv.yaml").write_text(
        "g:\n  hosts:\n"
        "    a: {ansible_host: x, ansible_port: 1}\n    b: {ansible_host: y, ansible_port: 1}\n"
        "    c: {ansible_port: 1}\n    d: {ansible_port: 0}\n    e: {ansible_port: 0}\n"
        "    f: {ansible_host: 'a b', ansible_port: 1}\n    g[1:2]: {ansible_host: z}\n    h:\n"
    )
    hosts = load("inv.yaml").hosts
    assert [(host.address, host.port) for host in hosts[:3]] == [("x", 1), ("y", 1), ("c", 1)]
    assert [(host.address, host.port) for host in hosts[6:]] == [
        ("z", None),
        ("z", None),
        ("h", None),
    ]
    starts = [host.bad_config and host.bad_config[:14] for host in hosts]
    assert (
        starts == [None] * 3 + ["inv.yaml:6:23:", "inv.yaml:7:23:", "inv.yaml:8:23:"] + [None] * 3
    )


def test_private_key_is_the_default() -> None:
    """The key of the command line serves where the inventory names none; `~` is the caller's."""
    assert host(private_key="~/k").key_file == "/home/central/k"
    assert host("ansible_ssh_private_key_file: mine", private_key="~/k").key_file == "mine"
    assert host("ansible_ssh_common_args: -i mine", private_key="~/k").key_file == "mine"


def test_key_files_lie_beside_the_inventory(tmp_path: Path) -> None:
    """A relative key file is looked for from the inventory's folder."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inv.yaml").write_text("all: {hosts: {h: {ansible_private_key_file: k}}}\n")
    assert load("sub/inv.yaml").hosts[0].key_file == "sub/k"
    assert load(str(tmp_path / "sub/inv.yaml")).hosts[0].key_file == str(tmp_path / "sub" / "k")


def test_options_are_read_as_ssh_reads_them() -> None:
    """Clusters of flags, glued values and any case of keywords; order is kept."""
    options = parse("-Cqp22 -oUSER=a -l b -o 'Port 3' -W x:1 -J b -F c host")
    ports = (("port", "22"), ("user", "a"), ("user", "b"), ("port", "3"))
    assert options.settings == (*ports, ("proxyjump", "b"), ("configfile", "c"))
    assert options.refused == ("-W x:1", "host")
    assert options.ignored == ("-C", "-q")
