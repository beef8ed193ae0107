"""The path without a network: order, bugs, and a central host with less than usual."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleet import collect
from fleet.inventory import Host
from fleet.settings import Settings
from fleet.status import Status
from fleet.visit import failure
from tests.command import FLEET

HOSTS = [Host(f"h{number}", "h", bad_config="?") for number in range(5)]


def test_start_order_rotates_and_results_keep_the_inventorys(monkeypatch):
    """Whose turn is first changes from sweep to sweep; the sweep's visits do not."""
    monkeypatch.setattr("random.randrange", lambda count: 3 % count)
    seen = []
    outcome = collect.snapshot(HOSTS, Settings(forks=1), lambda visit: seen.append(visit.host.name))
    assert seen == ["h3", "h4", "h0", "h1", "h2"]
    assert [visit.host.name for visit in outcome.sweep.visits] == ["h0", "h1", "h2", "h3", "h4"]


def test_no_hosts_are_a_sweep():
    """An empty fleet has its row in fleetSweep as well."""
    outcome = collect.snapshot([], Settings(), lambda _visit: None)
    assert outcome.sweep.visits == ()


@pytest.mark.parametrize("bug", [ZeroDivisionError("x"), EOFError()])
def test_bug_costs_one_host_and_is_not_hidden(monkeypatch, bug):
    """Its visit says so, the others are whole, and the command gets the exception."""

    def visit(host, *_):
        if host.name == "h1":
            raise bug
        return failure(host, Status.DNS, None, "?", 0.0)

    monkeypatch.setattr(collect, "visit", visit)
    outcome = collect.snapshot(HOSTS, Settings(), lambda _visit: None)
    assert outcome.bugs == (bug,)
    assert [visit.status.value for visit in outcome.sweep.visits] == [
        "dns",
        "ssh_error",
        "dns",
        "dns",
        "dns",
    ]
    assert outcome.sweep.visits[1].detail == f"a bug in fleet: {bug!r}"


def test_bug_ends_the_command_with_1(tmp_path):
    """Whatever the exception is, the exit status is that of a bug, and its story is told."""
    (tmp_path / "i.yaml").write_text("all: {hosts: {a: {fleet_connection: local}}}\n")
    code = (
        "import sys; from fleet import collect, cli\n"
        "def visit(*_): raise EOFError('lost')\n"
        "collect.visit = visit\n"
        f"sys.exit(cli.main(['snapshot', '-i', {str(tmp_path / 'i.yaml')!r}]))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 1
    assert "EOFError: lost" in run.stderr
    assert "a bug in fleet, please report it" in run.stderr


def test_user_without_a_name_can_run_it(monkeypatch):
    """A container's user id that no passwd knows: hosts that name their user are visited."""

    def nobody():
        raise KeyError("getpwuid(): uid not found: 54399")

    monkeypatch.setattr("getpass.getuser", nobody)
    named = Host("named", "127.0.0.1", 1, user="ops")
    unnamed = Host("unnamed", "127.0.0.1", 1)
    outcome = collect.snapshot([named, unnamed], Settings(), lambda _visit: None)
    assert outcome.bugs == ()
    assert {visit.status for visit in outcome.sweep.visits} == {Status.UNREACHABLE}


def test_address_family_that_is_not_there_is_passed_over(monkeypatch):
    """A machine without IPv6 tries the next address, and says what failed."""
    import errno
    import socket

    from fleet.allowance import Allowance
    from fleet.errors import HostError
    from fleet.transport import socket_watch

    real = socket_watch.WatchedSocket

    def without_ipv6(family):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family)

    monkeypatch.setattr(socket_watch, "WatchedSocket", without_ipv6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        addresses = [(socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))]
        socket_watch.connect(addresses, 5, Allowance(5)).close()
    with pytest.raises(HostError) as error:
        socket_watch.connect(addresses, 5, Allowance(5))
    assert error.value.detail == (
        f"::1 port {port}: Address family not supported by protocol; "
        f"127.0.0.1 port {port}: Connection refused"
    )


def test_project_root_is_not_needed():
    """The package runs from anywhere."""
    run = subprocess.run(
        [*FLEET, "--version"], check=True, capture_output=True, text=True, cwd=Path("/")
    )
    assert run.stdout.startswith("fleet ")
