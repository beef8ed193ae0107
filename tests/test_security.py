"""What docs/security.md says can be looked up: its tests are there, its figures the program's."""

import re

import pytest

from fleet.allowance import UNPARSED_BYTES
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.status import Status
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES
from fleet.transport.route import Routes
from fleet.transport.socket_watch import MAX_GREETING_BYTES, MAX_LOGIN_BYTES
from fleet.verdict import MAX_CONTAINERS
from fleet.visit import MAX_DETAIL_CHARACTERS
from tests.lab.lab import PROJECT

TEXT = (PROJECT / "docs/security.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/test_\w+\.py)::(test_\w+)`", TEXT)))


def test_every_row_of_the_threat_table_names_a_test():
    """A threat without a test is a promise."""
    rows = re.findall(r"^\| (.*) \|$", TEXT.partition("## Which test shows it")[2], re.MULTILINE)
    assert len(rows) > 15
    assert [row for row in rows[1:] if "tests/test_" not in row] == []


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_named_tests_are_there(file, name):
    """A test that is renamed is renamed there as well."""
    assert f"def {name}(" in (PROJECT / file).read_text()


def test_figures_are_those_of_the_program():
    """Every bound that is promised is the one that counts."""
    kib, mib = 1024, 1024 * 1024
    words = " ".join(TEXT.split())
    for promise in (
        f"{MAX_GREETING_BYTES // kib} KiB of greeting and {MAX_LOGIN_BYTES // mib} MiB in all",
        f"of an answer {MAX_STDOUT_BYTES // mib} MiB",
        f"standard error {MAX_STDERR_BYTES // kib} KiB",
        f"{UNPARSED_BYTES // mib} MiB of answers",
        f"{MAX_CONTAINERS:,} containers",
        f"at most {MAX_DETAIL_CHARACTERS} characters",
    ):
        assert promise in words, promise


@pytest.mark.parametrize("token", ["%h", "%n", "%r"])
@pytest.mark.parametrize("quote", ["$({})", "`{}`", "x;{}", "x|{}"])
def test_no_shell_of_match_exec_reads_a_name(tmp_path, token, quote):
    """A host or user of a dynamic inventory may come from somebody's tags: it is never run."""
    config, mark = tmp_path / "config", tmp_path / "ran"
    config.write_text(f'Match exec "true {token}"\n  Port 2222\n')
    text = quote.format(f"touch${{IFS}}{mark}")
    host = Host("web1", text) if token != "%r" else Host("web1", "web1", user=text)
    with pytest.raises(HostError, match="a shell would read it") as caught:
        Routes(str(config)).to(host)
    assert caught.value.status is Status.BAD_CONFIG
    assert not mark.exists()
    assert Routes(str(config)).to(Host("web1", "web1", user="ops")).door.port == 2222
