"""Files that are broken, hostile or only look so: every error's words, every bound."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InventoryError
from fleet.inventory import Inventory, load

BROKEN = sorted((Path(__file__).parent / "inventories" / "broken").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes) -> Inventory:
    Path("inv.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load("inv.yaml")


def names(inventory: Inventory) -> list[str]:
    return [host.name for host in inventory.hosts]


def message(text: str | bytes) -> str:
    with pytest.raises(InventoryError) as caught:
        read(text)
    return str(caught.value)


def test_there_are_enough_broken_inventories() -> None:
    """The folder of broken inventories was found."""
    assert len(BROKEN) >= 50


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken inventory ends in exactly the words of its last line, place included."""
    monkeypatch.chdir(path.parent)
    expected = path.read_text().splitlines()[-1].removeprefix("# error: ")
    with pytest.raises(InventoryError) as caught:
        load(path.name)
    assert str(caught.value) == f"{path.name}:{expected}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "inv.yaml: is empty; expected a mapping of groups"),
        (b"# nothing\n", "inv.yaml: is empty; expected a mapping of groups"),
        (b"\xef\xbb\xbf", "inv.yaml: is empty; expected a mapping of groups"),
        (b"---\n", "inv.yaml: is empty; expected a mapping of groups"),
        (b"all:\n  hosts:\n    caf\xe9:\n", "inv.yaml:3:8: found the byte 0xe9, expected UTF-8"),
        ("all:\n".encode("utf-16"), "inv.yaml:1:1: found the byte 0xff, expected UTF-8"),
        (b"all:\n  vars: {a: \x07}\n", "inv.yaml:2:13: found the control character '\\x07'"),
        (
            b"$ANSIBLE_VAULT;1.1;AES256\n6636\n",
            "inv.yaml: is encrypted by ansible-vault, which fleet cannot open; "
            "leave the file plain",
        ),
        (
            b"# mine\n[web:children]\nweb1\n",
            "inv.yaml: looks like Ansible's INI format; expected YAML",
        ),
        (b"[web]\n", "inv.yaml: looks like Ansible's INI format; expected YAML"),
        (
            b"all:\r\ra: b: c",
            "inv.yaml:3:5: is not YAML: mapping values are not allowed in this context",
        ),
        (
            b"all: {hosts: {web1: }\n",
            "inv.yaml:2:1: is not YAML: did not find expected ',' or '}' "
            "while parsing a flow mapping",
        ),
        (
            b"all:\n  vars: 'open\n",
            "inv.yaml:3:1: is not YAML: found unexpected end of stream "
            "while scanning a quoted scalar",
        ),
    ],
)
def test_unreadable_content(text: bytes, expected: str) -> None:
    """What is no text, no YAML or no inventory at all is said in one line."""
    assert message(text) == expected


def test_missing_file() -> None:
    """A file that is not there is named."""
    with pytest.raises(InventoryError) as caught:
        load("none/inv.yaml")
    assert str(caught.value) == "none/inv.yaml: cannot be read: No such file or directory"


def test_folder() -> None:
    """A folder with nothing in it is no inventory."""
    with pytest.raises(InventoryError) as caught:
        load(".")
    assert str(caught.value) == ".: is a folder without an inventory in it"


def test_name_that_no_file_can_have() -> None:
    """A path with a NUL in it is an error like any other."""
    with pytest.raises(InventoryError, match="cannot be read: embedded null byte"):
        load("a\0b")


def test_file_without_permission(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A file, or a folder around it, that may not be read is said so."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "inv.yaml").write_text("all:\n")
    folder.chmod(0)
    request.getfixturevalue("nobody")
    with pytest.raises(InventoryError, match=r"inv\.yaml: cannot be read: Permission denied"):
        load(str(folder / "inv.yaml"))


def test_file_that_is_too_large() -> None:
    """Past 64 MiB nothing is parsed."""
    with open("inv.yaml", "wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(InventoryError) as caught:
        load("inv.yaml")
    assert str(caught.value) == "inv.yaml: is larger than 64 MiB"


def test_errors_name_the_path_as_given(tmp_path: Path) -> None:
    """The place in an error starts with the path that the user typed."""
    (tmp_path / "sub").mkdir()
    Path("sub/inv.yaml").write_text("web: 1\n")
    with pytest.raises(InventoryError) as caught:
        load("sub/inv.yaml")
    assert (caught.value.file, caught.value.line, caught.value.column) == ("sub/inv.yaml", 1, 6)


def test_the_python_loader_will_do() -> None:
    """Where PyYAML was built without its C part, inventories load all the same."""
    code = "import yaml; del yaml.CSafeLoader; from fleet.inventory import load; load('inv.yaml')"
    Path("inv.yaml").write_text("all:\n  hosts:\n\tweb1:\n")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.endswith("inv.yaml:3:1: found a tab; YAML indents with spaces\n")


def test_bom_and_windows_line_ends_are_tolerated() -> None:
    """What a Windows editor leaves behind does no harm, nor does it shift places."""
    assert names(read(b"\xef\xbb\xbfall:\r\n  hosts:\r\n    web1:\r\n")) == ["web1"]
    assert message(b"\xef\xbb\xbfall: 1\r\n").startswith("inv.yaml:1:6: ")


def test_aliases_of_aliases_cost_nothing() -> None:
    """Ten thousand aliases, each twice the one before, are not followed: they are not ours."""
    lines = ["all:", "  vars:", "    a0: &a0 [x, x]"]
    lines += [f"    a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 10_000)]
    assert names(read("\n".join([*lines, "  hosts:", "    web1:"]))) == ["web1"]


def test_aliases_of_groups_are_bounded() -> None:
    """Fifty groups, each with the one before as both of its children, are no explosion."""
    lines = ["g0: &g0", "  hosts: {web1: }"]
    for n in range(1, 50):
        lines += [f"g{n}: &g{n}", f"  children: {{l{n}: *g{n - 1}, r{n}: *g{n - 1}}}"]
    assert message("\n".join(lines)).endswith("aliases repeat groups more than 10,000 times")
    assert read("\n".join(lines[:16])).groups["g7"] == ("web1",)


def test_merges_are_bounded() -> None:
    """Ten thousand mappings, each merging the one before, are refused early."""
    lines = ["all:", "  vars:", "    chain:", "      - &m0 {v0: 0}"]
    lines += [f"      - &m{n} {{<<: *m{n - 1}, v{n}: 0}}" for n in range(1, 10_000)]
    lines += ["  hosts:", "    web1: *m9999", ""]
    expected = "inv.yaml:9903:9: '<<' merges more than 100 levels deep"
    assert message("\n".join(lines)) == expected


def test_groups_through_aliases_are_bounded() -> None:
    """Two hundred groups nested through aliases are refused, not recursed into."""
    lines = ["store:", "  vars:", "    groups:", "      - &g0 {hosts: {web1: }}"]
    lines += [f"      - &g{n} {{children: {{g{n - 1}: *g{n - 1}}}}}" for n in range(1, 200)]
    assert message("\n".join([*lines, "top: *g199", ""])) == (
        "inv.yaml:103:26: groups nest more than 100 levels deep"
    )


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_depth_is_bounded(text: str) -> None:
    """A hundred thousand levels are an error, not a crash of the parser."""
    assert message(f"all:\n  vars:\n    x:\n      {text}").endswith(
        "nested more than 100 levels deep"
    )


_LOAD = """
from pathlib import Path
from fleet.errors import InventoryError
from fleet.inventory import load
try:
    print(len(load("inv.yaml").hosts))
except InventoryError as error:
    print(error)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1]
print(int(peak.split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    ("line", "expected", "mebibytes"),
    [
        ("    # nothing but comments, " + "x" * 1000, "1", 500),
        ("    {n}: [" + "[], " * 1000 + "]", "holds more than 2,000,000 keys and values", 1500),
    ],
    ids=["comments", "values"],
)
def test_fifty_megabytes(line: str, expected: str, mebibytes: int) -> None:
    """A file of 50 MB loads or is refused, and its memory has a bound."""
    count = 50_000_000 // len(line)
    with open("inv.yaml", "w") as file:
        file.write("all:\n  hosts: {a: }\n  vars:\n")
        file.writelines(line.replace("{n}", f"v{n}") + "\n" for n in range(count))
    ran = subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True)
    said, peak = ran.stdout.splitlines()
    assert expected in said
    assert int(peak) < mebibytes


FRAGMENTS = """\
all:
web:
  hosts:
  children:
  vars:
    web1:
    web[1:3]:
    db: &a
    eu: *a
    <<: *a
      ansible_host: x
      ansible_port: 0
      ansible_become: yes
      fleet_host_key: !!seq x
      fleet_host_key: [!!str [], &b {}, *b]
      ansible_host: !!str {a: b}
      ansible_port: !!int x
      ansible_ssh_args: -J
    ? [a]
    - web2
  hosts: {a: , b: !vault x, c: {fleet_state: }}
  children: {all: , web: , ungrouped: {hosts: a}}
  vars: {ansible_group_priority: !!int x}
---
{
]
""".splitlines()


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_no_inventory_crashes(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Whatever is put together, the inventory loads or is refused in our own words."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text("\n".join(lines))
    with contextlib.suppress(InventoryError):
        load(str(path))
