"""Host patterns: which hosts they mean, in which order, and what is said where they mean none."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UsageError
from fleet.inventory import Host, Inventory
from fleet.pattern import Selection, select


def inventory(groups: dict[str, tuple[str, ...]], *names: str) -> Inventory:
    hosts = tuple(Host(name=name, address=name) for name in names)
    return Inventory(hosts, {"all": names, "ungrouped": ()} | groups)


FLEET = inventory(
    {
        "web": ("web1.eu", "web2.eu", "web1.us"),
        "db": ("db1", "db2", "twin"),
        "eu": ("web1.eu", "web2.eu", "db1"),
        "empty": (),
        "twin": ("api",),
        "dot.ted": ("db2",),
    },
    "web1.eu",
    "web2.eu",
    "web1.us",
    "db1",
    "db2",
    "api",
    "twin",
    "2001:db8::1",
    "dot.ted",
)
ALL = FLEET.groups["all"]


def chosen(*patterns: str, limit: str | None = None) -> list[str]:
    return [host.name for host in select(patterns, limit, FLEET).hosts]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all", list(ALL)),
        ("*", list(ALL)),
        ("db1", ["db1"]),
        ("db", ["db1", "db2", "twin"]),
        ("web*", ["web1.eu", "web2.eu", "web1.us"]),
        ("web1*", ["web1.eu", "web1.us"]),
        ("*.eu", ["web1.eu", "web2.eu"]),
        ("*eu", ["web1.eu", "web2.eu", "db1"]),  # the group's first, then the hosts of that name
        ("db?", ["db1", "db2"]),
        ("db[13]*", ["db1"]),
        ("db[!1]", ["db2"]),
        ("web[1-1].*", ["web1.eu", "web1.us"]),
        ("db,web", ["db1", "db2", "twin", "web1.eu", "web2.eu", "web1.us"]),
        ("db2,db", ["db2", "db1", "twin"]),
        ("web:db1", ["web1.eu", "web2.eu", "web1.us", "db1"]),
        ("web:&eu", ["web1.eu", "web2.eu"]),
        ("web,&eu,!web1*", ["web2.eu"]),
        ("!web1*,&eu,web", ["web2.eu"]),
        ("web:!eu", ["web1.us"]),
        ("&eu", ["web1.eu", "web2.eu", "db1"]),
        ("!web,!db", ["api", "2001:db8::1", "dot.ted"]),
        ("web,&eu,&db,db1", ["db1"]),
        (" db1 , api ", ["db1", "api"]),
        ("db1 api", ["db1", "api"]),
        ("db1,,api,", ["db1", "api"]),
        ("", list(ALL)),
        (",", list(ALL)),
        ("2001:db8::1", ["2001:db8::1"]),
        ("all,!2001:db8::1,!web,!db", ["api", "dot.ted"]),
        ("!2001:db8::1", [name for name in ALL if name != "2001:db8::1"]),
        ("web1.*:db?", ["web1.eu", "web1.us", "db1", "db2"]),
        ("twin", ["twin"]),  # a host's own name wins over a group's
        ("&twin", ["api"]),  # but with a sign the group is meant
        ("&dot.ted", ["db2", "dot.ted"]),  # and with a dot in it both are
        ("empty,api", ["api"]),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    """One pattern means what Ansible lists for it, in that order."""
    assert chosen(pattern) == expected


def test_no_pattern_means_all() -> None:
    """Without a pattern every host is meant, in the order of the group `all`."""
    assert chosen() == list(ALL)


def test_all_stands_in_the_order_of_its_group() -> None:
    """The order of `all` is the group's, which need not be that of the hosts in the file."""
    two = Inventory((Host(name="a", address="a"), Host(name="b", address="b")), {"all": ("b", "a")})
    assert [host.name for host in select([], None, two).hosts] == ["b", "a"]
    assert [host.name for host in select(["[ab]"], None, two).hosts] == ["a", "b"]


def test_several_patterns_count_as_one() -> None:
    """Terms of all patterns are gathered: an exclusion takes away from the others."""
    assert chosen("web", "db1") == ["web1.eu", "web2.eu", "web1.us", "db1"]
    assert chosen("!web1*", "web", "db1") == ["web2.eu", "db1"]
    assert chosen("web", "&eu", "!web2.eu") == ["web1.eu"]


def test_each_pattern_has_its_own_separator() -> None:
    """A comma in one pattern does not keep colons from separating in another."""
    assert chosen("db1:api", "web1.us,db2") == ["db1", "api", "web1.us", "db2"]


def test_limit_intersects() -> None:
    """A limit leaves of the patterns' hosts those that it means as well, in their order."""
    assert chosen("db,web", limit="eu") == ["db1", "web1.eu", "web2.eu"]
    assert chosen("db,web", limit="!eu") == ["db2", "twin", "web1.us"]
    assert chosen(limit="db2:db1") == ["db1", "db2"]
    assert chosen("db", limit="") == chosen("db")


def test_hosts_come_with_all_that_is_known() -> None:
    """A selection holds the inventory's own values."""
    assert select(["api"], None, FLEET) == Selection((FLEET.hosts[5],))


def test_what_matches_nothing_is_told_once() -> None:
    """A term without a match is a warning, wherever it stands; an empty group is none."""
    found = select(["api,wbe,empty", "!wbe"], "all,x*", FLEET)
    assert found.warnings == (
        "'wbe' matches no host and no group",
        "'x*' matches no host and no group",
    )


@pytest.mark.parametrize(
    ("patterns", "limit", "expected"),
    [
        (["wbe"], None, "no host matches 'wbe'"),
        (["wbe", "dbb:&web"], None, "no host matches 'wbe,dbb:&web'"),
        (["empty"], None, "no host matches 'empty'"),
        (["web"], "db", "no host matches 'web' within the limit 'db'"),
        ([], "nope", "no host matches 'all' within the limit 'nope'"),
        (["localhost"], None, "no host matches 'localhost'"),
        (["127.0.0.1"], None, "no host matches '127.0.0.1'"),
        (["all,!*"], None, "no host matches 'all,!*'"),
        (["web,&eu,&db,api"], None, "no host matches 'web,&eu,&db,api'"),
        (["db1:22"], None, "no host matches 'db1:22'"),  # an address with a port, for Ansible too
        (["~web"], None, "the pattern '~web' is a regular expression, "),
        (["web", "!~web"], None, "the pattern '~web' is a regular expression, "),
        (["web[0]"], None, "the pattern 'web[0]' is a subscript, "),
        (["web[-1]"], None, "the pattern 'web[-1]' is a subscript, "),
        (["all:&web[0:5]"], None, "the pattern 'web[0:5]' is a subscript, "),
        (["w*[1:]"], None, "the pattern 'w*[1:]' is a subscript, "),
        (["web[0-5]"], None, "the pattern 'web[0-5]' is a subscript, "),
        (["@failed"], None, "the pattern '@failed' is a file of patterns, "),
        (["all"], "@failed", "the pattern '@failed' is a file of patterns, "),
        (["web,!"], None, "a pattern of '!' or '&' alone names nothing"),
    ],
)
def test_refused(patterns: list[str], limit: str | None, expected: str) -> None:
    """Where nothing is left, or the grammar is not ours yet, the pattern is named and exit is 2."""
    if expected.endswith(", "):
        expected += "which this version does not support"
    with pytest.raises(UsageError) as caught:
        select(patterns, limit, FLEET)
    assert str(caught.value) == expected
    assert caught.value.exit_code == 2


def test_an_inventory_without_hosts() -> None:
    """Even `all` means nothing then."""
    with pytest.raises(UsageError, match="no host matches 'all'"):
        select([], None, inventory({}))


# --- the algebra of sets ------------------------------------------------------------------------

terms = st.sampled_from(
    ["all", "*", "web", "db", "eu", "empty", "db1", "api", "twin", "*1*", "db?", "[wt]*", "nope"]
)


def means(*patterns: str) -> list[str]:
    try:
        return chosen(*patterns)
    except UsageError:
        return []


@given(st.lists(terms, min_size=1), st.lists(terms), st.lists(terms))
def test_unions_then_intersections_then_exclusions(
    unions: list[str], both: list[str], without: list[str]
) -> None:
    """Any pattern is the union of its terms, cut by each `&`, less each `!`."""
    expected = set().union(*(means(term) for term in unions))
    for term in both:
        expected &= set(means("all", "&" + term))
    for term in without:
        expected &= set(means("all", "!" + term))
    parts = [*unions, *("&" + term for term in both), *("!" + term for term in without)]
    assert set(means(",".join(parts))) == expected


@given(st.lists(terms, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_of_terms_changes_no_set(parts: list[str], random: Random) -> None:
    """Shuffled terms, joined by commas, by colons or given one by one, mean the same hosts."""
    signed = [random.choice(["", "&", "!"]) + part for part in parts]
    shuffled = random.sample(signed, len(signed))
    expected = set(means(",".join(signed)))
    assert set(means(",".join(shuffled))) == expected
    assert set(means(":".join(shuffled))) == expected
    assert set(means(*shuffled)) == expected


@given(st.lists(terms, min_size=1, max_size=6))
def test_no_host_comes_twice(parts: list[str]) -> None:
    """Hosts stand where the first term that means them puts them, and only there."""
    found = means(",".join(parts))
    assert found == list(dict.fromkeys(name for part in parts for name in means(part)))


@given(terms)
def test_all_less_a_term_is_the_rest(term: str) -> None:
    """A term and its exclusion share no host and miss none."""
    inside, outside = set(means("all", "&" + term)), set(means("!" + term))
    assert inside | outside == set(ALL)
    assert not inside & outside


@given(terms, terms.filter(lambda term: term != "twin"))
def test_a_limit_is_an_intersection(term: str, limit: str) -> None:
    """Limiting is no more and no less than `&`, but for a name that is host and group at once."""
    try:
        limited = [host.name for host in select([term], limit, FLEET).hosts]
    except UsageError:
        limited = []
    assert limited == means(term, "&" + limit)


@given(st.text(alphabet="ab12.*?[]!&:,~@ -", max_size=10))
def test_no_pattern_crashes(pattern: str) -> None:
    """Any text selects hosts or is a UsageError."""
    assert set(means(pattern)) <= set(ALL)
