"""Host patterns: which hosts they mean, in which order, and what is said where they mean none."""

import os
from pathlib import Path
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
        ("2001:db8::1,!db", ["2001:db8::1"]),
        ("web1.*:db?", ["web1.eu", "web1.us", "db1", "db2"]),
        ("twin", ["twin"]),  # a host's own name wins over a group's
        ("&twin", ["api"]),  # but with a sign the group is meant
        ("&dot.ted", ["db2", "dot.ted"]),  # and with a dot in it both are
        ("empty,api", ["api"]),
        ("~web", ["web1.eu", "web2.eu", "web1.us"]),
        ("~.*1", ["web1.eu", "web1.us", "db1", "2001:db8::1"]),
        ("~(db|api)$", ["db1", "db2", "twin", "api"]),
        ("web:!~web1", ["web2.eu"]),
        ("web[0]", ["web1.eu"]),
        ("web[-1]", ["web1.us"]),
        ("web[-3]", ["web1.eu"]),
        ("web[1:2]", ["web2.eu", "web1.us"]),
        ("web[1:]", ["web2.eu", "web1.us"]),
        ("web[0:99]", ["web1.eu", "web2.eu", "web1.us"]),
        ("web[0:0]", ["web1.eu"]),
        ("web[2:0]", ["web1.us"]),  # for Ansible a last one of 0 is none
        ("web[1-2]", ["web2.eu", "web1.us"]),
        ("db1[0]", ["db1"]),
        ("db?[1]", ["db2"]),
        ("*db*[3]", ["db1"]),  # the group's three, then the hosts of that name: found again
        ("all:&web[0]", ["web1.eu"]),
        ("web:!web[0]", ["web2.eu", "web1.us"]),
        ("web[0]:db[0]", ["web1.eu", "db1"]),
        ("web[9:],api", ["api"]),
        ("empty[0],api", ["api"]),
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
        "'wbe' matches no host and no group: did you mean 'web'?",
        "'x*' matches no host and no group",
    )


def test_old_subscripts_and_empty_ones_are_told() -> None:
    """What Ansible takes for another, and what begins behind the last host."""
    found = select(["web[1-2]", "db[9:]"], None, FLEET)
    assert found.warnings == (
        "'web[1-2]': write web[1:2], which is what is meant",
        "'db[9:]' is empty: 'db' means 3 hosts, and the first is number 0",
    )


def test_localhost_has_three_names() -> None:
    """Where one of them stands in the inventory, each means that host; else none does."""
    named = inventory({}, "a", "127.0.0.1", "b")
    for name in ("localhost", "127.0.0.1", "::1"):
        assert [host.name for host in select([name], None, named).hosts] == ["127.0.0.1"]


NOTHING = "matches no host and no group"
HINTS = "it is a host only where the inventory names it"


@pytest.mark.parametrize(
    ("patterns", "limit", "expected"),
    [
        (["wbe"], None, "no host matches 'wbe': did you mean 'web'?"),
        (["API"], None, "no host matches 'API': did you mean 'api'?"),
        (["db3"], None, "no host matches 'db3': did you mean 'db', 'db2' or 'db1'?"),
        (["xyz"], None, "no host matches 'xyz'"),
        (["x*"], None, "no host matches 'x*'"),
        (["~x"], None, "no host matches '~x'"),
        (
            ["wbe", "dbb:&web"],
            None,
            f"no host matches 'wbe,dbb:&web'; 'wbe' {NOTHING}: did you mean 'web'?; 'dbb' "
            f"{NOTHING}: did you mean 'db', 'db2' or 'db1'?",
        ),
        (
            ["q1,q2,q3,q4,q5"],
            None,
            f"no host matches 'q1,q2,q3,q4,q5'; 'q1' {NOTHING}; 'q2' {NOTHING}; 'q3' {NOTHING}; "
            "and 2 more",
        ),
        (["empty"], None, "no host matches 'empty'"),
        (["web"], "db", "no host matches 'web' within the limit 'db'"),
        (["web"], "nope", f"no host matches 'web' within the limit 'nope'; 'nope' {NOTHING}"),
        (["localhost"], None, f"no host matches 'localhost': {HINTS}"),
        (["127.0.0.1"], None, f"no host matches '127.0.0.1': {HINTS}"),
        (["all,!*"], None, "no host matches 'all,!*'"),
        (["web,&eu,&db,api"], None, "no host matches 'web,&eu,&db,api'"),
        (["!web[0:"], None, "no host matches '!web[0:'; '0' matches no host and no group"),
        (
            ["web[5:9]"],
            None,
            "no host matches 'web[5:9]'; 'web[5:9]' is empty: 'web' means 3 hosts, and the first "
            "is number 0",
        ),
        (
            ["web[3]"],
            None,
            "the pattern 'web[3]': 'web' means 3 hosts, so a subscript goes from 0 to 2, or from "
            "-3 to -1",
        ),
        (
            ["all", "!db1[-2]"],
            None,
            "the pattern 'db1[-2]': 'db1' means 1 host, so a subscript goes from 0 to 0, or from "
            "-1 to -1",
        ),
        ([f"web[{'9' * 5000}]"], None, f"'web[{'9' * 5000}]': a subscript of too many digits"),
        (
            ["web", "!~("],
            None,
            "the pattern '~(' is no regular expression: missing ), unterminated subpattern at "
            "position 0",
        ),
        (
            ["~a{99999999999}"],
            None,
            "the pattern '~a{99999999999}' is no regular expression: the repetition number is too "
            "large",
        ),
        (["web,!"], None, "a pattern of '!' or '&' alone names nothing"),
        (["@"], None, "'@': expected the name of a file of patterns after it"),
        (["@no/such"], None, "'@no/such': no/such: No such file or directory"),
        (["all"], "@no/such,db", "'@no/such': no/such: No such file or directory"),
        (["@/"], None, "'@/': expected a file of patterns, and / is no file"),
        (
            ["@/dev/zero"],
            None,
            "'@/dev/zero': expected a file of patterns, and /dev/zero is no file",
        ),
        (
            ["all", "!@no"],
            None,
            "'!@no': a file of patterns has no sign; write the signs into the file, one before "
            "each line",
        ),
    ],
)
def test_refused(patterns: list[str], limit: str | None, expected: str) -> None:
    """Where nothing is left, or a term cannot be used, the pattern is named and exit is 2."""
    with pytest.raises(UsageError) as caught:
        select(patterns, limit, FLEET)
    assert str(caught.value) == expected
    assert caught.value.exit_code == 2


def test_thousands_of_terms_without_a_match() -> None:
    """Ten have a line each, five of them with close names, which take time; the rest are folded."""
    many = inventory({}, *(f"web{number:04}" for number in range(5000)))
    terms = [f"wbe{number:04}" for number in range(500)]
    *lines, last = select(["all", *terms, "web0001[9:]"], None, many).warnings
    assert len(lines) == 11
    assert sum("did you mean" in line for line in lines) == 5
    assert last == "490 more match no host and no group: wbe[0010-0499]"
    with pytest.raises(UsageError, match=r"; and 497 more$"):
        select(terms, None, many)


# --- files of patterns


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db1\napi\n", ["db1", "api"]),
        ("web\n!web1*", ["web2.eu"]),
        ("&eu\n  db  \n\n# by hand\n", ["db1"]),
        ("\ufeffdb1\r\napi\r\n", ["db1", "api"]),
        ("# none of these\n!web\n!db", ["api", "2001:db8::1", "dot.ted"]),
        ("~web1\ndb[0]", ["web1.eu", "web1.us", "db1"]),
        ("2001:db8::1", ["2001:db8::1"]),
    ],
)
def test_files_of_patterns(folder: Path, text: str, expected: list[str]) -> None:
    """A term a line, in patterns and in limits; blanks around it and comments do not count."""
    (folder / "some").write_text(text, newline="")
    assert chosen("@some") == expected
    assert sorted(chosen(limit="@some")) == sorted(expected)


def test_files_stand_among_other_terms(folder: Path) -> None:
    """Their terms are gathered with the others."""
    (folder / "some").write_text("db\n!db1\n")
    (folder / "more").write_text("api\n")
    assert chosen("@some,web,!web1*,@more") == ["db2", "twin", "web2.eu", "api"]
    assert chosen("web", "db", limit="@some:@more") == ["db2", "twin"]


def test_a_line_of_a_file_is_one_term(folder: Path) -> None:
    """Neither commas nor colons separate there, nor does a comment begin behind a name."""
    (folder / "some").write_text("db1,db2\ndb1:db2\nweb # all of it\napi\n@some\n")
    found = select(["@some"], None, FLEET)
    assert [host.name for host in found.hosts] == ["api"]
    assert len(found.warnings) == 4


def test_an_empty_file_means_all(folder: Path) -> None:
    """As it does for Ansible; but it is told."""
    (folder / "none").write_text("\n# nothing\n")
    found = select(["db"], "@none", FLEET)
    assert [host.name for host in found.hosts] == ["db1", "db2", "twin"]
    assert found.warnings == ("'@none': the file names no host, so it means all of them",)


def test_files_that_are_no_text(folder: Path) -> None:
    """Bytes that are no UTF-8 are refused with the file's name; a NUL in a name as well."""
    (folder / "binary").write_bytes(b"db1\n\xff\xfe\n")
    with pytest.raises(UsageError, match=r"^'@binary': 'binary' is no text in UTF-8: "):
        chosen("@binary")
    with pytest.raises(UsageError, match="embedded null byte"):
        chosen("@a\0b")


def test_home_folders_are_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves `@~/file` as it is."""
    monkeypatch.setitem(os.environ, "HOME", str(folder))
    (folder / "some").write_text("db1\n")
    assert chosen("@~/some") == ["db1"]


def test_an_inventory_without_hosts() -> None:
    """Even `all` means nothing then."""
    with pytest.raises(UsageError, match=r"^no host matches 'all': the inventory names no host$"):
        select([], None, inventory({}))


# --- the algebra of sets ------------------------------------------------------------------------

terms = st.sampled_from(
    [
        "all",
        "*",
        "web",
        "db",
        "eu",
        "empty",
        "db1",
        "api",
        "twin",
        "*1*",
        "db?",
        "[wt]*",
        "nope",
        "~web",
        "~.*1",
        "web[0]",
        "web[1:]",
        "db[-1]",
    ]
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
