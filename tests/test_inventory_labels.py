"""`fleet_labels`: which there are, what each host has, and what can be none."""

from pathlib import Path

import pytest

from fleet.errors import InventoryError
from fleet.inventory import Inventory, load

RESERVED = frozenset(("host", "image"))


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str, many: bool = False) -> Inventory:
    Path("inv.yaml").write_text(text)
    return load("inv.yaml", reserved=RESERVED, many_labels=many)


def values(inventory: Inventory) -> dict[str, tuple[str | None, ...]]:
    return {host.name: host.labels for host in inventory.hosts}


def message(text: str) -> str:
    with pytest.raises(InventoryError) as caught:
        read(text)
    return str(caught.value)


def test_without_labels() -> None:
    """Nothing is said, so there are none."""
    inventory = read("all: {hosts: {a: {env: x}}}")
    assert (inventory.labels, values(inventory)) == ((), {"a": ()})


def test_values_are_the_effective_variables() -> None:
    """The labels of all hosts together; each has those that its own list names."""
    inventory = read("""
    all: {vars: {fleet_labels: [env, role], env: dev}}
    web: {hosts: {a: , b: {env: prod}}, vars: {role: web}}
    db: {hosts: {c: {fleet_labels: region, region: eu, role: db}, d: {fleet_labels: }}}
    """)
    assert inventory.labels == ("env", "role", "region")
    assert values(inventory) == {
        "a": ("dev", "web", None),
        "b": ("prod", "web", None),
        "c": (None, None, "eu"),
        "d": (None, None, None),
    }
    assert inventory.warnings == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("prod", "prod"),
        ("5", "5"),
        ("1.50", "1.5"),
        ("yes", "true"),
        ("012", "10"),
        ("'012'", "012"),
        ("2026-01-01", "2026-01-01"),
        ("''", None),
        ("", None),
        ("'{{ x }}'", "X"),
        ("'{{ x }}-{{ inventory_hostname }}'", "X-a"),
        ("!unsafe '{{ x }}'", "{{ x }}"),
        ("'{{ none }}'", None),
    ],
)
def test_values(said: str, expected: str | None) -> None:
    """Texts and numbers as they are written; nothing is no label."""
    found = read(f"all: {{hosts: {{a: {{fleet_labels: env, x: X, none: , env: {said}}}}}}}")
    assert (values(found), found.warnings) == ({"a": (expected,)}, ())


def test_values_that_can_be_none() -> None:
    """One line for each label, with the first host and how many more there are."""
    inventory = read(
        """
    all:
      vars: {fleet_labels: [env, role, site], env: !vault SECRET, role: [a], site: x}
      hosts:
        h[1:3]:
        i: {env: e, role: "{{ lookup('x') }}"}
        j: {site: %s}
    """
        % ("x" * 256)
    )
    assert inventory.warnings == (
        "inv.yaml:3:52: host 'h1': env is a value tagged !vault, expected text or a number; "
        "the label 'env' stays empty (and 3 hosts more)",
        "inv.yaml:3:73: host 'h1': role is a list, expected text or a number; "
        "the label 'role' stays empty (and 4 hosts more)",
        "inv.yaml:7:19: host 'j': site is a text of 256 characters, of which a label holds 255; "
        "the label 'site' stays empty",
    )
    assert values(inventory)["i"] == ("e", None, "x")
    assert "SECRET" not in "".join(inventory.warnings)


def test_names_that_are_taken() -> None:
    """A column of ours, in whatever case, is no label."""
    assert message("all: {hosts: {a: }, vars: {fleet_labels: [env, Host]}}") == (
        "inv.yaml:1:48: fleet_labels names 'Host', which is a column of fleet's own, "
        "or of its dashboards"
    )


def test_eight_labels_in_all() -> None:
    """Eight is the most for all hosts together, not for each."""
    text = "all: {hosts: {a: {fleet_labels: [a, b, c, d]}, b: {fleet_labels: [d, e, f, g, h%s]}}}"
    assert read(text % "").labels == tuple("abcdefgh")
    assert message(text % ", i") == (
        "inv.yaml:1:82: fleet_labels names 'i', one label more than 8 in all"
    )


def test_many_values() -> None:
    """A thousand values are a label, more are a mistake, unless they are meant."""
    text = "all: {vars: {fleet_labels: n, n: '{{ inventory_hostname }}'}, hosts: {'h[1:%d]': }}"
    assert len(read(text % 1000).hosts) == 1000
    assert message(text % 1002) == (
        "inv.yaml:1:28: the label 'n' has 1,002 values, and a column of more than 1,000 makes "
        "tables slow; --many-labels allows it"
    )
    assert read(text % 1001, many=True).hosts[1000].labels == ("h1001",)
