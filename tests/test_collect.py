"""The path without a network: order, bugs, and a central host with less than usual."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet import collect, rounds
from fleet.delivery import Report, target_of
from fleet.errors import Locked, SchemaError
from fleet.inventory import Host, load
from fleet.node_facts import Node
from fleet.prepare import select_from
from fleet.questdb_conf import parse_conf
from fleet.seen import Count, Seen, SeenContainer
from fleet.settings import Settings
from fleet.sources import state as states
from fleet.sources.node import NodeFigures
from fleet.state import Job, State
from fleet.states import ContainerState
from fleet.status import Status
from fleet.visit import Visit, failure
from tests.command import FLEET
from tests.questdb_double import nobody, questdb_double

HOSTS = [Host(f"h{number}", "h", bad_config="?") for number in range(5)]


def test_start_order_rotates_and_results_keep_the_inventorys(monkeypatch):
    """Whose turn is first changes from sweep to sweep; the sweep's visits do not."""
    monkeypatch.setattr("random.randrange", lambda count: 3 % count)
    seen = []
    outcome = rounds.snapshot(HOSTS, Settings(forks=1), lambda visit: seen.append(visit.host.name))
    assert seen == ["h3", "h4", "h0", "h1", "h2"]
    assert [visit.host.name for visit in outcome.sweep.visits] == ["h0", "h1", "h2", "h3", "h4"]


def test_no_hosts_are_a_sweep():
    """An empty fleet has its row in fleetSweep as well."""
    outcome = rounds.snapshot([], Settings(), lambda _visit: None)
    assert outcome.sweep.visits == ()


@pytest.mark.parametrize("bug", [ZeroDivisionError("x"), EOFError()])
def test_bug_costs_one_host_and_is_not_hidden(monkeypatch, bug):
    """Its visit says so, the others are whole, and the command gets the exception."""

    def visit(host, *_):
        if host.name == "h1":
            raise bug
        return failure(host, Status.DNS, None, "?", 0.0)

    monkeypatch.setattr(rounds, "visit", visit)
    outcome = rounds.snapshot(HOSTS, Settings(), lambda _visit: None)
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
        "import sys; from fleet import collect, rounds, cli\n"
        "def visit(*_): raise EOFError('lost')\n"
        "rounds.visit = visit\n"
        f"sys.exit(cli.main(['snapshot', '-i', {str(tmp_path / 'i.yaml')!r}]))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 1
    assert "EOFError: lost" in run.stderr
    assert "a bug in fleet, please report it" in run.stderr


def _settings(conf, folder, **more):
    """Of a run that visits nobody for long, and is short of patience."""
    return Settings(
        questdb=parse_conf(conf, "test"),
        state_dir=str(folder),
        publish_timeout_s=0.0,
        spool_max_age_s=3650 * 86_400.0,
        **more,
    )


def test_collect_publishes_by_way_of_the_spool(tmp_path):
    """Each visit is told, each row arrives, and nothing is left; the schema's changes are said."""
    told = []
    with questdb_double() as double:
        del double.tables["hostStatus"]
        outcome = collect.collect(HOSTS, _settings(double.conf, tmp_path), told.append)
        assert sorted(visit.host.name for visit in told) == [host.name for host in HOSTS]
        assert outcome.report == Report(sent=6)
        assert [text.split(" (")[0] for text in outcome.changes] == [
            'CREATE TABLE IF NOT EXISTS "hostStatus"'
        ]
        assert (double.count("hostStatus"), double.count("fleetSweep")) == (5, 1)
        assert (outcome.bugs, outcome.interrupted) == ((), None)
    assert list((tmp_path / "spool").iterdir()) == []


SEEN = Seen(4e9, "b0", {"a" * 64: SeenContainer("web", count=Count(7, 50.0))})


def _good(host, _run, _allowance, _before):
    """A visit that brings a state, a node and what is to be remembered."""
    state = ContainerState("web", None, None, states.State("a" * 64, "running"), True, "m")
    return Visit(
        host,
        Status.OK,
        None,
        None,
        0.1,
        states=(state,),
        node=Node(NodeFigures(boot_id=host.name), 1, 2.0, None, None),
        seen=SEEN,
    )


def test_collect_tells_the_next_sweep_what_it_saw(tmp_path, monkeypatch):
    """Each host's visit gets what the last sweep of the job saw of it, and this sweep's time."""
    before = []

    def visit(host, run, allowance, known):
        before.append((host.name, known))
        return _good(host, run, allowance, known)

    monkeypatch.setattr(rounds, "visit", visit)
    with questdb_double() as double:
        settings = _settings(double.conf, tmp_path)
        for _ in range(2):
            outcome = collect.collect(HOSTS[:2], settings, lambda _visit: None)
        collect.collect(HOSTS[:1], replace(settings, name="other"), lambda _visit: None)
    assert outcome.bugs == ()
    assert [known.seen for _, known in before] == [None, None, SEEN, SEEN, None]
    assert before[2][1].at == outcome.sweep.started_at.timestamp()


@pytest.mark.parametrize("shown", [False, True])
def test_states_and_nodes_are_kept_only_to_be_shown(tmp_path, monkeypatch, shown):
    """Published they are either way; a run that prints nothing keeps no more than it counts."""
    monkeypatch.setattr(rounds, "visit", _good)
    with questdb_double() as double:
        settings = _settings(double.conf, tmp_path)
        outcome = collect.collect(HOSTS[:2], settings, lambda _visit: None, shown=shown)
        assert (double.count("containerState"), double.count("nodeStats")) == (2, 2)
    assert [len(visit.states) for visit in outcome.sweep.visits] == [int(shown)] * 2
    assert [visit.node is not None for visit in outcome.sweep.visits] == [shown] * 2
    assert [visit.seen for visit in outcome.sweep.visits] == [None, None]


def test_one_engine_under_two_names_is_said(monkeypatch):
    """Two hosts of one kernel's life that list one container are one; a copied machine is not."""

    def visit(host, *more):
        good = _good(host, *more)
        life = "same" if host.name in ("h1", "h3") else host.name
        return replace(good, node=replace(good.node, figures=NodeFigures(boot_id=life)))

    monkeypatch.setattr(rounds, "visit", visit)
    monkeypatch.setattr("random.randrange", lambda _count: 0)
    outcome = rounds.snapshot(HOSTS, Settings(forks=1), lambda _visit: None)
    said = "one Docker engine with h1: sums count its containers twice"
    assert [visit.detail for visit in outcome.sweep.visits] == [None, None, None, said, None]
    assert outcome.sweep.failed == ()


@pytest.mark.parametrize("asked", [None, "docker", "kernel"])
def test_source_of_the_command_stands_before_the_hosts(tmp_path, asked):
    """`--source` is for all of them; without it each keeps its own."""
    path = tmp_path / "inventory.yaml"
    path.write_text("all: {hosts: {a: {fleet_source: kernel}, b: }}\n")
    selection = select_from(load(str(path)), Settings(source=asked))
    found = [host.source for host in selection.hosts]
    assert found == (["kernel", "docker"] if asked is None else [asked, asked])


def test_collect_keeps_what_nobody_takes(tmp_path):
    """QuestDB is not there: hosts are visited, and their rows wait."""
    with nobody() as conf:
        outcome = collect.collect(HOSTS, _settings(conf, tmp_path), lambda _visit: None)
    assert (outcome.report.kept, outcome.report.lost) == (6, 0)


def test_collect_visits_nobody_while_another_run_does(tmp_path):
    """Nor does it ask QuestDB anything."""
    told = []
    with questdb_double() as double:
        settings = _settings(double.conf, tmp_path)
        job = Job("fleet", target_of(settings).mark)
        other = _settings(double.conf, tmp_path, name="other")
        with State(tmp_path).run_lock(job):
            with pytest.raises(Locked):
                collect.collect(HOSTS, settings, told.append)
            assert (told, double.asked) == ([], [])
            outcome = collect.collect(HOSTS, other, told.append)
        assert outcome.report == Report(sent=6)


def test_collect_visits_nobody_for_tables_that_conflict(tmp_path):
    """The run ends before any SSH, and leaves the lock to the next."""
    told = []
    with questdb_double() as double:
        double.types["hostStatus", "elapsed"] = "VARCHAR"
        for _ in range(2):
            with pytest.raises(SchemaError):
                collect.collect(HOSTS, _settings(double.conf, tmp_path), told.append)
    assert told == []
    assert not (tmp_path / "spool").exists()


def test_collect_without_a_state_directory_publishes_directly(tmp_path):
    """No home, or a folder that cannot be used: said, and every row is sent all the same."""
    (tmp_path / "file").touch()
    with questdb_double() as double:
        for folder, line in (
            ("", "no state directory (--state-dir, FLEET_STATE_DIR or a home names one)"),
            (
                tmp_path / "file",
                f"the state directory {tmp_path / 'file'} cannot be used: Not a directory",
            ),
        ):
            outcome = collect.collect(HOSTS, _settings(double.conf, folder), lambda _visit: None)
            assert outcome.report == Report(
                sent=6, lines=(f"{line}: no lock and no spool, rows are published directly",)
            )


def test_sweeps_of_a_clock_that_stands_still_are_two(tmp_path, monkeypatch):
    """Their rows have different times, so that neither replaces the other's."""

    class Frozen(datetime):
        @classmethod
        def now(cls, _zone=None):
            return datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)

    monkeypatch.setattr(collect, "datetime", Frozen)
    with questdb_double() as double:
        for _ in range(3):
            collect.collect(HOSTS, _settings(double.conf, tmp_path), lambda _visit: None)
    times = {line.rpartition(" ")[2] for line in double.order}
    assert times == {f"179540280012345{number}000" for number in (6, 7, 8)}
    assert double.count("hostStatus") == 15


def test_user_without_a_name_can_run_it(monkeypatch):
    """A container's user id that no passwd knows: hosts that name their user are visited."""

    def nobody():
        raise KeyError("getpwuid(): uid not found: 54399")

    monkeypatch.setattr("getpass.getuser", nobody)
    named = Host("named", "127.0.0.1", 1, user="ops")
    unnamed = Host("unnamed", "127.0.0.1", 1)
    outcome = rounds.snapshot([named, unnamed], Settings(), lambda _visit: None)
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
