"""Several inventories, folders, JSON, standard input, and what executables print."""

import io
import json
import time
from pathlib import Path

import pytest

from fleet.errors import InventoryError
from fleet.inventory import Host, Inventory, load, program, sources
from tests.lab.waiting import poll


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(files: dict[str, str], mode: int = 0o644) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
        Path(name).chmod(mode)


def names(inventory: Inventory) -> list[str]:
    return [host.name for host in inventory.hosts]


def message(*given: str) -> str:
    with pytest.raises(InventoryError) as caught:
        load(*given)
    return str(caught.value)


LISTING = {
    "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1", "ansible_port": 2222}, "gone": {}}},
    "all": {"children": ["ungrouped", "web", "db"], "vars": {"ansible_user": "all"}},
    "web": {"hosts": ["a", "b[1:2]"]},
    "db": ["c"],
    "ungrouped": {"hosts": ["d"]},
}


def check_listing(inventory: Inventory) -> None:
    """What `LISTING` means, however it comes."""
    assert names(inventory) == ["a", "b[1:2]", "c", "d"]
    a = inventory.hosts[0]
    assert (a.address, a.port, a.user, a.groups) == ("10.0.0.1", 2222, "all", ("web",))
    assert inventory.groups["db"] == ("c",)
    assert inventory.groups["ungrouped"] == ("d",)
    assert inventory.branches["all"] == ((), ("ungrouped", "web", "db"))


# --- several, and folders -----------------------------------------------------------------------


def test_later_inventories_count_more() -> None:
    """Groups and hosts are put together; where two speak, the later one is heard."""
    write(
        {
            "one.yaml": "web: {hosts: {a: {ansible_port: 1, ansible_user: a}}, vars: {x: 1}}",
            "two.yaml": "web: {hosts: {b: , a: {ansible_port: 2}}, vars: {ansible_user: web}}",
        }
    )
    found = load("one.yaml", "two.yaml")
    assert names(found) == ["a", "b"]
    assert [(host.port, host.user) for host in found.hosts] == [(2, "a"), (None, "web")]
    assert [host.port for host in load("two.yaml", "one.yaml").hosts] == [None, 1]


def test_a_circle_over_two_files() -> None:
    """The link that closes a circle is named with its own file."""
    write({"b.yaml": "x: {children: {y: }}", "a.yaml": "y: {children: {x: }}"})
    assert message("b.yaml", "a.yaml") == (
        "a.yaml:1:16: group 'x' is its own descendant: x > y > x"
    )


def test_a_folder() -> None:
    """Files by name, subfolders among them, what is no inventory passed over."""
    write(
        {
            "inv/20-b.yaml": "all: {hosts: {b: {ansible_port: 20}}}",
            "inv/10-a": "all: {hosts: {a: , b: {ansible_port: 10}}}",
            "inv/15/c.yml": "all: {hosts: {c: }}",
            "inv/15/group_vars/all.yml": "ansible_user: nobody reads this",
            "inv/group_vars/all.yml": "ansible_user: u",
            "inv/host_vars/b.yml": "ansible_user: b",
            "inv/vars_plugins/x.yml": "[",
            "inv/.hidden": "[",
            "inv/README.md": "[",
            "inv/ansible.cfg": "[",
            "inv/old.yaml.bak": "[",
            "inv/old.yaml~": "[",
            "inv/b.retry": "[",
        }
    )
    found = load("inv")
    assert names(found) == ["a", "b", "c"]
    assert [host.user for host in found.hosts] == ["u", "b", "u"]
    assert found.hosts[1].port == 20


def test_what_is_broken_in_a_folder_is_named() -> None:
    """One file that cannot be read ends it, with its path."""
    write({"inv/a.yaml": "all:", "inv/hosts.ini": "[web]\na\n"})
    assert message("inv") == "inv/hosts.ini: looks like Ansible's INI format; expected YAML"


def test_a_folder_that_goes_round() -> None:
    """Links that lead back are followed to an end."""
    write({"inv/a.yaml": "all:"})
    Path("inv/again").symlink_to("../inv")
    assert "folders deep" in message("inv")


def test_a_folder_without_permission(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A folder that may not be listed is named."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o100)
    request.getfixturevalue("nobody")
    with pytest.raises(InventoryError, match=r"closed: cannot be read: Permission denied"):
        load(str(folder))


def test_a_list_of_hosts() -> None:
    """What only Ansible takes is told with the way out."""
    assert message("a,b,") == (
        "a,b,: is a list of hosts, which only Ansible takes for an inventory; write it into a "
        "file, all: {hosts: {a: , b: }}, and name that"
    )
    write({"with,comma": "all: {hosts: {a: }}"})
    assert names(load("with,comma")) == ["a"]


def test_keys_lie_beside_the_inventory_that_names_them() -> None:
    """Each file's relative paths start at its own inventory, files of variables included."""
    write(
        {
            "x/inv.yaml": "all: {hosts: {a: {ansible_private_key_file: k}, c: }}",
            "y/inv.yaml": "all: {hosts: {b: {ansible_private_key_file: k}}}",
            "y/group_vars/all/ssh.yml": "ansible_ssh_common_args: -F f\n",
            "y/host_vars/c": "ansible_private_key_file: keys/c",
        }
    )
    found = load("x/inv.yaml", "y/inv.yaml").hosts
    assert [host.key_file for host in found] == ["x/k", "y/keys/c", "y/k"]
    assert {host.ssh_config for host in found} == {"y/f"}


# --- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 4, "\t"])
def test_json_in_a_file(indent: int | str | None) -> None:
    """What `ansible-inventory --list` prints is read from a file; names stand as they are."""
    write({"inv.json": json.dumps(LISTING, indent=indent)})
    check_listing(load("inv.json"))


def test_json_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input, and takes YAML as well."""
    for text in (json.dumps(LISTING), "all: {hosts: {a: }}"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert names(load("-"))[0] == "a"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert message("-") == "<stdin>: is empty; expected a mapping of groups"


def test_json_that_is_ansibles_yaml() -> None:
    """A YAML inventory may be written as JSON."""
    write({"inv.json": '{"all": {"hosts": {"a[1:2]": null}, "children": {"g": {}}}}'})
    assert names(load("inv.json")) == ["a1", "a2"]


def test_ansibles_wrappings_in_json() -> None:
    """Unsafe texts are texts and no templates; vaults are vaults and are not shown."""
    variables = {
        "ansible_host": {"__ansible_unsafe": "{{ x }}"},
        "ansible_user": {"__ansible_vault": "SECRET"},
        "emoji": "\U0001f600 \\\\ud83d\\ude00",
    }
    listing = {"_meta": {"hostvars": {"a": variables}}, "all": {"hosts": ["a"]}}
    write({"inv.json": json.dumps(listing)})
    bad = str(load("inv.json").hosts[0].bad_config)
    assert "ansible_host is the text '{{ x }}', expected a host name" in bad
    assert "ansible_user is a value tagged !vault, which fleet cannot read" in bad
    assert "SECRET" not in bad


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"_meta": []}', "1:11: _meta is a list, expected a mapping with hostvars"),
        ('{"_meta": {}}', "1:2: _meta has no hostvars"),
        ('{"_meta": {"hostvars": 5}}', "1:24: hostvars is the number 5, expected a mapping"),
        ('{"g": ["a", 5]}', "1:13: group 'g': found the number 5, expected a name"),
        ('{"g": {"hosts": ["a"], "host": 1}}', "1:24: group 'g' has the key 'host', expected "
         "children, hosts or vars; did you mean 'hosts'?"),
        ('{"g": {"hosts": ["a"], "vars": []}}', "1:32: vars of group 'g' is a list, expected a "
         "mapping"),
        ('{"g": {"hosts": {"a": 1}}, "h": []}', "1:17: hosts of group 'g' is a mapping, expected "
         "a list of names"),
        ('{"g": {"children": ["g"]}}', "1:21: group 'g' is its own descendant: g > g"),
        ('{"g": {"children": ["all"]}}', "1:21: the group 'all' holds every group and is "
         "nobody's child"),
        ('{"g": ["a b"]}', "1:8: host 'a b': a name holds no whitespace or control characters"),
        ('{"_meta": {"hostvars": {"a": {"fleet_jumps": 1}}}, "g": ["a"]}', "1:31: fleet_jumps is "
         "no variable of fleet; did you mean 'fleet_jump'?"),
        ('{"g": ["a"]', "2:1: is not YAML: did not find expected ',' or '}' while parsing a "
         "flow mapping"),
    ],
)  # fmt: skip
def test_broken_json(text: str, expected: str) -> None:
    """What is wrong with JSON has its place as well."""
    write({"inv.json": text})
    assert message("inv.json") == f"inv.json:{expected}"


# --- executables --------------------------------------------------------------------------------


def script(body: str) -> None:
    write({"inv.sh": f"#!/bin/sh\n{body}\n"}, 0o755)


def test_an_executable_is_run() -> None:
    """It is called with --list, and what it prints is read."""
    write({"listing.json": json.dumps(LISTING)})
    script('test "$*" = --list && cat listing.json')
    check_listing(load("inv.sh"))


def test_an_executable_that_is_none() -> None:
    """A text with execute permission, as some file systems give it, is read."""
    write({"inv.yaml": "all: {hosts: {a: }}", "inv.json": json.dumps(LISTING)}, 0o755)
    assert names(load("inv.yaml")) == ["a"]
    check_listing(load("inv.json"))


def test_an_executable_in_a_folder() -> None:
    """Folders may hold executables among files."""
    write({"inv/run": '#!/bin/sh\necho \'{"_meta": {"hostvars": {}}, "g": ["x"]}\'\n'}, 0o755)
    write({"inv/z.yaml": "all: {hosts: {y: }}"})
    assert names(load("inv")) == ["x", "y"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("exit 3", "inv.sh: exit status 3 of --list"),
        (
            "echo first >&2; printf 'no \\033[31mcredentials\\n\\n' >&2; exit 1",
            "inv.sh: exit status 1 of --list; it says: no ?[31mcredentials",
        ),
        ("kill -9 $$", "inv.sh: signal 9 ended --list"),
        ("true", "inv.sh: what it prints is not JSON: it is nothing at all"),
        (
            "echo Traceback: oh",
            "inv.sh: what it prints is not JSON: it starts with 'Traceback: oh\\n'",
        ),
        ("echo '{]'", "inv.sh:1:2: is not YAML: did not find expected node content while "
         "parsing a flow node"),
        ("printf '{\"\\377'", "inv.sh:1:3: found the byte 0xff, expected UTF-8"),
        (
            "echo '{\"g\": [\"a\"]}'",
            "inv.sh:1:1: the JSON has no _meta with hostvars, and fleet does not ask for each "
            "host with --host: let --list print them",
        ),
    ],
)  # fmt: skip
def test_executables_that_fail(body: str, expected: str) -> None:
    """Its exit status, its last word and its output are judged, and nothing hangs on a terminal."""
    script(body)
    assert message("inv.sh") == expected


def test_an_executable_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time and no more, and what it has started ends with it."""
    monkeypatch.setattr(program, "TIMEOUT_S", 0.5)
    script("echo waiting >&2; sleep 600 & echo $! > pid; sleep 600")
    started = time.monotonic()
    assert message("inv.sh") == "inv.sh: --list did not end within 0.5 s; it says: waiting"
    assert time.monotonic() - started < 20
    stat = Path("/proc", Path("pid").read_text().strip(), "stat")

    def ended() -> bool:  # it was killed; on a busy machine it dies a moment later
        try:
            return stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True

    poll(ended, 10, "the end of what it had started")


def test_an_executable_that_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound nothing is kept, and it is stopped."""
    monkeypatch.setattr(program, "MAX_BYTES", 1024 * 1024)
    script("exec yes")
    assert message("inv.sh") == "inv.sh: prints more than 1 MiB"


def test_an_interpreter_that_is_not_there() -> None:
    """What the system says is repeated."""
    write({"inv.sh": "#!/nonexistent/python\n"}, 0o755)
    assert message("inv.sh") == "inv.sh: cannot be run: No such file or directory"


def test_too_much_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input has the bound of a file."""
    monkeypatch.setattr(sources, "MAX_BYTES", 1024 * 1024)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(1024 * 1024 + 1))))
    assert message("-") == "<stdin>: is larger than 1 MiB"


# --- where settings come from -------------------------------------------------------------------


def test_explain() -> None:
    """Every setting has its value in words and the place where it was said."""
    write(
        {
            "inv.yaml": "all:\n  vars: {fleet_labels: [env], env: prod}\n  hosts:\n"
            "    gate: {ansible_host: 10.0.0.9}\n"
            "    a: {ansible_host: '{{ ip }}', fleet_jump: [gate, 'u@x:22'], ip: 10.0.0.1}\n"
            "    b: {ansible_ssh_common_args: -q -o StrictHostKeyChecking=no -p 7, "
            "ansible_password: !vault x}\n",
            "group_vars/all.yml": "ansible_user: u\n",
        }
    )
    inventory = load("inv.yaml", private_key="/k")
    found = {setting.name: setting[1:] for setting in inventory.explain("a")}
    assert found == {
        "address": ("10.0.0.1", "inv.yaml:5:23 ansible_host"),
        "port": ("not said", "default"),
        "user": ("u", "group_vars/all.yml:1:15 ansible_user"),
        "key_file": ("/k", "--private-key"),
        "become": ("no", "default"),
        "connection": ("ssh", "default"),
        "runtime": ("docker", "default"),
        "runtime_path": ("not said", "default"),
        "source": ("docker", "default"),
        "jumps": ("gate (u@10.0.0.9) > u@x:22", "inv.yaml:5:47 fleet_jump"),
        "proxy_command": ("not said", "default"),
        "ssh_config": ("not said", "default"),
        "host_keys": ("not said", "default"),
        "host_key_alias": ("not said", "default"),
        "maintenance": ("no", "default"),
        "labels": ("env=prod", "inv.yaml:2:24 fleet_labels"),
        "groups": ("ungrouped", "inv.yaml:5:5 a"),
    }
    ignored = [setting for setting in inventory.explain("b") if setting.name == "ignored"]
    assert [(setting.value, setting.origin) for setting in ignored] == [
        ("ansible_password", "inv.yaml:6:89 ansible_password"),
        ("-q", "inv.yaml:6:34 ansible_ssh_common_args"),
        ("-o StrictHostKeyChecking=no", "inv.yaml:6:34 ansible_ssh_common_args"),
    ]
    assert ("port", "7", "inv.yaml:6:34 ansible_ssh_common_args") in inventory.explain("b")
    assert inventory == load("inv.yaml", private_key="/k")


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ("ansible_password: SECRET", True),
        ("ansible_ssh_pass: SECRET", True),
        ("ansible_ssh_password: 12345", True),
        ("pw: SECRET, ansible_password: '{{ pw }}'", True),
        ("ansible_become_password: SECRET, ansible_become: true", True),
        ("ansible_become_pass: SECRET", False),
        ("ansible_password: !vault SECRET", False),
        ("pw: !vault SECRET, ansible_password: '{{ pw }}'", False),
        ("ansible_password: \"{{ lookup('env', 'P') }}\"", False),
        ("ansible_password: ''", False),
        ("ansible_password: ", False),
        ("ansible_password: SECRET, ansible_connection: local", False),
    ],
)
def test_passwords(lines: str, refused: bool) -> None:
    """A password in clear is refused with the reason, one in a vault is not used; none is shown."""
    write({"inv.yaml": f"all: {{hosts: {{a: {{{lines}}}}}}}"})
    inventory = load("inv.yaml")
    host: Host = inventory.hosts[0]
    assert (host.bad_config is not None) == refused
    assert "SECRET" not in str(host.bad_config) + str(inventory.explain("a"))
    if refused:
        assert "is a password that all can read who read the inventory" in str(host.bad_config)
