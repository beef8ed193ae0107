"""From what a node printed to the status of its visit, row by row of the verdict table."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import probe
from fleet.allowance import RESERVE_BYTES, Allowance, Budget
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.node_facts import clock_skew
from fleet.reading import Before
from fleet.seen import Count, Seen, SeenContainer
from fleet.status import Phase, Status
from fleet.sudoers import way_to_line
from fleet.transport import Ended, Reply
from fleet.verdict import judge
from fleet.visit import Visit, printable, rows_of_visit, visit

A, B = "a" * 64, "b" * 64


def _ps(*ids: str, state: str = "running") -> list[str]:
    return [json.dumps([id, f"n{id[0]}", "busy:1", state, "bridge", "", "", "", ""]) for id in ids]


def _stats(id: str, **fields: str) -> str:
    row = {
        "BlockIO": "1MB / 2MB",
        "CPUPerc": "1.50%",
        "Container": id,
        "ID": id,
        "MemPerc": "25.00%",
        "MemUsage": "1MiB / 4MiB",
        "Name": f"n{id[0]}",
        "NetIO": "1kB / 2kB",
        "PIDs": "3",
    }
    return json.dumps({**row, **fields})


def _dashes(id: str) -> str:
    dash = dict.fromkeys(("BlockIO", "CPUPerc", "MemPerc", "Name", "NetIO", "PIDs"), "--")
    return _stats(id, ID="", MemUsage="-- / --", **dash)


def _zeros(id: str) -> str:
    zero = {"BlockIO": "0B / 0B", "CPUPerc": "0.00%", "MemPerc": "0.00%", "PIDs": "0"}
    return _stats(id, MemUsage="0B / 0B", NetIO="0B / 0B", **zero)


def _answer(*parts: tuple[str, int, list[str]], end: bool = True) -> bytes:
    """An answer in the probe's format; `host`, `node`, `kernel1` and `tool` stand before the parts
    given.
    """
    text = "@fleet 2 B host\nuptime 100.5\ncpus 4\n\n@fleet 2 E host 0\n"
    text += "@fleet 2 B node\nboot_id b0\nkernel 6.1.0\n\n@fleet 2 E node 0\n"
    text += "@fleet 2 B kernel1\ncgroup 2\nt 100.75\n\n@fleet 2 E kernel1 0\n"
    if not parts or parts[0][0] not in ("tool", "args"):
        text += "@fleet 2 B tool\n/usr/bin/docker\n\n@fleet 2 E tool 0\n"
    for name, rc, lines in parts:
        body = "".join(f"{line}\n" for line in lines)
        text += f"\n@fleet 2 B {name}\n{body}\n@fleet 2 E {name} {rc}\n"
    return (text + ("\n@fleet 2 END\n" if end else "")).encode()


def _three(rows: list[str], before: list[str], after: list[str], /, **rcs: int) -> bytes:
    return _answer(
        ("ps1", rcs.get("ps1", 0), before),
        ("version", rcs.get("version", 0), ['"28.2.2"']),
        ("stats", rcs.get("stats", 0), rows),
        ("clock", 0, ["uptime 103.25"]),
        ("kernel2", 0, ["cgroup 2", "t 103.5"]),
        ("ps2", rcs.get("ps2", 0), after),
    )


def _visit(
    stdout: bytes,
    stderr: str = "",
    ended: Ended = Ended.EXIT,
    run_s: float = 2.5,
    exit_status: int | None = 0,
    host: Host | None = None,
) -> Visit:
    reply = Reply(0.1, run_s, exit_status, stdout, stderr.encode(), ended)
    return visit(host or Host("web1", "10.0.0.1"), lambda *_: reply, Allowance(30))


def _older(answer: bytes, version: int = 1) -> bytes:
    """The same of a probe that knew only `host`, `tool`, `ps1`, `stats`, `clock` and `ps2`."""
    for name in (b"node", b"kernel1", b"version", b"kernel2"):
        before, _, rest = answer.partition(b"@fleet 2 B %b\n" % name)
        answer = before + rest.partition(b"@fleet 2 E %b 0\n" % name)[2]
    return answer.replace(b"@fleet 2 ", b"@fleet %d " % version)


GOOD = _three([_stats(A), _stats(B)], _ps(A, B), _ps(A, B))
DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?"
DENIED = "permission denied while trying to connect to the Docker daemon socket"

TABLE = {
    "no containers": (_three([], [], []), {}, Status.OK, None, 0, 0),
    "two containers": (GOOD, {}, Status.OK, None, 2, 0),
    "one vanished in mid-sample": (
        _three([_stats(A), _dashes(B)], _ps(A, B), _ps(A)),
        {},
        Status.OK,
        None,
        1,
        1,
    ),
    "the only one vanished": (_three([_dashes(A)], _ps(A), []), {}, Status.OK, None, 0, 1),
    "one exited in mid-sample": (
        _three([_stats(A), _zeros(B)], _ps(A, B), _ps(A)),
        {},
        Status.OK,
        None,
        1,
        1,
    ),
    "one runs but is not measured": (
        _three([_stats(A), _zeros(B)], _ps(A, B), _ps(A, B)),
        {},
        Status.PARTIAL,
        Phase.DAEMON,
        2,
        0,
    ),
    "one runs and has dashes": (
        _three([_stats(A), _dashes(B)], _ps(A, B), _ps(A, B)),
        {},
        Status.PARTIAL,
        Phase.DAEMON,
        1,
        1,
    ),
    "one runs and has no row": (
        _three([_stats(A)], _ps(A, B), _ps(A, B)),
        {},
        Status.PARTIAL,
        Phase.DAEMON,
        1,
        0,
    ),
    "one line is garbage": (
        _three([_stats(A), "?"], _ps(A), _ps(A)),
        {},
        Status.PARTIAL,
        Phase.PARSE,
        1,
        0,
    ),
    "every line is garbage": (
        _three(["json", "json"], [], []),
        {},
        Status.BAD_OUTPUT,
        Phase.PARSE,
        0,
        0,
    ),
    "ps is an old one, stats are good": (
        _three([_stats(A)], [], [], ps1=1, ps2=1),
        {"stderr": 'can\'t evaluate field State in type "*formatter.containerContext"'},
        Status.PARTIAL,
        Phase.DAEMON,
        1,
        0,
    ),
    "killed in the middle with rows": (
        _answer(("ps1", 0, _ps(A)), ("stats", 0, [_stats(A)]), end=False),
        {"exit_status": None},
        Status.PARTIAL,
        Phase.PROBE,
        1,
        0,
    ),
    "killed in the middle without rows": (
        _answer(("ps1", 0, _ps(A)), end=False),
        {"exit_status": 137},
        Status.BAD_OUTPUT,
        Phase.PROBE,
        0,
        0,
    ),
    "time was up with rows": (
        _answer(("ps1", 0, _ps(A)), ("stats", 0, [_stats(A)]), end=False),
        {"ended": Ended.TIMEOUT},
        Status.PARTIAL,
        Phase.PROBE,
        1,
        0,
    ),
    "time was up without rows": (
        _answer(end=False),
        {"ended": Ended.TIMEOUT},
        Status.TIMEOUT,
        Phase.PROBE,
        0,
        0,
    ),
    "time was up and nothing came": (
        b"",
        {"ended": Ended.TIMEOUT, "exit_status": None},
        Status.TIMEOUT,
        Phase.PROBE,
        0,
        0,
    ),
    "connection lost": (
        _answer(end=False),
        {"ended": Ended.LOST},
        Status.SSH_ERROR,
        Phase.PROBE,
        0,
        0,
    ),
    "connection lost before a word": (
        b"",
        {"ended": Ended.LOST},
        Status.SSH_ERROR,
        Phase.PROBE,
        0,
        0,
    ),
    "flood without rows": (
        b"y\n" * 9,
        {"ended": Ended.FLOOD},
        Status.BAD_OUTPUT,
        Phase.PROBE,
        0,
        0,
    ),
    "flood with rows": (
        _answer(("ps1", 0, []), ("stats", 0, [_stats(A)]), end=False),
        {"ended": Ended.FLOOD},
        Status.PARTIAL,
        Phase.PROBE,
        1,
        0,
    ),
    "nologin": (
        b"This account is currently not available.\n",
        {"exit_status": 1},
        Status.BAD_OUTPUT,
        Phase.PROBE,
        0,
        0,
    ),
    "no CLI": (_answer(("tool", 127, [])), {}, Status.NO_DOCKER, Phase.PROBE, 0, 0),
    "CLI that cannot be executed": (
        _three([], [], [], ps1=126, stats=126, ps2=126),
        {},
        Status.NO_DOCKER,
        Phase.PROBE,
        0,
        0,
    ),
    "outside the docker group": (
        _three([], [], [], ps1=1, stats=1, ps2=1),
        {"stderr": DENIED},
        Status.DOCKER_DENIED,
        Phase.DAEMON,
        0,
        0,
    ),
    "no daemon": (
        _three([], [], [], ps1=1, stats=1, ps2=1),
        {"stderr": DOWN},
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        0,
        0,
    ),
    "daemon killed in mid-sample": (
        _three([_dashes(A), _dashes(B)], _ps(A, B), [], ps2=1),
        {"stderr": DOWN},
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        0,
        2,
    ),
    "daemon killed in mid-sample and back again": (
        _three([_dashes(A), _dashes(B)], _ps(A, B), _ps(A, B)),
        {},
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        0,
        2,
    ),
    "frozen daemon": (
        _answer(("ps1", 124, [])),
        {"run_s": 10.1},
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        0,
        0,
    ),
    "frozen containerd": (
        _answer(("ps1", 0, _ps(A)), ("stats", 137, [])),
        {"run_s": 27.0},
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        0,
        0,
    ),
    "a visit too short for stats": (
        _answer(("ps1", 0, _ps(A)), ("stats", 143, [])),
        {"run_s": 2.0},
        Status.TIMEOUT,
        Phase.DAEMON,
        0,
        0,
    ),
    "a CLI that knows no such option": (
        _three([], [], [], stats=125),
        {"stderr": "unknown flag: --no-trunc"},
        Status.BAD_OUTPUT,
        Phase.PROBE,
        0,
        0,
    ),
    "another format": (
        _answer().replace(b"@fleet 2 ", b"@fleet 9 "),
        {},
        Status.PROBE_OUTDATED,
        Phase.PROBE,
        0,
        0,
    ),
    "a format too old, with rows": (
        GOOD.replace(b"@fleet 2 ", b"@fleet 0 "),
        {},
        Status.PROBE_OUTDATED,
        Phase.PROBE,
        0,
        0,
    ),
    "a refused word": (_answer(("args", 64, [])), {}, Status.BAD_CONFIG, Phase.PROBE, 0, 0),
    "no figures section": (
        _answer(("ps1", 0, [])),
        {},
        Status.BAD_OUTPUT,
        Phase.PARSE,
        0,
        0,
    ),
}


@pytest.mark.parametrize(
    ("stdout", "how", "status", "phase", "good", "dropped"), TABLE.values(), ids=TABLE
)
def test_answer_has_its_status(stdout, how, status, phase, good, dropped):
    """Each way in which an answer can end has one status, one phase, and its rows or none."""
    found = _visit(stdout, **how)
    assert (found.status, found.phase) == (status, phase), found.detail
    assert (len(found.samples), found.dropped) == (good, dropped)
    assert (found.detail is None) == (status is Status.OK)
    assert found.source == ("docker" if status in (Status.OK, Status.PARTIAL) else None)
    assert found.sampled_at is not None
    assert found.sampled_at.tzinfo is UTC


OLDER_COMMAND = (
    "the forced command there is older and reads no exact counters: "
    "renew what fleet authorize web1 prints"
)


@pytest.mark.parametrize("version", [1, 2])
def test_answer_of_an_older_forced_command_is_good_and_noted(version):
    """Its figures count as ever; a word says what is missing, and how to renew it."""
    found = _visit(_older(GOOD, version))
    assert (found.status, found.phase) == (Status.OK, None)
    assert (len(found.samples), found.dropped, found.source) == (2, 0, "docker")
    assert found.detail == OLDER_COMMAND
    assert (found.states, found.node, found.seen) == ((), None, None)
    assert found.sampled_at is not None
    assert found.sampled_at.tzinfo is UTC


def test_kernel_that_cannot_be_seen_is_noted():
    """Where its counters were asked for and Docker's figures came, that is said."""
    host = Host("web1", "10.0.0.1", source="kernel")
    found = _visit(GOOD, host=host)
    assert (found.status, len(found.samples), found.source) == (Status.OK, 2, "docker")
    assert found.detail == "the kernel's counters cannot be seen there: docker stats stands in"
    assert _visit(_older(GOOD), host=host).detail == OLDER_COMMAND


@pytest.mark.parametrize("refused", ["state", "version"])
def test_older_sudoers_is_noted(refused):
    """It lets docker ps and docker stats through, and nothing newer: the figures are there."""
    host = Host("web1", "10.0.0.1", user="ops", become=True)
    answer = _answer(
        ("ps1", 0, _ps(A)),
        ("state", int(refused == "state"), []),
        ("version", int(refused == "version"), []),
        ("stats", 0, [_stats(A)]),
        ("kernel2", 0, ["cgroup 2", "t 103.5"]),
        ("ps2", 0, _ps(A)),
    )
    found = _visit(answer, "sudo: a password is required", host=host)
    assert (found.status, len(found.samples)) == (Status.OK, 1)
    assert found.detail == (
        "the sudoers there is older and does not allow docker inspect: "
        "renew what fleet authorize web1 prints"
    )
    assert _visit(answer, DOWN, host=host).detail is None
    assert _visit(answer, "sudo: a password is required").detail is None


def test_answer_tells_of_the_node_and_of_states():
    """Beside the figures a visit has what the node and each container are."""
    inspected = json.dumps(
        [A, "running", 71, "healthy", 2, 0, False, "2026-01-01T00:00:00Z", "", "", "", None]
    )
    found = _visit(
        _answer(
            ("ps1", 0, _ps(A)),
            ("state", 0, [inspected]),
            ("version", 0, ['"28.2.2"']),
            ("stats", 0, [_stats(A)]),
            ("clock", 0, ["uptime 103.25"]),
            ("kernel2", 0, ["cgroup 2", "t 103.5"]),
            ("ps2", 0, _ps(A)),
        )
    )
    assert (found.status, found.detail) == (Status.OK, None)
    (state,) = found.states
    assert (state.name, state.state.state, state.state.health) == ("na", "running", "healthy")
    assert (state.state.restarts, state.due) == (2, True)
    assert found.node.docker_version == "28.2.2"
    assert (found.node.cpus, found.node.figures.kernel) == (4, "6.1.0")
    assert rows_of_visit(found) == 4  # the container, the host, the state, the node
    assert list(found.seen.containers) == [A]


@pytest.mark.parametrize(
    "said",
    [
        "sudo: a password is required",
        "Sorry, user ops is not allowed to execute '/usr/bin/timeout' as root on web1.",
        "ops is not in the sudoers file.",
        "sudo: a terminal is required to read the password",
    ],
)
def test_refusal_of_sudo_is_denied_with_the_way_to_what_it_lacks(said):
    """With ansible_become, what sudo says against us is docker_denied, and names its remedy."""
    host = Host("web1", "10.0.0.1", user="ops", become=True)
    found = _visit(_three([], [], [], ps1=1, stats=1, ps2=1), said, host=host)
    assert (found.status, found.phase) == (Status.DOCKER_DENIED, Phase.DAEMON)
    way = way_to_line("web1")
    assert found.detail == f"{said}; /etc/sudoers.d/fleet there needs what this prints: {way}"


def test_long_refusal_of_sudo_leaves_room_for_the_way_out():
    """However long sudo's words and the host's name are, the command is not cut."""
    host = Host("w" * 253, "10.0.0.1", user="ops", become=True)
    said = f"Sorry, user ops is not allowed to execute '{'x' * 900}' as root on web1."
    answer = _three([], [], [], ps1=1, stats=1, ps2=1).replace(b"/usr/bin/d", b"/usr/local/bin/d")
    found = _visit(answer, said, host=host)
    assert found.detail.endswith(
        f"…; /etc/sudoers.d/fleet there needs what this prints: "
        f"{way_to_line(host.name, '/usr/local/bin/docker')}"
    )
    assert "Sorry, user ops" in found.detail


def test_place_of_the_cli_is_one_of_a_few():
    """What a hostile node says of its CLI's path gets into no command that others copy."""
    host = Host("web1", "10.0.0.1", user="ops", become=True)
    for place in (b"/tmp/docker", b"/usr/bin/docker, ALL", b"/home/ops/docker"):
        answer = _three([], [], [], ps1=1, stats=1, ps2=1).replace(b"/usr/bin/docker", place)
        found = _visit(answer, "sudo: a password is required", host=host)
        assert found.detail.endswith(f" prints: {way_to_line('web1')}")


def test_sudo_that_wants_a_terminal_is_told_not_to():
    """requiretty is a default of some; the rule alone would not help against it."""
    host = Host("web1", "10.0.0.1", user="ops", become=True)
    said = "sudo: sorry, you must have a tty to run sudo"
    found = _visit(_three([], [], [], ps1=1, stats=1, ps2=1), said, host=host)
    assert found.status is Status.DOCKER_DENIED
    assert found.detail.endswith(" needs: Defaults:ops !requiretty")


def test_refusal_at_a_node_with_the_text_of_before_renews_both():
    """The rule goes with this version's commands: both are renewed together."""
    host = Host("web1", "10.0.0.1", user="ops", become=True)
    answer = _older(_three([], [], [], ps1=1, stats=1, ps2=1))
    found = _visit(answer, "sudo: a password is required", host=host)
    assert found.status is Status.DOCKER_DENIED
    assert found.detail == (
        "sudo: a password is required; renew forced command and sudoers: fleet authorize web1"
    )


@pytest.mark.parametrize("said", ["sh: 1: sudo: not found", "bash: sudo: command not found"])
def test_node_without_sudo_is_denied_in_its_own_words(said):
    """No rule helps where there is no sudo."""
    host = Host("web1", "10.0.0.1", become=True)
    found = _visit(_three([], [], [], ps1=127, stats=127, ps2=127), said, host=host)
    assert (found.status, found.detail) == (Status.DOCKER_DENIED, said)


@pytest.mark.parametrize(
    ("version", "detail"),
    [
        (0, "{}; renew it with what this prints: fleet authorize 'web 1'"),
        (
            3,
            "{}; it is newer than this fleet: upgrade fleet here, or renew it with what this "
            "prints: fleet authorize 'web 1'",
        ),
    ],
)
def test_format_that_is_not_read_has_its_way_out(version, detail):
    """The detail names the format, what is read, and the command that renews it."""
    host = Host("web 1", "10.0.0.1")
    found = _visit(GOOD.replace(b"@fleet 2 ", b"@fleet %d " % version), host=host)
    first = f"the node's forced command answers in format {version} of the probe; read here are "
    assert found.status is Status.PROBE_OUTDATED
    assert found.detail == detail.format(f"{first}1 and 2")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _skew(clock: str | None, run_s: float, uptimes: tuple[float, float] = (100.5, 103.25)):
    text = GOOD.replace(b"uptime 100.5", b"uptime %.2f" % uptimes[0])
    text = text.replace(b"uptime 103.25", b"uptime %.2f" % uptimes[1])
    if clock is not None:
        text = text.replace(b"cpus 4", b"clock %b\ncpus 4" % clock.encode())
    verdict = judge(Host("h", "h"), Reply(0, run_s, 0, text, b""), NOON)
    return verdict, clock_skew(probe.cut(text), run_s, NOON)


def test_clock_of_the_node_is_compared_with_ours():
    """It was read when the probe began: 2.75 s of its uptime before the end, give or take."""
    began = int(NOON.timestamp()) - 3
    _verdict, skew = _skew(str(began), 3.25)
    assert skew.seconds == pytest.approx(0.5 + 0.25 - 0.25)
    assert skew.doubt_s == pytest.approx(0.25 + 0.5)
    _verdict, skew = _skew(str(began - 7200), 3.25)
    assert skew.seconds == pytest.approx(0.5 - 7200)


@given(st.floats(-1e6, 1e6), st.floats(0, 5), st.floats(0, 5), st.floats(0, 5), st.floats(0, 0.999))
def test_true_skew_lies_within_the_doubt(skew_s, there_s, stats_s, back_s, fraction):
    """However long the way there, the work and the way back take, the skew is bounded by both."""
    read_at = NOON.timestamp() - back_s - stats_s + fraction
    complete_at = datetime.fromtimestamp(read_at + stats_s + back_s, UTC)
    text = GOOD.replace(b"103.25", b"%.6f" % (100.5 + stats_s))
    text = text.replace(b"cpus 4", b"clock %d\ncpus 4" % (read_at + skew_s))
    found = clock_skew(probe.cut(text), there_s + stats_s + back_s, complete_at)
    assert abs(found.seconds - skew_s) <= found.doubt_s + 1e-5


@pytest.mark.parametrize("clock", [None, "%s", "", "-5", "1.5", "9" * 13])
def test_clock_that_says_nothing_is_unknown(clock):
    """No line, or one that is no time: unknown, and nothing else is lost."""
    verdict, skew = _skew(clock, 3)
    assert skew is None
    assert verdict.status is Status.OK


def test_clock_that_was_never_set_is_told_as_it_is():
    """A node that thinks it is 1970 is decades behind, and that is said."""
    _verdict, skew = _skew("5", 1)
    assert skew.seconds < -1e9


def test_uptime_that_lies_moves_the_skew_by_no_more_than_the_run():
    """What the node says of its uptime counts only within the time that we waited."""
    began = str(int(NOON.timestamp()))
    for uptimes in ((5.0, 1e9), (1e9, 5.0)):
        _verdict, skew = _skew(began, 3, uptimes)
        assert abs(skew.seconds) <= 3.5


def test_warning_of_sudo_does_not_hide_a_daemon_that_is_down():
    """sudo warns of a host name it cannot resolve, and goes on."""
    host = Host("web1", "10.0.0.1", become=True)
    said = f"sudo: unable to resolve host web1\n{DOWN}\n"
    found = _visit(_three([], [], [], ps1=1, stats=1, ps2=1), said, host=host)
    assert found.status is Status.DOCKER_DOWN
    assert found.detail == f"docker ps failed with exit status 1: {DOWN}"


NOISE = {
    "somebody else's": "bash: /etc/profile.d/x.sh: Permission denied",
    "docker's warning": "WARNING: Error loading config file: /home/ops/.docker: permission denied",
    "sudo's warning": "sudo: /etc/sudoers.d is world writable",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_on_stderr_does_not_accuse_the_login(noise):
    """Only what Docker or sudo says of this very request is docker_denied."""
    host = Host("web1", "10.0.0.1", become=True)
    for said in (f"{noise}\n{DOWN}\n", f"{DOWN}\n{noise}\n"):
        found = _visit(_three([], [], [], ps1=1, stats=1, ps2=1), said, host=host)
        assert found.status is Status.DOCKER_DOWN, found.detail


@pytest.mark.parametrize(
    "said", ["sudo: docker: command not found", "timeout: failed to run command 'docker'"]
)
def test_cli_that_sudo_does_not_find_is_no_docker(said):
    """sudo looks in its own places; what it does not find there is not there."""
    host = Host("web1", "10.0.0.1", become=True)
    found = _visit(_three([], [], [], ps1=127, stats=127, ps2=127), said, host=host)
    assert found.status is Status.NO_DOCKER


def test_missing_sudo_is_denied():
    """Exit status 127 of a sudo that is not there says nothing of docker."""
    host = Host("web1", "10.0.0.1", become=True)
    answer = _three([], [], [], ps1=127, stats=127, ps2=127)
    assert _visit(answer, "sh: 1: sudo: not found", host=host).status is Status.DOCKER_DENIED


@pytest.mark.parametrize("rc", [137, 143])
def test_cli_that_somebody_killed_is_not_called_slow(rc):
    """The probe's clock allows a second at least; what died before was killed by another."""
    found = _visit(_three([], [], [], stats=rc), run_s=0.4)
    assert (found.status, found.phase) == (Status.DOCKER_DOWN, Phase.DAEMON)
    assert found.detail == f"docker stats was killed on the node (exit status {rc})"


def test_permission_noise_of_a_good_visit_is_nothing():
    """With figures, and every tool's exit status 0, stderr does not matter."""
    assert _visit(GOOD, DENIED).status is Status.OK


def test_bad_lines_are_told_before_missing_figures():
    """Rows that could not be read are the reason, not the daemon."""
    found = _visit(_three(["?", "?"], _ps(A), _ps(A)))
    assert (found.status, found.phase) == (Status.BAD_OUTPUT, Phase.PARSE)


@pytest.mark.parametrize(
    "stderr", ["sudo " * 13_000, "sudo:" * 13_000, "permission denied " * 4_000, "\n" * 65_000]
)
def test_long_stderr_costs_nothing(stderr):
    """No pattern takes more than a moment over what a node may print."""
    host = Host("web1", "10.0.0.1", become=True)
    started = time.process_time()
    _visit(_three([], [], [], ps1=1, stats=1, ps2=1), stderr, host=host)
    assert time.process_time() - started < 1


def test_visit_gives_back_what_it_took():
    """However it ends, its bytes are free for the others."""
    budget = Budget(1)
    for status in (None, Status.TIMEOUT):
        allowance = Allowance(30, budget)

        def run(*_, allowance=allowance, status=status):
            assert allowance.take(RESERVE_BYTES + 1000)
            if status:
                raise HostError(status, Phase.PROBE, "?")
            return Reply(0, 0, 0, GOOD, b"")

        visit(Host("h", "h"), run, allowance)
    small, other = Allowance(0.05, budget), Allowance(0.05, budget)
    assert small.take(RESERVE_BYTES + 1000)
    assert not other.take(RESERVE_BYTES + 10)


def test_expired_visit_of_a_short_allowance_is_skipped():
    """A connection that our own deadline broke is not the host's fault."""
    allowance = Allowance(30, short=True)
    allowance.expire()
    assert visit(Host("h", "h"), _raises(Status.SSH_ERROR), allowance).status is Status.SKIPPED
    assert visit(Host("h", "h"), _raises(Status.AUTH_FAILED), allowance).status is (
        Status.AUTH_FAILED
    )


def test_node_uptime_is_the_one_next_to_the_figures():
    """The reading after the figures counts; the one before stands in where it is missing."""
    assert _visit(GOOD).node_uptime_s == 103.25
    assert _visit(_answer(end=False)).node_uptime_s == 100.5
    assert _visit(GOOD.replace(b"uptime", b"up")).node_uptime_s is None


def test_cpus_of_the_node_bound_its_figures():
    """More than 110 % of the node's CPUs is no figure."""
    stats = [_stats(A, CPUPerc="440.00%"), _stats(B, CPUPerc="440.01%")]
    samples = _visit(_three(stats, _ps(A, B), _ps(A, B))).samples
    assert [sample.cpu_percent for sample in samples] == [440.0, None]


def test_host_with_bad_variables_is_not_visited():
    """Its visit says what is wrong with them; nothing is run."""
    host = Host("web1", "10.0.0.1", bad_config="ansible_port: 0")
    found = visit(host, lambda *_: pytest.fail("it was visited"), Allowance(30))
    assert (found.status, found.detail) == (Status.BAD_CONFIG, "ansible_port: 0")


def _raises(status: Status):
    def run(*_):
        raise HostError(status, Phase.CONNECT, "why\x1b[2J\nnot")

    return run


def test_error_of_a_transport_becomes_the_visit():
    """Status, phase and detail arrive; the detail is safe to print."""
    found = visit(Host("h", "h"), _raises(Status.UNREACHABLE), Allowance(30))
    assert (found.status, found.phase, found.detail) == (
        Status.UNREACHABLE,
        Phase.CONNECT,
        "why\\x1b[2J\\nnot",
    )
    assert found.sampled_at is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.TIMEOUT, Status.SKIPPED),
        (Status.AUTH_FAILED, Status.AUTH_FAILED),
        (Status.UNREACHABLE, Status.UNREACHABLE),
    ],
)
def test_visit_cut_short_by_the_sweep_is_skipped(status, expected):
    """A time-out under the sweep's deadline is not the host's fault; other failures are."""
    assert visit(Host("h", "h"), _raises(status), Allowance(30, short=True)).status is expected


@given(st.text())
def test_printable_text_is_printable_and_short(text):
    """No control character, escape, direction mark or surrogate comes out, and 500 at most."""
    spelled = printable(text)
    assert spelled.isprintable()
    assert len(spelled) <= 500
    if text.isprintable() and len(text) <= 500:
        assert spelled == text


@given(st.binary(max_size=400), st.binary(max_size=100), st.sampled_from(Ended))
def test_no_answer_makes_a_visit_raise(stdout, stderr, ended):
    """Whatever a node prints, its visit has a status."""
    prefix = b"@fleet 2 B stats\n"
    for data in (stdout, prefix + stdout, prefix + stdout + b"\n@fleet 2 E stats 0\n"):
        found = _visit(data, stderr.decode("latin-1"), ended)
        assert isinstance(found.status, Status)


def test_request_tells_the_node_to_be_done_earlier_than_we_are():
    """A second is kept for the answer's way."""
    asked = []

    def run(_host, request, _allowance):
        asked.append(request(20.9))
        return Reply(0, 0, 0, GOOD, b"")

    visit(Host("h", "h"), run, Allowance(30))
    assert asked == [probe.request(Host("h", "h"), 19)]


def test_second_reading_waits_only_where_no_earlier_sweep_counted():
    """Rates are taken from the last sweep's counters, or over a window of the visit's own."""
    asked = []

    def run(_host, request, _allowance):
        asked.append(request(20.9))
        return Reply(0, 0, 0, GOOD, b"")

    host = Host("h", "h")
    for count in (None, Count(1, 50.0)):
        seen = Seen(1.0, "b0", {A: SeenContainer("na", count=count)})
        visit(host, run, Allowance(30), Before(seen, 2.0))
    assert asked == [probe.request(host, 19, 1), probe.request(host, 19, 0)]
