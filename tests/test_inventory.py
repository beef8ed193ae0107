"""The shape of an inventory: groups, hosts, their order and precedence, ranges, and speed."""

import contextlib
import string
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.inventory import Inventory, load
from fleet.inventory.address import RangeError, expand

HERE = Path(__file__).parent / "inventories"


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str) -> Inventory:
    Path("inv.yaml").write_text(text)
    return load("inv.yaml")


def names(inventory: Inventory) -> list[str]:
    return [host.name for host in inventory.hosts]


# --- groups and hosts ---------------------------------------------------------------------------


def test_order_is_that_of_first_appearance() -> None:
    """Hosts stand as the file first names them, children where they stand among other keys."""
    text = """
    web:
      children:
        eu:
          hosts: {c: , a: }
      hosts: {b: , a: }
    db:
      hosts: {a: , d: }
    """
    assert names(read(text)) == ["c", "a", "b", "d"]


def test_groups_hold_the_hosts_of_their_children() -> None:
    """A group's own hosts come first, then its children's, level by level."""
    inventory = read("""
    web:
      children:
        eu:
          children:
            paris: {hosts: {p: }}
          hosts: {e: }
        us: {hosts: {u: }}
      hosts: {w: }
    """)
    assert inventory.groups == {
        "all": ("w", "e", "u", "p"),
        "ungrouped": (),
        "web": ("w", "e", "u", "p"),
        "eu": ("e", "p"),
        "paris": ("p",),
        "us": ("u",),
    }
    assert {host.name: host.groups for host in inventory.hosts} == {
        "p": ("eu", "paris", "web"),
        "e": ("eu", "web"),
        "u": ("us", "web"),
        "w": ("web",),
    }


def test_ungrouped() -> None:
    """Hosts in no group but `all` are ungrouped; hosts in another are not, even if listed so."""
    inventory = read("""
    ungrouped: {hosts: {a: , b: }}
    all: {hosts: {c: , d: }}
    web: {hosts: {a: , d: }}
    """)
    assert inventory.groups["ungrouped"] == ("b", "c")
    assert {host.name: host.groups for host in inventory.hosts} == {
        "a": ("web",),
        "b": ("ungrouped",),
        "c": ("ungrouped",),
        "d": ("web",),
    }


def test_all_may_stand_or_not() -> None:
    """The group `all` is there with its hosts first, said or unsaid."""
    assert read("web: {hosts: {a: }}\n").groups["all"] == ("a",)
    assert read("web: {hosts: {a: }}\nall: {hosts: {b: }}\n").groups["all"] == ("b", "a")
    assert read("all:\n").hosts == ()


def test_null_bodies_and_lone_names() -> None:
    """Groups, sections and hosts may be empty; a lone name stands for itself, as for Ansible."""
    inventory = read("""
    web:
    db: {hosts: , children: , vars: }
    eu: {hosts: paris, children: web}
    """)
    assert names(inventory) == ["paris"]
    assert inventory.groups["eu"] == ("paris",)


def test_host_in_many_groups_merges() -> None:
    """A host's variables gather from everywhere; the last definition in the file wins."""
    host = read("""
    web: {hosts: {a: {ansible_user: one, ansible_port: 1}}}
    db: {hosts: {a: {ansible_user: two}}}
    eu: {hosts: {a: }}
    """).hosts[0]
    assert (host.user, host.port, host.groups) == ("two", 1, ("db", "eu", "web"))


# --- precedence ---------------------------------------------------------------------------------


def user(text: str) -> str | None:
    return read(text).hosts[0].user


def test_host_before_group_before_all() -> None:
    """The host itself wins over its groups, and they over `all`, wherever they stand."""
    text = "all: {vars: {ansible_user: all}, hosts: {a: }}\n"
    assert user(text) == "all"
    assert user("g: {hosts: {a: }, vars: {ansible_user: g}}\n" + text) == "g"
    assert user("g: {hosts: {a: {ansible_user: a}}, vars: {ansible_user: g}}\n" + text) == "a"


def test_deeper_groups_win() -> None:
    """A child wins over its parent, whatever their names."""
    assert (
        user("""
    z: {vars: {ansible_user: z}, children: {a: {vars: {ansible_user: a}, hosts: {h: }}}}
    """)
        == "a"
    )


def test_depth_is_the_longest_way_from_all() -> None:
    """A group that is a child and a grandchild counts as the deeper of the two."""
    assert (
        user("""
    b: {children: {deep: {children: {x: }}}}
    x: {hosts: {h: }, vars: {ansible_user: x}}
    y: {hosts: {h: }, vars: {ansible_user: y}}
    """)
        == "x"
    )


def test_among_equals_priority_then_name() -> None:
    """At one depth the higher priority wins, then the later name."""
    text = """
    a: {hosts: {h: }, vars: {ansible_user: a%s}}
    b: {hosts: {h: }, vars: {ansible_user: b}}
    """
    assert user(text % "") == "b"
    assert user(text % ", ansible_group_priority: 2") == "a"
    assert user(text % ", ansible_group_priority: '2'") == "a"
    assert user(text % ", ansible_group_priority: 0") == "b"


def test_priority_does_not_beat_depth() -> None:
    """Priority counts among groups of one depth only."""
    assert (
        user("""
    a: {vars: {ansible_user: a, ansible_group_priority: 99}, children: {b: }}
    b: {hosts: {h: }, vars: {ansible_user: b}}
    """)
        == "b"
    )


def test_null_takes_back() -> None:
    """A variable set to nothing is unset, also over a group's value."""
    assert user("g: {vars: {ansible_user: g}, hosts: {h: {ansible_user: }}}\n") is None


def test_host_with_the_name_of_a_group() -> None:
    """Such a host's variables go to the group, as Ansible does it, and so to the host as well."""
    inventory = read("db: {hosts: {db: {ansible_user: u}, db2: }}\n")
    assert [(host.name, host.user) for host in inventory.hosts] == [("db", "u"), ("db2", "u")]


# --- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "expected", "port"),
    [
        ("web", ["web"], None),
        ("web[1:3]", ["web1", "web2", "web3"], None),
        ("web[01:03].x", ["web01.x", "web02.x", "web03.x"], None),
        ("web[8:11]", ["web8", "web9", "web10", "web11"], None),
        ("web[008:010]", ["web008", "web009", "web010"], None),
        ("web[1:9:4]", ["web1", "web5", "web9"], None),
        ("web[:2]", ["web0", "web1", "web2"], None),
        ("web[a:c]", ["weba", "webb", "webc"], None),
        ("web[y:B]", ["weby", "webz", "webA", "webB"], None),
        ("web[a:e:2]", ["weba", "webc", "webe"], None),
        ("r[1:2]-[a:b]", ["r1-a", "r1-b", "r2-a", "r2-b"], None),
        ("10.0.0.[9:10]", ["10.0.0.9", "10.0.0.10"], None),
        ("web1:2222", ["web1"], 2222),
        ("web[1:2].x:2222", ["web1.x", "web2.x"], 2222),
        ("2001:db8::1", ["2001:db8::1"], None),
        ("[2001:db8::1]:2222", ["2001:db8::1"], 2222),
        ("2001:db8::[a:c]", ["2001:db8::a", "2001:db8::b", "2001:db8::c"], None),
        ("no_host_:22", ["no_host_:22"], None),
    ],
)
def test_host_keys(key: str, expected: list[str], port: int | None) -> None:
    """A host key becomes names, and a port where it ends in one."""
    found, found_port = expand(key)
    assert (list(found), found_port) == (expected, port)


def test_port_of_a_key() -> None:
    """A port in a key is the host's own, unless a variable says more."""
    inventory = read("""
    web: {hosts: {"a:2222": , "b:2222": {ansible_port: 22}, "c:0": }, vars: {ansible_port: 1}}
    """)
    assert [(host.name, host.port) for host in inventory.hosts[:2]] == [("a", 2222), ("b", 22)]
    assert inventory.hosts[2].bad_config == (
        "inv.yaml:2:61: ansible_port is the number 0, expected a port from 1 to 65535"
    )


def test_exactly_the_most_hosts_of_a_key() -> None:
    """A hundred thousand hosts may come from one key; a number of forty digits is no range."""
    assert len(expand("h[1:100000]")[0]) == 100_000
    with pytest.raises(RangeError):
        expand("h[1:" + "9" * 40 + "]")


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A range as it is written, and its members, spelt out one by one."""
    step = draw(st.integers(1, 7))
    suffix = draw(st.sampled_from([f":{step}"])) if step > 1 else draw(st.sampled_from(["", ":1"]))
    if draw(st.booleans()):
        first, last = sorted(draw(st.lists(st.integers(0, 51), min_size=2, max_size=2)))
        letters = string.ascii_letters
        members = []
        while first <= last:
            members.append(letters[first])
            first += step
        return f"[{members[0]}:{letters[last]}{suffix}]", members
    first, last = sorted(draw(st.lists(st.integers(0, 300), min_size=2, max_size=2)))
    width = draw(st.integers(1, 5))
    if width < len(str(last)) or (width == 1 and len(str(last)) > 1):
        width = 0
    padded = width > len(str(first))
    members, number = [], first
    while number <= last:
        members.append(f"{number:0{width}}" if padded else str(number))
        number += step
    end = f"{last:0{width}}" if padded else str(last)
    return f"[{members[0]}:{end}{suffix}]", members


@given(st.lists(ranges(), min_size=1, max_size=2), st.sampled_from(["", "-", ".", "x", "é"]))
def test_ranges_expand_as_one_would_by_hand(parts: list[tuple[str, list[str]]], glue: str) -> None:
    """Whatever the ranges, the names are those that nested loops would print."""
    expected = ["h"]
    for _, members in parts:
        expected = [name + glue + member for name in expected for member in members]
    assert list(expand("h" + "".join(glue + text for text, _ in parts))[0]) == expected


@given(st.text(alphabet="ab019[]:-. ", max_size=12))
def test_no_host_key_escapes(key: str) -> None:
    """Any key is names or a RangeError, and never nothing at all."""
    with contextlib.suppress(RangeError):
        assert len(expand(key)[0]) > 0


def test_tree_of_an_ansible_user() -> None:
    """Vaults, templates, unknown tags, circular aliases and merges load; what is ours counts."""
    inventory = load(str(HERE / "good" / "ansible-tree.yaml"))
    hosts = {host.name: host for host in inventory.hosts}
    assert list(hosts) == ["loner.example.com", "db1", "db2", "web1", "web2", "web3"]
    assert not any(host.bad_config for host in inventory.hosts)
    assert (hosts["db1"].user, hosts["db1"].address) == ("postgres", "db1")
    assert (hosts["web1"].address, hosts["web1"].port) == ("10.0.0.1", 2200)
    assert (hosts["web2"].address, hosts["web2"].port) == ("10.1.0.2", 2200)
    assert [host.name for host in inventory.hosts if host.become] == ["web3"]
    assert inventory.groups["backup"] == ("db1", "db2", "loner.example.com")
    assert inventory.groups["ungrouped"] == ()


# --- speed --------------------------------------------------------------------------------------


def test_ten_thousand_hosts_load_in_three_times_their_composing(tmp_path: Path) -> None:
    """10,000 hosts in 200 groups cost at most three times what PyYAML's C loader needs."""
    lines = ["all:", "  vars: {ansible_user: ec2-user}", "  children:"]
    for group in range(200):
        lines += [f"    g{group}:", "      hosts:"]
        for host in range(50):
            lines += [f"        web{host}-{group}:", f"          ansible_host: 10.0.{host}.{group}"]
    path = tmp_path / "inv.yaml"
    path.write_text("\n".join(lines))

    def compose() -> None:
        yaml.compose(path.read_bytes(), Loader=yaml.CSafeLoader)

    def best(work: object, path: Path = path) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            load(str(path)) if work is load else compose()
            times.append(time.process_time() - start)
        return min(times)

    assert best(load) < 3 * best(compose)
