"""Plain templates in variables that count, and all that is not plain."""

from pathlib import Path

import pytest

from fleet.inventory import Host, load


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/central")


def host(lines: str) -> Host:
    body = "".join(f"      {line}\n" for line in lines.split("\n"))
    Path("inv.yaml").write_text(f"all:\n  hosts:\n    web1.example.com:\n{body}")
    return load("inv.yaml").hosts[0]


@pytest.mark.parametrize(
    ("lines", "field", "expected"),
    [
        ("ip: 10.0.0.1\nansible_host: '{{ ip }}'", "address", "10.0.0.1"),
        ("ip: 10.0.0.1\nansible_host: '{{ip}}'", "address", "10.0.0.1"),
        ("ip: 10.0.0.1\nansible_host: '  {{-  ip  -}} '", "address", "10.0.0.1"),
        ("p: 2222\nansible_port: '{{ p }}'", "port", 2222),
        ("p: '2222'\nansible_port: '{{ p }}'", "port", 2222),
        ("p: 22\nansible_port: '{{ p }}22'", "port", 2222),
        ("s: yes\nansible_become: '{{ s }}'", "become", True),
        ("n:\nansible_user: '{{ n }}'", "user", None),
        ("ansible_host: '{{ inventory_hostname_short }}.lan'", "address", "web1.lan"),
        ("ansible_host: x.{{ inventory_hostname }}", "address", "x.web1.example.com"),
        ("a: '{{ b }}'\nb: '{{ c }}-{{ c }}'\nc: x\nansible_user: '{{ a }}'", "user", "x-x"),
        ("ansible_user: u\nansible_host: '{{ ansible_user }}.lan'", "address", "u.lan"),
        ("dir: ~/k\nansible_private_key_file: '{{ dir }}/x'", "key_file", "/home/central/k/x"),
        ("b: gate\nansible_ssh_common_args: -o ProxyJump={{ b }} -p 7", "port", 7),
        ("x: !unsafe u\nansible_user: '{{ x }}'", "user", "u"),
    ],
)
def test_plain(lines: str, field: str, expected: object) -> None:
    """A name in braces is what the variable is; within a text it is text."""
    found = host(lines)
    assert (found.bad_config, getattr(found, field)) == (None, expected)


def test_bastions_from_templates() -> None:
    """A list may come from a template, and so may its members."""
    found = host("g: gate\nhops: [u@a, '{{ g }}']\nfleet_jump: '{{ hops }}'")
    assert found.jumps is not None
    assert [hop.name for hop in found.jumps] == ["a", "gate"]
    found = host("g: gate\nansible_ssh_common_args: -J {{ g }}")
    assert found.jumps is not None
    assert [hop.name for hop in found.jumps] == ["gate"]


def test_the_folder_of_the_inventory(tmp_path: Path) -> None:
    """`inventory_dir` is where the host is first named."""
    found = host("ansible_private_key_file: '{{ inventory_dir }}/keys/a'")
    assert found.key_file == f"{tmp_path}/keys/a"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ansible_host: '{{ nobody }}'", "and nothing defines 'nobody'"),
        ("a: '{{ a }}'\nansible_host: '{{ a }}'", "which leads back to itself: a > a"),
        (
            "a: '{{ b }}'\nb: x{{ a }}\nansible_host: '{{ a }}'",
            "which leads back to itself: a > b > a",
        ),
        (
            "ansible_host: '{{ ansible_host }}'",
            "which leads back to itself: ansible_host > ansible_host",
        ),
        (
            "a: !vault SECRET\nansible_host: '{{ a }}'",
            "and 'a' is a value tagged !vault, which fleet cannot read",
        ),
        ("a: [x]\nansible_host: 'y{{ a }}'", "and 'a' is a list, expected text or a number"),
        (
            "ansible_host: '{{ a | default(1) }}'",
            "which is more than names of variables, and fleet evaluates no more",
        ),
        (
            "ansible_host: '{% if a %}b{% endif %}'",
            "which is more than names of variables, and fleet evaluates no more",
        ),
        (
            "a: x\nansible_host: '{{ a }}{{ hostvars[a] }}'",
            "which is more than names of variables, and fleet evaluates no more",
        ),
        ("ansible_host: !unsafe '{{ a }}'", ""),
    ],
)
def test_not_plain(lines: str, expected: str) -> None:
    """What is cleverer makes that host `bad_config`, with the reason; a vault is never shown."""
    bad = host(lines).bad_config
    assert bad is not None
    assert bad.startswith("inv.yaml:")
    assert bad.endswith(expected)
    assert "SECRET" not in bad


def test_chains_are_bounded() -> None:
    """A chain of a thousand variables, or one that grows without end, is no bomb."""
    chain = "\n".join(f"v{n}: '{{{{ v{n + 1} }}}}'" for n in range(1000))
    assert "leads through more than 20 variables" in str(
        host(f"{chain}\nv1000: x\nansible_host: '{{{{ v0 }}}}'").bad_config
    )
    bomb = "\n".join(f"v{n}: '{f'{{{{ v{n + 1} }}}}' * 10}'" for n in range(9))
    assert "grows beyond all bounds" in str(
        host(f"{bomb}\nv9: xxxxxxxxxx\nansible_host: '{{{{ v0 }}}}'").bad_config
    )


def test_each_host_has_its_own() -> None:
    """A group's template is each host's own value, and no two are taken for one."""
    Path("inv.yaml").write_text("""
    g:
      vars: {ansible_host: "{{ ip }}.lan", ansible_user: "{{ who }}", who: group}
      hosts: {a: {ip: x}, b: {ip: y, who: own}, 'c[1:2]': {ip: "{{ inventory_hostname }}"}, d: }
    """)
    hosts = load("inv.yaml").hosts
    assert [(host.address, host.user) for host in hosts[:4]] == [
        ("x.lan", "group"),
        ("y.lan", "own"),
        ("c1.lan", "group"),
        ("c2.lan", "group"),
    ]
    assert "nothing defines 'ip'" in str(hosts[4].bad_config)
