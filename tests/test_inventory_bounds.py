"""What an inventory cannot do: hold a run up, grow without bound, or have a secret repeated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.errors import InventoryError, UsageError
from fleet.inventory import Inventory, load
from fleet.pattern import select

ONE = "all: {hosts: {a: }}\n"
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Each test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def _load(text: str) -> Inventory:
    Path("inv.yaml").write_text(text)
    return load("inv.yaml")


def _refused(text: str) -> str:
    with pytest.raises(InventoryError) as caught:
        _load(text)
    return str(caught.value)


def test_pipe_in_a_folder_is_refused():
    """Nobody may ever write into it."""
    Path("folder").mkdir()
    Path("folder/one.yaml").write_text(ONE)
    os.mkfifo("folder/zz")
    with pytest.raises(InventoryError, match="folder/zz: is no regular file"):
        load("folder")


def test_pipe_as_a_file_of_variables_is_refused():
    """As in a folder."""
    Path("group_vars").mkdir()
    os.mkfifo("group_vars/all")
    assert "group_vars/all: is no regular file" in _refused(ONE)


def test_pipe_that_is_named_is_read():
    """`-i <(command)`: what it holds comes by and by."""
    program = "import os, time; time.sleep(0.2); os.write(1, b'all: {hosts: {a: }}')"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = load(f"/dev/fd/{process.stdout.fileno()}")
    assert [host.name for host in found.hosts] == ["a"]


def test_templates_that_multiply_are_bounded():
    """Eighteen variables, each ten times the next, the last of them empty."""
    chain = "".join(f'    v{n}: "{f"{{{{v{n + 1}}}}}" * 10}"\n' for n in range(18))
    text = f'all:\n  vars:\n{chain}    v18: ""\n  hosts: {{a: {{ansible_host: "{{{{v0}}}}"}}}}\n'
    (host,) = _load(text).hosts
    assert "grows beyond all bounds" in (host.bad_config or "")


def test_hosts_are_bounded_in_all():
    """Each key within its own bound, and too many together."""
    keys = "".join(f"    h{n}x[1:100000]:\n" for n in range(4))
    assert _refused(f"all:\n  hosts:\n{keys}") == (
        "inv.yaml:5:5: there are more than 200,000 hosts up to here"
    )


def test_folder_that_can_be_listed_and_not_entered_is_an_error(tmp_path, request):
    """Its variables are not dropped without a word."""
    Path("group_vars").mkdir()
    Path("group_vars/all").write_text("ansible_user: x\n")
    Path("inv.yaml").write_text(ONE)
    Path("group_vars").chmod(0o744)  # others may list it, and no more
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    request.getfixturevalue("nobody")
    with pytest.raises(InventoryError) as caught:
        load("inv.yaml")
    assert str(caught.value) == "group_vars/all: cannot be read: Permission denied"


@pytest.mark.parametrize("number", ['!!int "-"', "0x" + "f" * 5000])
@pytest.mark.parametrize("name", ["ansible_host", "ansible_port", "ansible_user"])
def test_numbers_that_are_none_are_that_hosts_trouble(name, number):
    """YAML lets them be called numbers; the message stays short."""
    (host,) = _load(f"all: {{hosts: {{a: {{{name}: {number}}}}}}}\n").hosts
    assert (host.bad_config or "").startswith(f"inv.yaml:1:{21 + len(name)}: {name} is")
    assert len(host.bad_config or "") < 250


def test_unsafe_text_is_not_taken_for_a_template():
    """Two hosts that look alike are not: one is meant as it stands."""
    text = (
        'all: {vars: {x: bob}, hosts: {a: {ansible_user: !unsafe "{{x}}"}, '
        'b: {ansible_user: "{{x}}"}}}\n'
    )
    _unsafe, template = _load(text).hosts
    assert template.user == "bob"


@pytest.mark.parametrize(
    "variables",
    [
        f"ansible_password: {SECRET}",
        f"ansible_private_key: {SECRET}",
        f"ansible_ssh_private_key_passphrase: {SECRET}",
        f"ansible_become: true, ansible_sudo_pass: {SECRET}",
        f"ansible_ssh_common_args: '-o ProxyCommand=\"sshpass -p {SECRET} ssh x\"'",
    ],
)
def test_secrets_are_refused_and_not_repeated(variables):
    """Whoever may read the inventory could log in."""
    found = _load(f"all: {{hosts: {{a: {{{variables}}}}}}}\n")
    (host,) = found.hosts
    assert host.bad_config is not None
    shown = f"{host} {found.explain('a')}"
    assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"all: {{hosts: {{a: ansible_host=10.0.0.1 ansible_password={SECRET}}}}}\n",
        f"all: {{hosts: {{a: }}, vars: ansible_password={SECRET}}}\n",
        f"all: {{vars: {{fleet_labels: [db_password], db_password: {SECRET}}}, hosts: {{a: }}}}\n",
    ],
)
def test_errors_repeat_no_secret(text):
    """The habit of the INI format, and a label that must not become a column."""
    assert SECRET not in _refused(text)


def test_files_name_is_spelled_out():
    """One line, whatever the file is called."""
    Path("n\nl\x1b[31m.yaml").write_text("all: [\n")
    with pytest.raises(InventoryError) as caught:
        load("n\nl\x1b[31m.yaml")
    assert str(caught.value).isprintable()


def test_program_that_knows_no_host_is_good_in_any_order():
    """`{}` is a whole inventory, beside another one."""
    Path("inv.yaml").write_text(ONE)
    Path("exe").write_text("#!/bin/sh\necho '{}'\n")
    Path("exe").chmod(0o755)
    for order in (("inv.yaml", "./exe"), ("./exe", "inv.yaml")):
        assert [host.name for host in load(*order).hosts] == ["a"]


def test_json_is_read_as_json_reads_it():
    """The last of equal keys counts, and what else a script puts into a group is its own."""
    text = '{"web": {"hosts": ["a"], "hosts": ["b"], "priority": 3}, "_meta": {"hostvars": {}}}'
    Path("exe").write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    Path("exe").chmod(0o755)
    assert [host.name for host in load("./exe").hosts] == ["b"]


def test_pattern_that_names_nothing_is_warned_of():
    """`fleet collect "$UNSET"` means all, as for Ansible, and that is said."""
    (warning,) = select([""], None, _load(ONE)).warnings
    assert warning == "'' names nothing, so all hosts are meant"


def test_file_of_patterns_is_bounded():
    """Four million characters of it, and no more."""
    Path("big").write_text("a\n" * 3_000_000)
    with pytest.raises(UsageError, match="big"):
        select(["@big"], None, _load(ONE))
