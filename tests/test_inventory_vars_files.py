"""`group_vars/` and `host_vars/`: which files count, in which order, and what may be wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import InventoryError
from fleet.inventory import Host, load


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def hosts(files: dict[str, str], inventory: str = "g: {hosts: {h: }}") -> dict[str, Host]:
    write({"inv.yaml": inventory, **files})
    return {host.name: host for host in load("inv.yaml").hosts}


def user(*files: str) -> str | None:
    """Whose file counts, where each says its own name."""
    return hosts({file: f"ansible_user: {file}" for file in files})["h"].user


@pytest.mark.parametrize(
    "files",
    [
        ["group_vars/g"],
        ["group_vars/g.yml"],
        ["group_vars/g.yaml", "group_vars/g.json"],
        ["group_vars/g.yml", "group_vars/g.yaml"],
        ["group_vars/g/a"],
        ["group_vars/g/b.yml", "group_vars/g/a.yaml", "group_vars/g.yml"],
        ["group_vars/g/sub/c.json", "group_vars/g/a.yml"],
        ["group_vars/g/a.yml", "group_vars/g/b.txt", "group_vars/g/.c.yml", "group_vars/g/d.yml~"],
        ["group_vars/g/a.yml", "group_vars/g/sub.d/c.yml"],
        ["group_vars/g", "group_vars/all"],
        ["group_vars/ungrouped", "host_vars/other", "group_vars/G", ""],
        ["host_vars/h", "group_vars/g"],
        ["host_vars/h/x.yml", "host_vars/h.yml", "group_vars/g"],
    ],
)
def test_which_file_counts(files: list[str]) -> None:
    """The first is heard: as Ansible has it, one file of a name, or all of its folder in order."""
    if files[-1] == "":
        assert user(*files[:-1]) is None
    else:
        assert user(*files) == files[0]


def test_precedence() -> None:
    """Inventory, `all`, groups by depth, priority and name, the host, its file: each over those."""
    inventory = (
        "all: {vars: {ansible_user: 0}}\n"
        "top: {children: {x: , y: }, vars: {ansible_user: 1}}\n"
        "x: {hosts: {h: }, vars: {ansible_user: 2, ansible_group_priority: 5}}\n"
        "y: {hosts: {h: %s}}\n"
    )
    files: dict[str, str] = {}
    assert hosts(files, inventory % "")["h"].user == "2"
    for file in ("all", "top", "y", "x"):
        files[f"group_vars/{file}"] = f"ansible_user: {file}"
        assert hosts(files, inventory % "")["h"].user == file
    assert hosts(files, inventory % "{ansible_user: own}")["h"].user == "own"
    files["host_vars/h"] = "ansible_user: file"
    assert hosts(files, inventory % "{ansible_user: own}")["h"].user == "file"


def test_a_priority_in_a_file_orders_nothing() -> None:
    """It would order the very files in which it stands: Ansible passes it over, too."""
    found = hosts(
        {
            "group_vars/a": "{ansible_user: a, ansible_group_priority: 9}",
            "group_vars/b": "ansible_user: b",
        },
        "{a: {hosts: {h: }}, b: {hosts: {h: }}}",
    )
    assert found["h"].user == "b"


def test_files_of_several_inventories() -> None:
    """A later inventory's files count more, even those of a lesser group."""
    write(
        {
            "1/inv.yaml": "{a: {hosts: {h: }}, b: {hosts: {h: }}}",
            "1/group_vars/b": "{ansible_user: b1, ansible_port: 1}",
            "2/inv.yaml": "c: {hosts: {i: }}",
            "2/group_vars/a": "ansible_user: a2",
            "2/group_vars/all": "{ansible_user: all2, ansible_port: 9}",
        }
    )
    h, i = load("1/inv.yaml", "2/inv.yaml").hosts
    assert (h.user, h.port, i.user, i.port) == ("a2", 1, "all2", 9)
    assert load("2/inv.yaml", "1/inv.yaml").hosts[1].user == "b1"


def test_what_ansible_users_keep_there() -> None:
    """Whole vaults, vaulted values, templates, duplicates and empty files load, and say nothing."""
    found = hosts(
        {
            "group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n6636\n",
            "group_vars/all/main.yml": "---\nvault_pw: '{{ secret }}'\nports: [1]\nports: [2]\n"
            "db: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  66\n? [a, b]\n: c\n"
            "deep: {a: {b: '{{ c | to_json }}'}}\nansible_user: '{{ admin }}'\nadmin: u\n",
            "group_vars/g.yml": "",
            "host_vars/h.yml": "# nothing yet\n",
            "group_vars/nobody.yml": "{",
            "group_vars/README.md": "{",
        }
    )
    assert (found["h"].user, found["h"].bad_config) == ("u", None)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("group_vars/g.yml", "- a", "1:1: found a list, expected a mapping of variables"),
        ("group_vars/g.yml", "word", "1:1: found the text 'word', expected a mapping of variables"),
        ("group_vars/g.yml", "a:\n\tb: 1", "2:1: found a tab; YAML indents with spaces"),
        ("group_vars/g.yml", "fleet_jumps: a", "1:1: fleet_jumps is no variable of fleet; did you "
         "mean 'fleet_jump'?"),
        ("host_vars/h.yml", "fleet_state: on", "1:14: fleet_state is the boolean on, expected "
         "'maintenance'"),
        ("host_vars/h.yml", "ansible_user: a\nansible_user: b", "2:1: the key 'ansible_user' "
         "stands twice, first on line 1"),
        ("host_vars/h.json", '{"a": 1', "2:1: is not YAML: did not find expected ',' or '}' while "
         "parsing a flow mapping"),
        ("host_vars/h/a", "a: 1\n---\nb: 2", "2:1: a second document starts here; expected one"),
    ],
)  # fmt: skip
def test_broken_files(file: str, text: str, expected: str) -> None:
    """A file that counts and cannot be read is an error with its place."""
    with pytest.raises(InventoryError) as caught:
        hosts({file: text})
    assert str(caught.value) == f"{file}:{expected}"


@pytest.mark.parametrize("closed", ["group_vars", "group_vars/g", "group_vars/g/a.yml"])
def test_without_permission(closed: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Variables that may not be read are not passed over."""
    write({"inv.yaml": "g: {hosts: {h: }}", "group_vars/g/a.yml": "ansible_user: u"})
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    Path(closed).chmod(0)
    request.getfixturevalue("nobody")
    with pytest.raises(InventoryError) as caught:
        load("inv.yaml")
    assert str(caught.value) == f"{closed}: cannot be read: Permission denied"


def test_places_of_files_are_told() -> None:
    """What a file says wrongly of a host is told with the file's place."""
    found = hosts({"host_vars/h.yml": "\nansible_port: x\n"})["h"]
    assert found.bad_config == (
        "host_vars/h.yml:2:15: ansible_port is the text 'x', expected a port from 1 to 65535"
    )


def test_hosts_with_the_same_variables_in_different_files() -> None:
    """Hosts whose files say the same are read once and keep their own places."""
    found = hosts(
        {f"host_vars/h{n}.yml": "ansible_port: 22\nansible_host: a" for n in (1, 2)},
        "all: {hosts: {'h[1:3]': }}",
    )
    assert [(host.address, host.port) for host in found.values()] == [
        ("a", 22),
        ("a", 22),
        ("h3", None),
    ]


def test_a_tree_of_an_ansible_user() -> None:
    """A folder with vaults, templates, groups of groups and files for all of them loads whole."""
    tree = Path(__file__).parent / "inventories" / "good" / "tree"
    inventory = load(str(tree))
    found = {host.name.split(".")[0]: host for host in inventory.hosts}
    assert list(found) == ["gate", "web01", "web02", "web03", "db1", "db2"]
    assert not any(host.bad_config for host in inventory.hosts)
    assert {host.user for host in inventory.hosts} == {"ops"}
    assert all(host.become for host in inventory.hosts)
    assert [host.jumps for host in inventory.hosts] == [None] + 5 * [
        (replace(found["gate"], jumps=None),)
    ]
    assert (found["db1"].address, found["db1"].port) == ("db1.internal.example.com", 2222)
    assert found["db1"].key_file == f"{tree}/private/db1"
    assert inventory.labels == ("env", "role", "region")
    assert [host.labels for host in inventory.hosts] == [
        ("prod", None, None),
        ("prod", "web", "eu-west-1"),
        ("prod", "web", "eu-west-1"),
        ("prod", "web", "us-east-1"),
        ("prod", "db", "eu-west-1"),
        ("prod", "db", "us-east-1"),
    ]
    assert inventory.warnings == ()
    ignored = [setting.value for setting in inventory.explain("web01.example.com")[17:]]
    assert ignored == [
        "ansible_become_password",
        "-o ControlPersist=60s",
        "-o StrictHostKeyChecking=no",
    ]
